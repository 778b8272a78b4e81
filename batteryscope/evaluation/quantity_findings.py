"""What follows from the errors of quantities: whether a network beats what needs none."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from batteryscope.config.targets import Quantity
from batteryscope.core.finding import Finding, Severity
from batteryscope.evaluation.baseline_catalogue import OF_QUANTITIES
from batteryscope.evaluation.paired import FitComparison, compare_scores
from batteryscope.evaluation.regression_comparison import BASELINE_PREFIX, pick
from batteryscope.evaluation.regression_metrics import find_quantity
from batteryscope.evaluation.regression_predictions import FIT


def find_quantity_findings(
    comparison: pd.DataFrame,
    images: pd.DataFrame,
    intervals: pd.DataFrame,
    quantities: Sequence[Quantity],
    protocols: Mapping[str, Mapping[str, str]],
    splits: Mapping[str, pd.DataFrame],
    main_arm: str,
) -> list[Finding]:
    """Collect the findings, the gravest first.

    Parameters
    ----------
    comparison, images, intervals
        Tables of the comparison.
    quantities
        What is predicted.
    protocols
        By arm: ``suffix`` of the baselines on the same split, its ``scheme`` and ``group``, and a
        ``label``.
    splits
        By arm: the roles of its samples.
    main_arm
        Whose numbers are told first.
    """
    found: list[Finding] = []
    for arm in dict.fromkeys([main_arm, *protocols]):
        for target in dict.fromkeys(images.loc[images["arm"] == arm, "target"]):
            quantity = find_quantity(str(target), quantities)
            label = protocols[arm].get("label", arm)
            found += judge_quantity(images, quantity, arm, label, protocols[arm], splits[arm])
        if protocols[arm]["group"] == "image" and protocols[main_arm]["group"] != "image":
            found.append(_judge_leak(comparison, arm, main_arm, protocols[arm]))
    found += _judge_coverage(intervals, quantities, main_arm)
    return sorted(found, key=lambda f: ("warning", "info", "good").index(str(f.severity)))


def judge_quantity(
    images: pd.DataFrame,
    quantity: Quantity,
    arm: str,
    label: str,
    protocol: Mapping[str, str],
    split: pd.DataFrame,
) -> list[Finding]:
    """Find whether an arm predicts a quantity with a smaller error than all baselines.

    The mean absolute errors are compared fit by fit on the same test units (:func:`pair_errors`).
    The best baseline is chosen by the same test units, which favours it a little.
    """
    suffix = protocol["suffix"]
    units = average_units(images, quantity.name)
    mine = units[units["arm"] == arm]
    if mine.empty:
        return []
    if mine["y_true"].nunique() < 2:
        return [Finding("constant", "warning", {"label": quantity.label})]
    rivals = {
        name: units[units["arm"] == f"{BASELINE_PREFIX}{name}{suffix}"] for name in OF_QUANTITIES
    }
    errors = {n: float(_list_errors(rows).mean()) for n, rows in rivals.items() if len(rows)}
    if not errors:
        return []
    ranked = sorted(errors.items(), key=lambda item: item[1])
    pair = pair_errors(mine, rivals[ranked[0][0]], split)
    severity: Severity = "warning"
    if pair.mean < 0:
        severity = "good" if pair.high < 0 else "info"
    facts = {
        "label": quantity.label,
        "unit": quantity.unit,
        "arm": label,
        "error": float(_list_errors(mine).mean()),
        "baselines": [{"name": OF_QUANTITIES[n].in_sentence, "error": e} for n, e in ranked],
        "difference": pair.mean,
        "interval": (pair.low, pair.high) if np.isfinite(pair.low) else None,
    }
    return [Finding("baseline", severity, facts)]


def average_units(images: pd.DataFrame, target: str) -> pd.DataFrame:
    """Average the test rows of one target over the samples of each independent unit.

    Returns
    -------
    DataFrame
        ``arm, repeat, fold, unit, y_true, y_pred``; the unit is the specimen, or the sample
        where its specimen is not known.
    """
    test = images[(images["role"] == "test") & (images["target"] == target)]
    unit = test["specimen_id"].fillna(test["sample_id"])
    by_unit = test.assign(unit=unit).groupby(["arm", *FIT, "unit"], sort=True)
    return by_unit[["y_true", "y_pred"]].mean().reset_index()


def pair_errors(first: pd.DataFrame, second: pd.DataFrame, split: pd.DataFrame) -> FitComparison:
    """Compare the mean absolute errors of two arms on the units that both were tested on.

    With several fits over their differences, corrected for the overlap of the training parts
    (Nadeau and Bengio 2003); with a single fit over the differences of its units.

    Parameters
    ----------
    first, second
        Rows of :func:`average_units` of one arm each.
    split
        The roles of the split, for the sizes of its parts.
    """
    keys = [*FIT, "unit"]
    errors = [_list_errors(rows).set_axis(pd.MultiIndex.from_frame(rows[keys]))
              for rows in (first, second)]  # fmt: skip
    both = pd.concat(errors, axis=1, join="inner", keys=["first", "second"])
    fits = both.groupby(level=FIT).mean()
    if len(fits) < 2:
        return compare_scores(both["first"], both["second"])
    counts = split["role"].value_counts()
    return compare_scores(fits["first"], fits["second"], counts["test"] / counts["train"])


def _list_errors(rows: pd.DataFrame) -> "pd.Series[float]":
    return (rows["y_pred"] - rows["y_true"]).abs()


def _judge_leak(
    comparison: pd.DataFrame, arm: str, main_arm: str, protocol: Mapping[str, str]
) -> Finding:
    alike, apart = pick(comparison, arm, "r2")[0], pick(comparison, main_arm, "r2")[0]
    facts = {"label": protocol.get("label", arm), "alike": alike, "apart": apart}
    return Finding("leak", "warning", facts)


def _judge_coverage(
    intervals: pd.DataFrame, quantities: Sequence[Quantity], arm: str
) -> list[Finding]:
    found = []
    for row in intervals[intervals["arm"] == arm].to_dict("records"):
        quantity = find_quantity(str(row["target"]), quantities)
        share, wanted = float(row["coverage_measured"]), float(row["coverage_wanted"])
        narrow = share < wanted - 0.1  # never, where it is not known
        facts = {
            "label": quantity.label,
            "n_groups": row["n_groups"],
            "wanted": wanted,
            "share": share if np.isfinite(share) else None,
            "narrow": narrow,
        }
        found.append(Finding("coverage", "warning" if narrow else "info", facts))
    return found
