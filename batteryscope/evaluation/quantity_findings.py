"""What follows from the errors of quantities: whether a network beats what needs none."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from batteryscope.config.targets import Quantity
from batteryscope.core.baseline_catalogue import BASELINE_PREFIX, OF_QUANTITIES
from batteryscope.core.finding import Finding
from batteryscope.evaluation.metric_catalogue import SMALLEST_SPREAD, hardly_varies
from batteryscope.evaluation.number_pairs import compare_with_baselines
from batteryscope.evaluation.paired import find_left_out_ratio
from batteryscope.evaluation.regression_comparison import pick
from batteryscope.evaluation.regression_metrics import find_quantity


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
        By arm: the roles of the samples that may be tested.
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

    The mean absolute errors are compared by :func:`compare_with_baselines`.
    """
    of_quantity = images[(images["target"] == quantity.name) & (images["role"] == "test")]
    mine = of_quantity[of_quantity["arm"] == arm]
    if mine.empty:
        return []
    if mine["y_true"].nunique() < 2:
        return [Finding("constant", "warning", {"label": quantity.label, "smallest": None})]
    left_out = []
    if hardly_varies(mine["y_true"]):
        facts = {"label": quantity.label, "smallest": SMALLEST_SPREAD}
        left_out = [Finding("constant", "info", facts)]
    rivals = {name: f"{BASELINE_PREFIX}{name}{protocol['suffix']}" for name in OF_QUANTITIES}
    ratio = find_left_out_ratio(split)
    found = compare_with_baselines(of_quantity, arm, rivals, [quantity.name], False, ratio)
    if found is None:
        return left_out
    errors = sorted((error, name) for name, error in found.errors.items())
    facts = {
        "label": quantity.label,
        "quantity_unit": quantity.unit,
        "arm": label,
        "error": found.error,
        "baselines": [{"name": OF_QUANTITIES[n].in_sentence, "error": e} for e, n in errors],
        "hardest": OF_QUANTITIES[found.hardest].in_sentence,
        **found.describe(),
    }
    return [Finding("baseline", found.severity, facts), *left_out]


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
