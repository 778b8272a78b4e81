"""One candidate: values are drawn, a trainer trains, and the search may stop it early."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import optuna

from batteryscope.errors import InputError
from batteryscope.search.plan import SearchPlan
from batteryscope.search.queue import SLOT
from batteryscope.search.sampling import draw_values
from batteryscope.training.callbacks import EpochListener


class TrainedCandidate(NamedTuple):
    """What a candidate is worth, and what it took."""

    value: float
    epochs: int
    seconds: float


class CandidateTrainer(Protocol):
    """What trains the candidates of one kind of study, on data without the test part."""

    def train(
        self, slot: int, values: Mapping[str, Any], folder: Path, listener: EpochListener
    ) -> TrainedCandidate:
        """Train candidate ``slot``, telling the listener its metric.

        ``folder`` is for whatever it needs to go on after a kill.
        """


class Pruned(EpochListener):
    """Reports every epoch to the search, which may stop the training; passes it on."""

    def __init__(
        self,
        trial: optuna.Trial,
        metric: str,
        max_epochs: int,
        other: EpochListener | None,
    ) -> None:
        self.trial = trial
        self.metric = metric
        self.max_epochs = max_epochs
        self.other = other
        # Of a candidate whose worker died: the values that it has told already.
        trials = trial.study.get_trials(deepcopy=False)
        self.known = {
            step for t in trials if t.number == trial.number for step in t.intermediate_values
        }

    def log_epoch(self, epoch: int, metrics: dict[str, float]) -> None:
        """Report the metric of one epoch.

        Raises
        ------
        optuna.TrialPruned
            If the candidate is to stop here.
        """
        if self.other is not None:
            self.other.log_epoch(epoch, metrics)
        if epoch + 1 in self.known:
            return
        self.trial.report(metrics[self.metric], epoch + 1)
        self.trial.set_user_attr("epochs", epoch + 1)
        # After its last epoch there is nothing left to save.
        if epoch + 1 < self.max_epochs and self.trial.should_prune():
            raise optuna.TrialPruned

    def finish(self, status: str) -> None:
        """Pass the end on."""
        if self.other is not None:
            self.other.finish(status)


def train_candidate(
    trial: optuna.Trial,
    plan: SearchPlan,
    trainer: CandidateTrainer,
    state_dir: Path,
    listen: Callable[[int, dict[str, Any]], EpochListener | None] = lambda *_: None,
) -> float:
    """Draw the settings of a candidate, train it and return its validation metric.

    Parameters
    ----------
    trial
        The candidate.
    plan
        The search.
    trainer
        Trains it.
    state_dir
        Folder for all candidates: a killed one goes on there.
    listen
        Makes a listener from number and values of the candidate.

    Returns
    -------
    float
        What the candidate is worth.

    Raises
    ------
    optuna.TrialPruned
        If it was stopped early.
    BatteryscopeError
        If its settings do not go together, or its metric is no number.
    """
    search, metric = plan.settings, str(plan.settings.metric)
    values = draw_values(trial, search, plan.recipe)
    slot = int(trial.user_attrs[SLOT])
    folder = state_dir / f"candidate_{slot:04d}"
    listener = Pruned(trial, metric, search.max_epochs, listen(slot, values))
    try:
        trained = trainer.train(slot, values, folder, listener)
        if not np.isfinite(trained.value):
            raise InputError(f"{plan.study} candidate {slot}: {metric} is not a number.")
        trial.set_user_attr("epochs", trained.epochs)
        trial.set_user_attr("seconds", trained.seconds)
        listener.finish("FINISHED")
    except BaseException as error:
        pruned = isinstance(error, optuna.TrialPruned)
        listener.finish("FINISHED" if pruned else "FAILED")
        if pruned:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)
    return trained.value
