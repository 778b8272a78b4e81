"""Geometric tortuosity: pore spaces whose shortest paths are known."""

import numpy as np
import pytest

from batteryscope.demo.tortuosity import measure_geometric_tortuosity, measure_paths_um
from batteryscope.errors import InputError


def incline(angle_degrees, width, height):
    """A channel of horizontal width ``width``, leaning in x, one voxel deep in y."""
    lean = np.tan(np.radians(angle_degrees))
    x = np.arange(round(lean * height) + width)[:, None, None]
    z = np.arange(height)[None, None, :]
    start = np.round(lean * z)
    return (x >= start) & (x < start + width)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_straight_channel_is_1_along_its_axis(axis):
    pore = np.zeros((12, 12, 12), bool)
    index = [slice(4, 8)] * 3
    index[axis] = slice(None)
    pore[tuple(index)] = True
    assert measure_geometric_tortuosity(pore, 2.0, axis) == 1.0
    assert np.nanmax(measure_paths_um(pore, 2.0, axis)) == 22.0
    assert np.isfinite(measure_paths_um(pore, 2.0, axis)).sum() == 16


@pytest.mark.parametrize("angle", [30, 45])
def test_inclined_channel_is_1_over_cosine(angle):
    # Narrow for its length: the shortcut across it shortens the way by less than 1 %.
    pore = incline(angle, width=12, height=600)
    expected = 1 / np.cos(np.radians(angle))
    assert measure_geometric_tortuosity(pore, 1.0) == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("angle", [30, 45])
def test_wide_inclined_channel_has_its_shortcut(angle):
    # All voxels of the outflow plane see the nearest end of the inflow plane: straight lines.
    width, height = 120, 240
    pore = incline(angle, width, height)
    drop = height - 1
    offset = np.arange(width)
    sideways = np.maximum(0, np.round(np.tan(np.radians(angle)) * drop) + offset - (width - 1))
    expected = np.hypot(drop, sideways).mean() / drop
    assert expected < 0.97 / np.cos(np.radians(angle))
    assert measure_geometric_tortuosity(pore, 1.0) == pytest.approx(expected, rel=0.01)


def test_wall_with_a_hole():
    # Straight down to the hole's level for voxels above it, a slanted line to its rim for others.
    side, below, above, half = 81, 10, 60, 3
    pore = np.ones((side, side, below + 1 + above), bool)
    pore[:, :, below] = False
    middle = side // 2
    hole = slice(middle - half, middle + half + 1)
    pore[hole, hole, below] = True
    outside = np.maximum(0, np.abs(np.arange(side) - middle) - half)
    sideways = np.hypot(outside[:, None], outside[None, :])
    expected = below + np.hypot(above, sideways)
    paths = measure_paths_um(pore, 1.0)
    assert paths[middle, middle] == pytest.approx(below + above, abs=0.01)
    np.testing.assert_allclose(paths, expected, rtol=0.03)
    tortuosity = measure_geometric_tortuosity(pore, 1.0)
    assert tortuosity == pytest.approx(expected.mean() / (below + above), rel=0.02)


def test_pores_without_a_way_do_not_count():
    pore = np.zeros((10, 4, 20), bool)
    pore[1:3] = True  # connected
    pore[5:8, :, 10:] = True  # a blind pore that opens to the outflow plane
    assert measure_geometric_tortuosity(pore, 1.0) == 1.0
    assert np.isnan(measure_paths_um(pore, 1.0)[5:8]).all()


def test_voxel_size_scales_paths_and_not_tortuosity():
    pore = incline(45, width=6, height=30)
    longest = np.nanmax(measure_paths_um(pore, 1.0))
    assert np.nanmax(measure_paths_um(pore, 4.0)) == pytest.approx(4 * longest)
    tortuosity = measure_geometric_tortuosity(pore, 1.0)
    assert measure_geometric_tortuosity(pore, 4.0) == pytest.approx(tortuosity)


def test_no_connection_is_an_input_error():
    pore = np.ones((5, 5, 9), bool)
    pore[:, :, 4] = False
    with pytest.raises(
        InputError, match=r"No pore connects .* axis 2 \(porosity 0\.89\); use less"
    ):
        measure_geometric_tortuosity(pore, 1.0)


def test_a_single_layer_is_an_input_error():
    with pytest.raises(InputError, match="1 voxel thick along axis 2"):
        measure_geometric_tortuosity(np.ones((5, 5, 1), bool), 1.0)
