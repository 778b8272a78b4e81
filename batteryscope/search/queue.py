"""The queue of candidates: filled once, taken from by workers, and nothing lost by a kill.

All candidates wait in the database from the start, each with a number of its own (``slot``).
A worker takes the next, and gives signs of life while it trains. If they stop, any other
worker puts the candidate back. A search is over when every slot has ended.
"""

import logging
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from batteryscope.core.names import describe_failure
from batteryscope.errors import BatteryscopeError, ConfigError
from batteryscope.search.storage import lock_storage

if TYPE_CHECKING:
    import optuna
    from optuna.storages import RDBStorage
    from optuna.trial import FrozenTrial

log = logging.getLogger("batteryscope")
SLOT = "slot"


@dataclass(frozen=True)
class Queue:
    """An open search: the Optuna study, where it is stored, and who draws a candidate's values."""

    study: "optuna.Study"
    storage: "RDBStorage"
    url: str
    make_sampler: "Callable[[int], optuna.samplers.BaseSampler] | None" = None

    @property
    def study_id(self) -> int:
        """Number of the study in the database."""
        return int(self.storage.get_study_id_from_name(self.study.study_name))


def create_queue(
    storage: "RDBStorage",
    url: str,
    name: str,
    direction: Literal["maximize", "minimize"],
    n_slots: int,
) -> int:
    """Create the study unless it exists, and add waiting candidates up to ``n_slots``.

    Parameters
    ----------
    storage, url
        The open database and its address.
    name
        Of the study.
    direction
        ``maximize`` or ``minimize``.
    n_slots
        How many candidates there shall be; existing ones are never removed.

    Returns
    -------
    int
        How many were added.
    """
    import optuna

    with lock_storage(url):
        study = optuna.create_study(
            study_name=name, storage=storage, direction=direction, load_if_exists=True
        )
        known = {trial.user_attrs[SLOT] for trial in study.get_trials(deepcopy=False)}
        missing = sorted(set(range(n_slots)) - known)
        for slot in missing:
            study.enqueue_trial({}, user_attrs={SLOT: slot})
    return len(missing)


def run_queue(
    queue: Queue,
    train: Callable[["optuna.Trial"], float],
    heartbeat_s: float,
    on_end: Callable[["FrozenTrial"], None] = lambda _: None,
) -> int:
    """Train candidates until every slot has ended, also those of workers that died meanwhile.

    Parameters
    ----------
    queue
        The search.
    train
        Trains one candidate and returns its value; it may raise ``optuna.TrialPruned``. After
        any other error the candidate counts as failed and the search goes on.
    heartbeat_s
        Seconds between signs of life.
    on_end
        Hears of every candidate that this worker ended.

    Returns
    -------
    int
        How many candidates this worker ended.
    """
    ended = 0
    while True:
        trial = _claim(queue)
        if trial is None:
            if not _list(queue, "RUNNING"):
                return ended
            time.sleep(heartbeat_s / 2)  # the others may die, and leave theirs to us
            continue
        with _signs_of_life(queue, trial._trial_id, heartbeat_s):
            finished = _run_one(queue, trial, train)
        if finished is not None:
            ended += 1
            on_end(finished)


def list_slots(study: "optuna.Study") -> "dict[int, FrozenTrial]":
    """Return the trial that counts for every slot: the first that ended, else the latest."""
    slots: dict[int, FrozenTrial] = {}
    for trial in study.get_trials(deepcopy=False):
        slot = int(trial.user_attrs[SLOT])
        if slot not in slots or not is_over(slots[slot]):
            slots[slot] = trial
    return dict(sorted(slots.items()))


def is_over(trial: "FrozenTrial") -> bool:
    """Whether a candidate was trained to the end or stopped early."""
    return trial.state.name in ("COMPLETE", "PRUNED")


def _run_one(
    queue: Queue, trial: "optuna.Trial", train: Callable[["optuna.Trial"], float]
) -> "FrozenTrial | None":
    """Train one candidate and write down how it ended; None if it was taken from us."""
    import optuna

    state, value = optuna.trial.TrialState.COMPLETE, None
    try:
        try:
            value = train(trial)
        except optuna.TrialPruned:
            state = optuna.trial.TrialState.PRUNED
        except optuna.exceptions.OptunaError:
            raise  # of the database, not of the candidate
        except Exception as error:
            # Its settings do not go together, or need more memory than there is; others may do.
            state = optuna.trial.TrialState.FAIL
            known = isinstance(error, BatteryscopeError)
            problem = str(error) if known else f"{type(error).__name__}: {describe_failure(error)}"
            trial.set_user_attr("problem", problem)
            log.warning("Candidate %d failed: %s", trial.user_attrs[SLOT], problem)
        # Under the lock, so that nobody declares it dead at this very moment.
        with lock_storage(queue.url):
            return queue.study.tell(trial, value, state)
    except (optuna.exceptions.UpdateFinishedTrialError, ValueError) as error:
        current = queue.storage.get_trial(trial._trial_id)
        if current.state != optuna.trial.TrialState.FAIL:
            raise
        log.warning(
            "Candidate %d took too long to give a sign of life and was handed on (%s).",
            current.user_attrs[SLOT],
            type(error).__name__,
        )
        return None


def _claim(queue: Queue) -> "optuna.Trial | None":
    """Take the next waiting candidate, after putting back those of dead workers."""
    import optuna

    with lock_storage(queue.url):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            optuna.storages.fail_stale_trials(queue.study)
        over = {slot for slot, trial in list_slots(queue.study).items() if is_over(trial)}
        for waiting in _list(queue, "WAITING"):
            if waiting.user_attrs[SLOT] in over:
                queue.storage.set_trial_state_values(
                    waiting._trial_id, optuna.trial.TrialState.FAIL
                )
                continue
            # First a sign of life: without any, a worker killed right here would go unnoticed.
            queue.storage.record_heartbeat(waiting._trial_id)
            try:
                taken = queue.storage.set_trial_state_values(
                    waiting._trial_id, optuna.trial.TrialState.RUNNING
                )
            except optuna.exceptions.UpdateFinishedTrialError:
                continue
            if taken:
                if queue.make_sampler is not None:
                    queue.study.sampler = queue.make_sampler(int(waiting.user_attrs[SLOT]))
                return optuna.Trial(queue.study, waiting._trial_id)
    return None


def _list(queue: Queue, state: str) -> "list[FrozenTrial]":
    import optuna

    states = (optuna.trial.TrialState[state],)
    return queue.storage.get_all_trials(queue.study_id, deepcopy=False, states=states)


@contextmanager
def _signs_of_life(queue: Queue, trial_id: int, interval_s: float) -> Iterator[None]:
    """Tell the database from a thread of its own that this trial is alive."""
    stop = threading.Event()

    def beat() -> None:
        while not stop.wait(interval_s):
            try:
                queue.storage.record_heartbeat(trial_id)
            except Exception as error:  # the next one may pass
                log.warning("No sign of life could be written: %s", type(error).__name__)

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def load_queue(
    storage: "RDBStorage",
    url: str,
    name: str,
    make_sampler: "Callable[[int], optuna.samplers.BaseSampler] | None" = None,
    pruner: "optuna.pruners.BasePruner | None" = None,
) -> Queue:
    """Open a search that :func:`create_queue` has created.

    Parameters
    ----------
    storage, url, name
        The open database, its address, and the name of the search in it.
    make_sampler
        Makes what draws the values of a candidate from its number; only a worker needs it.
    pruner
        Tells when a candidate is stopped; only a worker needs it.

    Raises
    ------
    ConfigError
        If the database does not know it.
    """
    import optuna

    try:
        study = optuna.load_study(study_name=name, storage=storage, pruner=pruner)
    except KeyError:
        raise ConfigError(
            f"search.storage: the database holds no search '{name}'; delete the folder of the "
            "search below work/ and run it again."
        ) from None
    return Queue(study, storage, url, make_sampler)
