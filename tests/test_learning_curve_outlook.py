"""How accuracy goes on with more images: known laws are found again, and one word asks for it."""

import numpy as np
import pandas as pd
import pytest

from batteryscope.balance import choose_images, choose_samples, count_by
from batteryscope.config.choose_curve import IMAGES_KEY, SPECIMENS_KEY, choose_curve
from batteryscope.config.evaluate import LearningCurveSettings
from batteryscope.config.learning import BalanceSettings
from batteryscope.config.project import load_project
from batteryscope.errors import ConfigError, InputError
from batteryscope.evaluation.extrapolate import (
    describe_error_outlook,
    describe_outlook,
    extrapolate_accuracy,
    extrapolate_error,
)
from batteryscope.evaluation.metric_catalogue import METRICS
from batteryscope.report.evidence import StudyEvidence
from batteryscope.report.learning_curve import count_training_images, name_counted
from batteryscope.report.number_outlook import say_row_outlook, say_sweep_outlook
from tests.conftest import ROOT


def measure(law, sizes, tested: int, seed: int) -> list[float]:
    rng = np.random.default_rng(seed)
    return [1 - rng.binomial(tested, law(n)) / tested for n in sizes]


def test_a_known_law_is_continued_and_its_interval_holds():
    sizes, held = [2, 4, 8, 16, 32], 0
    for seed in range(20):
        accuracy = measure(lambda n: 0.6 * n**-0.5, sizes, 400, seed)
        found = extrapolate_accuracy(sizes, accuracy, [400] * 5)
        assert found is not None
        held += found.low[0] <= 1 - 0.6 * 64**-0.5 <= found.high[0]
    assert held >= 16
    exact = extrapolate_accuracy(sizes, [1 - 0.6 * n**-0.5 for n in sizes], [100_000] * 5)
    assert exact.expected == pytest.approx([1 - 0.6 * n**-0.5 for n in (64, 128)], abs=0.005)
    assert exact.halved_at[0] == pytest.approx(4 * 32, rel=0.3)


def test_a_floor_is_not_passed():
    sizes = [2, 4, 8, 16, 32, 64, 128]
    accuracy = [1 - (0.2 + 0.5 / n) for n in sizes]
    found = extrapolate_accuracy(sizes, accuracy, [50_000] * 7)
    assert found.expected[-1] == pytest.approx(0.8, abs=0.01)
    assert found.halved_at[0] == np.inf
    assert "would not go away" in describe_outlook(found, 128)


def test_curves_that_tell_nothing_are_not_continued():
    assert extrapolate_accuracy([2, 5], [0.5, 0.6], [30, 30]) is None
    assert extrapolate_accuracy([2, 5, 10], [0.6, 0.5, 0.55], [30] * 3) is None


@pytest.mark.parametrize(
    ("accuracy", "tested"),
    [([0.9, 0.99, 1, 1], 100), ([0.5, 0.7, 0.9, 1], 30), ([0.5, 0.9, 0.98, 0.996], 10_000)],
)
def test_no_certainty_where_mistakes_are_too_few_or_go_too_fast(accuracy, tested):
    found = extrapolate_accuracy([5, 10, 20, 40], accuracy, [tested] * 4)
    assert not found.is_told
    assert "Too few mistakes are left" in describe_outlook(found, 40)
    assert "%" not in describe_outlook(found, 40)


def test_a_floor_needs_five_different_points():
    """Two points at one place are no fifth point: no law may be told to end at a floor."""
    sizes, accuracy = [2, 4, 8, 16, 16], [0.4, 0.6, 0.7, 0.75, 0.75]
    found = extrapolate_accuracy(sizes, accuracy, [50_000] * 5)
    assert found.halved_at[0] < np.inf
    told = extrapolate_accuracy([2, 4, 8, 16, 32], [0.4, 0.6, 0.7, 0.75, 0.775], [50_000] * 5)
    assert told.halved_at[0] == np.inf


def test_a_law_of_errors_is_continued_and_its_interval_holds():
    laws = {5: lambda n: 30 * n**-0.5, 4: lambda n: 2 + 30 / n}  # the floor of the last is unseen
    for points, law in laws.items():
        sizes, held = 5 * 2 ** np.arange(points), 0
        for seed in range(20):
            noise = np.random.default_rng(seed).normal(0, 0.06 * 3**0.5, (3, points))
            measured = law(sizes) * np.exp(noise)
            mean, sd = measured.mean(axis=0), measured.std(axis=0, ddof=1)
            found = extrapolate_error(sizes, mean, sd, [3] * points, 0)
            held += found.low[0] <= law(2 * sizes[-1]) <= found.high[0]
        assert held >= 15
    sizes = np.array([5, 10, 20, 40, 80])
    exact = extrapolate_error(sizes, 2 + 30 / sizes, np.full(5, 1e-4), [5] * 5, 0)
    assert exact.expected == pytest.approx([2 + 30 / 160, 2 + 30 / 320], abs=0.01)
    assert "would not go away" in describe_error_outlook(exact, 80, "MAE", str, "rows")
    for errors, spread in (([1, 2, 3, 4, 5], 1.0), ([5, 4, 3, 2, 1], np.nan)):
        assert extrapolate_error(sizes, errors, np.full(5, spread), [5] * 5, 0) is None
    assert extrapolate_error(sizes, 30 / sizes, np.ones(5), [1] * 5, 0) is None


def test_a_slow_law_is_not_said_to_end_at_a_floor():
    """A law with a floor alone says so much more often; ten times as many halve the error."""
    sizes = np.array([5, 10, 20, 40, 80])
    law, wrong, ranges = 20 * sizes**-0.3, 0, []
    for seed in range(100):
        measured = law * np.exp(np.random.default_rng(seed).normal(0, 0.06 * 3**0.5, (3, 5)))
        mean, sd = measured.mean(axis=0), measured.std(axis=0, ddof=1)
        found = extrapolate_error(sizes, mean, sd, [3] * 5, 0)
        wrong += "would not go away" in describe_error_outlook(found, 80, "MAE", str, "rows")
        ranges.append(found.halved_at[1] <= 806 <= found.halved_at[2])
    assert wrong <= 15
    assert sum(ranges) >= 75


def make_points(metric: str, means) -> pd.DataFrame:
    limits = [5, 10, 20, 40, 500, None]
    rows = [
        {"point": f"p{limit}", "level": "image", "place": "", "swept": {IMAGES_KEY: limit}}
        | {"metric": metric, "mean": mean, "sd": 0.001, "fits": 5}
        for limit, mean in zip(limits, means, strict=True)
    ]
    return pd.DataFrame(rows)


def test_a_sweep_over_training_images_says_what_more_would_bring():
    roles = ["train"] * 80 + ["test"] * 20
    split = pd.DataFrame(
        [{"repeat": 0, "fold": f, "role": role} for f in range(5) for role in roles]
    )
    sizes = np.array([5, 10, 20, 40, 80, 80])  # 500 are more than there are
    told = say_sweep_outlook(make_points("mape", 30 * sizes**-0.5), METRICS["mape"], split)
    assert "the whole training part, 80 images. How many more images?" in told
    assert "expects MAPE of 2.4 % (90 % interval 2." in told  # with 160
    as_r2 = say_sweep_outlook(make_points("r2", 1 - sizes**-0.5), METRICS["r2"], split)
    assert "expects R² of 0.92" in as_r2
    other = make_points("mape", 30 * sizes**-0.5).assign(swept=[{"train.seed": 1}] * 6)
    assert say_sweep_outlook(other, METRICS["mape"], split) == ""


def test_more_rows_are_told_of_every_place():
    points = pd.DataFrame({"value": [5.0, 10, 20], "mape": [8.0, 4 * 2**0.5, 4]})
    points = points.assign(arm="a", target="t", domain="d", sd=0.01, n=3)
    told = say_row_outlook(points, "a", 0.3, {("t", "d"): "density of NMC"})
    assert "density of NMC 2.8 % (90 % interval 2.8 to " in told
    assert "4.0 % today" in told
    assert say_row_outlook(points, "b", 0.3, {}) == ""


def test_numbers_are_limited_in_all_and_classes_each():
    labels = pd.Series(["a"] * 4 + ["b"] * 4, index=[f"s{i}" for i in range(8)])
    for of_classes, wanted in ((True, {"a": 2, "b": 2}), (False, None)):
        settings = BalanceSettings(images_per_class=2)
        chosen = choose_images(count_by(labels, settings, of_classes), settings, 1, 0, 0)
        assert len(chosen) == (4 if of_classes else 2)
        assert wanted is None or labels[chosen].value_counts().to_dict() == wanted


def test_of_scans_whole_cells_are_drawn():
    names = [f"{state}{cell}#{z}" for state in "ab" for cell in range(5) for z in range(6)]
    labels = pd.Series([name[0] for name in names], index=names)
    cells = pd.Series([name.split("#")[0] for name in names], index=names)
    kept = {}
    for n in (1, 3, 9):
        settings = BalanceSettings(specimens_per_class=n)
        chosen = choose_samples(labels, cells, settings, True, 1, 0, 0)
        assert len(chosen) == 2 * min(n, 5) * 6  # all six slices of so many cells of each state
        kept[n] = set(cells[chosen])
        assert len(kept[n]) == 2 * min(n, 5)
        in_all = choose_samples(labels, cells, settings, False, 1, 0, 0)  # numbers are learnt
        assert cells[in_all].nunique() == n
    assert kept[1] < kept[3] < kept[9]
    both = BalanceSettings(specimens_per_class=2, images_per_class=4)
    assert len(choose_samples(labels, cells, both, True, 1, 0, 0)) == 2 * 4
    cells["a0#3"] = None
    with pytest.raises(InputError, match=r"sample 'a0#3' is not known; name specimens"):
        choose_samples(labels, cells, settings, True, 1, 0, 0)


def test_the_curve_of_scans_counts_cells():
    project = load_project(ROOT / "params.yaml", {"curve": "2,4"})
    study = project.studies["cell_health"]
    assert study.evaluate.learning_curve.specimens_per_class == [2, 4]
    assert study.curve_counts == "specimen"
    arm = study.all_arms[f"{study.best_known_arm}_n2"]
    assert arm.stages[-1].change["balance.specimens_per_class"] == 2
    assert "balance.images_per_class" not in arm.stages[-1].change
    raw = {"cells": {"dataset": {"volumes": {}, "targets": {"table": "t.csv"}}}}
    choose_curve(raw, "2,4")
    assert raw["cells"]["sweeps"] == {"training_specimens": {SPECIMENS_KEY: [2, 4, None]}}
    manifest = pd.DataFrame(
        [
            {"sample_id": f"{state}{cell}{z}", "class": state, "specimen_id": f"{state}{cell}"}
            | {"volume": f"{state}{cell}", "slice": z}
            for state in "ab"
            for cell in range(3)
            for z in range(10)
        ]
    )
    split = manifest[["sample_id"]].assign(repeat=0, fold=0, role="train")
    evidence = StudyEvidence(
        study="cell_health", settings=study, generated=True, comparison=pd.DataFrame(),
        arms={}, stages={}, manifest=manifest, split=split,
    )  # fmt: skip
    assert count_training_images(evidence) == 3  # of 30 slices per state
    assert name_counted(evidence) == "cells"
    with pytest.raises(ValueError, match="found both"):
        LearningCurveSettings(arms=["a"], images_per_class=[2], specimens_per_class=[2])


def test_one_word_gives_every_study_a_curve():
    project = load_project(ROOT / "params.yaml", {"curve": True})
    curve = project.studies["cathode_state"].evaluate.learning_curve
    assert (curve.arms, curve.images_per_class) == (["per_image"], [2, 5, 10, 20])
    assert project.studies["rate_capability"].evaluate.learning_curve is None
    points = project.studies["rate_capability"].sweep_points
    limits = [dict(each.values)[IMAGES_KEY] for each in points]
    assert limits == [5, 10, 20, 40, None]
    rows = {"a": {"dataset": {"features": {"gap": {}}, "targets": {"density": {}}}}}
    choose_curve(rows, "yes")
    assert rows["a"]["ablations"] == {"target_rows": [5, 10, 20, 40]}
    own = project.studies["additive_transfer"].evaluate.learning_curve
    assert own.images_per_class == [1]
    asked = load_project(ROOT / "params.yaml", {"curve": "3,6"}).studies["cathode_state"]
    assert asked.evaluate.learning_curve.images_per_class == [3, 6]
    assert (
        load_project(ROOT / "params.yaml").studies["cathode_state"].evaluate.learning_curve is None
    )


@pytest.mark.parametrize("wanted", ["often", 0, [0, 3], "-2"])
def test_anything_else_gives_a_sentence(wanted):
    if wanted == 0:
        choose_curve({"a": {}}, False)
        return
    with pytest.raises(ConfigError, match="curve: found"):
        choose_curve({"a": {"arms": {"b": {}}, "dataset": {}}}, wanted)
