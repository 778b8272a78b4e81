"""Numbers, tables and figures of the report, piece by piece."""

import io
import math

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from batteryscope.config.preprocess import CtSlicesSettings
from batteryscope.config.split import SplitSettings
from batteryscope.core.style import encode_picture
from batteryscope.report.bars import draw_class_sizes, draw_comparison, draw_survey
from batteryscope.report.confusion import draw_confusion, pivot_confusion
from batteryscope.report.curves import draw_training_curves
from batteryscope.report.evidence import StudyEvidence
from batteryscope.report.input_tables import (
    show_audit,
    show_data,
    show_rejects,
    show_split,
    show_tiles,
)
from batteryscope.report.mistakes import choose_bars, draw_mistakes, select_mistakes
from batteryscope.report.phrases import (
    describe_baselines,
    describe_group,
    describe_map_shape,
    describe_split,
    grade_finding,
)
from batteryscope.report.reliability import calculate_calibration_error, draw_reliability
from batteryscope.report.results import show_external, show_survey
from batteryscope.report.tables import (
    as_fraction,
    find_headline_level,
    format_count,
    format_duration,
    format_percent,
    format_spread,
    make_comparison_table,
    make_paper_table,
    order_arms,
    select_rows,
)
from tests.reported_study import make_settings


def make_comparison(*rows: tuple[str, str, str, str, str, float, float, int]) -> pd.DataFrame:
    columns = ["arm", "target", "domain", "level", "metric", "mean", "sd", "n"]
    return pd.DataFrame(rows, columns=columns).assign(backbone="net", paper=np.nan)


def test_numbers_are_written_for_people() -> None:
    assert format_percent(0.93751) == "93.8 %"
    assert format_percent(None) == "–"
    assert format_spread(0.5, 0.012) == "50.0 ± 1.2 %"
    assert format_spread(0.5, math.nan) == "50.0 %"
    assert format_spread(math.nan, 0.1) == "–"
    assert [format_duration(s) for s in (45, 600, 7500, None)] == [
        "45 s",
        "10 min",
        "2 h 05 min",
        "–",
    ]
    assert format_count(66347960) == "66\u202f347\u202f960"
    assert as_fraction(99.6) == pytest.approx(0.996)
    assert as_fraction(1.0) == 1.0


def test_arms_stand_main_first_baselines_last_without_the_papers_row() -> None:
    names = ["baseline_b", "zeta", "alpha", "paper", "baseline_a", "main"]
    comparison = make_comparison(*[(n, "", "", "image", "accuracy", 0.5, 0.1, 9) for n in names])
    assert order_arms(comparison, ["zeta"], "main") == [
        "main", "zeta", "alpha", "baseline_b", "baseline_a",
    ]  # fmt: skip


def test_headline_prefers_images_to_tiles() -> None:
    comparison = make_comparison(
        ("a", "", "", "tile", "accuracy", 0.8, 0.1, 9),
        ("a", "", "", "image", "accuracy", 0.9, 0.1, 9),
        ("b", "", "", "tile", "accuracy", 0.9, 0.1, 9),
    )
    assert find_headline_level(comparison, "a") == "image"
    assert find_headline_level(comparison, "b") == "tile"
    assert find_headline_level(comparison, "c") is None


def test_rows_over_all_domains_win_over_single_domains() -> None:
    comparison = make_comparison(
        ("a", "", "source", "image", "accuracy", 0.8, 0.1, 4),
        ("a", "", "", "image", "accuracy", 0.9, 0.1, 9),
        ("a", "state", "target", "image", "accuracy", 0.7, 0.1, 5),
    )
    assert list(select_rows(comparison, "image")["mean"]) == [0.9]
    assert list(select_rows(comparison, "image", "state")["domain"]) == ["target"]


def test_comparison_table_leaves_out_what_nobody_has() -> None:
    comparison = make_comparison(
        ("a", "", "", "image", "accuracy", 0.9, math.nan, 9),
        ("baseline_x", "", "", "image", "accuracy", 0.5, 0.1, 9),
        ("a", "", "", "tile", "accuracy", 0.8, 0.1, 9),
    )
    quantities = [("", "accuracy"), ("", "macro_f1")]
    table = make_comparison_table(comparison, "image", quantities, ["a", "baseline_x", "gone"], str)
    assert list(table.columns) == ["strategy", "network", "accuracy", "n"]
    assert table["accuracy"].tolist() == ["90.0 %", "50.0 ± 10.0 %"]
    assert make_comparison_table(comparison, "specimen", quantities, ["a"], str).empty


def test_paper_table_says_what_was_not_measured() -> None:
    comparison = make_comparison(("a", "", "", "tile", "accuracy", 0.9, 0.01, 9))
    paper = [
        ("accuracy", "", "", "tile", 99.6, "crops"),
        ("macro_f1", "state", "new", "image", 0.5, ""),
    ]
    table = make_paper_table(paper, comparison, "a")
    assert table["difference"].tolist() == ["−9.6 points", "–"]
    assert table["here"].tolist() == ["90.0 ± 1.0 %", "not measured"]
    assert table["quantity"].tolist() == ["accuracy, per tile", "state macro F1, per image, new"]


def test_confusion_is_square_and_keeps_numeric_names_as_text() -> None:
    counts = pd.DataFrame({"y_true": ["333", "811"], "y_pred": ["333", "333"], "count": [4, 1]})
    matrix = pivot_confusion(counts)
    assert matrix.to_numpy().tolist() == [[4, 0], [1, 0]]
    assert list(matrix.columns) == ["333", "811"]
    assert draw_confusion(matrix).axes


def test_most_confident_mistakes_come_one_per_image_first() -> None:
    rows = pd.DataFrame(
        {
            "sample_id": ["a", "a", "b", "c"],
            "tile": [1, 2, 3, 4],
            "confidence": [0.9, 0.8, 0.5, 0.6],
        }
    )
    assert select_mistakes(rows, 4)["tile"].tolist() == [1, 4, 3, 2]
    assert select_mistakes(rows, 2)["tile"].tolist() == [1, 4]


def test_bars_always_show_the_true_class_and_add_up_to_one() -> None:
    probabilities = {"a": 0.4, "b": 0.3, "c": 0.1, "d": 0.1, "e": 0.06, "f": 0.04}
    bars = choose_bars(probabilities, "f")
    assert [name for name, _ in bars] == ["a", "b", "c", "f", "2 others"]
    assert sum(value for _, value in bars) == pytest.approx(1.0)
    assert len(choose_bars({"a": 0.7, "b": 0.3}, "b")) == 2


def test_calibration_error_is_the_weighted_gap() -> None:
    bins = pd.DataFrame(
        {"confidence": [0.5, 0.9, math.nan], "accuracy": [0.4, 0.9, math.nan], "count": [1, 3, 0]}
    )
    assert calculate_calibration_error(bins) == pytest.approx(0.025)
    assert math.isnan(calculate_calibration_error(bins[bins["count"] == 0]))


def test_figures_cope_with_little_and_with_much() -> None:
    def rows(n: int) -> pd.DataFrame:
        return pd.DataFrame(
            {
                "label": [f"strategy {i}" for i in range(n)],
                "mean": np.linspace(1.0, 0.0, n),
                "sd": [np.nan] * n,
                "baseline": [i % 2 == 1 for i in range(n)],
                "main": [i == 0 for i in range(n)],
            }
        )

    assert draw_comparison(rows(1), None)
    assert draw_comparison(rows(18), 0.1, [("paper", 0.99), ("paper 2", 0.5)])
    wide = draw_comparison(rows(2).assign(mean=0.95, sd=0.2), None)
    (whiskers,) = wide.axes[0].containers[-1].lines[2]
    assert whiskers.get_paths()[0].vertices[:, 0].max() == pytest.approx(1.0)  # no share is above 1
    assert draw_class_sizes(pd.DataFrame({"images": [3]}, index=["only"]))
    assert draw_survey(pd.DataFrame({"who": ["a"], "accuracy": [1.0]}), {})
    one_epoch = pd.DataFrame({"epoch": [1], "train_loss": [1.0], "val_loss": [np.nan]})
    assert draw_training_curves([one_epoch, one_epoch], [1, None])
    bins = pd.DataFrame(
        {"bin_low": [0.0], "bin_high": [1.0], "confidence": [0.9], "accuracy": [1.0], "count": [1]}
    )
    assert draw_reliability(bins)
    mistake = pd.DataFrame(
        {"path": ["x"], "y_true": ["a"], "y_pred": ["b"], "p_a": [0.1], "p_b": [0.9]}
    )
    assert draw_mistakes(mistake, [None])


def test_pictures_are_the_same_bytes_and_readable() -> None:
    def picture(generated: bool) -> bytes:
        figure = draw_class_sizes(pd.DataFrame({"images": [3, 4]}, index=["a", "b"]))
        encoded = encode_picture(figure, "sizes", "Sizes.", generated)
        assert b"Date" not in encoded.png
        assert b"<dc:date>" not in encoded.svg
        with Image.open(io.BytesIO(encoded.png)) as image:
            assert image.width > 600
        return encoded.png + encoded.svg

    assert picture(False) == picture(False)
    assert picture(True) != picture(False)


def test_split_and_tiles_are_counted() -> None:
    split = pd.DataFrame(
        {
            "sample_id": ["a", "b", "c", "a", "b", "c"],
            "group_id": ["g", "g", "h", "g", "g", "h"],
            "repeat": 0,
            "fold": [0, 0, 0, 1, 1, 1],
            "role": ["train", "train", "test", "test", "test", "train"],
        }
    )
    shown = show_split(split)
    assert shown is not None
    assert shown.rows == (("train", "1 to 2", "1"), ("test", "1 to 2", "1"))
    index = pd.DataFrame({"kind": ["grid", "grid", "random"], "used": [True, False, True]})
    tiles = show_tiles(index)
    assert tiles is not None
    assert tiles.rows[1] == ("evenly spaced tiles (validation, test)", "1", "1 (50.0 %)")
    assert show_split(None) is None
    assert show_rejects(pd.DataFrame({"path": [], "reason": [], "detail": []})) == (None, None)


def test_audit_states_its_units() -> None:
    overlaps = {"pairs": 4, "test_images_affected": 0.125, "median_shared_field": 0.5}
    near = {"pairs": 2, "min_shared_field": 0.95, "treatment": "error", "closest": [{}, {}]}
    shown = show_audit(
        {"samples": 12, "largest_group": 3, "near_duplicates": near, "overlaps": overlaps}, "slices"
    )
    assert shown is not None
    found = dict(shown.rows)
    assert found["divided"] == "12 slices"
    assert found["largest group"] == "3 slices"
    assert found["near duplicates"] == "2 pairs"
    assert found["near duplicates share at least this part of the field"] == "95.0 %"
    assert found["test slices that overlap with training"] == "12.5 %"


def test_facts_that_no_scanner_has_are_not_listed() -> None:
    manifest = pd.DataFrame(
        {
            "sample_id": ["a", "b"], "class": "x", "volume": ["v", "w"], "slice": [0, 0],
            "magnification": np.nan, "voltage_kv": np.nan, "pixel_size_um": np.nan,
        }
    )  # fmt: skip
    evidence = StudyEvidence("s", make_settings(), False, pd.DataFrame(), {}, {}, manifest)
    shown = show_data(evidence)
    assert shown is not None
    assert dict(shown.rows) == {
        "slices read": "2", "classes": "1", "slices per class": "2", "pixel size": "unknown"
    }  # fmt: skip


def test_what_each_baseline_sees() -> None:
    text = describe_baselines(["main", "baseline_majority", "baseline_winding"], "slices")
    assert "test slices: the most frequent class looks at none" in text
    assert "measured windings are shapes" in text
    assert "without any shape" not in text
    assert describe_baselines(["main"], "images") == ""


def test_resolution_of_the_maps_is_told() -> None:
    cut = CtSlicesSettings(input_px=96, unroll=True, unroll_angles=64)
    assert "3 × 2 cells (radii × directions)" in describe_map_shape((3, 2), cut)
    square = describe_map_shape((8, 8), CtSlicesSettings(input_px=299))
    assert "8 × 8 cells (rows × columns of the crop)" in square


def test_audit_of_any_shape_is_listed() -> None:
    shown = show_audit(
        {"groups": 3, "shared": {"hashes": []}, "sizes": {"train": 1}, "clean": True, "note": None}
    )
    assert shown is not None
    assert shown.rows == (("groups", "3 groups"), ("shared: hashes", "0"), ("clean", "yes"))
    assert show_audit({}) is None


def test_external_table_reads_both_layouts() -> None:
    tidy = pd.DataFrame(
        {"target": ["", "state"], "level": "image", "metric": ["accuracy", "log_loss"],
         "value": [0.34, 1.234], "n": [9, 9]}
    )  # fmt: skip
    shown = show_external(tidy)
    assert shown is not None
    assert shown.rows[0] == ("all labels together", "image", "accuracy", "34.0 %", "9")
    assert shown.rows[1][3] == "1.23"
    wide = pd.DataFrame({"group": ["", "811_x"], "target": "", "accuracy": [0.5, 1], "n": [8, 4]})
    shown = show_external(wide)
    assert shown is not None
    assert shown.rows[1] == ("811 x", "all labels together", "100.0 %", "4")
    wide = wide.assign(low=[0.2, np.nan], high=0.8, n_known=wide["n"], accuracy_known=[0.6, 1.0])
    shown = show_external(wide)
    assert shown is not None
    told = dict(zip(shown.columns, shown.rows[0], strict=True))
    assert told["95 % interval"] == "20.0 to 80.0 %"
    assert told["accuracy known"] == "60.0 %"  # not the accuracy, which it would repeat
    assert not {"n known", "low", "high"} & set(shown.columns)
    assert shown.rows[1][shown.columns.index("95 % interval")] == "–"


def test_survey_table_marks_the_model() -> None:
    survey = pd.DataFrame({"who": ["ann", "model"], "accuracy": [0.3, 0.9], "n": [20, 20]})
    shown = show_survey(survey)
    assert shown is not None
    assert shown.rows == (("model", "90.0 %", "20"), ("ann", "30.0 %", "20"))
    assert shown.marked == {0}


def test_findings_are_graded() -> None:
    assert grade_finding({"kind": "baselines", "text": "x beats every baseline."}) == "good"
    assert grade_finding({"kind": "baselines", "text": "x does NOT beat y."}) == "alarm"
    assert grade_finding({"kind": "shortcut", "text": "…"}) == "warning"
    assert grade_finding({"kind": "leakage", "text": "…", "level": "alarm"}) == "alarm"


@pytest.mark.parametrize("scheme", ["holdout", "kfold", "holdout_kfold", "ordered"])
def test_every_split_is_described(scheme: str) -> None:
    split = SplitSettings.model_validate({"scheme": scheme, "repeats": 3})
    text = describe_split(split)
    assert "best epoch" in text
    assert "repeated 3 times" in text
    assert "only train" not in text
    asked = split.model_copy(update={"test_where": {"domain": "additive"}})
    assert "images with domain additive" in describe_split(asked)
    assert "All other images only train and validate." in describe_split(asked)
    assert "flatters" in describe_group(split, 9, 9)
    assert "3 groups" in describe_group(split, 3, 9)
