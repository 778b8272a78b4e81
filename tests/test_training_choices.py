"""Choices of fine-tuning: focal loss, balanced classes, unfreezing, learning rates by layer."""

import json
from itertools import chain

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional

from batteryscope.balance import choose_images
from batteryscope.config.learning import AugmentSettings, ModelSettings, TrainSettings
from batteryscope.errors import ConfigError
from batteryscope.models.classifier import build_classifier
from batteryscope.models.layer_groups import group_layers, group_trained_parameters
from batteryscope.training import callbacks
from batteryscope.training.data import EpochBatches, draw_balanced
from batteryscope.training.module import StageModule, measure_losses
from batteryscope.training.stage import plan_fits, train_stage
from tests.texture_fits import CLASSES, Interrupt, make_data, make_settings, run

FOCAL = TrainSettings(loss="focal", focal_gamma=1.5)


@pytest.fixture
def data():
    return make_data()


def make_module(settings) -> StageModule:
    model = build_classifier(settings.model, CLASSES, 32, seed=1)
    return StageModule(model, settings.train, settings.augment, 1, steps_per_epoch=4)


def find_trained(model) -> list[bool]:
    """Whether each layer group is trained, stem first."""
    parameters = dict(model.backbone.named_parameters())
    groups = group_layers(model.backbone)
    assert all(len({parameters[n].requires_grad for n in names}) == 1 for names in groups)
    return [parameters[names[0]].requires_grad for names in groups]


def test_focal_loss_is_the_closed_formula():
    logits = torch.tensor([[2.0, 0.5, -1.0], [0.0, 0.0, 0.0], [-3.0, 1.0, 4.0]])
    targets = torch.tensor([0, 1, 0])
    p = torch.softmax(logits.double(), 1)[torch.arange(3), targets]
    expected = -((1 - p) ** 1.5) * p.log()
    assert torch.allclose(measure_losses(logits, targets, FOCAL).double(), expected, atol=1e-6)
    half = measure_losses(torch.zeros(1, 2), torch.tensor([1]), TrainSettings(loss="focal"))
    assert half.item() == pytest.approx(0.25 * 0.6931472)  # (1 - 1/2)² log 2


def test_focal_loss_without_focus_is_cross_entropy():
    logits, targets = torch.randn(5, 4, generator=torch.Generator().manual_seed(0)), torch.arange(5)
    plain = measure_losses(logits, targets % 4, TrainSettings())
    focal = measure_losses(logits, targets % 4, TrainSettings(loss="focal", focal_gamma=0.0))
    assert torch.equal(plain, functional.cross_entropy(logits, targets % 4, reduction="none"))
    assert torch.allclose(plain, focal, atol=1e-6)


def test_focal_loss_of_a_batch_counts_tile_weights(data, monkeypatch):
    settings = make_settings(loss="focal", focal_gamma=1.5, model={"dropout": 0.0})
    unchanged = AugmentSettings(flips=False, quarter_turns=False)
    module = make_module(settings.model_copy(update={"augment": unchanged})).eval()
    monkeypatch.setattr(module, "log", lambda *_, **__: None)  # there is no trainer to log to
    tiles, targets = torch.from_numpy(data[0][:2]).unsqueeze(1), torch.tensor([0, 1])
    one, other = measure_losses(module.model(tiles), targets, settings.train).tolist()
    loss = module.training_step((tiles, targets, torch.tensor([3.0, 0.5])), 0)
    assert loss.item() == pytest.approx((3 * one + 0.5 * other) / 2)


def count_classes(batches, targets):
    return torch.bincount(torch.tensor(targets)[list(chain.from_iterable(batches))]).tolist()


def test_every_class_is_drawn_equally_often():
    targets = torch.tensor([0] * 90 + [1] * 8 + [3] * 2).numpy()
    batches = EpochBatches(100, 9, seed=1, items_per_epoch=99, balanced_targets=targets)
    assert len(batches) == 11
    assert count_classes(batches, targets) == [33, 33, 0, 33]
    batches = EpochBatches(100, 100, seed=1, balanced_targets=targets)
    assert sorted(count_classes(batches, targets)) == [0, 33, 33, 34]
    drawn = next(iter(batches))
    assert {98, 99} <= set(drawn)  # all of a small class, many times
    assert sorted(targets[drawn].tolist()) != targets[drawn].tolist()


def test_every_image_of_a_class_is_drawn_equally_often():
    targets = np.array([0] * 40 + [1] * 40)
    samples = np.array(["a"] * 36 + ["b"] * 4 + ["c"] * 20 + ["d"] * 20, object)  # b has few tiles
    drawn = draw_balanced(targets, 4000, np.random.default_rng(0), samples)
    names, counts = np.unique(samples[drawn].astype(str), return_counts=True)
    assert names.tolist() == ["a", "b", "c", "d"]
    assert counts == pytest.approx([1000] * 4, abs=120)  # four standard deviations
    alike = [
        draw_balanced(targets[40:], 9, np.random.default_rng(1), s) for s in (None, samples[40:])
    ]
    assert alike[0].tolist() == alike[1].tolist()


def test_balanced_order_depends_on_seed_and_epoch_alone():
    targets = torch.tensor([0] * 18 + [1] * 2).numpy()
    batches = EpochBatches(20, 5, seed=3, balanced_targets=targets)
    first = list(batches)
    batches.set_epoch(1)
    assert list(batches) != first
    assert list(EpochBatches(20, 5, seed=4, balanced_targets=targets)) != first
    batches.set_epoch(0)
    assert list(batches) == first
    ranks = [
        EpochBatches(20, 5, seed=3, rank=r, world_size=2, balanced_targets=targets)
        for r in range(2)
    ]
    own = [list(chain.from_iterable(rank)) for rank in ranks]
    assert list(chain.from_iterable(zip(*own, strict=True))) == list(chain.from_iterable(first))


@pytest.mark.parametrize("backbone", ["test_resnet", "test_vit", "test_convnext"])
def test_unfreezing_adds_a_group_from_the_top(backbone, monkeypatch):
    settings = make_settings(epochs=20, unfreeze_every_epochs=2, model={"backbone": backbone})
    module = make_module(settings)
    n = len(group_layers(module.model.backbone))
    for epoch, n_trained in [(0, 1), (1, 1), (2, 2), (5, 3), (19, n), (3, 2)]:
        monkeypatch.setattr(StageModule, "current_epoch", epoch)
        module.on_train_epoch_start()
        assert find_trained(module.model) == [False] * (n - n_trained) + [True] * n_trained
        modules = module.model.backbone.modules()
        norms = [m for m in modules if isinstance(m, torch.nn.BatchNorm2d)]
        assert all(m.training == m.weight.requires_grad for m in norms)
    assert module.model.backbone.get_classifier().training


def test_unfreezing_stops_at_frozen_groups(monkeypatch):
    settings = make_settings(epochs=20, unfreeze_every_epochs=1, model={"freeze": 2})
    module = make_module(settings)
    monkeypatch.setattr(StageModule, "current_epoch", 19)
    module.on_train_epoch_start()
    assert find_trained(module.model) == [False] * 2 + [True] * 4


def test_frozen_layers_keep_weights_and_statistics_until_their_turn(data, tmp_path):
    parent = run(data, make_settings(epochs=1), tmp_path / "a", tmp_path / "parent")
    tiles, index, manifest, split, balance = data
    settings = make_settings(
        epochs=2, unfreeze_every_epochs=1, weight_decay=0.1, learning_rate=3e-4, monitor="val_loss"
    )
    classes, tasks = plan_fits(
        settings, manifest, split, balance, index, tiles, [(0, 0)], "c", {"r0_f0": parent}
    )
    train_stage(settings, classes, tasks, tiles, tmp_path / "b", tmp_path / "child")
    child = tmp_path / "child" / "r0_f0"
    assert json.loads((child / "fit.json").read_text())["best_epoch"] == 1
    before, after = (load_file(fit / "weights.safetensors") for fit in (parent, child))
    changed = {key.split(".")[1] for key in before if not torch.equal(before[key], after[key])}
    assert changed == {"layer4", "fc"}
    statistics = [key for key in before if "layer4" in key and key.endswith("running_mean")]
    assert statistics
    assert not any(torch.equal(before[key], after[key]) for key in statistics)


@pytest.mark.parametrize("optimiser", ["adamw", "sgd"])
def test_interrupted_unfreezing_resumes_to_the_same_weights(data, tmp_path, optimiser, monkeypatch):
    monkeypatch.setattr(callbacks, "MAX_SAVING_SHARE", float("inf"))
    settings = make_settings(
        epochs=4,
        balance={"method": "class_balanced"},
        loss="focal",
        unfreeze_every_epochs=1,
        layer_decay=0.5,
        schedule="cosine",
        optimiser=optimiser,
    )
    whole = run(data, settings, tmp_path / "a", tmp_path / "whole")
    listener = Interrupt(after=3)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        run(data, settings, tmp_path / "b", tmp_path / "resumed", listener)
    listener.after = 99
    resumed = run(data, settings, tmp_path / "b", tmp_path / "resumed", listener)
    # Epoch 2 alone is trained again, although epoch 1 was no better than epoch 0.
    assert listener.epochs == [0, 1, 2, 2, 3]
    one, two = (load_file(fit / "weights.safetensors") for fit in (whole, resumed))
    assert all(torch.equal(one[key], two[key]) for key in one)
    histories = [
        pd.read_csv(fit / "history.csv").drop(columns="seconds") for fit in (whole, resumed)
    ]
    pd.testing.assert_frame_equal(*histories, check_exact=True)
    assert histories[0]["learning_rate"][0] == pytest.approx(settings.train.learning_rate, rel=0.2)


def test_learning_rates_fall_towards_the_stem():
    settings = make_settings(layer_decay=0.5, learning_rate=0.8, model={"freeze": 1})
    module = make_module(settings)
    (optimiser,), _ = module.configure_optimizers()
    rates = [group["initial_lr"] for group in optimiser.param_groups]
    assert rates == pytest.approx([0.8, 0.4, 0.2, 0.1, 0.05])
    fc = module.model.backbone.fc
    assert {id(p) for p in optimiser.param_groups[0]["params"]} == {id(fc.weight), id(fc.bias)}
    trained = [p for p in module.model.parameters() if p.requires_grad]
    assert len(trained) == sum(len(group["params"]) for group in optimiser.param_groups)


def test_layer_groups_of_stage_statistics_end_with_their_head():
    settings = ModelSettings(
        backbone="test_resnet", weights="random", pooling="stage_statistics", freeze=2
    )
    model = build_classifier(settings, CLASSES, 32, seed=1)
    assert [names[0].split(".")[1] for names in group_layers(model.backbone)] == [
        "conv1", "layer1", "layer2", "layer3", "layer4", "weight",
    ]  # fmt: skip
    assert find_trained(model) == [False, False, True, True, True, True]
    assert len(group_trained_parameters(model.backbone)) == 4


def test_a_single_group_cannot_be_treated_by_layer():
    with pytest.raises(ConfigError, match="single layer group"):
        make_module(make_settings(layer_decay=0.5, model={"freeze": 5}))
    group = torch.nn.Linear(2, 2)
    with pytest.raises(ConfigError, match=r"no layer groups.*Linear"):
        group_layers(group)


def test_validation_images_are_limited_like_training_images(data):
    tiles, index, manifest, split, balance = data
    settings = make_settings(balance={"images_per_class": 1})
    _, (task,) = plan_fits(settings, manifest, split, balance, index, tiles, [(0, 0)], "c")
    labels = manifest.set_index("sample_id")["class"]
    assert sorted(labels[list(task.validation.sample_ids)]) == CLASSES
    ids = pd.Series(["s04", "s05", "s12", "s13"])  # all validation images
    chosen = choose_images(labels[ids], settings.balance, settings.train.seed, 0, 0)
    assert sorted(task.validation.sample_ids) == chosen
    _, (whole,) = plan_fits(make_settings(), manifest, split, balance, index, tiles, [(0, 0)], "c")
    assert sorted(whole.validation.sample_ids) == ids.tolist()
