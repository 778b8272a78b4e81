"""Capacities of electrodes from elsewhere: errors of a bundle, and what its intervals hold.

The bundle answers with the average of its networks. Only electrodes that none of them has seen
can tell how good the average and its intervals are.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from batteryscope.config.predicted import Quantity
from batteryscope.errors import InputError
from batteryscope.evaluation.flat_metrics import flatten_score
from batteryscope.evaluation.metrics import find_wilson_interval
from batteryscope.evaluation.number_metrics import (
    find_quantity,
    have_one_error,
    measure_errors,
)
from batteryscope.evaluation.number_predictions import TRUE

METRIC_COLUMNS = [
    "arm", "target", "domain", "level", "metric", "value", "low", "high", "n", "n_specimens",
]  # fmt: skip


def gather_external(rows: pd.DataFrame, arms: Mapping[str, str]) -> pd.DataFrame:
    """Put the targets of predicted images below each other.

    Parameters
    ----------
    rows
        One row per image: ``sample_id, specimen_id, class``, ``y_true_<target>`` and the columns
        ``<target>``, ``<target>_low``, ``<target>_high``, ``<target>_fold_sd`` of a bundle.
    arms
        Arm of every target.

    Returns
    -------
    DataFrame
        ``arm, target, sample_id, specimen_id, class, y_true, y_pred, low, high, fold_sd``; the
        last three are NaN where the bundle does not give them.
    """
    parts = [
        rows[["sample_id", "specimen_id", "class"]].assign(
            arm=arm,
            target=target,
            y_true=rows[f"{TRUE}{target}"].astype(float),
            y_pred=rows[target].astype(float),
            low=rows[f"{target}_low"].astype(float),
            high=rows[f"{target}_high"].astype(float),
            fold_sd=rows[f"{target}_fold_sd"].astype(float),
        )
        for target, arm in arms.items()
    ]
    return pd.concat(parts, ignore_index=True)


def score_external_numbers(
    images: pd.DataFrame, quantities: Sequence[Quantity] = ()
) -> pd.DataFrame:
    """Score the rows of :func:`gather_external`; without ``quantities``, capacities.

    Returns
    -------
    DataFrame
        :data:`METRIC_COLUMNS`. ``mape`` (percent), ``mae``, ``r2`` per image, overall, per
        target and per class (``domain``), and overall per electrode (level ``specimen``, mean over
        its images). Per target also ``coverage`` (share of images inside their interval),
        ``interval_width`` (high − low, mean, unit of the target) and ``fold_sd`` (between the
        networks, mean, percent of the prediction); overall ``coverage``. ``low`` and ``high`` are
        a 95 % interval of the coverage that counts every electrode once, because
        the images of an electrode are right or wrong together. ``n`` counts images. Different
        quantities have no error in common, only the coverage.

    Raises
    ------
    InputError
        There is nothing to score.
    """
    if images.empty:
        raise InputError(
            "No image of the external data set has both a prediction and a capacity; the "
            "table of predictions gives the reasons."
        )
    keys = ["arm", "target", "specimen_id"]
    electrodes = images.groupby(keys, sort=False)[["y_true", "y_pred"]].mean().reset_index()
    rows: list[dict[str, object]] = []
    for arm, mine in images.groupby("arm", sort=False):
        place: dict[str, object] = {"arm": arm, "target": "", "domain": "", "level": "image"}
        known = {t: find_quantity(str(t), quantities) for t in mine["target"].unique()}
        first = next(iter(known.values()))
        alike = have_one_error(known.values())
        by_specimen = electrodes[electrodes["arm"] == arm]
        if alike:
            rows += _list_errors(mine, place, first)
            rows += _list_errors(by_specimen, {**place, "level": "specimen"}, first)
        rows += _list_coverage(mine, place)
        for target, part in mine.groupby("target", sort=False):
            of_target = {**place, "target": target}
            rows += _list_errors(part, of_target, known[target])
            if not alike:
                own = by_specimen[by_specimen["target"] == target]
                rows += _list_errors(own, {**of_target, "level": "specimen"}, known[target])
            rows += _list_coverage(part, of_target)
            counts = _count(part)
            widths = (part["high"] - part["low"]).mean()
            spread = 100 * (part["fold_sd"] / part["y_pred"].abs()).mean()
            for metric, value in (("interval_width", widths), ("fold_sd", spread)):
                if np.isfinite(value):
                    rows.append({**of_target, "metric": metric, "value": value, **counts})
        for name, part in mine.groupby("class") if alike else ():
            rows += _list_errors(part, {**place, "domain": str(name)}, first)
    return pd.DataFrame(rows).reindex(columns=METRIC_COLUMNS)


def flatten_external(scores: pd.DataFrame) -> dict[str, float | int]:
    """Return ``<arm>.external.<level>[.<target>].<metric>`` → value, over all classes.

    ``n`` counts images (specimens), ``coverage_n`` the specimens that the ends of a coverage rest
    on.
    """
    flat: dict[str, float | int] = {}
    for row in scores[scores["domain"] == ""].to_dict("records"):
        metric, ends = row["metric"], (row["low"], row["high"])
        place = ".".join([row["arm"], "external", *(row[c] for c in ("level", "target") if row[c])])
        if np.isfinite(row["low"]):
            flat |= flatten_score(place, metric, row["value"], ends)
            flat[f"{place}.{metric}_n"] = int(row["n_specimens"])
        else:
            flat |= flatten_score(place, metric, row["value"], ends, row["n"])
    return dict(sorted(flat.items()))


def say_external_coverage(
    scores: pd.DataFrame,
    arm: str,
    wanted: float,
    quantities: Sequence[Quantity] = (),
    specimen: str = "specimen",
) -> str:
    """Say in words whether the intervals of an arm hold what they promise; "" without intervals.

    They are called too narrow or too wide only where ``wanted`` lies outside the 95 % interval
    of the measured coverage.
    """
    mine = scores[(scores["arm"] == arm) & (scores["metric"] == "coverage")]
    overall, by_target = mine[mine["target"] == ""], mine[mine["target"] != ""]
    if overall.empty:
        return ""
    share, low, high, n, electrodes = overall[["value", "low", "high", "n", "n_specimens"]].iloc[0]
    listed = ", ".join(
        f"{100 * value:.0f} % {_at(find_quantity(str(target), quantities))}"
        for target, value in zip(by_target["target"], by_target["value"], strict=True)
    )
    start = (
        f"Of what was predicted for {int(n)} images of {int(electrodes)} new {specimen}s, "
        f"{100 * share:.0f} % lie inside the intervals for {100 * wanted:.0f} % ({listed}). "
    )
    if low <= wanted <= high:
        return start + (
            f"That agrees with what was wanted, as far as so few {specimen}s can tell: the true "
            f"share is between {100 * low:.0f} and {100 * high:.0f} %."
        )
    if high < wanted:
        return start + "The intervals are too narrow: expect more surprises than they promise."
    return start + "The intervals are wider than they need to be."


def _at(quantity: Quantity) -> str:
    return f"at {quantity.place}" if quantity.place else f"of the {quantity.label}"


def describe_quantities(scores: pd.DataFrame, quantities: Sequence[Quantity]) -> list[str]:
    """Say in a line per quantity how large the errors are and what the intervals hold."""
    lines = []
    for quantity in quantities:
        mine = scores[(scores["target"] == quantity.name) & (scores["level"] == "image")]
        values = mine.set_index("metric")["value"]
        if "mae" not in values:
            continue
        n = int(mine.loc[mine["metric"] == "mae", "n"].iloc[0])
        line = f"{quantity.label}: mean error {values['mae']:.3g} {quantity.unit} of {n} images"
        line += f", R² {values['r2']:.2f}" if "r2" in values else ""
        if "coverage" in values:
            line += f"; {100 * values['coverage']:.0f} % lie inside their interval"
        lines.append(f"{line}.")
    return lines


def _list_errors(
    part: pd.DataFrame, place: dict[str, object], quantity: Quantity
) -> list[dict[str, object]]:
    errors = measure_errors(part["y_true"], part["y_pred"], quantity)
    counts = _count(part)
    return [
        {**place, "metric": metric, "value": value, **counts}
        for metric, value in errors.items()
        if np.isfinite(value) and not (metric == "r2" and place["domain"])
    ]


def _list_coverage(part: pd.DataFrame, place: dict[str, object]) -> list[dict[str, object]]:
    known = part[part["low"].notna() & part["high"].notna()]
    if known.empty:
        return []
    share = float(known["y_true"].between(known["low"], known["high"]).mean())
    counts = _count(known)
    low, high = find_wilson_interval(share, counts["n_specimens"])
    return [{**place, "metric": "coverage", "value": share, "low": low, "high": high, **counts}]


def _count(part: pd.DataFrame) -> dict[str, int]:
    specimens = int(part["specimen_id"].nunique())
    images = int(part["sample_id"].nunique()) if "sample_id" in part else specimens
    return {"n": images, "n_specimens": specimens}
