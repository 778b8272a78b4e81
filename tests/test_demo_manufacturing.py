"""The electrode table: laws at points calculated by hand, ranges of the paper."""

import math

import numpy as np
import pandas as pd
import pytest

from batteryscope.config.table_data import ManufacturingGenerator
from batteryscope.demo.electrode_laws import (
    apply_springback,
    calculate_calendered_density,
    calculate_coated_density,
    calculate_compaction_resistance,
    calculate_slurry_density,
    calculate_solid_density,
    calculate_thickness,
    calculate_transfer_ratio,
    calculate_viscosity,
    calculate_wet_loading,
    find_line_load,
)
from batteryscope.demo.manufacturing import make_electrodes
from batteryscope.samples.rows import ROWS
from workflow_scripts.generate_dataset import main as generate

COLUMNS = [
    "domain",
    "active_material_wt_percent",
    "solid_content_wt_percent",
    "coating_speed_m_min",
    "comma_gap_um",
    "roll_speed_m_min",
    "roll_gap_um",
    "mass_loading_mg_cm2",
    "density_g_cm3",
]
# Fernandez et al. 2025, Results: lowest and highest value of every setting.
PAPER_RANGES = {
    "graphite": ((91, 95.5), (22, 42), (0.3, 0.3), (100, 300), (0.27, 0.54), (1, 135)),
    "si_graphite": ((8, 15), (24, 32), (0.3, 0.3), (100, 300), (0.27, 0.54), (15, 102)),
    "nmc": ((85, 97.5), (42, 66), (0.2, 1.0), (50, 400), (0.27, 0.54), (20, 206)),
}


def settings(**changes: object) -> ManufacturingGenerator:
    return ManufacturingGenerator.model_validate({"kind": "electrode_manufacturing"} | changes)


def test_densities_by_hand():
    # 1 / (0.9/2.24 + 0.05/1.78 + 0.05/1.95)
    assert calculate_solid_density(0.9, 2.24) == pytest.approx(2.19531, abs=1e-5)
    # 1 / (0.3/2 + 0.7/1)
    assert calculate_slurry_density(0.3, 2.0, 1.0) == pytest.approx(1 / 0.85)
    assert calculate_coated_density(2.0, 0.6, 0.4, 300.0) == pytest.approx(2 * (1 - 0.61))


def test_loading_by_hand():
    # 0.5 · 200 µm = 100 µm of 1.2 g/cm³ = 12 mg/cm², 30 % of it solid
    assert calculate_wet_loading(200, 1.2, 0.3, 0.5) == pytest.approx(3.6)
    assert calculate_thickness(3.6, 1.2) == pytest.approx(30.0)
    assert calculate_viscosity(0.31) == pytest.approx(2**1.55)
    assert calculate_transfer_ratio(0.3, 1.0) == pytest.approx(0.56)
    assert calculate_transfer_ratio(0.3 * math.e, math.e) == pytest.approx(0.602)


def test_calendering_by_hand():
    pressed = 2 - math.exp(-1)  # line load equal to the resistance closes 63 %
    assert calculate_calendered_density(1.0, 2.0, 60.0, 60.0) == pytest.approx(pressed)
    assert calculate_compaction_resistance(100, 0.27 * math.e) == pytest.approx(106)
    # 5 mg/cm² pressed so are 50/1.632 = 30.63 µm; 60 N/mm open the rolls by 10 µm.
    loading, coated = np.array([5.0, 5.0]), np.array([1.0, 1.0])
    gaps = np.array([50 / pressed - 10, 51.0])
    loads = find_line_load(loading, coated, 2.0, 60.0, gaps)
    assert loads == pytest.approx([60.0, 0.0])
    assert apply_springback(1.632, 1.0, 1e6, 0.06) == pytest.approx(1.632 / 1.06)
    assert apply_springback(1.01, 1.0, 1e6, 0.06) == 1.0


@pytest.mark.parametrize("chemistry", list(PAPER_RANGES))
def test_rows_and_ranges_of_the_paper(chemistry):
    table = make_electrodes(chemistry, settings())
    assert list(table) == COLUMNS
    assert len(table) == {"graphite": 235, "si_graphite": 53, "nmc": 63}[chemistry]
    for name, (low, high) in zip(COLUMNS[1:7], PAPER_RANGES[chemistry], strict=True):
        assert table[name].between(low, high).all(), name
    assert table["comma_gap_um"].agg(["min", "max"]).tolist() == list(PAPER_RANGES[chemistry][3])
    assert set(table["roll_speed_m_min"]) == {0.27, 0.54}


def test_a_row_without_noise_follows_the_laws():
    row = make_electrodes("graphite", settings(noise=0)).iloc[0]
    active, solid = row["active_material_wt_percent"] / 100, row["solid_content_wt_percent"] / 100
    rest = (1 - active) / 2
    dry = 1 / (active / 2.24 + rest / 1.78 + rest / 1.95)
    slurry = 1 / (solid / dry + (1 - solid) / 0.998)
    viscosity = (1 - solid * slurry / dry / 0.62) ** -1.55
    loading = 0.1 * (0.56 + 0.012 * math.log(viscosity)) * row["comma_gap_um"] * slurry * solid
    assert row["mass_loading_mg_cm2"] == pytest.approx(loading * active, abs=0.005)
    coated = dry * (1 - 0.6 + 0.1 * (solid - 0.3) - 0.0002 * (row["comma_gap_um"] - 200))
    assert coated - 0.001 <= row["density_g_cm3"] < 0.86 * dry


def test_chemistries_differ_as_in_the_paper():
    tables = {name: make_electrodes(name, settings()) for name in PAPER_RANGES}
    density = {name: table["density_g_cm3"].mean() for name, table in tables.items()}
    assert density["si_graphite"] < density["graphite"] < density["nmc"]
    loading = {name: table["mass_loading_mg_cm2"].max() for name, table in tables.items()}
    assert loading["nmc"] > 2 * loading["graphite"]


def test_noise_seed_and_independence_of_chemistries():
    quiet, noisy = make_electrodes("nmc", settings(noise=0)), make_electrodes("nmc", settings())
    assert quiet[COLUMNS[:7]].equals(noisy[COLUMNS[:7]])
    ratio = noisy["mass_loading_mg_cm2"] / quiet["mass_loading_mg_cm2"]
    assert 0.010 < np.log(ratio).std() < 0.020
    assert not make_electrodes("nmc", settings(seed=2)).equals(noisy)
    assert make_electrodes("nmc", settings(rows={"nmc": 63, "graphite": 5})).equals(noisy)


def test_program_writes_equal_bytes(tmp_path):
    for name in "ab":
        arguments = ["--settings", settings().model_dump_json(), "--out", str(tmp_path / name)]
        assert generate(["--by", ROWS.modules.generate, *arguments]) == 0
    content = (tmp_path / "a/electrodes.csv").read_bytes()
    assert content == (tmp_path / "b/electrodes.csv").read_bytes()
    assert len(pd.read_csv(tmp_path / "a/electrodes.csv")) == 351
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["electrodes.csv"]
