"""From all images of a data set to a tile store, in bounded memory."""

import logging
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from batteryscope.config.preprocess import (
    CoatingCropSettings,
    SemTilesSettings,
    SemWholeSettings,
    find_tile_shape,
)
from batteryscope.config.split import SplitSettings
from batteryscope.core.ordered_threads import map_in_order
from batteryscope.core.progress import show_progress
from batteryscope.core.safe_text import guard_table
from batteryscope.errors import InputError
from batteryscope.manifest.grey_scale import read_bit_depth
from batteryscope.manifest.inspect import reject_unexpected
from batteryscope.preprocess.registry import PREVIEWS, find_preprocessor
from batteryscope.preprocess.tile_batch import TileBatch, UnusablePictureError
from batteryscope.readers.picture import PictureError
from batteryscope.readers.registry import read_picture
from batteryscope.seeds import derive_rng
from batteryscope.tilestore import TILES_NAME, TileWriter, complete_index, write_index

log = logging.getLogger("batteryscope")

PictureSettings = SemTilesSettings | SemWholeSettings | CoatingCropSettings
REJECT_COLUMNS = ["sample_id", "path", "reason", "detail"]
MAX_PREVIEW_FRAMES = 12
MEASUREMENTS_NAME = "measurements.parquet"  # of preprocessing methods that measure something


class _Outcome(NamedTuple):
    """What became of one image: tiles and perhaps a preview, or why not."""

    batch: TileBatch | None
    preview: Any | None
    reason: str = ""
    detail: str = ""


def cut_dataset(
    manifest: pd.DataFrame,
    root: Path,
    settings: PictureSettings,
    out_dir: Path,
    max_pixels: int,
    split: SplitSettings | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Cut the tiles of all images and write them to a folder.

    Every image is decoded once. The tiles of an image depend on the settings and on
    itself, but not on the other images; only their number does with ``tiles_per_class``.

    Parameters
    ----------
    manifest
        Sample table.
    root
        Folder of the data set.
    settings
        Preprocessing settings.
    out_dir
        Gets ``tiles.npy``, ``index.parquet``, ``rejects.csv``, ``preview.png`` (of cross-sections
        also ``preview_row.png``) and, if the method measures something, ``measurements.parquet``.
    max_pixels
        Larger images are rejected before they are decoded.
    split
        How the images will be divided; ``tiles_per_class`` needs it.

    Returns
    -------
    index, rejects
        The tables that were written.

    Raises
    ------
    InputError
        No image gives a tile.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    manifest = manifest.sort_values("sample_id", ignore_index=True)
    random_counts = count_training_tiles(manifest, settings, split)
    shown = set(manifest.groupby("class")["sample_id"].first().head(MAX_PREVIEW_FRAMES))
    records: list[dict[str, Any]] = [
        {
            **{str(k): v for k, v in record.items()},
            "n_random": n,
            "is_shown": record["sample_id"] in shown,
        }
        for record, n in zip(manifest.to_dict("records"), random_counts, strict=True)
    ]

    def cut(record: dict[str, Any]) -> _Outcome:
        return _cut_image(record, root, settings, max_pixels)

    tables: list[pd.DataFrame] = []
    sample_ids: list[str] = []
    rejects: list[tuple[str, str, str, str]] = []
    previews: list[Any] = []
    measured: list[pd.DataFrame] = []
    shape = find_tile_shape(settings)
    stored = shape if settings.channels == 1 else (settings.channels, *shape)
    with TileWriter(out_dir / TILES_NAME, stored) as writer:
        outcomes = map_in_order(cut, records)
        progress = show_progress(outcomes, "Cutting tiles", len(records), "image")
        for record, outcome in zip(records, progress, strict=True):
            if outcome.preview is not None:
                previews.append(outcome.preview)
            if outcome.batch is None:
                names = record["sample_id"], record["path"]
                rejects.append((*names, outcome.reason, outcome.detail))
                continue
            tile = np.full(len(outcome.batch.table), -1, np.int64)
            tile[outcome.batch.table["used"].to_numpy()] = writer.write(outcome.batch.tiles)
            tables.append(outcome.batch.table.assign(tile=tile))
            sample_ids += [record["sample_id"]] * len(tile)
            if outcome.batch.measurements:
                measured.append(pd.DataFrame(outcome.batch.measurements))
        if not tables:
            _, path, _, detail = rejects[0] if rejects else ("", "", "", "the manifest is empty.")
            raise InputError(f"{root}: no image gives a tile; {path}: {detail}")
    index = pd.concat(tables, ignore_index=True).assign(sample_id=sample_ids)
    index = complete_index(index)
    reject_table = pd.DataFrame(rejects, columns=REJECT_COLUMNS)
    write_index(out_dir, index)
    guard_table(reject_table).to_csv(out_dir / "rejects.csv", index=False)
    if measured:
        # A method measures every image or none, so that the rows are those of the index.
        table = index[["sample_id", "tile"]].join(pd.concat(measured, ignore_index=True))
        table[table["tile"] >= 0].to_parquet(out_dir / MEASUREMENTS_NAME, index=False)
    draw = PREVIEWS[settings.method][1]
    draw(sorted(previews, key=lambda frame: frame.title), out_dir / "preview.png")
    return index, reject_table


def count_training_tiles(
    manifest: pd.DataFrame, settings: PictureSettings, split: SplitSettings | None = None
) -> list[int]:
    """Return the number of random tiles of each image.

    With ``tiles_per_class`` it is enough for the smallest training part that the split leaves of
    the image's class in its domain; balancing takes as many of them as are wanted.
    """
    per_image, per_class = settings.training_tiles
    if per_class is None:
        return [per_image] * len(manifest)
    sizes = manifest.groupby(["class", "domain"])["class"].transform("size")
    divide = split or SplitSettings()
    trained = [divide.count_training_samples(int(size)) for size in sizes]
    return [-(-per_class // n) for n in trained]


def _cut_image(
    record: dict[str, Any], root: Path, settings: PictureSettings, max_pixels: int
) -> _Outcome:
    try:
        picture = read_picture(
            root / record["path"],
            max_pixels=max_pixels,
            bit_depth=read_bit_depth(record),
            keep_colours=settings.keeps_colours,
        )
    except PictureError as error:
        return _Outcome(None, None, error.reason, error.detail)
    pixels = picture.show(settings.keeps_colours)
    rng = derive_rng(settings.seed, "tiles", record["sample_id"])
    try:
        record = {**record, "is_coloured": picture.is_coloured}
        batch = find_preprocessor(settings)(pixels, record, settings, record["n_random"], rng)
    except UnusablePictureError as error:
        return _Outcome(None, None, error.reason, str(error))
    except Exception as error:  # whatever it is, it costs this image only
        reject = reject_unexpected(record["path"], error)
        return _Outcome(None, None, reject.reason, reject.detail)
    if not record["is_shown"]:
        return _Outcome(batch, None)
    show = PREVIEWS[settings.method][0]
    return _Outcome(batch, show(picture.pixels_8bit, batch, record["class"], settings))
