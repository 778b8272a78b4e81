"""What follows from the errors of capacities: proxies as good as networks, unknown porosities."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from batteryscope.core.baseline_catalogue import BASELINE_PREFIX, OF_CAPACITIES
from batteryscope.core.finding import Finding, Severity
from batteryscope.evaluation.metric_catalogue import SMALLEST_SPREAD, hardly_varies
from batteryscope.evaluation.number_pairs import compare_with_baselines
from batteryscope.evaluation.paired import find_left_out_ratio
from batteryscope.evaluation.regression_comparison import pick
from batteryscope.evaluation.regression_metrics import read_target

COMPUTED = "computed_labels"


def find_capacity_findings(
    comparison: pd.DataFrame,
    images: pd.DataFrame,
    curves: pd.DataFrame,
    intervals: pd.DataFrame,
    by_class: pd.DataFrame,
    protocols: Mapping[str, Mapping[str, str]],
    splits: Mapping[str, pd.DataFrame],
    main_arm: str,
    coverage: float,
    computed_from: str = "",
) -> list[Finding]:
    """Collect the findings, the gravest first.

    Parameters
    ----------
    comparison, images, curves, intervals, by_class
        Tables of the comparison, the last one with the coverage per class.
    protocols
        By arm: ``suffix`` of the baselines on the same split, its ``scheme`` and ``group``, and
        perhaps a ``label``.
    splits
        By arm: the roles of the samples that may be tested.
    main_arm
        Whose numbers are told first.
    coverage
        Wanted coverage of the intervals.
    computed_from
        The column from whose porosity the half-cell model computed the capacities, empty if they
        were measured.
    """
    computed = Finding(COMPUTED, "warning", {"column": computed_from})
    found = [computed] if computed_from else []
    zero = images.loc[(images["role"] == "test") & (images["y_true"] == 0), "target"]
    if len(zero):
        rates = [f"{read_target(str(target))[0]:g}C" for target in dict.fromkeys(zero)]
        found.append(Finding("no_percentage", "warning", {"rates": rates}))
    found += _judge_targets(images, main_arm)
    for arms in _group_arms(images, protocols):
        found += _judge_proxies(comparison, images, arms, protocols, splits[arms[0]])
    for arm, protocol in protocols.items():
        if protocol["scheme"] == "leave_one_out":
            found.append(_judge_unknown(comparison, arm, main_arm, _label(protocols, arm)))
        if protocol["group"] == "image" and protocols[main_arm]["group"] != "image":
            found.append(_judge_leak(comparison, arm, main_arm, _label(protocols, arm)))
    truth = "computed" if computed_from else "measured"
    found += _judge_trade_off(curves, [main_arm, *protocols], truth)
    found += _judge_constants(images, main_arm)
    found += _judge_coverage(intervals, by_class, main_arm, coverage)
    return sorted(found, key=lambda f: ("warning", "info", "good").index(str(f.severity)))


def _label(protocols: Mapping[str, Mapping[str, str]], arm: str) -> str:
    return protocols[arm].get("label", arm)


def say_porosity(name: str) -> str:
    """Return how a class is called: a number is a porosity in percent."""
    return f"{name} % porosity" if name.replace(".", "", 1).isdigit() else f"'{name}'"


def _group_arms(
    images: pd.DataFrame, protocols: Mapping[str, Mapping[str, str]]
) -> list[list[str]]:
    """Put arms together that predict the same outputs on the same split."""
    groups: dict[tuple[str, frozenset[str]], list[str]] = {}
    for arm, protocol in protocols.items():
        targets = frozenset(images.loc[images["arm"] == arm, "target"])
        groups.setdefault((protocol["suffix"], targets), []).append(arm)
    return list(groups.values())


def _judge_proxies(
    comparison: pd.DataFrame,
    images: pd.DataFrame,
    arms: Sequence[str],
    protocols: Mapping[str, Mapping[str, str]],
    split: pd.DataFrame,
) -> list[Finding]:
    """Compare arms of the same outputs and split with what needs no network."""
    suffix = protocols[arms[0]]["suffix"]
    targets = set(images.loc[images["arm"] == arms[0], "target"])
    rivals = {key: f"{BASELINE_PREFIX}{key}{suffix}" for key in OF_CAPACITIES}
    errors: dict[str, float] = {}
    said: dict[Severity, list[dict[str, Any]]] = {"warning": [], "info": [], "good": []}
    ratio = find_left_out_ratio(split)
    for arm in arms:
        found = compare_with_baselines(images, arm, rivals, targets, True, ratio)
        mine, sd = pick(comparison, arm)
        if found is None or not np.isfinite(mine):
            continue
        errors = dict(found.errors)
        own = {
            "mape": mine,
            "sd": sd if np.isfinite(sd) else None,
            "label": _label(protocols, arm),
            "hardest": OF_CAPACITIES[found.hardest].in_sentence,
        }
        said[found.severity].append({**own, **found.describe()})
    ranked = sorted(errors.items(), key=lambda item: item[1])
    baselines = [{"name": OF_CAPACITIES[k].in_sentence, "mape": error} for k, error in ranked]
    return [
        Finding("proxy", severity, {"networks": networks, "baselines": baselines})
        for severity, networks in said.items()
        if networks
    ]


def _judge_targets(images: pd.DataFrame, main_arm: str) -> list[Finding]:
    """Warn of capacities that belong to porosities, so that few images have others."""
    tested = images[(images["arm"] == main_arm) & (images["role"] == "test")]
    truth = tested.pivot_table(index="sample_id", columns="target", values="y_true")
    sets, porosities = len(truth.drop_duplicates()), int(tested["class"].nunique())
    if sets > porosities or len(truth) <= sets:
        return []
    facts = {"images": len(truth), "sets": sets, "porosities": porosities}
    return [Finding("few_targets", "warning", facts)]


def _judge_unknown(comparison: pd.DataFrame, arm: str, main_arm: str, label: str) -> Finding:
    new, _ = pick(comparison, arm)
    known, _ = pick(comparison, main_arm)
    by_domain = {
        str(d): pick(comparison, arm, domain=str(d))[0]
        for d in sorted(set(comparison.loc[comparison["arm"] == arm, "domain"]) - {""})
    }
    worst = max(by_domain, key=lambda d: by_domain[d]) if by_domain else ""
    facts = {
        "label": label,
        "new": new,
        "known": known,
        "worst": {"name": say_porosity(worst), "mape": by_domain[worst]} if worst else None,
    }
    return Finding("unknown_porosity", "warning", facts)


def _judge_leak(comparison: pd.DataFrame, arm: str, main_arm: str, label: str) -> Finding:
    by_image, by_electrode = pick(comparison, arm)[0], pick(comparison, main_arm)[0]
    facts = {"label": label, "by_image": by_image, "by_electrode": by_electrode}
    return Finding("leak", "warning", facts)


def _judge_trade_off(curves: pd.DataFrame, arms: Sequence[str], truth: str) -> list[Finding]:
    """Whether dense electrodes win per litre at the lowest rate and lose at the highest."""
    volume = curves[curves["unit"] == "Ah/L"]
    if volume.empty:
        return []
    said = {}
    first = volume["arm"].iloc[0]
    said[truth] = _turns(volume[volume["arm"] == first], "measured")
    if (volume["arm"] == "physics").any():
        said["simulated"] = _turns(volume[volume["arm"] == "physics"], "predicted")
    own = [arm for arm in dict.fromkeys(arms) if (volume["arm"] == arm).any()]
    if own:
        said["predicted"] = _turns(volume[volume["arm"] == own[0]], "predicted")
    facts = {"said": said, "low": volume["c_rate"].min(), "high": volume["c_rate"].max()}
    return [Finding("trade_off", "info", facts)]


def _turns(part: pd.DataFrame, column: str) -> bool:
    """Whether the class with the highest capacity at the lowest rate is the last at the highest."""
    low = part[part["c_rate"] == part["c_rate"].min()].set_index("class")[column]
    high = part[part["c_rate"] == part["c_rate"].max()].set_index("class")[column]
    differ = low.max() > 1.02 * low.min() and high.max() > 1.02 * high.min()
    return bool(differ and low.idxmax() == high.idxmin())


def _judge_constants(images: pd.DataFrame, main_arm: str) -> list[Finding]:
    mine = images[(images["arm"] == main_arm) & (images["role"] == "test")]
    flat = [
        f"{read_target(str(target))[0]:g}C"
        for target, part in mine.groupby("target", sort=False)
        if hardly_varies(part["y_true"])
    ]
    facts = {"rates": flat, "smallest": SMALLEST_SPREAD}
    return [Finding("constant", "info", facts)] if flat else []


def _judge_coverage(
    intervals: pd.DataFrame, by_class: pd.DataFrame, arm: str, coverage: float
) -> list[Finding]:
    mine = intervals[(intervals["arm"] == arm) & intervals["coverage_measured"].notna()]
    if mine.empty:
        return []
    low, high = mine["coverage_measured"].min(), mine["coverage_measured"].max()
    narrow = bool(low < coverage - 0.1)
    worst = None
    classes = by_class[(by_class["arm"] == arm) & by_class["coverage_measured"].notna()]
    if len(classes) > 1:
        least = classes.sort_values("coverage_measured", kind="stable").iloc[0]
        share = float(least["coverage_measured"])
        worst = {
            "name": say_porosity(str(least["class"])),
            "share": share,
            "n_groups": least["n_groups"],
            "low": bool(share < coverage - 0.1),
        }
    facts = {"wanted": coverage, "low": low, "high": high, "narrow": narrow, "worst": worst}
    severity: Severity = "warning" if narrow or (worst and worst["low"]) else "info"
    return [Finding("coverage", severity, facts)]


def list_protocols(arms: Mapping[str, Mapping[str, Any]], main_arm: str) -> dict[str, str]:
    """Return a suffix for the baselines of every split, empty for that of the main arm.

    Parameters
    ----------
    arms
        By arm: ``split`` (path), ``scheme``, ``group``.
    main_arm
        The arm whose split is the main one.

    Returns
    -------
    dict
        Path of the split file → suffix.
    """
    suffixes = {str(arms[main_arm]["split"]): ""}
    for arm in arms.values():
        path = str(arm["split"])
        if path in suffixes:
            continue
        name = "_unknown" if arm["scheme"] == "leave_one_out" else f"_by_{arm['group']}"
        taken = set(suffixes.values())
        suffixes[path] = name if name not in taken else f"{name}_{len(taken)}"
    return suffixes
