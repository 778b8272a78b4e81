"""Tiny networks trained in one stack, against the same networks one after the other."""

from pathlib import Path

import numpy as np

from benchmarks.measurement import Measurement, summarise, take_rounds, timed

NETWORKS, ROWS, FEATURES, EPOCHS = 40, 148, 6, 2
BATCH, LEARNING_RATE = 32, 0.01
HIDDEN_LAYERS, NODES = 4, 4
ROUNDS = 5


def measure(folder: Path) -> list[Measurement]:
    """Measure both with one thread; more threads do not help at this size."""
    import torch
    from torch import nn

    from batteryscope.config.table_study import NetworkSettings, TableTrainSettings
    from batteryscope.tables.network_tasks import NetworkTask, Rows
    from batteryscope.tables.train_stack import train_tasks

    rng = np.random.default_rng(1)
    features = rng.normal(size=(ROWS + 16, FEATURES))
    targets = 5 + features @ rng.uniform(size=FEATURES)
    names = tuple(f"row {i}" for i in range(len(targets)))
    settings = TableTrainSettings(
        epochs=EPOCHS, batch_size=BATCH, learning_rate=LEARNING_RATE, restarts=1
    )
    tasks = [
        NetworkTask(
            name=f"network {i}",
            target="target",
            kind="scratch",
            network=NetworkSettings(hidden_layers=HIDDEN_LAYERS, nodes=NODES),
            train=Rows(names[:ROWS], features[:ROWS], targets[:ROWS]),
            validation=Rows(names[ROWS:], features[ROWS:], targets[ROWS:]),
            seed_names=(str(i),),
        )
        for i in range(NETWORKS)
    ]
    x, y = torch.from_numpy(features[:ROWS]), torch.from_numpy(targets[:ROWS])

    def train_in_turn() -> None:
        for _ in range(NETWORKS):
            layers: list[nn.Module] = []
            for width in [FEATURES, *[NODES] * (HIDDEN_LAYERS - 1)]:
                layers += [nn.Linear(width, NODES), nn.ReLU()]
            network = nn.Sequential(*layers, nn.Linear(NODES, 1)).double()
            optimiser = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE)
            for _ in range(EPOCHS):
                for batch in torch.randperm(ROWS).split(BATCH):
                    optimiser.zero_grad()
                    error = (network(x[batch]).squeeze(1) - y[batch]) / y[batch]
                    error.abs().mean().backward()
                    optimiser.step()

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        ours = timed(lambda: train_tasks(tasks, settings, seed=1))
        rounds = take_rounds(ours, timed(train_in_turn), ROUNDS)
    finally:
        torch.set_num_threads(threads)
    return [summarise("tiny networks", "networks/s", NETWORKS, rounds, "one after the other")]
