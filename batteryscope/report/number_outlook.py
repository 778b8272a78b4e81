"""What more training samples would bring to studies of numbers and of rows, in sentences."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from batteryscope.config.choose_curve import IMAGES_KEY, SPECIMENS_KEY
from batteryscope.evaluation.extrapolate import (
    SAME_KIND,
    describe_error_outlook,
    extrapolate_error,
    list_expected,
)
from batteryscope.evaluation.metric_catalogue import Metric
from batteryscope.report.sweep_measures import list_series, select_series

COUNTED = {IMAGES_KEY: "images", SPECIMENS_KEY: "specimens"}


def say_sweep_outlook(points: pd.DataFrame, measure: Metric, split: pd.DataFrame | None) -> str:
    """Continue a sweep over the number of training images or specimens; "" if it is another one.

    Parameters
    ----------
    points
        Rows of one sweep, as :func:`~batteryscope.report.sweep_measures.spread_values` gives them.
    measure
        By which they are judged: an error, or R², whose error is 1 − R².
    split
        Roles and groups of the main split, for the number of training images (specimens, by which
        it is divided) of the whole part.

    Returns
    -------
    str
        Empty, too, where the points cannot tell.
    """
    key, *others = points.iloc[0]["swept"]
    if key not in COUNTED or others or measure.name == "accuracy" or split is None:
        return ""
    n_fits = len(split[["repeat", "fold"]].drop_duplicates())
    if key == SPECIMENS_KEY:
        split = split.drop_duplicates(["repeat", "fold", "role", "group_id"])
    whole, tested = (int((split["role"] == role).sum()) / n_fits for role in ("train", "test"))
    line = select_series(points, *list_series(points)[0][:2])
    limits = [swept[key] for swept in line["swept"]]
    line = line[[limit is None or limit < whole for limit in limits]]
    n = [whole if swept[key] is None else swept[key] for swept in line["swept"]]
    means = line["mean"].to_numpy(np.float64)
    errors = 1 - means if measure.higher_is_better else means
    outlook = extrapolate_error(n, errors, line["sd"], line["fits"], tested / whole)
    if outlook is None:
        return ""
    if measure.higher_is_better:
        outlook = replace(
            outlook, expected=1 - outlook.expected, low=1 - outlook.high, high=1 - outlook.low
        )
    counted = COUNTED[key]
    told = describe_error_outlook(outlook, whole, measure.label, measure.format, counted)
    return f"“none” is the whole training part, {whole:.0f} {counted}. {told}"


def say_row_outlook(
    rows: pd.DataFrame, arm: str, test_fraction: float, names: Mapping[tuple[str, str], str]
) -> str:
    """Continue the errors over the number of training rows, target by target and domain by domain.

    Parameters
    ----------
    rows
        ``value, arm, target, domain, mape, sd, n``: errors in percent, of ``n`` repeats.
    arm
        Whose errors.
    test_fraction
        Share of the rows that is tested in each repeat.
    names
        What a page calls a target and domain.

    Returns
    -------
    str
        Empty where no points can tell.
    """
    parts = []
    for (target, domain), points in rows[rows["arm"] == arm].groupby(
        ["target", "domain"], sort=False
    ):
        ratio = test_fraction / (1 - test_fraction)
        found = extrapolate_error(points["value"], points["mape"], points["sd"], points["n"], ratio)
        if found is None or not found.is_told:
            continue
        told = list_expected(found, "{:.1f}".format, " %")
        now = points.sort_values("value")["mape"].iloc[-1]
        parts.append(
            f"{names[str(target), str(domain)]} {' and '.join(told)} rows ({now:.1f} % today)"
        )
    if not parts:
        return ""
    return (
        "How many more rows? Errors that an inverse power law through the points expects: "
        f"{'; '.join(parts)}. {SAME_KIND.format(samples='rows')}"
    )
