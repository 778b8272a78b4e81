"""Workers of a search whose candidates are numbers: what a process of a test runs."""

import math
import os
import sys
import time
from functools import partial
from pathlib import Path

import optuna

from batteryscope.config.search import SearchSettings
from batteryscope.config.study import Recipe
from batteryscope.search.plan import Strategy
from batteryscope.search.queue import SLOT, create_queue, load_queue, run_queue
from batteryscope.search.sampling import draw_values, make_pruner, make_sampler
from batteryscope.search.storage import open_storage

NAME = "numbers"
HEARTBEAT_S = 1
SETTINGS = SearchSettings.model_validate(
    {
        "space": {"train.learning_rate": {"low": 1e-4, "high": 1e-1, "log": True}},
        "trials": 12,
        "max_epochs": 9,
        "heartbeat_s": HEARTBEAT_S,
    }
)


def open_search(url: str, strategy: Strategy = "asha"):
    draw, pruner = partial(make_sampler, strategy, 1), make_pruner(strategy, SETTINGS)
    return load_queue(open_storage(url, HEARTBEAT_S, 3), url, NAME, draw, pruner)


def train_number(trial: optuna.Trial, epoch_s: float) -> float:
    """The nearer the learning rate is to 0.003, the better; it rises over the epochs."""
    rate = draw_values(trial, SETTINGS, Recipe)["train.learning_rate"]
    best = math.exp(-abs(math.log10(rate / 0.003)))
    for epoch in range(1, SETTINGS.max_epochs + 1):
        time.sleep(epoch_s)
        trial.report(best * (1 - 0.5**epoch), epoch)
        trial.set_user_attr("epochs", epoch)
        if trial.should_prune():
            raise optuna.TrialPruned
    return best


def main() -> None:
    url, worker, epoch_s, hangs_at = sys.argv[1:5]
    if "--create" in sys.argv:
        create_queue(open_storage(url, HEARTBEAT_S, 3), url, NAME, "maximize", SETTINGS.trials)
    queue = open_search(url)

    def train(trial: optuna.Trial) -> float:
        if trial.user_attrs[SLOT] >= int(hangs_at) >= 0:
            Path(f"{worker}.hangs").write_text(str(os.getpid()))
            time.sleep(600)  # until the test kills this process
        return train_number(trial, float(epoch_s))

    run_queue(queue, train, HEARTBEAT_S)


if __name__ == "__main__":
    main()
