"""How sure the published classifiers are: sets of classes, and what a person should look at."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from batteryscope.core.finding import Finding
from batteryscope.errors import InputError
from batteryscope.evaluation.prediction_sets import (
    SET_COLUMNS,
    flatten_sets,
    judge_sets,
    measure_sets,
    vote_at_level,
)
from batteryscope.evaluation.risk_coverage import flatten_risk, tabulate_risk
from batteryscope.manifest.grades import list_grades


@dataclass(frozen=True)
class Confidence:
    """What is known of an arm's confidence.

    Attributes
    ----------
    sets
        :data:`~batteryscope.evaluation.prediction_sets.SET_COLUMNS`, level by level.
    risk
        Table of :func:`~batteryscope.evaluation.risk_coverage.tabulate_risk` at the level of
        independent units.
    metrics
        The main numbers by name.
    findings
        Sets that cannot be made, or hold less than they promise.
    """

    sets: pd.DataFrame
    risk: pd.DataFrame
    metrics: dict[str, float | int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)


def study_confidence(
    predictions: pd.DataFrame,
    judged: pd.DataFrame,
    levels: list[str],
    manifest: pd.DataFrame,
    split: pd.DataFrame,
    coverage: float,
    temperature: float,
) -> Confidence:
    """Measure sets of classes at each level, and the risk-coverage curve.

    Parameters
    ----------
    predictions
        Of one arm, validation and test tiles.
    judged
        Its test verdicts at the last of the levels.
    levels
        At which sets are made, the one of independent units last.
    manifest, split
        Sample table; division of the arm, whose groups count once each.
    coverage
        Wanted share of sets that hold the true class.
    temperature
        Of the published votes.
    """
    specimens = manifest.set_index("sample_id")["specimen_id"]
    own = split.drop_duplicates("sample_id").set_index("sample_id")["group_id"].astype(str)
    of_specimen = own.groupby(specimens.loc[own.index].to_numpy()).first()
    known = {**own.to_dict(), **of_specimen.to_dict()}
    groups = {str(sample): str(group) for sample, group in known.items()}
    grades = list_grades(manifest)
    tables = [
        measure_sets(
            vote_at_level(predictions, level, specimens), groups, coverage, temperature, grades
        ).assign(level=level)
        for level in levels
    ]
    measured = pd.concat(tables, ignore_index=True)
    sets = measured[SET_COLUMNS].copy()
    risk = tabulate_risk(judged, temperature)
    # Tables are rounded; a limit near 1 must not become 1, at which every class is possible.
    sets["threshold"] = sets["threshold"].astype(object)
    arm = str(judged["arm"].iloc[0])
    numbers = flatten_sets(measured, arm) | flatten_risk(risk, f"{arm}.{levels[-1]}")
    return Confidence(sets, risk, numbers, judge_sets(sets))


def read_temperature(path: Path) -> float:
    """Return the published temperature of ``calibration.json``.

    Raises
    ------
    InputError
        The file is missing or damaged.
    """
    try:
        return float(json.loads(path.read_text(encoding="utf-8"))["temperature"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not readable ({error}); evaluate the arms again.") from None
