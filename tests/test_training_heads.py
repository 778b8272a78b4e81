"""Fine-tuning that starts well: small new heads, dropout by length, averages of weights."""

import copy
import math

import pandas as pd
import pytest
import timm
import torch
from safetensors.torch import load_file
from torch import nn

from batteryscope.config.learning import ModelSettings, TrainSettings
from batteryscope.models import classifier
from batteryscope.models.classifier import build_classifier
from batteryscope.models.new_head import choose_dropout, initialise_head
from batteryscope.plan import StageSettings
from batteryscope.training.module import StageModule
from batteryscope.training.stage import plan_fits, train_stage
from batteryscope.workflow.command_line import keep_freed_memory
from tests.texture_fits import CLASSES, Interrupt, make_data, make_settings, run

BACKBONES = [
    "test_efficientnet", "test_resnet", "test_convnext", "test_vit", "mobilenetv3_small_050",
    "tf_efficientnet_lite0", "resnet18", "squeezenet1_1", "alexnet", "rate_cnn",
]  # fmt: skip


@pytest.fixture
def data():
    return make_data()


@pytest.fixture
def head_weights(monkeypatch) -> list[torch.Tensor]:
    """Weights of the head after every step of the trainings that a test makes."""
    seen: list[torch.Tensor] = []
    step = StageModule.optimizer_step

    def watch(self, *args, **kwargs):
        step(self, *args, **kwargs)
        seen.append(copy.deepcopy(self.model.backbone.get_classifier().weight.detach()))

    monkeypatch.setattr(StageModule, "optimizer_step", watch)
    return seen


@pytest.mark.parametrize("backbone", [b for b in BACKBONES if b != "squeezenet1_1"])
@pytest.mark.parametrize("head_units", [None, 16])
def test_a_new_network_starts_at_the_logarithm_of_the_classes(backbone, head_units):
    if head_units and backbone in ("alexnet", "rate_cnn"):
        pytest.skip("their heads have several layers of their own")
    classes = [f"class {i}" for i in range(12)]
    settings = ModelSettings(backbone=backbone, weights="random", head_units=head_units)
    if backbone == "test_vit":
        settings.backbone_options["img_size"] = 64
    model = build_classifier(settings, classes, 64, seed=1).eval()
    tiles = torch.randint(0, 256, (24, 1, 64, 64), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        loss = nn.functional.cross_entropy(model(tiles.byte()), torch.arange(24) % 12)
    assert loss.item() < math.log(12) + 0.2


def test_a_large_head_is_what_the_small_one_replaces():
    network = timm.create_model("test_efficientnet", num_classes=12)
    before = network.get_classifier().weight.std().item()
    initialise_head(network.get_classifier())
    after = network.get_classifier().weight.std().item()
    assert before > 0.1
    assert after == pytest.approx(0.01, rel=0.2)
    initialise_head(nn.Identity())  # a network without a head of its own


@pytest.mark.parametrize(
    ("dropout", "epochs", "frozen", "expected"),
    [
        (None, 5, False, 0.0),
        (None, 19, False, 0.0),
        (None, 20, False, 0.2),
        (None, 40, True, 0.0),
        (0.3, 5, False, 0.3),
        (0.0, 40, False, 0.0),
    ],
)
def test_dropout_follows_the_length_of_the_training(dropout, epochs, frozen, expected):
    assert choose_dropout(dropout, epochs, frozen) == expected


def test_the_dropout_that_was_chosen_is_part_of_the_model():
    settings = ModelSettings(backbone="test_resnet", weights="random")
    short = build_classifier(settings, CLASSES, 32, seed=1, epochs=3)
    long = build_classifier(settings, CLASSES, 32, seed=1, epochs=30)
    assert (short.description.dropout, long.description.dropout) == (0.0, 0.2)


def test_first_epoch_of_a_fine_tuning_starts_at_chance(tmp_path, monkeypatch):
    """A pretrained network with a new head: what the first steps of training meet.

    timm gives EfficientNet a head with weights ten times as large, which would not pass.
    """
    data = make_data([f"class {i:02d}" for i in range(12)])
    network = {"backbone": "test_efficientnet", "dropout": 0.2}
    first = run(data, make_settings(epochs=1, model=network), tmp_path / "a", tmp_path / "out_a")
    weights = {k: v for k, v in load_file(first / "weights.safetensors").items() if "backbone" in k}
    state = {k.removeprefix("backbone."): v for k, v in weights.items()}
    torch.save(state, tmp_path / "pretrained.pth")
    stated = {"weights": str(tmp_path / "pretrained.pth"), "input_mean": 0.449, "input_sd": 0.226}
    stated |= network | {"backbone_options": {"pad_type": ""}}
    settings = make_settings(epochs=1, learning_rate=1e-6, model=stated)

    def read_loss(name):
        folder = run(data, settings, tmp_path / name, tmp_path / f"out_{name}")
        return pd.read_csv(folder / "history.csv")["train_loss"][0]

    assert read_loss("b") < math.log(12) + 0.2
    monkeypatch.setattr(classifier, "initialise_head", lambda head: None)
    assert read_loss("c") > math.log(12) + 1


def make_module(settings: StageSettings) -> StageModule:
    model = build_classifier(settings.model, CLASSES, 32, seed=1)
    return StageModule(model, settings.train, settings.augment, 1, steps_per_epoch=4)


def test_the_head_has_a_learning_rate_of_its_own():
    module = make_module(make_settings(learning_rate=1e-3, head_learning_rate=1e-2))
    (optimiser,), _ = module.configure_optimizers()
    body, head = optimiser.param_groups
    assert (body["initial_lr"], head["initial_lr"]) == (1e-3, 1e-2)
    assert {id(p) for p in head["params"]} == {
        id(p) for p in module.model.backbone.get_classifier().parameters()
    }
    n = sum(len(group["params"]) for group in optimiser.param_groups)
    assert n == len(list(module.model.parameters()))
    layered = make_module(make_settings(layer_decay=0.5, head_learning_rate=1e-2))
    (optimiser,), _ = layered.configure_optimizers()
    assert optimiser.param_groups[-1]["initial_lr"] == 1e-2
    assert sum(len(g["params"]) for g in optimiser.param_groups) == n


def test_batch_norm_statistics_can_stay_as_they_were(data, tmp_path):
    kept = run(data, make_settings(epochs=1, batch_norm="keep"), tmp_path / "a", tmp_path / "oa")
    learnt = run(data, make_settings(epochs=1), tmp_path / "b", tmp_path / "ob")
    means = [
        next(v for k, v in load_file(f / "weights.safetensors").items() if "running_mean" in k)
        for f in (kept, learnt)
    ]
    assert not means[0].any()
    assert means[1].any()


@pytest.mark.parametrize("averaging", ["exponential", "equal"])
def test_an_average_of_weights_is_the_result(data, tmp_path, averaging, head_weights):
    settings = make_settings(epochs=2, averaging=averaging, monitor="val_loss")
    folder = run(data, settings, tmp_path / "state", tmp_path / "out")
    state = load_file(folder / "weights.safetensors")
    weight = state[next(k for k in state if k.endswith("fc.weight"))]
    best = pd.read_csv(folder / "history.csv")["val_loss"].idxmin()
    steps = head_weights[: (best + 1) * (len(head_weights) // 2)]
    expected = steps[0]
    if averaging == "equal":
        expected = torch.stack(steps).mean(0)
    else:
        for later in steps[1:]:
            expected = 0.99 * expected + 0.01 * later
    assert torch.allclose(weight, expected, atol=1e-6)
    assert not torch.allclose(weight, steps[-1], atol=1e-6)


def test_an_equal_average_begins_where_it_is_asked_to(data, tmp_path, head_weights):
    seen = head_weights
    settings = make_settings(epochs=3, averaging="equal", averaging_from_epoch=1)
    out = tmp_path / "out"
    tiles, index, manifest, split, balance = data
    classes, tasks = plan_fits(settings, manifest, split, balance, index, tiles, [(0, 0)], "c")
    train_stage(settings, classes, tasks, tiles, tmp_path / "state", out)
    state = load_file(out / "r0_f0" / "weights.safetensors")
    weight = state[next(k for k in state if k.endswith("fc.weight"))]
    history = pd.read_csv(out / "r0_f0" / "history.csv")
    best = int(history["val_accuracy"].idxmax())
    n = len(seen) // 3
    expected = seen[n - 1] if best == 0 else torch.stack(seen[n : (best + 1) * n]).mean(0)
    assert torch.allclose(weight, expected, atol=1e-6)


def test_a_resumed_average_ends_as_an_uninterrupted_one(data, tmp_path):
    settings = make_settings(epochs=4, averaging="exponential", monitor="val_loss")
    whole = run(data, settings, tmp_path / "a", tmp_path / "out_a")
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        run(data, settings, tmp_path / "b", tmp_path / "out_b", Interrupt(2))
    resumed = run(data, settings, tmp_path / "b", tmp_path / "out_b")
    one, two = (load_file(f / "weights.safetensors") for f in (whole, resumed))
    assert all(torch.equal(one[key], two[key]) for key in one)


def test_an_average_that_begins_after_the_training_is_refused():
    with pytest.raises(ValueError, match="averaging_from_epoch 40 is not before the last of 40"):
        TrainSettings(averaging="equal", averaging_from_epoch=40)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"averaging": "exponential"}, "averaging"),
        ({"head_learning_rate": 1e-2}, "head_learning_rate"),
        ({"batch_norm": "keep"}, "batch_norm"),
    ],
)
def test_choices_of_gradient_descent_are_refused_in_closed_form(values, named):
    with pytest.raises(ValueError, match=named):
        make_settings(
            method="discriminant",
            model={"pooling": "stage_statistics", "freeze": "backbone"},
            **values,
        )


def test_kept_memory_is_not_asked_for_again():
    if not keep_freed_memory():
        pytest.skip("needs glibc")
    import resource

    def count_faults() -> int:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(20):
            torch.ones(2_000_000)
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    count_faults()
    assert count_faults() < 20 * 2_000_000 * 4 / 4096 / 4  # less than a quarter of all pages
