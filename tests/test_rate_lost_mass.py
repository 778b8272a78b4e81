"""Lost particles and thickness of generated cross-sections: drawn, and in the capacities."""

import numpy as np
import pandas as pd
import pytest

from batteryscope.config.physics import HalfCellSettings
from batteryscope.config.picture_generators import CrossSectionGenerator
from batteryscope.demo.cross_section import PIXEL_SIZE_UM, render_cross_section
from batteryscope.demo.cross_section_dataset import (
    VARIED,
    list_electrodes,
    simulate_measurements,
)
from batteryscope.demo.cross_section_phases import CRACK, PARTICLE, PULL_OUT
from batteryscope.errors import ConfigError
from batteryscope.physics import half_cell
from batteryscope.physics.electrode import find_loading_mg_cm2, find_thickness_um
from batteryscope.provenance import digest_json

THICKNESS = "coating_thickness_um"


def test_the_lost_share_is_seen_as_holes_and_cracks():
    even, lost, more = (
        render_cross_section(0.35, 5, width_px=480, artefacts=False, lost_particles=share)
        for share in (0.0, 0.2, 0.4)
    )
    holes, cracks = (
        [(s.phases == phase).sum() / (even.phases == PARTICLE).sum() for s in (even, lost, more)]
        for phase in (PULL_OUT, CRACK)
    )
    # Half of what is lost is torn out; the other half stays, with cracks.
    assert holes == pytest.approx([0, 0.1, 0.2], abs=0.01)
    assert cracks[0] < cracks[1] < cracks[2]
    assert lost.porosity == even.porosity
    assert np.array_equal(lost.surface_row, even.surface_row)


def test_the_coating_is_as_thick_as_asked_for():
    for thickness_um in (30.0, 70.0):
        section = render_cross_section(0.35, 5, width_px=320, coating_thickness_um=thickness_um)
        drawn = (section.foil_row - section.surface_row).mean() * PIXEL_SIZE_UM
        assert drawn == pytest.approx(thickness_um, rel=0.01)
        assert section.porosity == pytest.approx(0.35, abs=0.01)


def test_off_means_unchanged_digests_and_electrodes():
    """Digests as before these settings came."""
    assert digest_json(CrossSectionGenerator().model_dump(mode="json"))[:12] == "5eb3a25dc455"
    assert digest_json(HalfCellSettings().model_dump(mode="json"))[:12] == "7700cdef7a88"
    assert all(e.lost_particles is e.coating_thickness_um is None for e in list_electrodes(
        CrossSectionGenerator()
    ))  # fmt: skip


def test_electrodes_differ_in_all_four_independently():
    limits = {
        "particle_radius_um": (2.5, 7.5), "binder_gradient": (0, 0.5),
        "lost_particles": (0, 0.3), THICKNESS: (40, 90),
    }  # fmt: skip
    assert list(limits) == list(half_cell.VARIED) == list(VARIED)
    electrodes = list_electrodes(CrossSectionGenerator(electrodes_per_porosity=40, **limits))
    values = np.array([[getattr(e, name) for name in limits] for e in electrodes])
    for column, (low, high) in zip(values.T, limits.values(), strict=True):
        assert low <= column.min() < column.max() <= high
        assert np.ptp(column) > 0.9 * (high - low)
    assert np.abs(np.corrcoef(values.T) - np.eye(4)).max() < 0.2
    for name, wrong in (("lost_particles", (0.2, 0.6)), (THICKNESS, (10, 50))):
        with pytest.raises(ValueError, match=name):
            CrossSectionGenerator(**{name: wrong})
    with pytest.raises(ValueError, match="smaller number first"):
        CrossSectionGenerator(lost_particles=(0.2, 0.2))


def test_loading_and_thickness_follow_from_each_other():
    cell = HalfCellSettings()
    assert find_loading_mg_cm2(0.3, cell) == cell.loading_mg_cm2
    thick = HalfCellSettings(coating_thickness_um=find_thickness_um(0.3, cell))
    assert find_loading_mg_cm2(0.3, thick) == pytest.approx(cell.loading_mg_cm2)
    twice = HalfCellSettings(coating_thickness_um=2 * find_thickness_um(0.3, cell))
    assert find_loading_mg_cm2(0.3, twice) == pytest.approx(2 * cell.loading_mg_cm2)
    assert find_thickness_um(0.5, twice) == twice.coating_thickness_um


def test_capacities_are_those_of_the_electrodes_share_and_thickness():
    cell = HalfCellSettings(porosity_spread=0)
    variants = half_cell.choose_variants(
        cell, [("lost_particles", 0.1, 0.4), (THICKNESS, 30.0, 120.0)]
    )
    assert variants[0] == {"lost_particles": 0.0, THICKNESS: 30.0}
    assert variants[-1] == {"lost_particles": 0.4, THICKNESS: 120.0}
    grid = pd.DataFrame(
        [
            {**own, "porosity": p, "c_rate": 0.2, "ah_kg": 160 * (1 - own["lost_particles"])
             - own[THICKNESS] / 10}
            for own in variants for p in (0.13, 0.3, 0.45, 0.56)
        ]
    )  # fmt: skip
    settings = CrossSectionGenerator(
        electrodes_per_porosity=2, lost_particles=(0.1, 0.4), coating_thickness_um=(30, 120),
        capacity_error=0,
    )  # fmt: skip
    electrodes = list_electrodes(settings)
    table = simulate_measurements(electrodes, settings, grid)
    mass = table[table["unit"] == "mAh/g"].set_index("electrode")["capacity"]
    expected = [160 * (1 - e.lost_particles) - e.coating_thickness_um / 10 for e in electrodes]
    assert mass[[e.name for e in electrodes]].tolist() == pytest.approx(expected, abs=0.01)
    # Who knows the porosity alone gets an electrode of the usual loading with nothing lost.
    known = half_cell.smooth_local_porosity(grid, np.array([0.3]), cell)
    assert known[(0.2, "Ah/kg")] == pytest.approx(160 - find_thickness_um(0.3, cell) / 10)


def solve(c_rate, **changes):
    pytest.importorskip("pybamm")
    cell = HalfCellSettings(c_rates=[c_rate], **changes)
    (row,) = half_cell.simulate_porosity(0.346, cell)
    return row


def test_only_connected_mass_delivers():
    whole, lost = solve(0.2), solve(0.2, lost_particles=0.2)
    for unit in ("ah_kg", "ah_l"):
        assert lost[unit] == pytest.approx(0.8 * whole[unit], rel=0.01)
    # Connected mass delivers what it does at the higher rate that it has to bear.
    assert lost["ah_kg"] == pytest.approx(0.8 * solve(0.25)["ah_kg"], rel=0.001)


def test_thick_coatings_deliver_less_at_high_rates(monkeypatch):
    thin, thick = (solve(5.0, coating_thickness_um=value) for value in (40, 100))
    assert (thin["thickness_um"], thick["thickness_um"]) == (40, 100)
    assert thick["ah_kg"] < 0.5 * thin["ah_kg"]
    pybamm = pytest.importorskip("pybamm")

    def fail(*_arguments, **_settings):
        raise pybamm.SolverError("IDA_CONV_FAIL")

    monkeypatch.setattr(pybamm.Simulation, "solve", fail)
    with pytest.raises(ConfigError, match=r"cannot be solved at 5C .* 34\.6 % porosity and 150 µm"):
        solve(5.0, coating_thickness_um=150)
