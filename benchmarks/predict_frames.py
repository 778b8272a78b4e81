"""Predictions of a bundle, against the forward passes of its tiles alone, and without the score
that tells unlike pictures.
"""

import json
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.measurement import Measurement, summarise, take_rounds, timed
from benchmarks.peak_memory import compare_memory
from benchmarks.sample_data import LABEL_COLUMNS, MAX_PIXELS, generate_frames, ingest_frames

if TYPE_CHECKING:
    from batteryscope.bundle.predict import Bundle

ROUNDS = 7
CASES = (  # name, backbone, edge of the network's input, images per round
    ("predict, demo network", "test_resnet", 96, 24),
    ("predict, mobilenetv2_100", "mobilenetv2_100", 192, 6),
    ("predict, lite0", "tf_efficientnet_lite0", 192, 6),
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
    frames = generate_frames(folder / "frames")
    names = sorted(path.relative_to(frames).as_posix() for path in frames.rglob("*.jpg"))
    measurements = []
    for name, backbone, input_px, images in CASES:
        bundle_dir = make_bundle(folder, backbone, input_px)
        bundle = load_bundle(bundle_dir)
        model = load_fit(folder / f"fit_{backbone}")
        settings = bundle.record.preprocess
        cut = find_preprocessor(settings)
        batches = [
            torch.from_numpy(cut(np.asarray(Image.open(frames / n)), {}, settings).tiles)
            for n in names
        ]

        bundle.answer_anyway = True  # generated noise may be far from six frames

        def predict() -> None:
            for row in bundle.predict_files(islice(cycle(names), images), frames):  # noqa: B023
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


def make_bundle(folder: Path, backbone: str, input_px: int) -> Path:
    """Write a bundle with one model of random weights and return its folder."""
    from safetensors.torch import save_file

    from batteryscope.bundle.record import BundleSettings
    from batteryscope.bundle.write import write_bundle
    from batteryscope.config.learning import ModelSettings
    from batteryscope.config.preprocess import SemTilesSettings
    from batteryscope.models.classifier import build_classifier
    from batteryscope.preprocess.cut_dataset import cut_dataset

    frames = generate_frames(folder / "frames")
    manifest, measured = ingest_frames(frames)
    split = manifest[["sample_id"]].assign(
        group_id=manifest["sample_id"], repeat=0, fold=0, role="test"
    )
    split.loc[::2, "role"] = "train"
    preprocess = SemTilesSettings(method="sem_tiles", input_px=input_px)
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
    tiles = folder / f"tiles_{input_px}"
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
    out_dir = folder / f"bundle_{backbone}"
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

    _, backbone, _, _ = CASES[0]
    frames = folder / "frames"
    names = sorted(path.relative_to(frames).as_posix() for path in frames.rglob("*.jpg"))
    bundle = load_bundle(folder / f"bundle_{backbone}")
    list(bundle.predict_files(names, frames))

    def predict() -> None:
        for _ in bundle.predict_files(islice(cycle(names), images), frames):
            pass

    return predict
