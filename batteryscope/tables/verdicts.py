"""Whether simple models beat the main arm and whether transfer pays."""

from collections.abc import Hashable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from batteryscope.config.table_study import TableStudySettings
from batteryscope.core.baseline_catalogue import OF_ROWS, find_words
from batteryscope.core.finding import Finding, Severity
from batteryscope.evaluation.predictions import is_baseline
from batteryscope.tables.ablations import find_break_even
from batteryscope.tables.compare import BASELINE, BEST_BASELINE
from batteryscope.tables.labels import name_column, name_domain
from batteryscope.tables.scores import select_mape
from batteryscope.tables.table_predictions import find_family

FAILS_TIMES = 2.0
NAMES_IN_SENTENCES = {
    "source": "the source network",
    "pretrained": "the source network as it is",
    "adapter": "the adapter network",
    "scratch": "the network trained from scratch",
    "fine_tuning": "the fine-tuned network",
    "source_process": "the source Gaussian process",
    "pretrained_process": "the source Gaussian process as it is",
    "transfer_process": "the Gaussian process with transfer",
}


def judge_baselines(pairs: pd.DataFrame, settings: TableStudySettings) -> Iterator[Finding]:
    """Find where simple models beat the main arm, and by how much.

    Good if the main arm beats every baseline; else what the hardest of them reaches: a warning if
    its error is not higher ("beats" if chance does not explain that).
    """
    rivals = pairs[pairs["second"].map(is_baseline)]
    for (target, domain), here in rivals.groupby(["target", "domain"], sort=False):
        pair = _find_hardest(here)
        severity: Severity = "warning"
        if pair["mean"] < 0:
            severity = "good" if (here["outcome"] == "beaten").all() else "info"
        facts = {
            "is_certain": pair["outcome"] == "better",
            "place": name_place(target, domain, settings),
            "ours": name_in_sentence(pair["first"]),
            "error": pair["first_mean"],
            "measure": _name_measure(pair["metric"], target, settings),
            "rival": _describe_rival(pair),
            "difference": pair["mean"],
        }
        yield Finding("baseline", severity, facts)


def _find_hardest(pairs: pd.DataFrame) -> dict[Hashable, Any]:
    """Return the pair of the hardest baseline: one that is not beaten, then the lowest error."""
    is_beaten = pairs["outcome"] == "beaten"
    order = pairs.assign(is_beaten=is_beaten).sort_values(["is_beaten", "second_mean", "second"])
    return order.to_dict("records")[0]


def judge_transfer(pairs: pd.DataFrame, settings: TableStudySettings) -> Iterator[Finding]:
    """Find whether the main arm is better than what the target rows alone give.

    Rivals are the network from scratch and the baselines. Transfer does not pay where one of them
    has a mean error that is not higher; told are the network from scratch and the best baseline.
    """
    alone = (pairs["second"] == "scratch") | pairs["second"].map(is_baseline)
    ours = pairs[alone & (pairs["first"] == settings.main_arm) & (pairs["first"] != "scratch")]
    for (target, domain), every in ours.groupby(["target", "domain"], sort=False):
        rivals = every[every["role_of_second"] != BASELINE]
        better = rivals[rivals["mean"] >= 0]
        told = better if len(better) else rivals
        severity: Severity = "info"
        if len(better):
            severity = "warning"
        elif (every["outcome"] == "beaten").all():
            severity = "good"
        facts = {
            "is_certain": bool((better["outcome"] == "better").any()),
            "place": name_place(target, domain, settings),
            "ours": name_in_sentence(settings.main_arm),
            "error": float(rivals["first_mean"].iloc[0]),
            "measure": _name_measure(rivals["metric"].iloc[0], target, settings),
            "rivals": [_describe_rival(pair) for pair in told.to_dict("records")],
        }
        yield Finding("transfer", severity, facts)


def judge_pretrained(scores: pd.DataFrame, settings: TableStudySettings) -> Iterator[Finding]:
    """Find where what the source has taught fails without adaptation, or needs none.

    It fails where its mean MAPE is above that of the mean of the target's training rows
    or, without that baseline, above twice that of the main arm.
    """
    mape, family = select_mape(scores), find_family(settings.main_arm)
    means = mape.groupby(["target", "domain", "arm"])["score"].mean()
    for (target, domain), here in mape.groupby(["target", "domain"], sort=False):
        of = here.groupby("arm")["score"].mean()
        if family.as_it_is not in of or domain == settings.dataset.source:
            continue
        as_is = of[family.as_it_is]
        guess, adapted = of.get("baseline_mean"), of.get(settings.main_arm)
        if guess is not None and as_is > guess:
            case = "worse than the mean"
        elif guess is None and adapted is not None and as_is > FAILS_TIMES * adapted:
            case = "worse than adapted"
        elif adapted is not None and settings.main_arm != family.as_it_is and as_is <= adapted:
            case = "needs none"
        else:
            continue
        facts = {
            "case": case,
            "place": name_place(target, domain, settings),
            "as_is": as_is,
            "at_home": means.get((target, settings.dataset.source, family.source)),
            "guess": guess,
            "adapted": adapted,
            "ours": name_in_sentence(settings.main_arm),
            "asked": name_in_sentence(family.source),
        }
        yield Finding("pretrained", "info" if case == "needs none" else "warning", facts)


def find_break_evens(
    pairs: pd.DataFrame, ablations: pd.DataFrame, settings: TableStudySettings
) -> Iterator[Finding]:
    """Find from how many target rows on scratch and the best baseline replace transfer."""
    arm = settings.main_arm
    alone = (pairs["second"] == "scratch") | (pairs["role_of_second"] == BEST_BASELINE)
    for pair in pairs[alone & (pairs["first"] == arm)].to_dict("records"):
        target, domain, rival = pair["target"], pair["domain"], pair["second"]
        rows, measured = find_break_even(ablations, arm, rival, target, domain)
        if len(measured) < 2:
            continue
        facts = {
            "place": name_place(target, domain, settings),
            "ours": name_in_sentence(arm),
            "other": name_in_sentence(rival),
            "rows": rows,
            "measured": measured,
        }
        yield Finding("break_even", "info", facts)


def name_in_sentence(arm: str) -> str:
    """Name an arm or a baseline with its article."""
    return NAMES_IN_SENTENCES.get(arm) or find_words(arm, OF_ROWS).in_sentence


def name_place(target: object, domain: object, settings: TableStudySettings) -> str:
    """Name a target of a domain in words."""
    column = settings.dataset.targets.get(str(target))
    return f"{name_column(str(target), column)} of {name_domain(str(domain))}"


def find_missing_percentages(
    pairs: pd.DataFrame, settings: TableStudySettings
) -> Iterator[Finding]:
    """Find the targets without MAPE, since a true value of them is 0."""
    absolute = pairs[pairs["metric"] == "mae"].drop_duplicates(["target", "domain"])
    for pair in absolute.to_dict("records"):
        facts = {"place": name_place(pair["target"], pair["domain"], settings)}
        yield Finding("no_percentage", "warning", facts)


def _name_measure(metric: str, target: object, settings: TableStudySettings) -> dict[str, str]:
    """Name the error that models are compared by, its unit, and that of differences."""
    if metric == "mape":
        return {"label": "MAPE", "unit": "%", "points": "percentage points"}
    unit = settings.dataset.targets[str(target)].unit
    return {"label": "MAE", "unit": unit, "points": unit}


def _describe_rival(pair: Mapping[Hashable, Any]) -> dict[str, Any]:
    """Return the name and error of the second of a pair, and what is known of the difference."""
    known = np.isfinite(pair["low"])
    return {
        "name": name_in_sentence(pair["second"]),
        "error": pair["second_mean"],
        "repeats": int(pair["n"]),
        "rows": int(pair["n_units"]),
        "p_holm": pair["p_holm"] if np.isfinite(pair["p_holm"]) else None,
        "comparisons": int(pair["comparisons"]),
        "interval": (float(pair["low"]), float(pair["high"])) if known else None,
    }
