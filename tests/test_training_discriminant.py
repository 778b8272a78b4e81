"""The closed-form head: the discriminant that scikit-learn finds, inside the network."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import Ridge
from sklearn.metrics.pairwise import rbf_kernel

from batteryscope.config.base import validate_settings
from batteryscope.config.learning import ModelSettings
from batteryscope.errors import ConfigError, InputError
from batteryscope.models.classifier import build_classifier, rebuild_classifier
from batteryscope.plan import StageSettings
from batteryscope.training.data import TileSet
from batteryscope.training.discriminant import (
    FeatureStore,
    fit_in_closed_form,
    solve_head,
    solve_regression,
)
from batteryscope.training.fit import FitTask

MODEL = ModelSettings(
    backbone="mobilenetv2_050", weights="random", freeze="backbone", pooling="stage_statistics"
)


def build(n_classes=3, **changes):
    settings = MODEL.model_copy(update=changes)
    return build_classifier(settings, [f"c{i}" for i in range(n_classes)], 64, seed=1).eval()


def make_tiles(n=24):
    """Stripes of three widths."""
    rng = np.random.default_rng(0)
    x = np.arange(64)
    tiles = [
        128 + 100 * np.sign(np.sin(x / (1 + i % 3)))[None, :] * np.ones((64, 1)) for i in range(n)
    ]
    noisy = np.stack(tiles) + rng.normal(0, 10, (n, 64, 64))
    return np.clip(noisy, 0, 255).astype(np.uint8), np.arange(n) % 3


@pytest.mark.parametrize("n_classes", [2, 3])
def test_head_gives_the_probabilities_of_scikit_learn(n_classes):
    rng = np.random.default_rng(1)
    model = build(n_classes)
    n_features = model.backbone.head.in_features
    features = rng.normal(5, 2, (60, n_features)).astype(np.float32)
    targets = np.arange(60) % n_classes
    features[:, 0] += targets
    features[:, 1] = 7  # never varies
    solve_head(model.backbone, features, targets, 0.3)
    sd = features.std(axis=0, dtype=np.float64)
    sd[sd < 1e-6] = 1
    scaled = (features - features.mean(axis=0, dtype=np.float64)) / sd
    priors = np.full(n_classes, 1 / n_classes)
    known = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.3, priors=priors)
    expected = known.fit(scaled, targets).predict_proba(scaled)
    with torch.inference_mode():
        found = model.backbone.score(torch.from_numpy(features)).double().softmax(1).numpy()
    assert np.allclose(found, expected, atol=1e-3)


def test_statistics_are_mean_and_spread_of_every_stage():
    model = build()
    x = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        maps = model.backbone.network.forward_intermediates(x, intermediates_only=True)
        found = model.backbone.measure(x)
    means = torch.cat([m.mean((2, 3)) for m in maps], 1)
    widths = [m.shape[1] for m in maps]
    blocks = found.split([w for width in widths for w in (width, width)], dim=1)
    assert torch.allclose(torch.cat(blocks[::2], 1), means, atol=1e-5)
    spread = torch.cat([(m.var((2, 3), correction=0) + 1e-6).sqrt() for m in maps], 1)
    assert torch.allclose(torch.cat(blocks[1::2], 1), spread, atol=1e-5)


def test_features_are_computed_once_for_all_fits(monkeypatch):
    tiles, _ = make_tiles()
    store, model = FeatureStore(tiles), build()
    seen = []
    measure = type(model.backbone).measure
    monkeypatch.setattr(
        type(model.backbone), "measure", lambda self, x: seen.append(len(x)) or measure(self, x)
    )
    first = store.look_up(model, np.array([0, 3, 3, 5]), "fit")
    model.backbone.head.weight.data += 1  # the head is no part of the features
    # Another fold: its own statistics of training tiles, which raw grey levels do not use.
    model.input.learn_statistics(torch.arange(256))
    again = store.look_up(model, np.array([5, 0, 7]), "fit")
    assert sum(seen) == 4
    assert np.array_equal(first[[0, 3]], again[[1, 0]])
    assert np.array_equal(first[1], first[2])


def test_other_grey_levels_give_other_features():
    tiles, _ = make_tiles()
    store = FeatureStore(tiles)
    raw = store.look_up(build(), np.array([0]), "fit")
    scaled = store.look_up(build(grey_levels="per_image"), np.array([0]), "fit")
    assert not np.allclose(raw, scaled)


def test_statistics_of_the_training_tiles_count_where_they_are_used():
    tiles, _ = make_tiles()
    store, model = FeatureStore(tiles), build(grey_levels="dataset")
    model.input.learn_statistics(torch.arange(256))
    one = store.look_up(model, np.array([0]), "fit")
    model.input.learn_statistics(torch.arange(256).flip(0))
    assert not np.allclose(one, store.look_up(model, np.array([0]), "fit"))


def test_model_survives_being_written_and_rebuilt():
    tiles, targets = make_tiles()
    model = build()
    features = FeatureStore(tiles).look_up(model, np.arange(len(tiles)), "fit")
    solve_head(model.backbone, features, targets, 0.1)
    copy = rebuild_classifier(model.description.as_dict(), model.state_dict())
    batch = torch.from_numpy(tiles).unsqueeze(1)
    with torch.inference_mode():
        logits = model(batch)
        assert torch.equal(logits, copy(batch))
    assert (logits.argmax(1).numpy() == targets).all()


def test_class_without_tiles_is_refused():
    model = build()
    features = np.ones((4, model.backbone.head.in_features), np.float32)
    with pytest.raises(InputError, match="class number 2 has no training tile"):
        solve_head(model.backbone, features, np.array([0, 1, 0, 1]), 0.1)


def test_network_without_stages_is_refused():
    settings = MODEL.model_copy(update={"backbone": "mixer_s32_224"})
    with pytest.raises(ConfigError, match="feature maps of all stages"):
        build_classifier(settings, ["a", "b"], 64, seed=1)


def test_discriminant_needs_the_frozen_statistics():
    values = {
        "study": "s", "stage": "fit", "where": {}, "label_columns": ["class"], "balance": {},
        "augment": {}, "model": {"freeze": "backbone"}, "train": {"method": "discriminant"},
    }  # fmt: skip
    with pytest.raises(ConfigError, match=r"needs model\.pooling 'stage_statistics'"):
        validate_settings(StageSettings, values, "here")


def test_ridge_refuses_weights_of_classes():
    values = {
        "study": "s", "stage": "fit", "where": {}, "label_columns": [],
        "targets": ["pore_percent"], "balance": {"method": "class_weights"}, "augment": {},
        "model": MODEL.model_dump() | {"outputs": "all"},
        "train": {"method": "ridge", "loss": "mse", "monitor": "val_loss"},
    }  # fmt: skip
    with pytest.raises(ConfigError, match=r"'class_weights' does not go with .*'ridge'"):
        validate_settings(StageSettings, values, "here")


def test_second_stage_solves_on_the_features_of_the_first(tmp_path):
    tiles, targets = make_tiles()
    samples = np.array([f"s{i}" for i in range(len(tiles))], dtype=object)
    tile_set = TileSet(np.arange(len(tiles)), targets, np.ones(len(tiles), np.float32), samples)
    settings = StageSettings.model_validate(
        {
            "study": "s", "stage": "ft", "where": {}, "label_columns": ["class"], "balance": {},
            "augment": {}, "model": MODEL.model_dump(), "train": {"method": "discriminant"},
        }
    )  # fmt: skip
    parent = build()
    with torch.no_grad():
        for weights in parent.backbone.network.parameters():
            weights.mul_(1.1)
    folder = tmp_path / "parent"
    folder.mkdir()
    save_file(
        {k: v.contiguous() for k, v in parent.state_dict().items()}, folder / "weights.safetensors"
    )
    (folder / "fit.json").write_text('{"pretrained": null}', encoding="utf-8")
    task = FitTask(0, 0, tile_set, tile_set, "x", folder)
    classes = ["c0", "c1", "c2"]
    store = FeatureStore(tiles)
    fit_in_closed_form(task, settings, classes, tiles, store, tmp_path / "state", "fit")
    solved = load_file(tmp_path / "state" / "weights.safetensors")
    before = parent.state_dict()
    network = [key for key in before if key.startswith("backbone.network")]
    assert network
    assert all(torch.equal(solved[key], before[key]) for key in network)
    assert not torch.equal(solved["backbone.head.weight"], before["backbone.head.weight"])


def test_numbers_are_solved_by_ridge_regression():
    rng = np.random.default_rng(0)
    features = rng.normal(3, 2, (200, 6)).astype(np.float32)
    targets = features[:, :2] @ np.array([[1.0, -2.0], [0.5, 0.0]]) + np.array([4.0, -1.0])
    backbone = build_classifier(
        ModelSettings(backbone="test_resnet", weights="random", pooling="stage_statistics"),
        ["a", "b"], 32, 1,
    ).backbone  # fmt: skip
    n_features = backbone.head.in_features
    padded = np.hstack([features, np.zeros((200, n_features - 6), np.float32)])
    solve_regression(backbone, padded, targets, 1e-8)
    assert backbone.score(torch.from_numpy(padded)).detach().numpy() == pytest.approx(
        targets, abs=1e-3
    )
    solve_regression(backbone, padded, targets, 1e4)  # a large penalty leaves the mean
    found = backbone.score(torch.from_numpy(padded)).detach().numpy()
    assert found == pytest.approx(np.tile(targets.mean(axis=0), (200, 1)), abs=0.02)


@pytest.mark.parametrize("with_covariate", [False, True])
def test_ridge_regression_of_one_quantity(with_covariate):
    rng = np.random.default_rng(0)
    backbone = build(1).backbone
    features = np.zeros((100, backbone.head.in_features), np.float32)
    features[:, :4] = rng.normal(3, 2, (100, 4))
    z = rng.normal(size=(100, 1)).astype(np.float32)
    targets = features[:, :1] * 2.0 - 1.0 + with_covariate * z
    beside = SimpleNamespace(effect=torch.nn.Linear(1, 1, bias=False)) if with_covariate else None
    solve_regression(backbone, features, targets, 1e-8, beside, z if with_covariate else None)
    found = backbone.score(torch.from_numpy(features)).detach().numpy()
    if beside is not None:
        found = found + beside.effect(torch.from_numpy(z)).detach().numpy()
    assert found == pytest.approx(targets, abs=1e-3)


@pytest.mark.parametrize("n_centres", [60, 100])
def test_likeness_to_training_tiles_is_kernel_ridge_regression(n_centres):
    rng = np.random.default_rng(0)
    model = ModelSettings(
        backbone="test_resnet", weights="random", pooling="stage_statistics",
        kernel_centres=n_centres, kernel_gamma=2.0,
    )  # fmt: skip
    backbone = build_classifier(model, ["a", "b"], 32, 1).backbone
    features = rng.normal(3, 2, (60, backbone.n_features)).astype(np.float32)
    targets = rng.normal(size=(60, 2)) + 5
    solve_regression(backbone, features, targets, 1e-3)
    # Squared differences by the mean variance of a stage are averaged in it, then over the stages.
    widths = [2 * stage["num_chs"] for stage in backbone.network.feature_info]
    assert sum(widths) == backbone.n_features
    parts = np.split(features.var(axis=0, dtype=np.float64), np.cumsum(widths)[:-1])
    scale = np.repeat([(p.mean() * len(p) * len(widths)) ** -0.5 for p in parts], widths)
    known, new = features * scale, (features[:9] + 0.3) * scale
    # The layer has an offset without penalty, as ridge regression on features of the kernel has.
    kernel = rbf_kernel(known, gamma=2.0)
    values, vectors = np.linalg.eigh(kernel)
    ridge = Ridge(0.06).fit(vectors * np.sqrt(values), targets)
    likeness = rbf_kernel(new, known, gamma=2.0)
    expected = ridge.predict(likeness @ vectors / np.sqrt(values))
    found = backbone.score(torch.from_numpy(features[:9] + np.float32(0.3))).detach().numpy()
    assert found == pytest.approx(expected, abs=1e-3)


def test_likeness_learns_a_bent_law_from_fewer_centres_than_tiles():
    rng = np.random.default_rng(0)
    errors = {}
    for n_centres in (None, 40):
        model = ModelSettings(
            backbone="test_resnet", weights="random", pooling="stage_statistics",
            kernel_centres=n_centres,
        )  # fmt: skip
        backbone = build_classifier(model, ["a"], 32, 1).backbone
        x = rng.uniform(-1.7, 1.7, (200, 1)).astype(np.float32)
        features = np.repeat(x, backbone.n_features, axis=1)
        solve_regression(backbone, features, np.cos(2 * x), 1e-6)
        found = backbone.score(torch.from_numpy(features)).detach().numpy()
        errors[n_centres] = float(np.abs(found - np.cos(2 * x)).mean())
    assert errors[40] < 0.02 < 0.3 < errors[None]


def test_centres_need_what_uses_them():
    with pytest.raises(ValueError, match="needs pooling 'stage_statistics', found 'network'"):
        ModelSettings(kernel_centres=9)
