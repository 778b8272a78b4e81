"""How sure a predicted capacity is: intervals from test images, and their coverage.

Conformal intervals on relative errors. The scores are those of test images, each of a network
that has seen neither it nor its electrode (cross-conformal prediction, Vovk 2015; jackknife+,
Barber et al. 2021), as for the studies of tables: validation images chose the epoch of every
network, so that their errors are too small. Where a single fit tests, nothing else is left.

All images of an electrode share one measured capacity, so that their errors are alike. A new
picture is of a new electrode; so every electrode counts once, however many images it
has (hierarchical conformal prediction, Lee, Barber and Willett 2023).

Published models answer with the average of all folds' networks, these scores are of single ones.
An external data set measures what they hold of the average.
"""

from collections.abc import Collection

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from batteryscope.evaluation.regression_predictions import FIT
from batteryscope.tables.intervals import find_relative_scores

INTERVAL_COLUMNS = [
    "arm", "target", "coverage_wanted", "relative_half_width", "mean_half_width",
    "n_calibration", "n_groups", "coverage_measured", "n_test",
]  # fmt: skip


def find_grouped_quantile(scores: ArrayLike, groups: ArrayLike, coverage: float) -> float:
    """Return the score that one of a new group does not exceed with the given probability.

    Parameters
    ----------
    scores
        (n,) scores of calibration images, none negative.
    groups
        (n,) the electrode of each.
    coverage
        Wanted probability in (0, 1).

    Returns
    -------
    float
        The quantile of the scores with weight 1/(K + 1) for each of the K groups, shared among its
        images, and the rest at infinity; infinite if K groups are too few for this coverage.
        With one image per group the usual finite-sample quantile.
    """
    values = np.asarray(scores, dtype=np.float64)
    _, place, sizes = np.unique(np.asarray(groups, str), return_inverse=True, return_counts=True)
    weights = 1 / (sizes[place] * (len(sizes) + 1))
    order = np.argsort(values, kind="stable")
    enough = np.flatnonzero(np.cumsum(weights[order]) >= coverage - 1e-9)
    return float(values[order][enough[0]]) if len(enough) else float("inf")


def measure_capacity_intervals(
    images: pd.DataFrame, coverage: float, straddling: Collection[str] = ()
) -> pd.DataFrame:
    """Find half-widths per arm and target, and measure the share of test images inside.

    The intervals of a fit's test images come from the test images of the other fits (with
    a single fit: from its validation images), without those of the same groups.
    ``relative_half_width`` is from all of them, for new pictures.

    Parameters
    ----------
    images
        Rows of ``gather_images`` with the roles validation and test.
    coverage
        Wanted share, in (0, 1).
    straddling
        Arms whose networks were trained on images of the electrodes that they test. There every
        image is a group of its own, else its electrode is the group.

    Returns
    -------
    DataFrame
        :data:`INTERVAL_COLUMNS`; ``coverage_measured`` is NaN where groups are too few for
        an interval.
    """
    scored = images.assign(score=find_relative_scores(images["y_true"], images["y_pred"]))
    rows = []
    for (arm, target), part in scored.groupby(["arm", "target"], sort=False):
        group = "sample_id" if arm in straddling else "specimen_id"
        test = part[part["role"] == "test"]
        single = test.groupby(FIT).ngroups == 1
        known = part[part["role"] == "validation"] if single else test
        if known.empty or test.empty:
            continue
        inside = 0
        finite = True
        scores, groups = known["score"].to_numpy(), known[group].to_numpy(str)
        for _, asked in test.groupby(FIT):
            others = ~np.isin(groups, asked[group].to_numpy(str))
            width = find_grouped_quantile(scores[others], groups[others], coverage)
            finite = finite and bool(np.isfinite(width))
            inside += int((asked["score"].to_numpy() <= width).sum())
        width = find_grouped_quantile(scores, groups, coverage)
        rows.append(
            [
                arm,
                target,
                coverage,
                width,
                width * float(test["y_pred"].abs().mean()),
                len(known),
                known[group].nunique(),
                inside / len(test) if finite else float("nan"),
                len(test),
            ]
        )
    return pd.DataFrame(rows, columns=INTERVAL_COLUMNS)
