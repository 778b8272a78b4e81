"""How far answers are above chance, on a scale that depends neither on classes nor on units."""

from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

Z_95 = 1.959964
DRAWS = 1000  # of the units, by which the interval of a skill of numbers is found


class Skilled(Protocol):
    """What a verdict asks of any score: 0 is chance, 1 is perfect."""

    @property
    def n(self) -> int:
        """Independent units that were asked about."""

    @property
    def skill(self) -> float:
        """The skill."""

    @property
    def skill_low(self) -> float:
        """Lower end of its 95 % interval."""

    @property
    def skill_high(self) -> float:
        """Upper end."""

    def as_dict(self) -> dict[str, Any]:
        """Return all numbers by name."""


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

    @property
    def balanced_ends(self) -> tuple[float, float]:
        """The 95 % interval of ``balanced``; not a number if there is one class alone."""
        scale = 1 - self.chance
        return self.chance + scale * self.skill_low, self.chance + scale * self.skill_high

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


@dataclass(frozen=True)
class NumberScore:
    """Predicted numbers of test specimens (or other independent units), each counted once.

    Attributes
    ----------
    n
        Units.
    error
        Mean absolute error, in the unit of the quantity.
    error_of_mean
        The same of the mean of the training samples.
    skill
        1 − squared error / squared error of the mean of the training samples: 0 is that mean, 1 is
        perfect. Over several quantities both errors are added up.
    skill_low, skill_high
        Its 95 % interval.
    """

    n: int
    error: float
    error_of_mean: float
    skill: float
    skill_low: float
    skill_high: float

    def as_dict(self) -> dict[str, Any]:
        """Return all numbers by name."""
        return asdict(self)


def score_numbers(
    y_true: NDArray[np.float64],
    y_pred: NDArray[np.float64],
    by_mean: NDArray[np.float64],
    is_log: bool = False,
) -> NumberScore | None:
    """Score predicted numbers of independent units against the mean of the training samples.

    Parameters
    ----------
    y_true, y_pred, by_mean : (n, k) arrays
        True values, predictions, and what the mean of the training samples predicts, of k
        quantities in one unit.
    is_log
        Whether logarithms are compared, as a network that learns them does.

    Returns
    -------
    NumberScore or None
        None where no value differs from the mean, so that nothing is to be told.

    Notes
    -----
    The interval is that of the units drawn with replacement, by a fixed seed.
    """
    told = (np.log(values) if is_log else values for values in (y_true, y_pred, by_mean))
    true, pred, mean = told
    squares, of_mean = ((pred - true) ** 2).sum(axis=1), ((mean - true) ** 2).sum(axis=1)
    if not len(squares) or of_mean.sum() <= 0:
        return None
    n = len(squares)
    counts = np.random.default_rng(1).multinomial(n, np.full(n, 1 / n), size=DRAWS)
    of_draws = counts @ of_mean
    usable = of_draws > 0
    skills = 1 - (counts @ squares)[usable] / of_draws[usable]
    low, high = np.quantile(skills, [0.025, 0.975])
    return NumberScore(
        n=n,
        error=float(np.abs(y_pred - y_true).mean()),
        error_of_mean=float(np.abs(by_mean - y_true).mean()),
        skill=float(1 - squares.sum() / of_mean.sum()),
        skill_low=float(low),
        skill_high=float(high),
    )
