"""What follows from the errors of predicted numbers: whether a network beats what needs none."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from batteryscope.config.predicted import Predicted, Quantity, group_quantities
from batteryscope.config.targets import C_RATE
from batteryscope.core.baseline_catalogue import BASELINE_PREFIX, OF_QUANTITIES
from batteryscope.core.finding import Finding, Severity
from batteryscope.evaluation.metric_catalogue import SMALLEST_SPREAD, hardly_varies, name_metric
from batteryscope.evaluation.number_comparison import pick
from batteryscope.evaluation.number_metrics import find_quantity
from batteryscope.evaluation.number_pairs import BaselineComparison, compare_with_baselines
from batteryscope.evaluation.paired import find_left_out_ratio

COMPUTED = "computed_labels"
TOO_FEW = 0.1  # by which the share inside of intervals is below the wanted one
PER_LITRE = "Ah/L"


@dataclass(frozen=True)
class Found:
    """What a comparison of arms that predict numbers has written down.

    Attributes
    ----------
    comparison, images, curves, intervals
        Its tables.
    by_class
        The coverage per class.
    quantities
        What is predicted; of a name that is not among them, the capacity.
    protocols
        By arm: ``suffix`` of the baselines on the same split, its ``scheme`` and ``group``, and
        perhaps a ``label``.
    splits
        By arm: the roles of the samples that may be tested.
    main_arm
        Whose numbers are told first.
    coverage
        Wanted coverage of the intervals.
    predicted
        What the settings say of that which is predicted.
    computed_from
        The column from whose porosity the half-cell model computed the numbers, empty if they
        were measured.
    """

    comparison: pd.DataFrame
    images: pd.DataFrame
    curves: pd.DataFrame
    intervals: pd.DataFrame
    by_class: pd.DataFrame
    quantities: Sequence[Quantity]
    protocols: Mapping[str, Mapping[str, str]]
    splits: Mapping[str, pd.DataFrame]
    main_arm: str
    coverage: float
    predicted: Predicted
    computed_from: str = ""

    def label(self, arm: str) -> str:
        """Return how an arm is called."""
        return self.protocols[arm].get("label", arm)

    def tested(self, arm: str) -> pd.DataFrame:
        """Return the judged samples of an arm."""
        return self.images[(self.images["arm"] == arm) & (self.images["role"] == "test")]

    def predicts(self, arm: str) -> list[Quantity]:
        """Return the quantities that were tested, in the order of the table."""
        names = dict.fromkeys(self.tested(arm)["target"])
        return [find_quantity(str(name), self.quantities) for name in names]

    def told_together(self, names: Collection[str]) -> list[list[Quantity]]:
        """Return the named quantities, those of a curve together."""
        groups: dict[str, list[Quantity]] = {}
        for name in dict.fromkeys(names):
            quantity = find_quantity(str(name), self.quantities)
            groups.setdefault(quantity.curve or quantity.name, []).append(quantity)
        return list(groups.values())


def find_number_findings(found: Found) -> list[Finding]:
    """Collect the findings, the gravest first.

    Points of a curve are judged together, every other quantity by itself.
    """
    main_arm = found.main_arm
    computed = Finding(COMPUTED, "warning", {"column": found.computed_from})
    told = [computed] if found.computed_from else []
    told += _tell_zeros(found)
    told += _judge_targets(found)
    told += _judge_curves(found)
    for arm in dict.fromkeys([main_arm, *found.protocols]):
        for quantity in found.predicts(arm):
            if not quantity.relative:
                told += _judge_quantity(found, quantity, arm)
    for arm, protocol in found.protocols.items():
        if protocol["scheme"] == "leave_one_out":
            told += _judge_unknown(found, arm)
        if protocol["group"] == "image" and found.protocols[main_arm]["group"] != "image":
            told.append(_judge_leak(found, arm))
    told += _judge_trade_off(found)
    told += _judge_constants(found)
    told += _judge_coverage(found)
    return sorted(told, key=lambda f: ("warning", "info", "good").index(str(f.severity)))


def _places(quantities: Sequence[Quantity]) -> list[str]:
    """Where on their axis points of a curve lie, each once."""
    return [place for place in dict.fromkeys(q.place for q in quantities) if place]


def _tell_zeros(found: Found) -> list[Finding]:
    """Say of which quantities no percentage can be counted, though they are judged by it."""
    tested = found.images[(found.images["role"] == "test") & (found.images["y_true"] == 0)]
    told = []
    for group in found.told_together(tested["target"]):
        if group[0].relative:
            facts = {"label": group[0].label, "places": _places(group)}
            told.append(Finding("no_percentage", "warning", facts))
    return told


def _group_arms(found: Found) -> Iterator[tuple[list[str], list[Quantity]]]:
    """Put arms together that predict the same points in percent on the same split."""
    groups: dict[tuple[str, frozenset[str]], tuple[list[str], list[Quantity]]] = {}
    for arm, protocol in found.protocols.items():
        for points in group_quantities(found.predicts(arm)):
            if points[0].relative:
                key = (protocol["suffix"], frozenset(q.name for q in points))
                groups.setdefault(key, ([], points))[0].append(arm)
    yield from groups.values()


def _judge_curves(found: Found) -> list[Finding]:
    """Compare arms of the same outputs and split with what needs no network."""
    told = []
    for arms, points in _group_arms(found):
        suffix = found.protocols[arms[0]]["suffix"]
        ratio = find_left_out_ratio(found.splits[arms[0]])
        rivals = {key: f"{BASELINE_PREFIX}{key}{suffix}" for key in OF_QUANTITIES}
        names = [quantity.name for quantity in points]
        errors: dict[str, float] = {}
        said: dict[Severity, list[dict[str, Any]]] = {"warning": [], "info": [], "good": []}
        for arm in arms:
            beside = compare_with_baselines(found.images, arm, rivals, names, True, ratio)
            if beside is None:
                continue
            sd = pick(found.comparison, arm)[1] if len(found.predicts(arm)) == len(names) else None
            errors = dict(beside.errors)
            own = {
                "mape": beside.error,
                "sd": sd if sd is not None and np.isfinite(sd) else None,
                "label": found.label(arm),
                "hardest": OF_QUANTITIES[beside.hardest].in_sentence,
            }
            said[beside.severity].append({**own, **_describe(found, beside)})
        ranked = sorted(errors.items(), key=lambda item: item[1])
        baselines = [{"name": OF_QUANTITIES[k].in_sentence, "mape": error} for k, error in ranked]
        told += [
            Finding("proxy", severity, {"networks": networks, "baselines": baselines})
            for severity, networks in said.items()
            if networks
        ]
    return told


def _describe(found: Found, beside: BaselineComparison) -> dict[str, Any]:
    """Return the difference to the hardest baseline; specimens are called as in the settings."""
    facts = beside.describe()
    is_specimen = facts["unit"] == "specimen"
    return facts | {"unit": found.predicted.specimen if is_specimen else facts["unit"]}


def _judge_quantity(found: Found, quantity: Quantity, arm: str) -> list[Finding]:
    """Find whether an arm predicts a quantity with a smaller error than all baselines."""
    images = found.images
    of_quantity = images[(images["target"] == quantity.name) & (images["role"] == "test")]
    truth = of_quantity.loc[of_quantity["arm"] == arm, "y_true"]
    label = " at ".join(filter(None, [quantity.label, quantity.place]))
    if truth.nunique() < 2:
        return [Finding("constant", "warning", {"label": label, "places": [], "smallest": None})]
    suffix = found.protocols[arm]["suffix"]
    rivals = {name: f"{BASELINE_PREFIX}{name}{suffix}" for name in OF_QUANTITIES}
    ratio = find_left_out_ratio(found.splits[arm])
    beside = compare_with_baselines(of_quantity, arm, rivals, [quantity.name], False, ratio)
    if beside is None:
        return []
    errors = sorted((error, name) for name, error in beside.errors.items())
    facts = {
        "label": label,
        "quantity_unit": quantity.unit,
        "arm": found.label(arm),
        "error": beside.error,
        "baselines": [{"name": OF_QUANTITIES[n].in_sentence, "error": e} for e, n in errors],
        "hardest": OF_QUANTITIES[beside.hardest].in_sentence,
        **_describe(found, beside),
    }
    return [Finding("baseline", beside.severity, facts)]


def _judge_targets(found: Found) -> list[Finding]:
    """Warn of numbers that belong to classes, so that few samples have others."""
    tested = found.tested(found.main_arm)
    truth = tested.pivot_table(index="sample_id", columns="target", values="y_true")
    sets, classes = len(truth.drop_duplicates()), int(tested["class"].nunique())
    if sets > classes or len(truth) <= sets:
        return []
    words = found.predicted.class_words
    facts = {
        "samples": len(truth),
        "sets": sets,
        "classes": classes,
        "noun": words.noun,
        "plural": words.plural,
        "specimen": found.predicted.specimen,
    }
    return [Finding("few_targets", "warning", facts)]


def _judge_unknown(found: Found, arm: str) -> list[Finding]:
    """Say how much larger errors are for a class that no network has seen."""
    own = {q.main_metric for q in found.predicts(arm)}
    metric = "mape" if own == {"mape"} else "r2"
    new, known = (pick(found.comparison, name, metric)[0] for name in (arm, found.main_arm))
    if not np.isfinite(new):
        return []
    domains = found.comparison.loc[found.comparison["arm"] == arm, "domain"]
    by_domain = {
        str(d): pick(found.comparison, arm, metric, domain=str(d))[0]
        for d in sorted(set(domains) - {""})
    }
    by_domain = {name: error for name, error in by_domain.items() if np.isfinite(error)}
    words = found.predicted.class_words
    worst = max(by_domain, key=by_domain.__getitem__, default="")
    facts = {
        "label": found.label(arm),
        "noun": words.noun,
        "plural": words.plural,
        "specimen": found.predicted.specimen,
        "metric": metric,
        "name": name_metric(metric),
        "new": new,
        "known": known,
        "worst": {"name": words.say(worst), "error": by_domain[worst]} if worst else None,
    }
    return [Finding("unknown_porosity", "warning", facts)]


def _judge_leak(found: Found, arm: str) -> Finding:
    own = {q.main_metric for q in found.predicts(arm)}
    metric = "mape" if own == {"mape"} else "r2"
    alike, apart = (pick(found.comparison, name, metric)[0] for name in (arm, found.main_arm))
    facts = {
        "label": found.label(arm),
        "specimen": found.predicted.specimen,
        "metric": metric,
        "name": name_metric(metric),
        "alike": alike,
        "apart": apart,
    }
    return Finding("leak", "warning", facts)


def _judge_trade_off(found: Found) -> list[Finding]:
    """Whether dense electrodes win per litre at the lowest rate and lose at the highest."""
    points = {q.axis for q in found.quantities if q.unit == PER_LITRE}
    volume = found.curves[found.curves["unit"] == PER_LITRE]
    if not found.predicted.compares_porosities or points != {C_RATE} or volume.empty:
        return []
    said = {}
    first = volume["arm"].iloc[0]
    truth = "computed" if found.computed_from else "measured"
    said[truth] = _turns(volume[volume["arm"] == first], "measured")
    if (volume["arm"] == "physics").any():
        said["simulated"] = _turns(volume[volume["arm"] == "physics"], "predicted")
    arms = dict.fromkeys([found.main_arm, *found.protocols])
    if own := [arm for arm in arms if (volume["arm"] == arm).any()]:
        said["predicted"] = _turns(volume[volume["arm"] == own[0]], "predicted")
    facts = {"said": said, "low": volume["c_rate"].min(), "high": volume["c_rate"].max()}
    return [Finding("trade_off", "info", facts)]


def _turns(part: pd.DataFrame, column: str) -> bool:
    """Whether the class with the highest capacity at the lowest rate is the last at the highest."""
    low = part[part["c_rate"] == part["c_rate"].min()].set_index("class")[column]
    high = part[part["c_rate"] == part["c_rate"].max()].set_index("class")[column]
    differ = low.max() > 1.02 * low.min() and high.max() > 1.02 * high.min()
    return bool(differ and low.idxmax() == high.idxmin())


def _judge_constants(found: Found) -> list[Finding]:
    """Say where the true values hardly vary, though they are not all the same."""
    flat, told = [], []
    for arm in dict.fromkeys([found.main_arm, *found.protocols]):
        for quantity in found.predicts(arm):
            truth = found.tested(arm).set_index("target").loc[[quantity.name], "y_true"]
            if hardly_varies(truth) and (quantity.relative or truth.max() > truth.min()):
                flat.append(quantity.name)
    for group in found.told_together(flat):
        facts = {"label": group[0].label, "places": _places(group), "smallest": SMALLEST_SPREAD}
        told.append(Finding("constant", "info", facts))
    return told


def _judge_coverage(found: Found) -> list[Finding]:
    """Say how many samples lie inside their intervals: along every curve, of every quantity."""
    arm, wanted, told = found.main_arm, found.coverage, []
    own = found.intervals[found.intervals["arm"] == arm].set_index("target", drop=False)
    for group in found.told_together(own["target"]):
        mine = own.loc[[quantity.name for quantity in group]]
        known = mine["coverage_measured"].dropna()
        low, high = (known.min(), known.max()) if len(known) else (None, None)
        narrow = bool(low is not None and low < wanted - TOO_FEW)
        is_all = len(group) == len(own)  # else classes are known of all quantities together only
        worst = _find_worst_class(found) if is_all and len(known) else None
        facts = {
            "label": group[0].label,
            "axis": group[0].axis,
            "n_groups": int(mine["n_groups"].min()),
            "wanted": wanted,
            "low": low,
            "high": high,
            "narrow": narrow,
            "worst": worst,
            "specimen": found.predicted.specimen,
            "plural": found.predicted.class_words.plural,
        }
        is_low = narrow or bool(worst and worst["low"])
        told.append(Finding("coverage", "warning" if is_low else "info", facts))
    return told


def _find_worst_class(found: Found) -> dict[str, Any] | None:
    """Return the class of which the fewest lie inside, all quantities together."""
    table = found.by_class[found.by_class["arm"] == found.main_arm]
    classes = table[table["coverage_measured"].notna()]
    if len(classes) < 2:
        return None
    least = classes.sort_values("coverage_measured", kind="stable").iloc[0]
    share = float(least["coverage_measured"])
    return {
        "name": found.predicted.class_words.say(str(least["class"])),
        "noun": found.predicted.class_words.noun,
        "share": share,
        "n_groups": least["n_groups"],
        "low": bool(share < found.coverage - TOO_FEW),
    }


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
