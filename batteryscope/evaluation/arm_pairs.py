"""All pairs of arms: whether one beats the other, over the fits and on the images."""

from collections.abc import Hashable, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from batteryscope.core.finding import Finding
from batteryscope.evaluation.paired import (
    SIGNIFICANT,
    compare_on_images,
    compare_over_fits,
    correct_by_holm,
    find_left_out_ratio,
    has_common_test,
)

PAIR_COLUMNS = [
    "first", "second", "common_test", "n_fits", "difference", "sd", "low", "high", "p_wilcoxon",
    "p_wilcoxon_holm", "n_images", "only_first_right", "only_second_right", "p_mcnemar",
    "p_mcnemar_holm",
]  # fmt: skip


def compare_pairs_of_arms(
    images: pd.DataFrame, arms: Sequence[str], split: pd.DataFrame
) -> pd.DataFrame:
    """Compare the accuracy of every two arms.

    Parameters
    ----------
    images
        Image-level test predictions.
    arms
        Names, in the order in which pairs are made.
    split
        ``sample_id, repeat, fold, role``: what every fit leaves out widens the interval, since
        the training parts of the fits overlap (:func:`find_left_out_ratio`).

    Returns
    -------
    DataFrame
        Columns ``first, second, common_test`` (whether all fits have the same test part),
        ``n_fits, difference`` (mean over common fits, first minus second), ``sd, low, high``
        (95 % interval), ``p_wilcoxon``, ``n_images, only_first_right, only_second_right,
        p_mcnemar``, and both p values after Holm's correction for the number of pairs. NaN
        where there are too few fits.
    """
    ratio, common_test = find_left_out_ratio(split), has_common_test(split)
    present = [arm for arm in arms if (images["arm"] == arm).any()]
    rows = []
    for first, second in combinations(present, 2):
        fits = compare_over_fits(images, first, second, left_out_per_train=ratio)
        own = compare_on_images(images, first, second)
        rows.append(
            {
                "first": first,
                "second": second,
                "common_test": common_test,
                "n_fits": fits.n_fits,
                "difference": fits.mean,
                "sd": fits.sd,
                "low": fits.low,
                "high": fits.high,
                "p_wilcoxon": fits.p_wilcoxon,
                "n_images": own.n,
                "only_first_right": own.only_first_right,
                "only_second_right": own.only_second_right,
                "p_mcnemar": own.p_value,
            }
        )
    table = pd.DataFrame(rows, columns=[c for c in PAIR_COLUMNS if not c.endswith("_holm")])
    for name in ("p_wilcoxon", "p_mcnemar"):
        table[f"{name}_holm"] = correct_by_holm(table[name].to_numpy(dtype=np.float64))
    return table[PAIR_COLUMNS]


def find_better(pair: Mapping[Hashable, Any]) -> str | None:
    """Return the better arm of a row of :func:`compare_pairs_of_arms`; None if chance explains it.

    The interval must leave out zero, and since it is not corrected for the number of pairs, the
    corrected test must agree: Wilcoxon's where there are enough fits for it, else McNemar's. Fits
    that share their test part cannot tell whether other images would agree, so there McNemar's
    must agree as well.
    """
    p_fits, p_images = pair["p_wilcoxon_holm"], pair["p_mcnemar_holm"]
    p_value = p_images if pd.isna(p_fits) else p_fits
    if pair["common_test"]:
        p_value = max(p_value, p_images)
    if not ((pair["low"] > 0 or pair["high"] < 0) and p_value < SIGNIFICANT):
        return None
    return str(pair["first"] if pair["difference"] > 0 else pair["second"])


def judge_pairs(pairs: pd.DataFrame, main_arm: str) -> list[Finding]:
    """Find what the main arm is worth beside every other one, as one finding; none without others.

    Parameters
    ----------
    pairs
        Table of :func:`compare_pairs_of_arms`.
    main_arm
        The arm in question.
    """
    others = []
    for pair in pairs.to_dict("records"):
        if main_arm not in (pair["first"], pair["second"]):
            continue
        sign = 100 if pair["first"] == main_arm else -100
        low, high = sorted((sign * pair["low"], sign * pair["high"]))
        others.append(
            {
                "name": pair["second"] if pair["first"] == main_arm else pair["first"],
                "points": sign * pair["difference"],
                "interval": None if np.isnan(low) else (low, high),
                "better": find_better(pair),
            }
        )
    facts = {"main_arm": main_arm, "others": others}
    return [Finding("pairs", "info", facts, {"level": "plain"})] if others else []
