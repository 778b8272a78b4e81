"""Compiled loops over particles and pixels: overlap removal and a depth buffer of ellipsoids."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]
Map = NDArray[np.float32]
Rows = NDArray[np.int32]


@njit(cache=True)
def relax_overlaps(
    x: Array, y: Array, radius: Array, width: float, height: float, gap: float, rounds: int
) -> None:
    """Push overlapping discs apart in a periodic box, small ones farther; changes x and y.

    Neighbours are found through a grid of cells at least one contact distance wide. It ends when
    no overlap is deeper than 0.8, or after so many rounds.

    Parameters
    ----------
    x, y, radius
        Discs, in pixels; at least one.
    width, height
        Size of the box in pixels.
    gap
        Wanted distance between touching discs; negative to let them overlap a little.
    rounds
        Largest number of passes over all pairs.
    """
    count = len(x)
    cell = 2 * radius.max() + abs(gap)
    columns, rows = max(int(width // cell), 1), max(int(height // cell), 1)
    cell_w, cell_h = width / columns, height / rows
    reach_x = 1 if columns >= 3 else 0
    reach_y = 1 if rows >= 3 else 0
    if reach_x == 0:
        columns, cell_w = 1, width
    if reach_y == 0:
        rows, cell_h = 1, height
    for _ in range(rounds):
        first = -np.ones((rows, columns), np.int64)
        following = -np.ones(count, np.int64)
        worst = 0.0
        for i in range(count):
            x[i] %= width
            y[i] %= height
            c, r = min(int(x[i] / cell_w), columns - 1), min(int(y[i] / cell_h), rows - 1)
            following[i] = first[r, c]
            first[r, c] = i
        for i in range(count):
            c, r = min(int(x[i] / cell_w), columns - 1), min(int(y[i] / cell_h), rows - 1)
            for dr in range(-reach_y, reach_y + 1):
                for dc in range(-reach_x, reach_x + 1):
                    j = first[(r + dr) % rows, (c + dc) % columns]
                    while j >= 0:
                        if j > i:
                            dx, dy = x[i] - x[j], y[i] - y[j]
                            dx -= width * np.round(dx / width)
                            dy -= height * np.round(dy / height)
                            contact = radius[i] + radius[j] + gap
                            squared = dx * dx + dy * dy
                            if squared < contact * contact:
                                distance = np.sqrt(squared) + 1e-6
                                overlap = contact - distance
                                worst = max(worst, overlap)
                                area_i, area_j = radius[i] ** 2, radius[j] ** 2
                                share = area_j / (area_i + area_j)
                                push = 1.05 * overlap / distance
                                x[i] += dx * push * share
                                y[i] += dy * push * share
                                x[j] -= dx * push * (1 - share)
                                y[j] -= dy * push * (1 - share)
                        j = following[j]
        if worst < 0.8:
            break


@njit(cache=True)
def paint_ellipsoids(
    height: Map,
    particle: Rows,
    u_map: Map,
    v_map: Map,
    first: int,
    x: Array,
    y: Array,
    z: Array,
    a: Array,
    b: Array,
    angle: Array,
    even: Array,
    odd: Array,
) -> None:
    """Paint bumpy ellipsoids onto a depth buffer, in place; the highest one wins every pixel.

    Parameters
    ----------
    height, particle, u_map, v_map
        The four maps of a ``Surface``.
    first
        Number of the first ellipsoid in ``particle``.
    x, y, z, a, b, angle
        Centres, semi-axes (pixels) and turn (radians) of the ellipsoids; the third semi-axis is
        the smaller of ``a`` and ``b``.
    even, odd
        Cosine and sine amplitudes of the outline's harmonics 2, 3, ..., shape (n, harmonics).
    """
    rows, columns = height.shape
    for i in range(len(x)):
        thickness = min(a[i], b[i])
        reach = max(a[i], b[i]) * 1.25
        cos, sin = np.cos(angle[i]), np.sin(angle[i])
        for row in range(max(0, int(y[i] - reach)), min(rows, int(y[i] + reach) + 2)):
            for column in range(max(0, int(x[i] - reach)), min(columns, int(x[i] + reach) + 2)):
                if z[i] + thickness <= height[row, column]:
                    continue
                dx, dy = column - x[i], row - y[i]
                u, v = (dx * cos + dy * sin) / a[i], (dy * cos - dx * sin) / b[i]
                squared = u * u + v * v
                if squared > 1.5:
                    continue
                # cos and sin of the polar angle and, step by step, of its multiples
                length = np.sqrt(squared) + 1e-12
                c1, s1 = u / length, v / length
                c, s = c1, s1
                outline = 1.0
                for k in range(even.shape[1]):
                    c, s = c * c1 - s * s1, s * c1 + c * s1
                    outline += even[i, k] * c - odd[i, k] * s
                squared /= outline * outline
                if squared < 1.0:
                    top = z[i] + thickness * np.sqrt(1.0 - squared)
                    if top > height[row, column]:
                        height[row, column] = top
                        particle[row, column] = first + i
                        u_map[row, column] = u / outline
                        v_map[row, column] = v / outline
