"""A small finished study on disk, and an empty tracking store, for the tracking tests."""

import importlib.util
import json
import shutil
import tempfile
from functools import cache
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from batteryscope.config.study import StudySettings
from batteryscope.plan import plan_study
from batteryscope.planning.layout import PictureLayout
from batteryscope.tracking.store import open_client

ROOT = Path(__file__).resolve().parent.parent
STUDY = "cells"
SETTINGS = StudySettings.model_validate(
    {
        "title": "Cells",
        "dataset": {"name": "trivial", "generator": {"kind": "trivial"}},
        "preprocess": {"method": "sem_tiles"},
        "arms": {
            "scratch": {},
            "transfer": {
                "stages": [{"name": "source"}, {"name": "target"}],
                "change": {"model.backbone": "resnet18"},
            },
        },
        "main_arm": "transfer",
    }
)
METRICS = {
    "scratch.tile.accuracy": 0.5,
    "transfer.image.state.macro_f1": 0.75,
    "transfer.tile.accuracy": 0.9,
    "transfer.image.pooled_accuracy": 0.8,
    "transfer.image.pooled_accuracy_low": 0.6,
    "transfer.image.pooled_accuracy_high": 0.9,
    "baseline_majority.image.pooled_accuracy": 0.25,
}


def load_script(name):
    """Import a program of the workflow by its file."""
    path = ROOT / "workflow_scripts" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def make_empty_database() -> Path:
    """Creating a database takes MLflow many seconds, so the tests start from copies of one.

    It is kept beside pytest's notes, for all workers and later runs, until MLflow changes.
    """
    kept = ROOT / ".pytest_cache" / f"empty_mlflow_{version('mlflow')}.db"
    if not kept.is_file():
        kept.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent) as held:
            path = Path(held) / kept.name
            open_client(f"sqlite:///{path}")
            path.replace(kept)  # at once: another worker may do the same
    return kept


def copy_empty_store(folder: Path) -> str:
    shutil.copy(make_empty_database(), folder / "mlflow.db")
    return f"sqlite:///{folder / 'mlflow.db'}"


def write_json(path: Path, values) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values), encoding="utf-8")
    return path


def write_fit(folder: Path, fold: int, epochs: int = 3) -> None:
    folder.mkdir(parents=True)
    history = pd.DataFrame({"epoch": range(epochs)})
    history["train_loss"] = [1.0 / (e + 1 + fold) for e in range(epochs)]
    history["val_loss"] = [float("nan"), *[0.5] * (epochs - 1)]
    history.to_csv(folder / "history.csv", index=False)
    fit = {"repeat": 0, "fold": fold, "best_epoch": 1, "identity": "ab", "seconds": 2.0}
    write_json(folder / "fit.json", fit | {"train_samples": ["x", "y"], "device": "cpu"})


def write_bundle(folder: Path) -> Path:
    write_json(folder / "bundle.json", {"classes": ["333", "811"], "preprocess": {"crop_px": 5}})
    Image.fromarray(np.arange(48, dtype=np.uint8).reshape(6, 8)).save(folder / "example_input.png")
    return folder


def build_study(work: Path, bundle: bool = False, settings=SETTINGS) -> PictureLayout:
    """Write all that a finished study leaves below ``work``."""
    layout = PictureLayout(work, plan_study(STUDY, settings))
    for i, chain in enumerate(layout.plan.stages):
        for fold in range(2):
            write_fit(layout.stage_part(chain, fold) / f"r0_f{fold}", fold, 3 + i % 3)
    split = pd.DataFrame({"sample_id": ["a", "b"], "fold": [0, 0], "role": ["train", "test"]})
    layout.main_split.root.mkdir(parents=True)
    split.to_parquet(layout.main_split.roles)
    write_json(layout.comparison / "metrics.json", METRICS)
    (layout.comparison / "comparison.csv").write_text("arm,mean\nscratch,0.5\n")
    (layout.comparison / "images.csv").write_text(
        "arm,repeat,fold,y_true,y_pred\ntransfer,0,0,333,333\ntransfer,0,0,333,333\n"
        "transfer,0,0,811,811\ntransfer,0,0,811,333\ntransfer,0,1,811,811\n"
    )
    for arm in layout.list_arms().values():
        write_json(arm.cost, {"seconds": 3.5, "device": "cpu"})
    picture = layout.report / "figures" / "confusion.png"
    picture.parent.mkdir(parents=True)
    Image.new("L", (4, 4)).save(picture)
    (layout.report / "report.html").write_text("<p>ok</p>")
    write_json(layout.data.summary, {"n": 2, "classes": {"333": 1, "811": 1}})
    if bundle:
        write_bundle(layout.bundle)
    return layout


def spell_arguments(layout: PictureLayout, uri: str, out: Path) -> list[str]:
    """Return the command line of track_study for a study."""
    return [
        *("--study", STUDY, "--uri", uri, "--enabled", "--by", layout.modules.track),
        *("--settings", layout.plan.settings.model_dump_json(), "--work", str(layout.root)),
        *("--data-version", "0" * 64),
        *("--out", str(out), "--log", str(out.with_suffix(".log"))),
    ]
