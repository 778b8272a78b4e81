"""Tiles with one thing taken away: what a network still says of them tells what it goes by."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Tiles = NDArray[np.uint8]
Perturb = Callable[[Tiles, "UsualLevels", np.random.Generator], Tiles]

INTACT = "intact"
PERTURBED = "_perturbed_"  # between the name of an arm and that of a perturbation
STRONGEST_GAIN = 5 / 3  # a contrast of 60 to 167 %: settings that people choose at one microscope
LARGEST_SHIFT = 40  # of 255 grey levels
BLOCKS_PER_EDGE = 16  # particles of a tile are larger than a sixteenth of its edge
SMALLEST_BLOCK_PX = 4


@dataclass(frozen=True)
class UsualLevels:
    """Mean and standard deviation of the grey levels (0 to 255) that a network was trained on."""

    mean: float
    sd: float


def change_brightness(tiles: Tiles, usual: UsualLevels, rng: np.random.Generator) -> Tiles:
    """Give every tile another brightness and contrast, by lot.

    Parameters
    ----------
    tiles : (n, H, W) or (n, C, H, W) uint8 array
        Left as they are.
    usual
        Not used.
    rng
        Draws them.
    """
    shape = (len(tiles), *[1] * (tiles.ndim - 1))
    gain = np.exp(rng.uniform(-1, 1, shape) * np.log(STRONGEST_GAIN))
    shift = rng.uniform(-LARGEST_SHIFT, LARGEST_SHIFT, shape)
    levels, mean, _ = _measure(tiles)
    return _as_grey((levels - mean) * gain + mean + shift)


def standardise(tiles: Tiles, usual: UsualLevels, rng: np.random.Generator) -> Tiles:
    """Give all tiles the mean and the standard deviation that training tiles have on average."""
    levels, mean, sd = _measure(tiles)
    return _as_grey((levels - mean) / sd * usual.sd + usual.mean)


def shuffle_blocks(tiles: Tiles, usual: UsualLevels, rng: np.random.Generator) -> Tiles:
    """Put square blocks of every tile in another order: all grey levels stay, shapes go.

    Blocks have a sixteenth of the shorter edge, but 4 pixels at least. All channels of a tile are
    shuffled alike; rows and columns that fill no block stay where they are.
    """
    height, width = tiles.shape[-2:]
    edge = max(SMALLEST_BLOCK_PX, min(height, width) // BLOCKS_PER_EDGE)
    n_down, n_across = height // edge, width // edge
    stack = tiles.reshape(len(tiles), -1, height, width)
    inner = stack[..., : n_down * edge, : n_across * edge]
    blocks = inner.reshape(len(tiles), -1, n_down, edge, n_across, edge)
    blocks = blocks.transpose(0, 2, 4, 1, 3, 5).reshape(len(tiles), n_down * n_across, -1)
    shuffled = np.stack([own[rng.permutation(len(own))] for own in blocks])
    shuffled = shuffled.reshape(len(tiles), n_down, n_across, -1, edge, edge)
    changed = stack.copy()
    changed[..., : n_down * edge, : n_across * edge] = shuffled.transpose(0, 3, 1, 4, 2, 5).reshape(
        inner.shape
    )
    return changed.reshape(tiles.shape)


def keep_edges(tiles: Tiles, usual: UsualLevels, rng: np.random.Generator) -> Tiles:
    """Keep the steepness of grey levels alone (Sobel), on the scale that training tiles have."""
    from scipy import ndimage

    levels = tiles.astype(np.float32)
    steepness = np.hypot(ndimage.sobel(levels, axis=-1), ndimage.sobel(levels, axis=-2))
    _, mean, sd = _measure(steepness)
    return _as_grey((steepness - mean) / sd * usual.sd + usual.mean)


def keep_intact(tiles: Tiles, usual: UsualLevels, rng: np.random.Generator) -> Tiles:
    """Change nothing: what the others are compared with."""
    return tiles


PERTURBATIONS: Mapping[str, Perturb] = {
    INTACT: keep_intact,
    "brightness": change_brightness,
    "standardised": standardise,
    "shuffled": shuffle_blocks,
    "edges": keep_edges,
}
PERTURBATION_LABELS = {
    INTACT: "as they are",
    "brightness": "brightness and contrast by lot",
    "standardised": "every tile standardised",
    "shuffled": "blocks shuffled: grey levels kept, shapes gone",
    "edges": "only edges left",
}


def _measure(
    tiles: NDArray[np.generic],
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Levels as float, and mean and standard deviation of each tile, ready to broadcast."""
    levels = tiles.astype(np.float32)
    axes = tuple(range(1, tiles.ndim))
    mean = levels.mean(axis=axes, keepdims=True)
    return levels, mean, np.maximum(levels.std(axis=axes, keepdims=True), 1.0)


def _as_grey(levels: NDArray[np.floating]) -> Tiles:
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)
