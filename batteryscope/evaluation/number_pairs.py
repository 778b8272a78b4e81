"""Whether predicted numbers of pictures beat baselines, by the units that both were tested on."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from batteryscope.core.finding import Severity
from batteryscope.evaluation.paired import (
    UnitComparison,
    Verdict,
    average_over_units,
    compare_on_units,
    judge_rivals,
)
from batteryscope.evaluation.predictions import FIT


@dataclass(frozen=True)
class BaselineComparison:
    """A network beside baselines, by name; the one that is hardest to beat first.

    ``error`` and ``errors`` are those of all samples, as in the table of the comparison: means over
    the fits. ``pairs`` hold those of the units that both were tested on.
    """

    error: float
    errors: Mapping[str, float]
    pairs: Mapping[str, UnitComparison]
    verdicts: Mapping[str, Verdict]
    unit: str

    @property
    def hardest(self) -> str:
        """The baseline that decides."""
        return next(iter(self.verdicts))

    @property
    def severity(self) -> Severity:
        """``good`` if all are beaten, ``info`` if the network only errs less, or a warning."""
        if all(verdict.outcome == "beaten" for verdict in self.verdicts.values()):
            return "good"
        return "info" if self.pairs[self.hardest].difference < 0 else "warning"

    def describe(self) -> dict[str, Any]:
        """Return what is known of the difference to the hardest baseline, for sentences."""
        pair, verdict = self.pairs[self.hardest], self.verdicts[self.hardest]
        return {
            "difference": pair.difference,
            "interval": pair.interval,
            "n": pair.n_units,
            "unit": self.unit,
            "fits": pair.n_fits,
            "outcome": verdict.outcome,
            "p_holm": verdict.p_holm if np.isfinite(verdict.p_holm) else None,
        }


def compare_with_baselines(
    images: pd.DataFrame,
    arm: str,
    baselines: Mapping[str, str],
    targets: Collection[str],
    relative: bool,
    left_out_per_train: float,
) -> BaselineComparison | None:
    """Compare the errors of an arm with those of baselines on the same split.

    Parameters
    ----------
    images
        Rows of ``gather_images``; only the role test counts.
    arm
        The network.
    baselines
        Name of their arms, by how they are called.
    targets
        What is predicted; errors are averaged over them.
    relative
        Whether errors are percent of the true value, else in the unit of the target.
    left_out_per_train
        Of :func:`batteryscope.evaluation.paired.find_left_out_ratio`.

    Returns
    -------
    BaselineComparison or None
        None without the arm or any baseline, or where an error is percent of 0. A unit is a
        specimen, or a sample whose specimen is not known; its error is the mean over its samples.
    """
    rows = images[(images["role"] == "test") & images["target"].isin(list(targets))]
    error = (rows["y_pred"] - rows["y_true"]).abs()
    if relative:
        error = 100 * error / rows["y_true"].abs()
    specimen = rows["specimen_id"]
    if not np.isfinite(error).all():
        return None  # percent of a true value of 0
    rows = rows.assign(error=error, unit=specimen.fillna(rows["sample_id"]))
    mine = average_over_units(rows[rows["arm"] == arm])
    pairs, errors = {}, {}
    for name, rival in baselines.items():
        other = rows[rows["arm"] == rival]
        if pair := compare_on_units(mine, average_over_units(other), left_out_per_train):
            pairs[name], errors[name] = pair, _average_over_fits(other)
    if not pairs:
        return None
    verdicts = judge_rivals(
        {name: -pair.difference for name, pair in pairs.items()},
        {name: pair.p_value for name, pair in pairs.items()},
    )
    known = specimen[rows["arm"] == arm].notna()
    unit = "specimen" if known.all() else "independent unit" if known.any() else "sample"
    own = _average_over_fits(rows[rows["arm"] == arm])
    return BaselineComparison(own, errors, pairs, verdicts, unit)


def _average_over_fits(rows: pd.DataFrame) -> float:
    return float(rows.groupby(FIT)["error"].mean().mean())
