"""Published models that are given covariates: their table, their range, their example."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

from batteryscope.bundle.covariates import CovariateSource
from batteryscope.bundle.predict_program import main as predict_images
from batteryscope.bundle.read import load_bundle
from batteryscope.bundle.record import read_record
from batteryscope.config.learning import ModelSettings
from batteryscope.errors import InputError
from batteryscope.evaluation.forward import load_fit, predict_probabilities
from batteryscope.models.classifier import build_classifier
from tests.bundled_study import (
    CLASSES,
    EDGE,
    Study,
    bundle_study,
    draw_picture,
    make_study,
    save_picture,
)
from tests.test_covariates_learning import BINDER, THICKNESS

pytestmark = pytest.mark.usefixtures("one_thread")


def give_covariates(study: Study, **model: object) -> None:
    """Let the networks of a study be given thickness and binder."""
    n = len(study.manifest)
    study.manifest["covariate_thickness"] = np.linspace(50, 80, n)
    study.manifest["covariate_binder=CMC"] = np.arange(n) % 2
    study.manifest["covariate_binder=PVDF"] = 1 - np.arange(n) % 2
    columns = [c for c in study.manifest if c.startswith("covariate_")]
    values = study.manifest[columns].to_numpy(float)
    for seed, folder in enumerate(study.fits):
        settings = ModelSettings(backbone="test_resnet", weights="random", **model)
        network = build_classifier(
            settings, CLASSES, EDGE, seed, covariates=[THICKNESS, BINDER]
        )  # fmt: skip
        assert network.covariates is not None
        network.covariates.learn_statistics(values)
        with torch.no_grad():
            list(network.covariates.parameters())[-1].normal_()
        state = {k: v.contiguous() for k, v in network.state_dict().items()}
        save_file(state, folder / "weights.safetensors")
        (folder / "model.json").write_text(json.dumps(network.description.as_dict()))


@pytest.fixture(
    scope="module",
    params=[{"head_units": 8}, {"pooling": "stage_statistics", "freeze": "backbone"}],
    ids=str,
)
def study(tmp_path_factory, request) -> Study:
    study = make_study(tmp_path_factory.mktemp("study"))
    give_covariates(study, **request.param)
    bundle_study(study)
    return study


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    for name in ("a", "b", "c", "d"):
        save_picture(draw_picture("new"), folder / "new" / f"{name}.png")
    return folder


def run(bundle: Path, images: Path, out: Path, *more: str) -> int:
    argv = ["--bundle", str(bundle), "--images", str(images), "--out", str(out), "--device", "cpu"]
    return predict_images([*argv, *more])


def test_a_bundle_says_what_it_needs(study):
    record = read_record(study.bundle)
    assert [c.name for c in record.covariates] == ["thickness", "binder"]
    assert record.covariates[0].ranges == [(50, 80)]
    assert record.covariates[1].seen == "CMC, PVDF"
    card = (study.bundle / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "| thickness / µm | thickness | 50 to 80 µm |" in card
    assert "--covariates TABLE.csv" in card
    example = pd.read_csv(study.bundle / "example_covariates.csv")
    assert list(example) == ["file", "thickness", "binder"]
    assert load_bundle(study.bundle).given is None  # that of the example is not kept


def test_every_picture_is_answered_with_its_own_row(study, images, tmp_path):
    table = tmp_path / "beside.csv"
    table.write_text("file,thickness,binder\na.png,55,CMC\nb.png,75,PVDF\nc.png,200,CMC\n")
    assert run(study.bundle, images, tmp_path / "out.csv", "--covariates", str(table)) == 0
    rows = pd.read_csv(tmp_path / "out.csv", keep_default_na=False).set_index("file")
    first, second, far, without = (rows.loc[f"new/{name}.png"] for name in "abcd")
    assert [first["status"], without["status"]] == ["ok", "rejected"]
    assert first["confidence"] != second["confidence"]  # the same picture
    assert without["reason"].startswith("no_covariate: beside.csv has no row of 'd.png'")
    assert first["note"] == ""
    assert far["status"] == "ok"
    assert far["note"] == "thickness 200 µm, trained on 50 to 80 µm"

    table.write_text("sample;thickness;binder\nb.png;75,0;PVDF\na.png;55,0;SBR\n")
    options = ["--covariates", str(table), "--sample-column", "sample"]
    assert run(study.bundle, images, tmp_path / "out2.csv", *options) == 0
    again = pd.read_csv(tmp_path / "out2.csv", keep_default_na=False).set_index("file")
    assert float(again.loc["new/b.png", "confidence"]) == float(second["confidence"])
    assert "binder is 'SBR'; expected one of CMC, PVDF" in again.loc["new/a.png", "reason"]


def test_networks_of_a_bundle_agree_with_each_alone(study, images):
    bundle = load_bundle(study.bundle, checked=False)
    tiles = np.random.default_rng(0).integers(0, 255, (5, EDGE, EDGE), dtype=np.uint8)
    beside = np.array([60, 1, 0], np.float32)
    found = bundle.ask_models(tiles, beside)
    for place, fit in enumerate(study.fits):
        alone = predict_probabilities(load_fit(fit), tiles, covariates=np.tile(beside, (5, 1)))
        np.testing.assert_allclose(found[place], alone, atol=1e-4)


def test_a_missing_or_useless_table_is_told_before_any_work(study, images, tmp_path, capsys):
    assert run(study.bundle, images, tmp_path / "o.csv") == 1
    assert (
        "are given thickness / µm, binder beside the picture; name a table"
        in capsys.readouterr().err
    )
    plain = make_study(tmp_path / "plain")
    bundle_study(plain)
    table = tmp_path / "beside.csv"
    table.write_text("file,thickness\na.png,55\n")
    assert run(plain.bundle, images, tmp_path / "o.csv", "--covariates", str(table)) == 1
    assert "are given nothing beside the picture; leave it out" in capsys.readouterr().err
    assert run(plain.bundle, images, tmp_path / "o.csv", "--sample-column", "x") == 1
    assert "are for --covariates; leave them out" in capsys.readouterr().err
    assert run(study.bundle, images, tmp_path / "o.csv", "--covariates", str(table)) == 1
    assert "the table has no column 'binder'" in capsys.readouterr().err
    assert "covariates" not in json.loads((plain.bundle / "bundle.json").read_text())
    assert not (plain.bundle / "example_covariates.csv").exists()


def test_pictures_without_a_table_are_rejected_not_guessed(study):
    row = next(load_bundle(study.bundle).predict_files(["example_input.png"], study.bundle))
    assert row["status"] == "rejected"
    assert "are given thickness / µm, binder beside the picture" in row["reason"]


def test_a_bundle_whose_covariates_were_changed_is_refused(study, tmp_path):
    changed = tmp_path / "changed"
    shutil.copytree(study.bundle, changed)
    (changed / "digest.json").unlink()  # which would notice everything
    table = pd.read_csv(changed / "example_covariates.csv")
    table.assign(thickness=79.0).to_csv(changed / "example_covariates.csv", index=False)
    with pytest.raises(InputError, match="do not answer the bundle's own example"):
        load_bundle(changed)
    record = json.loads((changed / "bundle.json").read_text())
    record["covariates"] = record["covariates"][:1]
    (changed / "bundle.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match="but a network is given"):
        load_bundle(changed)


def test_scans_are_named_by_their_own_rows(tmp_path):
    table = tmp_path / "beside.csv"
    table.write_text("file,thickness\ncell_1,55\n")
    given = CovariateSource(table).read(["x/cell_1.tif", "x/cell_2.tif"], [THICKNESS], True)
    assert given.inputs["x/cell_1.tif"].tolist() == [55]
    assert "has no row of 'cell_2'" in given.reasons["x/cell_2.tif"]


def test_weights_hold_the_range_of_training(study):
    state = load_file(study.fits[0] / "weights.safetensors")
    assert state["covariates.low"].tolist() == [50, 0, 0]
    assert state["covariates.high"].tolist() == [80, 1, 1]
