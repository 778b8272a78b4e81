"""Quantities in the settings, and beside the samples of a data set."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from batteryscope.config.base import validate_settings
from batteryscope.config.dataset import DatasetSettings
from batteryscope.config.predicted import choose_outputs as choose
from batteryscope.config.project import load_project
from batteryscope.config.targets import TAKEN_NAMES, CapacityTargets, QuantityTargets
from batteryscope.errors import ConfigError, InputError
from batteryscope.manifest.build import build_manifest
from batteryscope.manifest.ingest_pictures import hash_manifest, summarise_manifest
from batteryscope.manifest.quantities import attach_quantities, read_value
from batteryscope.manifest.schema import find_dtypes
from batteryscope.plan import plan_study
from batteryscope.planning.checks import check_project, find_smallest_class
from batteryscope.readers.scan import scan_images
from tests.conftest import ROOT
from tests.studies import image_studies
from tests.test_config import PARAMS

POROSITY = {"unit": "%", "low": 0, "high": 100, "label": "Porosity"}


def make_targets(**change):
    values = {"quantities": {"porosity": POROSITY}, "table": "q.csv", "sample_column": "file"}
    return QuantityTargets.model_validate(values | change)


def make_dataset(**change):
    return validate_settings(
        DatasetSettings,
        {"name": "mine", "path": "x", "targets": {"quantities": {"porosity": POROSITY}}} | change,
        "params.yaml: studies.s.dataset",
    )


def test_capacities_are_quantities_with_an_axis():
    targets = CapacityTargets(c_rates=[0.2, 5], units=["Ah/kg", "Ah/L"])
    assert [(q.axis, q.at, q.unit) for q in targets.listed] == [
        ("C-rate", 0.2, "Ah/kg"), ("C-rate", 5, "Ah/kg"),
        ("C-rate", 0.2, "Ah/L"), ("C-rate", 5, "Ah/L"),
    ]  # fmt: skip
    assert {q.metrics for q in targets.listed} == {("mape", "mae", "r2")}
    assert [q.name for q in choose(targets.listed, "Ah/L")] == targets.names[2:]
    assert choose(targets.listed, "all") == targets.listed


def test_metrics_and_intervals_follow_from_range_and_transform():
    targets = make_targets(
        quantities={
            "porosity": POROSITY,
            "size": {"unit": "µm", "low": 0.1, "high": 50, "transform": "log"},
            "shift": {"unit": "mV"},
        }
    )
    by_name = {q.name: q for q in targets.listed}
    assert by_name["porosity"].metrics == ("mae", "rmse", "r2")  # it may be 0
    assert by_name["size"].metrics == ("mae", "rmse", "r2", "mape")
    assert by_name["shift"].metrics == ("mae", "rmse", "r2")
    assert {n: q.interval for n, q in by_name.items()} == {
        "porosity": "absolute", "size": "ratio", "shift": "absolute"
    }  # fmt: skip
    assert by_name["porosity"].title == "Porosity / %"
    assert [by_name["porosity"].clip(value) for value in (-1.0, 5, 101)] == [0, 5, 100]
    assert [q.name for q in choose(targets.listed, ["shift", "porosity"])] == ["porosity", "shift"]
    with pytest.raises(ValueError, match=r"model\.outputs names 'sise', which is none of"):
        choose(targets.listed, ["sise"])


@pytest.mark.parametrize(
    ("quantity", "sentence"),
    [
        ({"unit": "%", "low": 5, "high": 5}, r"low 5 is not below high 5"),
        ({"unit": "%", "transform": "log"}, r"transform 'log' needs values above 0, found no low"),
        ({"unit": "%", "low": 0, "transform": "log"}, r"needs values above 0, found low 0"),
        ({"unit": ""}, r"porosity\.unit: found ''"),
        ({}, r"porosity\.unit: this key is missing"),
        ({"unit": "%", "hihg": 3}, r"porosity\.hihg: unknown key; did you mean 'high'"),
    ],
)
def test_impossible_quantities_are_refused_where_they_stand(quantity, sentence):
    targets = {"quantities": {"porosity": quantity}, "table": "q.csv", "sample_column": "file"}
    with pytest.raises(ConfigError, match=rf"studies\.s\.dataset: targets\..*{sentence}"):
        make_dataset(targets=targets)


def test_names_must_be_free_and_values_must_stand_somewhere():
    for name in ("class", "capacity_x", "p_a"):
        with pytest.raises(ValueError, match=f"'{name}' is a column that tables"):
            make_targets(quantities={name: POROSITY})
    with pytest.raises(ValueError, match="'porosity_low' is what the column beside"):
        make_targets(quantities={"porosity": POROSITY, "porosity_low": POROSITY})
    with pytest.raises(ValueError, match="needs sample_column"):
        make_targets(sample_column=None)
    with pytest.raises(ValueError, match="has no effect with table null"):
        make_targets(table=None)
    with pytest.raises(ConfigError, match=r"the values of 'porosity' stand nowhere; add a named"):
        make_dataset()
    with pytest.raises(ConfigError, match="'porosity' is already a label"):
        make_dataset(labels={"pattern": "p(?P<porosity>[0-9]+)", "columns": ["porosity"]})
    assert set(find_dtypes(["class"])) <= TAKEN_NAMES


@pytest.mark.parametrize(
    ("text", "value", "problem"),
    [
        ("12.5", 12.5, ""),
        (" 12.5 % ", 12.5, ""),
        ("0", 0, ""),
        (None, None, "is empty"),
        ("abc", None, "is 'abc'; expected a number in %"),
        ("nan", None, "is empty"),
        (12.5, 12.5, ""),
        ("140", None, "is 140 %, outside of 0 to 100 %; correct it, or the range of "
         "dataset.targets.quantities.porosity"),
    ],
)  # fmt: skip
def test_values_are_read_or_refused(text, value, problem):
    [quantity] = make_targets().listed
    found, said = read_value(text, quantity)
    assert found == value
    assert problem in said


def make_manifest(**columns):
    paths = ["a/1.png", "a/2.png", "b/3.png"]
    table = {"sample_id": ["s1", "s2", "s3"], "path": paths, "specimen_id": ["c1", "c1", "c2"]}
    return pd.DataFrame(table | columns)


@pytest.mark.parametrize(
    ("rows", "values"),
    [
        ("file,porosity\n1.png,10\n2.png,20\n3.png,30\n", [10, 20, 30]),
        ("file,porosity\na/1.png,10\na/2.png,20\nb/3.png,30\n", [10, 20, 30]),
        ("file,porosity\n1,10\n2,20\n3,30\n", [10, 20, 30]),
        ("file,porosity\nc1,10\nc2,30\n", [10, 10, 30]),
    ],
    ids=["file", "path", "stem", "specimen"],
)
def test_a_row_names_a_file_a_path_or_a_specimen(tmp_path, rows, values):
    (tmp_path / "q.csv").write_text(rows)
    found, rejects = attach_quantities(make_manifest(), make_targets(), tmp_path)
    assert found["porosity"].tolist() == values
    assert rejects == []


def test_a_row_names_a_scan_and_rejects_count_it_once(tmp_path):
    manifest = make_manifest(
        path=["x/cell_1.tif#0", "x/cell_1.tif#1", "y/cell_2#0"],
        volume=["x/cell_1.tif", "x/cell_1.tif", "y/cell_2"],
        slice=[0, 1, 0],
    )
    for first, second in (("x/cell_1.tif", "y/cell_2"), ("cell_1", "cell_2")):
        (tmp_path / "q.csv").write_text(f"file,porosity\n{first},10\n{second},30\n")
        found, _ = attach_quantities(manifest, make_targets(), tmp_path)
        assert found["porosity"].tolist() == [10, 10, 30]
    (tmp_path / "q.csv").write_text("file,porosity\ncell_1,200\ncell_2,30\n")
    found, rejects = attach_quantities(manifest, make_targets(), tmp_path)
    assert found["porosity"].tolist() == [30]
    [reject] = rejects
    assert (reject.path, reject.reason) == ("x/cell_1.tif", "outside_range")
    assert "q.csv, row 2: porosity is 200 %, outside of 0 to 100 %" in reject.detail


def test_samples_without_a_good_value_are_rejected_with_row_and_reason(tmp_path):
    (tmp_path / "q.csv").write_text("file,porosity\n1.png,10\n2.png,\nother.png,3\n")
    found, rejects = attach_quantities(make_manifest(), make_targets(), tmp_path)
    assert found["path"].tolist() == ["a/1.png"]
    said = {r.path: (r.reason, r.detail) for r in rejects}
    assert said["q.csv"][0] == "no_images"
    assert "'other.png'" in said["q.csv"][1]
    assert said["a/2.png"][0] == "no_quantity"
    assert said["a/2.png"][1].startswith("q.csv, row 3: porosity is empty")
    assert said["b/3.png"] == (
        "no_quantity", "q.csv has no row of '3.png'; add it, or leave the sample out."
    )  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ("file,porosity\n1.png,10\n1.png,20\n", r"rows 2 and 3 of '1\.png' contradict; keep one"),
        ("file,porosity\nz,10\n", r"\(such as 'z'\) names no file, scan or specimen"),
        ("file,porosty\n1.png,10\n", "did you mean 'porosty'"),
        ('file,porosity\n1.png,"1,5"\n2.png,2.5\n', "write all with one decimal sign"),
        ("file,porosity\nc1,-1\nc2,x\n", "no sample has all of the quantities porosity; .*outside"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(tmp_path, rows, sentence):
    (tmp_path / "q.csv").write_text(rows)
    with pytest.raises(InputError, match=sentence):
        attach_quantities(make_manifest(), make_targets(), tmp_path)


def test_a_sample_with_two_rows_costs_itself_if_they_contradict(tmp_path):
    (tmp_path / "q.csv").write_text("file,porosity\n1.png,10\n2.png,20\n2.png,20\n1.png,11\n")
    found, rejects = attach_quantities(make_manifest(), make_targets(), tmp_path)
    assert found.set_index("path")["porosity"].to_dict() == {"a/2.png": 20}
    assert [(r.path, r.reason, r.detail) for r in rejects[:3]] == [
        ("q.csv", "wrong_label", "row 4: '2.png' already stands in row 3; delete one of them"),
        ("q.csv", "wrong_label", "row 5: '1.png' already stands in row 2; delete one of them"),
        ("a/1.png", "no_quantity",
         "q.csv: rows 2 and 5 of '1.png' contradict; keep one, such as their mean."),
    ]  # fmt: skip


def test_ambiguous_file_names_are_refused(tmp_path):
    (tmp_path / "q.csv").write_text("file,porosity\n1.png,10\n")
    manifest = make_manifest(path=["a/1.png", "b/1.png", "b/3.png"])
    with pytest.raises(InputError, match=r"2 files are called '1\.png'; write the path"):
        attach_quantities(manifest, make_targets(), tmp_path)


def draw_pictures(root, paths):
    rng = np.random.default_rng(1)
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 255, (32, 40)).astype(np.uint8)
        Image.fromarray(pixels).save(root / path)


def test_pictures_of_a_flat_folder_get_their_numbers_and_need_no_class(tmp_path):
    draw_pictures(tmp_path, ["1.png", "2.png"])
    (tmp_path / "q.csv").write_text("file,porosity\n1.png,10\n2.png,12.5\n")
    settings = make_dataset(
        path=str(tmp_path),
        targets={"quantities": {"porosity": POROSITY}, "table": "q.csv", "sample_column": "file"},
    )
    manifest, rejects, _ = build_manifest(scan_images(tmp_path), settings, tmp_path)
    values = manifest.set_index("path")["porosity"]
    assert values.to_dict() == {"1.png": 10, "2.png": 12.5}
    assert manifest["class"].tolist() == ["all", "all"]
    assert rejects.empty
    changed = manifest.assign(porosity=manifest["porosity"] + 1)
    digests = {hash_manifest(m, ["class"], ["porosity"]) for m in (manifest, changed)}
    assert len(digests) == 2
    assert summarise_manifest(manifest, rejects, ["class"], ["porosity"])["images"] == 2


def test_folders_are_no_classes_of_pictures_that_only_have_numbers(tmp_path):
    draw_pictures(tmp_path, ["a1/1.png", "a1/2.png", "b1/3.png"])
    targets = {"quantities": {"porosity": POROSITY}, "table": "q.csv", "sample_column": "file"}
    settings = make_dataset(path=str(tmp_path), targets=targets)
    assert find_smallest_class(settings) == ("all", 3)
    grouped = make_dataset(path=str(tmp_path), targets=targets, labels={"pattern": "(?P<class>.)"})
    assert find_smallest_class(grouped) == ("b", 1)


def test_settings_and_commands_of_the_document_plan(tmp_path, monkeypatch):
    text = (ROOT / "docs/your_quantities.md").read_text(encoding="utf-8")
    block, _ = re.findall(r"```yaml\n(.+?)```", text, re.DOTALL)
    typed = r"^ +batteryscope run (\w+)(?: --configfile (\S+))?$"
    commands = re.findall(typed, text, re.MULTILINE)
    assert [study for study, _ in commands] == [
        *("sem_quantities", "ct_quantities", "my_pictures", "my_numbers")
    ]
    commands.remove(("my_pictures", ""))  # which start writes
    monkeypatch.chdir(tmp_path)
    folder = Path("data/raw/my_pictures/a1")
    folder.mkdir(parents=True)
    for i in range(4):
        Image.new("L", (400, 320)).save(folder / f"view_{i}.png")
    for study, file in commands:
        written = yaml.safe_load((ROOT / file).read_text(encoding="utf-8") if file else block)
        project = load_project(PARAMS, written)
        plans = {name: plan_study(name, s) for name, s in image_studies(project).items()}
        check_project(plans)
        plan = plans[study]
        learnt = plan.stages[plan.main.chains[-1]].settings.targets
        assert learnt == plan.settings.dataset.targets.names


def test_a_number_in_the_folder_name_is_a_quantity(tmp_path):
    draw_pictures(tmp_path, ["aged_cycles0100/1.png", "aged_cycles0250/2.png"])
    settings = make_dataset(
        path=str(tmp_path),
        labels={"pattern": "(?P<state>[a-z]+)_cycles(?P<cycles>[0-9]+)", "columns": ["state"]},
        targets={"quantities": {"cycle_number": {"unit": "cycles", "column": "cycles"}}},
    )
    manifest, _, _ = build_manifest(scan_images(tmp_path), settings, tmp_path)
    assert sorted(manifest["cycle_number"]) == [100, 250]
    assert set(manifest["class"]) == {"aged"}


def test_a_table_with_decimal_commas_is_read_and_a_row_without_a_name_costs_only_itself(tmp_path):
    (tmp_path / "q.csv").write_text("file;porosity\n1.png;10,5\n;3,5\n2.png;20\n3.png;30,25 %\n")
    found, rejects = attach_quantities(make_manifest(), make_targets(), tmp_path)
    assert found["porosity"].tolist() == [10.5, 20, 30.25]
    [reject] = rejects
    assert (reject.path, reject.reason) == ("q.csv", "wrong_label")
    assert reject.detail.startswith("row 3: the cell 'file' is empty")
