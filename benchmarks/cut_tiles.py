"""Cutting a data set into tiles, against slicing and resizing alone."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from batteryscope.config.preprocess import SemTilesSettings
from benchmarks.measurement import (
    Measurement,
    Timing,
    subtract,
    summarise,
    take_rounds,
    timed,
)
from benchmarks.peak_memory import compare_memory
from benchmarks.sample_data import MAX_PIXELS, generate_frames, ingest_frames, repeat_samples

FEW, MANY = 12, 36  # images
ROUNDS = 3
# Ten random and twelve grid tiles per image, for the networks of 192 px.
SETTINGS = SemTilesSettings(tiles_per_image=10, input_px=192)


def measure(folder: Path) -> list[Measurement]:
    """Measure tiles per second, and memory over 200 images against 50.

    Time is that of 36 images less that of 12, so that what is done once per data set (the
    preview picture above all) is not in it.
    """
    from PIL import Image

    from batteryscope.preprocess.tiling import resize_tile

    frames = generate_frames(folder / "frames")
    manifest, _ = ingest_frames(frames)
    samples = repeat_samples(manifest, MANY)
    cut_few, cut_many = prepare_many(folder, FEW), prepare_many(folder, MANY)
    index = cut_many()
    further = samples[FEW:]
    used = index[index["used"]].merge(further[["sample_id", "path"]], on="sample_id")
    places = list(zip(used["path"], used["y_px"], used["x_px"], strict=True))
    pixels = {path: np.asarray(Image.open(frames / path)) for path in set(used["path"])}
    crop, edge = SETTINGS.crop_px, SETTINGS.input_px

    def cut() -> Timing:
        return subtract(timed(cut_many)(), timed(cut_few)())

    def slice_and_resize() -> None:
        for path, y, x in places:
            resize_tile(pixels[path][y : y + crop, x : x + crop], edge)

    rounds = take_rounds(cut, timed(slice_and_resize), ROUNDS)
    return [
        summarise("cut tiles", "tiles/s", len(places), rounds, "slicing and resizing in memory"),
        compare_memory("cut tiles, memory", "cut", folder),
    ]


def prepare_many(folder: Path, images: int) -> Callable[[], pd.DataFrame]:
    """Return the work that is measured: cutting that many images; it returns the tile index."""
    from batteryscope.preprocess.cut_dataset import cut_dataset

    frames = generate_frames(folder / "frames")
    samples = repeat_samples(ingest_frames(frames)[0], images)

    def cut() -> pd.DataFrame:
        with tempfile.TemporaryDirectory(dir=folder) as out_dir:
            return cut_dataset(samples, frames, SETTINGS, Path(out_dir), MAX_PIXELS)[0]

    return cut
