"""An epoch of training, against a bare loop over the same backbone."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from batteryscope.config.learning import AugmentSettings, ModelSettings, TrainSettings
from benchmarks.measurement import (
    Measurement,
    Timing,
    read_clocks,
    subtract,
    summarise,
    take_rounds,
    timed,
)
from benchmarks.sample_data import draw_tiles

CLASSES = [f"class {i:02d}" for i in range(12)]
LEARNING_RATE = 1e-3


class Case(NamedTuple):
    """A network, its input and how many steps make an epoch."""

    name: str
    backbone: str
    input_px: int
    batch_size: int
    steps: int
    rounds: int


CASES = (
    Case("train, demo network", "test_resnet", 96, 32, 10, 3),
    Case("train, mobilenetv2_100", "mobilenetv2_100", 192, 16, 4, 3),
)


class EpochClock:
    """Hears of finished epochs and reads the clocks."""

    def __init__(self) -> None:
        self.readings: list[Timing] = []

    def log_epoch(self, epoch: int, metrics: dict[str, float]) -> None:
        """Note the time."""
        self.readings.append(read_clocks())

    def finish(self, status: str) -> None:
        """Nothing is left to do."""


def measure(folder: Path) -> list[Measurement]:
    """Measure the small demo network and a real backbone, both from random weights."""
    measurements = []
    for case in CASES:
        fit, bare_loop = make_fit(case, folder / case.backbone), make_bare_loop(case)
        rounds = take_rounds(fit, timed(bare_loop), case.rounds, warm_up=False)
        n = case.steps * case.batch_size
        measurements.append(summarise(case.name, "tiles/s", n, rounds, "bare PyTorch loop"))
    return measurements


def make_fit(case: Case, state_dir: Path) -> Callable[[], Timing]:
    """Return a function that fits two epochs and times from the end of one to that of the other.

    What it costs to set up a fit is not in it; reading, augmentation, a validation batch of
    two tiles and a checkpoint are.
    """
    from batteryscope.plan import StageSettings
    from batteryscope.training.data import TileSet
    from batteryscope.training.fit import FitTask, fit_model

    n = case.steps * case.batch_size
    tiles = draw_tiles(n + 2, case.input_px)

    def select(first: int, end: int) -> TileSet:
        rows = np.arange(first, end)
        return TileSet(rows, rows % 12, np.ones(len(rows), np.float32), rows.astype(object))

    settings = StageSettings.model_validate(
        {
            "study": "benchmark",
            "stage": "fit",
            "where": {},
            "label_columns": ["class"],
            "balance": {},
            "augment": AugmentSettings(),
            "model": ModelSettings(backbone=case.backbone, weights="random"),
            "train": TrainSettings(
                epochs=2,
                batch_size=case.batch_size,
                optimiser="adamw",
                learning_rate=LEARNING_RATE,
                accelerator="cpu",
            ),
        }
    )
    task = FitTask(0, 0, select(0, n), select(n, n + 2), "benchmark")

    def fit() -> Timing:
        shutil.rmtree(state_dir, ignore_errors=True)
        clock = EpochClock()
        fit_model(task, settings, CLASSES, tiles, state_dir, case.name, clock)
        return subtract(clock.readings[1], clock.readings[0])

    return fit


def make_bare_loop(case: Case) -> Callable[[], None]:
    """Return a function that takes as many steps as an epoch has, on one batch in memory."""
    import timm
    import torch
    from torch.nn import functional

    model = timm.create_model(case.backbone, num_classes=len(CLASSES), drop_rate=0.2)
    model = model.to(memory_format=torch.channels_last).train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE)
    tiles = torch.randn(case.batch_size, 3, case.input_px, case.input_px)
    tiles = tiles.contiguous(memory_format=torch.channels_last)
    targets = torch.arange(case.batch_size) % len(CLASSES)

    def train(steps: int = case.steps) -> None:
        for _ in range(steps):
            optimiser.zero_grad()
            functional.cross_entropy(model(tiles), targets).backward()
            optimiser.step()

    train(steps=1)  # as the first epoch of a fit, which is not timed either
    return train
