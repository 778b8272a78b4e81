"""Arms, baselines and explanations of capacities are about the same images."""

import json

import pandas as pd
import pytest

from batteryscope.config.evaluate import ExplainSettings
from batteryscope.config.study import StudySettings
from batteryscope.errors import InputError
from batteryscope.evaluation import number_baselines
from batteryscope.evaluation.number_study import compare_study
from batteryscope.explain.number_study import choose_number_tiles
from batteryscope.manifest.select import keep_samples
from batteryscope.plan import plan_study
from batteryscope.planning.layout import PictureLayout
from batteryscope.preprocess.cut_dataset import MEASUREMENTS_NAME
from tests.rate_study import make_study
from tests.studies import write_pieces
from tests.test_rate_evaluation import make_manifest, make_predictions, make_split

WHERE = {"magnification": 500}


def make_magnified_manifest() -> pd.DataFrame:
    """Of the two images of every electrode one is magnified more."""
    manifest = make_manifest()
    more = manifest["sample_id"].str.endswith("1")
    return manifest.assign(magnification=more.map({True: 500, False: 200}))


def write_study(folder, manifest, **arms) -> PictureLayout:
    """Write what a comparison reads; every arm is its split, ``where`` and group."""
    changes = {
        name: {"change": {"split.test_where": where, "split.group": group}}
        for name, (_, where, group) in arms.items()
    }
    settings = make_study().model_dump(mode="json") | {"arms": changes}
    layout = PictureLayout(folder, plan_study("s", StudySettings.model_validate(settings)))
    share = manifest["porosity"].astype(float) / 100
    measured = manifest[["sample_id"]].assign(
        tile=range(len(manifest)), thickness_px=500.0, porosity_otsu=share, grey_sd=share
    )
    layout.main_tiles.mkdir(parents=True)
    measured.to_parquet(layout.main_tiles / MEASUREMENTS_NAME)
    predictions = {
        name: make_predictions(manifest, keep_samples(split, manifest, where), name)
        for name, (split, where, _) in arms.items()
    }
    splits = {name: split for name, (split, _, _) in arms.items()}
    return write_pieces(layout, manifest, splits, predictions)


@pytest.fixture(autouse=True)
def small_forests(monkeypatch):
    monkeypatch.setattr(number_baselines, "N_TREES", 2)


def test_baselines_are_tested_on_the_images_of_the_arm(tmp_path):
    manifest = make_magnified_manifest()
    split = make_split(manifest).query("fold == 0")
    compare_study(
        write_study(tmp_path, manifest, mass=(split, WHERE, "specimen")), tmp_path / "out"
    )
    images = pd.read_csv(tmp_path / "out" / "images.csv", dtype={"sample_id": str})
    judged = images.groupby("arm")["sample_id"].agg(lambda ids: frozenset(ids))
    assert len(judged) == 5
    asked = keep_samples(split, manifest, WHERE).query("role != 'train'")
    assert set(judged) == {frozenset(asked["sample_id"])}
    comparison = pd.read_csv(tmp_path / "out" / "comparison.csv")
    overall = comparison[comparison["domain"].isna() & (comparison["level"] == "image")]
    assert set(overall["n"]) == {3}


def test_who_trained_on_the_tested_electrodes_is_not_judged_per_electrode(tmp_path):
    manifest = make_magnified_manifest()
    split = make_split(manifest).query("fold == 0")
    number = manifest.groupby("specimen_id").cumcount()
    role = number.map({0: "test", 1: "train"}).to_numpy()
    by_image = manifest[["sample_id"]].assign(repeat=0, fold=0, role=role)
    arms = {"mass": (split, {}, "specimen"), "mass_by_image": (by_image, {}, "image")}
    compare_study(write_study(tmp_path, manifest, **arms), tmp_path / "out")
    comparison = pd.read_csv(tmp_path / "out" / "comparison.csv")
    judged = set(comparison.loc[comparison["level"] == "specimen", "arm"])
    assert "mass_by_image" in set(comparison["arm"])
    assert judged == {
        "mass",
        *(f"baseline_{name}" for name in ("mean", "porosity", "thickness", "texture_forest")),
    }
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert not [key for key in metrics if key.startswith("mass_by_image.specimen")]


def test_baselines_without_training_images_are_refused(tmp_path):
    manifest = make_magnified_manifest()
    split = (
        make_split(manifest)
        .query("fold == 0")
        .assign(role=lambda t: t["role"].replace("train", "validation"))
    )
    layout = write_study(tmp_path, manifest, mass=(split, WHERE, "specimen"))
    with pytest.raises(InputError, match="no training image is left for the baselines"):
        compare_study(layout, tmp_path / "out")


def test_explained_images_are_among_those_judged(tmp_path):
    manifest = make_magnified_manifest().assign(path="x.png")
    (tmp_path / "fit.json").write_text(json.dumps({"repeat": 0, "fold": 1}))
    index = manifest[["sample_id"]].assign(
        used=True, kind="grid", tile=range(len(manifest)), x_px=0, y_px=0
    )
    chosen = choose_number_tiles(
        manifest, index, make_split(manifest), tmp_path, ExplainSettings(), WHERE
    )
    assert sorted(chosen["sample_id"]) == ["2011", "3011", "5011"]
