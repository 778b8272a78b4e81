"""Predictions of a published model for a table of rows: a row per row."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from batteryscope.bundle.asker import find_path
from batteryscope.bundle.batch import Asked, Batch
from batteryscope.bundle.output import Judged, Summary
from batteryscope.bundle.record import TrainedCovariate
from batteryscope.bundle.unlike import describe_caution
from batteryscope.errors import InputError
from batteryscope.tables.bundle import TableBundle, answer_rows, load_table_bundle
from batteryscope.tables.bundle_card import name_better_baselines, tell_unguarded_domains
from batteryscope.tables.predict_query import predict_query, read_query


@dataclass(frozen=True)
class RowAsker:
    """A model of rows that is asked from Python.

    Attributes
    ----------
    bundle
        The model.
    """

    bundle: TableBundle

    @property
    def study(self) -> str:
        """The study that it comes from."""
        return str(self.bundle.record.study)

    @property
    def covariates(self) -> Sequence[TrainedCovariate]:
        """None: all that is given of a row is a feature."""
        return ()

    def answer(
        self, data: Any, answer_anyway: bool, slices: str, covariates: Any = None
    ) -> pd.DataFrame:
        """Answer about a table: a DataFrame in the units of the study, or a file."""
        if covariates is not None:
            raise InputError("covariates: rows have none; leave it out.")
        if slices:
            raise InputError("slices: rows have none; leave it out.")
        if isinstance(data, pd.DataFrame):
            return answer_rows(data, self.bundle, answer_anyway)
        if not isinstance(data, str | Path):
            kind = type(data).__name__
            raise InputError(f"{self.study} judges rows: give a DataFrame or a table, not {kind}.")
        query = read_query(find_path(data), self.bundle.record)
        known = self.bundle.familiarity
        found = predict_query(query, self.bundle.record, self.bundle.ensemble, known, answer_anyway)
        return found.astype(object).where(found.notna(), None)

    def answer_request(
        self, asked: pd.DataFrame, answer_anyway: bool = False, slices: str = ""
    ) -> pd.DataFrame:
        """Answer about rows in the units of the study."""
        return self.answer(asked, answer_anyway, slices)


def open_asker(folder: Path) -> RowAsker:
    """Open a model to be asked from Python."""
    return RowAsker(load_table_bundle(folder))


def open_batch(asked: Asked) -> Batch:
    """Open the model, read the rows and predict them all.

    Raises
    ------
    InputError, ConfigError
        The model or the table cannot be read, or nothing tells the domain of the rows.
    """
    assert asked.table is not None
    bundle = load_table_bundle(asked.bundle)
    record, known = bundle.record, bundle.familiarity
    query = read_query(asked.table, record, asked.domain, asked.written)
    answer = predict_query(query, record, bundle.ensemble, known, asked.answer_anyway)
    cautions = [
        *describe_caution(record.data, known is not None, "rows"),
        tell_unguarded_domains(record),
        *name_better_baselines(record),
    ]
    unusual = "outside the training ranges or impossible"
    if asked.answer_anyway:
        unusual = "outside the training ranges, impossible, or unlike the training rows"
    cells = answer.astype(object).where(answer.notna(), None)
    rows = ({str(k): v for k, v in row.items()} for row in cells.to_dict("records"))
    return Batch(
        judged=Judged(list(answer.columns), rows, len(answer)),
        summary=Summary(
            noun="row", known="row", place="line {row}", noted=(f"is {unusual}", f"are {unusual}")
        ),
        cautions=[line for line in cautions if line],
    )
