"""Capacity tables, generated electrodes, and physics: what labels come from."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from batteryscope.config.base import validate_settings
from batteryscope.config.evaluate import EvaluateSettings
from batteryscope.config.physics import HalfCellSettings
from batteryscope.config.picture_generators import CrossSectionGenerator
from batteryscope.config.split import SplitSettings
from batteryscope.config.table_format import TableFormat
from batteryscope.config.targets import CapacityTargets, name_target
from batteryscope.demo.cross_section_dataset import list_electrodes, simulate_measurements
from batteryscope.errors import ConfigError, InputError
from batteryscope.evaluation.number_metrics import read_target
from batteryscope.manifest.targets import attach_capacities, read_capacities
from batteryscope.physics.electrode import find_skeletal_density, find_thickness_um
from batteryscope.physics.half_cell import smooth_local_porosity
from batteryscope.report.input_tables import show_rejects
from batteryscope.splits.assign import split_samples
from workflow_scripts.ingest_dataset import main as ingest

RATES = [0.2, 5.0]
SETTINGS = CapacityTargets(c_rates=RATES, units=["Ah/kg", "Ah/L"])


def write_table(folder: Path, **changes) -> Path:
    """Write capacities of two electrodes; ``changes`` replaces cells of the first row."""
    rows = [
        {"electrode": e, "c_rate": f"{r:g}C", "capacity": 100 + i + 10 * r, "unit": unit}
        for i, e in enumerate(("a", "b"))
        for r in RATES
        for unit in ("mAh/g", "mAh cm⁻³")
    ]
    rows[0] |= changes
    pd.DataFrame(rows).to_csv(folder / "capacities.csv", index=False)
    return folder / "capacities.csv"


def test_units_that_are_the_same_number_are_taken(tmp_path):
    table = read_capacities(write_table(tmp_path), SETTINGS).capacities
    assert list(table.columns) == SETTINGS.names
    assert table.loc["b", "capacity_0p2c_ah_kg"] == pytest.approx(103)
    assert table.loc["a", "capacity_5c_ah_l"] == pytest.approx(150)


def test_several_cells_of_an_electrode_are_averaged(tmp_path):
    path = write_table(tmp_path)
    table = pd.read_csv(path)
    extra = table.iloc[[0]].assign(capacity=table.loc[0, "capacity"] + 4)
    pd.concat([table, extra]).to_csv(path, index=False)
    table = read_capacities(path, SETTINGS).capacities
    assert table.loc["a", "capacity_0p2c_ah_kg"] == pytest.approx(104)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"capacity": -3}, ["row 2", "capacity is '-3", "above 0"]),
        ({"capacity": "many"}, ["row 2", "'many'"]),
        ({"unit": "mAh/cm²"}, ["row 2", "'mAh/cm²'", "per area"]),
        ({"unit": "Wh/kg"}, ["'Wh/kg'", "mAh/g"]),
        ({"c_rate": "1C"}, ["electrode 'a'", "0.2C in Ah/kg"]),
    ],
)
def test_wrong_cells_are_explained_in_one_sentence(tmp_path, changes, words):
    """The row is left out, and with it the electrode that now lacks a C-rate, but no other."""
    path = write_table(tmp_path, **changes)
    found = read_capacities(path, SETTINGS)
    assert found.capacities.index.tolist() == ["b"]
    assert list(found.lost) == ["a"]
    told = " ".join([*(f"row {n}: {why}" for n, why in found.wrong.items()), *found.lost.values()])
    for word in words:
        assert word in told
    pd.read_csv(path).query("electrode == 'a'").to_csv(path, index=False)
    with pytest.raises(InputError) as caught:
        read_capacities(path, SETTINGS)
    for word in words:
        assert word in str(caught.value)


def test_capacities_with_a_decimal_comma_and_a_wrong_row(tmp_path):
    path = tmp_path / "capacities.csv"
    lines = [
        f"{e};{f'{r:g}'.replace('.', ',')}C;{100 + 10 * r:.2f};{unit}".replace(".", ",")
        for e in ("a", "b")
        for r in RATES
        for unit in ("mAh/g", "mAh/cm3")
    ]
    slip = "a;0,2C;999,5 mAh;mAh/g"
    path.write_text("\n".join(["electrode;c_rate;capacity;unit", *lines, slip]))
    manifest = pd.DataFrame({"path": ["a.png", "b.png"], "specimen_id": ["a", "b"]})
    kept, rejects = attach_capacities(manifest, SETTINGS, tmp_path)
    assert kept["capacity_0p2c_ah_kg"].tolist() == [102.0, 102.0]
    (reject,) = rejects
    assert (reject.path, reject.reason) == ("capacities.csv", "wrong_label")
    assert reject.detail.startswith("row 10: capacity is '999,5 mAh'")
    # Without the row its electrode lacks a C-rate, and only its images are lost.
    path.write_text("\n".join(["electrode;c_rate;capacity;unit", slip, *lines[1:]]))
    kept, rejects = attach_capacities(manifest, SETTINGS, tmp_path)
    assert kept["path"].tolist() == ["b.png"]
    assert [(r.path, r.reason) for r in rejects] == [
        ("capacities.csv", "wrong_label"),
        ("a.png", "no_capacity"),
    ]
    # Thousands or thousandths: only the user knows.
    text = path.read_text().replace("102,00", "1,025").replace("150,00", "1,550")
    path.write_text(text.replace("0,2C", "1C").replace("999,5 mAh", "1,025"))
    settings = CapacityTargets(c_rates=[1, 5], units=["Ah/kg"])
    with pytest.raises(
        InputError, match=r"dataset\.targets\.table_format\.decimal: '.' if it is 1025"
    ):
        read_capacities(path, settings)
    settings = settings.model_copy(update={"table_format": TableFormat(decimal=".")})
    assert read_capacities(path, settings).capacities.loc["b"].tolist() == [1025, 1550]


@pytest.mark.parametrize(
    ("model", "values", "words"),
    [
        (CapacityTargets, {"source": "simulated", "table_format": {"decimal": ","}}, "simulated"),
        (EvaluateSettings, {"survey_format": {"encoding": "cp1252"}}, "with survey null"),
    ],
)
def test_a_format_of_no_table_is_refused(model, values, words):
    with pytest.raises(ConfigError, match=words):
        validate_settings(model, values, "here")


def test_electrodes_without_images_and_images_without_capacity_are_listed(tmp_path):
    write_table(tmp_path)
    manifest = pd.DataFrame({"path": ["a/1.png", "c/1.png"], "specimen_id": ["a", "c"]})
    kept, rejects = attach_capacities(manifest, SETTINGS, tmp_path)
    assert kept["path"].tolist() == ["a/1.png"]
    assert kept["capacity_5c_ah_kg"].tolist() == [150.0]
    assert [(r.path, r.reason) for r in rejects] == [
        ("capacities.csv", "no_images"),
        ("c/1.png", "no_capacity"),
    ]
    assert rejects[0].detail.startswith("1 of its 2 electrodes without an image left out: 'b'")
    with pytest.raises(InputError, match="none of its electrodes"):
        attach_capacities(manifest.assign(specimen_id="z"), SETTINGS, tmp_path)
    with pytest.raises(InputError, match="electrode of this image is not known"):
        attach_capacities(manifest.assign(specimen_id=None), SETTINGS, tmp_path)


def test_electrode_without_images_is_told_in_log_summary_and_report(tmp_path):
    root = tmp_path / "set"
    (root / "a").mkdir(parents=True)
    write_table(root)
    rng = np.random.default_rng(0)
    for number in range(2):
        picture = Image.fromarray(rng.integers(0, 255, (40, 60), dtype=np.uint8))
        picture.save(root / "a" / f"{number}.png")
    settings = {
        "name": "x", "path": f"{root}",
        "labels": {"columns": ["porosity"], "pattern": r"(?P<porosity>(?P<specimen_id>a))"},
        "targets": SETTINGS.model_dump(mode="json"),
    }  # fmt: skip
    files = {k: tmp_path / "out" / k for k in ("m.parquet", "f.parquet", "r.csv", "s.json")}
    names = ("--manifest", "--frames", "--rejects", "--summary")
    words = [f"{w}" for pair in zip(names, files.values(), strict=True) for w in pair]
    log = tmp_path / "ingest.log"
    argv = ["--dataset", f"{root}", "--settings", json.dumps(settings), "--log", f"{log}"]
    assert ingest([*argv, *words]) == 0
    sentence = "capacities.csv: 1 of its 2 electrodes without an image left out: 'b'; add"
    assert sentence in log.read_text()
    assert json.loads(files["s.json"].read_text())["rejects"] == {"no_images": 1}
    counts, listed = show_rejects(pd.read_csv(files["r.csv"]))
    assert counts.rows[0][0] == "the table of numbers names specimens or files without an image"
    assert "'b'" in listed.rows[0][2]


def test_target_names_can_be_read_back():
    for rate in (0.2, 1.0, 3.0):
        for unit in ("Ah/kg", "Ah/L"):
            assert read_target(name_target(rate, unit)) == (rate, unit)


def test_geometry_is_that_of_the_paper():
    cell = HalfCellSettings()
    assert find_skeletal_density(cell) == pytest.approx(4.249, abs=1e-3)
    thickness = [find_thickness_um(p, cell) for p in (0.495, 0.346, 0.30, 0.254, 0.196)]
    assert thickness == pytest.approx([78, 60.2, 56.3, 52.8, 49.0], abs=0.1)


def make_grid() -> pd.DataFrame:
    """Capacities that do not depend on porosity at 0.2C and rise in a line at 5C."""
    porosity = np.linspace(0.13, 0.56, 9)
    parts = [
        pd.DataFrame({"porosity": porosity, "c_rate": 0.2, "ah_kg": 160.0}),
        pd.DataFrame({"porosity": porosity, "c_rate": 5.0, "ah_kg": 200 * porosity}),
    ]
    return pd.concat(parts, ignore_index=True)


def test_local_porosities_are_averaged():
    cell = HalfCellSettings(porosity_spread=0.03)
    values = smooth_local_porosity(make_grid(), np.array([0.3, 0.4]), cell)
    assert values[(5.0, "Ah/kg")] == pytest.approx([60, 80], rel=1e-6)
    assert values[(0.2, "Ah/kg")] == pytest.approx([160, 160])
    assert values[(0.2, "Ah/L")][0] > values[(0.2, "Ah/L")][1]


def test_generated_electrodes_have_measurements_near_the_model():
    settings = CrossSectionGenerator(electrodes_per_porosity=2, images_per_electrode=1)
    electrodes = list_electrodes(settings)
    assert [e.name for e in electrodes[:3]] == ["p50_e1", "p50_e2", "p35_e1"]
    table = simulate_measurements(electrodes, settings, make_grid())
    assert set(table["unit"]) == {"mAh/g", "Ah/L"}
    first = table[(table["electrode"] == "p20_e1") & (table["unit"] == "mAh/g")]
    assert first.set_index("c_rate")["capacity"][5.0] == pytest.approx(39, rel=0.08)


def test_half_cell_gives_the_known_capacities():
    pytest.importorskip("pybamm")
    from batteryscope.physics.half_cell import simulate_porosity

    rows = simulate_porosity(0.254, HalfCellSettings(c_rates=[2.0, 5.0]))
    assert [row["ah_kg"] for row in rows] == pytest.approx([133.9, 49.5], abs=1.5)


def test_leaving_one_porosity_out_tests_each_once():
    manifest = pd.DataFrame(
        {
            "sample_id": [f"{i:02d}" for i in range(24)],
            "class": np.repeat(["50", "30", "20"], 8),
            "porosity": np.repeat(["50", "30", "20"], 8),
            "domain": "",
        }
    )
    groups = pd.Series(
        [f"e{i // 2}" for i in range(24)], index=manifest["sample_id"], name="group_id"
    )
    settings = SplitSettings(scheme="leave_one_out", leave_out="porosity")
    split = split_samples(manifest, groups, settings)
    known = split.merge(manifest[["sample_id", "porosity"]], on="sample_id")
    for _, fold in known.groupby("fold"):
        tested = set(fold.loc[fold["role"] == "test", "porosity"])
        assert len(tested) == 1
        assert not tested & set(fold.loc[fold["role"] != "test", "porosity"])
        assert set(fold["role"]) == {"train", "validation", "test"}
    assert known[known["role"] == "test"]["sample_id"].is_unique
    with pytest.raises(InputError, match="no column 'phase'"):
        split_samples(manifest, groups, settings.model_copy(update={"leave_out": "phase"}))
    with pytest.raises(ConfigError, match="leave_out"):
        validate_settings(SplitSettings, {"scheme": "leave_one_out"}, "split")
