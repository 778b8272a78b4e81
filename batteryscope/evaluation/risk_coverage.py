"""What is right if the least sure answers go to a person: the risk-coverage curve.

El-Yaniv and Wiener 2010; its area: Geifman and El-Yaniv 2017.
"""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from batteryscope.evaluation.aggregate import pool_fits
from batteryscope.evaluation.calibration import apply_temperature
from batteryscope.evaluation.flat_metrics import DIGITS
from batteryscope.evaluation.metrics import find_wilson_interval
from batteryscope.evaluation.predictions import get_probabilities

DRAWS = 1000
GIVEN_AWAY = (0.0, 0.05, 0.1, 0.2, 0.3)


def rank_errors(confidence: ArrayLike, is_right: ArrayLike) -> NDArray[np.float64]:
    """Return the share of wrong answers among the k surest, for k = 1 to n.

    Of equally sure answers the wrong ones count first: a tie proves no skill.
    """
    sure, right = np.asarray(confidence, np.float64), np.asarray(is_right, bool)
    order = np.lexsort((right, -sure))
    wrong = ~right[order]
    return np.asarray(np.cumsum(wrong) / np.arange(1, len(wrong) + 1))


def tabulate_risk(units: pd.DataFrame, temperature: float = 1.0) -> pd.DataFrame:
    """Tabulate accuracy over the share of answers that a person does not have to look at.

    Parameters
    ----------
    units
        Test verdicts of one arm at one level; what several fits tested counts once, by its vote.
    temperature
        Of the published votes, which decides who is less sure than another.

    Returns
    -------
    DataFrame
        ``given_away`` (share of the least sure answers), ``kept`` (answers that stay), ``accuracy``
        of these with its 95 % Wilson interval ``low, high``, and ``confidence``, the least that
        stays; a row for every number of answers that stay, all of them first.
    """
    pooled = pool_fits(units)
    votes = apply_temperature(get_probabilities(pooled), temperature)
    sure = votes.max(axis=1)
    errors = rank_errors(sure, pooled["y_true"] == pooled["y_pred"])
    kept = np.arange(len(errors), 0, -1)
    accuracy = 1 - errors[::-1]
    ends = [find_wilson_interval(float(a), int(k)) for a, k in zip(accuracy, kept, strict=True)]
    return pd.DataFrame(
        {
            "given_away": 1 - kept / max(len(kept), 1),
            "kept": kept,
            "accuracy": accuracy,
            "low": [low for low, _ in ends],
            "high": [high for _, high in ends],
            "confidence": np.sort(sure),
        }
    )


def find_area(risk: pd.DataFrame) -> float:
    """Return the area under the curve of errors: the mean error over all numbers of answers."""
    return float((1 - risk["accuracy"]).mean())


def find_area_ends(risk: pd.DataFrame) -> tuple[float, float]:
    """Return the 95 % interval of the area: answers drawn with replacement, by a fixed seed."""
    kept = np.arange(1, len(risk) + 1)
    # Errors among the k surest, k rising: their differences say which answers are wrong.
    wrong = np.diff(np.rint((1 - risk["accuracy"].to_numpy()[::-1]) * kept), prepend=0.0)
    drawn = np.sort(np.random.default_rng(1).integers(len(risk), size=(DRAWS, len(risk))), axis=1)
    areas = (np.cumsum(wrong[drawn], axis=1) / kept).mean(axis=1)
    low, high = np.quantile(areas, [0.025, 0.975])
    return float(low), float(high)


def pick_shares(risk: pd.DataFrame) -> pd.DataFrame:
    """Return the rows where at least 0, 5, 10, 20 and 30 % of the answers are given away.

    A share of which no answer is left has no row; ``share`` is what was asked for.
    """
    n = len(risk)
    rows = {share: int(np.ceil(share * n - 1e-9)) for share in GIVEN_AWAY}
    found = {share: row for share, row in rows.items() if row < n}
    return risk.iloc[list(found.values())].assign(share=list(found))


def flatten_risk(risk: pd.DataFrame, place: str) -> dict[str, float | int]:
    """Return ``<place>.accuracy_without_<percent>`` and ``risk_area``, with their ends and n."""
    low, high = find_area_ends(risk)
    area = {"": find_area(risk), "_low": low, "_high": high}
    found: dict[str, float | int] = {
        f"{place}.risk_area{end}": round(value, DIGITS) for end, value in area.items()
    }
    found[f"{place}.risk_area_n"] = len(risk)
    for row in pick_shares(risk).to_dict("records"):
        if row["share"]:
            name = f"{place}.accuracy_without_{100 * row['share']:.0f}"
            found[name] = round(float(row["accuracy"]), DIGITS)
            found[f"{name}_low"] = round(float(row["low"]), DIGITS)
            found[f"{name}_high"] = round(float(row["high"]), DIGITS)
            found[f"{name}_n"] = int(row["kept"])
    return found
