"""Small pictures of test images, as many and as large as a page can carry."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from batteryscope.core.forked_calls import call_side_by_side
from batteryscope.manifest.grey_scale import read_bit_depth
from batteryscope.readers.picture import PictureError
from batteryscope.readers.registry import read_picture
from batteryscope.tilestore import take_plane

BUDGET_BYTES = 1_400_000  # of a page, as base64
WIDTHS_PX = (320, 256, 208, 160, 128, 96)
QUALITY = 55
TRIED = 8  # pictures that tell how large the others will be


@dataclass(frozen=True)
class PictureSource:
    """Where pictures of samples are found.

    Attributes
    ----------
    manifest
        Sample table, for ``path`` and ``bit_depth``; slices of scans have a ``volume``.
    folder
        That the paths begin from; None where it is not known.
    tile_index, tiles
        Tiles of the main arm. A slice of a scan is shown as it was cut, since opening a scan
        takes long.
    max_pixels
        Largest picture that is decoded.
    """

    manifest: pd.DataFrame
    folder: Path | None
    tile_index: pd.DataFrame | None
    tiles: NDArray[np.uint8] | None
    max_pixels: int

    def list_files(self) -> dict[str, dict[str, Any]]:
        """Return the rows of the manifest by sample."""
        rows = self.manifest.to_dict("records")
        return {str(row["sample_id"]): {str(k): v for k, v in row.items()} for row in rows}

    def list_first_tiles(self) -> dict[str, int]:
        """Return the first tile of every sample, a whole one if there is one."""
        if self.tile_index is None:
            return {}
        index = self.tile_index.assign(part=self.tile_index["kind"] != "whole")
        first = index.sort_values(["part", "tile"], kind="stable").drop_duplicates("sample_id")
        return dict(zip(first["sample_id"].astype(str), first["tile"].astype(int), strict=True))


def make_thumbnails(
    samples: Sequence[str],
    source: PictureSource,
    workers: int = 1,
    budget_bytes: float = BUDGET_BYTES,
) -> tuple[dict[str, bytes], int]:
    """Make small pictures (WebP) of as many samples as fit, from the first on.

    Parameters
    ----------
    samples
        Names (``sample_id``), the most important first.
    source
        Where the pictures are.
    workers
        Processes that read.
    budget_bytes
        What all of them may take of a page.

    Returns
    -------
    dict, int
        Picture by sample, without those that cannot be read any more; and their longer edge in
        pixels, the largest of ``WIDTHS_PX`` at which all fit into the budget.
    """
    rows, tiles = source.list_files(), source.list_first_tiles()
    known = [name for name in samples if name in rows]
    tried = known[:: max(1, len(known) // TRIED)][:TRIED]
    shown = [picture for name in tried if (picture := _read(source, rows[name], tiles)) is not None]
    if not shown:
        return {}, 0
    for width in WIDTHS_PX:
        mean = sum(len(encode_thumbnail(picture, width)) for picture in shown) / len(shown) * 4 / 3
        if mean * len(known) <= budget_bytes:
            break
    chosen = known[: int(max(0, budget_bytes) / mean)]

    def encode(names: Sequence[str]) -> list[bytes | None]:
        pictures = (_read(source, rows[name], tiles) for name in names)
        return [None if p is None else encode_thumbnail(p, width) for p in pictures]

    parts = [chosen[i::workers] for i in range(workers)]
    made = call_side_by_side([partial(encode, part) for part in parts], workers)
    pairs = [
        pair
        for part, done in zip(parts, made, strict=True)
        for pair in zip(part, done, strict=True)
    ]
    return {name: picture for name, picture in pairs if picture is not None}, width


def encode_thumbnail(picture: NDArray[np.uint8], edge_px: int) -> bytes:
    """Encode a picture, (H, W) or (H, W, 3), as WebP whose longer edge is ``edge_px`` at most."""
    from PIL import Image

    image = Image.fromarray(picture)
    image.thumbnail((edge_px, edge_px), Image.Resampling.BOX, reducing_gap=None)
    stream = io.BytesIO()
    image.convert("RGB").save(stream, format="WEBP", quality=QUALITY, method=2)
    return stream.getvalue()


def _read(
    source: PictureSource, row: dict[str, Any], tiles: dict[str, int]
) -> NDArray[np.uint8] | None:
    """Read a picture; None where it is gone, or was replaced by what is none."""
    if pd.notna(row.get("volume")):
        tile = tiles.get(str(row["sample_id"]))
        if tile is None or source.tiles is None or tile >= len(source.tiles):
            return None
        return np.ascontiguousarray(take_plane(np.asarray(source.tiles[tile])))
    if source.folder is None:
        return None
    path = source.folder / str(row["path"])
    try:
        picture = read_picture(path, max_pixels=source.max_pixels, bit_depth=read_bit_depth(row))
    except (PictureError, OSError):
        return None
    return picture.show(False)
