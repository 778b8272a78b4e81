"""Can, core, windings and unrolling on drawn cells whose answers are known."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from batteryscope.config.preprocess import CtSlicesSettings, find_tile_shape
from batteryscope.demo import ct_parameters
from batteryscope.demo.ct_scan import draw_rings, render_slice
from batteryscope.preprocess.can_circle import Circle, find_can, fit_circle, shrink_by_blocks
from batteryscope.preprocess.ct_slices import crop_square, list_stack, make_tile
from batteryscope.preprocess.cut_volume import find_in_slice, follow_axis, smooth
from batteryscope.preprocess.unroll import unroll
from batteryscope.preprocess.winding_core import Core, find_core
from batteryscope.preprocess.winding_descriptors import compare_slices, measure_windings

SIZE = 300
Grey = NDArray[np.float32]


def draw_cell(
    x: float = 150, y: float = 150, radius: float = 110, core: float = 22, pitch: float = 5.0,
    noise: float = 0.0, stretch: float = 1.0,
) -> Grey:  # fmt: skip
    """Draw rings between a bright can and a dark core; ``stretch`` makes the cell wider."""
    rows, columns = np.mgrid[:SIZE, :SIZE].astype(np.float32)
    r = np.hypot((columns - x) / stretch, rows - y)
    picture = np.where(r < radius, 100 + 40 * np.cos(2 * np.pi * (r - core) / pitch), 5.0)
    picture = np.where(r < core, 20.0, picture)
    picture = np.where((r < radius) & (r > radius - 4), 220.0, picture)
    if noise:
        picture = picture + np.random.default_rng(3).normal(0, noise, picture.shape)
    return picture.astype(np.float32)


def check(can: Circle | None, x: float, y: float, radius: float, within: float = 1.5) -> None:
    assert can is not None
    found = can.x_px, can.y_px, can.radius_px
    assert found == pytest.approx((x, y, radius), abs=within)


def test_circle_through_points() -> None:
    angle = np.linspace(0, 3, 20)
    found = fit_circle(7 + 3 * np.cos(angle), -2 + 3 * np.sin(angle))
    assert found == pytest.approx((7, -2, 3))


@pytest.mark.parametrize(
    ("x", "y", "radius"), [(150, 150, 110), (128.3, 171.6, 105), (171, 135, 90)]
)
def test_can_is_found_wherever_it_is(x: float, y: float, radius: float) -> None:
    check(find_can(draw_cell(x, y, radius, noise=12)), x, y, radius)


def test_can_in_a_large_slice_is_found_at_full_resolution() -> None:
    large = np.kron(draw_cell(140, 160, 100), np.ones((4, 4), np.float32))
    check(find_can(large), 140 * 4 + 1.5, 160 * 4 + 1.5, 400, within=4)
    small, factor = shrink_by_blocks(large, SIZE)
    assert factor == 4
    np.testing.assert_allclose(small, draw_cell(140, 160, 100), rtol=1e-6)


def test_rings_missing_parts_dents_and_tilt_do_not_move_the_can() -> None:
    rows, columns = np.mgrid[:SIZE, :SIZE]
    angle = np.arctan2(rows - 150, columns - 150)
    r = np.hypot(columns - 150, rows - 150)
    cell = draw_cell(noise=8)
    ringed = cell + 25 * ((np.hypot(columns - 149, rows - 149).astype(int) % 17) == 0)
    check(find_can(ringed), 150, 150, 110)
    missing = np.where((r > 104) & (np.abs(angle) < 0.6), 5, cell)
    check(find_can(missing), 150, 150, 110, within=1.5)
    dented = np.where(columns > 150 + 92, 5, cell)  # flattened on one side
    check(find_can(dented), 150, 150, 110, within=1.5)
    holder = cell + 45 * (r > 110)  # the cell stands in a holder
    check(find_can(holder), 150, 150, 110)
    tilted = draw_cell(radius=108, stretch=1.015, noise=8)  # an oblique cut is an ellipse
    check(find_can(tilted), 150, 150, 109, within=2)


def test_nothing_round_is_no_cell() -> None:
    rng = np.random.default_rng(1)
    assert find_can(np.zeros((SIZE, SIZE))) is None
    assert find_can(rng.normal(100, 10, (SIZE, SIZE))) is None
    square = np.full((SIZE, SIZE), 5.0)
    square[60:240, 60:240] = 150
    assert find_can(square + rng.normal(0, 3, square.shape)) is None


def test_core_is_found_off_the_centre_of_the_can() -> None:
    cell = draw_cell(core=0, noise=8)
    rows, columns = np.mgrid[:SIZE, :SIZE]
    moved = np.hypot(columns - 157, rows - 144) < 26
    can = find_can(cell)
    assert can is not None
    found = find_core(np.where(moved, 20, cell), can)
    assert found is not None
    assert (found.x_px, found.y_px, found.radius_px) == pytest.approx((157, 144, 26), abs=1.5)
    assert found.roundness > 0.93
    assert found.radius_variation < 0.06


def test_a_buckled_core_is_less_round_and_a_filled_one_is_none() -> None:
    cell = draw_cell(core=26)
    rows, columns = np.mgrid[:SIZE, :SIZE]
    can = find_can(cell)
    assert can is not None
    round_core = find_core(cell, can)
    wedge = (np.abs(columns - 150) < 7) & (rows < 150) & (rows > 100)
    buckled = find_core(np.where(wedge, 120, cell), can)
    assert round_core is not None
    assert buckled is not None
    assert buckled.roundness < round_core.roundness - 0.1
    assert buckled.radius_variation > 2 * round_core.radius_variation
    pinned = np.where(np.hypot(columns - 150, rows - 150) < 30, 140, cell)
    assert find_core(pinned, can) is None


@pytest.mark.parametrize(("every", "share"), [(2, 0.5), (2, 0.8), (3, 1.0)])
def test_windings_that_look_alike_in_pairs_or_threes_keep_their_pitch(
    every: int, share: float
) -> None:
    y, x = np.mgrid[:SIZE, :SIZE]
    r = np.hypot(x - 150, y - 150)
    turn = 2 * np.pi * r / 5.0
    uneven = 1 + share * np.cos(turn / every)
    picture = np.where(r < 110, 100 + 20 * np.cos(turn) * uneven, 5.0)
    windings = measure_windings(picture, Circle(150, 150, 110, 1))
    assert windings.pitch_px == pytest.approx(5.0, rel=0.03)


@pytest.mark.parametrize(("size", "seed"), [(160, 1), (192, 0), (640, 0)])
def test_pitch_of_generated_windings_is_neither_doubled_nor_halved(size: int, seed: int) -> None:
    for state in ("pristine", "calendar_aged"):
        rng = np.random.default_rng([seed, size])
        cell = ct_parameters.draw_cell(state, rng)
        picture = render_slice(cell, 0.5, size, rng, draw_rings(cell, size, rng))
        can = find_can(picture)
        assert can is not None
        inner = cell.radius - cell.can - 0.004  # what the can leaves for the windings
        true = (inner - cell.core * cell.radius) / cell.turns * size
        assert measure_windings(picture, can).pitch_px == pytest.approx(true, rel=0.1)


def test_two_foils_in_one_turn_are_no_pitch() -> None:
    y, x = np.mgrid[:SIZE, :SIZE]
    turn = (np.hypot(x - 150, y - 150) / 9.0) % 1
    coating, copper = (np.exp(-(((turn - at) / w) ** 2)) for at, w in ((0.27, 0.2), (0.77, 0.06)))
    picture = np.where(np.hypot(x - 150, y - 150) < 110, 60 + 90 * coating + 60 * copper, 5.0)
    windings = measure_windings(picture, Circle(150, 150, 110, 1))
    assert windings.pitch_px == pytest.approx(9.0, rel=0.03)


@pytest.mark.parametrize("pitch", [4.0, 5.5, 8.0])
def test_pitch_of_drawn_windings(pitch: float) -> None:
    cell = draw_cell(pitch=pitch, noise=10)
    can = find_can(cell)
    assert can is not None
    windings = measure_windings(cell, can)
    assert windings.pitch_px == pytest.approx(pitch, rel=0.02)
    assert windings.pitch_variation < 0.02
    assert windings.regularity > 0.6


def test_waves_raise_the_variation_and_an_end_cap_has_no_windings() -> None:
    rows, columns = np.mgrid[:SIZE, :SIZE].astype(np.float32)
    r, angle = np.hypot(columns - 150, rows - 150), np.arctan2(rows - 150, columns - 150)
    can = find_can(draw_cell())
    assert can is not None
    uneven = 100 + 40 * np.cos(2 * np.pi * r / (5 + 0.8 * np.cos(2 * angle)))
    waves = measure_windings(np.where(r < 110, uneven, 5), can)
    assert waves.pitch_variation > 0.05
    rng = np.random.default_rng(2)
    cap = np.where(r < 110, 60.0, 5.0) + rng.normal(0, 3, r.shape)
    assert measure_windings(cap, can).regularity < 0.2


def test_centre_follows_a_tilted_cell_and_leaves_out_single_errors() -> None:
    z = np.arange(30.0)
    rng = np.random.default_rng(5)
    x = 100 + 0.4 * z + rng.normal(0, 0.3, 30)
    cans: list[Circle | None] = [Circle(float(v), 50.0, 40.0, 1.0) for v in x]
    cores: list[Core | None] = [Core(float(v) + 3, 48.0, 9.0, 1.0, 0.0) for v in x]
    cores[12] = Core(140.0, 90.0, 9.0, 1.0, 0.0)  # something else was taken for the core
    cans[20] = cores[20] = None
    axis = follow_axis(cans, cores, 9)
    np.testing.assert_allclose(axis.x_px, 103 + 0.4 * z, atol=0.6)
    np.testing.assert_allclose(axis.y_px, 48, atol=0.1)
    np.testing.assert_allclose(axis.radius_px, 40)
    without = follow_axis(cans, [None] * 30, 9)
    np.testing.assert_allclose(without.x_px, 100 + 0.4 * z, atol=0.6)
    np.testing.assert_allclose(smooth(3 + 2 * z, 7), 3 + 2 * z)
    assert smooth(np.array([4.0]), 9).tolist() == [4.0]
    for wrong in (0, 1, 28, 29):  # at the ends as well
        line = 3 + 0.2 * z
        line[wrong] += 40
        np.testing.assert_allclose(smooth(line, 9), 3 + 0.2 * z, atol=0.3)


def test_unrolled_circles_are_straight_lines() -> None:
    cell = draw_cell(160, 140)
    rays = unroll(cell, 160, 140, 30, 100, 90, 71)
    assert rays.shape == (71, 90)
    expected = 100 + 40 * np.cos(2 * np.pi * (np.arange(30, 101) - 22) / 5)
    np.testing.assert_allclose(rays.mean(1), expected, atol=8)
    assert rays[5:-5].std(axis=1).max() < 8
    ramp = np.tile(np.arange(SIZE, dtype=np.float32), (SIZE, 1))
    along = unroll(ramp, 150, 150, 0, 10, 4, 11)
    np.testing.assert_allclose(along[:, 0], np.arange(150, 161), atol=1e-3)  # to the right
    np.testing.assert_allclose(along[:, 1], 150, atol=1e-3)  # downwards
    assert unroll(ramp, 2, 2, 0, 10, 8, 11)[10, 4] == 0  # beyond the border


def test_crop_stack_and_contrast() -> None:
    assert list_stack(5, 9, 2) == [3, 5, 7]
    assert list_stack(0, 9, 2) == [0, 0, 2]
    assert list_stack(8, 9, 1) == [7, 8, 8]
    assert list_stack(8, 9, 0) == [8]
    picture = np.arange(100).reshape(10, 10)
    assert crop_square(picture, 4.2, 5.4, 1.6).tolist() == picture[3:8, 2:7].tolist()
    assert crop_square(picture, 0, 0, 1).tolist() == [[0, 0, 1], [0, 0, 1], [10, 10, 11]]
    settings = CtSlicesSettings(input_px=48, half_edge_radii=0.5)
    cell = draw_cell(140, 160)
    # The contrast is that of the middle slice: a darker neighbour stays darker.
    tile = make_tile([cell, cell, cell / 2], 140, 160, 110, settings)
    assert tile.shape == (3, 48, 48)
    assert tile.dtype == np.uint8
    np.testing.assert_array_equal(tile[0], tile[1])
    assert tile[2].mean() < 0.7 * tile[1].mean()
    scaled = make_tile([7 * cell + 1000], 140, 160, 110, settings)
    single = make_tile([cell], 140, 160, 110, settings)
    assert single.shape == (48, 48)
    np.testing.assert_allclose(scaled.astype(int), single.astype(int), atol=1)
    assert single[24, 24] < 20  # the core is in the middle
    for change in ({"unroll": True}, {"contrast": "clahe"}, {"contrast": "none"}):
        other = make_tile([cell], 140, 160, 110, settings.model_copy(update=change))
        assert other.shape == (48, 48)
    narrow = CtSlicesSettings(input_px=48, half_edge_radii=0.5, unroll=True, unroll_angles=24)
    square = narrow.model_copy(update={"unroll_angles": None})
    tiles = [make_tile([cell, cell, cell], 140, 160, 110, s) for s in (narrow, square)]
    assert tiles[0].shape == (3, *find_tile_shape(narrow)) == (3, 48, 24)
    np.testing.assert_allclose(tiles[0].astype(int), tiles[1][:, :, ::2].astype(int), atol=3)


def test_similarity_of_crops() -> None:
    rng = np.random.default_rng(1)
    a: NDArray[Any] = rng.normal(size=(20, 20))
    assert compare_slices(a, 3 * a + 2) == pytest.approx(1)
    assert abs(compare_slices(a, rng.normal(size=(20, 20)))) < 0.2
    assert compare_slices(a, np.ones((20, 20))) == 0


@pytest.mark.real_data
def test_buckled_core_of_a_real_cell(shared_data: Path) -> None:
    found = {}
    for name in ("im_1", "im_2"):
        finding = find_in_slice(tifffile.imread(shared_data / "xct18650" / f"{name}.tif"))
        assert finding.can is not None
        assert finding.core is not None
        assert finding.windings is not None
        pitch = finding.windings.pitch_px / finding.can.radius_px
        assert pitch == pytest.approx(0.0406, abs=0.001)
        found[name] = finding.core, finding.windings
    nominal, buckled = found["im_1"], found["im_2"]
    assert buckled[0].radius_variation > 1.4 * nominal[0].radius_variation
    assert buckled[0].roundness < nominal[0].roundness - 0.02
    assert buckled[1].pitch_variation > 1.5 * nominal[1].pitch_variation
