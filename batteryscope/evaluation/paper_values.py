"""Published values beside ours in a table of scores."""

from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd

from batteryscope.config.evaluate import NOT_OF_ARMS, TRAIN_SECONDS, PaperValue
from batteryscope.evaluation.flat_metrics import FITS, PAPER_ARM

PLACE = ["metric", "target", "domain", "level"]


def add_paper_values(
    comparison: pd.DataFrame, paper: Sequence[PaperValue], models: Collection[str]
) -> pd.DataFrame:
    """Write published values into the column ``paper``.

    Parameters
    ----------
    comparison
        ``arm, backbone, target, domain, level, metric, mean, sd, n, paper``.
    paper
        Published values. Training times and values of other images than those of the arms are
        left out.
    models
        Arms beside which a value stands that names none.

    Returns
    -------
    DataFrame
        Each value beside the same metric, target, domain and level of every arm that it may stand
        beside; one without counterpart gets a row of its own at the end, of the arm ``paper``.
    """
    alone = []
    for value in paper:
        if value.metric == TRAIN_SECONDS or value.level in NOT_OF_ARMS:
            continue  # a matter of the machine (equal runs give equal tables), or of other images
        arms = [value.arm] if value.arm else list(models)
        beside = find_counterparts(comparison, value) & comparison["arm"].isin(arms)
        if beside.any():
            comparison.loc[beside, "paper"] = value.value
        else:
            place = {column: getattr(value, column) for column in PLACE}
            alone.append({"arm": PAPER_ARM, "backbone": "", **place, "paper": value.value})
    if not alone:
        return comparison
    columns = comparison.columns.drop(FITS, errors="ignore")
    extra = pd.DataFrame(alone).reindex(columns=columns)
    extra = extra.astype({"mean": np.float64, "sd": np.float64, "n": "Int64"})
    return pd.concat([comparison, extra], ignore_index=True)


def find_counterparts(table: pd.DataFrame, value: PaperValue) -> "pd.Series[bool]":
    """Tell which rows have the metric, target, domain and level of a published value."""
    alike = [table[column] == getattr(value, column) for column in PLACE]
    return pd.concat(alike, axis=1).all(axis=1)
