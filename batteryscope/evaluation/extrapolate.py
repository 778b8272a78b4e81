"""How accuracy goes on with more training images: an inverse power law, and how sure it is."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from batteryscope.seeds import derive_rng

FEWEST_POINTS = 3
POINTS_FOR_FLOOR = 5  # with fewer the error is taken to fall without end
DRAWS = 200
INTERVAL = (5, 95)  # percent
LARGEST_POWER = 2.0
FACTORS = (2, 4)
TOO_FEW_MISTAKES = (
    "How many more images? Too few mistakes are left, or they become fewer too fast, to tell."
)


@dataclass(frozen=True)
class Outlook:
    """What more training images would bring; all is empty where the points cannot tell.

    Attributes
    ----------
    images
        Images per class that were asked for, (k,).
    accuracy, low, high
        Median and 90 % interval of the accuracy there, shares of 1, (k,).
    halved_at
        Images per class at which half of the mistakes of today would be left: median, low, high;
        infinite where the law never comes there.
    """

    images: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    halved_at: tuple[float, float, float]

    @property
    def is_told(self) -> bool:
        """Whether the points can tell it."""
        return len(self.images) > 0


def extrapolate_accuracy(
    images: Sequence[float],
    accuracy: Sequence[float],
    n_tested: Sequence[int],
    asked: Sequence[float] | None = None,
) -> Outlook | None:
    """Continue a learning curve.

    The share of mistakes follows ``c + a n^-b`` over the number n of training images per class
    (Hestness et al. 2017; Mukherjee et al. 2003), with c = 0 below five points. It is fitted again
    for curves drawn from the binomial distributions of the points.

    Parameters
    ----------
    images, accuracy
        Points: images per class, shares of right answers.
    n_tested
        Tested images of each point.
    asked
        Where to look; twice and four times the most images, if not given.

    Returns
    -------
    Outlook or None
        None with fewer than three different points, or if accuracy does not rise. Nothing is told
        where the last point has no mistake, or where most drawn curves fall as fast as any law
        that is tried, to no floor: the limit of the power would be the answer, not the points.
    """
    n = np.asarray(images, float)
    order = np.argsort(n)
    n, right = n[order], np.asarray(accuracy, float)[order]
    tested = np.maximum(1, np.asarray(n_tested, float)[order])
    if len(np.unique(n)) < FEWEST_POINTS or right[-1] <= right[0]:
        return None
    nothing = np.empty(0)
    untold = Outlook(nothing, nothing, nothing, nothing, (np.inf, np.inf, np.inf))
    if round(tested[-1] * (1 - right[-1])) < 1:
        return untold
    wanted = np.asarray([n[-1] * f for f in FACTORS] if asked is None else asked, float)
    rng = derive_rng("learning curve", *n.tolist())
    # Half a mistake is added, so that a point without any says how few it has seen.
    shares = (tested * (1 - right) + 0.5) / (tested + 1)
    drawn = (rng.binomial(tested.astype(int), shares, (DRAWS, len(n))) + 0.5) / (tested + 1)
    weights = tested / (shares * (1 - shares))
    a, b, c = _fit(n, np.vstack([shares, drawn]), weights)
    if np.mean((b >= LARGEST_POWER) & (c <= 0)) > 0.5:
        return untold
    found = 1 - np.clip(c[:, None] + a[:, None] * wanted ** -b[:, None], 0, 1)
    today = c + a * n[-1] ** -b
    halved = [_solve(*law) for law in zip(a, b, c, today / 2, strict=True)]
    middle, (low, high) = np.median(found, axis=0), np.percentile(found, INTERVAL, axis=0)
    few, median, many = np.percentile(halved, [INTERVAL[0], 50, INTERVAL[1]], method="nearest")
    return Outlook(wanted, middle, low, high, (float(median), float(few), float(many)))


def _fit(
    n: NDArray[np.float64], errors: NDArray[np.float64], weights: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Fit a, b and c to every row of errors by weighted least squares.

    For each of a hundred powers b the rest is linear; the best of them counts. a and c are not
    negative, and c is 0 where points are few.
    """
    powers = np.linspace(0.02, LARGEST_POWER, 100)[:, None]
    x = n[None] ** -powers  # (powers, points)
    sw, sx, sxx = weights.sum(), x @ weights, (x**2) @ weights
    se, sxe = errors @ weights, errors @ (x * weights).T  # (draws,), (draws, powers)
    a = sxe / sxx
    c = np.zeros_like(a)
    if len(np.unique(n)) >= POINTS_FOR_FLOOR:
        free = (se[:, None] * sxx - sxe * sx) / (sw * sxx - sx**2)
        sloped = (sw * sxe - sx * se[:, None]) / (sw * sxx - sx**2)
        is_possible = (free >= 0) & (sloped >= 0)
        a, c = np.where(is_possible, sloped, a), np.where(is_possible, free, 0.0)
    rest = errors[:, None, :] - c[..., None] - a[..., None] * x
    best = ((rest**2) @ weights).argmin(axis=1)
    rows = np.arange(len(errors))
    return a[rows, best], powers[best, 0], c[rows, best]


def _solve(a: float, b: float, c: float, error: float) -> float:
    """Images at which the law falls to an error; infinite if it never does."""
    if error <= c or a <= 0 or b <= 1e-6:
        return float("inf")
    power = np.log(a / (error - c)) / b
    return float("inf") if power > 30 else float(np.exp(power))


def describe_outlook(outlook: Outlook, now: float) -> str:
    """Say it in words.

    Parameters
    ----------
    outlook
        What was found.
    now
        Images per class of today.
    """
    if not outlook.is_told:
        return TOO_FEW_MISTAKES
    parts = [
        f"{100 * middle:.1f} % (90 % interval {100 * low:.1f} to {100 * high:.1f} %) with {n:.0f}"
        for n, middle, low, high in zip(
            outlook.images, outlook.accuracy, outlook.low, outlook.high, strict=True
        )
    ]
    middle, few, many = outlook.halved_at
    if middle > 100 * now:
        halved = "Half of the mistakes would not go away with a hundred times as many"
    else:
        most = f"{many:.0f}" if many <= 1000 * now else "any number"
        halved = (
            f"Half of the mistakes would be left with about {middle:.0f} images per class "
            f"({few:.0f} to {most})"
        )
    return (
        f"How many more images? An inverse power law through the points expects {', '.join(parts)} "
        f"images per class. {halved}. This holds for more images of the same kind, not for "
        "electrodes unlike these."
    )
