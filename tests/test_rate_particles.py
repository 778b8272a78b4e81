"""Particle size of generated cross-sections: drawn, measured back, and in the capacities."""

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage
from skimage.feature import peak_local_max

from batteryscope.config.physics import HalfCellSettings
from batteryscope.config.picture_generators import CrossSectionGenerator
from batteryscope.config.project import load_project
from batteryscope.demo.cross_section import PIXEL_SIZE_UM, render_cross_section
from batteryscope.demo.cross_section_dataset import list_electrodes, simulate_measurements
from batteryscope.demo.cross_section_phases import CRACK, PARTICLE
from batteryscope.physics.half_cell import choose_variants, smooth_local_porosity
from tests.test_config import PARAMS

RADIUS = "particle_radius_um"


def measure_mean_radius_um(phases):
    """Return 3 V/S of the particles from the inscribed circles of their sections.

    For a section s = r·√(1 − u²) of a sphere that the plane meets, E[s²] = 2/3 E[r²] and
    E[s] = π/4 E[r].
    """
    inside = ndimage.distance_transform_edt(np.isin(phases, (PARTICLE, CRACK)))
    peaks = peak_local_max(ndimage.gaussian_filter(inside, 1), min_distance=4, threshold_abs=3)
    radii = inside[tuple(peaks.T)] * PIXEL_SIZE_UM
    return 3 * np.pi / 8 * (radii**2).sum() / radii.sum()


@pytest.mark.parametrize("radius_um", [2.5, 7.0])
def test_drawn_particles_have_the_size_that_was_asked_for(radius_um):
    porosity = 0.346
    sections = [
        render_cross_section(
            porosity, seed, width_px=480, artefacts=False, particle_radius_um=radius_um
        )
        for seed in range(3)
    ]
    measured = np.mean([measure_mean_radius_um(section.phases) for section in sections])
    assert measured == pytest.approx(radius_um, rel=0.15)
    assert [s.porosity for s in sections] == pytest.approx([porosity] * 3, abs=0.01)


def test_without_a_radius_the_pictures_are_those_of_before():
    """Pixels of every phase, and the mean grey level, as before particles could vary."""
    known = {
        (0.3, 5): ([41228, 43355, 13586, 4571, 79147, 29284, 3311, 2478], 104.5273),
        (0.196, 7): ([22272, 24878, 13375, 4674, 78322, 34866, 3266, 2987], 128.6851),
    }
    for (porosity, seed), (counts, grey) in known.items():
        section = render_cross_section(porosity, seed, width_px=320)
        # Another processor may round a pixel at an edge differently.
        assert np.bincount(section.phases.ravel()) == pytest.approx(counts, abs=3)
        assert section.pixels.mean() == pytest.approx(grey, abs=0.005)
    assert all(e.particle_radius_um is None for e in list_electrodes(CrossSectionGenerator()))


def test_capacities_are_those_of_the_electrodes_radius():
    grid = pd.DataFrame(
        [
            {RADIUS: r, "porosity": p, "c_rate": 5.0, "ah_kg": 100 - 20 * np.log2(r) + 50 * p}
            for r in (2.0, 4.0, 8.0)
            for p in np.linspace(0.13, 0.56, 9)
        ]
    )
    cell = HalfCellSettings(particle_radius_um=4)
    at = np.array([0.3, 0.4, 0.3])
    own = smooth_local_porosity(grid, at, cell, {RADIUS: np.array([2.0, 4.0, 8.0])})[(5.0, "Ah/kg")]
    assert own == pytest.approx([95, 80, 55])
    # Who does not know the radii of the electrodes gets that of the cell.
    assert smooth_local_porosity(grid, at, cell)[(5.0, "Ah/kg")] == pytest.approx([75, 80, 75])
    settings = CrossSectionGenerator(
        electrodes_per_porosity=3, particle_radius_um=(2, 8), capacity_error=0
    )
    electrodes = list_electrodes(settings)
    radii = [electrode.particle_radius_um for electrode in electrodes]
    assert all(2 <= radius <= 8 for radius in radii)
    for i in range(0, 15, 3):  # small, middle and large ones at every porosity
        assert max(radii[i : i + 3]) > 1.5 * min(radii[i : i + 3])
    table = simulate_measurements(electrodes, settings, grid)
    mass = table[table["unit"] == "mAh/g"].set_index("electrode")["capacity"]
    expected = [100 - 20 * np.log2(e.particle_radius_um) + 50 * e.porosity for e in electrodes]
    assert mass[[e.name for e in electrodes]].tolist() == pytest.approx(expected, abs=0.01)


def test_large_particles_deliver_less_at_high_rates():
    pytest.importorskip("pybamm")
    from batteryscope.physics.half_cell import simulate_porosity

    low, high = (
        [
            row["ah_kg"]
            for row in simulate_porosity(
                0.346, HalfCellSettings(c_rates=[0.2, 5.0], particle_radius_um=radius)
            )
        ]
        for radius in (3.0, 7.0)
    )
    assert high[0] > 0.93 * low[0]
    assert high[1] < 0.7 * low[1]


def test_the_model_is_solved_between_the_radii_that_are_drawn():
    cell = HalfCellSettings(particle_radius_um=5)
    assert choose_variants(cell, []) == [{}]
    radii = choose_variants(cell, [(RADIUS, 2.5, 4.0), (RADIUS, 3.0, 6.0)])
    assert (radii[0], radii[-1]) == ({RADIUS: 2.5}, {RADIUS: 6.0})
    assert choose_variants(cell, [(RADIUS, 2.5, 4.0)])[-1] == {RADIUS: 5.0}
    both = choose_variants(cell, [("binder_gradient", 0.2, 0.5), (RADIUS, 2.5, 4.0)])
    assert len(both) == 9
    assert both[0] == {RADIUS: 2.5, "binder_gradient": 0.0}
    for radii, known in (([2.5, 7.5], [(RADIUS, 2.5, 7.5)] * 2), (None, [])):
        varied = {"generator": {"particle_radius_um": radii}}
        changes = {"rate_capability": {"dataset": varied, "evaluate": {"external": varied}}}
        project = load_project(PARAMS, {"studies": changes})
        assert project.studies["rate_capability"].drawn_ranges == known
    with pytest.raises(ValueError, match="smaller number first"):
        CrossSectionGenerator(particle_radius_um=(6, 2))
