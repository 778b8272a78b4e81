"""Labels of own pictures that the half-cell model computes from the porosity of the electrode."""

import copy
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.interpolate import PchipInterpolator

from batteryscope.config.base import validate_settings
from batteryscope.config.physics import HalfCellSettings
from batteryscope.config.study import StudySettings
from batteryscope.config.targets import CapacityTargets
from batteryscope.errors import ConfigError, InputError
from batteryscope.manifest.computed_targets import HalfCellLaw, compute_capacities
from batteryscope.physics.electrode import find_active_density_kg_l
from tests.small_params import small_params, small_study
from workflow_scripts.ingest_dataset import main as ingest
from workflow_scripts.simulate_capacities import main as simulate

RATES = [0.2, 5.0]
TARGETS = CapacityTargets(source="simulated", c_rates=RATES)
POROSITIES = np.array([0.2, 0.3, 0.4, 0.5])
AT_5C = np.array([20.0, 50.0, 95.0, 110.0])
PATTERN = r"(?P<specimen_id>p(?P<porosity>[0-9]+)_e[0-9]+)"


def make_law(spread: float = 0.0) -> HalfCellLaw:
    """A grid of four porosities: constant at 0.2C, rising at 5C."""
    cell = HalfCellSettings(porosity_spread=spread)
    parts = [
        pd.DataFrame({"porosity": POROSITIES, "c_rate": rate, "ah_kg": values})
        for rate, values in ((0.2, 160.0), (5.0, AT_5C))
    ]
    return HalfCellLaw(pd.concat(parts, ignore_index=True), cell)


def make_manifest(*stated: object) -> pd.DataFrame:
    """One electrode per porosity, with two images each."""
    rows = [
        {"path": f"e{i}/{k}.png", "specimen_id": f"e{i}", "porosity": value}
        for i, value in enumerate(stated)
        for k in range(2)
    ]
    return pd.DataFrame(rows)


def test_electrode_at_a_porosity_of_the_grid_gets_what_was_simulated():
    law = make_law()
    table = compute_capacities(make_manifest("20", "40", "50.0"), TARGETS, law)
    assert [c for c in table if str(c).startswith("capacity_")] == TARGETS.names
    given = table["capacity_5c_ah_kg"].to_numpy()
    assert given == pytest.approx([20, 20, 95, 95, 110, 110], rel=1e-12)
    assert table["capacity_0p2c_ah_kg"].to_numpy() == pytest.approx(160)
    dense = 160 * find_active_density_kg_l(0.2, law.cell)
    assert table["capacity_0p2c_ah_l"].tolist()[0] == pytest.approx(dense)


def test_between_the_porosities_of_the_grid_it_is_interpolated():
    table = compute_capacities(make_manifest("34.6"), TARGETS, make_law())
    expected = float(PchipInterpolator(POROSITIES, AT_5C)(0.346))
    assert table["capacity_5c_ah_kg"].to_numpy() == pytest.approx(expected)


def test_local_porosities_of_an_electrode_are_averaged_as_in_the_row_of_physics():
    table = compute_capacities(make_manifest("40"), TARGETS, make_law(spread=0.02))
    local = 0.4 + 0.02 * np.linspace(-2, 2, 9)
    weights = np.exp(-(np.linspace(-2, 2, 9) ** 2) / 2)
    expected = np.average(PchipInterpolator(POROSITIES, AT_5C)(local), weights=weights)
    assert table["capacity_5c_ah_kg"].to_numpy() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        (make_manifest("30").drop(columns="porosity"), ["no column 'porosity'", "to 'table'"]),
        (make_manifest("30", "dense"), ["holds 'dense'", "in percent"]),
        (make_manifest("30", None), ["holds ''", "in percent"]),
        (make_manifest("30", "0.35"), ["holds '0.35'", "in percent, between 1 and 99"]),
        (make_manifest("30", "19"), ["holds 19", "'e1'", "from 20 to 50 %", "porosity_min"]),
        (make_manifest("62"), ["holds 62", "'e0'", "from 20 to 50 %", "porosity_max"]),
        (make_manifest("30", "40").assign(specimen_id="e"), ["30 and 40", "electrode 'e'"]),
        (make_manifest("30").assign(specimen_id=None), ["e0/0.png", "electrode of this image"]),
    ],
)
def test_wrong_porosities_are_explained_in_one_sentence(manifest, words):
    with pytest.raises(InputError) as caught:
        compute_capacities(manifest, TARGETS, make_law())
    for word in words:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)


def test_rate_that_was_not_simulated_is_named():
    asked = TARGETS.model_copy(update={"c_rates": [0.2, 2.0]})
    with pytest.raises(InputError, match=re.escape("not solved at 2C")):
        compute_capacities(make_manifest("30"), asked, make_law())


def make_study(**changes) -> dict:
    """Return settings of a study of own pictures with computed capacities."""
    study = small_study(
        dataset={
            "path": "data/raw/mine", "generator": None,
            "labels": {"pattern": PATTERN, "columns": ["porosity"]},
            "targets": {"source": "simulated", "c_rates": RATES},
        },
        preprocess={"method": "coating_crop"},
        physics={"c_rates": RATES, "porosity_min": 0.25, "porosity_max": 0.45, "grid_points": 4},
    )  # fmt: skip
    study["preprocess"] = {"method": "coating_crop"}
    study["model"] = {"backbone": "rate_cnn", "weights": "random", "outputs": "Ah/kg"}
    study["train"] = {"loss": "mape", "monitor": "val_loss"}
    return study | changes


def test_settings_need_a_half_cell_at_every_rate():
    study = validate_settings(StudySettings, make_study(), "study")
    assert study.dataset.targets
    assert study.dataset.targets.computed
    for change, words in (
        ({"physics": None}, r"dataset\.targets\.source 'simulated'.*add physics"),
        ({"physics": {"c_rates": [0.2]}}, r"dataset\.targets\.c_rates.*not solved at 5C"),
    ):
        with pytest.raises(ConfigError, match=words):
            validate_settings(StudySettings, make_study(**change), "study")


def test_external_electrodes_may_be_measured_or_computed():
    external = {"name": "new", "path": "data/raw/new", "labels": {"pattern": PATTERN,
                "columns": ["porosity"]}}  # fmt: skip
    measured = {"targets": {"table": "measured.csv", "c_rates": RATES}}
    for settings, computed in ((external, True), (external | measured, False)):
        study = make_study(evaluate={"external": settings})
        found = validate_settings(StudySettings, study, "study").external
        assert found is not None
        assert found.targets is not None
        assert found.targets.computed is computed
    own = make_study(evaluate={"external": external | {"targets": {"source": "simulated"}}})
    own["dataset"]["targets"] = measured["targets"]
    with pytest.raises(ConfigError, match=r"evaluate\.external\.targets\.c_rates.*at 1C"):
        validate_settings(StudySettings, own, "study")


def draw_pictures(root: Path, *folders: str) -> None:
    """Write two small pictures per electrode."""
    for folder in folders:
        rng = np.random.default_rng([ord(letter) for letter in folder])
        (root / folder).mkdir(parents=True)
        for number in range(2):
            pixels = rng.integers(0, 255, (40, 60), dtype=np.uint8)
            Image.fromarray(pixels).save(root / folder / f"{number}.png")


def test_programs_label_own_pictures_by_the_model(tmp_path, capsys):
    pytest.importorskip("pybamm")
    draw_pictures(tmp_path / "mine", "p20_e1", "p50_e1", "p50_e2")
    physics = {
        "c_rates": [2.0], "porosity_min": 0.2, "porosity_max": 0.5, "grid_points": 4,
        "porosity_spread": 0.0,
    }  # fmt: skip
    table = tmp_path / "capacities.csv"
    assert simulate(["--settings", json.dumps(physics), "--out", str(table)]) == 0
    settings = {
        "name": "mine", "path": str(tmp_path / "mine"),
        "labels": {"pattern": PATTERN, "columns": ["porosity"]},
        "targets": {"source": "simulated", "c_rates": [2.0]},
    }  # fmt: skip
    out = tmp_path / "out"
    argv = ["--dataset", settings["path"], "--settings", json.dumps(settings)]
    for option, name in (("manifest", "m.parquet"), ("rejects", "r.csv"),
                         ("frames", "f.parquet"), ("summary", "s.json")):  # fmt: skip
        argv += [f"--{option}", str(out / name)]
    law = ["--simulated", str(table), "--physics", json.dumps(physics)]
    assert ingest([*argv, *law]) == 0
    assert "computed by the half-cell model, not measured" in capsys.readouterr().err
    manifest = pd.read_parquet(out / "m.parquet").set_index("specimen_id")
    simulated = pd.read_csv(table).set_index("porosity")
    assert len(manifest) == 6
    for electrode, porosity in (("p20_e1", 0.2), ("p50_e1", 0.5), ("p50_e2", 0.5)):
        for unit in ("ah_kg", "ah_l"):
            given = manifest.loc[electrode, f"capacity_2c_{unit}"].unique()
            assert given == pytest.approx([simulated.loc[porosity, unit]], rel=1e-6)

    assert ingest(argv) == 1
    assert "give --simulated and --physics" in capsys.readouterr().err
    draw_pictures(tmp_path / "mine", "p60_e1")
    assert ingest([*argv, *law]) == 1
    error = capsys.readouterr().err
    assert "holds 60 for the electrode 'p60_e1'" in error
    assert "Traceback" not in error


def test_workflow_solves_the_model_before_it_reads_own_pictures(make_sandbox):
    pytest.importorskip("pybamm")
    sandbox = make_sandbox(small_params(mine=make_study(evaluate={}, explain={})))
    draw_pictures(sandbox.root / "data" / "raw" / "mine", *(f"p30_e{i}" for i in range(6)))
    target = "work/mine/data/manifest.parquet"
    assert set(sandbox.planned_rules(target)) == {"simulate_capacities", "ingest_dataset"}
    study = sandbox.params["studies"]["mine"]
    # Measured capacities in the study, computed ones of external electrodes.
    new = copy.deepcopy(study["dataset"]) | {"name": "new", "path": "data/raw/new"}
    draw_pictures(sandbox.root / "data" / "raw" / "new", "p35_e9")
    study["dataset"]["targets"]["source"] = "table"
    study["evaluate"] = {"external": new}
    sandbox.write_params(sandbox.params)
    assert set(sandbox.planned_rules(target)) == {"ingest_dataset"}
    external = target.replace("/data/", "/external/")
    assert set(sandbox.planned_rules(external)) == {"simulate_capacities", "ingest_dataset"}
    sandbox.snakemake("--cores", "1", external)
    table = pd.read_parquet(sandbox.root / external)
    assert table["capacity_5c_ah_kg"].between(90, 105).all()  # the paper's 35 %: about 98
