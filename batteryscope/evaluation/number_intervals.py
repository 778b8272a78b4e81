"""How sure a predicted number is: intervals from test images, and their coverage.

Conformal intervals on relative errors of capacities, on differences or ratios of other quantities.
The scores are those of test images, each of a network that has seen neither it nor its electrode
(cross-conformal prediction, Vovk 2015; jackknife+, Barber et al. 2021), as for the studies of
tables: validation images chose the epoch of every network, so that their errors are too small.
Where a single fit tests, nothing else is left.

All images of a specimen, such as an electrode, share one measured value, so that their errors are
alike. A new picture is of a new specimen; so every specimen counts once, however many images it
has (hierarchical conformal prediction, Lee, Barber and Willett 2023).

Published models answer with the average of all folds' networks, these scores are of single ones.
An external data set measures what they hold of the average.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from batteryscope.config.targets import Quantity
from batteryscope.core.conformal import (
    find_conformal_quantile,
    find_cross_quantiles,
    score_errors,
    span_interval,
)
from batteryscope.evaluation.flat_metrics import DIGITS
from batteryscope.evaluation.metrics import find_wilson_interval
from batteryscope.evaluation.number_metrics import find_quantity
from batteryscope.evaluation.number_predictions import FIT

# Beside them one column ``<kind>_half_width`` for every kind of interval that occurs.
INTERVAL_COLUMNS = [
    "arm", "target", "coverage_wanted", "mean_half_width",
    "n_calibration", "n_groups", "coverage_measured", "coverage_low", "coverage_high",
    "n_test", "n_test_groups",
]  # fmt: skip
CLASS_COLUMNS = ["arm", "class", "coverage_measured", "n_groups", "n_test"]


class NumberIntervals(NamedTuple):
    """How wide intervals are, and how many test images lie inside."""

    by_target: pd.DataFrame
    by_class: pd.DataFrame


def measure_number_intervals(
    images: pd.DataFrame,
    coverage: float,
    straddling: Collection[str] = (),
    quantities: Sequence[Quantity] = (),
) -> NumberIntervals:
    """Find half-widths per arm and target, and measure the share of test images inside.

    The intervals of a fit's test images come from the test images of the other fits (with
    a single fit: from its validation images), without those of the same groups.
    ``relative_half_width`` (``absolute_…``, ``ratio_…``) is from all of them, for new pictures.

    Parameters
    ----------
    images
        Rows of ``gather_images`` with the roles validation and test.
    coverage
        Wanted share, in (0, 1).
    straddling
        Arms whose networks were trained on images of the electrodes that they test. There every
        image is a group of its own, else its specimen is the group, where it is known.
    quantities
        What the targets are; without any, capacities.

    Returns
    -------
    by_target : DataFrame
        :data:`INTERVAL_COLUMNS`; ``coverage_measured`` is NaN where groups are too few for
        an interval. Its ends are Wilson's for ``n_test_groups``, at 95 %.
    by_class : DataFrame
        :data:`CLASS_COLUMNS`, all targets together: the share of ``n_test`` predicted values of
        ``n_groups`` electrodes. Intervals promise their share on average over all electrodes;
        those of one class may get less.
    """
    rows: list[dict[str, object]] = []
    parts = []
    for arm, target, known, test in _list_calibrations(images, straddling, quantities):
        inside = _find_inside(known, test, coverage)
        parts.append(test[["class", "group"]].assign(arm=arm, inside=inside))
        width = find_conformal_quantile(known["score"], coverage, known["group"])
        kind = find_quantity(target, quantities).interval
        low, high = span_interval(kind, width, test["y_pred"])
        share, n_test_groups = float(inside.mean()), test["group"].nunique()
        is_known = np.isfinite(share)
        ends = find_wilson_interval(share, n_test_groups) if is_known else (np.nan, np.nan)
        rows.append(
            {
                "arm": arm,
                "target": target,
                "coverage_wanted": coverage,
                f"{kind}_half_width": width,
                "mean_half_width": float((high - low).mean()) / 2,
                "n_calibration": len(known),
                "n_groups": known["group"].nunique(),
                "coverage_measured": share,
                "coverage_low": ends[0],
                "coverage_high": ends[1],
                "n_test": len(test),
                "n_test_groups": n_test_groups,
            }
        )
    columns = list(dict.fromkeys([*INTERVAL_COLUMNS[:3], *(c for row in rows for c in row)]))
    table = pd.DataFrame(rows, columns=columns if rows else INTERVAL_COLUMNS)
    return NumberIntervals(table, _average_classes(parts))


def flatten_intervals(by_target: pd.DataFrame, level: str) -> dict[str, float | int]:
    """Return ``<arm>.<level>.<target>.coverage`` with its ends and the groups they rest on."""
    found: dict[str, float | int] = {}
    for row in by_target[by_target["coverage_measured"].notna()].to_dict("records"):
        name = f"{row['arm']}.{level}.{row['target']}.coverage"
        for key, end in (("measured", ""), ("low", "_low"), ("high", "_high")):
            found[f"{name}{end}"] = round(float(row[f"coverage_{key}"]), DIGITS)
        found[f"{name}_n"] = int(row["n_test_groups"])
    return found


def _average_classes(parts: list[pd.DataFrame]) -> pd.DataFrame:
    """Share inside per arm and class, all targets together."""
    if not parts:
        return pd.DataFrame(columns=CLASS_COLUMNS)
    found = pd.concat(parts).groupby(["arm", "class"], sort=False)
    return found.agg(
        coverage_measured=("inside", lambda values: values.mean(skipna=False)),
        n_groups=("group", "nunique"),
        n_test=("inside", "size"),
    ).reset_index()[CLASS_COLUMNS]


def _list_calibrations(
    images: pd.DataFrame, straddling: Collection[str], quantities: Sequence[Quantity]
) -> Iterator[tuple[str, str, pd.DataFrame, pd.DataFrame]]:
    """Arm, target, images to calibrate with, and test images, all with ``score`` and ``group``."""
    specimen = images["specimen_id"].fillna(images["sample_id"])
    own = specimen.mask(images["arm"].isin(straddling), images["sample_id"])
    for (arm, target), rows in images.assign(group=own).groupby(["arm", "target"], sort=False):
        kind = find_quantity(str(target), quantities).interval
        part = rows.assign(score=score_errors(kind, rows["y_true"], rows["y_pred"]))
        test = part[part["role"] == "test"]
        single = test.groupby(FIT).ngroups == 1
        known = part[part["role"] == "validation"] if single else test
        if not known.empty and not test.empty:
            yield str(arm), str(target), known, test


def _find_inside(known: pd.DataFrame, test: pd.DataFrame, coverage: float) -> NDArray[np.float64]:
    """Whether every test image lies inside (1) or not (0); NaN if groups are too few."""
    widths = find_cross_quantiles(known, test, coverage)
    if not np.isfinite(widths).all():
        return np.full(len(test), np.nan)
    return np.asarray(test["score"] <= widths, dtype=np.float64)
