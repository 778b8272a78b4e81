"""What the numbers of a table study mean: what a reader must know beside them."""

from collections.abc import Hashable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from batteryscope.config.table_study import TableStudySettings
from batteryscope.core.baseline_catalogue import OF_ROWS, find_words
from batteryscope.core.conformal import count_needed_rows
from batteryscope.core.finding import Finding, Severity
from batteryscope.evaluation.predictions import is_baseline
from batteryscope.tables.ablations import find_break_even
from batteryscope.tables.compare import BASELINE, BEST_BASELINE
from batteryscope.tables.labels import name_arm, name_column, name_domain
from batteryscope.tables.scores import select_mape
from batteryscope.tables.table_predictions import find_family, select_main_study

FEW_TEST_ROWS = 10
BINOMIAL_SDS = 2.0
SINGLE_ANSWER_SHARE = 0.3
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


def find_table_findings(
    manifest: pd.DataFrame,
    split: pd.DataFrame,
    scores: pd.DataFrame,
    pairs: pd.DataFrame,
    ablations: pd.DataFrame,
    intervals: pd.DataFrame,
    predictions: pd.DataFrame,
    settings: TableStudySettings,
) -> list[Finding]:
    """Collect everything a reader must know beside the numbers.

    Parameters
    ----------
    manifest
        ``sample_id, domain``, features and targets.
    split
        ``sample_id, repeat, role``.
    scores
        Table of :func:`score_predictions` (test rows).
    pairs
        Table of :func:`compare_pairs`.
    ablations
        Table of :func:`summarise_ablations`.
    intervals
        Table of :func:`measure_intervals`.
    predictions
        Networks and baselines.
    settings
        The study.

    Returns
    -------
    list of Finding
        Kinds: ``baseline`` (a simple model against the
        network), ``transfer`` (whether it pays), ``pretrained`` (the network as it is),
        ``break_even``, ``constant_feature``, ``few_rows``, ``intervals``, ``one_answer``,
        ``no_percentage``;
        severities ``good``, ``info`` and ``warning``, warnings first.
    """
    findings = [
        *find_missing_percentages(pairs, settings),
        *judge_baselines(pairs, settings),
        *judge_transfer(pairs, settings),
        *judge_pretrained(scores, settings),
        *find_break_evens(pairs, ablations, settings),
        *find_constant_features(manifest, settings),
        *find_few_rows(manifest, split),
        *judge_intervals(intervals, settings),
        *find_single_answers(predictions, settings),
    ]
    # A stable sort, so that equal severities keep the order of the kinds.
    return sorted(findings, key=lambda f: ("warning", "good", "info").index(str(f.severity)))


def find_constant_features(
    manifest: pd.DataFrame, settings: TableStudySettings
) -> Iterator[Finding]:
    """Name features with a single value in a domain; they carry no information there."""
    domains = {str(d): rows for d, rows in manifest.groupby("domain")}
    for name, column in settings.dataset.features.items():
        constant = [d for d, rows in domains.items() if rows[name].min() == rows[name].max()]
        if not constant:
            continue
        moved = settings.dataset.source in constant and len(constant) < len(domains)
        facts = {
            "feature": name_column(name, column),
            "unit": column.unit,
            "domains": [
                {"name": name_domain(d), "value": domains[d][name].iloc[0]} for d in constant
            ],
            "moved": moved,
        }
        yield Finding("constant_feature", "warning" if moved else "info", facts)


def find_few_rows(manifest: pd.DataFrame, split: pd.DataFrame) -> Iterator[Finding]:
    """Name domains in which a repeat tests fewer than ten rows."""
    domains = manifest.set_index("sample_id")["domain"]
    test = split[split["role"] == "test"]
    counts = test.groupby([test["sample_id"].map(domains), test["repeat"]]).size()
    for domain, least in counts.groupby(level=0).min().items():
        if least < FEW_TEST_ROWS:
            facts = {"domain": name_domain(str(domain)), "least": least, "few": FEW_TEST_ROWS}
            yield Finding("few_rows", "warning", facts)


def find_single_answers(
    predictions: pd.DataFrame, settings: TableStudySettings
) -> Iterator[Finding]:
    """Name cases in which the main arm gives many test rows one and the same prediction.

    A network whose units are dead for some rows (ReLU) answers all of them alike.
    """
    main = select_main_study(predictions)
    tested = main[(main["role"] == "test") & (main["arm"] == settings.main_arm)]
    for (target, domain), rows in tested.groupby(["target", "domain"], sort=False):
        shares = [
            own["y_pred"].round(9).value_counts(normalize=True).iloc[0]
            for _, own in rows.groupby("repeat")
            if len(own) >= FEW_TEST_ROWS
        ]
        if shares and max(shares) >= SINGLE_ANSWER_SHARE:
            facts = {
                "arm": name_arm(settings.main_arm),
                "share": max(shares),
                "place": name_place(target, domain, settings),
                "repeats": rows["repeat"].nunique(),
                "is_process": find_family(settings.main_arm).source == "source_process",
            }
            yield Finding("one_answer", "warning", facts)


def judge_intervals(intervals: pd.DataFrame, settings: TableStudySettings) -> Iterator[Finding]:
    """Find where the main arm's intervals are impossible or cover clearly less than wanted.

    Asked are the main arm and, in the source domain, the source of its family. Clearly is more
    than two binomial standard deviations of the number of test rows.
    """
    arms = [settings.main_arm, find_family(settings.main_arm).source]
    for (arm, target, domain), rows in intervals[intervals["arm"].isin(arms)].groupby(
        ["arm", "target", "domain"], sort=False
    ):
        repeats, total = rows[rows["repeat"].notna()], rows[rows["repeat"].isna()].iloc[0]
        wanted = float(total["coverage_wanted"])
        infinite = repeats[~np.isfinite(repeats["relative_half_width"])]
        n, measured = int(total["n_test"]), float(total["coverage_measured"])
        facts = {
            "ours": name_in_sentence(str(arm)),
            "place": name_place(target, domain, settings),
            "wanted": wanted,
            "infinite": len(infinite),
            "repeats": len(repeats),
            "least": int(infinite["n_calibration"].min()) if len(infinite) else None,
            "needed": count_needed_rows(wanted),
            "measured": measured,
            "n": n,
        }
        if len(infinite) or measured < wanted - BINOMIAL_SDS * np.sqrt(wanted * (1 - wanted) / n):
            yield Finding("intervals", "warning", facts)
