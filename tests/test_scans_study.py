"""Scans of cells through the programs: ingest, cut, divide, compare, bundle, predict."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from safetensors.torch import save_file

import batteryscope.preprocess.cut_scans as cut_scans_module
from batteryscope.bundle.familiarity import add_familiarity
from batteryscope.bundle.integrity import seal_bundle
from batteryscope.bundle.predict_program import main as predict_images
from batteryscope.bundle.read import load_bundle
from batteryscope.bundle.record import BundleSettings
from batteryscope.bundle.write import write_bundle
from batteryscope.config.dataset import VolumeSettings
from batteryscope.config.learning import ModelSettings
from batteryscope.config.split import SplitSettings
from batteryscope.demo.ct_dataset import CellJob, render_scan
from batteryscope.demo.write_dataset import generate_dataset
from batteryscope.errors import InputError
from batteryscope.evaluation.baselines import predict_baseline
from batteryscope.evaluation.comparison import compare_arms, list_levels
from batteryscope.evaluation.sample_features import read_windings
from batteryscope.evaluation.sentences.classes import SENTENCES
from batteryscope.evaluation.straddling import list_straddling_findings
from batteryscope.manifest.build import build_manifest
from batteryscope.manifest.ingest_scans import SCANS
from batteryscope.models.classifier import build_classifier
from batteryscope.preprocess.cut_scans import cut_scans
from batteryscope.readers.volume import Volume
from batteryscope.readers.volumes import find_volumes
from batteryscope.report.input_tables import show_notes, show_rejects
from batteryscope.splits.assign import split_samples
from batteryscope.splits.audit import audit_split
from batteryscope.splits.groups import find_groups
from batteryscope.splits.slices import pair_neighbours, warn_of_straddling
from batteryscope.tilestore import TileStore
from tests.generated_scans import CLASSES, CUT, MADE, SETTINGS
from workflow_scripts.ingest_dataset import main as ingest
from workflow_scripts.split_dataset import main as split_dataset


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    root = tmp_path_factory.mktemp("scans")
    generate_dataset(MADE, root / "images", workers=1)
    scan = find_volumes(root / "images")
    manifest, rejects, frames = build_manifest(scan, SETTINGS, root / "images", reading=SCANS)
    index, left_out = cut_scans(manifest, root / "images", CUT, root / "tiles", 10**6)
    return SimpleNamespace(
        root=root, manifest=manifest, rejects=rejects, frames=frames, index=index, left_out=left_out
    )


def divide(study: SimpleNamespace, group: str, **more: object) -> pd.DataFrame:
    settings = SplitSettings(scheme="kfold", folds=3, group=group, **more)  # type: ignore[arg-type]
    return split_samples(study.manifest, find_groups(study.manifest, group), settings)  # type: ignore[arg-type]


def test_every_slice_is_a_sample_of_its_cell(study: SimpleNamespace) -> None:
    manifest = study.manifest
    assert len(manifest) == 24
    assert study.rejects.empty
    assert manifest.groupby("specimen_id").size().tolist() == [4] * 6
    row = manifest[manifest["path"] == "pristine/pristine_01.tif#2"].iloc[0]
    assert (row["volume"], row["slice"]) == ("pristine/pristine_01.tif", 2)
    assert (row["class"], row["bit_depth"]) == ("pristine", 16)
    assert 18350 / 160 < row["pixel_size_um"] < 2 * 18350 / 160
    assert (manifest["volume"] == "cycle_aged/cycle_aged_02").sum() == 4  # a folder of slices


def test_chosen_slices_and_bad_scans(study: SimpleNamespace, tmp_path: Path) -> None:
    shutil.copytree(study.root / "images" / "pristine", tmp_path / "pristine")
    folder = tmp_path / "pristine" / "pristine_02"
    (folder / "slice_201.tif").unlink()
    stack = tmp_path / "pristine" / "pristine_01.tif"
    stack.write_bytes(stack.read_bytes()[:-30000])
    settings = SETTINGS.model_copy(update={"volumes": VolumeSettings(first=1, step=2)})
    manifest, rejects, _ = build_manifest(find_volumes(tmp_path), settings, tmp_path, reading=SCANS)
    assert sorted(manifest["path"]) == [
        "pristine/pristine_02#1", "pristine/pristine_03.tif#1", "pristine/pristine_03.tif#3"
    ]  # fmt: skip
    found = dict(zip(rejects["path"], rejects["reason"], strict=True))
    assert found == {
        "pristine/pristine_01.tif": "truncated",
        "pristine/pristine_02": "missing_slices",
    }
    assert "201" in rejects["detail"].iloc[1]
    assert show_rejects(rejects)[1].rows[0][0] == "pristine/pristine_01.tif"  # type: ignore[union-attr]
    notes = show_notes(rejects)
    assert notes is not None
    assert [row[0] for row in notes.rows] == ["pristine/pristine_02"]


def test_a_gap_is_told_once_and_is_no_reject(
    study: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(study.root / "images" / "pristine", tmp_path / "scans" / "pristine")
    (tmp_path / "scans" / "pristine" / "pristine_02" / "slice_201.tif").unlink()
    made = {name: tmp_path / f"{name}.out" for name in ("manifest", "rejects", "frames", "summary")}
    options = [str(part) for name, path in made.items() for part in (f"--{name}", path)]
    settings = ["--settings", SETTINGS.model_dump_json(exclude_none=True)]
    assert ingest(["--dataset", str(tmp_path / "scans"), *settings, *options]) == 0
    said = capsys.readouterr().err
    assert said.count("slice numbers are missing") == 1
    assert "11 slices in 1 class, 0 rejected" in said
    summary = json.loads(made["summary"].read_text())
    assert (summary["rejected"], summary["rejects"]) == (0, {})
    assert summary["notes"] == {"missing_slices": 1}


def test_tiles_descriptors_and_preview(study: SimpleNamespace) -> None:
    store = TileStore.open(study.root / "tiles")
    assert store.tiles.shape == (24, 3, 32, 32)
    assert set(study.index["kind"]) == {"whole"}
    slices = pd.read_csv(study.root / "tiles" / "slices.csv")
    assert slices["used"].all()
    assert slices["neighbour_similarity"].between(0.2, 1).all()
    # The first slice of a scan has itself below it.
    first = study.manifest.loc[study.manifest["slice"] == 0, "sample_id"].iloc[0]
    tile = store.tiles[int(study.index.loc[study.index["sample_id"] == first, "tile"].iloc[0])]
    np.testing.assert_array_equal(tile[0], tile[1])
    cells = pd.read_csv(study.root / "tiles" / "cells.csv")
    assert cells["slices"].tolist() == [4] * 6
    assert cells["can_diameter_mm"].between(17.8, 19.2).all()
    assert (study.root / "tiles" / "preview.png").stat().st_size > 20000


def test_long_scans_are_cut_like_short_ones(
    study: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("batteryscope.preprocess.cut_scans.SHORT_SCAN", 0)
    index, left_out = cut_scans(study.manifest, study.root / "images", CUT, tmp_path, 10**6)
    pd.testing.assert_frame_equal(index, study.index)
    pd.testing.assert_frame_equal(left_out, study.left_out)
    for name in ("tiles.npy", "slices.csv", "cells.csv", "preview.png"):
        assert (tmp_path / name).read_bytes() == (study.root / "tiles" / name).read_bytes()


@pytest.mark.parametrize("short_scan", [16, 0])
def test_a_scan_that_was_damaged_later_costs_itself(
    study: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, short_scan: int
) -> None:
    monkeypatch.setattr("batteryscope.preprocess.cut_scans.SHORT_SCAN", short_scan)
    shutil.copytree(study.root / "images", tmp_path / "images")
    damaged, gone, odd = (
        "pristine/pristine_01.tif",
        "pristine/pristine_02",
        "pristine/pristine_03.tif",
    )
    stack = tmp_path / "images" / damaged
    stack.write_bytes(stack.read_bytes()[:-30000])
    shutil.rmtree(tmp_path / "images" / gone)
    open_as_before = cut_scans_module.open_volume

    def open_oddly(path: Path) -> Volume:
        if path == tmp_path / "images" / odd:  # fails at its last slice, after tiles were written
            volume = open_as_before(path)
            return replace(volume, load=lambda z: volume.load(z if z < 3 else 1 // 0))
        return open_as_before(path)

    monkeypatch.setattr("batteryscope.preprocess.cut_scans.open_volume", open_oddly)
    index, left_out = cut_scans(study.manifest, tmp_path / "images", CUT, tmp_path / "tiles", 10**6)
    store = TileStore.open(tmp_path / "tiles")
    assert len(store.tiles) == 12
    volumes = study.manifest.set_index("sample_id")["volume"]
    lost = volumes.isin([damaged, gone, odd])
    assert set(left_out["sample_id"]) == set(volumes.index[lost])
    assert left_out["detail"].str.endswith("It could be read when the data set was ingested.").all()
    assert left_out["detail"].str.contains("ZeroDivisionError").sum() == 4
    kept = index[index["used"]]
    before = TileStore.open(study.root / "tiles")
    first = before.index[before.index["sample_id"].isin(kept["sample_id"])]
    np.testing.assert_array_equal(store.tiles[kept["tile"]], before.tiles[first["tile"]])


def test_the_default_division_is_by_cell(study: SimpleNamespace) -> None:
    split = divide(study, "auto")
    specimens = study.manifest.set_index("sample_id")["specimen_id"]
    roles = split.assign(cell=split["sample_id"].map(specimens)).groupby(["fold", "cell"])["role"]
    assert roles.nunique().max() == 1
    assert warn_of_straddling(split, study.manifest) == ""
    audit = audit_split(split, study.manifest, pair_neighbours(study.manifest))
    assert audit["near_duplicates"]["pairs"] == 18
    assert audit["near_duplicates"]["across_roles"] == 0
    assert audit["warnings"] == []


def test_a_division_by_slice_is_told_in_words(study: SimpleNamespace, tmp_path: Path) -> None:
    study.manifest.to_parquet(tmp_path / "manifest.parquet")
    study.frames.to_parquet(tmp_path / "frames.parquet")
    settings = SplitSettings(scheme="kfold", folds=3, group="slice").model_dump_json()
    names = {name: tmp_path / name for name in ("split", "audit")}
    arguments = [f"--{name}={path}" for name, path in names.items()]
    arguments += [f"--{name}={tmp_path / name}.parquet" for name in ("manifest", "frames")]
    assert split_dataset([*arguments, f"--settings={settings}"]) == 0
    warning = json.loads(names["audit"].read_text())["warnings"]
    assert len(warning) == 1
    assert "Neighbouring slices of one cell are on both sides" in warning[0]
    split = pd.read_parquet(names["split"])
    finding = SENTENCES.record(
        list_straddling_findings({"x": split}, {"x": "by slice"}, study.manifest)
    )[0]
    assert finding["text"].startswith("Strategy “by slice”: Neighbouring slices")


def test_slices_of_one_cell_are_no_experiment_by_cell(study: SimpleNamespace) -> None:
    one = study.manifest.groupby("class")["specimen_id"].transform("first")
    single = study.manifest[study.manifest["specimen_id"] == one]
    settings = SplitSettings(scheme="holdout", test_fraction=0.25, group="specimen")
    words = "Class 'cycle_aged' has only 1 cell, .* slices of one cell cannot test"
    data_words = "The data set has 2 cells, .* slices of one cell cannot test"
    with pytest.raises(InputError, match=f"{words}|{data_words}"):
        split_samples(single, find_groups(single, "specimen"), settings)
    by_slice = settings.model_copy(update={"group": "slice"})
    split = split_samples(single, find_groups(single, "slice"), by_slice)
    arm = make_predictions(single, split, "by_slice")
    levels = list_levels(arm, single, {"by_slice": split})
    assert list(levels) == ["slice"]  # no verdict per cell comes out of it


def make_predictions(manifest: pd.DataFrame, split: pd.DataFrame, arm: str) -> pd.DataFrame:
    test = split[split["role"] == "test"].merge(manifest[["sample_id", "class"]], on="sample_id")
    table = test[["sample_id", "repeat", "fold", "role"]].assign(tile=range(len(test)), arm=arm)
    table["y_true"] = table["y_pred"] = test["class"]
    for name in CLASSES:
        table[f"p_{name}"] = np.where(test["class"] == name, 0.8, 0.2)
    return table


def test_both_divisions_stand_in_one_table_with_the_windings(study: SimpleNamespace) -> None:
    splits = {"by_cell": divide(study, "specimen"), "by_slice": divide(study, "slice")}
    windings = read_windings(study.root / "tiles")
    tables = [make_predictions(study.manifest, split, arm) for arm, split in splits.items()]
    tables.append(predict_baseline("winding", windings, study.manifest, splits["by_cell"], seed=1))
    predictions = pd.concat(tables, ignore_index=True)
    table = compare_arms(predictions, study.manifest, ["state"], {}, splits=splits)
    found = table.groupby("arm")["level"].agg(set).to_dict()
    assert found == {
        "by_cell": {"slice", "specimen"},
        "by_slice": {"slice"},
        "baseline_winding": {"slice", "specimen"},
    }
    counts = table[(table["arm"] == "by_cell") & (table["metric"] == "accuracy")]
    assert counts.set_index("level")["n"].to_dict() == {"slice": 24, "specimen": 6}


@pytest.fixture(scope="module")
def bundle(study: SimpleNamespace) -> Path:
    split = divide(study, "specimen")
    folder = study.root / "part0" / "r0_f0"
    folder.mkdir(parents=True)
    model_settings = ModelSettings(
        backbone="test_resnet", weights="random", grey_levels="per_image", head_units=8
    )
    model = build_classifier(model_settings, CLASSES, 32, seed=1, tile_channels=3)
    state = {k: v.contiguous() for k, v in model.state_dict().items()}
    save_file(state, folder / "weights.safetensors")
    (folder / "model.json").write_text(json.dumps(model.description.as_dict()))
    own = split[(split["fold"] == 0) & (split["role"] == "train")]["sample_id"]
    fit = {"repeat": 0, "fold": 0, "best_epoch": 1, "train_samples": sorted(own)}
    (folder / "fit.json").write_text(json.dumps(fit))
    settings = BundleSettings(
        study="cells",
        arm="by_cell",
        title="Cells",
        data_name="scans",
        label_columns=["state"],
        preprocess=CUT,
        max_pixels=10**6,
        generated=True,
    )
    first = split[split["fold"] == 0]
    out = study.root / "bundle"
    images = study.root / "images"
    write_bundle(out, settings, [folder], study.manifest, study.frames, first, images, 1.0, {})
    return out


def test_predictions_give_a_row_per_slice_and_per_cell(
    study: SimpleNamespace, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scans = tmp_path / "scans"
    scans.mkdir()
    new, _ = render_scan(MADE.model_copy(update={"seed": 9}), CellJob("pristine", 0))
    np.save(scans / "new.npy", new)
    shutil.copy(study.root / "images" / "pristine" / "pristine_01.tif", scans / "old.tif")
    np.save(scans / "air.npy", np.zeros((3, 160, 160), np.uint16))
    out = tmp_path / "predictions.csv"
    arguments = ["--bundle", str(bundle), "--device", "cpu", "--out", str(out)]
    assert predict_images([*arguments, "--images", str(scans)]) == 0
    table = pd.read_csv(out, keep_default_na=False)
    assert table.groupby("file")["level"].agg(list).to_dict() == {
        "air.npy": ["slice"] * 3 + ["cell"],
        "new.npy": ["slice"] * 4 + ["cell"],
        "old.tif": ["slice"] * 4 + ["cell"],
    }
    cells = table[table["level"] == "cell"].set_index("file")
    assert cells["status"].to_dict() == {"air.npy": "rejected", "new.npy": "ok", "old.tif": "ok"}
    assert "no cell is found" in cells.loc["air.npy", "reason"]
    slices = table[(table["file"] == "new.npy") & (table["level"] == "slice")]
    mean = slices["p_pristine"].astype(float).mean()
    assert float(cells.loc["new.npy", "p_pristine"]) == pytest.approx(mean, abs=1e-5)
    agreeing = (slices["class"] == cells.loc["new.npy", "class"]).mean()
    assert float(cells.loc["new.npy", "slices_agreeing"]) == pytest.approx(agreeing)
    assert cells["seen_in_training"].astype(str).str.lower()["new.npy"] == "false"
    said = capsys.readouterr().err
    assert "2 of 3 cells (8 of 11 slices) predicted." in said
    assert "rejected: 1 cell, 3 slices (the first: air.npy: " in said
    one = [*arguments, "--images", str(scans / "new.npy"), "--slices", "1:2:1"]
    assert predict_images(one) == 0
    assert pd.read_csv(out)["slice"].dropna().tolist() == [1, 2]
    shutil.copytree(study.root / "images" / "pristine" / "pristine_02", scans, dirs_exist_ok=True)
    assert predict_images([*arguments, "--images", str(scans), "--slices", "1:1:1"]) == 0
    named = pd.read_csv(out).query("level == 'cell'")["file"]
    assert set(named) == {"scans", "scans/air.npy", "scans/new.npy", "scans/old.tif"}


def test_cells_unlike_those_of_the_training_get_no_answer(
    study: SimpleNamespace, bundle: Path, tmp_path: Path
) -> None:
    known = load_bundle(shutil.copytree(bundle, tmp_path / "bundle"))
    split = divide(study, "specimen")
    groups = dict(zip(split["sample_id"], split["group_id"], strict=True))
    about = add_familiarity(
        tmp_path / "bundle", known.record, known.models, study.root / "tiles", 0.05, groups
    ).familiarity
    assert about.n_held_out == int(((split["fold"] == 0) & (split["role"] == "test")).sum())
    tested = split[(split["fold"] == 0) & (split["role"] == "test")]
    assert about.n_groups == tested["group_id"].nunique() < about.n_held_out
    seal_bundle(tmp_path / "bundle")
    scans, out = tmp_path / "scans", tmp_path / "predictions.csv"
    scans.mkdir()
    new, _ = render_scan(MADE.model_copy(update={"seed": 9}), CellJob("pristine", 0))
    np.save(scans / "new.npy", new)
    coarse = new[:, ::4, ::4].repeat(4, axis=1).repeat(4, axis=2)  # blocks, as no scanner makes
    np.save(scans / "coarse.npy", coarse)
    arguments = ["--bundle", str(tmp_path / "bundle"), "--device", "cpu", "--out", str(out)]
    assert predict_images([*arguments, "--images", str(scans), "--answer-anyway"]) == 0
    table = pd.read_csv(out, keep_default_na=False)
    assert (table["status"] == "ok").all()
    cells = table[table["level"] == "cell"].set_index("file")
    slices = table[table["level"] == "slice"]
    for file, own in slices.groupby("file"):
        middle = own["unlike_training"].sort_values().iloc[(len(own) - 1) // 2]
        assert cells.loc[file, "unlike_training"] == middle
    assert cells.loc["coarse.npy", "unlike_training"] > max(
        1, cells.loc["new.npy", "unlike_training"]
    )
    assert predict_images([*arguments, "--images", str(scans)]) in (0, 1)
    refused = pd.read_csv(out, keep_default_na=False).set_index(["file", "level"]).sort_index()
    cell = refused.loc[[("coarse.npy", "cell")]].iloc[0]
    assert cell["status"] == cell["class"] == "unlike_training"
    assert "of its 4 slices: " in cell["unlike_reasons"]
    assert float(cell["slices_used"]) == 4
