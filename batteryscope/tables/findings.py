"""What the numbers of a table study mean: what a reader must know beside them."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from batteryscope.config.table_study import TableStudySettings
from batteryscope.core.conformal import count_needed_rows
from batteryscope.core.finding import Finding
from batteryscope.tables.labels import name_arm, name_column, name_domain
from batteryscope.tables.table_predictions import find_family, select_main_study
from batteryscope.tables.verdicts import (
    find_break_evens,
    find_missing_percentages,
    judge_baselines,
    judge_pretrained,
    judge_transfer,
    name_in_sentence,
    name_place,
)

FEW_TEST_ROWS = 10
BINOMIAL_SDS = 2.0
SINGLE_ANSWER_SHARE = 0.3


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
