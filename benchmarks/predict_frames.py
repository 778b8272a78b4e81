"""Predictions of a bundle, against the forward passes of its tiles alone, and without the score
that tells unlike pictures.

The demo's network judges frames of the demo's size and microscopes' usual one: how much of the
time goes into reading depends on how many pixels a tile is taken from.
"""

import json
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.measurement import Measurement, summarise, take_rounds, timed
from benchmarks.peak_memory import compare_memory
from benchmarks.sample_data import (
    DEMO_SIZE_PX,
    HEIGHT_PX,
    LABEL_COLUMNS,
    MAX_PIXELS,
    WIDTH_PX,
    generate_frames,
    ingest_frames,
)

if TYPE_CHECKING:
    from batteryscope.bundle.predict import Bundle

ROUNDS = 7


class Case(NamedTuple):
    """A network, and the frames that it judges by ``grid_tiles`` crops of each."""

    name: str
    backbone: str
    input_px: int
    images: int  # per round
    frame_px: tuple[int, int] = (WIDTH_PX, HEIGHT_PX)
    crop_px: int = 300
    grid_tiles: int = 12


CASES = (
    # As params.yaml's demos, with 12 tiles of a frame as everywhere.
    Case("predict, demo network", "test_resnet", 96, 120, DEMO_SIZE_PX, 160),
    Case("predict, demo network, 1280 × 960", "test_resnet", 96, 24),
    Case("predict, mobilenetv2_100", "mobilenetv2_100", 192, 6),
    Case("predict, lite0", "tf_efficientnet_lite0", 192, 6),
)


def measure(folder: Path) -> list[Measurement]:
    """Measure images per second of three networks, and memory over 200 images against 50."""
    import numpy as np
    import torch
    from PIL import Image

    from batteryscope.bundle.read import load_bundle
    from batteryscope.evaluation.forward import load_fit
    from batteryscope.preprocess.registry import find_preprocessor
    from batteryscope.workflow.command_line import keep_freed_memory

    keep_freed_memory()  # as predict_images.py does
    measurements = []
    for case in CASES:
        name, images, frames = case.name, case.images, frames_of(case, folder)
        names = sorted(path.relative_to(frames).as_posix() for path in frames.rglob("*.jpg"))
        bundle = load_bundle(make_bundle(folder, case))
        model = load_fit(folder / f"fit_{case.backbone}")
        settings = bundle.record.preprocess
        cut = find_preprocessor(settings)
        batches = [
            torch.from_numpy(cut(np.asarray(Image.open(frames / n)), {}, settings).tiles)
            for n in names
        ]

        bundle.answer_anyway = True  # generated noise may be far from six frames

        def predict() -> None:
            files = islice(cycle(names), images)  # noqa: B023
            for row in bundle.predict_files(files, frames):  # noqa: B023
                if row["status"] != "ok":
                    raise RuntimeError(f"{row['file']}: {row['reason']}")

        def pass_forward() -> None:
            with torch.inference_mode():
                for tiles in islice(cycle(batches), images):  # noqa: B023
                    model(tiles.unsqueeze(1)).softmax(1)  # noqa: B023

        rounds = take_rounds(timed(predict), timed(pass_forward), ROUNDS)
        measurements.append(summarise(name, "images/s", images, rounds, "forward passes alone"))
        measurements.append(compare_scored(name, bundle, predict, images))
    return [*measurements, compare_memory("predict, memory", "predict", folder)]


def compare_scored(
    name: str, bundle: "Bundle", predict: Callable[[], None], images: int
) -> Measurement:
    """Measure predictions with the score that tells unlike pictures against those without."""
    known = bundle.familiarity
    if known is None:
        raise RuntimeError("the bundle of the benchmark has no score")

    def predict_unscored() -> None:
        bundle.familiarity = None
        try:
            predict()
        finally:
            bundle.familiarity = known

    rounds = take_rounds(timed(predict), timed(predict_unscored), ROUNDS)
    return summarise(f"{name}, unlike score", "images/s", images, rounds, "without the score")


def frames_of(case: Case, folder: Path) -> Path:
    """Return the folder of the frames that a case judges."""
    return generate_frames(folder / f"frames_{case.frame_px[0]}", case.frame_px)


def make_bundle(folder: Path, case: Case) -> Path:
    """Write a bundle with one model of random weights and return its folder."""
    from safetensors.torch import save_file

    from batteryscope.bundle.record import BundleSettings
    from batteryscope.bundle.write import write_bundle
    from batteryscope.config.learning import ModelSettings
    from batteryscope.config.preprocess import SemTilesSettings
    from batteryscope.models.classifier import build_classifier
    from batteryscope.preprocess.cut_dataset import cut_dataset

    backbone, input_px, frames = case.backbone, case.input_px, frames_of(case, folder)
    manifest, measured = ingest_frames(frames)
    split = manifest[["sample_id"]].assign(
        group_id=manifest["sample_id"], repeat=0, fold=0, role="test"
    )
    split.loc[::2, "role"] = "train"
    preprocess = SemTilesSettings(
        method="sem_tiles",
        input_px=input_px,
        crop_px=case.crop_px,
        grid_tiles=case.grid_tiles,
    )
    settings = BundleSettings.model_validate(
        {
            "study": "benchmark",
            "arm": "main",
            "title": "Random weights",
            "data_name": "benchmark",
            "label_columns": LABEL_COLUMNS,
            "preprocess": preprocess.model_dump(),
            "max_pixels": MAX_PIXELS,
            "generated": True,
            "false_alarms": 0.05,
        }
    )
    tiles = folder / f"tiles_{input_px}_{case.crop_px}"
    cut_dataset(manifest, frames, preprocess, tiles, MAX_PIXELS)
    model = build_classifier(
        ModelSettings(backbone=backbone, weights="random"),
        sorted(manifest["class"].unique()),
        input_px,
        seed=1,
    )
    fit = folder / f"fit_{backbone}"
    fit.mkdir(exist_ok=True)
    save_file(
        {k: v.contiguous() for k, v in model.state_dict().items()}, fit / "weights.safetensors"
    )
    description = json.dumps(model.description.as_dict())
    (fit / "model.json").write_text(description, encoding="utf-8")
    record = {"repeat": 0, "fold": 0, "best_epoch": 0, "train_samples": []}
    (fit / "fit.json").write_text(json.dumps(record), encoding="utf-8")
    out_dir = folder / f"bundle_{backbone}_{case.crop_px}"
    write_bundle(
        out_dir,
        settings,
        fits=[fit],
        manifest=manifest,
        frames=measured,
        split=split,
        dataset_dir=frames,
        temperature=1.0,
        metrics={},
        tiles=tiles,
    )
    return out_dir


def prepare_many(folder: Path, images: int) -> Callable[[], object]:
    """Return the work whose memory is measured: predicting that many images.

    A few images come before, because the first ones make libraries allocate what they keep.
    """
    from batteryscope.bundle.read import load_bundle

    case = next(case for case in CASES if case.frame_px[0] == WIDTH_PX)
    frames = frames_of(case, folder)
    names = sorted(path.relative_to(frames).as_posix() for path in frames.rglob("*.jpg"))
    bundle = load_bundle(folder / f"bundle_{case.backbone}_{case.crop_px}")
    list(bundle.predict_files(names, frames))

    def predict() -> None:
        for _ in bundle.predict_files(islice(cycle(names), images), frames):
            pass

    return predict
