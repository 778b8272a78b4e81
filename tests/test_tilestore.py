"""The tile store: written piece by piece, read by row."""

import numpy as np
import pandas as pd
import pytest

from batteryscope.errors import InputError
from batteryscope.tilestore import INDEX_COLUMNS, TileStore, TileWriter, take_plane, write_index


def make_tiles(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, 6, 6), dtype=np.uint8)


def make_index(used: list[bool]) -> pd.DataFrame:
    numbers = np.cumsum(used) - 1
    table = pd.DataFrame({"used": used, "tile": np.where(used, numbers, -1)})
    table["sample_id"] = [f"s{i % 2}" for i in range(len(used))]
    table["kind"] = ["random" if i < 3 else "grid" for i in range(len(used))]
    return table.assign(x_px=0, y_px=0, crop_px=6, crop_height_px=6, local_sd=1.0)[INDEX_COLUMNS]


def test_pieces_become_one_array(tmp_path):
    pieces = [make_tiles(n, n) for n in (3, 0, 120)]
    with TileWriter(tmp_path / "tiles.npy", (6, 6)) as writer:
        rows = [writer.write(piece).tolist() for piece in pieces]
    assert rows == [[0, 1, 2], [], list(range(3, 123))]
    assert np.array_equal(np.load(tmp_path / "tiles.npy"), np.concatenate(pieces))


def test_array_is_as_numpy_would_save_it(tmp_path):
    with TileWriter(tmp_path / "tiles.npy", (6, 6)) as writer:
        writer.write(make_tiles(5))
    np.save(tmp_path / "whole.npy", make_tiles(5))
    assert (tmp_path / "tiles.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()


def test_failed_writer_leaves_nothing(tmp_path):
    with (
        pytest.raises(ValueError, match="expected uint8"),
        TileWriter(tmp_path / "tiles.npy", (6, 6)) as writer,
    ):
        writer.write(make_tiles(2).astype(float))
    assert list(tmp_path.iterdir()) == []


def test_wrong_tiles_are_refused(tmp_path):
    with TileWriter(tmp_path / "tiles.npy", (6, 6)) as writer:
        with pytest.raises(ValueError, match="expected uint8"):
            writer.write(np.zeros((1, 5, 6), np.uint8))
        with pytest.raises(ValueError, match="expected uint8"):
            writer.write(np.zeros((1, 6, 6)))


def test_store_is_mapped(tmp_path):
    with TileWriter(tmp_path / "tiles.npy", (6, 6)) as writer:
        writer.write(make_tiles(4))
    write_index(tmp_path, make_index([True, False, True, True, True]))
    store = TileStore.open(tmp_path)
    assert isinstance(store.tiles, np.memmap)
    np.testing.assert_array_equal(store.tiles, make_tiles(4))


def test_incomplete_store_is_explained(tmp_path):
    with pytest.raises(InputError, match=r"tiles\.npy is missing"):
        TileStore.open(tmp_path)
    with TileWriter(tmp_path / "tiles.npy", (6, 6)) as writer:
        writer.write(make_tiles(3))
    write_index(tmp_path, make_index([True]))
    with pytest.raises(InputError, match=r"names 1 tiles but tiles\.npy holds 3"):
        TileStore.open(tmp_path)


def test_of_stacked_slices_the_middle_one_is_shown() -> None:
    stack = np.arange(12, dtype=np.uint8).reshape(3, 2, 2)
    np.testing.assert_array_equal(take_plane(stack), stack[1])
    np.testing.assert_array_equal(take_plane(stack[0]), stack[0])
