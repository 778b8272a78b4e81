"""Which arm is better, on the same test rows of every repeat."""

from collections.abc import Mapping

import pandas as pd

from batteryscope.evaluation.paired import (
    UnitComparison,
    average_over_units,
    compare_on_units,
    find_left_out_ratio,
    judge_rivals,
)
from batteryscope.evaluation.predictions import is_baseline
from batteryscope.tables.scores import find_zeros
from batteryscope.tables.table_predictions import (
    find_family,
    order_table_arms,
    select_main_study,
)

PAIR_COLUMNS = [
    "target", "domain", "first", "second", "role_of_second", "metric", "first_mean",
    "second_mean", "mean", "sd", "low", "high", "n", "n_units", "p_value", "comparisons",
    "p_holm", "outcome",
]  # fmt: skip
NETWORK, BASELINE, BEST_BASELINE = "network", "baseline", "best_baseline"


def find_network_arm(table: pd.DataFrame, main_arm: str) -> str | None:
    """Name the arm that stands for a domain: the main arm, at home the source of its family.

    ``table`` holds the rows of one target and domain.
    """
    arms = set(table["arm"])
    return next((arm for arm in (main_arm, find_family(main_arm).source) if arm in arms), None)


def compare_pairs(
    predictions: pd.DataFrame,
    main_arm: str,
    ratios: Mapping[str, float] | None = None,
    units: "pd.Series[str] | None" = None,
) -> pd.DataFrame:
    """Compare the main arm with the other networks and with every baseline.

    Parameters
    ----------
    predictions
        Networks and baselines; the test rows of the main study count.
    main_arm
        The arm in question; in the source domain the source of its family takes its place.
    ratios
        Of :func:`find_left_out_ratios`; 0 where a domain is not named.
    units
        Name of the independent unit of each row, by ``sample_id``: rows that the split keeps
        together (:func:`batteryscope.tables.split_rows.find_row_groups`). A row without one
        counts for itself.

    Returns
    -------
    DataFrame
        ``target, domain, first, second, role_of_second`` (``network | baseline | best_baseline``,
        the one with the lowest error), ``metric`` (mape, or mae of targets that are 0 somewhere),
        ``first_mean, second_mean, mean, sd, low, high`` (percentage points or unit, first minus
        second: negative where the first is better), ``n`` (repeats that both arms have),
        ``n_units`` (different ones), ``p_value``, and after Holm's correction for the
        ``comparisons`` with networks or with baselines ``p_holm`` and ``outcome``
        (``beaten | chance | better``: what happens to the second).
    """
    main, zeros = select_main_study(predictions), find_zeros(predictions)
    test = main[main["role"] == "test"]
    names = test["sample_id"] if units is None else test["sample_id"].map(units)
    test = test.assign(
        error=(test["y_pred"] - test["y_true"]).abs(), unit=names.fillna(test["sample_id"])
    )
    rows = []
    for target, domain in dict.fromkeys(zip(test["target"], test["domain"], strict=True)):
        here = test[(test["target"] == target) & (test["domain"] == domain)]
        first = find_network_arm(here, main_arm)
        if first is None:
            continue
        metric = "mae" if (target, domain) in zeros else "mape"
        if metric == "mape":
            here = here.assign(error=100 * here["error"] / here["y_true"].abs())
        errors = {str(arm): average_over_units(own) for arm, own in here.groupby("arm")}
        arms = [arm for arm in order_table_arms(here) if arm != first]
        ratio = (ratios or {}).get(domain, 0.0)
        for family in (
            [a for a in arms if not is_baseline(a)],
            [a for a in arms if is_baseline(a)],
        ):
            pairs = {
                arm: pair
                for arm in family
                if (pair := compare_on_units(errors[first], errors[arm], ratio))
            }
            for line in _list_pairs(pairs, metric):
                rows.append({"target": target, "domain": domain, "first": first, **line})
    return pd.DataFrame(rows, columns=PAIR_COLUMNS)


def _list_pairs(pairs: Mapping[str, UnitComparison], metric: str) -> list[dict[str, object]]:
    """List the comparisons of one arm with networks or with baselines."""
    verdicts = judge_rivals(
        {arm: -pair.difference for arm, pair in pairs.items()},
        {arm: pair.p_value for arm, pair in pairs.items()},
    )
    best = min(pairs, key=lambda arm: pairs[arm].mean_second, default="")
    lines: list[dict[str, object]] = []
    for arm, pair in pairs.items():
        role = NETWORK
        if is_baseline(arm):
            role = BEST_BASELINE if arm == best else BASELINE
        lines.append(
            {
                "second": arm,
                "role_of_second": role,
                "metric": metric,
                "first_mean": pair.mean_first,
                "second_mean": pair.mean_second,
                "mean": pair.difference,
                "sd": pair.sd,
                "low": pair.low,
                "high": pair.high,
                "n": pair.n_fits,
                "n_units": pair.n_units,
                "p_value": pair.p_value,
                "comparisons": len(pairs),
                "p_holm": verdicts[arm].p_holm,
                "outcome": verdicts[arm].outcome,
            }
        )
    return lines


def find_left_out_ratios(split: pd.DataFrame, domains: "pd.Series[str]") -> dict[str, float]:
    """Return what a fit leaves out in turn per training row (:func:`find_left_out_ratio`).

    Parameters
    ----------
    split
        ``sample_id, repeat, fold, role`` over all repeats.
    domains
        Domain of each row, indexed by ``sample_id``.
    """
    by_domain = split.groupby(split["sample_id"].map(domains))
    return {str(domain): find_left_out_ratio(rows) for domain, rows in by_domain}
