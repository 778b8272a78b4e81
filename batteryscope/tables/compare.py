"""Which arm is better, on the same test rows of every repeat."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from batteryscope.evaluation.predictions import is_baseline
from batteryscope.tables.scores import select_mape
from batteryscope.tables.table_predictions import SOURCE_ARM, order_table_arms

PAIR_COLUMNS = [
    "target", "domain", "first", "second", "role_of_second", "metric", "first_mean",
    "second_mean", "mean", "sd", "low", "high", "n",
]  # fmt: skip
CONFIDENCE = 0.95


def find_interval(
    differences: ArrayLike, test_per_train: float = 0.0
) -> tuple[float, float, float, float]:
    """Return mean, sd (ddof 1) and the 95 % interval of the mean difference.

    Parameters
    ----------
    differences
        (n_repeats,) differences of two arms, one per repeat.
    test_per_train
        Test rows per training row. Training parts of repeated splits overlap, which makes
        the plain variance of the mean too small; Nadeau and Bengio (2003) add this ratio
        to 1/n. 0 gives the plain Student interval.

    Returns
    -------
    tuple of float
        ``mean, sd, low, high``; the last three are NaN with fewer than two repeats.
    """
    from scipy.special import stdtrit

    values = np.asarray(differences, dtype=np.float64)
    n, mean = len(values), float(values.mean())
    if n < 2:
        return mean, float("nan"), float("nan"), float("nan")
    sd = float(values.std(ddof=1))
    half = float(stdtrit(n - 1, (1 + CONFIDENCE) / 2)) * sd * float(np.sqrt(1 / n + test_per_train))
    return mean, sd, mean - half, mean + half


def find_best_baseline(scores: pd.DataFrame, target: str, domain: str) -> str | None:
    """Name the baseline with the lowest mean MAPE on the test rows; None without baselines.

    The choice looks at the same test rows that the comparison then uses, which favours the
    baseline a little; a network that beats it has beaten every baseline.
    """
    here = _select_place(scores, target, domain)
    means = here[here["arm"].map(is_baseline)].groupby("arm", sort=False)["score"].mean()
    return str(means.idxmin()) if len(means) else None


def find_network_arm(scores: pd.DataFrame, target: str, domain: str, main_arm: str) -> str | None:
    """Name the network that stands for a domain: the main arm, at home the source network."""
    arms = set(_select_place(scores, target, domain)["arm"])
    return next((arm for arm in (main_arm, SOURCE_ARM) if arm in arms), None)


def compare_pairs(
    scores: pd.DataFrame, main_arm: str, test_per_train: Mapping[str, float] | None = None
) -> pd.DataFrame:
    """Compare the main arm with the other networks and the best baseline, repeat by repeat.

    Parameters
    ----------
    scores
        Table of :func:`score_predictions` (test rows).
    main_arm
        The arm in question; in the source domain the arm ``source`` takes its place.
    test_per_train
        Test rows per training row of each domain, for :func:`find_interval`.

    Returns
    -------
    DataFrame
        ``target, domain, first, second, role_of_second`` (network | best_baseline),
        ``metric`` (mape), ``first_mean, second_mean, mean, sd, low, high`` (percentage
        points of MAPE, first minus second: negative where the first is better) and ``n``,
        the repeats that both arms have.
    """
    mape = select_mape(scores)
    rows = []
    for target, domain in dict.fromkeys(zip(mape["target"], mape["domain"], strict=True)):
        first = find_network_arm(mape, target, domain, main_arm)
        if first is None:
            continue
        here = _select_place(mape, target, domain)
        arms = [a for a in order_table_arms(here) if a != first and not is_baseline(a)]
        rivals = [(arm, "network") for arm in arms]
        if best := find_best_baseline(mape, target, domain):
            rivals.append((best, "best_baseline"))
        by_repeat = here.pivot_table(index="repeat", columns="arm", values="score")
        for second, role in rivals:
            both = by_repeat[[first, second]].dropna()
            if both.empty:
                continue
            ratio = (test_per_train or {}).get(domain, 0.0)
            interval = find_interval(both[first] - both[second], ratio)
            means = both[first].mean(), both[second].mean()
            rows.append([target, domain, first, second, role, "mape", *means, *interval, len(both)])
    return pd.DataFrame(rows, columns=PAIR_COLUMNS)


def count_test_per_train(split: pd.DataFrame, domains: "pd.Series[str]") -> dict[str, float]:
    """Return test rows per training row of each domain.

    Parameters
    ----------
    split
        ``sample_id, role`` over all repeats.
    domains
        Domain of each row, indexed by ``sample_id``.
    """
    counts = pd.crosstab(split["sample_id"].map(domains), split["role"])
    counts = counts.reindex(columns=["test", "train"], fill_value=0)
    return {str(d): float(c["test"] / max(c["train"], 1)) for d, c in counts.iterrows()}


def _select_place(scores: pd.DataFrame, target: str, domain: str) -> pd.DataFrame:
    here = select_mape(scores)
    return here[(here["target"] == target) & (here["domain"] == domain)]
