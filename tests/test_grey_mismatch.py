"""Tests with other grey levels than in training: known answers, and where they may not appear."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from batteryscope.config.evaluate import GreyMismatch, PaperValue
from batteryscope.config.learning import ModelSettings
from batteryscope.config.project import load_project
from batteryscope.errors import ConfigError
from batteryscope.evaluation.class_study import compare_study
from batteryscope.evaluation.comparison import compare_arms
from batteryscope.evaluation.forward import predict_fit
from batteryscope.evaluation.grey_mismatch import MISMATCH, judge_mismatches
from batteryscope.evaluation.predict_mismatched import predict_mismatched
from batteryscope.evaluation.predictions import KEYS, join_predictions
from batteryscope.evaluation.sentences.classes import SENTENCES
from batteryscope.evaluation.shortcut_study import read_perturbed
from batteryscope.models.classifier import build_classifier, rebuild_classifier
from batteryscope.models.grey_input import GreyInput
from batteryscope.plan import plan_study
from batteryscope.planning.checks import check_project
from batteryscope.planning.grey_mismatches import list_mismatches
from batteryscope.report import pictures
from batteryscope.report.evidence import StudyEvidence
from batteryscope.report.headline import find_headline
from batteryscope.report.results import show_comparison, show_paper
from batteryscope.tilestore import TileStore
from batteryscope.training.data import count_grey_levels
from tests.studies import lay_out_small, write_pieces
from tests.test_config import PARAMS
from tests.test_models import scaled
from workflow_scripts import evaluate_grey_levels as program

CLASSES = ["bright", "dark"]
GREY = {"bright": 160, "dark": 60}  # around a threshold of 110
IMAGES, TILES = 10, 2  # per class, per image


class BrightnessThreshold(nn.Module):
    """Calls a tile bright if its mean lies above that of the training tiles."""

    def __init__(self):
        super().__init__()
        self.input = GreyInput("raw", 1, 0.0, 1.0)
        histogram = torch.zeros(256)
        histogram[list(GREY.values())] = 1
        self.input.learn_statistics(histogram)
        self.threshold = nn.Parameter(torch.tensor(110 / 255))
        self.covariates = None
        self.description = SimpleNamespace(
            classes=CLASSES, flips_at_test="none", inputs_beside=[], pool_samples=False
        )
        self.device = torch.device("cpu")

    def forward(self, tiles):
        above = 40 * (self.input(tiles).mean((1, 2, 3)) - self.threshold)
        return torch.stack([above, -above], 1)


def make_manifest():
    table = pd.DataFrame({"class": np.repeat(CLASSES, IMAGES)})
    table["sample_id"] = [f"s{i:02d}" for i in range(len(table))]
    return table.assign(
        specimen_id=None, session_id=None, domain="", path=table["sample_id"], brightness=1.0
    )


def make_store(manifest):
    levels = np.repeat(manifest["class"].map(GREY).to_numpy(), TILES)
    noise = np.random.default_rng(0).integers(-9, 10, (len(levels), 16, 16))
    tiles = (levels[:, None, None] + noise).astype(np.uint8)
    index = pd.DataFrame({"sample_id": np.repeat(manifest["sample_id"].to_numpy(), TILES)})
    index = index.assign(tile=range(len(index)), kind="grid", used=True)
    return TileStore(tiles, index)


def make_roles(manifest):
    """The first image of each class validates, the others are tested."""
    first = manifest.groupby("class")["sample_id"].transform("first") == manifest["sample_id"]
    role = np.where(first, "validation", "test")
    return manifest[["sample_id"]].assign(group_id="", repeat=0, fold=0, role=role)


MISMATCHES = [
    GreyMismatch(
        name="raw_tested_per_image", arm="raw", trained="raw", tested="per_image",
        matched="own", alike=True,
    ),
    GreyMismatch(name="raw_tested_dataset", arm="raw", trained="raw", tested="dataset"),
]  # fmt: skip


@pytest.fixture(scope="module")
def tested():
    """Predictions as trained of two arms, and those with other grey levels."""
    manifest = make_manifest()
    store, roles, model = make_store(manifest), make_roles(manifest), BrightnessThreshold()
    usual = predict_fit(model, store.tiles, store.index, manifest, roles)
    treatments = {m.name: m.tested for m in MISMATCHES}
    other = predict_mismatched(model, store, manifest, roles, treatments)
    assert model.input.grey_levels == "raw"
    arms = join_predictions([usual.assign(arm="raw"), usual.assign(arm="own")])
    return SimpleNamespace(manifest=manifest, roles=roles, arms=arms, other=other)


def test_standardised_tiles_have_no_brightness_to_go_by(tested):
    assert set(tested.other["role"]) == {"test"}
    right = (tested.other["y_true"] == tested.other["y_pred"]).groupby(tested.other["arm"]).mean()
    assert right.to_dict() == {
        # Mean 0.5 whatever the tile, which lies above the threshold: all are called bright.
        "raw_tested_per_image": 0.5,
        # 60 and 160 of 110 ± 50 become 0.25 and 0.75.
        "raw_tested_dataset": 1.0,
    }


def test_other_grey_levels_are_those_that_a_network_could_have_been_trained_with(tmp_path):
    manifest = make_manifest()
    store, roles = make_store(manifest), make_roles(manifest)
    settings = ModelSettings(backbone="test_resnet", weights="random")
    model = build_classifier(settings, CLASSES, 16, seed=1).eval()
    model.input.learn_statistics(count_grey_levels(store.tiles, np.arange(len(store.tiles))))
    fit = tmp_path / "part0" / "r0_f0"
    fit.mkdir(parents=True)
    save_file(
        {k: v.contiguous() for k, v in model.state_dict().items()}, fit / "weights.safetensors"
    )
    (fit / "model.json").write_text(json.dumps(model.description.as_dict()))
    (fit / "fit.json").write_text('{"repeat": 0, "fold": 0}')
    manifest.to_parquet(tmp_path / "manifest.parquet")
    roles.to_parquet(tmp_path / "split.parquet")
    np.save(tmp_path / "tiles.npy", store.tiles)
    store.index.to_parquet(tmp_path / "index.parquet")
    out = tmp_path / "out.parquet"
    treatments = {f"raw_tested_{grey}": grey for grey in ("dataset", "histogram_match", "clahe")}
    assert program.main(
        ["--manifest", str(tmp_path / "manifest.parquet"), "--tiles", str(tmp_path),
         "--split", str(tmp_path / "split.parquet"), "--where", "{}",
         "--fits", str(fit.parent), "--treatments", json.dumps(treatments),
         "--predictions", str(out), "--log", str(tmp_path / "log.txt")]
    ) == 0  # fmt: skip
    written = pd.read_parquet(out)
    for name, grey in treatments.items():
        described = model.description.as_dict() | {"grey_levels": grey}
        trained_so = rebuild_classifier(described, model.state_dict())
        expected = predict_fit(trained_so, store.tiles, store.index, manifest, roles)
        expected = expected[expected["role"] == "test"].reset_index(drop=True)
        mine = written[written["arm"] == name].reset_index(drop=True)
        pd.testing.assert_frame_equal(mine.drop(columns="arm"), expected)


def test_without_a_fit_that_was_asked_the_table_is_empty(tmp_path):
    manifest = make_manifest()
    manifest.to_parquet(tmp_path / "manifest.parquet")
    make_roles(manifest).to_parquet(tmp_path / "split.parquet")
    store = make_store(manifest)
    np.save(tmp_path / "tiles.npy", store.tiles)
    store.index.to_parquet(tmp_path / "index.parquet")
    fit = tmp_path / "part0" / "r1_f0"  # of another repeat
    fit.mkdir(parents=True)
    (fit / "fit.json").write_text('{"repeat": 1, "fold": 0}')
    out = tmp_path / "out.parquet"
    assert program.main(
        ["--manifest", str(tmp_path / "manifest.parquet"), "--tiles", str(tmp_path),
         "--split", str(tmp_path / "split.parquet"), "--where", "{}", "--fits", str(fit.parent),
         "--treatments", "{}", "--audit", "raw", "--predictions", str(out),
         "--log", str(tmp_path / "log.txt")]
    ) == 0  # fmt: skip
    assert pd.read_parquet(out).columns.tolist() == [*KEYS, "p_bright", "p_dark"]
    assert read_perturbed(out, "raw") is None


def test_comparison_has_exactly_those_rows_and_the_finding_names_the_mismatch(tested):
    paper = [
        PaperValue(metric="accuracy", value=0.996),
        PaperValue(metric="accuracy", value=0.2, arm="raw_tested_per_image"),
    ]
    table = compare_arms(
        join_predictions([tested.arms, tested.other]), tested.manifest, ["class"], {}, paper,
        mismatched={m.name: m.arm for m in MISMATCHES},
    )  # fmt: skip
    assert list(dict.fromkeys(table["arm"])) == [
        "raw", "own", "raw_tested_per_image", "raw_tested_dataset",
    ]  # fmt: skip
    rows = table[table["metric"] == "accuracy"].set_index(["arm", "level"])
    assert set(rows.index.get_level_values("level")) == {"tile", "image"}
    assert rows.loc[("raw_tested_per_image", "image"), "mean"] == 0.5
    assert (rows["n"] == 2 * (IMAGES - 1)).all()
    published = rows["paper"].dropna()
    assert published.to_dict() == {
        ("raw", "tile"): 0.996, ("own", "tile"): 0.996, ("raw_tested_per_image", "tile"): 0.2,
    }  # fmt: skip

    (finding,) = SENTENCES.record(judge_mismatches(MISMATCHES, table, "own"))
    assert finding["kind"] == MISMATCH
    assert finding["text"] == (
        "Tested with 'per_image' grey levels: raw, trained with 'raw', classifies 50.0 % of 18 "
        "test images (95 % interval 29.0 to 71.0 %; tested as it was trained: 100.0 %; own, "
        "trained and tested with 'per_image': 100.0 %). Tested with 'dataset' grey levels: raw, "
        "trained with 'raw', classifies 100.0 % of 18 test images (95 % interval 82.4 to 100.0 %; "
        "tested as it was trained: 100.0 %; no strategy here was trained and tested with "
        "'dataset'). Such a number tells of a mismatch between training and test, not of a "
        "property of the normalisation."
    )
    assert judge_mismatches([], table, "raw") == []
    several = [MISMATCHES[1], MISMATCHES[1].model_copy(update={"arm": "own"})]
    (finding,) = SENTENCES.record(judge_mismatches(several, table, "own"))
    assert "raw, trained" not in finding["text"]
    assert "other strategies stand in the table" in finding["text"]


def test_nothing_but_comparison_and_finding_knows_of_it(tested, tmp_path):
    own = {"own": {"change": {"model.grey_levels": "per_image"}}}
    without, with_it = tmp_path / "without", tmp_path / "with"
    by_dataset = tested.other[tested.other["arm"] == "raw_tested_dataset"]
    other = {"raw": tested.other, "own": by_dataset.assign(arm="own_tested_dataset")}
    for out, asked in ((without, []), (with_it, ["per_image", "dataset"])):
        layout = lay_out_small(
            tmp_path / "work",
            model={"grey_levels": "raw"},
            arms={"raw": {}} | own,
            evaluate={"grey_levels_at_test": asked, "shortcut_audit": False},
        )
        arms = {name: tested.arms[tested.arms["arm"] == name] for name in ("raw", "own")}
        more = {layout.mismatched(name): table for name, table in other.items()}
        more[layout.baselines(layout.plan.main.split)] = arms["raw"][:0]
        more = {layout.mismatched(name): table for name, table in other.items()}
        more[layout.baselines(layout.plan.main.split)] = arms["raw"][:0]
        write_pieces(layout, tested.manifest, {"raw": tested.roles}, arms, more)
        compare_study(layout, out)
    names = {path.name for path in without.iterdir()}
    assert {path.name for path in with_it.iterdir()} == names
    for name in names - {"comparison.csv", "metrics.json", "findings.json"}:
        assert (with_it / name).read_bytes() == (without / name).read_bytes(), name
    before, after = (pd.read_csv(folder / "comparison.csv") for folder in (without, with_it))
    added = after[~after["arm"].isin(before["arm"])]
    assert set(added["arm"]) == {"own_tested_dataset", *(m.name for m in MISMATCHES)}
    assert set(added["backbone"]) == {"test_resnet"}
    pd.testing.assert_frame_equal(after.drop(added.index), before)
    kinds = [f["kind"] for f in json.loads((with_it / "findings.json").read_text())]
    assert kinds.count(MISMATCH) == 1
    metrics = json.loads((with_it / "metrics.json").read_text())
    assert metrics["raw_tested_per_image.image.pooled_accuracy_low"] == pytest.approx(
        0.29, abs=0.01
    )
    assert metrics["raw_tested_per_image.image.n"] == 18


def load(scale="paper", **study):
    change = {"scale": scale, "studies": {"cathode_state": study}}
    return load_project(PARAMS, change).studies["cathode_state"]


def asked(*treatments):
    return {"evaluate": {"grey_levels_at_test": list(treatments)}}


def test_plan_lists_mismatches_and_finds_who_was_trained_so():
    settings = load(
        arms={
            "raw": {"label": "As they are"},
            "own": {"change": {"model.grey_levels": "per_image"}},
            "curve": {"change": {"model.grey_levels": "clahe", "train.epochs": 3}},
        },
        **asked("dataset", "per_image", "clahe"),
    )
    found = {
        m.name: (m.trained, m.matched, m.alike) for m in list_mismatches(plan_study("s", settings))
    }
    assert found == {
        "raw_tested_dataset": ("raw", None, False),
        "raw_tested_per_image": ("raw", "own", True),
        "raw_tested_clahe": ("raw", "curve", False),
        "own_tested_dataset": ("per_image", None, False),
        "own_tested_clahe": ("per_image", "curve", False),
        "curve_tested_dataset": ("clahe", None, False),
        "curve_tested_per_image": ("clahe", "own", False),
    }


def test_training_does_not_depend_on_it():
    with_it, without = (plan_study("s", load(**asked(*a))) for a in (("clahe",), ()))
    assert with_it.stages == without.stages
    assert list_mismatches(without) == []


def check(study, name="cathode_state"):
    project = load_project(PARAMS, {"scale": "paper", "studies": {name: study}})
    check_project({name: plan_study(name, project.studies[name])})


@pytest.mark.parametrize(
    ("study", "words"),
    [
        (asked("raws"), ["grey_levels_at_test", "'raws'"]),
        (asked("clahe", "clahe"), ["'clahe' is named twice"]),
        (
            {"arms": {"raw": {}, "raw_tested_clahe": {}}, **asked("clahe")},
            ["'raw_tested_clahe'", "name of an arm"],
        ),
        (
            {"arms": {"raw": {}}, **asked("clahe", "raw")},
            ["cathode_state.evaluate.grey_levels_at_test", "'raw'", "every strategy is trained"],
        ),
        ({"model": {"normalisation": "none", "input_mean": 0.5}}, ["input_mean 0.5", "'none'"]),
    ],
)
def test_settings_without_effect_are_refused(study, words):
    with pytest.raises(ConfigError) as error:
        check(study)
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize("study", ["rate_capability", "gdl_tortuosity"])
def test_studies_of_numbers_and_tables_refuse_it(study):
    with pytest.raises(ConfigError, match="grey_levels_at_test"):
        check(asked("clahe"), study)


def test_normalisation_none_leaves_grey_levels_between_0_and_1():
    tile = torch.tensor([[[[0, 255]]]], dtype=torch.uint8)
    plain = ModelSettings(backbone="resnet18", weights="random", normalisation="none")
    layer = build_classifier(plain, CLASSES, 32, seed=1).input
    assert layer(tile)[0, 0].flatten().tolist() == [0.0, 1.0]
    usual = build_classifier(plain.model_copy(update={"normalisation": "backbone"}), CLASSES, 32, 1)
    assert usual.input(tile)[0, 0].flatten().tolist() == pytest.approx(
        [-0.449 / 0.226, 0.551 / 0.226], rel=0.02
    )
    assert scaled(tile, "raw").flatten().tolist() == [-2.0, 2.0]


def test_report_has_the_rows_but_not_in_headline_and_figure(monkeypatch):
    paper = [
        {"metric": "accuracy", "level": "image", "value": 0.99},
        {"metric": "accuracy", "level": "image", "value": 0.2, "arm": "raw_tested_clahe"},
    ]
    settings = load(
        arms={"raw": {"label": "As they are"}}, main_arm="raw",
        evaluate={"grey_levels_at_test": ["clahe"], "paper": paper},
    )  # fmt: skip
    rows = [("raw", 0.9, 0.99), ("raw_tested_clahe", 0.3, 0.2), ("baseline_majority", 0.1, None)]
    place = {"backbone": "", "target": "", "domain": "", "level": "image", "metric": "accuracy"}
    comparison = pd.DataFrame(
        [{"arm": a, **place, "mean": m, "sd": 0.1, "n": 20, "paper": p} for a, m, p in rows]
    )
    evidence = StudyEvidence("s", settings, False, comparison, {}, {})
    (table,) = show_comparison(evidence)
    assert [row[0] for row in table.rows] == [
        "As they are",
        "As they are, tested with 'clahe' grey levels",
        "baseline: always the most frequent class",
    ]
    assert "20.0 %" in show_paper(evidence).rows[1]
    headline = find_headline(evidence)
    assert headline.accuracy == 0.9
    draws = []
    monkeypatch.setattr(pictures, "draw_comparison", lambda *values: draws.append(values))
    monkeypatch.setattr(pictures, "encode_picture", lambda *_, **__: None)
    pictures.draw_pictures(evidence, headline)
    ((bars, _, diamonds, _),) = draws
    assert list(bars["label"]) == ["As they are", "baseline: always the most frequent class"]
    assert diamonds == [("paper, images", 0.99)]
