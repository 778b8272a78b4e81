"""From all scans of a data set to a tile store and the tables of descriptors, in bounded memory."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from batteryscope.config.preprocess import CtSlicesSettings, find_tile_shape
from batteryscope.core.ordered_threads import map_in_order
from batteryscope.core.progress import show_progress
from batteryscope.core.safe_text import guard_table
from batteryscope.errors import InputError
from batteryscope.manifest.grey_scale import RANGE_COLUMNS
from batteryscope.manifest.inspect import reject_unexpected
from batteryscope.preprocess.can_circle import Circle
from batteryscope.preprocess.ct_slices import describe_tile, make_tile
from batteryscope.preprocess.cut_dataset import REJECT_COLUMNS
from batteryscope.preprocess.cut_volume import CutSlice, cut_volume
from batteryscope.preprocess.slice_table import describe_slice, summarise_cells
from batteryscope.preprocess.unroll import unroll
from batteryscope.preprocess.winding_core import Core
from batteryscope.readers.picture import PictureError
from batteryscope.readers.volume import Volume
from batteryscope.readers.volumes import open_volume
from batteryscope.tilestore import TILES_NAME, TileWriter, complete_index, write_index

log = logging.getLogger("batteryscope")

Record = dict[Any, Any]
Cut = tuple[Volume, CutSlice]
OneScan = tuple[list[Record], Iterable[Cut]]
Rejected = tuple[str, str, str, str]
SLICES_NAME, CELLS_NAME = "slices.csv", "cells.csv"
PREVIEWS_PER_CLASS = 2
SHORT_SCAN = 16  # slices, of which a thread holds all tiles at once
NO_TILE = {"tile": -1, "kind": "whole", "x_px": 0, "y_px": 0, "crop_px": 0, "local_sd": 0.0}
SHOWN_PX, N_ANGLES, N_RADII = 320, 360, 180
CAN_COLOUR, CORE_COLOUR, CROP_COLOUR = "#ff7f0e", "#d62728", "#2ca02c"


@dataclass(frozen=True)
class ScanPreview:
    """A slice made small for showing, its square crop, and its unrolled windings.

    ``edge_px`` are (rows, columns) of the original slice; can, core and crop are in its pixels.
    """

    title: str
    thumbnail: NDArray[np.uint8]
    edge_px: tuple[int, int]
    tile: NDArray[np.uint8]
    unrolled: NDArray[np.float32]
    can: Circle | None
    core: Core | None
    centre_px: tuple[float, float]
    half_px: float


def make_scan_preview(
    volume: Volume, cut: CutSlice, title: str, settings: CtSlicesSettings
) -> ScanPreview:
    """Keep what is drawn of a slice."""
    assert cut.tile is not None
    pixels = volume.read_slice(cut.finding.z)
    low, high = np.percentile(pixels, [0.5, 99.5])
    grey = np.clip((pixels - low) / max(high - low, 1e-6) * 255, 0, 255).astype(np.uint8)
    small = Image.fromarray(grey)
    small.thumbnail((SHOWN_PX, SHOWN_PX))
    rays = unroll(grey, cut.x_px, cut.y_px, 0.0, cut.radius_px, N_ANGLES, N_RADII)
    # Cut anew, since the tile itself may be unrolled.
    square = settings.model_copy(update={"unroll": False, "input_px": SHOWN_PX})
    tile = make_tile([pixels], cut.x_px, cut.y_px, cut.radius_px, square)
    name = f"{title.replace('_', ' ')}\n{volume.path.name}, slice {cut.finding.z}"
    return ScanPreview(
        name,
        np.asarray(small),
        (pixels.shape[0], pixels.shape[1]),
        tile,
        rays,
        cut.finding.can,
        cut.finding.core,
        (cut.x_px, cut.y_px),
        settings.half_edge_radii * cut.radius_px,
    )


def draw_scan_preview(previews: Sequence[ScanPreview], path: Path) -> None:
    """Draw slice, crop and unrolled windings side by side, two slices to a row, as PNG."""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.patches import Circle as Ring
    from matplotlib.patches import Rectangle

    n_rows = max(1, -(-len(previews) // 2))
    figure = Figure(figsize=(13.5, 2.3 * n_rows + 0.4), layout="constrained")
    panels = figure.subplots(n_rows, 6, squeeze=False, width_ratios=[1, 1, 2, 1, 1, 2])
    for panel in panels.ravel():
        panel.set_axis_off()
    for number, preview in enumerate(previews):
        whole, crop, rays = panels[number // 2, 3 * (number % 2) : 3 * (number % 2) + 3]
        height, width = preview.edge_px
        whole.imshow(preview.thumbnail, cmap="gray", extent=(-0.5, width - 0.5, height - 0.5, -0.5))
        for circle, colour in ((preview.can, CAN_COLOUR), (preview.core, CORE_COLOUR)):
            if circle is not None:
                place = (circle.x_px, circle.y_px)
                whole.add_patch(Ring(place, circle.radius_px, fill=False, ec=colour, lw=1))
        x, y, half = *preview.centre_px, preview.half_px
        square = Rectangle((x - half, y - half), 2 * half, 2 * half, fill=False, ec=CROP_COLOUR)
        whole.add_patch(square)
        whole.set_title(preview.title, fontsize=8, loc="left")
        crop.imshow(preview.tile, cmap="gray", vmin=0, vmax=255)
        rays.imshow(preview.unrolled, cmap="gray", aspect="auto", origin="lower")
    words = {"can": CAN_COLOUR, "core": CORE_COLOUR, "crop": CROP_COLOUR}
    handles = [Line2D([], [], color=colour, label=name) for name, colour in words.items()]
    figure.legend(handles=handles, loc="outside lower left", ncols=3, frameon=False)
    figure.text(
        0.99, 0.005, "left: slice; middle: crop; right: unrolled around the core (angle across, "
        "radius upwards)", ha="right", fontsize=8,
    )  # fmt: skip
    figure.savefig(path, dpi=110, metadata={"Software": None})


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
        As for pictures. A scan that cannot be read to its end is left out as a whole.

    Raises
    ------
    InputError
        The manifest is not of scans, or no slice of any scan can be used.
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
    rejects: list[Rejected] = []
    previews: list[ScanPreview] = []
    scans = list(manifest.sort_values(["volume", "slice"]).groupby("volume", sort=True))
    shown = _choose_shown(manifest)
    tile_shape = (3, *shape) if settings.stack_step else shape
    with TileWriter(out_dir / TILES_NAME, tile_shape) as writer:
        done = _cut_all(scans, root, settings)
        for records, cuts in show_progress(done, "Cutting scans", len(scans), "scan"):
            n_before = writer.count
            try:
                scan = _write_scan(records, cuts, settings, writer, shown)
            except _UnusableScanError as error:
                writer.truncate(n_before)
                scan = _leave_out(records, error)
            rows += scan.rows
            found += scan.found
            rejects += scan.rejects
            previews += scan.previews
    if not any(row["used"] for row in rows):
        raise InputError(
            f"{root}: no slice of any scan can be used; {rejects[0][1]}: {rejects[0][3]}"
        )
    index = complete_index(pd.DataFrame(rows)).astype({"tile": np.int64})
    reject_table = pd.DataFrame(rejects, columns=REJECT_COLUMNS)
    slices = pd.DataFrame(found)
    write_index(out_dir, index)
    guard_table(reject_table).to_csv(out_dir / "rejects.csv", index=False)
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


class _UnusableScanError(Exception):
    """A scan cannot be read or cut to its end, although it could be when it was ingested."""

    def __init__(self, path: str, error: Exception) -> None:
        known = error if isinstance(error, PictureError) else reject_unexpected(path, error)
        self.reason: str = known.reason
        self.detail = f"{known.detail} It could be read when the data set was ingested."
        super().__init__(f"{path}: {self.detail}")


@dataclass(frozen=True)
class _ScanTables:
    """What one scan adds to the index, to the table of slices, to the rejects, to the preview."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    found: list[dict[str, Any]] = field(default_factory=list)
    rejects: list[Rejected] = field(default_factory=list)
    previews: list[ScanPreview] = field(default_factory=list)


def _write_scan(
    records: list[Record],
    cuts: Iterable[Cut],
    settings: CtSlicesSettings,
    writer: TileWriter,
    shown: set[str],
) -> _ScanTables:
    scan = _ScanTables()
    for record, (volume, cut) in zip(records, cuts, strict=True):
        names = str(record["sample_id"]), str(record["path"])
        scan.found.append({"sample_id": names[0], **describe_slice(record, cut, volume)})
        if cut.tile is None:
            scan.rejects.append((*names, cut.reason, cut.detail))
            scan.rows.append({"sample_id": names[0], **NO_TILE, "used": False})
            continue
        place = describe_tile(cut.tile, cut.x_px, cut.y_px, cut.radius_px, settings)
        tile = int(writer.write(cut.tile[None])[0])
        scan.rows.append({"sample_id": names[0], "tile": tile, **place})
        if names[0] in shown:
            scan.previews.append(make_scan_preview(volume, cut, str(record["class"]), settings))
    return scan


def _leave_out(records: list[Record], error: _UnusableScanError) -> _ScanTables:
    names = [(str(record["sample_id"]), str(record["path"])) for record in records]
    return _ScanTables(
        rows=[{"sample_id": sample_id, **NO_TILE, "used": False} for sample_id, _ in names],
        rejects=[(*both, error.reason, error.detail) for both in names],
    )


def _cut_all(
    scans: list[tuple[Any, pd.DataFrame]], root: Path, settings: CtSlicesSettings
) -> Iterator[OneScan]:
    """Cut short scans side by side, or the slices of long ones, so that threads have work.

    What goes wrong is raised where the slices of the scan are asked for.
    """

    def cut(records: list[Record], workers: int | None = None) -> Iterator[Cut]:
        path = str(records[0]["volume"])
        slices = [int(record["slice"]) for record in records]
        ends = [float(records[0][c]) for c in RANGE_COLUMNS if c in records[0]]
        grey_range = (ends[0], ends[1]) if ends else None
        try:
            volume = open_volume(root / path)
            for one in cut_volume(volume, slices, settings, workers, grey_range):
                yield volume, one
        except Exception as error:  # whatever it is, it costs this scan only
            raise _UnusableScanError(path, error) from error

    def cut_at_once(records: list[Record]) -> OneScan:
        try:
            return records, list(cut(records, 1))
        except _UnusableScanError as error:
            return records, _fail(error)

    tables = [scan.to_dict("records") for _, scan in scans]
    if max(len(records) for records in tables) <= SHORT_SCAN:
        yield from map_in_order(cut_at_once, tables)
    else:
        yield from ((records, cut(records)) for records in tables)


def _fail(error: _UnusableScanError) -> Iterator[Cut]:
    raise error
    yield  # makes it an iterator
