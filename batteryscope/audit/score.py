"""How far right answers are above chance, on a scale that does not depend on the classes."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

Z_95 = 1.959964


@dataclass(frozen=True)
class Score:
    """Right answers of test images (or other independent units), each counted once.

    Attributes
    ----------
    n
        Units.
    accuracy
        Share of right ones.
    low, high
        95 % Wilson interval of it.
    balanced
        Mean over the classes of the share that was found.
    chance
        What guessing gives of it: 1 / classes.
    skill
        (balanced − chance) / (1 − chance): 0 is chance, 1 is perfect.
    skill_low, skill_high
        Its 95 % interval.
    """

    n: int
    accuracy: float
    low: float
    high: float
    balanced: float
    chance: float
    skill: float
    skill_low: float
    skill_high: float

    def as_dict(self) -> dict[str, Any]:
        """Return all numbers by name."""
        return asdict(self)


def score_answers(y_true: ArrayLike, y_pred: ArrayLike) -> Score:
    """Score verdicts on independent units.

    Parameters
    ----------
    y_true, y_pred
        (n,) class names, n > 0; chance is one in so many as classes occur in ``y_true``.

    Notes
    -----
    The interval of the skill treats the share found of each class as a binomial one, with one
    right and one wrong answer added to each (Laplace), so that a perfect class has a width, too.
    """
    from scipy.stats import binomtest

    true, pred = np.asarray(y_true, dtype=str), np.asarray(y_pred, dtype=str)
    right = true == pred
    interval = binomtest(int(right.sum()), len(right)).proportion_ci(method="wilson")
    _, numbers = np.unique(true, return_inverse=True)
    n_of = np.bincount(numbers)
    found = np.bincount(numbers, weights=right)
    balanced, chance = float((found / n_of).mean()), 1 / len(n_of)
    smooth = (found + 1) / (n_of + 2)
    half = Z_95 * float(np.sqrt((smooth * (1 - smooth) / n_of).sum())) / len(n_of)
    scale = 1 - chance if len(n_of) > 1 else np.nan
    low, high = max(0.0, balanced - half), min(1.0, balanced + half)
    return Score(
        n=len(right),
        accuracy=float(right.mean()),
        low=float(interval.low),
        high=float(interval.high),
        balanced=balanced,
        chance=chance,
        skill=(balanced - chance) / scale,
        skill_low=(low - chance) / scale,
        skill_high=(high - chance) / scale,
    )
