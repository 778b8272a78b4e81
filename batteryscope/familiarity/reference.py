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
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from sklearn.covariance import ledoit_wolf_shrinkage

Measured = Mapping[str, NDArray[np.float64]]
MOST_DIRECTIONS = 48
NEIGHBOURS = 5
ROUNDING = 1e-3  # what a sample at the limit may differ by on another processor
SMALLEST_SCALE, SMALLEST_SHARE = 1e-6, 0.01
MOST_NUMBERS = 200_000  # of the directions of one measure


@dataclass(frozen=True)
class Measure:
    """What training samples are like in one respect; p numbers per sample.

    Attributes
    ----------
    centre, scale : (p,) arrays
        Mean and spread of every number.
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

    def locate(
        self, samples: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return (m, d) places along the directions, and (m,) squared distances in all others."""
        standard = (samples - self.centre) / self.scale
        along = standard @ self.directions.T
        across = np.maximum((standard**2).sum(axis=1) - (along**2).sum(axis=1), 0)
        return along / self.spreads, across / self.rest**2

    def find_distances(
        self, samples: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return how far (m, p) samples are from the training samples, and which is nearest."""
        places, across = self.locate(samples)
        squares = cdist(places, self.points, "sqeuclidean")
        count = min(NEIGHBOURS, len(self.points))
        near = np.partition(squares, count - 1, axis=1)[:, :count].mean(axis=1)
        return np.sqrt(near + across), squares.argmin(axis=1)


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
    """A reference, and what its limit rests on: ``share`` of ``n_held_out`` samples exceed it."""

    reference: Reference
    n_held_out: int
    share: float


def learn_measure(samples: NDArray[np.float64]) -> Measure:
    """Learn what (n, p) training samples are like; n at least 2.

    A number that never changed counts as spread by a hundredth of its size.
    """
    samples = np.asarray(samples, dtype=np.float64)
    centre, spread = samples.mean(axis=0), samples.std(axis=0)
    scale = np.maximum(spread, SMALLEST_SHARE * np.abs(centre) + SMALLEST_SCALE)
    standard = (samples - centre) / scale
    shrinkage = float(ledoit_wolf_shrinkage(standard, assume_centered=True))
    _, singular, directions = np.linalg.svd(standard, full_matrices=False)
    variances = singular**2 / len(samples)
    n_numbers = samples.shape[1]
    total = max(float(variances.sum()), SMALLEST_SCALE)
    count = max(1, min(MOST_DIRECTIONS, len(variances) - 1, MOST_NUMBERS // n_numbers))
    toward = total / n_numbers
    kept = (1 - shrinkage) * variances[:count] + shrinkage * toward
    left = max(total - float(variances[:count].sum()), 0) / max(n_numbers - count, 1)
    rest = (1 - shrinkage) * left + shrinkage * toward
    directions, spreads = directions[:count], np.sqrt(np.maximum(kept, SMALLEST_SCALE))
    points = standard @ directions.T / spreads
    return Measure(
        centre, scale, directions, spreads, float(np.sqrt(max(rest, SMALLEST_SCALE))), points
    )


def calibrate_reference(
    folds: Sequence[tuple[Measured, Measured]],
    false_alarms: float,
    every: Measured | None = None,
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

    Raises
    ------
    ValueError
        No sample was held out, or fewer than 2 were not.
    """
    learnt = [{name: learn_measure(known[name]) for name in known} for known, _ in folds]
    distances = {
        name: np.concatenate(
            [
                measures[name].find_distances(np.asarray(held[name], np.float64))[0]
                for measures, (_, held) in zip(learnt, folds, strict=True)
            ]
        )
        for name in learnt[0]
    }
    limits = {name: find_limit(values, false_alarms)[0] for name, values in distances.items()}
    largest = np.max([distances[name] / limits[name] for name in limits], axis=0)
    limit, share = find_limit(largest, false_alarms)
    limit *= 1 + ROUNDING
    kept = learnt[0] if every is None else {name: learn_measure(every[name]) for name in every}
    measures = {
        name: Measure(**(vars(measure) | {"limit": limits[name]})) for name, measure in kept.items()
    }
    return Calibrated(Reference(measures, limit), len(largest), share)


def find_limit(values: NDArray[np.float64], share: float) -> tuple[float, float]:
    """Return the value that a new one exceeds with the given probability, and that probability.

    The ⌈(n + 1)(1 − share)⌉-th smallest of n; where that is more than n, the largest, which a
    new one exceeds with the probability 1 / (n + 1).
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    if not len(ordered):
        raise ValueError("no sample was held out")
    rank = min(int(np.ceil((len(ordered) + 1) * (1 - share) - 1e-9)), len(ordered))
    limit = max(float(ordered[rank - 1]), SMALLEST_SCALE)
    return limit, 1 - rank / (len(ordered) + 1)
