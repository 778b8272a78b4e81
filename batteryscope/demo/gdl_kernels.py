"""Compiled loops over the voxels of a gas diffusion layer: cylinders and columns."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

PORE, FIBRE, BINDER = 0, 1, 2
Structure = NDArray[np.uint8]
Directions = NDArray[np.float64]


@njit(cache=True)
def paint_cylinder(
    structure: Structure, point: Directions, direction: Directions, radius: float
) -> int:
    """Paint an endless cylinder (voxel units) into the pores, in place; return voxels added."""
    # Layer by layer along the in-plane axis that the fibre follows more.
    along = 0 if abs(direction[0]) >= abs(direction[1]) else 1
    across = 1 - along
    d_along, d_across, d_up = direction[along], direction[across], direction[2]
    reach_across = radius * np.sqrt(1 + (d_across / d_along) ** 2)
    reach_up = radius * np.sqrt(1 + (d_up / d_along) ** 2)
    added = 0
    for i in range(structure.shape[along]):
        t = (i + 0.5 - point[along]) / d_along
        middle, height = point[across] + t * d_across, point[2] + t * d_up
        first = max(0, int(np.ceil(middle - reach_across - 0.5)))
        last = min(structure.shape[across] - 1, int(np.floor(middle + reach_across - 0.5)))
        bottom = max(0, int(np.ceil(height - reach_up - 0.5)))
        top = min(structure.shape[2] - 1, int(np.floor(height + reach_up - 0.5)))
        for j in range(first, last + 1):
            x, y = (i, j) if along == 0 else (j, i)
            for z in range(bottom, top + 1):
                u, v = j + 0.5 - middle, z + 0.5 - height
                shadow = u * d_across + v * d_up
                if structure[x, y, z] == PORE and u * u + v * v - shadow * shadow < radius * radius:
                    structure[x, y, z] = FIBRE
                    added += 1
    return added


@njit(cache=True)
def level_columns(structure: Structure, limit: int) -> None:
    """Move solid beyond ``limit`` voxels per column to the nearest columns with room, in place."""
    length, width, thickness = structure.shape
    solid = np.zeros((length, width), np.int64)
    for x in range(length):
        for y in range(width):
            for z in range(thickness):
                solid[x, y] += structure[x, y, z] != PORE
    for x in range(length):
        for y in range(width):
            before, surplus, seen = solid[x, y], solid[x, y] - limit, 0
            for z in range(thickness):
                if surplus <= 0 or structure[x, y, z] == PORE:
                    continue
                seen += 1
                # spread over the whole column: every (before / surplus)-th solid voxel leaves
                if seen * surplus // before == (seen - 1) * surplus // before:
                    continue
                to_x, to_y = _find_room(solid, limit, x, y)
                to_z, shift = z, 0
                while structure[to_x, to_y, to_z] != PORE:  # the nearest pore: +1, -1, +2, -2, ...
                    shift = -shift if shift > 0 else 1 - shift
                    to_z = min(max(z + shift, 0), thickness - 1)
                structure[to_x, to_y, to_z] = structure[x, y, z]
                structure[x, y, z] = PORE
                solid[x, y] -= 1
                solid[to_x, to_y] += 1


@njit(cache=True)
def _find_room(solid: NDArray[np.int64], limit: int, x: int, y: int) -> tuple[int, int]:
    """Return a column with less than ``limit`` solid voxels, on the nearest square ring."""
    length, width = solid.shape
    for ring in range(1, max(length, width)):
        for i in range(max(0, x - ring), min(length, x + ring + 1)):
            step = 1 if abs(i - x) == ring else 2 * ring
            for j in range(y - ring, y + ring + 1, step):
                if 0 <= j < width and solid[i, j] < limit:
                    return i, j
    return x, y  # not reached: the caller has checked that all solid fits


@njit(cache=True)
def press_columns(structure: Structure, compressed: int) -> Structure:
    """Return the structure with planes moved together, in columns of ``compressed`` voxels."""
    length, width, thickness = structure.shape
    pressed = np.zeros((length, width, compressed), np.uint8)
    for x in range(length):
        for y in range(width):
            left = 0
            for z in range(thickness):
                left += structure[x, y, z] != PORE
            lowest = 0  # the first place above the solid that is already down
            for z in range(thickness):
                if structure[x, y, z] != PORE:
                    # its plane, but above what lies below, and with room for what lies above
                    place = min(max(z * compressed // thickness, lowest), compressed - left)
                    pressed[x, y, place] = structure[x, y, z]
                    lowest = place + 1
                    left -= 1
    return pressed
