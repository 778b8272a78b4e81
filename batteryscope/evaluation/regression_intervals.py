"""How sure a predicted capacity is: intervals from validation images, and their coverage.

Split-conformal intervals on relative errors, as for the studies of tables. All images of an
electrode share one measured capacity, so their errors are alike: the coverage that was
measured on test images, not the nominal one, is what counts.
"""

import pandas as pd

from batteryscope.evaluation.regression_predictions import FIT
from batteryscope.tables.intervals import find_conformal_quantile, find_relative_scores

INTERVAL_COLUMNS = [
    "arm", "target", "coverage_wanted", "relative_half_width", "mean_half_width",
    "n_calibration", "coverage_measured", "n_test",
]  # fmt: skip


def measure_capacity_intervals(images: pd.DataFrame, coverage: float) -> pd.DataFrame:
    """Find half-widths per arm and target, and measure the share of test images inside.

    For the test images of a fit, scores come from validation images of all fits that are no
    test images of this one. ``relative_half_width`` is from all validation images, for new
    pictures.

    Parameters
    ----------
    images
        Rows of ``gather_images`` with the roles validation and test.
    coverage
        Wanted share, in (0, 1).
    """
    scored = images.assign(score=find_relative_scores(images["y_true"], images["y_pred"]))
    rows = []
    for (arm, target), part in scored.groupby(["arm", "target"], sort=False):
        known = part[part["role"] == "validation"]
        test = part[part["role"] == "test"]
        if known.empty or test.empty:
            continue
        inside = 0
        for _, asked in test.groupby(FIT):
            others = known[~known["sample_id"].isin(asked["sample_id"])]
            width = find_conformal_quantile(others["score"], coverage)
            inside += int((asked["score"] <= width).sum())
        width = find_conformal_quantile(known["score"], coverage)
        rows.append(
            [
                arm,
                target,
                coverage,
                width,
                width * float(test["y_pred"].abs().mean()),
                len(known),
                inside / len(test),
                len(test),
            ]
        )
    return pd.DataFrame(rows, columns=INTERVAL_COLUMNS)
