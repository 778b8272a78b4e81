"""Geometric tortuosity of a pore space: how much longer than straight the shortest way is.

The paper (Fernandez et al. 2025, equation 5) defines it as the shortest path to the inflow plane
over the distance to the inflow plane, without saying over which points it is averaged. Here it
is the mean over the pore voxels of the outflow plane that are connected to the inflow plane.

Paths bend around the solid in any direction, not only along a grid: their lengths solve the
eikonal equation |grad d| = 1 in the pores, by first-order upwind differences. First order makes
ways behind an edge a little too long, the more so the coarser the voxels; values of different
voxel sizes should not be compared.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from batteryscope.errors import InputError

UNREACHED = np.float32(1e9)
# Smaller improvements of a path, in voxels, are not passed on; path lengths are good to about that.
LEAST_GAIN = np.float32(1e-4)


def measure_geometric_tortuosity(
    pore: NDArray[np.bool_], voxel_size_um: float, axis: int = 2
) -> float:
    """Return the mean shortest path from the outflow to the inflow plane over their distance.

    Parameters
    ----------
    pore
        True where gas can pass, shape (x, y, z).
    voxel_size_um
        Edge of the cubic voxels.
    axis
        Direction of the flow; the inflow plane is the first along it, the outflow plane the last.

    Returns
    -------
    float
        1 for straight pores, more otherwise.

    Raises
    ------
    InputError
        If no pore connects the two planes, or they are the same plane.
    """
    if pore.shape[axis] < 2:
        raise InputError(
            f"The pore space is {pore.shape[axis]} voxel thick along axis {axis}; tortuosity "
            "needs at least 2, choose a smaller voxel size."
        )
    paths = measure_paths_um(pore, voxel_size_um, axis)
    connected = paths[np.isfinite(paths)]
    if connected.size == 0:
        raise InputError(
            f"No pore connects the inflow to the outflow plane along axis {axis} "
            f"(porosity {pore.mean():.2f}); use less fibre, binder or compression."
        )
    return float(connected.mean() / ((pore.shape[axis] - 1) * voxel_size_um))


def measure_paths_um(
    pore: NDArray[np.bool_], voxel_size_um: float, axis: int = 2
) -> NDArray[np.float64]:
    """Return the shortest way from every voxel of the outflow plane to the inflow plane.

    Voxels count as connected through their faces; lengths are from centre to centre.

    Returns
    -------
    array
        Lengths in µm, in the shape of the plane; NaN in solid and in pores without a way.
    """
    distances = _solve_eikonal(np.ascontiguousarray(np.moveaxis(pore, axis, 2)))
    outflow = distances[:, :, -1].astype(np.float64)
    return np.where(outflow < UNREACHED, outflow * voxel_size_um, np.nan)


@njit(cache=True)
def _solve_eikonal(pore: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return distances to the plane z = 0 through the pores, in voxels, by fast sweeping.

    The eight sweep directions take turns until nothing changes; voxels none of whose neighbours
    has changed are passed over.
    """
    nx, ny, nz = pore.shape
    distance = np.full((nx, ny, nz), UNREACHED, np.float32)
    waiting = np.zeros((nx, ny, nz), np.bool_)
    for x in range(nx):
        for y in range(ny):
            if pore[x, y, 0]:
                distance[x, y, 0] = 0
                waiting[x, y, 1] = pore[x, y, 1]
    changed = True
    while changed:
        changed = False
        for sweep in range(8):
            for i in range(nx):
                x = i if sweep & 1 == 0 else nx - 1 - i
                for j in range(ny):
                    y = j if sweep & 2 == 0 else ny - 1 - j
                    for k in range(1, nz):
                        z = k if sweep & 4 == 0 else nz - k
                        if not waiting[x, y, z]:
                            continue
                        waiting[x, y, z] = False
                        new = _extend_paths(distance, x, y, z)
                        if new >= distance[x, y, z] - LEAST_GAIN:
                            continue
                        changed = True
                        distance[x, y, z] = new
                        if x > 0 and pore[x - 1, y, z] and distance[x - 1, y, z] > new:
                            waiting[x - 1, y, z] = True
                        if x < nx - 1 and pore[x + 1, y, z] and distance[x + 1, y, z] > new:
                            waiting[x + 1, y, z] = True
                        if y > 0 and pore[x, y - 1, z] and distance[x, y - 1, z] > new:
                            waiting[x, y - 1, z] = True
                        if y < ny - 1 and pore[x, y + 1, z] and distance[x, y + 1, z] > new:
                            waiting[x, y + 1, z] = True
                        if z > 1 and pore[x, y, z - 1] and distance[x, y, z - 1] > new:
                            waiting[x, y, z - 1] = True
                        if z < nz - 1 and pore[x, y, z + 1] and distance[x, y, z + 1] > new:
                            waiting[x, y, z + 1] = True
    return distance


@njit(cache=True)
def _extend_paths(distance: NDArray[np.float32], x: int, y: int, z: int) -> np.float32:
    """Return the distance of a voxel (z at least 1) that follows from its neighbours.

    Godunov's upwind scheme: the front comes from the nearer neighbour along one, two or
    three axes, as many as agree with its direction. Solid neighbours stay ``UNREACHED``.
    """
    nx, ny, nz = distance.shape
    a = b = UNREACHED
    if x > 0:
        a = distance[x - 1, y, z]
    if x < nx - 1:
        a = min(a, distance[x + 1, y, z])
    if y > 0:
        b = distance[x, y - 1, z]
    if y < ny - 1:
        b = min(b, distance[x, y + 1, z])
    c = distance[x, y, z - 1]
    if z < nz - 1:
        c = min(c, distance[x, y, z + 1])
    if a > b:
        a, b = b, a
    if b > c:
        b, c = c, b
    if a > b:
        a, b = b, a
    one = np.float32(1)
    new = a + one
    if new > b:
        # relative to the nearest, because squares of large distances lose digits
        q = b - a
        new = a + (q + np.sqrt(np.float32(2) - q * q)) / np.float32(2)
        if new > c:
            r = c - a
            total = q + r
            root = total * total - np.float32(3) * (q * q + r * r - one)
            new = a + (total + np.sqrt(max(root, np.float32(0)))) / np.float32(3)
    return new
