"""Batches from the memory-mapped tile store, against batches from an array in memory."""

from pathlib import Path

import numpy as np

from benchmarks.measurement import Measurement, summarise, take_rounds, timed
from benchmarks.sample_data import draw_tiles

TILES, EDGE_PX, BATCH = 3200, 96, 32
ROUNDS = 9


def measure(folder: Path) -> list[Measurement]:
    """Measure one shuffled epoch; the file is in the page cache, as after the first epoch."""
    import torch

    from batteryscope.training.data import EpochBatches, TileSet, make_loader

    tiles = draw_tiles(TILES, EDGE_PX)
    np.save(folder / "tiles.npy", tiles)
    mapped = np.load(folder / "tiles.npy", mmap_mode="r")
    numbers = np.arange(TILES)
    tile_set = TileSet(
        rows=numbers,
        targets=numbers % 12,
        weights=np.ones(TILES, np.float32),
        sample_ids=numbers.astype(object),
    )
    batches = EpochBatches(TILES, BATCH, seed=1)
    loader = make_loader(mapped, tile_set, batches)
    orders = [np.array(order) for order in batches]

    def load() -> None:
        for _ in loader:
            pass

    def gather() -> None:
        for order in orders:
            torch.from_numpy(tiles[order])

    rounds = take_rounds(timed(load), timed(gather), ROUNDS)
    return [summarise("load batches", "batches/s", len(orders), rounds, "fancy index of an array")]
