"""What the report of capacities says about crops is what was done."""

from types import SimpleNamespace

import pandas as pd
import pytest

from batteryscope.config.physics import HalfCellSettings
from batteryscope.config.preprocess import CoatingCropSettings
from batteryscope.config.targets import CapacityTargets
from batteryscope.explain.number_shares import find_densities
from batteryscope.report.number_map_tables import say_artefacts
from batteryscope.report.number_tables import say_fitted_constants, show_by_class
from batteryscope.report.phrases import describe_preview, describe_tiles


def test_constants_that_were_fitted_to_the_paper_are_told_as_long_as_they_are_these():
    def say(physics: HalfCellSettings | None) -> str:
        return say_fitted_constants(SimpleNamespace(settings=SimpleNamespace(physics=physics)))

    assert "(2.3)" in say(HalfCellSettings())
    assert "Figure 4 of Deeg et al. (2024)" in say(HalfCellSettings(loading_mg_cm2=12))
    assert say(HalfCellSettings(bruggeman=1.5)) == ""
    assert say(None) == ""


@pytest.mark.parametrize(
    ("counts", "said", "unsaid"),
    [
        ({}, ["the middle 672×224 pixels were kept"], ["crops", "mean"]),
        (
            {"judging_crops": 3},
            ["the middle one for training", "3, spread evenly from collector to surface, for judg",
             "the mean of the 3", "explanations show only the crop nearest the middle"],
            ["were kept"],
        ),
        (
            {"training_crops": 5},
            ["5 at random places for training, and the middle one for judging"],
            ["were kept", "mean"],
        ),
    ],
)  # fmt: skip
def test_crops_are_counted_as_set(counts, said, unsaid):
    text = describe_tiles(CoatingCropSettings(**counts))
    assert all(words in text for words in said)
    assert not any(words in text for words in unsaid)


def test_preview_calls_no_middle_crop_that_of_the_network_among_several():
    for counts, words in (
        ({}, "the crop as the network gets it"),
        ({"judging_crops": 3}, "which crops train and judge stands under Method"),
        ({"training_crops": 2}, "which crops train and judge stands under Method"),
    ):
        assert words in describe_preview(CoatingCropSettings(**counts))


@pytest.mark.parametrize(
    ("shares", "words"),
    [
        (
            (0.002, 0.003),
            "0.20 (Grad-RAM) to 0.30 (occlusion) times the average attribution (single",
        ),
        ((0.006, 0.013), "what chance would give, so it cannot be said that it ignores them."),
        ((0.004, 0.013), "the methods disagree, so it cannot be said that it ignores them."),
        ((0.030, 0.040), "all methods say that the network looks at them."),
    ],
)
def test_what_lies_on_artefacts_is_said(shares, words):
    table = pd.DataFrame(
        [
            {"arm": "mass", "method": method, "region": "artefacts", "sample_id": name,
             "share": share if area else 0.0, "area": area,
             "density": share / area if area else None}
            for method, share in zip(("grad_ram", "occlusion"), shares, strict=True)
            for name, area in (("one", 0.01), ("two", 0.0))
        ]
    )  # fmt: skip

    def say(shares):
        evidence = SimpleNamespace(shares=shares, label=lambda name: f"per {name}")
        return say_artefacts(evidence, "mass")

    said = say(table)
    assert said.startswith("per mass: 1 picture shows artefacts.")
    assert words in said
    assert say(None) == ""
    assert say(table[table["sample_id"] == "two"]) == ""


def test_errors_per_porosity_say_where_predictions_lean():
    rows = [
        {"arm": "mass", "role": "test", "repeat": 0, "fold": fold, "class": name,
         "target": f"capacity_{rate}c_ah_kg", "y_true": true, "y_pred": true * factor}
        for fold in (0, 1)
        for name, factor in (("20", 1.2), ("50", 0.9))
        for rate, true in ((1, 100.0), (5, 50.0))
    ]  # fmt: skip
    comparison = pd.DataFrame(
        [
            {"arm": "mass", "target": "", "domain": name, "level": "image", "metric": metric,
             "mean": mean, "sd": 0.5}
            for name, values in (("20", (20.0, 15.0)), ("50", (10.0, 7.5)))
            for metric, mean in zip(("mape", "mae"), values, strict=True)
        ]
    )  # fmt: skip
    points = CapacityTargets(c_rates=[1, 5], units=["Ah/kg"]).listed
    evidence = SimpleNamespace(
        images=pd.DataFrame(rows), comparison=comparison, label=lambda name: f"per {name}",
        points_of=lambda arm: points, axis="C-rate", words=CapacityTargets.class_words,
    )  # fmt: skip
    shown = show_by_class(evidence, "mass")
    assert [row[0] for row in shown.rows] == ["50", "20"]
    assert list(shown.rows[1][1:]) == ["20.00 ± 0.50", "15 ± 0.5", "0.600", "+20.0 %"]
    assert shown.rows[0][-1] == "-10.0 %"


def test_attribution_per_area_weights_pictures_by_their_area():
    rows = [
        {"method": "occlusion", "region": "artefacts", "share": share, "area": area}
        for share, area in ((0.03, 0.01), (0.03, 0.05))
    ]
    assert find_densities(pd.DataFrame(rows)).loc["occlusion", "artefacts"] == pytest.approx(1.0)
