"""Covariates of pictures that a published model judges: their table, their range in training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from batteryscope.bundle.record import (
    EXAMPLE_COVARIATES_FILE,
    EXAMPLE_INPUT_FILE,
    RECORD_FILE,
    Member,
    PictureRecord,
    TrainedCovariate,
    read_json,
)
from batteryscope.config.covariates import (
    Covariate,
    CovariateSettings,
    CovariateTable,
    list_inputs,
)
from batteryscope.config.table_format import TableFormat
from batteryscope.core.safe_text import guard_table
from batteryscope.errors import ConfigError, InputError
from batteryscope.manifest.covariate_columns import take_inputs
from batteryscope.manifest.covariates import NO_COVARIATE, find_values
from batteryscope.models.classifier import TileClassifier
from batteryscope.readers.table_lines import name_option

OPTION = "--covariates"
HELD_TABLE = "covariates.csv"
PLAIN_TABLE = TableFormat(encoding="utf-8", separator=",", decimal=".")


class Looked(NamedTuple):
    """What is known of a picture: the inputs of networks, or the reason why there are none."""

    values: NDArray[np.float32] | None
    reason: str = ""
    note: str = ""


@dataclass(frozen=True)
class GivenCovariates:
    """Inputs of networks by file, and why files have none."""

    inputs: Mapping[str, NDArray[np.float32]]
    reasons: Mapping[str, str] = field(default_factory=dict)

    def look_up(self, file: str, covariates: Sequence[TrainedCovariate]) -> Looked:
        """Return the values of a file, with a note where they are outside of the training's."""
        values = self.inputs.get(file)
        if values is None:
            reason = self.reasons.get(file, "the table of covariates has no row of it")
            return Looked(None, f"{NO_COVARIATE}: {reason}")
        return Looked(values, "", "; ".join(describe_outside(values, covariates)))


@dataclass(frozen=True)
class CovariateSource:
    """A table of covariates that a user gives to a program."""

    path: Path
    sample_column: str | None = None
    written: TableFormat = field(default_factory=TableFormat)

    def read(
        self, files: Sequence[str], covariates: Sequence[Covariate], of_scans: bool = False
    ) -> GivenCovariates:
        """Find the row of every file.

        Parameters
        ----------
        files
            Pictures or scans, as predictions name them.
        covariates
            What the networks are given.
        of_scans
            Whether the files are scans.

        Raises
        ------
        InputError
            The table cannot be read, lacks a column, or names none of the files.
        """
        table = as_table(covariates).model_copy(
            update={
                "table": self.path.name,
                "sample_column": self.sample_column or covariates[0].sample_column,
                "table_format": self.written,
            }
        )
        if not files:
            return GivenCovariates({})
        samples = pd.DataFrame({"path": list(files)}, dtype=object)
        samples = samples.assign(volume=samples["path"]) if of_scans else samples
        values, rejects = find_values(samples, table, self.path.parent, OPTION)
        known = values.notna().all(axis=1).to_numpy()
        numbers = values.to_numpy(np.float32)
        found = {file: numbers[i] for i, file in enumerate(files) if known[i]}
        reasons: dict[str, str] = {}
        for reject in rejects:
            if reject.reason == NO_COVARIATE:
                reasons.setdefault(reject.path, reject.detail)
        return GivenCovariates(found, reasons)


def as_table(covariates: Sequence[Covariate]) -> CovariateTable:
    """Return the settings by which a table of these covariates is read."""
    columns = {
        c.name: CovariateSettings(
            unit=c.unit, label=c.label, categories=c.categories, column=c.column
        )
        for c in covariates
    }
    return CovariateTable(columns=columns)


def take_given(manifest: pd.DataFrame, covariates: Sequence[Covariate]) -> GivenCovariates:
    """Take the covariates of a sample table, by path."""
    if not covariates:
        return GivenCovariates({})
    values = take_inputs(manifest, list_inputs(list(covariates))).to_numpy(np.float32)
    return GivenCovariates(dict(zip(manifest["path"].astype(str), values, strict=True)))


def list_trained_covariates(folder: Path, members: Sequence[Member]) -> list[TrainedCovariate]:
    """Return the covariates of the networks of a bundle, with their ranges in training."""
    from safetensors.numpy import load_file

    found: dict[str, TrainedCovariate] = {}
    for member in members:
        described = read_json(folder / f"{member.name}.json").get("covariates", [])
        if not described:
            continue
        state = load_file(folder / f"{member.name}.safetensors")
        lows, highs = (state[f"covariates.{end}"].tolist() for end in ("low", "high"))
        for values in described:
            covariate = Covariate.model_validate(values)
            n = len(covariate.inputs)
            own = [(_shorten(lows.pop(0)), _shorten(highs.pop(0))) for _ in range(n)]
            known = found.get(covariate.name)
            before = known.ranges if known else own
            ranges = [(min(a[0], b[0]), max(a[1], b[1])) for a, b in zip(own, before, strict=True)]
            found[covariate.name] = TrainedCovariate(**covariate.model_dump(), ranges=ranges)
    return list(found.values())


def check_covariates(folder: Path, record: PictureRecord, models: Sequence[TileClassifier]) -> None:
    """Refuse networks that are given other covariates than bundle.json says.

    Raises
    ------
    InputError
        Naming bundle.json.
    """
    said = list_inputs(list(record.covariates))
    for model in models:
        own = model.description.inputs_beside
        if own and own != said:
            raise InputError(
                f"{folder / RECORD_FILE}: the covariates are {said}, but a network is given {own}; "
                "publish or fetch the bundle again."
            )
    if said and not any(model.description.inputs_beside for model in models):
        raise InputError(
            f"{folder / RECORD_FILE}: the covariates are {said}, but no network is given any; "
            "publish or fetch the bundle again."
        )


def describe_outside(
    values: NDArray[np.float32], covariates: Sequence[TrainedCovariate]
) -> list[str]:
    """Say which covariates lie outside of the range that the networks were trained on."""
    phrases, place = [], 0
    for covariate in covariates:
        n = len(covariate.inputs)
        own = values[place : place + n]
        place += n
        if covariate.categories:
            name = covariate.categories[int(own.argmax())]
            if covariate.ranges[int(own.argmax())][1] == 0:
                phrases.append(f"{covariate.label} {name}, which no training sample had")
            continue
        (low, high), value = covariate.ranges[0], float(own[0])
        slack = 1e-5 * max(abs(low), abs(high))  # of numbers that were shortened
        if not low - slack <= value <= high + slack:
            unit = covariate.unit
            phrases.append(
                f"{covariate.label} {value:g} {unit}, trained on {low:g} to {high:g} {unit}"
            )
    return phrases


def write_example_covariates(
    folder: Path, sample: pd.Series, covariates: Sequence[Covariate]
) -> GivenCovariates:
    """Keep the covariates of the example as a user would give them, and read them again."""
    row: dict[str, Any] = {"file": EXAMPLE_INPUT_FILE}
    for covariate in covariates:
        own = [float(sample[f"covariate_{name}"]) for name in covariate.inputs]
        row[covariate.column] = (
            covariate.categories[int(np.argmax(own))] if covariate.categories else own[0]
        )
    path = folder / EXAMPLE_COVARIATES_FILE
    guard_table(pd.DataFrame([row])).to_csv(path, index=False, lineterminator="\n")
    return read_example_covariates(folder, covariates)


def read_example_covariates(folder: Path, covariates: Sequence[Covariate]) -> GivenCovariates:
    """Read the covariates of the example of a bundle."""
    written = TableFormat(encoding="utf-8", separator=",", decimal=".")
    source = CovariateSource(folder / EXAMPLE_COVARIATES_FILE, "file", written)
    return source.read([EXAMPLE_INPUT_FILE], covariates)


def explain_missing(covariates: Sequence[Covariate]) -> str:
    """Say which table the networks need."""
    titles = ", ".join(c.title for c in covariates)
    example = name_option("covariates", "TABLE.csv").replace("'", "").replace('"', "")
    return (
        f"{NO_COVARIATE}: these models are given {titles} beside the picture; give a table of "
        f"them ({example})"
    )


def _shorten(value: float) -> float:
    return float(f"{value:.6g}")


def hold_table(covariates: pd.DataFrame, folder: Path, sample_column: str) -> CovariateSource:
    """Write a table of covariates to a folder, so that it is read as one of a user.

    Parameters
    ----------
    covariates
        A row per file, with its name in ``sample_column``.
    folder
        Where it is kept.
    sample_column
        Title of the column with the files.
    """
    path = folder / HELD_TABLE
    covariates.to_csv(path, index=False, errors="backslashreplace")
    return CovariateSource(path, sample_column, PLAIN_TABLE)


def choose_source(
    table: Path | None,
    sample_column: str | None,
    written: TableFormat,
    record: PictureRecord,
) -> CovariateSource | None:
    """Return the table of covariates that models are given; None for models that take none.

    Parameters
    ----------
    table, sample_column, written
        What a user states: the table, its column of files, and how it is written.
    record
        Of the bundle.

    Raises
    ------
    ConfigError
        Models need a table and none is stated, or the other way round.
    """
    if table is None:
        if record.covariates:
            titles = ", ".join(covariate.title for covariate in record.covariates)
            raise ConfigError(
                f"--covariates: the models of study '{record.study}' are given {titles} beside the "
                "picture; name a table with a row for every file."
            )
        if sample_column is not None or written != TableFormat():
            raise ConfigError(
                "--sample-column and the format of a table are for --covariates; leave them out."
            )
        return None
    if not record.covariates:
        raise ConfigError(
            f"--covariates: the models of study '{record.study}' are given nothing beside the "
            "picture; leave it out."
        )
    return CovariateSource(table, sample_column, written)
