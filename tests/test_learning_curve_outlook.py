"""How accuracy goes on with more images: known laws are found again, and one word asks for it."""

import numpy as np
import pytest

from batteryscope.config.choose_curve import choose_curve
from batteryscope.config.project import load_project
from batteryscope.errors import ConfigError
from batteryscope.evaluation.extrapolate import describe_outlook, extrapolate_accuracy
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
    assert exact.accuracy == pytest.approx([1 - 0.6 * n**-0.5 for n in (64, 128)], abs=0.005)
    assert exact.halved_at[0] == pytest.approx(4 * 32, rel=0.3)


def test_a_floor_is_not_passed():
    sizes = [2, 4, 8, 16, 32, 64, 128]
    accuracy = [1 - (0.2 + 0.5 / n) for n in sizes]
    found = extrapolate_accuracy(sizes, accuracy, [50_000] * 7)
    assert found.accuracy[-1] == pytest.approx(0.8, abs=0.01)
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


def test_one_word_gives_studies_of_classes_a_curve():
    project = load_project(ROOT / "params.yaml", {"curve": True})
    curve = project.studies["cathode_state"].evaluate.learning_curve
    assert (curve.arms, curve.images_per_class) == (["per_image"], [2, 5, 10, 20])
    assert project.studies["rate_capability"].evaluate.learning_curve is None
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
