"""The comparison table and the programs that write it."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from batteryscope.config.evaluate import PaperValue
from batteryscope.errors import InputError
from batteryscope.evaluation.aggregate import aggregate_to_images
from batteryscope.evaluation.class_study import compare_study, list_misclassified
from batteryscope.evaluation.comparison import (
    COLUMNS,
    compare_arms,
    compare_classes,
    compare_confusions,
    list_levels,
)
from batteryscope.evaluation.flat_metrics import FITS, flatten_metrics
from batteryscope.evaluation.labels import list_class_labels
from batteryscope.evaluation.metrics import find_wilson_interval
from batteryscope.evaluation.paired import compare_on_images, compare_over_fits, find_half_width
from batteryscope.evaluation.predictions import join_predictions
from batteryscope.manifest.frames import write_frames
from tests.compared_arms import (
    CLASSES,
    COLUMNS_OF_LABELS,
    make_arm,
    make_manifest,
    pick,
    write_survey,
)
from tests.measured_frames import measure_dataset
from tests.studies import lay_out_small, write_pieces


@pytest.fixture
def manifest():
    return make_manifest()


@pytest.fixture
def predictions(manifest):
    # Wrong: 4 images of fold 0 and 2 of fold 1, always the state.
    wrong = ["s000", "s002", "s012", "s024", "s001", "s033"]
    majority = make_arm(manifest, "baseline_majority", tiles=1, sure=0.25).assign(y_pred=CLASSES[0])
    return join_predictions([make_arm(manifest, "fit", wrong, validation=True), majority])


def test_comparison_counts_images_and_averages_fits(manifest, predictions):
    table = compare_arms(predictions, manifest, COLUMNS_OF_LABELS, {"fit": "resnet18"})
    assert list(table.columns) == [*COLUMNS, FITS]
    row = pick(table, arm="fit", level="image", target="", metric="accuracy")
    assert row["mean"] == pytest.approx((16 / 20 + 18 / 20) / 2)
    assert row["sd"] == pytest.approx(0.1 / np.sqrt(2))
    assert row["n"] == 40
    assert row["backbone"] == "resnet18"
    assert pick(table, arm="fit", level="tile", target="", metric="accuracy")["n"] == 40
    whole = pick(table, arm="fit", level="image", target="", metric="pooled_accuracy")
    assert whole["mean"] == pytest.approx(34 / 40)
    composition = pick(table, arm="fit", level="image", target="composition", metric="accuracy")
    assert composition["mean"] == 1
    state = pick(table, arm="fit", level="image", target="state", metric="accuracy")
    assert state["mean"] == row["mean"]
    baseline = table[table["arm"] == "baseline_majority"]
    assert set(baseline["level"]) == {"image"}
    assert pick(baseline, target="", metric="accuracy")["mean"] == 0.25
    assert list(dict.fromkeys(table["arm"])) == ["fit", "baseline_majority"]


def test_single_fit_has_no_sd_and_single_label_no_targets(manifest):
    table = compare_arms(make_arm(manifest, "fit", folds=1), manifest, ["class"], {})
    assert table["sd"].isna().all()
    assert set(table["target"]) == {""}
    assert pick(table, level="image", metric="accuracy")["mean"] == 1


def test_repeated_tests_count_an_image_once(manifest):
    right = make_arm(manifest, "fit", folds=1)
    wrong = make_arm(manifest, "fit", manifest["sample_id"], folds=1).assign(repeat=1)
    table = compare_arms(pd.concat([right, wrong], ignore_index=True), manifest, ["class"], {})
    row = pick(table, level="image", metric="pooled_accuracy")
    assert row["mean"] == 0.5
    assert row["n"] == 40


def test_specimens_and_domains(manifest, predictions):
    named = manifest.assign(
        specimen_id=manifest["class"] + "_S" + (manifest["number"] // 5).astype(str),
        domain=np.where(manifest["number"] < 5, "E1", "E2"),
    )
    table = compare_arms(predictions, named, COLUMNS_OF_LABELS, {})
    chosen = {"arm": "fit", "target": "", "metric": "pooled_accuracy"}
    assert pick(table, **chosen, level="specimen", domain="")["n"] == 8
    parts = [pick(table, **chosen, level="image", domain=d) for d in ("E1", "E2")]
    assert [p["n"] for p in parts] == [20, 20]
    assert sum(p["mean"] * 20 for p in parts) == pytest.approx(34)
    assert not any("E1" in key for key in flatten_metrics(table))


def test_paper_values_stand_beside_models(manifest, predictions):
    paper = [
        PaperValue(metric="accuracy", value=0.996),
        PaperValue(metric="accuracy", value=0.96, target="composition", domain="additive"),
    ]
    table = compare_arms(predictions, manifest, COLUMNS_OF_LABELS, {}, paper)
    beside = table[table["paper"].notna()]
    assert list(beside["arm"]) == ["fit", "paper"]
    assert list(beside["level"]) == ["tile", "tile"]
    alone = beside.iloc[1]
    assert alone["domain"] == "additive"
    assert pd.isna(alone["mean"])
    assert pd.isna(alone["n"])
    assert not any(key.startswith("paper") for key in flatten_metrics(table))


def test_a_paper_value_of_one_arm_stands_beside_it_alone(manifest, predictions):
    values = [
        PaperValue(metric="accuracy", value=0.9, arm="fit"),
        PaperValue(metric="accuracy", value=0.2, arm="other"),
    ]
    table = compare_arms(predictions, manifest, COLUMNS_OF_LABELS, {}, values)
    beside = table[table["paper"].notna()]
    assert beside[["arm", "paper"]].to_numpy().tolist() == [["fit", 0.9], ["paper", 0.2]]


def test_flat_metrics(manifest, predictions):
    table = compare_arms(predictions, manifest, COLUMNS_OF_LABELS, {})
    metrics = flatten_metrics(table)
    assert list(metrics) == sorted(metrics)
    assert metrics["fit.image.accuracy"] == 0.85
    assert metrics["fit.image.composition.accuracy"] == 1
    low, high = find_wilson_interval(0.85, 40)
    assert metrics["fit.image.pooled_accuracy_low"] == round(low, 6)
    assert metrics["fit.image.pooled_accuracy_high"] == round(high, 6)
    assert metrics["fit.image.n"] == 40
    assert "fit.image.accuracy_low" not in metrics  # how much the fits overlap was not said
    told = flatten_metrics(table, {"fit": 0.25})
    half = find_half_width(told["fit.image.accuracy_sd"], 2, 0.25)
    assert told["fit.image.accuracy_low"] == pytest.approx(0.85 - half, abs=1e-5)
    assert told["fit.image.accuracy_high"] == min(1, round(0.85 + half, 6))
    assert json.loads(json.dumps(metrics)) == metrics


def test_class_tables_and_misclassified(manifest, predictions):
    levels = list_levels(predictions, manifest)
    classes = compare_classes(levels)
    row = pick(classes, arm="fit", level="image", **{"class": "NCM_333_pristine"})
    assert row["recall"] == pytest.approx(7 / 10)
    assert row["n"] == 10
    counts = compare_confusions(levels)
    mine = counts[(counts["arm"] == "fit") & (counts["level"] == "image")]
    assert len(mine) == 16
    assert mine["count"].sum() == 40
    wrong = list_misclassified(levels, manifest, "fit")
    assert list(wrong["level"].unique()) == ["image", "tile"]
    assert (wrong["level"] == "image").sum() == 6
    assert (wrong["level"] == "tile").sum() == 18
    assert wrong["path"].str.endswith(".png").all()
    perfect = list_levels(make_arm(manifest, "fit"), manifest)
    assert list_misclassified(perfect, manifest, "fit").empty


def test_ambiguous_class_names_are_refused(manifest):
    broken = manifest.copy()
    broken.loc[0, "state"] = "other"
    with pytest.raises(InputError, match="stands for several values of composition, state"):
        list_class_labels(broken, COLUMNS_OF_LABELS)
    with pytest.raises(InputError, match="no column 'additive'"):
        list_class_labels(manifest, ["additive"])


def test_mcnemar_known_answer(manifest):
    first = make_arm(manifest, "fit", wrong=["s000"])
    second = make_arm(manifest, "other", wrong=[f"s{i:03d}" for i in range(1, 9)])
    images = aggregate_to_images(pd.concat([first, second], ignore_index=True))
    pair = compare_on_images(images, "fit", "other")
    assert (pair.only_first_right, pair.only_second_right, pair.n) == (8, 1, 40)
    assert pair.p_value == pytest.approx(2 * (1 + 9) / 2**9)  # at most 1 of 9, both sides
    assert compare_on_images(images, "fit", "fit").p_value == 1
    with pytest.raises(InputError, match="share no test image"):
        compare_on_images(images[images["arm"] == "fit"], "fit", "nothing")


def test_paired_difference_over_fits(manifest):
    first, second = [], []
    for repeat in range(6):
        wrong = [f"s{i:03d}" for i in range(repeat + 1)]
        first.append(make_arm(manifest, "a", folds=1).assign(repeat=repeat))
        second.append(make_arm(manifest, "b", wrong, folds=1).assign(repeat=repeat))
    images = aggregate_to_images(pd.concat(first + second, ignore_index=True))
    result = compare_over_fits(images, "a", "b")
    assert result.n_fits == 6
    assert result.mean == pytest.approx(3.5 / 40)
    assert result.sd == pytest.approx(np.std([1, 2, 3, 4, 5, 6], ddof=1) / 40)
    half = 2.5705818 * result.sd / np.sqrt(6)  # Student's t, 5 degrees of freedom
    assert result.high - result.mean == pytest.approx(half)
    assert result.p_wilcoxon == pytest.approx(2 / 2**6)
    wider = compare_over_fits(images, "a", "b", left_out_per_train=0.25)
    assert wider.high - wider.low > result.high - result.low
    few = compare_over_fits(images[images["repeat"] < 1], "a", "b")
    assert np.isnan(few.low)
    assert np.isnan(few.p_wilcoxon)


def load_program(name):
    path = Path(__file__).parent.parent / "workflow_scripts" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


def test_programs_from_images_to_findings(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("batteryscope.evaluation.baselines.TREES", 40)
    manifest = make_manifest(per_class=8)
    rng = np.random.default_rng(0)
    for path, name in zip(manifest["path"], manifest["class"], strict=True):
        file = tmp_path / "data" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        level = 40 + 50 * CLASSES.index(name)
        pixels = rng.normal(level, 5, (48, 64)).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(file)
    survey = write_survey(tmp_path / "survey.csv", manifest, [(0, "Kim", CLASSES[0])])
    layout = lay_out_small(
        tmp_path / "work",
        dataset={"path": str(tmp_path / "data"), "generator": None,
                 "labels": {"columns": COLUMNS_OF_LABELS,
                            "pattern": "(?P<composition>x)(?P<state>y)"}},
        arms={"fit": {}, "copy": {}},
        evaluate={"paper": [{"metric": "accuracy", "value": 0.996}], "survey": str(survey),
                  "shortcut_audit": False},
    )  # fmt: skip
    role = np.where(manifest["number"] % 4 == 0, "test", "train")
    split = manifest[["sample_id"]].assign(group_id="", repeat=0, fold=0, role=role)
    arm = make_arm(manifest, "shared", wrong=["s000"], folds=4)
    predictions = dict.fromkeys(("fit", "copy"), arm[arm["fold"] == 0])
    write_pieces(layout, manifest, {"fit": split}, predictions)
    layout.main_split.audit.write_text('{"warnings": ["Look here."]}')
    write_frames(measure_dataset(tmp_path / "data", manifest), layout.data.frames)
    baselines = layout.baselines(layout.plan.main.split)
    assert load_program("evaluate_baselines")(
        ["--manifest", str(layout.data.manifest), "--settings", "{}", "--seed", "1",
         "--frames", str(layout.data.frames), "--split", str(layout.main_split.roles),
         "--out", str(baselines), "--log", str(tmp_path / "log.txt")]
    ) == 0  # fmt: skip
    table = pd.read_parquet(baselines)
    grey = table[table["arm"] == "baseline_grey_levels"]
    assert (grey["y_true"] == grey["y_pred"]).all()
    assert len(table) == 24  # 8 test images, three baselines

    for folder in ("one", "two"):
        compare_study(layout, tmp_path / folder)
    names = "comparison paired per_class class_measures confusion misclassified images "
    names += "reliability sets risk_coverage survey"
    expected = [*[f"{n}.csv" for n in names.split()], "metrics.json", "findings.json"]
    written = sorted(f.name for f in (tmp_path / "one").iterdir())
    assert written == sorted(expected)
    for name in written:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    comparison = pd.read_csv(tmp_path / "one" / "comparison.csv", keep_default_na=False)
    assert list(comparison.columns) == COLUMNS
    assert list(dict.fromkeys(comparison["arm"]))[:2] == ["fit", "copy"]
    findings = json.loads((tmp_path / "one" / "findings.json").read_text())
    kinds = {"baselines", "metadata", "leakage", "single_fit", "survey", "sets", "pairs"}
    assert {f["kind"] for f in findings} == kinds

    table[:0].to_parquet(baselines)
    compare_study(layout, tmp_path / "three")
    arm.assign(role="validation").to_parquet(layout.arm("fit").predictions)
    with pytest.raises(InputError, match="The arm 'fit' has no test images"):
        compare_study(layout, tmp_path / "four")
