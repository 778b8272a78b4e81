"""Networks learn from covariates beside pictures, by statistics of the training part alone."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from batteryscope.config.covariates import Covariate
from batteryscope.config.learning import ModelSettings
from batteryscope.evaluation.forward import apply_to_tiles, load_fit
from batteryscope.models.classifier import build_classifier, rebuild_classifier
from batteryscope.plan import StageSettings
from batteryscope.training.data import TileSet
from batteryscope.training.discriminant import FeatureStore
from batteryscope.training.fit import FitTask, identify_fit
from batteryscope.training.stage import train_fit

THICKNESS = Covariate(name="thickness", label="thickness", unit="µm", column="thickness")
BINDER = Covariate(name="binder", label="binder", categories=["CMC", "PVDF"], column="binder")
NETWORK = {"backbone": "test_resnet", "weights": "random", "dropout": 0.0}
CLASSES = ["bright_thick", "bright_thin", "dark_thick", "dark_thin"]


def stage(covariates=(THICKNESS,), train=None, **model) -> StageSettings:
    return StageSettings.model_validate(
        {
            "study": "s",
            "stage": "fit",
            "where": {},
            "label_columns": ["class"],
            "covariates": [c.model_dump() for c in covariates],
            "balance": {},
            "augment": {},
            "model": NETWORK | model,
            "train": {"epochs": 8, "batch_size": 16, "learning_rate": 5e-3, "optimiser": "adamw"}
            | (train or {}),
        }
    )


def draw(n: int, seed: int):
    """Pictures whose brightness is half of the class, thicknesses that are the other half."""
    rng = np.random.default_rng(seed)
    bright, thick = rng.integers(0, 2, n), rng.integers(0, 2, n)
    tiles = rng.normal(90 + 70 * bright[:, None, None], 20, (n, 32, 32)).clip(0, 255)
    thickness = rng.normal(60 + 30 * thick, 4).astype(np.float32)
    targets = (2 * (1 - bright) + (1 - thick)).astype(np.int64)
    return tiles.astype(np.uint8), targets, thickness[:, None]


def make_set(rows, targets, thickness) -> TileSet:
    ids = np.array([f"s{row:03d}" for row in rows], dtype=object)
    weights = np.ones(len(rows), np.float32)
    return TileSet(np.asarray(rows), targets[rows], weights, ids, thickness[rows])


def without(task: FitTask) -> FitTask:
    training, validation = (replace(s, covariates=None) for s in (task.training, task.validation))
    return replace(task, training=training, validation=validation)


def solve(tmp_path, settings, covariates=True, n_train=100):
    tiles, targets, thickness = draw(n_train + 60, 1)
    training = make_set(np.arange(n_train), targets, thickness)
    validation = make_set(np.arange(n_train, n_train + 20), targets, thickness)
    task = FitTask(0, 0, training, validation, "me")
    task = task if covariates else without(task)
    train_fit(task, settings, CLASSES, tiles, tmp_path, "fit", features=FeatureStore(tiles))
    tested = make_set(np.arange(n_train + 20, n_train + 60), targets, thickness)
    model = load_fit(tmp_path)
    beside = tested.covariates if covariates else None
    said = apply_to_tiles(model, tiles, tested.rows, 16, covariates=beside)
    return model, float((said.argmax(1) == tested.targets).mean())


CLOSED_FORM = {
    "pooling": "stage_statistics",
    "freeze": "backbone",
    "train": {"method": "discriminant"},
}


# The closed form weighs 800 statistics at once, for which 100 tiles are few.
@pytest.mark.parametrize(
    ("kind", "n"), [({}, 100), ({"head_units": 16}, 100), (CLOSED_FORM, 400)], ids=str
)
def test_a_label_of_picture_and_covariate_is_found_with_both_alone(tmp_path, kind, n):
    model, with_both = solve(tmp_path / "with", stage(**kind), n_train=n)
    plain, picture = solve(tmp_path / "without", stage(covariates=(), **kind), False, n)
    assert with_both >= 0.9
    assert picture <= 0.7  # thick or thin is a coin toss
    assert "covariates" not in json.loads((tmp_path / "without" / "model.json").read_text())
    assert not [name for name in plain.state_dict() if name.startswith("covariates.")]
    assert model.description.inputs_beside == ["thickness"]


def test_the_statistics_are_those_of_the_training_images_each_once(tmp_path):
    tiles, targets, thickness = draw(30, 3)
    rows = np.array([0, 0, 0, 1, 2, 3])
    thickness[10:] = 1e6  # of no training image
    task = FitTask(0, 0, make_set(rows, targets, thickness), make_set(
        np.arange(10, 14), targets, thickness), "me")  # fmt: skip
    train_fit(task, stage(train={"epochs": 1}), CLASSES, tiles, tmp_path, "fit")
    own, seen = load_fit(tmp_path).covariates, thickness[:4, 0]
    assert own is not None
    assert own.get_buffer("mean").item() == pytest.approx(seen.mean(), rel=1e-6)
    assert own.get_buffer("scale").item() == pytest.approx(1 / seen.std(), rel=1e-5)
    assert own.get_buffer("low").item() == pytest.approx(seen.min())
    assert own.get_buffer("high").item() == pytest.approx(seen.max())


def test_a_covariate_that_is_alike_in_training_says_nothing():
    model = build_classifier(ModelSettings(**NETWORK), ["a", "b"], 32, 1, covariates=[BINDER])
    assert model.covariates is not None
    assert model.covariates.learn_statistics(np.array([[0, 1], [0, 1]])) == [0, 1]
    z = model.covariates.standardise(torch.tensor([[1.0, 0.0]]))
    assert z.tolist() == [[0, 0]]


def test_a_new_network_begins_as_one_without_covariates():
    plain = build_classifier(ModelSettings(**NETWORK), ["a", "b"], 32, 1).eval()
    model = build_classifier(
        ModelSettings(**NETWORK), ["a", "b"], 32, 1, covariates=[THICKNESS, BINDER]
    ).eval()
    tiles = torch.randint(0, 255, (2, 1, 32, 32), dtype=torch.uint8)
    values = torch.tensor([[50.0, 1, 0], [70.0, 0, 1]])
    with torch.no_grad():
        torch.testing.assert_close(model(tiles, values), plain(tiles))
        described = json.loads(json.dumps(model.description.as_dict()))
        again = rebuild_classifier(described, model.state_dict())
        torch.testing.assert_close(again(tiles, values), model(tiles, values))


def test_networks_are_given_what_they_were_trained_with():
    model = build_classifier(ModelSettings(**NETWORK), ["a", "b"], 32, 1, covariates=[THICKNESS])
    tiles = np.zeros((2, 32, 32), np.uint8)
    with pytest.raises(ValueError, match="covariates go to the networks"):
        apply_to_tiles(model.eval(), tiles, None, 2)


def test_learning_rates_of_their_own_reach_the_covariates(tmp_path):
    train = {"layer_decay": 0.8, "head_learning_rate": 1e-2, "epochs": 2}
    model, _ = solve(tmp_path, stage(train=train))
    assert model.covariates is not None
    last = list(model.covariates.parameters())[-1]
    assert last.abs().max() > 0  # it began at zero


def test_an_identity_without_covariates_is_as_it_was():
    _, targets, thickness = draw(6, 1)
    given = make_set(np.arange(6), targets, thickness)
    plain = replace(given, covariates=None)
    settings = stage(covariates=())
    assert "covariates" not in settings.model_dump(mode="json")
    assert "covariates" not in settings.model_dump(mode="json")["model"]
    first = identify_fit(settings, plain, plain, "", "", "")
    other = replace(given, covariates=thickness + 1)
    assert len({first, *(identify_fit(settings, s, s, "", "", "") for s in (given, other))}) == 3
