"""The result of a study in one sentence, with its number, its n and its interval."""

from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from batteryscope.evaluation.metrics import find_wilson_interval
from batteryscope.report.evidence import StudyEvidence
from batteryscope.report.tables import (
    LEVEL_NAMES,
    find_headline_level,
    format_percent,
    select_rows,
)


@dataclass(frozen=True)
class Headline:
    """The main number of a classification study and what it is made of.

    ``accuracy`` counts every test image once and ``low`` to ``high`` is its 95 % Wilson
    interval; ``mean`` and ``sd`` are over folds and repeats. They, ``chance`` and the best
    baseline's accuracy are shares between 0 and 1; ``groups`` counts independent groups of
    test samples (0 if unknown).
    """

    sentence: str
    arm: str
    level: str
    accuracy: float
    mean: float
    sd: float | None
    n: int
    low: float
    high: float
    classes: int
    chance: float | None
    groups: int
    baseline: str
    baseline_accuracy: float | None

    def as_numbers(self) -> dict[str, Any]:
        """Return everything but the sentence, for ``summary.json``."""
        numbers = asdict(self)
        del numbers["sentence"]
        return numbers


def find_headline(evidence: StudyEvidence) -> Headline | None:
    """Make the headline from the comparison, or None if the main arm has no accuracy there."""
    arm = evidence.main_arm
    level = find_headline_level(evidence.comparison, arm)
    if level is None:
        return None
    rows = select_rows(evidence.comparison, level, "", "accuracy")
    own = rows[rows["arm"] == arm]
    if own.empty or pd.isna(own.iloc[0]["mean"]) or int(own.iloc[0]["n"]) < 1:
        return None
    mean, n = float(own.iloc[0]["mean"]), int(own.iloc[0]["n"])
    accuracy = mean
    sd = None if pd.isna(own.iloc[0]["sd"]) else float(own.iloc[0]["sd"])
    pooled = _find_pooled(evidence.comparison, level, arm)
    if pooled is not None:
        accuracy = pooled
    low, high = find_wilson_interval(accuracy, n)
    classes = count_classes(evidence)
    baselines = rows[rows["arm"].str.startswith("baseline")].dropna(subset="mean").copy()
    pooled_means = [_find_pooled(evidence.comparison, level, name) for name in baselines["arm"]]
    baselines["mean"] = [
        mean if once is None else once
        for mean, once in zip(baselines["mean"], pooled_means, strict=True)
    ]
    best = baselines.sort_values(["mean", "arm"], ascending=[False, True]).head(1)
    baseline = best.iloc[0]["arm"] if len(best) else ""
    baseline_accuracy = float(best.iloc[0]["mean"]) if len(best) else None
    unit = f"{LEVEL_NAMES[level]}s"
    of_classes = f"the right one of {classes} classes" if classes else "the right class"
    sentence = (
        f"{format_percent(accuracy)} of {n} test {unit} were put into {of_classes} "
        f"(95 % interval {100 * low:.1f} to {100 * high:.1f} %)"
    )
    if baseline_accuracy is not None:
        sentence += (
            f"; the best baseline, {evidence.label_of(baseline)}, "
            f"reached {format_percent(baseline_accuracy)}"
        )
    return Headline(
        sentence=sentence + ".",
        arm=arm,
        level=level,
        accuracy=accuracy,
        mean=mean,
        sd=sd,
        n=n,
        low=low,
        high=high,
        classes=classes,
        chance=1 / classes if classes else None,
        groups=_count_test_groups(evidence),
        baseline=baseline,
        baseline_accuracy=baseline_accuracy,
    )


def count_classes(evidence: StudyEvidence) -> int:
    """Count the classes of the study by the first piece that tells; 0 if none does."""
    if evidence.manifest is not None and "class" in evidence.manifest:
        return int(evidence.manifest["class"].nunique())
    if evidence.per_class is not None:
        return int(evidence.per_class["class"].nunique())
    if evidence.confusion is not None:
        return len(set(evidence.confusion["y_true"]) | set(evidence.confusion["y_pred"]))
    return 0


def _find_pooled(comparison: pd.DataFrame, level: str, arm: str) -> float | None:
    rows = select_rows(comparison, level, "", "pooled_accuracy")
    values = rows.loc[rows["arm"] == arm, "mean"].dropna()
    return float(values.iloc[0]) if len(values) else None


def _count_test_groups(evidence: StudyEvidence) -> int:
    if evidence.split is None:
        return 0
    return int(evidence.split.loc[evidence.split["role"] == "test", "group_id"].nunique())
