"""Covariates in the settings, and beside the samples of a data set."""

import logging
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from batteryscope.config.base import validate_settings
from batteryscope.config.covariates import CovariateTable, list_inputs
from batteryscope.config.dataset import DatasetSettings
from batteryscope.config.project import load_project
from batteryscope.config.study import Arm, StudySettings
from batteryscope.errors import ConfigError, InputError
from batteryscope.manifest.build import build_manifest
from batteryscope.manifest.covariate_columns import list_covariate_columns, take_inputs
from batteryscope.plan import StageSettings, plan_study
from batteryscope.planning.check_evaluate import check_external_covariates
from batteryscope.planning.checks import check_conditions, check_project
from batteryscope.planning.covariate_pairs import list_covariate_pairs
from batteryscope.readers.scan import scan_images
from batteryscope.training.stage import find_covariates
from tests.conftest import ROOT
from tests.small_params import small_study
from tests.studies import image_studies
from tests.test_config import PARAMS
from tests.test_covariates_learning import stage

THICKNESS = {"unit": "um"}
BINDER = {"categories": ["CMC", "PVDF"]}


def make_dataset(covariates, **change) -> DatasetSettings:
    return validate_settings(
        DatasetSettings,
        {"name": "mine", "path": "x", "covariates": covariates} | change,
        "params.yaml: studies.s.dataset",
    )


def table_of(**columns) -> dict:
    return {"table": "beside.csv", "sample_column": "file", "columns": columns}


def test_covariates_have_inputs_and_titles():
    settings = CovariateTable.model_validate(table_of(thickness=THICKNESS, binder=BINDER))
    assert list_inputs(settings.listed) == ["thickness", "binder=CMC", "binder=PVDF"]
    assert [c.title for c in settings.listed] == ["thickness / um", "binder"]
    assert {c.sample_column for c in settings.listed} == {"file"}
    assert "covariates" not in DatasetSettings(name="n", path="x").model_dump()


@pytest.mark.parametrize(
    ("covariates", "change", "sentence"),
    [
        (table_of(thickness={}), {}, r"thickness: neither unit nor categories"),
        (table_of(a={"unit": "m", **BINDER}), {}, r"names have no unit, found 'm'"),
        (table_of(a={"categories": ["x", "x"]}), {}, r"names 'x' twice"),
        (table_of(**{"class": THICKNESS}), {}, r"'class' is a label or target"),
        (table_of(a={"unit": "m", "column": "state"}),
         {"labels": {"pattern": "(?P<state>.+)", "columns": ["state"]}},
         r"covariates\.columns\.a: 'state' is a label or target"),
        (table_of(porosity=THICKNESS),
         {"targets": {"quantities": {"porosity": {"unit": "%"}}, "table": "q.csv",
                      "sample_column": "file"}}, r"'porosity' is a label or target"),
        (table_of(a={"unit": "%", "column": "p"}),
         {"targets": {"quantities": {"porosity": {"unit": "%", "column": "p"}},
                      "table": "beside.csv", "sample_column": "file"}}, r"'p' is a label or"),
        ({"columns": {"a": {**BINDER, "column": "specimen_id"}}}, {}, r"names a sample and tells"),
        ({"columns": {"a": THICKNESS}, "table": "t.csv"}, {}, r"needs sample_column"),
        ({"columns": {"a": THICKNESS}, "sample_column": "file"}, {}, r"no effect with table null"),
        ({"columns": {}}, {}, r"columns: found"),
    ],
)  # fmt: skip
def test_impossible_covariates_are_refused_where_they_stand(covariates, change, sentence):
    with pytest.raises(ConfigError, match=sentence):
        make_dataset(covariates, **change)


def plan(covariates=None, **change):
    study = small_study(**change)
    if covariates is not None:
        study["dataset"]["covariates"] = covariates
    return plan_study("s", StudySettings.model_validate(study))


@pytest.mark.parametrize("used", [True, False])
def test_a_choice_without_covariates_has_no_effect(used):
    with pytest.raises(ConfigError, match=r"model\.covariates (true|false) has no effect"):
        plan(model={"covariates": used})


def test_all_stages_of_an_arm_have_the_same_inputs():
    stages = [{"name": "first", "change": {"model.covariates": False}}, {"name": "second"}]
    with pytest.raises(ConfigError, match="a network has the same inputs in all stages"):
        plan(table_of(a=THICKNESS), arms={"a": {"stages": stages}})


def test_stages_without_covariates_are_called_as_before():
    [before] = plan().stages
    changed = plan(table_of(a=THICKNESS), arms={"with": {}, "without": {"change": {
        "model.covariates": False}}})  # fmt: skip
    given = {c: s.settings.covariates for c, s in changed.stages.items()}
    assert before not in [c for c, covariates in given.items() if covariates]
    assert sorted(map(bool, given.values())) == [False, True]


def test_an_external_set_has_the_covariates_of_the_study():
    study = small_study()
    study["dataset"]["covariates"] = table_of(a=THICKNESS)
    study["evaluate"] = {"external": study["dataset"] | {"name": "other", "covariates": None}}
    settings = StudySettings.model_validate(study)
    assert settings.external.covariates == settings.dataset.covariates
    settings.arms["pictures"] = Arm(change={"model.covariates": False})
    settings = settings.model_copy(update={"main_arm": "pictures"})
    assert settings.external.covariates is None  # nobody needs them
    settings = settings.model_copy(update={"published_arms": ["per_image"]})
    assert settings.external.covariates == settings.dataset.covariates


@pytest.mark.parametrize(
    ("own", "external", "words"),
    [
        ({"a": THICKNESS}, {"a": {"unit": "mm"}}, "columns.a: found numbers in mm.*numbers in um"),
        (
            {"a": BINDER},
            {"a": {"categories": ["CMC", "PAA"]}},
            "CMC, PAA.*names CMC, PVDF",
        ),
        ({"a": THICKNESS, "b": BINDER}, {"a": THICKNESS}, "'b' is missing"),
        (
            {"a": THICKNESS},
            {"a": THICKNESS, "b": BINDER},
            "b: the models are given a alone",
        ),
        ({}, {"a": THICKNESS}, "covariates: the published models are given no covariates"),
    ],
)
def test_other_covariates_of_an_external_set_are_told(own, external, words):
    given = CovariateTable(columns=own) if own else None
    data = make_dataset({"columns": external})
    with pytest.raises(ConfigError, match=words):
        check_external_covariates(given, data, "external")
    # Its own titles are no other covariates.
    columns = {name: {**c, "column": f"my {name}"} for name, c in external.items()}
    check_external_covariates(
        CovariateTable(columns=external), make_dataset({"columns": columns}), "external"
    )


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(6):
        name = tmp_path / "ab"[i % 2] / f"view_{i}.png"
        name.parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (40, 40), dtype=np.uint8)).save(name)
    return tmp_path


def ingest(folder, text, columns=None, **change):
    (folder / "beside.csv").write_text(text, encoding="utf-8")
    columns = columns or {"thickness": THICKNESS, "binder": BINDER}
    settings = make_dataset(table_of(**columns), path=str(folder), **change)
    return build_manifest(scan_images(folder), settings, folder)


GOOD = "file;thickness;binder\nview_0.png;60,5;PVDF\nview_1.png;61,5;CMC\nview_2.png;62 um;CMC\n"


def test_a_sample_without_all_covariates_is_rejected_with_its_reason(folder):
    rows = "view_3.png;;CMC\nview_4.png;70,0;SBR\nview_9.png;1,5;CMC\n"
    manifest, rejects, frames = ingest(folder, GOOD + rows)
    own = manifest.sort_values("path", key=lambda p: p.str[-5])
    assert own["covariate_thickness"].tolist() == [60.5, 61.5, 62]
    assert own["covariate_binder=PVDF"].tolist() == [1, 0, 0]
    assert own["covariate_binder=CMC"].tolist() == [0, 1, 1]
    assert len(frames) == 3
    detail = dict(zip(rejects["path"], rejects["detail"], strict=True))
    assert set(rejects["reason"]) == {"no_covariate", "no_images"}
    assert "thickness is empty" in detail["b/view_3.png"]
    assert "binder is 'SBR'; expected one of CMC, PVDF" in detail["a/view_4.png"]
    assert "has no row of 'view_5.png'; add it" in detail["b/view_5.png"]
    assert "'view_9.png'" in detail["beside.csv"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("file,thicknes,binder\nview_0.png,1,CMC\n", r"no column 'thickness'; did you mean"),
        ("file,thickness,binder\nx.png,1,CMC\n", r"names no file, scan or specimen"),
        ("file,thickness,binder\nview_0.png,thin,CMC\n", r"no sample has all of the covariates"),
        (
            "file,thickness,binder\nview_0.png,1,CMC\nview_0.png,2,CMC\n",
            r"rows 2 and 3 of .* contradict",
        ),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_in_a_sentence(folder, text, sentence):
    with pytest.raises(InputError, match=sentence):
        ingest(folder, text)


def test_a_missing_table_is_told(folder):
    settings = make_dataset(table_of(thickness=THICKNESS), path=str(folder))
    with pytest.raises(InputError, match=r"beside\.csv"):
        build_manifest(scan_images(folder), settings, folder)


def test_what_is_predicted_is_no_covariate_under_another_name(folder):
    rows = "".join(f"view_{i}.png,{i + 0.5}\n" for i in range(6))
    (folder / "q.csv").write_text("file,porosity\n" + rows)
    targets = {"quantities": {"porosity": {"unit": "%"}}, "table": "q.csv", "sample_column": "file"}
    with pytest.raises(InputError, match="all its values are those of 'porosity'"):
        ingest(folder, "file,copy\n" + rows, {"copy": {"unit": "%"}}, targets=targets)


def test_a_covariate_that_never_varies_is_told_and_not_trained_with(folder, caplog):
    rows = "".join(f"view_{i}.png,5\n" for i in range(6))
    with caplog.at_level(logging.WARNING, logger="batteryscope"):
        manifest, _, _ = ingest(folder, "file,thickness\n" + rows, {"thickness": THICKNESS})
    assert "has one value in all 6 samples" in caplog.text
    with pytest.raises(InputError, match="has one value in all 6 samples, so it has no effect"):
        find_covariates(stage(), manifest)


def test_columns_of_the_labels_may_be_covariates(folder):
    names = [f"view_{i}.png" for i in range(6)]
    labels = pd.DataFrame({"file": names, "class": list("xyxyxy"), "cycles": [10, 20, 30] * 2})
    labels.to_csv(folder / "labels.csv", index=False)
    settings = make_dataset(
        {"columns": {"cycles": {"unit": "cycles"}}},
        path=str(folder),
        labels={"source": "table", "table": "labels.csv"},
    )
    manifest, rejects, _ = build_manifest(scan_images(folder), settings, folder)
    assert rejects.empty
    assert list_covariate_columns(manifest) == ["covariate_cycles"]
    assert sorted(manifest["covariate_cycles"]) == [10, 10, 20, 20, 30, 30]
    assert take_inputs(manifest, ["cycles"])["cycles"].dtype == float
    with pytest.raises(InputError, match="has no covariate 'loading'"):
        take_inputs(manifest, ["loading"])
    settings = make_dataset(
        {"columns": {"loading": {"unit": "mg"}}},
        path=str(folder),
        labels={"source": "table", "table": "labels.csv"},
    )
    with pytest.raises(InputError, match=r"dataset\.covariates: the labels have no column"):
        build_manifest(scan_images(folder), settings, folder)


def test_settings_and_commands_of_the_document_plan(tmp_path, monkeypatch):
    text = (ROOT / "docs/your_covariates.md").read_text(encoding="utf-8")
    [block] = re.findall(r"```yaml\n(.+?)```", text, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    folder = Path("data/raw/my_pictures")
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
        for i in range(4):
            Image.new("L", (400, 320)).save(folder / name / f"view_{i}.png")
    project = load_project(PARAMS, yaml.safe_load(block))
    plans = {name: plan_study(name, s) for name, s in image_studies(project).items()}
    with pytest.raises(ConfigError, match=r"covariates\.table: 'data/raw/my_pictures/beside\.csv'"):
        check_project(plans)
    (folder / "beside.csv").write_text("file,thickness_um,binder\n")
    check_project(plans)
    assert list_covariate_pairs(plans["my_covariates"]) == {"with_covariates": "without"}


def test_a_column_that_no_label_has_is_told_before_a_run(tmp_path):
    covariates = {"columns": {"cycles": {"unit": "cycles", "column": "magnificatoin"}}}
    study = small_study()
    study["dataset"] |= {"path": str(tmp_path), "generator": None, "covariates": covariates}
    with pytest.raises(ConfigError, match=r"cycles: magnificatoin.*did you mean 'magnification'"):
        check_conditions(StudySettings.model_validate(study), "params.yaml: studies.s")


def test_stages_of_before_read_as_they_were():
    described = stage(covariates=()).model_dump(mode="json")
    assert StageSettings.model_validate(described).covariates == []
