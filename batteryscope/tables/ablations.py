"""How the error depends on the number of rows, and from how many rows transfer stops paying."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from batteryscope.config.table_study import TableStudySettings
from batteryscope.tables.scores import score_predictions
from batteryscope.tables.table_predictions import MAIN_STUDY, order_table_arms

SUMMARY_COLUMNS = ["ablation", "value", "arm", "target", "domain", "mape", "sd", "n", "full"]


def find_full_values(
    manifest: pd.DataFrame, split: pd.DataFrame, settings: TableStudySettings
) -> dict[tuple[str, str], float]:
    """Return at which value of each ablation the main study stands, per domain.

    Parameters
    ----------
    manifest
        ``sample_id, domain``.
    split
        ``sample_id, repeat, role``.
    settings
        The study, for ``dataset.source`` and ``split.test_fraction``.

    Returns
    -------
    dict
        ``(ablation, domain)`` → value: training rows of the source domain
        (``source_rows``), of the domain itself (``target_rows``; mean over repeats, rounded),
        or the test fraction.
    """
    domains = manifest.set_index("sample_id")["domain"]
    train = split[split["role"] == "train"]
    counts = train.groupby([train["sample_id"].map(domains), train["repeat"]]).size()
    rows = {str(d): float(round(c.mean())) for d, c in counts.groupby(level=0)}
    values = {}
    for domain, own in rows.items():
        values["source_rows", domain] = rows.get(settings.dataset.source, own)
        values["test_fraction", domain] = settings.split.test_fraction
        if domain != settings.dataset.source:
            values["target_rows", domain] = own
    return values


def summarise_ablations(
    predictions: pd.DataFrame, full_values: Mapping[tuple[str, str], float] | None = None
) -> pd.DataFrame:
    """Average the MAPE of the test rows over repeats at every value of every ablation.

    Parameters
    ----------
    predictions
        Networks and baselines, main study and ablations.
    full_values
        Where the main study stands (:func:`find_full_values`). Arms that an ablation
        measured get the main study as one more point there (``full`` is True).

    Returns
    -------
    DataFrame
        ``ablation, value, arm, target, domain, mape`` (mean, percent), ``sd`` (ddof 1),
        ``n`` (repeats), ``full``; sorted by ablation, target, domain, arm, value.
    """
    scores = score_predictions(predictions)
    mape = scores[scores["metric"] == "mape"]
    ablated = mape[mape["ablation"] != MAIN_STUDY].assign(full=False)
    tables = [ablated]
    main = mape[mape["ablation"] == MAIN_STUDY]
    for _, points in ablated.groupby(["ablation", "arm", "target", "domain"], sort=False):
        ablation, arm, target, domain = (
            str(points[c].iloc[0]) for c in ("ablation", "arm", "target", "domain")
        )
        value = (full_values or {}).get((ablation, domain))
        if value is None or np.isclose(points["value"].to_numpy(np.float64), value).any():
            continue
        same = (main["arm"] == arm) & (main["target"] == target) & (main["domain"] == domain)
        tables.append(main[same].assign(ablation=ablation, value=value, full=True))
    points = pd.concat(tables, ignore_index=True)
    keys = ["ablation", "target", "domain", "arm", "value", "full"]
    grouped = points.groupby(keys, sort=True)["score"]
    summary = pd.DataFrame(
        {"mape": grouped.mean(), "sd": grouped.std(ddof=1), "n": grouped.size()}
    ).reset_index()
    place_of = {arm: i for i, arm in enumerate(order_table_arms(scores))}
    summary["_arm"] = summary["arm"].map(place_of)
    summary = summary.sort_values(["ablation", "target", "domain", "_arm", "value"])
    return summary[SUMMARY_COLUMNS].reset_index(drop=True)


def find_break_even(
    summary: pd.DataFrame, arm: str, rival: str, target: str, domain: str
) -> tuple[float | None, list[float]]:
    """Find the number of target rows from which a rival is at least as good as an arm.

    Parameters
    ----------
    summary
        Table of :func:`summarise_ablations`.
    arm, rival
        For example ``adapter`` and ``scratch``.
    target, domain
        Where.

    Returns
    -------
    rows : float or None
        Smallest measured number of training rows from which on, at every larger one as
        well, the rival's mean MAPE is not above the arm's; None if there is none.
    measured : list of float
        The numbers of rows at which both were measured, ascending.
    """
    here = summary[
        (summary["ablation"] == "target_rows")
        & (summary["target"] == target)
        & (summary["domain"] == domain)
        & summary["arm"].isin([arm, rival])
    ]
    both = here.pivot_table(index="value", columns="arm", values="mape").sort_index()
    if not {arm, rival} <= set(both.columns):
        return None, []
    both = both.dropna()
    measured = [float(v) for v in both.index]
    as_good = (both[rival] <= both[arm]).to_numpy()
    lasting = np.logical_and.accumulate(as_good[::-1])[::-1]
    found = [rows for rows, good in zip(measured, lasting, strict=True) if good]
    return (found[0] if found else None), measured
