"""Draw a gas diffusion layer voxel by voxel: straight carbon fibres, binder, compression.

A structure is a uint8 array (length, width, thickness) of ``PORE``, ``FIBRE`` and ``BINDER``; the
fibres lie in the plane of the first two axes. As in the paper, fibres are straight, reach through
the whole volume and may cross each other. Concentrations are shares of the volume before
compression.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import ndimage

from batteryscope.errors import InputError

# Standard deviation of the angle between a fibre and the plane; it makes the mean square of the
# third direction cosine 0.0068, as in the paper's orientation tensor diag(0.4966, 0.4966, 0.0068).
TILT_SD_RAD = 0.0827
# Binder sits where the fibre density, smoothed by this share of the fibre diameter, is highest:
# in the wedges at crossings. Chosen by eye, to give webs about as wide as a fibre.
BINDER_REACH_DIAMETERS = 0.55
LEAST_BINDER_REACH_VOXELS = 0.8
FLATNESS_OF_WEBS = 0.7  # reach of the smoothing across the plane, as a share of that within it
SMOOTHING_CUT_SD = 2.5
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


def draw_directions(n: int, rng: np.random.Generator) -> Directions:
    """Draw fibre directions, isotropic in the plane and slightly tilted out of it.

    Returns
    -------
    array
        Unit vectors, shape (n, 3).
    """
    azimuth = rng.uniform(0, np.pi, n)
    tilt = rng.normal(0, TILT_SD_RAD, n)
    in_plane = np.cos(tilt)
    return np.stack([in_plane * np.cos(azimuth), in_plane * np.sin(azimuth), np.sin(tilt)], axis=1)


def draw_fibres(
    shape: tuple[int, int, int],
    fibre_diameter_um: float,
    fibre_concentration_vol_percent: float,
    voxel_size_um: float,
    rng: np.random.Generator,
) -> tuple[Structure, Directions]:
    """Fill an empty volume with fibres until they take the asked share of it.

    Every fibre passes through a random place of the volume, evenly also at its faces.

    Parameters
    ----------
    shape
        Voxels along length, width and thickness.
    fibre_concentration_vol_percent
        From 0 to less than 100; the last fibre may exceed it by its own volume.

    Returns
    -------
    structure, directions
        The volume, and the unit vectors (n, 3) of the fibres in it.

    Raises
    ------
    InputError
        If a side has no voxel, or the concentration is out of range.
    """
    if min(shape) < 1:
        raise InputError(
            f"A gas diffusion layer of {shape} voxels is empty; enlarge size_um or choose a "
            "smaller voxel_size_um."
        )
    _check_percentage("fibre_concentration_vol_percent", fibre_concentration_vol_percent)
    structure = np.zeros(shape, np.uint8)
    wanted = fibre_concentration_vol_percent / 100 * structure.size
    radius = fibre_diameter_um / voxel_size_um / 2
    filled = 0
    directions = []
    while filled < wanted:
        direction = draw_directions(1, rng)[0]
        added = 0
        while added == 0:  # a fibre that misses the volume gets a new place, not a new direction
            point = _draw_place(structure.shape, direction, radius, rng)
            added = paint_cylinder(structure, point, direction, radius)
        filled += added
        directions.append(direction)
    return structure, np.array(directions).reshape(-1, 3)


def measure_orientation_tensor(directions: Directions) -> NDArray[np.float64]:
    """Return the mean of the dyadic products of fibre directions, shape (3, 3), trace 1.

    Parameters
    ----------
    directions
        Unit vectors, shape (n, 3), n at least 1.
    """
    if len(directions) == 0:
        raise InputError(
            "An orientation tensor needs fibres, and there are none; "
            "raise fibre_concentration_vol_percent above 0."
        )
    return directions.T @ directions / len(directions)


def add_binder(
    structure: Structure,
    binder_concentration_vol_percent: float,
    fibre_diameter_um: float,
    voxel_size_um: float,
) -> Structure:
    """Return the structure with binder in those pores that have most fibre around them.

    Without fibres there is nothing to bind, and no binder is added.

    Raises
    ------
    InputError
        If there are fewer pores than binder is asked for.
    """
    _check_percentage("binder_concentration_vol_percent", binder_concentration_vol_percent)
    bound = structure.copy()
    wanted = round(binder_concentration_vol_percent / 100 * structure.size)
    if wanted == 0:
        return bound
    reach = max(
        LEAST_BINDER_REACH_VOXELS, BINDER_REACH_DIAMETERS * fibre_diameter_um / voxel_size_um
    )
    density = (structure == FIBRE).astype(np.float32)
    sd = (reach, reach, FLATNESS_OF_WEBS * reach)
    ndimage.gaussian_filter(density, sd, output=density, truncate=SMOOTHING_CUT_SD)
    in_pores = density[structure == PORE]
    if wanted > in_pores.size:
        raise InputError(
            f"binder_concentration_vol_percent is {binder_concentration_vol_percent:g}, but only "
            f"{100 * in_pores.size / structure.size:.1f} vol % of the volume is pore; lower it."
        )
    rank = in_pores.size - wanted
    in_pores.partition(rank)
    least = max(float(in_pores[rank]), float(np.finfo(np.float32).tiny))
    bound[(density >= least) & (structure == PORE)] = BINDER
    return bound


def compress(structure: Structure, compression_factor: float) -> Structure:
    """Return the structure pressed along the thickness; pores give way, solid volume is kept.

    Every solid voxel moves down with the plane it lies in, and rests on the solid below it where
    it would sink into it. Where a column has more solid than the compressed thickness, the
    surplus first moves aside to the nearest column with room.

    Parameters
    ----------
    compression_factor
        Share of the thickness that is lost, from 0 (as it is) to below 1.

    Raises
    ------
    InputError
        If the factor is out of range or the solid does not fit.
    """
    if not 0 <= compression_factor < 1:
        raise InputError(
            f"compression_factor is {compression_factor:g}; expected 0 (uncompressed) to below 1."
        )
    length, width, thickness = structure.shape
    compressed = round(thickness * (1 - compression_factor))
    solid = np.count_nonzero(structure)
    if solid > length * width * compressed:
        raise InputError(
            f"compression_factor {compression_factor:g} leaves less room than the solid needs "
            f"({100 * solid / structure.size:.1f} % of the volume); choose a smaller factor."
        )
    if compressed == thickness:
        return structure.copy()
    levelled = structure.copy()
    level_columns(levelled, compressed)
    return press_columns(levelled, compressed)


def _check_percentage(name: str, value: float) -> None:
    if not 0 <= value < 100:
        raise InputError(f"{name} is {value:g}; expected 0 to below 100.")


def _draw_place(
    shape: tuple[int, ...], direction: Directions, radius: float, rng: np.random.Generator
) -> Directions:
    """Draw a point of a fibre's axis, evenly over the volume's shadow along the fibre.

    The shadow's bounding rectangle is drawn from, so that some fibres miss the volume.
    """
    side = np.array([-direction[1], direction[0], 0.0]) / np.hypot(direction[0], direction[1])
    point = np.array(shape) / 2
    for axis in (side, np.cross(direction, side)):
        half = np.abs(axis) @ np.array(shape) / 2 + radius
        point = point + rng.uniform(-half, half) * axis
    return point
