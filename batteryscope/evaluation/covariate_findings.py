"""Whether covariates help a network, and whether the picture adds anything to them.

An arm is compared with the one without covariates and with the baseline of covariates alone, by
the rule of all studies (:mod:`batteryscope.evaluation.paired`): a difference counts if its test,
corrected for both, says so and its interval leaves out zero.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal

import pandas as pd

from batteryscope.config.covariates import COVARIATE_PREFIX
from batteryscope.config.predicted import group_quantities
from batteryscope.config.targets import Quantity
from batteryscope.core.finding import Finding, Severity
from batteryscope.evaluation.number_metrics import find_quantity
from batteryscope.evaluation.number_pairs import compare_with_baselines
from batteryscope.evaluation.paired import (
    Outcome,
    compare_on_images,
    compare_over_fits,
    find_left_out_ratio,
    judge_rivals,
)
from batteryscope.manifest.covariate_columns import list_covariate_columns

ALONE = "baseline_covariates"
Verdict = Literal["better", "worse", "chance"]
VERDICTS: Mapping[Outcome, Verdict] = {"beaten": "better", "better": "worse", "chance": "chance"}


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
        rivals = _list_rivals(plain, ALONE, present)
        pairs_of_arm = _compare_classes(judged, arm, rivals, split)
        without, alone = (pairs_of_arm.get(role) for role in ("without", "alone"))
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
            rivals = _list_rivals(plain, alone_arm, set(images["arm"]))
            pairs_of_group = _compare_numbers(images, group, arm, rivals, ratio)
            without, alone = (pairs_of_group.get(role) for role in ("without", "alone"))
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


def _list_rivals(plain: str | None, alone: str, present: Collection[str]) -> dict[str, str]:
    """Name the arms that there are to compare with, by their role."""
    named = {"without": plain, "alone": alone}
    return {role: arm for role, arm in named.items() if arm is not None and arm in present}


def _compare_classes(
    judged: pd.DataFrame, arm: str, rivals: Mapping[str, str], split: pd.DataFrame
) -> dict[str, dict[str, Any]]:
    """Difference in accuracy over the fits in points, and on the samples; arm minus each rival.

    McNemar's test on the samples cannot tell whether networks trained anew would agree, so the
    interval over the fits must leave out zero as well, where there are several.
    """
    ratio = find_left_out_ratio(split)
    on_samples = {role: compare_on_images(judged, arm, rival) for role, rival in rivals.items()}
    verdicts = judge_rivals(
        {role: own.difference for role, own in on_samples.items()},
        {role: own.p_value for role, own in on_samples.items()},
    )
    found = {}
    for role, own in on_samples.items():
        fits = compare_over_fits(judged, arm, rivals[role], ratio)
        outcome = verdicts[role].outcome
        if fits.n_fits > 1 and not (fits.low > 0 if outcome == "beaten" else fits.high < 0):
            outcome = "chance"
        found[role] = {
            "name": rivals[role],
            "accuracy": own.accuracy_first,
            "other": own.accuracy_second,
            "n": own.n,
            "points": 100 * fits.mean,
            "interval": (100 * fits.low, 100 * fits.high) if fits.n_fits > 1 else None,
            "p_holm": verdicts[role].p_holm,
            "comparisons": len(rivals),
            "verdict": VERDICTS[outcome],
        }
    return found


def _compare_numbers(
    images: pd.DataFrame,
    group: Sequence[Quantity],
    arm: str,
    rivals: Mapping[str, str],
    left_out_per_train: float,
) -> dict[str, dict[str, Any]]:
    """Difference of the mean absolute errors on common units; arm minus each rival."""
    names, relative = [quantity.name for quantity in group], group[0].relative
    found = compare_with_baselines(images, arm, rivals, names, relative, left_out_per_train)
    if found is None:
        return {}
    return {
        role: {
            "name": rivals[role],
            "error": pair.mean_first,
            "other": pair.mean_second,
            "difference": pair.difference,
            "interval": pair.interval,
            "p_holm": found.verdicts[role].p_holm if pair.interval else None,
            "comparisons": len(found.pairs),
            "verdict": VERDICTS[found.verdicts[role].outcome],
        }
        for role, pair in found.pairs.items()
    }
