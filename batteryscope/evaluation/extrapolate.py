"""How a result goes on with more training samples: an inverse power law, and how sure it is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from batteryscope.seeds import derive_rng

FEWEST_POINTS = 3
POINTS_FOR_FLOOR = 5  # with fewer the error is expected to fall without end
FLOOR_CHANCE = 0.9  # of the misfit that a floor saves by chance; if it saves more, it is there
MOST_TIMES = 100  # today's samples: further on, half of the error is said not to go away
DRAWS = 200
INTERVAL = (5, 95)  # percent
LARGEST_POWER = 2.0
FACTORS = (2, 4)
SAME_KIND = "This holds for more {samples} of the same kind, not for electrodes unlike these."
TOO_FEW_MISTAKES = (
    "How many more {samples}? Too few mistakes are left, or they become fewer too fast, to tell."
)


@dataclass(frozen=True)
class Outlook:
    """What more training images would bring; all is empty where the points cannot tell.

    Attributes
    ----------
    images
        Images per class (of numbers: samples in all) of these answers, (k,).
    expected, low, high
        Median and 90 % interval of the accuracy there, shares of 1, or of the error, (k,).
    halved_at
        Images per class (samples) at which half of the mistakes (of the error) of today would be
        left: median, low, high; infinite where the law never comes there. Low and high are of laws
        with a floor and without, as far as the points allow both; so is the median, if one of
        them comes there with a hundred times as many.
    """

    images: NDArray[np.float64]
    expected: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    halved_at: tuple[float, float, float]

    @property
    def is_told(self) -> bool:
        """Whether the points can tell it."""
        return len(self.images) > 0


Law = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]  # a, b, c of each draw
_NOTHING = np.empty(0)
UNTOLD = Outlook(_NOTHING, _NOTHING, _NOTHING, _NOTHING, (np.inf, np.inf, np.inf))


def extrapolate_accuracy(
    images: Sequence[float],
    accuracy: Sequence[float],
    n_tested: Sequence[int],
) -> Outlook | None:
    """Continue a learning curve to twice and four times the most images.

    The share of mistakes follows ``c + a n^-b`` over the number n of training images per class
    (Hestness et al. 2017; Mukherjee et al. 2003), with c = 0 below five points. It is fitted again
    for curves drawn from the binomial distributions of the points.

    Parameters
    ----------
    images, accuracy
        Points: images per class, shares of right answers.
    n_tested
        Tested images of each point.

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
    if round(tested[-1] * (1 - right[-1])) < 1:
        return UNTOLD
    rng = derive_rng("learning curve", *n.tolist())
    # Half a mistake is added, so that a point without any says how few it has seen.
    shares = (tested * (1 - right) + 0.5) / (tested + 1)
    drawn = (rng.binomial(tested.astype(int), shares, (DRAWS, len(n))) + 0.5) / (tested + 1)
    weights = tested / (shares * (1 - shares))
    found = _continue(n, np.vstack([shares, drawn]), weights)
    if not found.is_told:
        return UNTOLD
    low, high = 1 - np.minimum(found.high, 1), 1 - np.minimum(found.low, 1)
    return Outlook(found.images, 1 - np.minimum(found.expected, 1), low, high, found.halved_at)


def extrapolate_error(
    samples: ArrayLike,
    error: ArrayLike,
    sd: ArrayLike,
    n_fits: ArrayLike,
    test_to_training: float,
) -> Outlook | None:
    """Continue a learning curve of errors, by the law of :func:`extrapolate_accuracy`.

    It is fitted again for curves drawn around the points on a logarithmic scale, since an error
    has no sign. A few fits tell little of their own spread. So all points share one relative
    standard deviation, and the curves are drawn from Student's distribution.

    Parameters
    ----------
    samples, error
        Points: training samples, and the error above 0.
    sd, n_fits
        Standard deviation of the errors of so many fits of each point.
    test_to_training
        Tested samples per training sample, 0 for independent fits. Training parts overlap, so that
        the standard error of a mean is more than sd/√n (Nadeau and Bengio 2003).

    Returns
    -------
    Outlook or None
        None with fewer than three different points, if the error does not fall, or where it is
        not known how sure a point is. Nothing is told as by :func:`extrapolate_accuracy`.
    """
    n = np.asarray(samples, float)
    order = np.argsort(n)
    n, errors = n[order], np.asarray(error, float)[order]
    spread, fits = np.asarray(sd, float)[order], np.asarray(n_fits, float)[order]
    is_known = np.isfinite(spread) & (fits > 1) & np.isfinite(errors) & (errors > 0)
    if len(np.unique(n)) < FEWEST_POINTS or not is_known.all() or errors[-1] >= errors[0]:
        return None
    freedom = float((fits - 1).sum())
    pooled = np.sqrt(((spread / errors) ** 2 @ (fits - 1)) / freedom)
    if pooled == 0:
        return None
    relative = pooled * np.sqrt(1 / fits + test_to_training)
    rng = derive_rng("learning curve of errors", *n.tolist())
    # One drawn scale for all points of a curve, as they share one standard deviation.
    scale = np.sqrt(freedom / rng.chisquare(freedom, (DRAWS, 1)))
    drawn = errors * np.exp(relative * scale * rng.normal(size=(DRAWS, len(n))))
    return _continue(n, np.vstack([errors, drawn]), (relative * errors) ** -2, freedom)


def _continue(
    n: NDArray[np.float64],
    errors: NDArray[np.float64],
    weights: NDArray[np.float64],
    freedom: float = np.inf,
) -> Outlook:
    """Fit the law to every row of errors (draws, points), and look at it further on.

    The interval is that of laws with a floor and of laws without one together, as far as the points
    allow both: one of them alone would be too sure. ``freedom`` are the degrees of freedom of the
    weights.
    """
    from scipy.stats import t

    wanted = np.asarray([n[-1] * f for f in FACTORS], float)
    laws = [_fit(n, errors, weights, has_floor) for has_floor in (False, True)]
    has_floor = len(np.unique(n)) >= POINTS_FOR_FLOOR
    _, b, c = laws[has_floor]
    if np.mean((b >= LARGEST_POWER) & (c <= 0)) > 0.5:
        return UNTOLD
    misfits = [_measure_misfit(law, n, errors[0], weights) for law in laws]
    most_saved = t.ppf((1 + FLOOR_CHANCE) / 2, freedom) ** 2  # χ², or F where weights are estimates
    if has_floor and misfits[0] - misfits[1] > most_saved:
        laws = laws[1:]
    found = [np.maximum(0, c[:, None] + a[:, None] * wanted ** -b[:, None]) for a, b, c in laws]
    middle = np.median(found[-1 if has_floor else 0], axis=0)
    ends = np.array([np.percentile(each, INTERVAL, axis=0) for each in found])
    low, high = ends[:, 0].min(axis=0), ends[:, 1].max(axis=0)
    halved = np.array([_find_halved(law, n[-1]) for law in laws])
    median = halved[-1 if has_floor else 0, 1]
    if median > MOST_TIMES * n[-1]:
        median = halved[:, 1].min()
    few, many = halved[:, 0].min(), halved[:, 2].max()
    return Outlook(wanted, middle, low, high, (float(median), float(few), float(many)))


def _find_halved(law: Law, now: float) -> NDArray[np.float64]:
    """Return the samples at which half of today's error is left: low, median, high of the draws."""
    a, b, c = law
    halved = [_solve(*each) for each in zip(a, b, c, (c + a * now**-b) / 2, strict=True)]
    found: NDArray[np.float64] = np.percentile(
        halved, [INTERVAL[0], 50, INTERVAL[1]], method="nearest"
    )
    return found


def _fit(
    n: NDArray[np.float64],
    errors: NDArray[np.float64],
    weights: NDArray[np.float64],
    has_floor: bool,
) -> Law:
    """Fit a, b and c to every row of errors by weighted least squares.

    For each of a hundred powers b the rest is linear; the best of them counts. a and c are not
    negative, and c is 0 without a floor.
    """
    powers = np.linspace(0.02, LARGEST_POWER, 100)[:, None]
    x = n[None] ** -powers  # (powers, points)
    sw, sx, sxx = weights.sum(), x @ weights, (x**2) @ weights
    se, sxe = errors @ weights, errors @ (x * weights).T  # (draws,), (draws, powers)
    a = sxe / sxx
    c = np.zeros_like(a)
    if has_floor:
        free = (se[:, None] * sxx - sxe * sx) / (sw * sxx - sx**2)
        sloped = (sw * sxe - sx * se[:, None]) / (sw * sxx - sx**2)
        is_possible = (free >= 0) & (sloped >= 0)
        a, c = np.where(is_possible, sloped, a), np.where(is_possible, free, 0.0)
    rest = errors[:, None, :] - c[..., None] - a[..., None] * x
    best = ((rest**2) @ weights).argmin(axis=1)
    rows = np.arange(len(errors))
    return a[rows, best], powers[best, 0], c[rows, best]


def _measure_misfit(
    laws: Law, n: NDArray[np.float64], errors: NDArray[np.float64], weights: NDArray[np.float64]
) -> float:
    """Return χ² of the first of the laws, which was fitted to the points themselves."""
    a, b, c = (float(values[0]) for values in laws)
    return float(weights @ (errors - c - a * n**-b) ** 2)


def _solve(a: float, b: float, c: float, error: float) -> float:
    """Images at which the law falls to an error; infinite if it never does."""
    if error <= c or a <= 0 or b <= 1e-6:
        return float("inf")
    power = np.log(a / (error - c)) / b
    return float("inf") if power > 30 else float(np.exp(power))


def describe_outlook(outlook: Outlook, now: float, counted: str = "images") -> str:
    """Say it in words.

    Parameters
    ----------
    outlook
        What was found.
    now
        Images per class of today.
    counted
        What is counted, in the plural.
    """
    if not outlook.is_told:
        return TOO_FEW_MISTAKES.format(samples=counted)
    expected = list_expected(outlook, lambda share: f"{100 * share:.1f}", " %")
    halved = _describe_halved(outlook, now, "mistakes", f"{counted} per class")
    return _tell(", ".join(expected), f"{counted} per class", halved, counted)


def describe_error_outlook(
    outlook: Outlook, now: float, name: str, show: Callable[[float], str], samples: str
) -> str:
    """Say it of an error.

    Parameters
    ----------
    outlook
        What was found.
    now
        Training samples of today.
    name, show
        What the error is called, and how one is written.
    samples
        What is counted, in the plural.
    """
    if not outlook.is_told:
        return f"How many more {samples}? The error falls too fast to tell."
    expected = f"{name} of {', '.join(list_expected(outlook, show))}"
    return _tell(expected, samples, _describe_halved(outlook, now, "error", samples), samples)


def list_expected(outlook: Outlook, show: Callable[[float], str], unit: str = "") -> list[str]:
    """Say of every number of samples what is expected: ``2.4 % (90 % interval …) with 160``.

    Parameters
    ----------
    outlook
        What was found.
    show
        How a value is written.
    unit
        After the value and the end of its interval, with a space before it.
    """
    return [
        f"{show(middle)}{unit} (90 % interval {show(low)} to {show(high)}{unit}) with {n:.0f}"
        for n, middle, low, high in zip(
            outlook.images, outlook.expected, outlook.low, outlook.high, strict=True
        )
    ]


def _tell(expected: str, counted: str, halved: str, samples: str) -> str:
    return (
        f"How many more {samples}? An inverse power law through the points expects {expected} "
        f"{counted}. {halved}. {SAME_KIND.format(samples=samples)}"
    )


def _describe_halved(outlook: Outlook, now: float, what: str, counted: str) -> str:
    middle, few, many = outlook.halved_at
    if middle > MOST_TIMES * now:
        return f"Half of the {what} would not go away with a hundred times as many"
    most = f"{many:.0f}" if many <= 1000 * now else "any number"
    return (
        f"Half of the {what} would be left with about {middle:.0f} {counted} ({few:.0f} to {most})"
    )
