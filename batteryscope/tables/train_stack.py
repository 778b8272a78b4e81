"""Train all networks of a study: those of one shape together, parents before children."""

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from batteryscope.config.table_study import TableTrainSettings
from batteryscope.errors import InputError
from batteryscope.seeds import derive_rng
from batteryscope.tables.fit_stack import Examples, StackHistory, count_steps, fit_stack
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


def train_tasks(
    tasks: Sequence[NetworkTask], settings: TableTrainSettings, seed: int
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

    Returns
    -------
    dict
        By name, in the order of ``tasks``.

    Raises
    ------
    InputError
        If a target is 0, a task lacks rows, or all restarts of a task diverged.
    ValueError
        If a parent is none of the tasks, or itself an adapter.
    """
    for task in tasks:
        _check_rows(task)
    trained: dict[str, TrainedNetwork] = {}
    waiting = list(tasks)
    while waiting:
        ready = [task for task in waiting if task.parent is None or task.parent in trained]
        if not ready:
            raise ValueError(f"'{waiting[0].parent}', parent of '{waiting[0].name}', is no task.")
        names = {task.name for task in ready}
        waiting = [task for task in waiting if task.name not in names]
        for group in _group_tasks(ready, settings.batch_size):
            trained |= _train_group(group, trained, settings, seed)
        log.info("%d of %d networks trained", len(trained), len(tasks))
    return {task.name: trained[task.name] for task in tasks}


def _check_rows(task: NetworkTask) -> None:
    for role, rows in (("training", task.train), ("validation", task.validation)):
        if not len(rows):
            raise InputError(
                f"{task.name}: found no {role} rows for the target '{task.target}'; expected at "
                "least 1; add rows or change the fractions in split."
            )
        zeros = np.flatnonzero(rows.targets == 0)
        if len(zeros):
            raise InputError(
                f"target '{task.target}': sample {rows.sample_ids[zeros[0]]} has the value 0, of "
                "which no percentage error exists; expected another number; correct the row or "
                "leave it out."
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


def _train_group(
    tasks: Sequence[NetworkTask],
    trained: Mapping[str, TrainedNetwork],
    settings: TableTrainSettings,
    seed: int,
) -> dict[str, TrainedNetwork]:
    parents = [_find_parent(task, trained) for task in tasks]
    pairs = list(zip(tasks, parents, strict=True))
    train = [_take_examples(task, task.train, parent) for task, parent in pairs]
    validation = [_take_examples(task, task.validation, parent) for task, parent in pairs]
    stack = _start_stack(tasks, parents, train, settings.restarts, seed)

    def repeat(examples: Sequence[Examples]) -> list[Examples]:
        return [example for example in examples for _ in range(settings.restarts)]

    rngs = [
        derive_rng(seed, *task.seed_names, restart, "batches")
        for task in tasks
        for restart in range(settings.restarts)
    ]
    history = fit_stack(stack, repeat(train), repeat(validation), settings, rngs)
    return {
        task.name: _take_best(task, parent, stack, history, i * settings.restarts, settings)
        for i, (task, parent) in enumerate(pairs)
    }


def _find_parent(task: NetworkTask, trained: Mapping[str, TrainedNetwork]) -> NetworkStack | None:
    if task.parent is None:
        if task.kind != "scratch":
            raise ValueError(f"{task.name}: a task of kind '{task.kind}' needs a parent.")
        return None
    network = trained[task.parent].network
    if not isinstance(network, NetworkStack):
        raise ValueError(f"{task.name}: its parent '{task.parent}' is an adapter, not a network.")
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


def _take_best(
    task: NetworkTask,
    parent: NetworkStack | None,
    stack: NetworkStack,
    history: StackHistory,
    first: int,
    settings: TableTrainSettings,
) -> TrainedNetwork:
    """Choose among the restarts of a task, which begin at ``first`` in the stack.

    A handful of validation rows cannot tell a network that got stuck (all units of a layer
    dead, one answer for all rows) from a good one, so the training rows count as well.
    """
    own = slice(first, first + settings.restarts)
    steps = history.best_epoch[own] - 1
    train_mape = np.take_along_axis(history.train_mape[own], steps[:, None], axis=1)[:, 0]
    weights = [len(task.train), len(task.validation)]
    pooled = np.average([train_mape, history.best_mape[own]], axis=0, weights=weights)
    restart = int(np.argmin(np.where(np.isfinite(pooled), pooled, np.inf)))
    i = first + restart
    if not np.isfinite(history.best_mape[i]):
        raise InputError(
            f"{task.name}: the validation error was never a number; expected a training that "
            f"converges; lower train.learning_rate (found {settings.learning_rate:g})."
        )
    network: Stack = take_network(stack, i)
    if task.kind == "adapter" and parent is not None:
        network = AdapterStack(take_network(parent, 0), take_network(stack, i))
    return TrainedNetwork(
        network=network,
        train_mape=history.train_mape[i],
        validation_mape=history.validation_mape[i],
        best_epoch=int(history.best_epoch[i]),
        restart=restart,
    )
