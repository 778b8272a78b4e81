"""Augmentation of one batch, against one copy of it."""

from pathlib import Path

from batteryscope.config.learning import AugmentSettings
from benchmarks.measurement import Measurement, summarise, take_rounds, timed
from benchmarks.sample_data import draw_tiles

BATCH, EDGE_PX = 32, 192
CALLS = 10
ROUNDS = 7
SETTINGS = {
    "augment, flips and turns": AugmentSettings(),
    "augment, everything": AugmentSettings(
        rotation_deg=10, shift=0.05, scale=0.1, brightness=0.1, contrast=0.1
    ),
}


def measure(folder: Path) -> list[Measurement]:
    """Measure the default (lossless) changes, and all of them together."""
    import torch

    from batteryscope.augment import TileAugmentation

    tiles = torch.from_numpy(draw_tiles(BATCH, EDGE_PX)).unsqueeze(1)
    generator = torch.Generator().manual_seed(1)

    def copy() -> None:
        for _ in range(CALLS):
            tiles.float()

    measurements = []
    for name, settings in SETTINGS.items():
        augmentation = TileAugmentation(settings)

        def augment(augmentation: TileAugmentation = augmentation) -> None:
            for _ in range(CALLS):
                augmentation(tiles, generator)

        rounds = take_rounds(timed(augment), timed(copy), ROUNDS)
        measurements.append(summarise(name, "batches/s", CALLS, rounds, "a copy as float32"))
    return measurements
