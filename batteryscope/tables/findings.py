"""What the numbers of a table study mean, in plain sentences for the report."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from batteryscope.config.table_study import TableStudySettings
from batteryscope.evaluation.conformal import count_needed_rows
from batteryscope.tables.labels import name_arm, name_column, name_domain
from batteryscope.tables.table_predictions import SOURCE_ARM, select_main_study
from batteryscope.tables.verdicts import (
    Finding,
    describe_break_even,
    judge_baselines,
    judge_pretrained,
    judge_transfer,
    name_in_sentence,
    name_place,
    tell,
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
    list of dict
        ``{kind, severity, text}``. Kinds: ``baseline`` (a simple model against the
        network), ``transfer`` (whether it pays), ``pretrained`` (the network as it is),
        ``break_even``, ``constant_feature``, ``few_rows``, ``intervals``, ``one_answer``;
        severities ``good``, ``info`` and ``warning``, warnings first.
    """
    findings = [
        *judge_baselines(pairs, settings),
        *judge_transfer(pairs, settings),
        *judge_pretrained(scores, settings),
        *describe_break_even(pairs, ablations, settings),
        *find_constant_features(manifest, settings),
        *find_few_rows(manifest, split),
        *judge_intervals(intervals, settings),
        *find_single_answers(predictions, settings),
    ]
    # A stable sort, so that equal severities keep the order of the kinds.
    return sorted(findings, key=lambda f: ("warning", "good", "info").index(f["severity"]))


def find_constant_features(
    manifest: pd.DataFrame, settings: TableStudySettings
) -> Iterator[Finding]:
    """Name features with a single value in a domain; they carry no information there."""
    domains = {str(d): rows for d, rows in manifest.groupby("domain")}
    for name, column in settings.dataset.features.items():
        constant = [d for d, rows in domains.items() if rows[name].min() == rows[name].max()]
        if not constant:
            continue
        unit = f" {column.unit}" if column.unit else ""
        told = ", ".join(f"{name_domain(d)} ({domains[d][name].iloc[0]:g}{unit})" for d in constant)
        moved = settings.dataset.source in constant and len(constant) < len(domains)
        consequence = (
            "the source network never saw it vary, so its weights for it are arbitrary, while it "
            "varies in other domains"
            if moved
            else "nothing can be learnt about it there"
        )
        yield tell(
            "constant_feature",
            "warning" if moved else "info",
            f"The feature {name_column(name, column)} holds a single value in {told}: "
            f"{consequence}.",
        )


def find_few_rows(manifest: pd.DataFrame, split: pd.DataFrame) -> Iterator[Finding]:
    """Name domains in which a repeat tests fewer than ten rows."""
    domains = manifest.set_index("sample_id")["domain"]
    test = split[split["role"] == "test"]
    counts = test.groupby([test["sample_id"].map(domains), test["repeat"]]).size()
    for domain, least in counts.groupby(level=0).min().items():
        if least < FEW_TEST_ROWS:
            yield tell(
                "few_rows",
                "warning",
                f"{name_domain(str(domain))} has only {least} test rows in a repeat (fewer than "
                f"{FEW_TEST_ROWS}): its errors depend on which rows these are; collect more rows "
                "or trust the spread over repeats more than the mean.",
            )


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
            yield tell(
                "one_answer",
                "warning",
                f"With {name_arm(settings.main_arm)}, {max(shares):.0%} of the test rows get one "
                f"and the same prediction for {name_place(target, domain, settings)} in one of the "
                f"{rows['repeat'].nunique()} repeats: that network got stuck. More rows, a larger "
                "network or more train.restarts may help.",
            )


def judge_intervals(intervals: pd.DataFrame, settings: TableStudySettings) -> Iterator[Finding]:
    """Say where the network's intervals are impossible or cover clearly less than wanted.

    The network is the main arm, in the source domain the arm ``source``. Clearly is more
    than two binomial standard deviations of the number of test rows.
    """
    network = intervals["arm"].isin([settings.main_arm, SOURCE_ARM])
    for (arm, target, domain), rows in intervals[network].groupby(
        ["arm", "target", "domain"], sort=False
    ):
        place, network_name = name_place(target, domain, settings), name_in_sentence(str(arm))
        repeats, total = rows[rows["repeat"].notna()], rows[rows["repeat"].isna()].iloc[0]
        wanted = float(total["coverage_wanted"])
        infinite = repeats[~np.isfinite(repeats["relative_half_width"])]
        if len(infinite):
            least = int(infinite["n_calibration"].min())
            yield tell(
                "intervals",
                "warning",
                f"The {wanted:.0%} intervals of {network_name} for {place} are infinite in "
                f"{len(infinite)} of {len(repeats)} repeats: {least} rows that other repeats have "
                f"tested are too few for this coverage, which needs {count_needed_rows(wanted)}. "
                "Raise split.repeats or split.test_fraction, lower evaluate.coverage, or "
                "collect more rows.",
            )
            continue
        n, measured = int(total["n_test"]), float(total["coverage_measured"])
        if measured < wanted - BINOMIAL_SDS * np.sqrt(wanted * (1 - wanted) / n):
            yield tell(
                "intervals",
                "warning",
                f"The {wanted:.0%} intervals of {network_name} for {place} are too narrow: "
                f"they hold {measured:.1%} of {n} test predictions.",
            )
