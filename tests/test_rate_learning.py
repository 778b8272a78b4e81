"""The paper's network, its loss, optimiser and noise; targets in the engine."""

import json

import numpy as np
import pandas as pd
import pytest
import timm
import torch

from batteryscope.config.learning import AugmentSettings, ModelSettings, TrainSettings
from batteryscope.errors import ConfigError
from batteryscope.explain.number_maps import explain_tile, occlude
from batteryscope.explain.number_shares import divide_regions, measure_agreement
from batteryscope.models.classifier import TileRegressor, build_classifier, rebuild_classifier
from batteryscope.plan import StageSettings
from batteryscope.training.data import TileSet
from batteryscope.training.fit import FitTask, fit_model
from batteryscope.training.module import scale_learning_rate, seed_global_draws
from batteryscope.training.regression import RegressionModule, measure_mape, measure_penalty

TARGETS = ["capacity_1c_ah_kg", "capacity_5c_ah_kg"]
TINY = {"backbone": "rate_cnn", "weights": "random", "backbone_options": {"width": 0.1}}


def make_stage(**train) -> StageSettings:
    return StageSettings(
        study="s",
        stage="fit",
        where={},
        label_columns=["porosity"],
        targets=TARGETS,
        balance={},
        augment={"flips": False, "quarter_turns": False},
        model={**TINY, "outputs": "Ah/kg", "dropout": 0.0},
        train={"loss": "mape", "monitor": "val_loss", "batch_size": 8, **train},
    )


def make_tiles(n=32, seed=0):
    """Tiles whose grey level decides the targets."""
    rng = np.random.default_rng(seed)
    grey = rng.uniform(60, 200, n)
    tiles = np.clip(grey[:, None, None] + rng.normal(0, 5, (n, 16, 48)), 0, 255).astype(np.uint8)
    targets = np.stack([100 + grey / 4, 20 + grey / 2], axis=1).astype(np.float32)
    ids = np.array([f"{i:016x}" for i in range(n)], dtype=object)
    return tiles, TileSet(np.arange(n), targets, np.ones(n, np.float32), ids)


def test_parameters_are_those_of_the_paper():
    network = timm.create_model("rate_cnn", num_classes=5, in_chans=3)
    counts = {torch.nn.Conv2d: 0, torch.nn.Linear: 0}
    for module in network.modules():
        if type(module) in counts:
            counts[type(module)] += sum(p.numel() for p in module.parameters())
    assert list(counts.values()) == [231_680, 21_061]
    assert network(torch.zeros(2, 3, 28, 84)).shape == (2, 5)


def test_mape_counts_all_outputs_alike():
    predicted = torch.tensor([[110.0, 1.0], [100.0, 2.0]])
    assert measure_mape(predicted, torch.tensor([[100.0, 2.0], [100.0, 2.0]])).tolist() == (
        pytest.approx([30.0, 0.0])
    )


def test_penalties_count_weights_of_layers_only():
    layers = torch.nn.Sequential(torch.nn.Linear(2, 1), torch.nn.BatchNorm1d(1))
    with torch.no_grad():
        layers[0].weight[:] = torch.tensor([[3.0, -4.0]])
    assert float(measure_penalty(layers, "l1")) == pytest.approx(7)
    assert float(measure_penalty(layers, "l2")) == pytest.approx(25)


def test_linear_schedule_rises_and_falls():
    steps = [scale_learning_rate(s, 100, 10, "linear", 0.01) for s in (0, 5, 10, 55, 100)]
    assert steps == pytest.approx([0.01, 0.505, 1.0, 0.505, 0.01])


def test_dropout_of_a_batch_is_seeded_as_by_torch():
    drop = torch.nn.Dropout(0.5)
    with torch.random.fork_rng():
        torch.manual_seed(7)
        wanted = drop(torch.ones(64))
        seed_global_draws(7, torch.device("cpu"))
        assert torch.equal(drop(torch.ones(64)), wanted)


def test_adversarial_noise_makes_the_loss_larger_within_its_bound():
    tiles, items = make_tiles(8)
    stage = make_stage(adversarial_noise=0.03)
    model = build_classifier(stage.model, TARGETS, 16, seed=1).eval()
    assert isinstance(model, TileRegressor)
    model.learn_scale(items.targets)
    module = RegressionModule(model, stage.train, AugmentSettings(), 1, 1)
    x = torch.from_numpy(tiles).unsqueeze(1).float()
    targets = torch.from_numpy(items.targets)
    noisy = module._add_adversarial_noise(x, targets, torch.Generator().manual_seed(0), [])
    assert float((noisy - x).abs().max()) <= 0.03 * 255
    with torch.no_grad():
        before, after = (measure_mape(model(v), targets).mean() for v in (x, noisy))
    assert after > before


def test_regressor_learns_ten_outputs_of_scale_and_survives_saving(tmp_path):
    tiles, items = make_tiles()
    stage = make_stage(
        epochs=30, optimiser="lookahead_radam", learning_rate=0.02, schedule="linear",
        lowest_learning_rate=1e-4, warmup_epochs=3, penalty="l2", penalty_weight=1e-4,
    )  # fmt: skip
    task = FitTask(0, 0, items, items, "identity")
    fit_model(task, stage, TARGETS, tiles, tmp_path, "test")
    history = pd.read_csv(tmp_path / "history.csv")
    assert list(history.columns) == [
        "epoch", "train_loss", "val_loss", "val_mape", "learning_rate", "seconds"
    ]  # fmt: skip
    assert history["val_mape"].min() < 8
    description = json.loads((tmp_path / "model.json").read_text())
    assert description["outputs"] == "Ah/kg"
    from batteryscope.evaluation.forward import load_fit
    from batteryscope.evaluation.number_predictions import predict_values

    predicted = predict_values(load_fit(tmp_path), tiles)
    error = np.abs(predicted / items.targets - 1).mean() * 100
    assert error == pytest.approx(history["val_mape"].min(), abs=0.3)


def test_any_network_of_timm_learns_capacities(tmp_path):
    tiles, items = make_tiles()
    stage = make_stage(epochs=12, optimiser="adamw", learning_rate=0.01, schedule="one_cycle")
    model = stage.model.model_copy(update={"backbone": "test_resnet", "backbone_options": {}})
    task = FitTask(0, 0, items, items, "identity")
    fit_model(task, stage.model_copy(update={"model": model}), TARGETS, tiles, tmp_path, "test")
    history = pd.read_csv(tmp_path / "history.csv")
    # Better than a network that knows the means alone.
    mean = np.abs(items.targets.mean(axis=0) / items.targets - 1).mean() * 100
    assert history["val_mape"].min() < 0.8 * mean


def test_classifier_descriptions_stay_as_they_were():
    settings = ModelSettings(backbone="test_resnet", weights="random")
    model = build_classifier(settings, ["a", "b"], 32, seed=0)
    assert not isinstance(model, TileRegressor)
    description = model.description.as_dict()
    assert "outputs" not in description
    assert rebuild_classifier(description, model.state_dict()).description == model.description


@pytest.mark.parametrize(
    ("train", "match"),
    [
        ({"loss": "cross_entropy", "monitor": "val_loss"}, "is for classes"),
        ({"loss": "mape", "monitor": "val_accuracy"}, "val_loss"),
    ],
)
def test_losses_of_classes_and_capacities_do_not_mix(train, match):
    with pytest.raises(ValueError, match=match):
        make_stage(**train)


def test_occlusion_finds_what_the_output_depends_on():
    class Corner(torch.nn.Module):
        def forward(self, x):
            return torch.stack([x[:, 0, :4, :4].sum((1, 2)), -x[:, 0, 4:, 8:].sum((1, 2))], dim=1)

    x, blank = torch.ones(1, 1, 8, 12), torch.zeros(1, 1, 8, 12)
    maps = occlude(Corner(), x, blank, window_px=4, batch_size=2)
    assert maps.shape == (2, 8, 12)
    assert maps[0, 0, 0] == 16
    assert maps[0, 0, 4] == 0
    assert maps[1, 7, 11] == -16


def test_all_methods_give_a_signed_map_per_output():
    tiles, items = make_tiles(4)
    model = build_classifier(make_stage().model, TARGETS, 16, seed=1).eval()
    model.learn_scale(items.targets)
    found = explain_tile(model, tiles[0], window_px=4, integration_steps=4)
    for values in found.maps.values():
        assert values.shape == (2, 16, 48)
        assert np.isfinite(values).all()
    assert found.passes["occlusion"] == 1 + 4 * 12
    agreement = measure_agreement(found.maps, 4)
    assert agreement["correlation"].dropna().between(-1, 1).all()


def test_guided_backpropagation_is_guided_at_every_activation():
    """Two copies of the mean grey level, +1 and −2 times: what lowers an output has no say."""

    class TwoCopies(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.copies = torch.nn.Conv2d(3, 2, 1)
            torch.nn.init.constant_(self.copies.weight, 1 / 3)
            torch.nn.init.constant_(self.copies.bias, 3)  # between 0 and 6 at any grey level
            self.activation = torch.nn.ReLU6(inplace=True)

        def forward(self, x):
            more, less = self.activation(self.copies(x)).mean((2, 3)).T
            return torch.stack([more - 2 * less, 2 * less - more], dim=1)

    tiles, items = make_tiles(4)
    model = build_classifier(make_stage().model, TARGETS, 16, seed=1)
    model.learn_scale(items.targets)
    model.backbone = TwoCopies()
    guided = explain_tile(model, tiles[0], ("guided_backprop",)).maps["guided_backprop"]
    per_pixel = model.output_sd.numpy() / tiles[0].size
    # The plain gradient would be -1 and +1 times that.
    np.testing.assert_allclose(guided[0], np.full(tiles[0].shape, per_pixel[0]), rtol=1e-5)
    np.testing.assert_allclose(guided[1], np.full(tiles[0].shape, 2 * per_pixel[1]), rtol=1e-5)
    assert model.training
    assert model.backbone.activation.inplace


def test_regions_of_a_phase_map_do_not_overlap():
    phases = np.ones((40, 60), np.uint8)
    phases[10:30, 10:40] = 4
    phases[20, 12:38] = 6
    phases[5, 45:55] = 2
    phases[:, 50] = 7
    regions = divide_regions(phases)
    assert np.sum(list(regions.values()), axis=0).max() == 1
    assert regions["cracks"].sum() == 26
    assert regions["artefacts"].sum() == 40
    assert regions["particle edges"][10, 20]
    assert not regions["particle edges"][3, 3]


def test_unknown_losses_stay_unknown():
    from batteryscope.config.base import validate_settings

    with pytest.raises(ConfigError):
        validate_settings(TrainSettings, {"loss": "rmse"}, "train")
