"""Grades: classes in an order, learnt as one score, judged by how far off an answer is."""

import numpy as np
import pandas as pd
import pytest
import torch

from batteryscope.config.base import validate_settings
from batteryscope.config.dataset import LabelSettings
from batteryscope.config.learning import ModelSettings
from batteryscope.config.study import StudySettings
from batteryscope.errors import ConfigError, InputError
from batteryscope.evaluation.comparison import compare_arms, compare_confusions, list_levels
from batteryscope.evaluation.grade_metrics import measure_grades
from batteryscope.explain.attribution import attribute_tiles
from batteryscope.manifest.grades import attach_grades, list_grades
from batteryscope.models.classifier import build_classifier, rebuild_classifier
from batteryscope.models.cumulative_link import CumulativeLink, find_grade_logits
from batteryscope.plan import plan_study
from tests.small_params import small_study

GRADES = ["new", "aged", "dead"]  # not sorted
CLASSES = sorted(GRADES)


def test_probabilities_are_differences_of_the_logistic_curve():
    score, thresholds = torch.tensor([[0.3], [-2.0]]), torch.tensor([-1.0, 0.5, 2.0])
    found = find_grade_logits(score, thresholds).exp()
    above = torch.sigmoid(score - thresholds)
    steps = torch.cat([torch.ones(2, 1), above, torch.zeros(2, 1)], dim=1)
    expected = steps[:, :-1] - steps[:, 1:]
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(found.sum(dim=1), torch.ones(2))


def test_far_scores_stay_finite_with_gradients():
    link = CumulativeLink(CLASSES, GRADES)
    score = torch.tensor([[-60.0], [60.0]], requires_grad=True)
    logits = link(score)
    logits.sum().backward()
    assert torch.isfinite(logits).all()
    assert torch.isfinite(score.grad).all()
    assert [CLASSES[i] for i in logits.argmax(dim=1)] == ["new", "dead"]


@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_every_grade_can_be_the_likeliest_from_the_start(count):
    names = [f"grade {i}" for i in range(count)]
    link = CumulativeLink(names[::-1], names)
    thresholds = link.thresholds.detach()
    assert (thresholds.diff() > 0).all()
    torch.testing.assert_close(thresholds, -thresholds.flip(0))
    ends = torch.tensor([-9.0, 9.0])
    scores = torch.cat([ends[:1], (thresholds[1:] + thresholds[:-1]) / 2, ends[1:]])
    found = link(scores[:, None]).argmax(dim=1)
    assert [names[::-1][i] for i in found] == names
    # A new head gives 0: about the loss of equally likely grades.
    at_zero = -link(torch.zeros(1, 1)).mean().item()
    assert at_zero < np.log(count) + 0.2


def test_thresholds_of_older_networks_are_read_as_they_were():
    link = CumulativeLink(CLASSES, GRADES)
    older = {"lowest_threshold": torch.tensor([-0.7]), "distances": torch.tensor([0.4])}
    link.load_state_dict(older)
    expected = [-0.7, -0.7 + np.log1p(np.exp(0.4))]
    torch.testing.assert_close(link.thresholds, torch.tensor(expected, dtype=torch.float32))


@pytest.mark.parametrize("change", [{}, {"pooling": "stage_statistics"}, {"head_units": 8}])
def test_a_network_of_grades_is_rebuilt_from_its_description(change):
    settings = ModelSettings(backbone="test_resnet", weights="random", outputs="grades", **change)
    model = build_classifier(settings, CLASSES, 48, seed=1, grades=GRADES).eval()
    tiles = torch.randint(0, 255, (2, 1, 48, 48)).float()
    loss = torch.nn.functional.cross_entropy(model(tiles), torch.tensor([0, 2]))
    assert loss.item() < np.log(3) + 0.2
    again = rebuild_classifier(model.description.as_dict(), model.state_dict())
    torch.testing.assert_close(again(tiles), model(tiles))


def test_maps_of_grades_show_what_speaks_for_them():
    settings = ModelSettings(backbone="test_resnet", weights="random", outputs="grades")
    model = build_classifier(settings, CLASSES, 48, seed=1, grades=GRADES).eval()
    with torch.no_grad():  # a new head starts near 0, and so would the maps
        model.backbone.get_classifier().weight.normal_(0, 1)
    tiles = np.random.default_rng(0).integers(0, 255, (3, 48, 48), dtype=np.uint8)
    maps = attribute_tiles(model, tiles, [0, 1, 2], "guided_grad_cam")
    assert maps.guided_grad_cam.shape == (3, 48, 48)
    assert np.isfinite(maps.guided_grad_cam).all()
    same = np.repeat(tiles[:1], 3, axis=0)
    aged, dead, new = attribute_tiles(model, same, [0, 1, 2], "grad_cam").grad_cam
    np.testing.assert_allclose(aged, dead)
    assert not np.allclose(new, dead)


@pytest.mark.parametrize("key", ["model.outputs", "model.covariates"])
def test_a_search_cannot_change_what_networks_give(key):
    space = {key: ["class", "grades"] if key == "model.outputs" else [True, False]}
    study = small_study(search={"space": space})
    with pytest.raises(ConfigError, match=f"'{key}' decides what networks are given or give"):
        validate_settings(StudySettings, study, "here")


def test_stages_with_other_outputs_are_refused():
    study = small_study(arms={"two": {"stages": [
        {"name": "a"}, {"name": "b", "change": {"model.outputs": "grades"}}
    ]}})  # fmt: skip
    study["dataset"]["labels"] = {"source": "folders", "grades": GRADES}
    with pytest.raises(ConfigError, match="the same outputs in all stages"):
        plan_study("check", validate_settings(StudySettings, study, "here"))


def test_one_true_grade_has_no_kappa():
    assert np.isnan(measure_grades(["new", "new"], ["new", "aged"], GRADES)["quadratic_kappa"])


def test_kappa_distance_and_neighbours_by_hand():
    true = ["new", "new", "aged", "aged", "dead", "dead"]
    pred = ["new", "aged", "aged", "dead", "dead", "new"]
    found = measure_grades(true, pred, GRADES)
    # Squared distances add up to 6; from the margins (2, 2, 2) every pair is expected 4/6 times.
    assert found["quadratic_kappa"] == pytest.approx(1 - 6 / (4 / 6 * (4 * 1 + 2 * 4)))
    assert found["grade_mae"] == pytest.approx((1 + 1 + 2) / 6)
    assert found["adjacent_accuracy"] == pytest.approx(5 / 6)
    assert np.isnan(measure_grades(["new"], ["new"], GRADES)["quadratic_kappa"])


def test_samples_carry_the_number_of_their_grade():
    manifest = pd.DataFrame({"class": ["dead", "new", "aged", "new"]})
    graded = attach_grades(manifest, GRADES)
    assert list(graded["grade_number"]) == [2, 0, 1, 0]
    assert list_grades(graded) == GRADES
    assert attach_grades(manifest, []) is manifest
    with pytest.raises(InputError, match="has no 'aged', which is the class of 1 samples"):
        attach_grades(manifest, ["new", "dead", "gone"])
    with pytest.raises(InputError, match="names 'gone', which no sample has"):
        attach_grades(manifest, [*GRADES, "gone"])


@pytest.mark.parametrize(
    ("grades", "sentence"),
    [(["a", "b", "a"], "names 'a' twice"), (["a", "b"], "three classes at least")],
)
def test_an_order_that_is_none_is_refused(grades, sentence):
    with pytest.raises(ConfigError, match=sentence):
        validate_settings(LabelSettings, {"grades": grades}, "here")


def test_arms_of_grades_are_judged_by_distance_and_shown_in_order():
    manifest = attach_grades(
        pd.DataFrame({
            "sample_id": list("abcdef"), "class": ["new", "new", "aged", "aged", "dead", "dead"],
            "specimen_id": None, "domain": "",
        }),
        GRADES,
    )  # fmt: skip
    predictions = pd.DataFrame({
        "sample_id": list("abcdef"), "tile": -1, "repeat": 0, "fold": 0, "role": "test",
        "arm": "graded", "y_true": manifest["class"],
        "y_pred": ["new", "aged", "aged", "dead", "dead", "new"],
    })  # fmt: skip
    for name in CLASSES:
        predictions[f"p_{name}"] = np.where(predictions["y_pred"] == name, 0.8, 0.1)
    table = compare_arms(predictions, manifest, ["class"], {"graded": "small"})
    means = table.set_index("metric")["mean"]
    assert means["adjacent_accuracy"] == pytest.approx(5 / 6)
    assert means["grade_mae"] == pytest.approx(4 / 6)
    levels = list_levels(predictions, manifest)
    confusion = compare_confusions(levels, list_grades(manifest))
    assert list(dict.fromkeys(confusion["y_true"])) == GRADES
