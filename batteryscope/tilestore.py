"""All tiles of a data set: one memory-mapped array and a table that says what is where."""

import math
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from batteryscope.errors import InputError

TILES_NAME = "tiles.npy"
INDEX_NAME = "index.parquet"
PREVIEW_ROW_NAME = "preview_row.png"  # every step for one picture, of cross-sections
# What a tile serves; a ``whole`` picture trains and judges.
TRAINING_KINDS, JUDGING_KINDS = ("random", "whole"), ("grid", "whole")
INDEX_COLUMNS = [
    "tile", "sample_id", "kind", "x_px", "y_px", "crop_px", "crop_height_px", "local_sd", "used",
]  # fmt: skip


@dataclass(frozen=True)
class TileStore:
    """A tile store that was opened for reading.

    Attributes
    ----------
    tiles
        uint8, (n_tiles, input_px, input_px) or, with several channels,
        (n_tiles, channels, input_px, input_px); memory-mapped: only what is used is read.
    index
        One row per tile with the columns of :data:`INDEX_COLUMNS`; ``tile`` is the row in
        ``tiles``, -1 for tiles that the quality filter left out.
    """

    tiles: NDArray[np.uint8]
    index: pd.DataFrame

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open the store in a folder.

        Raises
        ------
        InputError
            If a file is missing or the table names tiles that the array does not have.
        """
        for name in (TILES_NAME, INDEX_NAME):
            if not (folder / name).is_file():
                raise InputError(f"{folder / name} is missing; run preprocessing again.")
        tiles = np.load(folder / TILES_NAME, mmap_mode="r", allow_pickle=False)
        index = pd.read_parquet(folder / INDEX_NAME)
        if int(index["used"].sum()) != len(tiles):
            raise InputError(
                f"{folder}: {INDEX_NAME} names {int(index['used'].sum())} tiles but {TILES_NAME} "
                f"holds {len(tiles)}; delete the folder and run preprocessing again."
            )
        return cls(tiles, index)


def take_plane(tile: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return what people are shown of a tile: (H, W) itself, of (C, H, W) the middle slice."""
    return tile if tile.ndim == 2 else tile[len(tile) // 2]


class TileWriter:
    """Writes an array of unknown length to a ``.npy`` file, piece by piece.

    The file gets its name when the writer is closed without an error. NumPy leaves room in
    the header for a growing first axis, so the length is filled in at the end.
    """

    def __init__(self, path: Path, tile_shape: tuple[int, ...]) -> None:
        self.path = path
        self.tile_shape = tile_shape
        self.count = 0
        self._partial = path.with_name(path.name + ".partial")

    def __enter__(self) -> Self:
        self._stream: IO[bytes] = self._partial.open("wb")
        self._write_header()
        self._header_bytes = self._stream.tell()
        return self

    def write(self, tiles: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Append tiles, (n, *tile_shape), and return their row numbers."""
        if tiles.shape[1:] != self.tile_shape or tiles.dtype != np.uint8:
            raise ValueError(f"expected uint8 tiles {self.tile_shape}, got {tiles.shape[1:]}")
        self._stream.write(np.ascontiguousarray(tiles).data)
        numbers = np.arange(self.count, self.count + len(tiles), dtype=np.int64)
        self.count += len(tiles)
        return numbers

    def truncate(self, count: int) -> None:
        """Take back all tiles but the first ``count``."""
        if count > self.count:
            raise ValueError(f"{count} tiles cannot be left of {self.count}")
        self._stream.seek(self._header_bytes + count * math.prod(self.tile_shape))
        self._stream.truncate()
        self.count = count

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self._stream.seek(0)
            self._write_header()
            assert self._stream.tell() == self._header_bytes
        self._stream.close()
        if error is None:
            self._partial.replace(self.path)
        else:
            self._partial.unlink(missing_ok=True)

    def _write_header(self) -> None:
        description = {
            "descr": np.lib.format.dtype_to_descr(np.dtype(np.uint8)),
            "fortran_order": False,
            "shape": (self.count, *self.tile_shape),
        }
        np.lib.format.write_array_header_1_0(self._stream, description)


def complete_index(index: pd.DataFrame) -> pd.DataFrame:
    """Return the :data:`INDEX_COLUMNS`; crops whose height is not stated are as high as wide."""
    if "crop_height_px" not in index:
        index = index.assign(crop_height_px=index["crop_px"])
    return index[INDEX_COLUMNS].reset_index(drop=True)


def write_index(folder: Path, index: pd.DataFrame) -> None:
    """Write the index table of a store."""
    index = complete_index(index)
    index.to_parquet(folder / INDEX_NAME, index=False)
