"""Whether covariates help a network, and whether the picture adds anything to them."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd

from batteryscope.config.covariates import COVARIATE_PREFIX
from batteryscope.config.predicted import group_quantities
from batteryscope.config.targets import Quantity
from batteryscope.core.finding import Finding, Severity
from batteryscope.evaluation.arm_pairs import SIGNIFICANT, compare_pairs_of_arms, find_better
from batteryscope.evaluation.number_pairs import compare_with_baselines
from batteryscope.evaluation.paired import compare_on_images, find_left_out_ratio
from batteryscope.evaluation.regression_metrics import find_quantity
from batteryscope.manifest.covariate_columns import list_covariate_columns

ALONE = "baseline_covariates"
Verdict = Literal["better", "worse", "chance"]


def name_covariates(manifest: pd.DataFrame) -> list[str]:
    """Return the names of the covariates that a sample table holds."""
    inputs = [c.removeprefix(COVARIATE_PREFIX) for c in list_covariate_columns(manifest)]
    return list(dict.fromkeys(name.partition("=")[0].replace("_", " ") for name in inputs))


def judge_class_covariates(
    pairs: Mapping[str, str | None],
    judged: pd.DataFrame,
    split: pd.DataFrame,
    names: Sequence[str],
    unit: str = "image",
) -> list[Finding]:
    """Compare every arm with covariates with the one without, and with covariates alone.

    Parameters
    ----------
    pairs
        Arm with covariates → the same without, or None
        (:func:`batteryscope.planning.covariate_pairs.list_covariate_pairs`).
    judged
        Test predictions of all arms and baselines at the level at which arms are judged.
    split
        ``sample_id, repeat, fold, role``.
    names
        Of the covariates.
    unit
        What a row of ``judged`` is.

    Returns
    -------
    list of Finding
        One for each arm. Severity: good if they help and the picture adds to them, warning if
        nothing shows that the picture does.
    """
    found = []
    present = set(judged["arm"])
    for arm, plain in pairs.items():
        if arm not in present:
            continue
        without = _compare_classes(judged, arm, plain, split) if plain in present else None
        alone = _compare_classes(judged, arm, ALONE, split) if ALONE in present else None
        facts = {"arm": arm, "names": list(names), "unit": unit, "without": without, "alone": alone}
        severity = _grade(without, alone)
        level = "plain" if severity == "info" else str(severity)
        found.append(Finding("covariates", severity, facts, {"level": level}))
    return found


def judge_number_covariates(
    pairs: Mapping[str, str | None],
    images: pd.DataFrame,
    quantities: Sequence[Quantity],
    protocols: Mapping[str, Mapping[str, str]],
    splits: Mapping[str, pd.DataFrame],
    names: Sequence[str],
) -> list[Finding]:
    """Do the same for numbers, by the mean absolute error of each quantity.

    Errors of the points of a curve are averaged over it.

    Parameters
    ----------
    images
        Rows of all arms and baselines, a sample and target each.
    quantities
        What is predicted.
    protocols
        By arm: ``suffix`` of the baselines on the same split, and a ``label``.
    splits
        By arm: the roles of its samples.
    """
    found = []
    for arm, plain in pairs.items():
        targets = list(dict.fromkeys(images.loc[images["arm"] == arm, "target"]))
        known = [find_quantity(str(target), quantities) for target in targets]
        for group in group_quantities(known):
            ratio = find_left_out_ratio(splits[arm])
            alone_arm = f"{ALONE}{protocols[arm]['suffix']}"
            without = _compare_numbers(images, group, arm, plain, ratio)
            alone = _compare_numbers(images, group, arm, alone_arm, ratio)
            said = protocols.get(str(plain), {}).get("label", plain)
            facts = {
                "arm": protocols[arm].get("label", arm),
                "names": list(names),
                "label": group[0].told_as,
                "error": "percentage error" if group[0].relative else "error",
                "unit": "%" if group[0].relative else group[0].unit,
                "without": None if without is None else {**without, "name": said},
                "alone": alone,
            }
            found.append(Finding("covariates", _grade(without, alone), facts))
    return found


def _grade(without: Mapping[str, Any] | None, alone: Mapping[str, Any] | None) -> Severity:
    if alone is not None and alone["verdict"] != "better":
        return "warning"
    return "good" if without is not None and without["verdict"] == "better" else "info"


def _compare_classes(
    judged: pd.DataFrame, arm: str, other: str | None, split: pd.DataFrame
) -> dict[str, Any] | None:
    """Difference in accuracy over the fits in points, and on the samples; arm minus other."""
    if other is None:
        return None
    pair: Mapping[Hashable, Any] = compare_pairs_of_arms(judged, [arm, other], split).to_dict(
        "records"
    )[0]
    own = compare_on_images(judged, arm, other)
    better = find_better(pair)
    if pair["n_fits"] < 2 and own.p_value < SIGNIFICANT:  # one fit has no interval
        better = arm if own.only_first_right > own.only_second_right else other
    verdict: Verdict = "chance" if better is None else ("better" if better == arm else "worse")
    interval = None if np.isnan(pair["low"]) else (100 * pair["low"], 100 * pair["high"])
    return {
        "name": other,
        "accuracy": own.accuracy_first,
        "other": own.accuracy_second,
        "n": own.n,
        "points": 100 * pair["difference"],
        "interval": interval,
        "p_value": own.p_value,
        "verdict": verdict,
    }


def _compare_numbers(
    images: pd.DataFrame,
    group: Sequence[Quantity],
    arm: str,
    other: str | None,
    left_out_per_train: float,
) -> dict[str, Any] | None:
    """Difference of the mean absolute errors on common units; arm minus other."""
    if other is None:
        return None
    names, relative = [quantity.name for quantity in group], group[0].relative
    found = compare_with_baselines(images, arm, {other: other}, names, relative, left_out_per_train)
    if found is None:
        return None
    pair = found.pairs[other]
    verdict: Verdict = "chance"
    if pair.high < 0 or pair.low > 0:
        verdict = "better" if pair.high < 0 else "worse"
    return {
        "name": other,
        "error": pair.mean_first,
        "other": pair.mean_second,
        "difference": pair.difference,
        "interval": pair.interval,
        "verdict": verdict,
    }
