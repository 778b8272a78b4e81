"""From all scans of a data set to a tile store and the tables of descriptors, in bounded memory."""

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from batteryscope.command_line import show_progress
from batteryscope.config.preprocess import CtSlicesSettings, find_tile_shape
from batteryscope.errors import InputError
from batteryscope.manifest.grey_scale import RANGE_COLUMNS
from batteryscope.ordered_threads import map_in_order
from batteryscope.preprocess.ct_slices import describe_tile
from batteryscope.preprocess.cut_dataset import REJECT_COLUMNS
from batteryscope.preprocess.cut_volume import CutSlice, cut_volume
from batteryscope.preprocess.scan_preview import ScanPreview, draw_scan_preview, make_scan_preview
from batteryscope.preprocess.slice_table import describe_slice, summarise_cells
from batteryscope.readers.picture import PictureError
from batteryscope.readers.volume import Volume
from batteryscope.readers.volumes import open_volume
from batteryscope.tilestore import TILES_NAME, TileWriter, complete_index, write_index

log = logging.getLogger("batteryscope")

OneScan = tuple[Volume, list[dict[Any, Any]], Iterable[CutSlice]]
SLICES_NAME, CELLS_NAME = "slices.csv", "cells.csv"
PREVIEWS_PER_CLASS = 2
SHORT_SCAN = 16  # slices, of which a thread holds all tiles at once
NO_TILE = {"tile": -1, "kind": "whole", "x_px": 0, "y_px": 0, "crop_px": 0, "local_sd": 0.0}


def cut_scans(
    manifest: pd.DataFrame,
    root: Path,
    settings: CtSlicesSettings,
    out_dir: Path,
    max_pixels: int,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Cut the slices of all scans and write them to a folder.

    Parameters
    ----------
    manifest
        Sample table with the columns ``volume`` and ``slice``.
    root
        Folder of the data set.
    settings
        Preprocessing settings.
    out_dir
        Gets ``tiles.npy``, ``index.parquet``, ``rejects.csv``, ``preview.png``, ``slices.csv``
        (what was found and measured in every slice, left out or not) and ``cells.csv`` (the
        descriptors of the used slices per cell).
    max_pixels
        Not used here; slices were checked when the data set was ingested.

    Returns
    -------
    index, rejects
        As for pictures.

    Raises
    ------
    InputError
        The manifest is not of scans, a scan cannot be read any more, or no slice shows a cell.
    """
    if "volume" not in manifest:
        raise InputError(
            "preprocess.method 'ct_slices' needs scans, but the data set holds pictures; "
            "add 'volumes: {}' to the data set and ingest it again."
        )
    out_dir.mkdir(parents=True, exist_ok=True)
    shape = find_tile_shape(settings)
    rows: list[dict[str, Any]] = []
    found: list[dict[str, Any]] = []
    rejects: list[tuple[str, str, str, str]] = []
    previews: list[ScanPreview] = []
    scans = list(manifest.sort_values(["volume", "slice"]).groupby("volume", sort=True))
    shown = _choose_shown(manifest)
    tile_shape = (3, *shape) if settings.stack_step else shape
    with TileWriter(out_dir / TILES_NAME, tile_shape) as writer:
        done = _cut_all(scans, root, settings)
        for volume, records, cuts in show_progress(done, "Cutting scans", len(scans), "scan"):
            for record, cut in zip(records, cuts, strict=True):
                names = str(record["sample_id"]), str(record["path"])
                found.append({"sample_id": names[0], **describe_slice(record, cut, volume)})
                if cut.tile is None:
                    rejects.append((*names, cut.reason, cut.detail))
                    rows.append({"sample_id": names[0], **NO_TILE, "used": False})
                    continue
                place = describe_tile(cut.tile, cut.x_px, cut.y_px, cut.radius_px, settings)
                tile = int(writer.write(cut.tile[None])[0])
                rows.append({"sample_id": names[0], "tile": tile, **place})
                if names[0] in shown:
                    previews.append(make_scan_preview(volume, cut, str(record["class"]), settings))
    if not any(row["used"] for row in rows):
        raise InputError(
            f"{root}: no slice of any scan can be used; {rejects[0][1]}: {rejects[0][3]}"
        )
    index = complete_index(pd.DataFrame(rows)).astype({"tile": np.int64})
    reject_table = pd.DataFrame(rejects, columns=REJECT_COLUMNS)
    slices = pd.DataFrame(found)
    write_index(out_dir, index)
    reject_table.to_csv(out_dir / "rejects.csv", index=False)
    slices.round(6).to_csv(out_dir / SLICES_NAME, index=False)
    summarise_cells(slices).round(6).to_csv(out_dir / CELLS_NAME, index=False)
    draw_scan_preview(sorted(previews, key=lambda p: p.title), out_dir / "preview.png")
    return index, reject_table


def _choose_shown(manifest: pd.DataFrame) -> set[str]:
    """The middle slice of the first few scans of every class."""
    shown: set[str] = set()
    for _, part in manifest.groupby("class"):
        for volume in sorted(part["volume"].unique())[:PREVIEWS_PER_CLASS]:
            samples = part[part["volume"] == volume].sort_values("slice")["sample_id"].tolist()
            shown.add(samples[len(samples) // 2])
    return shown


def _open(path: Path) -> Volume:
    try:
        return open_volume(path)
    except PictureError as error:
        raise InputError(f"{error} It could be read before; ingest the data set again.") from None


def _cut_all(
    scans: list[tuple[Any, pd.DataFrame]], root: Path, settings: CtSlicesSettings
) -> Iterator[OneScan]:
    """Cut short scans side by side, or the slices of long ones, so that threads have work."""

    def cut(scan: tuple[Any, pd.DataFrame], workers: int | None) -> OneScan:
        volume = _open(root / str(scan[0]))
        records = scan[1].to_dict("records")
        slices = [int(record["slice"]) for record in records]
        ends = [float(records[0][c]) for c in RANGE_COLUMNS if c in records[0]]
        grey_range = (ends[0], ends[1]) if ends else None
        return volume, records, cut_volume(volume, slices, settings, workers, grey_range)

    def cut_at_once(scan: tuple[Any, pd.DataFrame]) -> OneScan:
        volume, records, cuts = cut(scan, 1)
        return volume, records, list(cuts)

    if max(len(samples) for _, samples in scans) <= SHORT_SCAN:
        yield from map_in_order(cut_at_once, scans)
    else:
        yield from (cut(scan, None) for scan in scans)
