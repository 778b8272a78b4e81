"""Train all networks of a study: those of one shape together, parents before children."""

import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from batteryscope.config.table_study import TableTrainSettings
from batteryscope.errors import InputError
from batteryscope.seeds import derive_rng
from batteryscope.tables.fit_processes import fit_task
from batteryscope.tables.fit_stack import Examples, StackHistory, StackTraining, count_steps
from batteryscope.tables.network_tasks import NetworkTask, Rows, TrainedNetwork
from batteryscope.tables.networks import (
    AdapterStack,
    NetworkStack,
    Stack,
    find_adapter_nodes,
    join_networks,
    predict_rows,
    take_network,
)

log = logging.getLogger("batteryscope")

# Kinds of models that are fitted one by one, without epochs.
_AT_ONCE: dict[str, Callable[[NetworkTask, Mapping[str, TrainedNetwork]], TrainedNetwork]] = {
    "process": fit_task
}


def train_tasks(
    tasks: Sequence[NetworkTask],
    settings: TableTrainSettings,
    seed: int,
    known: Mapping[str, TrainedNetwork] | None = None,
) -> dict[str, TrainedNetwork]:
    """Train all tasks; each result is what the task gives when it is trained alone.

    Parameters
    ----------
    tasks
        In any order; parents are trained first.
    settings
        Optimisation.
    seed
        With ``seed_names`` of a task it decides all random numbers.
    known
        What was trained before, by name.

    Returns
    -------
    dict
        By name, in the order of ``tasks``.

    Raises
    ------
    InputError
        If a task lacks rows, or all restarts of a task diverged.
    ValueError
        If a parent is none of the tasks, or itself an adapter.
    """
    for task in tasks:
        _check_rows(task)
    trained = dict(known or {})
    waiting = [task for task in tasks if task.name not in trained]
    while waiting:
        ready = [task for task in waiting if task.parent is None or task.parent in trained]
        if not ready:
            raise ValueError(f"'{waiting[0].parent}', parent of '{waiting[0].name}', is no task.")
        names = {task.name for task in ready}
        waiting = [task for task in waiting if task.name not in names]
        for task in ready:
            if fit := _AT_ONCE.get(task.kind):
                trained[task.name] = fit(task, trained)
        networks = [task for task in ready if task.name not in trained]
        for group in start_groups(networks, trained, settings, seed):
            group.advance(settings.epochs)
            trained |= group.finish()
        log.info("%d of %d models trained", len(trained), len(tasks))
    return {task.name: trained[task.name] for task in tasks}


def count_fits(tasks: Sequence[NetworkTask], settings: TableTrainSettings) -> int:
    """Count what is trained: the restarts of every network, and one fit of other models."""
    return sum(1 if task.kind in _AT_ONCE else settings.restarts for task in tasks)


def _check_rows(task: NetworkTask) -> None:
    for role, rows in (("training", task.train), ("validation", task.validation)):
        if not len(rows):
            raise InputError(
                f"{task.name}: found no {role} rows for the target '{task.target}'; expected at "
                "least 1; add rows or change the fractions in split."
            )


def _group_tasks(tasks: Sequence[NetworkTask], batch_size: int) -> list[list[NetworkTask]]:
    """Put together what can be trained in one stack."""
    groups: dict[tuple[object, ...], list[NetworkTask]] = defaultdict(list)
    for task in tasks:
        shape = (task.network.hidden_layers, task.network.nodes, task.train.features.shape[1])
        if task.kind == "adapter":
            shape = (1, find_adapter_nodes(task.network), 1)
        groups[task.kind, *shape, count_steps(len(task.train), batch_size)].append(task)
    return list(groups.values())


def start_groups(
    tasks: Sequence[NetworkTask],
    trained: Mapping[str, TrainedNetwork],
    settings: TableTrainSettings,
    seed: int,
) -> "list[GroupTraining]":
    """Prepare the training of tasks whose parents are trained; those of one shape share a stack."""
    groups = _group_tasks(tasks, settings.batch_size)
    return [GroupTraining(group, trained, settings, seed) for group in groups]


class GroupTraining:
    """The training of tasks of one shape, which can stop and go on.

    Parameters
    ----------
    tasks
        Of one shape.
    trained
        Their parents, by name.
    settings, seed
        As for :func:`train_tasks`.
    """

    def __init__(
        self,
        tasks: Sequence[NetworkTask],
        trained: Mapping[str, TrainedNetwork],
        settings: TableTrainSettings,
        seed: int,
    ) -> None:
        self.tasks, self.settings = tasks, settings
        self.parents = [_find_parent(task, trained) for task in tasks]
        pairs = list(zip(tasks, self.parents, strict=True))
        train = [_take_examples(task, task.train, parent) for task, parent in pairs]
        validation = [_take_examples(task, task.validation, parent) for task, parent in pairs]
        restarts = settings.restarts
        self.stack = _start_stack(tasks, self.parents, train, restarts, seed)

        def repeat(examples: Sequence[Examples]) -> list[Examples]:
            return [example for example in examples for _ in range(restarts)]

        rngs = [
            derive_rng(seed, *task.seed_names, restart, "batches")
            for task in tasks
            for restart in range(restarts)
        ]
        self.training = StackTraining(self.stack, repeat(train), repeat(validation), settings, rngs)

    def advance(self, epochs: int) -> None:
        """Train so many more epochs."""
        self.training.advance(epochs)

    def judge(self) -> dict[str, float]:
        """Return the validation error so far, in percent, by name of the task.

        Raises
        ------
        InputError
            If all restarts of a task diverged.
        """
        history = self.training.describe()
        chosen = _choose_restarts(self.tasks, history, self.settings)
        return {
            t.name: float(history.best_mape[i]) for t, i in zip(self.tasks, chosen, strict=True)
        }

    def finish(self) -> dict[str, TrainedNetwork]:
        """Return the best of the restarts of every task, by name.

        Raises
        ------
        InputError
            If all restarts of a task diverged.
        """
        self.training.keep_best()
        history = self.training.describe()
        chosen = _choose_restarts(self.tasks, history, self.settings)
        return {
            task.name: _take_network(task, parent, self.stack, history, i, self.settings)
            for task, parent, i in zip(self.tasks, self.parents, chosen, strict=True)
        }


def _find_parent(task: NetworkTask, trained: Mapping[str, TrainedNetwork]) -> NetworkStack | None:
    if task.parent is None:
        if task.kind != "scratch":
            raise ValueError(f"{task.name}: a task of kind '{task.kind}' needs a parent.")
        return None
    network = trained[task.parent].network
    if not isinstance(network, NetworkStack):
        raise ValueError(f"{task.name}: its parent '{task.parent}' is no plain network.")
    return network


def _take_examples(task: NetworkTask, rows: Rows, parent: NetworkStack | None) -> Examples:
    """Return what the trained part reads: the features, or the output of the frozen network."""
    if task.kind == "adapter" and parent is not None:
        return predict_rows(parent, rows.features)[:, None], rows.targets
    return rows.features, rows.targets


def _start_stack(
    tasks: Sequence[NetworkTask],
    parents: Sequence[NetworkStack | None],
    train: Sequence[Examples],
    restarts: int,
    seed: int,
) -> NetworkStack:
    """Make the networks, ``restarts`` per task, with their scaling and first weights."""
    first = tasks[0]
    if first.kind == "fine_tuning":
        starts = [p for p in parents if p is not None for _ in range(restarts)]
        return join_networks(starts)
    layers, nodes = first.network.hidden_layers, first.network.nodes
    if first.kind == "adapter":
        layers, nodes = 1, find_adapter_nodes(first.network)
    stack = NetworkStack(len(tasks) * restarts, train[0][0].shape[1], layers, nodes)
    for i in range(stack.n):
        number, restart = divmod(i, restarts)
        names = tasks[number].seed_names
        stack.draw_weights(i, derive_rng(seed, *names, restart, "weights"))
        stack.fit_scaling(i, *train[number])
    return stack


def _choose_restarts(
    tasks: Sequence[NetworkTask], history: StackHistory, settings: TableTrainSettings
) -> list[int]:
    """Choose among the restarts of every task, and return their places in the stack.

    A handful of validation rows cannot tell a network that got stuck (all units of a layer
    dead, one answer for all rows) from a good one, so the training rows count as well.
    """
    chosen = []
    for number, task in enumerate(tasks):
        first = number * settings.restarts
        own = slice(first, first + settings.restarts)
        steps = history.best_epoch[own] - 1
        train_mape = np.take_along_axis(history.train_mape[own], steps[:, None], axis=1)[:, 0]
        weights = [len(task.train), len(task.validation)]
        pooled = np.average([train_mape, history.best_mape[own]], axis=0, weights=weights)
        i = first + int(np.argmin(np.where(np.isfinite(pooled), pooled, np.inf)))
        if not np.isfinite(history.best_mape[i]):
            raise InputError(
                f"{task.name}: the validation error was never a number; expected a training that "
                f"converges; lower train.learning_rate (found {settings.learning_rate:g})."
            )
        chosen.append(i)
    return chosen


def _take_network(
    task: NetworkTask,
    parent: NetworkStack | None,
    stack: NetworkStack,
    history: StackHistory,
    i: int,
    settings: TableTrainSettings,
) -> TrainedNetwork:
    network: Stack = take_network(stack, i)
    if task.kind == "adapter" and parent is not None:
        network = AdapterStack(take_network(parent, 0), take_network(stack, i))
    return TrainedNetwork(
        network=network,
        train_mape=history.train_mape[i],
        validation_mape=history.validation_mape[i],
        best_epoch=int(history.best_epoch[i]),
        restart=i % settings.restarts,
    )
