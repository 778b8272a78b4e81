"""Sets of classes that hold the true one as often as wanted, and whether they do.

A class gets the probability of all classes that are more probable than it; the answer itself
gets 0. The set of an image holds the classes whose score is at most the conformal quantile of the
scores that the true classes of calibration images have (adaptive prediction sets: Romano, Sesia
and Candès 2020, without the lot and without the last class, so that the answer is always in its
set). Grades join the set from the answer outwards, the more probable neighbour first, so that a
set has no gap (Lu, Angelopoulos and Pomerantz 2022).

The probabilities are those that are published: votes at the published temperature. Calibration
images are test images, each judged by a network that has seen neither it nor its group. Every
group counts once, however many images it has. Where all fits test the same images, as a single
one does, the validation images calibrate, by which the epoch was chosen. How often sets hold the
true class is measured on test images, with the quantile of images of other groups that other fits
test.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from batteryscope.core.conformal import (
    count_needed_rows,
    find_conformal_quantile,
    find_cross_quantiles,
)
from batteryscope.core.finding import Finding
from batteryscope.evaluation.aggregate import aggregate_to_images, aggregate_to_specimens
from batteryscope.evaluation.calibration import apply_temperature
from batteryscope.evaluation.flat_metrics import DIGITS
from batteryscope.evaluation.metrics import find_wilson_interval, index_classes
from batteryscope.evaluation.paired import find_half_width
from batteryscope.evaluation.predictions import FIT, find_classes, get_probabilities

SET_SEPARATOR = " | "  # between the classes of a set, in tables
SET_COLUMNS = [
    "level", "class", "coverage_wanted", "coverage_measured", "low", "high", "n_groups", "n",
    "mean_size", "single_share", "empty_share", "threshold", "n_calibration", "calibrated_on",
]  # fmt: skip
# In memory only: ends of the 95 % interval (Student's) of the mean size, over groups.
SIZE_ENDS = ["size_low", "size_high"]


def score_classes(
    probabilities: NDArray[np.floating], order: Sequence[int] = ()
) -> NDArray[np.float64]:
    """Return for every class how much probability joins the set before it does.

    Parameters
    ----------
    probabilities
        (n, n_classes); rows add up to 1.
    order
        Numbers of the classes from the lowest grade to the highest; empty: they have no order.

    Returns
    -------
    (n, n_classes) array
        In [0, 1]; 0 for the most probable class, the first of equally probable ones.
    """
    p = np.asarray(probabilities, dtype=np.float64)
    places = _grow_outwards(p[:, list(order)]) if len(order) else np.argsort(-p, 1, kind="stable")
    joins = np.asarray(order)[places] if len(order) else places
    sorted_p = np.take_along_axis(p, joins, axis=1)
    before = np.cumsum(sorted_p, axis=1)[:, :-1]
    scores = np.zeros_like(p)
    np.put_along_axis(scores, joins[:, 1:], np.clip(before, 0, 1), axis=1)
    return scores


def _grow_outwards(p: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return in which order grades join: the most probable, then always the likelier neighbour."""
    n, n_grades = p.shape
    rows = np.arange(n)
    padded = np.pad(p, ((0, 0), (1, 1)), constant_values=-1.0)  # never likelier than a grade
    low = high = p.argmax(axis=1)
    joins = [low]
    for _ in range(n_grades - 1):
        goes_down = padded[rows, low] >= padded[rows, high + 2]
        low, high = np.where(goes_down, low - 1, low), np.where(goes_down, high, high + 1)
        joins.append(np.where(goes_down, low, high))
    return np.stack(joins, axis=1)


def choose_classes(
    probabilities: NDArray[np.floating], threshold: float, order: Sequence[int] = ()
) -> list[int]:
    """Return the numbers of the classes in the set of one image, in the order of joining.

    Parameters
    ----------
    probabilities
        (n_classes,) adding up to 1.
    threshold
        The conformal quantile.
    order
        As of :func:`score_classes`.
    """
    scores = score_classes(np.asarray(probabilities)[None], order)[0]
    inside = np.flatnonzero(scores <= threshold)
    return [int(i) for i in inside[np.argsort(scores[inside], kind="stable")]]


def vote_at_level(
    predictions: pd.DataFrame, level: str, specimens: "pd.Series[str]"
) -> pd.DataFrame:
    """Return validation and test verdicts of an arm per image, slice or specimen."""
    images = aggregate_to_images(predictions)
    return aggregate_to_specimens(images, specimens) if level == "specimen" else images


def measure_sets(
    units: pd.DataFrame,
    groups: Mapping[str, str],
    coverage: float,
    temperature: float = 1.0,
    grades: Sequence[str] = (),
) -> pd.DataFrame:
    """Find the threshold of sets at one level, and how often they hold the true class.

    Parameters
    ----------
    units
        Validation and test verdicts of one arm, as :func:`vote_at_level` returns them.
    groups
        Sample (specimen) → what was kept together in the division; without it it is its own.
    coverage
        Wanted share, in (0, 1).
    temperature
        Of the published votes.
    grades
        The classes in their order, if they have one.

    Returns
    -------
    DataFrame
        :data:`SET_COLUMNS` without ``level``, then :data:`SIZE_ENDS`; a row for all classes ("")
        and one per class.
        ``threshold`` is that for new images, infinite if there are too few groups.
        ``n`` counts test images (specimens), ``n_groups`` those groups of them, on which the
        95 % Wilson interval rests; of the first row ``n_calibration`` counts groups that calibrate.
    """
    scored = score_units(units, temperature, grades)
    scored["group"] = [groups.get(name, name) for name in scored["sample_id"]]
    test = scored[scored["role"] == "test"].reset_index(drop=True)
    known, role = choose_calibration(scored)
    threshold = find_conformal_quantile(known["score"], coverage, known["group"])
    limits = find_cross_quantiles(known, test, coverage)
    is_known = bool(len(test)) and bool(np.isfinite(limits).all())
    test["held"] = (test["score"] <= limits).astype(float) if is_known else np.nan
    scores = np.stack(test["scores"].to_list()) if len(test) else np.empty((0, 0))
    test["size"] = (scores <= limits[:, None]).sum(axis=1) if is_known else np.nan
    common = {
        "coverage_wanted": coverage,
        "threshold": threshold,
        "n_calibration": known["group"].nunique(),
        "calibrated_on": role,
    }
    names = [*grades] if grades else sorted(test["y_true"].unique())
    rows = [{"class": "", **_describe(test), **common}]
    rows += [{"class": c, **_describe(test[test["y_true"] == c]), **common} for c in names]
    return pd.DataFrame(rows, columns=[*SET_COLUMNS[1:], *SIZE_ENDS])


def score_units(
    units: pd.DataFrame, temperature: float, grades: Sequence[str] = ()
) -> pd.DataFrame:
    """Return ``sample_id, y_true, role, repeat, fold, score, scores`` of verdicts."""
    classes = find_classes(units)
    order = [classes.index(name) for name in grades]
    votes = apply_temperature(get_probabilities(units), temperature)
    scores = score_classes(votes, order)
    index = index_classes(units["y_true"], classes)
    table = units[["sample_id", "y_true", "role", *FIT]].reset_index(drop=True)
    return table.assign(score=scores[np.arange(len(index)), index], scores=list(scores))


def choose_calibration(scored: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Return the rows that calibrate, and their role.

    Test rows, but validation rows where every fit tests the same: then no test row is of a
    network that others were not tested by.
    """
    test = scored[scored["role"] == "test"]
    tested = test.groupby(FIT)["sample_id"].nunique()
    if (tested == test["sample_id"].nunique()).all():
        return scored[scored["role"] == "validation"], "validation"
    return test, "test"


def _describe(test: pd.DataFrame) -> dict[str, Any]:
    """Count every image once, however many fits tested it."""
    once = test.groupby(["sample_id", "y_true"])[["held", "size"]].mean()
    n_groups = test["group"].nunique()
    sizes = test["size"].dropna()
    size_low, size_high = find_size_ends(test)
    share = float(once["held"].mean()) if len(once) else np.nan
    low, high = find_wilson_interval(share, n_groups) if np.isfinite(share) else (np.nan, np.nan)
    return {
        "coverage_measured": share,
        "low": low,
        "high": high,
        "n_groups": n_groups,
        "n": len(once),
        "mean_size": float(once["size"].mean()) if len(sizes) else np.nan,
        "single_share": float((sizes == 1).mean()) if len(sizes) else np.nan,
        "empty_share": float((sizes == 0).mean()) if len(sizes) else np.nan,
        "size_low": size_low,
        "size_high": size_high,
    }


def find_size_ends(test: pd.DataFrame) -> tuple[float, float]:
    """Return the ends of an interval of the mean size, in which a group counts once."""
    means = test.groupby("group")["size"].mean().dropna()
    if len(means) < 2:
        return np.nan, np.nan
    half = find_half_width(float(means.std(ddof=1)), len(means), 0.0)
    mean = float(test["size"].mean())
    return max(0.0, mean - half), min(float(len(test["scores"].iloc[0])), mean + half)


def flatten_sets(sets: pd.DataFrame, arm: str) -> dict[str, float | int]:
    """Return ``<arm>.<level>[.<class>].set_coverage`` and the sizes of sets, with their ends.

    ``set_coverage_n`` counts the groups that all these intervals rest on.
    """
    found: dict[str, float | int] = {}
    for row in sets[sets["coverage_measured"].notna()].to_dict("records"):
        place = ".".join(part for part in (arm, row["level"], row["class"]) if part)
        values = {
            "set_coverage": row["coverage_measured"],
            "set_coverage_low": row["low"],
            "set_coverage_high": row["high"],
            "set_size": row["mean_size"],
            "set_single_share": row["single_share"],
            "set_empty_share": row["empty_share"],
        }
        ends = {f"set_{end}": row.get(end, np.nan) for end in SIZE_ENDS}
        values |= {name: end for name, end in ends.items() if np.isfinite(end)}
        for share in ("set_single_share", "set_empty_share"):
            low, high = find_wilson_interval(float(values[share]), int(row["n_groups"]))
            values |= {f"{share}_low": low, f"{share}_high": high}
        found |= {f"{place}.{name}": round(float(v), DIGITS) for name, v in values.items()}
        found[f"{place}.set_coverage_n"] = int(row["n_groups"])
    return found


def judge_sets(sets: pd.DataFrame) -> list[Finding]:
    """Tell of sets that cannot be made, and of those that hold less than they promise.

    Less: the wanted share lies above the 95 % interval of the measured one; of classes above an
    interval that is wider, so that one of many is seldom named by chance (Bonferroni).
    """
    findings = []
    for level, mine in sets.groupby("level", sort=False):
        total = mine.iloc[0]
        missing = not np.isfinite(total["threshold"])
        is_low = bool(total["high"] < total["coverage_wanted"])
        below = [row for row in mine.iloc[1:].to_dict("records") if _is_below(row, len(mine) - 1)]
        if missing or is_low or below:
            facts = {
                "level": level,
                "wanted": total["coverage_wanted"],
                "n_groups": int(total["n_calibration"]),
                "needed": count_needed_rows(total["coverage_wanted"]) if missing else None,
                "on": total["calibrated_on"],
                "share": total["coverage_measured"],
                "is_low": is_low,
                "classes": [
                    {"name": row["class"], "share": row["coverage_measured"], "n": int(row["n"])}
                    for row in below
                ],
            }
            colour = {"level": "plain" if missing else "warning"}
            findings.append(Finding("sets", None, facts, colour))
    return findings


def _is_below(row: Mapping[Any, Any], n_classes: int) -> bool:
    share = float(row["coverage_measured"])
    if not np.isfinite(share):
        return False
    level = 1 - 0.05 / n_classes
    high = find_wilson_interval(share, int(row["n_groups"]), level)[1]
    return high < float(row["coverage_wanted"])
