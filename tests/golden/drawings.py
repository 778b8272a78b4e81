"""Pictures of the three kinds, of a few lines each, by whole numbers and square roots alone."""

import numpy as np
from numpy.typing import NDArray

from batteryscope.seeds import derive_rng

Grey = NDArray[np.uint8]
CELL_PX = 160


def draw_texture(*name: object, height: int = 96, width: int = 128) -> Grey:
    """Draw coarse and fine noise, as coatings from above look to a filter."""
    rng = derive_rng("golden texture", *name)
    coarse = rng.integers(0, 200, (height // 4, width // 4)).repeat(4, 0).repeat(4, 1)
    return (coarse + rng.integers(0, 55, (height, width))).astype(np.uint8)


def draw_cell(*name: object, shrunk: bool) -> Grey:
    """Draw a slice of a cylindrical cell: can, core, and windings between them."""
    rng = derive_rng("golden cell", *name)
    rows, columns = np.mgrid[:CELL_PX, :CELL_PX]
    x, y = 78 + rng.integers(0, 5), 78 + rng.integers(0, 5)
    r = np.sqrt(((columns - x) ** 2 + (rows - y) ** 2).astype(float))
    core, radius, pitch = (14.0 if shrunk else 12.0), 62.0, 5.0
    phase = (r - core) / pitch % 1
    picture = np.where(r < radius, 60 + 160 * np.abs(phase - 0.5), 5.0)
    picture = np.where(r < core, 20.0, picture)
    picture = np.where((r < radius) & (r > radius - 4), 220.0, picture)
    return (picture + rng.integers(0, 4, picture.shape)).astype(np.uint8)


def draw_coating(*name: object, height: int = 400, width: int = 500) -> Grey:
    """Draw a cross-section: a bright foil below a band of bright particles in dark pores."""
    rng = derive_rng("golden coating", *name)
    shape = (height // 10, width // 10)
    particles = (rng.integers(0, 2, shape) * 150).repeat(10, 0).repeat(10, 1)
    rows = np.arange(height)[:, None] + np.zeros((1, width), int)
    picture = np.where((rows >= 100) & (rows < 300), 25 + particles, 25)
    return np.where((rows >= 300) & (rows < 380), 240, picture).astype(np.uint8)
