"""How far a sample is from all training samples, and from which distance on it counts as unlike.

Several things are measured of a sample (features of the network, grey levels, sharpness; of a row
its inputs). In each, the distance is taken in directions of equal spread: the covariance of the
training samples, shrunk after Ledoit and Wolf (2004, doi:10.1016/S0047-259X(03)00096-4), since
there are fewer samples than features. Its largest directions are kept, all others count as one.
Within them the distance is that to the nearest training samples, so that training data may be of
several kinds; the classes are not asked.

Every distance is divided by its limit, which so few held-out samples exceed as false alarms are
allowed; the largest of them is the score, with a limit of its own found in the same way. A score
above 1 is an alarm.

Held-out samples of one group (slices of a cell, pictures of a specimen) count together as one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray
from sklearn.covariance import ledoit_wolf_shrinkage

from batteryscope.core.conformal import find_conformal_quantile

Measured = Mapping[str, NDArray[np.float64]]
MOST_DIRECTIONS = 48
NEIGHBOURS = 5
ROUNDING = 1e-3  # what a sample at the limit may differ by on another processor
SMALLEST_SCALE, SMALLEST_SHARE = 1e-6, 0.01
USUAL_SHARE = 0.05  # of the usual spread: numbers that hardly vary count as varying so much
FARTHEST = 20.0  # spreads; beyond, one number alone says no more
MOST_NUMBERS = 200_000  # of the directions of one measure


# Compiled, since a prediction asks about one sample at a time: a dozen small operations of NumPy
# for each measure would take several times as long.
@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def find_nearest(
    samples: NDArray[np.float64],
    centre: NDArray[np.float64],
    scale: NDArray[np.float64],
    directions: NDArray[np.float64],
    spreads: NDArray[np.float64],
    rest: float,
    points: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return distances of (m, p) samples and the numbers of their nearest training samples, (m,).

    The other parameters are the attributes of :class:`Measure`.
    """
    n_directions, n_points = len(spreads), len(points)
    count = min(NEIGHBOURS, n_points)
    distances, nearest = np.empty(len(samples)), np.empty(len(samples), np.int64)
    place, squares = np.empty(n_directions), np.empty(n_points)
    for i in range(len(samples)):
        standard = np.minimum(np.maximum((samples[i] - centre) / scale, -FARTHEST), FARTHEST)
        left = 0.0
        for j in range(len(standard)):
            left += standard[j] * standard[j]
        for k in range(n_directions):
            along = 0.0
            for j in range(len(standard)):
                along += standard[j] * directions[k, j]
            left -= along * along
            place[k] = along / spreads[k]
        for number in range(n_points):
            square = 0.0
            for k in range(n_directions):
                apart = place[k] - points[number, k]
                square += apart * apart
            squares[number] = square
        nearest[i] = squares.argmin()
        near = np.sort(squares)[:count].mean()
        distances[i] = np.sqrt(near + max(left, 0.0) / (rest * rest))
    return distances, nearest


@dataclass(frozen=True)
class Measure:
    """What training samples are like in one respect; p numbers per sample.

    Attributes
    ----------
    centre, scale : (p,) arrays
        Mean and spread of every number, above a floor for those that hardly vary.
    directions : (d, p) array
        Orthonormal, those in which standardised training samples vary most.
    spreads : (d,) array
        Standard deviation along each, after shrinking.
    rest
        The same for every other direction.
    points : (n, d) array
        Training samples along the directions, in units of their spread.
    limit
        The distance that held-out samples exceed as often as false alarms are allowed.
    """

    centre: NDArray[np.float64]
    scale: NDArray[np.float64]
    directions: NDArray[np.float64]
    spreads: NDArray[np.float64]
    rest: float
    points: NDArray[np.float64]
    limit: float = 1.0

    def find_distances(
        self, samples: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return how far (m, p) samples are from the training samples, and which is nearest.

        Where they lie along the directions, in units of their spread, counts as the mean of the
        squared distances to the nearest training samples; how far they lie in all others is added.
        """
        return find_nearest(
            np.ascontiguousarray(samples, np.float64),
            self.centre,
            self.scale,
            self.directions,
            self.spreads,
            self.rest,
            self.points,
        )


@dataclass(frozen=True)
class Reference:
    """What training samples are like, in all that is measured.

    ``limit`` is that of the largest of the distances, each in units of its own limit.
    ``first`` names the measure by which the nearest sample is told.
    """

    measures: Mapping[str, Measure]
    limit: float

    @property
    def first(self) -> str:
        """The measure whose nearest sample is named."""
        return next(iter(self.measures))

    def judge(self, measured: Measured) -> "Judged":
        """Compare samples, of which each measure has an (m, p) array."""
        shares, nearest = {}, None
        for name, measure in self.measures.items():
            distances, numbers = measure.find_distances(np.asarray(measured[name], np.float64))
            shares[name] = distances / (measure.limit * self.limit)
            nearest = numbers if nearest is None else nearest
        assert nearest is not None
        return Judged(np.max(list(shares.values()), axis=0), shares, nearest)


@dataclass(frozen=True)
class Judged:
    """How unlike the training samples others are; m samples.

    Attributes
    ----------
    scores : (m,) array
        1 is the limit.
    shares
        The same of every measure.
    nearest : (m,) array
        Number of the nearest training sample.
    """

    scores: NDArray[np.float64]
    shares: Mapping[str, NDArray[np.float64]]
    nearest: NDArray[np.int64]


@dataclass(frozen=True)
class Calibrated:
    """A reference, and what its limit rests on.

    ``share`` of new groups exceed it, as far as ``n_held_out`` samples of ``n_groups`` tell.
    """

    reference: Reference
    n_held_out: int
    n_groups: int
    share: float


def learn_measure(samples: NDArray[np.float64], smallest_scale: ArrayLike = 0.0) -> Measure:
    """Learn what (n, p) training samples are like; n at least 2.

    A number that never changed counts as spread by a hundredth of its size, and none by less
    than ``smallest_scale``, of all numbers or (p,) of each.
    """
    samples = np.asarray(samples, dtype=np.float64)
    centre, spread = samples.mean(axis=0), samples.std(axis=0)
    scale = np.maximum(spread, SMALLEST_SHARE * np.abs(centre) + SMALLEST_SCALE)
    scale = np.maximum(scale, smallest_scale)
    standard = _standardise(samples, centre, scale)
    shrinkage = float(ledoit_wolf_shrinkage(standard, assume_centered=True))
    _, singular, directions = np.linalg.svd(standard, full_matrices=False)
    variances = singular**2 / len(samples)
    n_numbers = samples.shape[1]
    total = max(float(variances.sum()), SMALLEST_SCALE)
    # Of fewer samples than numbers the last direction has no variance: the mean took it.
    n_directions = len(variances) - (len(samples) <= n_numbers)
    count = max(1, min(MOST_DIRECTIONS, n_directions, MOST_NUMBERS // n_numbers))
    toward = total / n_numbers
    kept = (1 - shrinkage) * variances[:count] + shrinkage * toward
    left = max(total - float(variances[:count].sum()), 0) / max(n_numbers - count, 1)
    rest = (1 - shrinkage) * left + shrinkage * toward if count < n_numbers else 1.0
    directions, spreads = directions[:count], np.sqrt(np.maximum(kept, SMALLEST_SCALE))
    points = standard @ directions.T / spreads
    return Measure(
        centre, scale, directions, spreads, float(np.sqrt(max(rest, SMALLEST_SCALE))), points
    )


def find_usual_floor(samples: NDArray[np.float64]) -> float:
    """Return the least spread that counts among (n, p) numbers of one unit.

    A share of the median spread of those that vary: what stood still in training, or moved in
    one sample of hundreds, would otherwise outweigh all others once it moves a little.
    """
    spread = np.asarray(samples, dtype=np.float64).std(axis=0)
    varying = spread[spread > SMALLEST_SCALE]
    return USUAL_SHARE * float(np.median(varying)) if len(varying) else 0.0


def calibrate_reference(
    folds: Sequence[tuple[Measured, Measured]],
    false_alarms: float,
    every: Measured | None = None,
    groups: Sequence[ArrayLike] | None = None,
    one_unit: Mapping[str, float] | None = None,
) -> Calibrated:
    """Learn from training samples, and find the limits on samples that were held out.

    Parameters
    ----------
    folds
        For every division the measures of its training samples and of those held out from them.
        What the training samples of the first are like is kept; the limits rest on all.
    every
        Samples that are kept instead, where nothing else depends on the division.
    false_alarms
        Share of held-out samples that may exceed the limit. Where there are too few to tell it,
        the limit is the farthest of them.
    groups
        For every division what each sample that was held out belongs to; those of one group
        count as one. Without it every sample is a group of its own.
    one_unit
        Measures whose numbers share a unit, with the least spread that counts in it; spreads
        are compared among them. Numbers of other measures are compared with ``every``.

    Raises
    ------
    ValueError
        No sample was held out, or fewer than 2 were not.
    """

    def learn(known: Measured) -> dict[str, Measure]:
        return {
            name: learn_measure(samples, _find_floor(name, samples, every, one_unit or {}))
            for name, samples in known.items()
        }

    learnt = [learn(known) for known, _ in folds]
    distances = {
        name: np.concatenate(
            [
                measures[name].find_distances(np.asarray(held[name], np.float64))[0]
                for measures, (_, held) in zip(learnt, folds, strict=True)
            ]
        )
        for name in learnt[0]
    }
    if groups is None:
        names = np.arange(len(next(iter(distances.values())))).astype(str)
    else:
        names = np.concatenate([np.asarray(own, dtype=str) for own in groups])
    limits = {
        name: find_limit(values, false_alarms, names)[0] for name, values in distances.items()
    }
    largest = np.max([distances[name] / limits[name] for name in limits], axis=0)
    limit, share = find_limit(largest, false_alarms, names)
    limit *= 1 + ROUNDING
    kept = learnt[0] if every is None else learn(every)
    measures = {name: replace(measure, limit=limits[name]) for name, measure in kept.items()}
    return Calibrated(Reference(measures, limit), len(largest), len(np.unique(names)), share)


def find_limit(
    values: NDArray[np.float64], share: float, groups: ArrayLike | None = None
) -> tuple[float, float]:
    """Return the value that a new one exceeds with the given probability, and that probability.

    The ⌈(n + 1)(1 − share)⌉-th smallest of n; where that is more than n, the largest, which a
    new one exceeds with the probability 1 / (n + 1). Of several values in each of n groups every
    group counts once (:func:`~batteryscope.core.conformal.find_conformal_quantile`).
    """
    values = np.asarray(values, dtype=np.float64)
    if not len(values):
        raise ValueError("no sample was held out")
    names = np.arange(len(values)) if groups is None else np.asarray(groups, dtype=str)
    limit = min(find_conformal_quantile(values, 1 - share, names), float(values.max()))
    _, place, sizes = np.unique(names, return_inverse=True, return_counts=True)
    within = float((1 / sizes[place])[values <= limit].sum()) / (len(sizes) + 1)
    return max(limit, SMALLEST_SCALE), 1 - within


def _find_floor(
    name: str, samples: NDArray[np.float64], every: Measured | None, one_unit: Mapping[str, float]
) -> ArrayLike:
    if name in one_unit:
        return max(find_usual_floor(samples), one_unit[name])
    return 0.0 if every is None else USUAL_SHARE * np.asarray(every[name], np.float64).std(axis=0)


def _standardise(
    samples: NDArray[np.float64], centre: NDArray[np.float64], scale: NDArray[np.float64]
) -> NDArray[np.float64]:
    return np.clip((samples - centre) / scale, -FARTHEST, FARTHEST)
