"""What a comparison means: verdicts, warnings, external sets, surveys among experts."""

import pandas as pd
import pytest

from batteryscope.config.table_format import TableFormat
from batteryscope.core.finding import Finding
from batteryscope.errors import InputError
from batteryscope.evaluation.aggregate import aggregate_to_images
from batteryscope.evaluation.class_findings import (
    collect_findings,
    count_unjudged,
    judge_against_baselines,
)
from batteryscope.evaluation.comparison import (
    compare_arms,
    list_levels,
)
from batteryscope.evaluation.external import score_external
from batteryscope.evaluation.labels import list_class_labels
from batteryscope.evaluation.predictions import join_predictions
from batteryscope.evaluation.sentences.classes import SENTENCES
from batteryscope.evaluation.survey import compare_with_survey, judge_survey, read_survey
from tests.compared_arms import (
    CLASSES,
    COLUMNS_OF_LABELS,
    make_arm,
    make_manifest,
    pick,
    write_survey,
)


@pytest.fixture
def manifest():
    return make_manifest()


def judge(manifest, *arms):
    predictions = join_predictions(arms)
    table = compare_arms(predictions, manifest, COLUMNS_OF_LABELS, {})
    return table, list_levels(predictions, manifest)["image"]


def say(verdict):
    return SENTENCES.tell(Finding("baselines", None, verdict))


def test_verdict_sentences(manifest):
    bad = manifest["sample_id"][::2]
    good, poor = make_arm(manifest, "fit"), make_arm(manifest, "fit", bad)
    weak = make_arm(manifest, "baseline_grey_levels", bad, tiles=1)
    strong = make_arm(manifest, "baseline_grey_levels", bad[:2], tiles=1)
    verdict = judge_against_baselines(*judge(manifest, good, weak), "fit")
    assert verdict["beats_all"]
    assert "beats every baseline" in say(verdict)
    assert "50.0 points" in say(verdict)
    verdict = judge_against_baselines(*judge(manifest, poor, strong), "fit")
    assert not verdict["beats_all"]
    assert "does NOT beat" in say(verdict)
    assert "points below" in say(verdict)
    close = judge_against_baselines(*judge(manifest, good, strong), "fit")
    assert not close["beats_all"]  # two images of forty are chance
    assert "chance explains" in say(close)
    alone = judge_against_baselines(*judge(manifest, good), "fit")
    assert "no baseline was run" in say(alone)
    with pytest.raises(InputError, match="arm 'nothing' has no test images"):
        judge_against_baselines(*judge(manifest, good), "nothing")


def test_verdict_of_several_fits_agrees_with_its_counts(manifest):
    """Two fits with different mistakes: their vote is better than either."""
    ids = manifest["sample_id"].tolist()
    fits = [make_arm(manifest, "fit", wrong=(), folds=1, sure=0.9)]
    second = make_arm(manifest, "fit", wrong=ids[:8], folds=1, sure=0.6).assign(fold=1)
    weak = make_arm(manifest, "baseline_grey_levels", ids[:4], tiles=1, folds=1)
    table, images = judge(manifest, pd.concat([*fits, second]), weak)
    verdict = judge_against_baselines(table, images, "fit")
    (pair,) = verdict["baselines"].values()
    assert say(verdict).startswith("fit (vote of 2 fits) classifies 100.0 % of 40 test images")
    assert pair["difference"] == pytest.approx(
        (pair["only_model_right"] - pair["only_baseline_right"]) / pair["n"]
    )


def test_findings_name_leaks_and_single_fits(manifest):
    single = make_arm(manifest, "fit", folds=1)
    majority = make_arm(manifest, "baseline_majority", folds=1, tiles=1, sure=0.25)
    metadata = majority.assign(arm="baseline_metadata")
    table, images = judge(manifest, single, majority.assign(y_pred=CLASSES[0]), metadata)
    audit = {"warnings": ["Two images look alike."]}
    split = images[images["arm"] == "fit"][["sample_id", "repeat", "fold", "role"]]
    findings = collect_findings(table, images, manifest, "fit", audit, split)
    kinds = {f.kind: SENTENCES.tell(f) for f in findings}
    assert "unjudged" not in kinds
    assert kinds["leakage"] == "Two images look alike."
    assert "trained once" in kinds["single_fit"]
    assert "91.2 % and 100.0 %" in kinds["single_fit"]
    assert "carries no information" in kinds["metadata"]


def test_images_without_a_verdict_are_counted_as_mistakes(manifest):
    images = aggregate_to_images(make_arm(manifest, "fit", wrong=["s000"], folds=1))
    split = images[["sample_id", "repeat", "fold", "role"]]
    assert count_unjudged(images, split, "fit") == []
    (found,) = count_unjudged(images[images["sample_id"] != "s001"], split, "fit")
    text = SENTENCES.tell(found)
    assert "no verdict on 1 of 40 test images" in text
    assert "would be 95.0 %" in text
    (found,) = count_unjudged(images[images["sample_id"] != "s001"], split, "fit", "slice")
    text = SENTENCES.tell(found)
    assert "1 of 40 test slices, because no cell or too irregular windings" in text
    assert "its accuracy per slice would be" in text


def test_external_set_is_scored_column_by_column(manifest):
    model = list_class_labels(manifest, COLUMNS_OF_LABELS)
    labels = pd.DataFrame(
        {
            "sample_id": [*"abcd"],
            "composition": ["NCM_333", "NCM_333", "NCM_811", "NCM_811"],
            "state": ["pristine", "cycled_100", "stored", None],
        }
    )
    guess = ["NCM_333_pristine", "NCM_333_pristine", "NCM_811_pristine", "NCM_333_pristine"]
    predictions = pd.DataFrame({"sample_id": [*"abcd"], "y_pred": guess})
    table = score_external(predictions, labels, model, COLUMNS_OF_LABELS)
    composition = pick(table, target="composition")
    assert (composition["accuracy"], composition["n"]) == (0.75, 4)
    state = pick(table, target="state")
    assert (state["accuracy"], state["n"]) == (pytest.approx(1 / 3), 3)
    assert (state["accuracy_known"], state["n_known"]) == (0.5, 2)  # "stored" is new
    overall = pick(table, target="")
    assert (overall["accuracy"], overall["n"]) == (pytest.approx(1 / 3), 3)
    only = labels.drop(columns="state").assign(**{"class": labels["composition"]})
    grouped = score_external(predictions, only, model, COLUMNS_OF_LABELS)
    assert list(grouped["group"]) == ["", "NCM_333", "NCM_811"]
    assert list(grouped["accuracy"]) == [0.75, 1, 0.5]
    with pytest.raises(InputError, match="none of the label columns"):
        score_external(predictions, labels[["sample_id"]], model, COLUMNS_OF_LABELS)


def test_survey_on_the_same_images(manifest, tmp_path):
    rows = [(i, "Kim", manifest["class"][i]) for i in (0, 10)]
    rows += [(0, "Lee", manifest["class"][0]), (10, "Lee", manifest["class"][0])]
    survey = read_survey(write_survey(tmp_path / "s.csv", manifest, rows))
    images = aggregate_to_images(make_arm(manifest, "fit", wrong=["s010"]))
    table = compare_with_survey(survey, images, manifest, "fit").set_index("who")
    assert table["accuracy"].to_dict() == {
        "Kim": 1, "Lee": 0.5, "mean of experts": 0.75, "best expert (Kim)": 1, "model": 0.5,
    }  # fmt: skip
    trained = images[images["sample_id"] != "s010"]  # then the model may answer for s000 only
    table = compare_with_survey(survey, trained, manifest, "fit").set_index("who")
    assert table.loc["model", "accuracy"] == 1
    assert table.loc["model", "n"] == 1
    assert table.loc["Lee", "accuracy_shared"] == 1
    nothing = compare_with_survey(survey, images[:0], manifest, "fit")
    assert "model" not in set(nothing["who"])
    assert "tested on none" in SENTENCES.tell(judge_survey(nothing))


@pytest.mark.parametrize("kind", ["utf-16", "cp1252", "xlsx", "stated"])
def test_surveys_are_read_as_other_tables(manifest, tmp_path, kind):
    first = manifest["path"][0]
    rows = pd.DataFrame({"image": [first], "expert": ["Müller"], "answer": [CLASSES[0]]})
    path = tmp_path / "survey.csv"
    written = TableFormat()
    if kind == "xlsx":
        rows.to_excel(path.with_suffix(".xlsx"), index=False)
        path = path.with_suffix(".xlsx")
    else:
        rows.to_csv(path, sep=";", index=False, encoding="cp850" if kind == "stated" else kind)
    if kind == "stated":
        with pytest.raises(InputError, match=r"evaluate\.survey_format\.encoding: cp1252"):
            read_survey(path)
        written = TableFormat(encoding="cp850")
    assert read_survey(path, written=written).to_numpy().tolist() == rows.to_numpy().tolist()


def test_unusable_surveys_give_a_sentence(manifest, tmp_path):
    images = aggregate_to_images(make_arm(manifest, "fit"))
    path = tmp_path / "survey.csv"
    path.write_text("picture,expert,answer\na,b,c\n")
    with pytest.raises(InputError, match="has no column 'image'; found picture"):
        read_survey(path)
    path.write_text("image,expert,answer\na,,c\n")
    with pytest.raises(InputError, match="line 2 has an empty cell"):
        read_survey(path)
    with pytest.raises(InputError, match="does not exist"):
        read_survey(tmp_path / "absent.csv")
    first = manifest["path"][0]
    for line, words in {
        "x.png,Kim,NCM_333_pristine": "image 'x.png', which the manifest lacks",
        f"{first},Kim,new": "answer 'new', which is no class",
        f"{first},Kim,{CLASSES[0]}\n{first},Kim,{CLASSES[0]}": "two answers of 'Kim'",
    }.items():
        path.write_text(f"image,expert,answer\n{line}\n")
        with pytest.raises(InputError, match=words):
            compare_with_survey(read_survey(path), images, manifest, "fit")
    rows = f"{first},Kim,{CLASSES[0]}\n{first},,{CLASSES[0]}\nx.png,Kim,new\n{first},Lee,new\n"
    path.write_text(f"image,expert,answer\n{rows}{first},Ann,a,b\n")
    usable = compare_with_survey(read_survey(path), images, manifest, "fit").set_index("who")
    assert usable.loc["mean of experts", "n"] == 1
    assert set(usable.index) >= {"Kim", "model"}
    path.write_text(f"image,expert,answer\n{tmp_path}/data/{first},Kim,{CLASSES[0]}\n")
    assert read_survey(path, tmp_path / "data")["image"].item() == first
