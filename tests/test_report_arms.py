"""What the report says of several arms: classes beside the paper, networks, the same images."""

import io
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from batteryscope.config.evaluate import PaperClass
from batteryscope.config.study import StudySettings
from batteryscope.plan import plan_study
from batteryscope.report.backbones import show_backbones
from batteryscope.report.class_tables import check_paper_accuracy, show_classes
from batteryscope.report.confusion import show_confusions
from batteryscope.report.evidence import ArmEvidence, Explanation, Fit, StudyEvidence
from batteryscope.report.headline import find_headline
from batteryscope.report.html import render_report
from batteryscope.report.input_tables import name_stage, show_cost
from batteryscope.report.pictures import _class_copies, count_copies
from batteryscope.report.results import show_pairs, show_paper
from batteryscope.report.shown_same_tiles import draw_same_tiles, show_preference

SETTINGS = {
    "title": "t",
    "dataset": {"name": "d", "generator": {"kind": "trivial"}},
    "preprocess": {"method": "sem_tiles"},
    "arms": {
        "main": {"label": "transfer", "stages": [{"name": "pre"}, {"name": "ft"}]},
        "other": {"label": "ResNet", "change": {"model.backbone": "resnet18"}},
    },
    "evaluate": {
        "paper": [
            {"metric": "accuracy", "level": "image", "arm": "main", "value": 0.94},
            {"metric": "accuracy", "level": "image", "arm": "other", "value": 0.66},
            {"metric": "train_seconds", "level": "image", "arm": "main", "value": 43.38},
        ],
        "paper_accuracy": "jaccard",
        "paper_classes": [{"arm": "main", "class_name": "a", "accuracy": 0.97, "f1": 0.96}],
    },
}


def make_png(value: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.full((8, 8, 3), value, np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def make_arm(name: str, label: str, preference: float) -> ArmEvidence:
    same = pd.DataFrame(
        {
            "sample_id": ["s1", "s1", "s2"],
            "tile": [0, 1, 2],
            "y_true": ["a", "a", "b"],
            "y_pred": ["a", "b", "b"],
            "share": [0.2 * preference, 0.2 * preference, np.nan],
            "area": [0.2, 0.2, np.nan],
            "preference": [preference, preference, np.nan],
            "file": ["same_00.png", np.nan, "same_01.png"],
        }
    )
    pictures = {"same_00.png": make_png(90), "same_01.png": make_png(160)}
    return ArmEvidence(name, label, same_tiles=same, same_pictures=pictures)


@pytest.fixture(scope="module")
def evidence() -> StudyEvidence:
    settings = StudySettings.model_validate(SETTINGS)
    plan = plan_study("s", settings)
    arms = ("main", "other")
    comparison = pd.DataFrame(
        [
            {"arm": arm, "backbone": "", "target": "", "domain": "", "level": "image",
             "metric": metric, "mean": 0.8, "sd": 0.1, "n": 20, "paper": np.nan}
            for arm in arms
            for metric in ("accuracy", "macro_f1")
        ]
    )  # fmt: skip
    per_class = pd.DataFrame(
        [
            {"arm": arm, "level": "image", "class": name, "precision": 0.5, "recall": 0.75,
             "f1": 0.6, "jaccard": 3 / 7, "support": 8, "n": 4}
            for arm in arms
            for name in ("a", "b")
        ]
    )  # fmt: skip
    confusion = pd.DataFrame(
        [
            {"arm": arm, "level": "image", "y_true": t, "y_pred": p, "count": 3 + (t == p)}
            for arm in arms
            for t in "ab"
            for p in "ab"
        ]
    )
    facts = {"repeat": 0, "seconds": 10.0, "tiles_per_second": 50.0, "parameters": 5000}
    fits = tuple(Fit(pd.DataFrame({"epoch": [0]}), facts | {"fold": f}) for f in range(2))
    return StudyEvidence(
        study="s",
        settings=settings,
        generated=True,
        comparison=comparison,
        arms={"main": make_arm("main", "transfer", 1.5), "other": make_arm("other", "ResNet", 0.5)},
        stages=dict.fromkeys(plan.stages, fits),
        per_class=per_class,
        confusion=confusion,
        tiles=np.full((3, 8, 8), 120, np.uint8),
    )


def as_dicts(shown):
    return [dict(zip(shown.columns, row, strict=True)) for row in shown.rows]


def test_every_arm_has_its_classes_and_the_main_one_the_papers(evidence):
    main, other = show_classes(evidence, find_headline(evidence))
    assert (main.title, other.title) == ("transfer", "ResNet")
    first, second, mean = as_dicts(main)
    assert first == {
        "class": "a", "recall": "75.0 %", "precision": "50.0 %", "F1": "60.0 %",
        "Jaccard index": "42.9 %", "test images": "4", "paper: F1": "96 %",
        "paper: its “accuracy”": "97 %",
    }  # fmt: skip
    assert second["paper: F1"] == "–"
    assert mean["class"] == "mean of the classes"
    assert (mean["recall"], mean["test images"]) == ("75.0 %", "8")
    assert mean["paper: F1"] == "–"  # the paper has one of the two classes
    assert not any(column.startswith("paper") for column in other.columns)


def test_an_arm_without_the_main_level_is_shown_at_its_own(evidence):
    headline, table = find_headline(evidence), evidence.per_class
    by_tile = table.assign(level=table["level"].mask(table["arm"] == "other", "tile"))
    _, other = show_classes(replace(evidence, per_class=by_tile), headline)
    assert as_dicts(other)[-1]["test tiles"] == "8"
    nothing = table[table["arm"] == "main"]
    assert len(show_classes(replace(evidence, per_class=nothing), headline)) == 1


def test_accuracy_that_cannot_be_the_jaccard_index_is_told():
    rows = [(0.97, 0.96), (0.82, 0.90), (0.93, 0.99)]  # no, yes, and not even a recall
    printed = [
        PaperClass(arm="m", class_name=str(i), accuracy=a, f1=f) for i, (a, f) in enumerate(rows)
    ]
    text = check_paper_accuracy(printed, "jaccard")
    assert "possible in 1 of 3 rows only" in text
    assert "Recall would be possible in 2." in text
    assert check_paper_accuracy(printed, None) == ""
    assert check_paper_accuracy([], "jaccard") == ""
    assert "All 1 rows" in check_paper_accuracy(printed[1:2], "jaccard")


def test_networks_stand_beside_the_papers(evidence):
    headline, plan = find_headline(evidence), plan_study("s", evidence.settings)
    main, other = as_dicts(show_backbones(evidence, plan, headline))
    assert main["network"] == "tf_efficientnet_lite0"
    assert main["training time"] == "20.0 s"  # two stages of 10 s, per fold
    assert main["parameters"] == "5\u202f000"
    assert (main["paper: training time"], main["paper: accuracy"]) == ("43.4 s", "94.0 %")
    assert (other["training time"], other["paper: training time"]) == ("10.0 s", "–")
    alone = {"arms": {"main": evidence.settings.arms["main"]}}
    alike = replace(evidence, settings=evidence.settings.model_copy(update=alone))
    (main,) = as_dicts(show_backbones(alike, plan_study("s", alike.settings), headline))
    assert main["paper: training time"] == "43.4 s"  # one network, but the paper timed it
    unpublished = alike.settings.evaluate.model_copy(update={"paper": []})
    settings = alike.settings.model_copy(update={"evaluate": unpublished})
    alike = replace(alike, settings=settings)
    assert show_backbones(alike, plan_study("s", settings), headline) is None


def test_published_values_stand_beside_their_own_arm(evidence):
    rows = as_dicts(show_paper(evidence))
    assert [(r["strategy"], r["paper"]) for r in rows] == [
        ("transfer", "94.0 %"), ("ResNet", "66.0 %")
    ]  # fmt: skip


def test_same_images_of_all_arms(evidence):
    main, other = as_dicts(show_preference(evidence))
    assert main == {
        "strategy": "transfer", "share of the attribution": "30.0 %",
        "share of the area": "20.0 %", "ratio": "1.50", "images": "1",
    }  # fmt: skip
    assert other["ratio"] == "0.50"
    assert draw_same_tiles(evidence) == draw_same_tiles(evidence)
    assert show_confusions(evidence, find_headline(evidence)) is not None


def test_strategies_that_tested_other_images_are_named_not_drawn(evidence):
    picture = draw_same_tiles(evidence)
    assert "An empty place" not in picture.caption
    other = evidence.arms["other"]
    elsewhere = other.same_tiles.assign(sample_id="s9")
    without = {**evidence.arms, "other": replace(other, same_tiles=elsewhere)}
    assert draw_same_tiles(replace(evidence, arms=without)) is None
    third = replace(evidence.arms["main"], name="third", label="third")
    settings = evidence.settings.model_copy(
        update={"arms": {**evidence.settings.arms, "third": evidence.settings.arms["main"]}}
    )
    three = replace(evidence, arms={**without, "third": third}, settings=settings)
    shown = draw_same_tiles(three)
    assert "tested none of these images: ResNet" in shown.caption
    partly = {"other": replace(other, same_tiles=other.same_tiles.iloc[2:])}
    caption = draw_same_tiles(replace(evidence, arms={**evidence.arms, **partly})).caption
    assert "An empty place: this strategy did not test the image" in caption


@pytest.mark.parametrize(
    ("wilcoxon", "mcnemar", "verdict"),
    [
        (np.nan, 0.20, "not certain"),  # the interval alone is not corrected for many pairs
        (np.nan, 0.04, "transfer is better"),
        (0.06, 0.04, "not certain"),
        (0.03, 0.20, "transfer is better"),
    ],
)
def test_better_needs_interval_and_corrected_test(evidence, wilcoxon, mcnemar, verdict):
    pair = {"first": "main", "second": "other", "common_test": False, "n_fits": 3,
            "difference": 0.1, "low": 0.02, "high": 0.18,
            "p_wilcoxon_holm": wilcoxon, "p_mcnemar_holm": mcnemar}  # fmt: skip
    (line,) = as_dicts(show_pairs(replace(evidence, paired=pd.DataFrame([pair]))))
    assert line["verdict"] == verdict
    crossing = pd.DataFrame([pair | {"low": -0.01}])
    assert as_dicts(show_pairs(replace(evidence, paired=crossing)))[0]["verdict"] == "not certain"


def test_images_that_trained_are_counted_per_class(evidence):
    plan = plan_study("s", evidence.settings)
    _, fine = plan.arms["main"].chains
    manifest = pd.DataFrame({"sample_id": [*"abcde"], "class": [*"xxxyy"]})
    facts = {"seconds": 1.0, "tiles_per_second": 2.0, "train_samples": [*"abcd"]}
    stages = {**evidence.stages, fine: (Fit(pd.DataFrame(), facts),)}
    main, other = as_dicts(show_cost(replace(evidence, manifest=manifest, stages=stages), plan))
    assert main["training images per class"] == "1 to 3"
    assert other["training images per class"] == "–"


def test_stages_have_the_names_of_their_strategies(evidence):
    plan = plan_study("s", evidence.settings)
    pre, fine = plan.arms["main"].chains
    assert name_stage(evidence, plan, pre) == "pre: transfer"
    assert name_stage(evidence, plan, fine) == "ft: transfer"
    assert name_stage(evidence, plan, plan.arms["other"].chains[0]) == "fit: ResNet"
    assert name_stage(evidence, None, pre) == pre


def test_strategy_without_maps_is_named(evidence):
    explained = replace(
        evidence.arms["main"],
        explanations=(Explanation("a.png", make_png(9), "t", "a", "class", "a", "a", "s1", 0.9),),
    )
    arms = {"main": explained, "other": evidence.arms["other"]}
    page = render_report(replace(evidence, arms=arms), None, {})
    assert "No maps of ResNet:" in page
    assert "No maps of transfer" not in page


def test_class_counts_before_and_after_oversampling():
    """As in Figure 2 of Jeon et al. (2025): rare classes are copied, the largest stays."""
    sizes = {"common": 4, "rare": 1, "second": 2}
    samples = [f"{name}{i}" for name, size in sizes.items() for i in range(size)]
    classes = [name for name, size in sizes.items() for _ in range(size)]
    manifest = pd.DataFrame({"sample_id": samples, "class": classes})
    index = pd.DataFrame({"tile": range(14), "sample_id": np.repeat(samples, 2)})
    copies = {"common": 1, "rare": 2, "second": 1}
    balance = pd.DataFrame({"repeat": 0, "fold": [0] * 14 + [1] * 2, "tile": [*range(14), 0, 1]})
    balance["copies"] = [copies[name] for name in np.repeat(classes, 2)] + [1, 1]
    counts = count_copies(balance, index, manifest)
    assert counts["images"].to_dict() == sizes
    assert counts["added by copies"].to_dict() == {"common": 0, "rare": 1, "second": 0}
    evidence = StudyEvidence(
        "s", StudySettings.model_validate(SETTINGS), False, pd.DataFrame(), {}, {},
        manifest=manifest, tile_index=index, balance=balance,
    )  # fmt: skip
    picture = _class_copies(evidence)
    assert picture is not None
    assert "(1 to 4) and with the copies of rare classes (2 to 4)" in picture.caption
    assert _class_copies(replace(evidence, balance=None)) is None
