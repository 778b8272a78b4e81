"""Sets of classes of a published model: from the comparison into bundle.json, and into rows."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from batteryscope.bundle.record import RECORD_FILE, BundleRecord, PublishedSets, SetLimit
from batteryscope.bundle.vote import Verdict
from batteryscope.core.conformal import count_needed_rows
from batteryscope.errors import InputError
from batteryscope.evaluation.prediction_sets import SET_SEPARATOR, choose_classes

SET_FIELDS = ("prediction_set", "set_coverage")


def read_sets(path: Path, grades: Sequence[str] = ()) -> PublishedSets:
    """Read ``sets.csv`` of a comparison as a bundle holds it.

    Raises
    ------
    InputError
        The table is missing or is not what the comparison writes.
    """
    try:
        table = pd.read_csv(path, keep_default_na=False, na_values=[""])
        total = table[table["class"].isna()]
        limits = {str(row["level"]): _read_limit(row) for row in total.to_dict("records")}
        coverage = float(total["coverage_wanted"].iloc[0])
        values = {"coverage": coverage, "levels": limits, "grades": list(grades)}
        return PublishedSets.model_validate(values)
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise InputError(f"{path}: not readable ({error}); compare the arms again.") from None


def _read_limit(row: dict[Any, Any]) -> SetLimit:
    def know(name: str) -> float | None:
        value = float(row[name])
        return value if np.isfinite(value) else None

    return SetLimit(
        threshold=know("threshold"),
        n_groups=int(row["n_calibration"]),
        calibrated_on=row["calibrated_on"],
        coverage_measured=know("coverage_measured"),
        coverage_low=know("low"),
        coverage_high=know("high"),
        n_measured=int(row["n_groups"]),
        mean_size=know("mean_size"),
    )


def list_set_columns(record: BundleRecord) -> list[str]:
    """Return the columns of sets; none if the bundle has no sets."""
    return list(SET_FIELDS) if record.sets is not None and record.sets.is_usable else []


def describe_set(verdict: Verdict, record: BundleRecord, of_scan: bool = False) -> dict[str, Any]:
    """Return the columns that tell which classes are possible; the likeliest first.

    Parameters
    ----------
    verdict
        What the models say about an image, a slice or, ``of_scan``, all slices of a scan.
    record
        Of the bundle.
    """
    sets = record.sets
    limit = None if sets is None else sets.find_limit(of_scan)
    if sets is None or limit is None or limit.threshold is None:
        return {}
    order = [record.classes.index(name) for name in sets.grades]
    chosen = choose_classes(verdict.probabilities, limit.threshold, order)
    names = SET_SEPARATOR.join(record.classes[i] for i in chosen)
    return dict(zip(SET_FIELDS, (names, sets.coverage), strict=True))


def caution_of_sets(record: BundleRecord) -> str:
    """Say why a bundle gives no sets (of cells), or that they held too little; else ""."""
    if record.sets is None:
        return (
            "This model gives one class and no set of possible ones: it was published before there "
            "were any; publish it again for them."
        )
    if record.sets.is_usable:
        low = [limit for limit in record.sets.levels.values() if _is_low(limit, record.sets)]
        told = [_explain_cells_without(record.sets)]
        told += [] if not low else [
            f"Sets of possible classes were to hold the true class of "
            f"{100 * record.sets.coverage:g} %, but held it of only "
            f"{100 * min(limit.coverage_measured or 0 for limit in low):.0f} % in the test; "
            "expect as little of new images."
        ]  # fmt: skip
        return " ".join(filter(None, told))
    needed = count_needed_rows(record.sets.coverage)
    most = max(limit.n_groups for limit in record.sets.levels.values())
    return (
        f"This model gives one class and no set of possible ones: sets for "
        f"{100 * record.sets.coverage:g} % need {needed} independent units to calibrate, "
        f"its study had {most}."
    )


def _explain_cells_without(sets: PublishedSets) -> str:
    """Say why slices have a set of possible classes and cells have none; "" if that is not so."""
    if "slice" not in sets.levels:
        return ""
    limit = sets.find_limit(of_scan=True)
    if limit is not None and limit.threshold is not None:
        return ""
    why = "tested cells also gave slices to the training" if limit is None else (
        f"sets for {100 * sets.coverage:g} % need {count_needed_rows(sets.coverage)} independent "
        f"cells to calibrate, the study had {limit.n_groups}"
    )  # fmt: skip
    return f"Slices have a set of possible classes, cells have none: {why}."


def _is_low(limit: SetLimit, sets: PublishedSets) -> bool:
    return limit.coverage_high is not None and limit.coverage_high < sets.coverage


def check_sets(folder: Path, record: BundleRecord) -> None:
    """Refuse sets whose order of grades is not one of the classes.

    Raises
    ------
    InputError
        Naming what does not fit.
    """
    grades = [] if record.sets is None else record.sets.grades
    if grades and sorted(grades) != sorted(record.classes):
        raise InputError(
            f"{folder / RECORD_FILE}: sets.grades names {', '.join(grades)}, but the classes are "
            f"{', '.join(record.classes)}. The bundle is damaged; publish or fetch it again."
        )
