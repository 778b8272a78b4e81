"""How candidates are drawn from the space, and when one is stopped."""

import warnings
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel

from batteryscope.config.search import Interval, SearchSettings
from batteryscope.search.plan import Strategy
from batteryscope.seeds import derive_seed

if TYPE_CHECKING:
    import optuna


def make_sampler(strategy: Strategy, seed: int, candidate: int) -> "optuna.samplers.BaseSampler":
    """Draw by a tree-structured Parzen estimator (``asha``) or at random.

    Every candidate has a seed of its own. With one per worker, a worker that is started anew, or
    one of the same number on another machine, would draw the same values again.
    """
    import optuna

    own = derive_seed(seed, "search", strategy, candidate)
    if strategy == "random":
        return optuna.samplers.RandomSampler(seed=own)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        # Candidates that others still train count as bad, so that workers do not crowd.
        return optuna.samplers.TPESampler(seed=own, constant_liar=True)


def make_pruner(strategy: Strategy, settings: SearchSettings) -> "optuna.pruners.BasePruner":
    """Asynchronous successive halving for ``asha``; random search stops nothing."""
    import optuna

    if strategy == "random":
        return optuna.pruners.NopPruner()
    return optuna.pruners.SuccessiveHalvingPruner(
        min_resource=settings.min_epochs, reduction_factor=settings.reduction_factor
    )


def find_direction(settings: SearchSettings) -> Literal["maximize", "minimize"]:
    """Which way the metric is better, in Optuna's words."""
    return "minimize" if settings.is_error else "maximize"


def draw_values(
    trial: "optuna.Trial", settings: SearchSettings, recipe: type[BaseModel]
) -> dict[str, Any]:
    """Draw a value for every key of the space; ``recipe`` tells which are whole numbers."""
    values: dict[str, Any] = {}
    for key, choices in settings.space.items():
        if not isinstance(choices, Interval):
            values[key] = trial.suggest_categorical(key, choices)
        elif settings.is_integer(key, recipe):
            values[key] = trial.suggest_int(
                key, int(choices.low), int(choices.high), log=choices.log
            )
        else:
            values[key] = trial.suggest_float(key, choices.low, choices.high, log=choices.log)
    return values


def count_random_trials(epochs: int, max_epochs: int) -> int:
    """Return how many candidates random search can train to the end in so many epochs."""
    return max(1, round(epochs / max_epochs))
