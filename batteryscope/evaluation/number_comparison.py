"""One tidy table of capacities: arms, baselines and physics beside the published values."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pandas as pd

from batteryscope.config.evaluate import PaperValue
from batteryscope.config.targets import Quantity
from batteryscope.core.baseline_catalogue import PHYSICS
from batteryscope.evaluation.flat_metrics import FITS
from batteryscope.evaluation.number_metrics import score_images
from batteryscope.evaluation.paper_values import add_paper_values
from batteryscope.evaluation.predictions import is_baseline

COLUMNS = [
    "arm", "backbone", "target", "domain", "level", "metric", "mean", "sd", "n", "paper"
]  # fmt: skip
SAMPLE_LEVELS = ("image", "slice")


def compare_numbers(
    images: pd.DataFrame,
    backbones: Mapping[str, str],
    paper: Sequence[PaperValue] = (),
    straddling: Collection[str] = (),
    quantities: Sequence[Quantity] = (),
    sample: str = "image",
) -> pd.DataFrame:
    """Score all arms and put the published values beside them.

    Parameters
    ----------
    images
        Rows of ``gather_images`` of arms, baselines and physics.
    backbones
        Network by arm.
    paper
        Published values; one that belongs to no row gets a row of its own (arm ``paper``).
    straddling
        Arms that trained on images of the electrodes that they were tested on. They have no rows
        at level ``specimen``, which would look like ones about unseen electrodes.
    quantities
        What the targets are; without any, capacities.
    sample
        The level of a single sample, ``image`` or ``slice``.

    Returns
    -------
    DataFrame
        :data:`COLUMNS` and ``fits``; ``mape`` in percent, ``mae`` in the unit of the target.
    """
    table = score_images(images, quantities, sample)
    table = table[(table["level"] != "specimen") | ~table["arm"].isin(list(straddling))]
    table = table.reset_index(drop=True)
    table["backbone"] = [backbones.get(arm, "") for arm in table["arm"]]
    table["paper"] = np.nan
    table = table.reindex(columns=[*COLUMNS, FITS]).astype({"n": "Int64"})
    models = {arm for arm in table["arm"] if not is_baseline(arm)} - {PHYSICS}
    return add_paper_values(table, paper, models)


def pick(
    comparison: pd.DataFrame, arm: str, metric: str = "mape", target: str = "", domain: str = ""
) -> tuple[float, float]:
    """Return mean and standard deviation of one cell, single samples; NaN if it is missing."""
    found = comparison[
        (comparison["arm"] == arm)
        & (comparison["metric"] == metric)
        & (comparison["target"] == target)
        & (comparison["domain"] == domain)
        & comparison["level"].isin(SAMPLE_LEVELS)
    ]
    if found.empty:
        return float("nan"), float("nan")
    return float(found["mean"].iloc[0]), float(found["sd"].iloc[0])
