"""Polar unrolling: windings around a centre become straight lines."""

from typing import Any

import numpy as np
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
    from scipy.ndimage import map_coordinates

    angle = np.linspace(0, 2 * np.pi, n_angles, endpoint=False)
    radius = np.linspace(inner_px, outer_px, n_radii)[:, None]
    rows, columns = y_px + radius * np.sin(angle), x_px + radius * np.cos(angle)
    # Only what the rays meet is converted: slices of large scans are large.
    top, left = max(0, int(rows.min()) - 1), max(0, int(columns.min()) - 1)
    part = pixels[top : int(rows.max()) + 3, left : int(columns.max()) + 3].astype(np.float32)
    sampled: NDArray[np.float32] = map_coordinates(
        part, [rows - top, columns - left], order=1, output=np.float32
    )
    return sampled
