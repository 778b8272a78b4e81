"""The search behind proposals: parameters, generations of candidates, and a diverse choice."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from batteryscope.tables.networks import Numbers

MAX_LEVELS = 12  # a feature with more distinct values is taken for continuous
POPULATION = 40
STEPS = 1000  # a continuous parameter is proposed in about this many steps of its range


@dataclass(frozen=True)
class Parameter:
    """A feature that can be set.

    ``levels`` are its only values (one: it is fixed); without them every value from
    ``low`` to ``high`` is possible, rounded to ``decimals``.
    """

    name: str
    low: float
    high: float
    levels: tuple[float, ...] = ()
    decimals: int = 0

    @property
    def is_fixed(self) -> bool:
        """Whether there is nothing to choose."""
        return len(self.levels) == 1

    def decode(self, choice: float) -> float:
        """Return the value of a choice: a place among the levels, or a value to round."""
        if self.levels:
            return self.levels[int(choice)]
        # Rounding must not leave the range.
        return float(np.clip(round(choice, self.decimals), self.low, self.high))

    def encode(self, value: float) -> float:
        """Return the choice that comes closest to a value."""
        if self.levels:
            return int(np.argmin(np.abs(np.array(self.levels) - value)))
        return float(np.clip(value, self.low, self.high))


def find_parameters(rows: pd.DataFrame, features: Sequence[str]) -> list[Parameter]:
    """Find what each feature can be set to, from the rows of one domain."""
    parameters = []
    for name in features:
        values = np.unique(rows[name].to_numpy("float64"))
        low, high = float(values[0]), float(values[-1])
        if len(values) <= MAX_LEVELS:
            levels = tuple(float(value) for value in values)
            parameters.append(Parameter(name, low, high, levels))
        else:
            decimals = int(np.ceil(np.log10(STEPS / (high - low))))
            parameters.append(Parameter(name, low, high, decimals=decimals))
    return parameters


def search_parameters(
    parameters: Sequence[Parameter],
    judge: Callable[[Numbers], Numbers],
    trials: int,
    seed: int,
    starts: Numbers,
) -> tuple[Numbers, Numbers]:
    """Search settings that make several objectives small, with NSGA-II.

    Parameters
    ----------
    parameters
        What can be set; at least one is not fixed.
    judge
        (n, n_parameters) settings → (n, n_objectives), all to be minimised.
    trials
        How many settings are judged.
    seed
        The same seed gives the same settings.
    starts
        (m, n_parameters) settings that are tried first; at least half of the first
        generation is random all the same.

    Returns
    -------
    settings : (trials, n_parameters) float array
    objectives : (trials, n_objectives) float array
    """
    import optuna

    free = [parameter for parameter in parameters if not parameter.is_fixed]
    space: dict[str, Any] = {
        p.name: optuna.distributions.IntDistribution(0, len(p.levels) - 1)
        if p.levels
        else optuna.distributions.FloatDistribution(p.low, p.high)
        for p in free
    }
    n_objectives = judge(starts[:1]).shape[1]
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        # The blend makes values between and around those of the parents; optuna calls all
        # crossovers but the uniform one experimental.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.NSGAIISampler(
            population_size=POPULATION,
            crossover=optuna.samplers.nsgaii.BLXAlphaCrossover(),
            seed=seed,
        )
    study = optuna.create_study(directions=["minimize"] * n_objectives, sampler=sampler)
    places = {parameter.name: place for place, parameter in enumerate(parameters)}
    for row in starts[: POPULATION // 2]:
        study.enqueue_trial({p.name: p.encode(row[places[p.name]]) for p in free})

    settings: list[Numbers] = []
    objectives: list[Numbers] = []
    while (done := sum(map(len, settings))) < trials:
        # A whole generation at a time, so that the networks are asked rarely.
        asked = [study.ask(space) for _ in range(min(POPULATION, trials - done))]
        values = np.array(
            [[p.decode(trial.params.get(p.name, 0)) for p in parameters] for trial in asked]
        )
        judged = judge(values)
        for trial, own in zip(asked, judged.tolist(), strict=True):
            study.tell(trial, own)
        settings.append(values)
        objectives.append(judged)
    return np.concatenate(settings), np.concatenate(objectives)


def find_pareto_front(objectives: Numbers) -> NDArray[np.bool_]:
    """Tell which rows of (n, n_objectives) no other row beats in all objectives."""
    no_worse = (objectives[:, None] <= objectives[None]).all(axis=2)
    better = (objectives[:, None] < objectives[None]).any(axis=2)
    return np.logical_not((no_worse & better).any(axis=0))


def choose_diverse(points: Numbers, first: int, count: int) -> list[int]:
    """Choose points far from each other: always the one farthest from those already chosen.

    Parameters
    ----------
    points
        (n, n_parameters), in units in which distances mean something.
    first
        Which point is chosen first.
    count
        How many at most; equal points are chosen once.

    Returns
    -------
    list of int
        Row numbers in the order of choice.
    """
    chosen = [first]
    distance = np.linalg.norm(points - points[first], axis=1)
    while len(chosen) < count and distance.max() > 0:
        farthest = int(distance.argmax())
        chosen.append(farthest)
        distance = np.minimum(distance, np.linalg.norm(points - points[farthest], axis=1))
    return chosen
