"""Small fits for tests: two classes of texture that a tiny network tells apart in seconds."""

from pathlib import Path

import numpy as np
import pandas as pd

from batteryscope.config.learning import AugmentSettings, ModelSettings, TrainSettings
from batteryscope.plan import StageSettings
from batteryscope.training.stage import list_fits, plan_fits, train_stage

CLASSES = ["dark", "light"]
MODEL = {"backbone": "test_resnet", "weights": "random", "dropout": 0.1}


def make_settings(epochs=3, balance=None, model=None, **train):
    values = {"epochs": epochs, "batch_size": 8, "learning_rate": 3e-3, "optimiser": "adamw"}
    return StageSettings(
        study="s",
        stage="fit",
        where={},
        label_columns=["class"],
        balance=balance or {},
        augment=AugmentSettings(contrast=0.1),
        model=ModelSettings(**MODEL | (model or {})),
        train=TrainSettings(**(values | train)),
    )


def make_data(classes=CLASSES):
    """Eight images of two tiles each per class, which is the texture's period."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(len(classes)), 8)
    x = np.arange(32)
    waves = np.linspace(1.6, 0.4, len(classes))
    tiles = np.stack(
        [
            128 + 60 * np.sin(x * waves[label])[None, :] + rng.normal(0, 8, (32, 32))
            for label in np.repeat(labels, 2)
        ]
    )
    samples = [f"s{i:02d}" for i in range(len(labels))]
    index = pd.DataFrame(
        {
            "tile": np.arange(len(tiles)),
            "sample_id": np.repeat(samples, 2),
            "kind": ["random", "grid"] * len(samples),
            "used": True,
        }
    )
    manifest = pd.DataFrame({"sample_id": samples, "class": np.array(classes)[labels]})
    roles = (["train"] * 4 + ["validation"] * 2 + ["test"] * 2) * len(classes)
    split = pd.DataFrame({"sample_id": samples, "repeat": 0, "fold": 0, "role": roles})
    train_ids = split.loc[split["role"] == "train", "sample_id"]
    chosen = index[(index["kind"] == "random") & index["sample_id"].isin(train_ids)]
    balance = pd.DataFrame(
        {"repeat": 0, "fold": 0, "tile": chosen["tile"], "copies": 4, "weight": 1.0}
    )
    return np.clip(tiles, 0, 255).astype(np.uint8), index, manifest, split, balance


def run(data, settings, state: Path, out: Path, listener=None, code="c"):
    tiles, index, manifest, split, balance = data
    classes, tasks = plan_fits(
        settings, manifest, split, balance, index, tiles, list_fits(split, 0, 1), code
    )
    train_stage(settings, classes, tasks, tiles, state, out, lambda _: listener)
    return out / "r0_f0"


class Interrupt:
    """A listener that ends the process's work after some epochs, as a kill would."""

    def __init__(self, after: int):
        self.after = after
        self.epochs = []

    def log_epoch(self, epoch, metrics):
        self.epochs.append(epoch)
        if len(self.epochs) == self.after:
            raise KeyboardInterrupt

    def finish(self, status):
        self.status = status
