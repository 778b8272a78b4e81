"""Binder that moved to the surface of generated electrodes: drawn, and in the capacities."""

import numpy as np
import pandas as pd
import pytest
import torch

from batteryscope.config.physics import HalfCellSettings
from batteryscope.config.picture_generators import CrossSectionGenerator
from batteryscope.demo.cross_section import render_cross_section
from batteryscope.demo.cross_section_dataset import list_electrodes
from batteryscope.demo.cross_section_phases import BINDER, CARBON
from batteryscope.errors import ConfigError
from batteryscope.models.rate_cnn import RateCnn
from batteryscope.physics.half_cell import smooth_local_porosity


def measure_additives(section, low, high):
    """Share of binder and carbon between two relative heights above the foil."""
    rows = np.arange(len(section.phases))[:, None]
    height = (section.foil_row - rows) / (section.foil_row - section.surface_row)
    inside = (height > low) & (height < high)
    return np.isin(section.phases[inside], (BINDER, CARBON)).mean()


def test_additives_rise_along_a_line_at_the_same_porosity():
    even, moved = (
        render_cross_section(0.3, 3, width_px=480, artefacts=False, binder_gradient=gradient)
        for gradient in (0.0, 0.6)
    )
    assert moved.porosity == pytest.approx(even.porosity, abs=0.002)
    for low, high in ((0.05, 0.35), (0.35, 0.65), (0.65, 0.95)):
        expected = 0.126 * (1 + 0.6 * (low + high - 1))
        assert measure_additives(moved, low, high) == pytest.approx(expected, rel=0.2)


def test_electrodes_differ_in_gradient_and_radius_independently():
    settings = CrossSectionGenerator(
        electrodes_per_porosity=40, binder_gradient=(0, 0.5), particle_radius_um=(2.5, 7.5)
    )
    electrodes = list_electrodes(settings)
    gradients = np.array([e.binder_gradient for e in electrodes])
    assert gradients.min() >= 0
    assert gradients.max() <= 0.5
    radii = np.log([e.particle_radius_um for e in electrodes])
    assert abs(np.corrcoef(gradients, radii)[0, 1]) < 0.2
    with pytest.raises(ValueError, match="smaller number first"):
        CrossSectionGenerator(binder_gradient=(0.5, 0.5))


def test_capacities_are_interpolated_in_both_settings():
    grid = pd.DataFrame(
        [
            {"particle_radius_um": r, "binder_gradient": g, "porosity": p, "c_rate": 5.0,
             "ah_kg": 100 - 20 * np.log2(r) - 40 * g + 50 * p}
            for r in (2.0, 4.0, 8.0) for g in (0.0, 0.25, 0.5) for p in np.linspace(0.13, 0.56, 5)
        ]
    )  # fmt: skip
    own = {"particle_radius_um": np.array([2.0, 4.0]), "binder_gradient": np.array([0.5, 0.0])}
    cell = HalfCellSettings(particle_radius_um=4)
    found = smooth_local_porosity(grid, np.array([0.3, 0.4]), cell, own)
    assert found[(5.0, "Ah/kg")] == pytest.approx([75, 80])
    known = smooth_local_porosity(grid, np.array([0.3]), cell)
    assert known[(5.0, "Ah/kg")] == pytest.approx([75])


def test_binder_at_the_surface_costs_capacity_at_high_rates():
    pytest.importorskip("pybamm")
    from batteryscope.physics.half_cell import simulate_porosity

    even, moved = (
        [
            row["ah_kg"]
            for row in simulate_porosity(
                0.254, HalfCellSettings(c_rates=[0.2, 5.0], binder_gradient=gradient)
            )
        ]
        for gradient in (0.0, 0.5)
    )
    assert moved[0] == pytest.approx(even[0], rel=0.01)
    assert moved[1] < 0.6 * even[1]
    with pytest.raises(ConfigError, match="at one edge"):
        simulate_porosity(0.13, HalfCellSettings(binder_gradient=0.6))


def test_bands_tell_what_lies_above_from_what_lies_below():
    torch.manual_seed(1)
    tile = torch.rand(1, 1, 32, 32)
    tile[:, :, :16] *= 0.2
    for bands, differs in ((1, False), (4, True)):
        network = RateCnn(in_chans=1, width=0.25, bands=bands).eval()
        pooled = network.pool(network.features(tile))
        turned = network.pool(network.features(tile.flip(2)))
        apart = (pooled - turned).abs().mean() / pooled.abs().mean()
        assert (apart > 0.3) == differs
