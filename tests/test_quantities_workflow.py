"""The real workflow on quantities: check sets, SEM tiles and scans of cells, all in one project."""

import json

import pandas as pd
import pytest

from tests.conftest import Sandbox
from tests.small_params import small_params, small_study

pytestmark = pytest.mark.workflow

TABLE = {"table": ".quantities.csv", "sample_column": "file"}
VALUE = {"unit": "a.u.", "low": 0, "high": 60}
TRAIN = {
    "loss": "mse", "monitor": "val_loss", "epochs": 12, "batch_size": 16, "optimiser": "adamw",
    "learning_rate": 5.0e-3, "schedule": "one_cycle",
}  # fmt: skip
MODEL = {
    "backbone": "test_resnet", "weights": "random", "outputs": "all",
    "pooling": "stage_statistics", "dropout": 0.0, "grey_levels": "per_image",
}  # fmt: skip
EXPLAIN = {"window_px": 16, "integration_steps": 4}


def check_study():
    """One number that the picture shows, and one that was drawn by lot."""
    return small_study(
        dataset={
            "name": "trivial",
            "generator": {"kind": "trivial", "classes": 3, "images_per_class": 12},
            "targets": {"quantities": {"value": VALUE, "lot": VALUE}, **TABLE},
        },
        split={"scheme": "kfold", "folds": 2, "validation_fraction": 0.3},
        model=MODEL,
        train=TRAIN,
        arms={
            "shown": {"change": {"model.outputs": ["value"]}},
            "drawn": {"change": {"model.outputs": ["lot"]}},
        },
        explain=EXPLAIN,
    )


def sem_study():
    study = small_study(
        preprocess={"crop_px": 128, "input_px": 64, "tiles_per_image": 6},
        split={"scheme": "kfold", "folds": 2, "validation_fraction": 0.3},
        model=MODEL,
        train={**TRAIN, "epochs": 3},
        arms={"beside": {}, "plain": {"change": {"model.covariates": False}}},
    )
    study["explain"] = {"tiles_per_class": 1, **EXPLAIN}
    study["dataset"] = {
        "name": "sem",
        "generator": {
            "kind": "sem_top_view", "images_per_class": 5, "states": ["formation"],
            "width_px": 320, "height_px": 240,
        },
        "covariates": {**TABLE, "columns": {"cracks": {"unit": "%", "column": "cracked_percent"}}},
        "targets": {
            "quantities": {
                "particle_um": {"unit": "µm", "low": 1, "high": 20, "transform": "log"},
                "pore_percent": {"unit": "%", "low": 0, "high": 100, "label": "visible pores"},
            },
            **TABLE,
        },
    }  # fmt: skip
    return study


def scan_study():
    return {
        "title": "Capacity that is left",
        "dataset": {
            "name": "scans",
            "generator": {"kind": "ct_cell", "cells_per_state": 5, "slices": 3, "size_px": 160,
                          "states": ["pristine", "cycle_aged"]},
            "volumes": {},
            "labels": {"pattern": "(?P<state>pristine|cycle_aged)", "columns": ["state"]},
            "targets": {
                "quantities": {
                    "remaining_capacity_percent": {
                        "unit": "%", "low": 50, "high": 100, "label": "remaining capacity"
                    }
                },
                **TABLE,
            },
        },
        "preprocess": {"method": "ct_slices", "input_px": 48, "min_regularity": 0.1},
        "split": {"scheme": "kfold", "folds": 2, "validation_fraction": 0.3, "group": "specimen"},
        "model": MODEL,
        "train": {**TRAIN, "epochs": 3},
        "arms": {"fit": {}},
        "evaluate": {"baselines": ["grey_levels", "winding"]},
        "explain": EXPLAIN,
    }  # fmt: skip


@pytest.fixture(scope="module")
def sandbox(make_sandbox) -> Sandbox:
    box = make_sandbox(
        small_params(
            trivial=check_study(),
            sem=sem_study(),
            scans=scan_study(),
        )
    )
    # `sem` is done from pictures to MLflow; the others as far as their tests look.
    box.snakemake("work/trivial/comparison", "sem", "work/scans/bundle")
    return box


def read_scores(sandbox: Sandbox, folder: str) -> dict:
    return json.loads((sandbox.root / folder / "metrics.json").read_text())


def predict(sandbox: Sandbox, bundle: str, images: str, *more: str) -> pd.DataFrame:
    sandbox.run(
        "python", "workflow_scripts/predict_images.py", "--bundle", bundle,
        "--images", images, "--out", "answers.csv", *more,
    )  # fmt: skip
    return pd.read_csv(sandbox.root / "answers.csv")


def test_a_number_that_the_picture_shows_is_learnt_and_one_drawn_by_lot_is_not(sandbox):
    scores = read_scores(sandbox, "work/trivial/comparison")
    assert scores["shown.image.value.r2"] > 0.9
    assert scores["shown.image.value.mae"] < 3
    assert scores["drawn.image.lot.r2"] < 0.15
    assert "shown.image.lot.r2" not in scores
    assert scores["baseline_texture_forest.image.lot.r2"] < 0.15
    found = json.loads((sandbox.root / "work/trivial/comparison/findings.json").read_text())
    verdicts = {f["text"][:3]: f["severity"] for f in found if f["kind"] == "baseline"}
    assert verdicts["lot"] in ("warning", "info")


def test_two_quantities_of_tiles_are_published_with_units_and_intervals(sandbox):
    record = json.loads((sandbox.root / "models/sem/bundle.json").read_text())
    assert record["kind"] == "quantities"
    assert [(t["name"], t["unit"], t["low"], t["high"]) for t in record["targets"]] == [
        ("particle_um", "µm", 1.0, 20.0), ("pore_percent", "%", 0.0, 100.0)
    ]  # fmt: skip
    table = "work/sem/data/images/.quantities.csv"
    images = "work/sem/data/images"
    rows = predict(sandbox, "models/sem", images, "--covariates", table)
    assert set(rows["status"]) <= {"ok", "unlike_training"}
    rows = rows[rows["status"] == "ok"]
    assert len(rows) > 15  # of 20
    for name, low, high in (("particle_um", 1, 20), ("pore_percent", 0, 100)):
        assert rows[name].between(low, high).all()
        assert (rows[f"{name}_low"] <= rows[name]).all()
        assert (rows[f"{name}_high"] >= rows[name]).all()
    comparison = pd.read_csv(sandbox.root / "reports/sem/comparison.csv")
    arms = {"beside", "plain", "mean", "texture_forest", "grey_levels", "covariates"}
    assert arms <= {arm.removeprefix("baseline_") for arm in comparison["arm"]}
    html = (sandbox.root / "reports/sem/report.html").read_text(encoding="utf-8")
    assert "Generated data" in html
    assert "visible pores / %" in html
    card = (sandbox.root / "models/sem/MODEL_CARD.md").read_text(encoding="utf-8")
    assert "particle um (µm), visible pores (%) come out" in card
    assert "| cracks / % |" in card


def test_the_report_says_of_every_quantity_whether_covariates_help(sandbox):
    found = json.loads((sandbox.root / "work/sem/comparison/findings.json").read_text())
    told = [f["text"] for f in found if f["kind"] == "covariates"]
    for label, text in zip(("particle um", "visible pores"), told, strict=True):
        assert text.startswith(
            f"{label}: with covariates (cracks) beside has a mean absolute error"
        )
        assert "the same without them (plain)" in text
        assert "Covariates alone (random forest) have an error of" in text
    html = (sandbox.root / "reports/sem/report.html").read_text(encoding="utf-8")
    assert "Do covariates help?" in html


def test_slices_of_scans_become_cells(sandbox):
    scores = read_scores(sandbox, "work/scans/comparison")
    for who in ("fit", "baseline_mean", "baseline_winding", "baseline_texture_forest"):
        for level in ("slice", "specimen"):
            assert f"{who}.{level}.remaining_capacity_percent.mae" in scores
    rows = predict(sandbox, "work/scans/bundle", "work/scans/data/images/cycle_aged")
    cells = rows[rows["level"] == "cell"]
    assert len(cells) == 5
    assert (cells["status"] == "ok").all()
    slices = rows[(rows["level"] == "slice") & (rows["status"] == "ok")]
    means = slices.groupby("file")["remaining_capacity_percent"].mean()
    found = cells.set_index("file")["remaining_capacity_percent"]
    assert (found - means.reindex(found.index)).abs().max() < 0.01
    assert cells["remaining_capacity_percent_slice_sd"].notna().any()
