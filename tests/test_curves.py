"""A curve over any axis is a set of quantities: from the settings to tables, findings and page."""

import io
import math

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from pydantic import ValidationError

from batteryscope.bundle.number_record import (
    CapacityTarget,
    QuantityTarget,
    describe_target,
    find_kind,
    span_target,
)
from batteryscope.config.predicted import group_quantities
from batteryscope.config.study import StudySettings
from batteryscope.config.targets import CapacityTargets, QuantityTargets
from batteryscope.core.style import Picture
from batteryscope.evaluation.number_baselines import predict_baselines
from batteryscope.evaluation.number_comparison import compare_numbers, pick
from batteryscope.evaluation.number_findings import Found, find_number_findings
from batteryscope.evaluation.number_intervals import measure_number_intervals
from batteryscope.evaluation.number_metrics import tabulate_curves
from batteryscope.evaluation.number_predictions import gather_images
from batteryscope.evaluation.sentences.numbers import SENTENCES
from batteryscope.plan import plan_study
from batteryscope.report.number_evidence import NumberEvidence
from batteryscope.report.number_pictures import list_figures
from batteryscope.report.number_report import (
    list_numbers,
    render_number_report,
    say_result,
)
from tests.small_params import small_study

FREQUENCIES_HZ = (1, 100, 10000)


def point(at: float, **more: object) -> dict[str, object]:
    axis = {"name": "frequency", "unit": "Hz", "at": at}
    return {"unit": "Ohm", "label": "impedance", "low": 0.001, "axis": axis} | more


def make_targets(**more: object) -> dict[str, object]:
    points = {f"z_{at}_hz": point(at) for at in FREQUENCIES_HZ}
    return {"table": "z.csv", "sample_column": "specimen", "quantities": points | more}


def test_points_of_a_curve_are_judged_together_and_in_percent() -> None:
    porosity = {"unit": "%", "low": 0, "high": 100}
    listed = QuantityTargets.model_validate(make_targets(porosity=porosity)).listed
    assert [q.title for q in listed] == ["1 Hz", "100 Hz", "10000 Hz", "porosity / %"]
    assert listed[0].metrics == ("mape", "mae", "r2")
    assert (listed[0].interval, listed[0].curve) == ("relative", "impedance over the frequency")
    assert [len(group) for group in group_quantities(listed)] == [3, 1]
    # Where a value may be 0, percent mean nothing: an error in the unit of the curve is left.
    phases = {f"phase_{at}": point(at, low=-90, high=0, label="phase", unit="°") for at in (1, 9)}
    signed = QuantityTargets.model_validate({"quantities": phases}).listed
    assert [q.metrics for q in signed] == [("mae", "rmse", "r2")] * 2
    assert [q.interval for q in signed] == ["absolute"] * 2
    assert len(group_quantities(signed)) == 1
    # Rate capability is one configuration of it.
    capacities = CapacityTargets(c_rates=[0.2, 5], units=["Ah/kg"]).listed
    assert [q.place for q in capacities] == ["0.2C", "5C"]
    assert capacities[0].axis_column == "c_rate"
    assert (capacities[0].metrics, capacities[0].interval) == (listed[0].metrics, "relative")


@pytest.mark.parametrize(
    ("quantities", "words"),
    [
        ({"a": point(1, label="")}, "no label names the curve"),
        ({"a": point(1), "b": point(1)}, "'a' and 'b' are both the impedance at 1"),
        (
            {"a": point(1), "b": point(1, axis={"name": "cycle", "at": 3})},
            "'a' lies on the axis frequency in 'Hz', but 'b' on cycle",
        ),
        ({"a": point(1, axis={"name": "Class", "at": 3})}, "the axis of 'a' is called 'Class'"),
    ],
)
def test_a_curve_that_cannot_be_is_refused(quantities: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        QuantityTargets.model_validate({"quantities": quantities})


def test_a_bundle_records_points_of_any_curve() -> None:
    told = {"arm": "a", "coverage_wanted": 0.9, "coverage_measured": None}
    impedance = QuantityTargets.model_validate(make_targets()).listed[1]
    target = describe_target(impedance, 0.123456789, **told)
    assert isinstance(target, QuantityTarget)
    assert (target.axis, target.axis_unit, target.at) == ("frequency", "Hz", 100)
    assert (target.interval_kind, target.half_width) == ("relative", 0.123457)
    assert span_target(target, 2.0) == pytest.approx((2 * (1 - 0.123457), 2 * (1 + 0.123457)))
    assert target.shorten(0.00123456789) == 0.00123457
    # Capacities over the C-rate keep the shorter form that older versions read.
    capacity = CapacityTargets().listed[0]
    short = describe_target(capacity, math.inf, **told)
    assert isinstance(short, CapacityTarget)
    assert short.quantity == capacity
    assert short.relative_half_width is None
    assert [find_kind(own) for own in ([short], [target], [short, target])] == [
        "capacity", "quantities", "quantities"
    ]  # fmt: skip


@pytest.fixture(scope="module")
def evidence() -> NumberEvidence:
    """Twenty specimens whose impedance is 10, 5, 2 Ohm times what a number of them says."""
    porosity = {"unit": "%", "low": 0, "high": 100}
    study = small_study(model={"outputs": "all"}, train={"loss": "mse", "monitor": "val_loss"})
    study["dataset"]["targets"] = make_targets(porosity=porosity)
    plan = plan_study("cells", StudySettings.model_validate(study))
    quantities, arm = plan.settings.dataset.quantities, plan.main.name
    names = [q.name for q in quantities]
    scale = np.repeat(np.linspace(1, 2, 20), 2)
    manifest = pd.DataFrame({
        "sample_id": [f"s{i:02d}" for i in range(40)],
        "specimen_id": [f"c{i // 2:02d}" for i in range(40)],
        "class": ["fresh", "fresh", "aged", "aged"] * 10,
        **{name: factor * scale for name, factor in zip(names, (10, 5, 2, 20), strict=True)},
    })  # fmt: skip
    specimen = np.arange(40) // 2
    split = pd.concat([
        manifest[["sample_id"]].assign(
            repeat=0, fold=fold, role=np.where(specimen % 4 == fold, "test", "train")
        )
        for fold in range(4)
    ])  # fmt: skip
    tested = split[split["role"] == "test"].merge(manifest, on="sample_id")
    mine = tested[["sample_id", "repeat", "fold", "role"]].assign(tile=0, arm=arm)
    for name in names:
        mine[f"y_true_{name}"] = tested[name]
        mine[f"y_pred_{name}"] = tested[name] * 1.1
    base = predict_baselines(manifest, {"mean": None}, split, names, 1, "", quantities)
    images = gather_images(pd.concat([mine, base]), manifest)
    comparison = compare_numbers(images, {arm: "test"}, quantities=quantities)
    curves = tabulate_curves(images, quantities)
    intervals, by_class = measure_number_intervals(images, 0.8, (), quantities)
    protocols = {arm: {"suffix": "", "scheme": "kfold", "group": "specimen", "label": "network"}}
    found = Found(
        comparison, images, curves, intervals, by_class, quantities, protocols, {arm: split}, arm,
        0.8, plan.settings.dataset.targets,
    )  # fmt: skip
    return NumberEvidence(
        study="cells", settings=plan.settings, plan=plan, comparison=comparison, curves=curves,
        intervals=intervals, images=images, manifest=manifest,
        findings=tuple(SENTENCES.record(find_number_findings(found))), rejects=None,
        tile_rejects=None, preview=None, audit={}, costs={}, histories={}, maps={}, shares=None,
        agreement=None, map_cost=None, files={}, data_hash="", commit="",
    )  # fmt: skip


def test_the_table_of_curves_has_a_column_for_the_axis(evidence: NumberEvidence) -> None:
    mine = evidence.curves[evidence.curves["arm"] == evidence.main_arm]
    assert len(mine) == 2 * len(FREQUENCIES_HZ)  # of two classes; the porosity is no point
    assert set(mine["frequency"]) == set(FREQUENCIES_HZ)
    assert set(mine["curve"]) == {"impedance over the frequency"}
    assert mine["predicted"].to_numpy() == pytest.approx(1.1 * mine["measured"].to_numpy())
    assert pick(evidence.comparison, evidence.main_arm, "mape", "z_100_hz")[0] == pytest.approx(10)
    assert pick(evidence.comparison, evidence.main_arm, "mae", "porosity")[0] == pytest.approx(3)


def test_findings_tell_curves_once_and_other_quantities_by_themselves(
    evidence: NumberEvidence,
) -> None:
    texts = {kind: [f["text"] for f in evidence.findings if f["kind"] == kind]
             for kind in ("proxy", "baseline", "coverage")}  # fmt: skip
    assert [len(own) for own in texts.values()] == [1, 1, 2]
    assert texts["proxy"][0].startswith("MAPE with a network: 10.0 % (network).")
    assert "porosity, mean absolute error in % (network): network 3." in texts["baseline"][0]
    assert texts["coverage"][0].endswith("of their test sample, depending on the frequency.")


def test_the_page_has_the_sections_of_both(evidence: NumberEvidence) -> None:
    sentence = say_result(evidence)
    assert "the impedance over the frequency (3 points) with a mean error of 10.0 %" in sentence
    assert "porosity with a mean error of 3" in sentence
    assert "for 20 specimens that it has not seen" in sentence
    assert set(list_numbers(evidence)) >= {"z_1_hz.mape", "porosity.mae"}
    figures = list_figures(evidence)
    assert list(figures)[:4] == ["key_figure", "parity", "error_map", "scatter"]
    axes = figures["key_figure"][0]().axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("frequency / Hz", "impedance / Ohm")
    assert axes.get_xscale() == "log"
    texts = {t.get_text() for t in figures["error_map"][0]().axes[0].get_xticklabels()}
    assert texts == {"1 Hz", "100 Hz", "10000 Hz"}
    buffer = io.BytesIO()
    Image.new("L", (1, 1)).save(buffer, "PNG")
    pictures = {name: Picture(name, name, buffer.getvalue(), b"<svg/>") for name in figures}
    page = render_number_report(evidence, sentence, pictures)
    for words in ("Along the curve", "Class by class",
                  "Does it need a network?", "100 Hz, Ohm", "impedance"):  # fmt: skip
        assert words in page
    assert "Physics beside learning" not in page
    assert "C-rate" not in page.split('id="made"')[0]
