"""Polar unrolling: windings around a centre become straight lines."""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray


def unroll(
    pixels: NDArray[Any],
    x_px: float,
    y_px: float,
    inner_px: float,
    outer_px: float,
    n_angles: int,
    n_radii: int,
) -> NDArray[np.float32]:
    """Sample a slice on rays around a centre.

    Parameters
    ----------
    pixels
        Grey levels, (rows, columns).
    x_px, y_px
        Centre.
    inner_px, outer_px
        Smallest and largest radius, both included.
    n_angles, n_radii
        Number of rays, and of samples on each. The first ray points along the columns (to the
        right), the next ones follow clockwise as seen in a picture whose rows go downwards.

    Returns
    -------
    (n_radii, n_angles) float32 array
        A row per radius, from the inside to the outside; 0 outside of the slice.
    """
    angle = np.linspace(0, 2 * np.pi, n_angles, endpoint=False)
    radius = np.linspace(inner_px, outer_px, n_radii)
    # Only what the rays meet is converted: slices of large scans are large.
    top, left = (max(0, int(centre - outer_px) - 1) for centre in (y_px, x_px))
    part = pixels[top : int(y_px + outer_px) + 3, left : int(x_px + outer_px) + 3]
    return sample_rays(
        np.ascontiguousarray(part, dtype=np.float32), x_px - left, y_px - top, radius,
        np.cos(angle), np.sin(angle),
    )  # fmt: skip


@njit(cache=True, nogil=True)
def sample_rays(
    pixels: NDArray[np.float32],
    x_px: float,
    y_px: float,
    radii_px: NDArray[np.float64],
    cosines: NDArray[np.float64],
    sines: NDArray[np.float64],
    fill: float = 0.0,
) -> NDArray[np.float32]:
    """Interpolate linearly on rays around (x_px, y_px); ten times as fast as SciPy does.

    Parameters
    ----------
    pixels : (rows, columns) float32 array
    x_px, y_px
        Centre.
    radii_px : (n_radii,) array
    cosines, sines : (n_rays,) arrays
        Directions; sines count downwards.
    fill
        The value outside of the picture.

    Returns
    -------
    (n_radii, n_rays) float32 array
    """
    height, width = pixels.shape
    sampled = np.full((len(radii_px), len(cosines)), np.float32(fill))
    for i, radius in enumerate(radii_px):
        for j in range(len(cosines)):
            row, column = y_px + radius * sines[j], x_px + radius * cosines[j]
            if row < 0 or column < 0 or row > height - 1 or column > width - 1:
                continue
            r, c = min(int(row), height - 2), min(int(column), width - 2)
            down, right = row - r, column - c
            upper = pixels[r, c] * (1 - right) + pixels[r, c + 1] * right
            lower = pixels[r + 1, c] * (1 - right) + pixels[r + 1, c + 1] * right
            sampled[i, j] = upper * (1 - down) + lower * down
    return sampled
