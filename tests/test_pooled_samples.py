"""All tiles of a sample together: one answer from the mean of what their feature maps say."""

import copy
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from batteryscope.bundle.ensemble import group_models
from batteryscope.bundle.number_bundle import NumberBundle
from batteryscope.config.base import validate_settings
from batteryscope.config.learning import ModelSettings
from batteryscope.errors import ConfigError
from batteryscope.evaluation.forward import apply_to_tiles, load_fit
from batteryscope.models.classifier import TileRegressor, build_classifier, rebuild_classifier
from batteryscope.models.stage_statistics import StageStatistics
from batteryscope.plan import StageSettings
from batteryscope.training.stage import plan_fits, train_stage
from tests.texture_fits import make_data

MODEL = {
    "backbone": "test_resnet", "weights": "random", "pooling": "stage_statistics",
    "freeze": "backbone", "kernel_centres": 8, "pool_samples": True, "outputs": ["width"],
}  # fmt: skip


def make_settings(**change):
    values = {
        "study": "s", "stage": "fit", "where": {}, "label_columns": ["class"],
        "targets": ["width"], "balance": {}, "augment": {}, "model": MODEL,
        "train": {"method": "ridge", "shrinkage": 1e-6, "loss": "mse", "monitor": "val_loss"},
    }  # fmt: skip
    return validate_settings(StageSettings, values | change, "here")


def make_model() -> tuple[TileRegressor, np.ndarray]:
    """A network whose answer bends, and tiles of any grey levels."""
    model = build_classifier(ModelSettings.model_validate(MODEL), ["width"], 32, 1)
    assert isinstance(model, TileRegressor)
    rng = np.random.default_rng(0)
    tiles = rng.integers(0, 256, (5, 32, 32), dtype=np.uint8) // np.arange(1, 6)[:, None, None]
    tiles = tiles.astype(np.uint8)
    with torch.inference_mode():
        found = model.eval().backbone.measure(model.input(torch.from_numpy(tiles).unsqueeze(1)))
    model.backbone.get_buffer("feature_mean").copy_(found.mean(0))
    model.backbone.get_buffer("feature_sd").copy_(found.std(0).clamp_min(1e-3))
    centres = model.backbone.weigh(model.backbone.standardise(found))
    model.backbone.get_buffer("centres")[:5] = centres
    torch.nn.init.normal_(model.backbone.head.weight, generator=torch.Generator().manual_seed(0))
    return model, tiles


def answer_mean(model, tiles):
    """The answer to the mean of the statistics of tiles, step by step."""
    with torch.inference_mode():
        x = model.input(torch.from_numpy(tiles).unsqueeze(1))
        mean = model.backbone.measure(x).mean(0, keepdim=True)
        return float(model.complete(model.backbone.score(mean)))


def test_a_sample_has_one_answer_from_the_mean_of_its_tiles():
    model, tiles = make_model()
    samples = np.array(["b", "a", "b", "b", "a"], dtype=object)
    found = apply_to_tiles(model, tiles, None, 2, samples=samples)[:, 0]
    expected = {name: answer_mean(model, tiles[samples == name]) for name in ("a", "b")}
    assert found == pytest.approx([expected[name] for name in samples], rel=1e-4)
    alone = apply_to_tiles(model, tiles, None, 2)[:, 0]
    assert alone == pytest.approx([answer_mean(model, tile[None]) for tile in tiles], rel=1e-4)
    assert alone[[1, 4]].mean() != pytest.approx(expected["a"], rel=1e-3)  # the law is bent


def test_a_published_model_says_what_was_tested_and_slices_stay_apart():
    model, tiles = make_model()
    target = SimpleNamespace(name="width", arm="main")
    record = SimpleNamespace(targets=[target], members=[SimpleNamespace(arm="main")] * 2)
    models = [model, copy.deepcopy(model)]  # another fold: other pictures to be likened to
    models[1].backbone.get_buffer("feature_mean").mul_(1.1)
    models[1].backbone.get_buffer("feature_sd").mul_(1.5)
    models[1].get_buffer("output_sd").fill_(3.0)
    groups = group_models(models)
    assert len(groups) == 1  # one pass for both
    bundle = SimpleNamespace(record=record, models=models, _batch_size=2, _groups=groups)
    one = NumberBundle.ask_models(bundle, tiles, one_sample=True)[:, :, 0]
    slices = NumberBundle.ask_models(bundle, tiles)[:, :, 0]
    for number, own in enumerate(models):
        assert one[number] == pytest.approx(np.full(5, answer_mean(own, tiles)), rel=1e-4)
        alone = apply_to_tiles(own, tiles, None, 5)[:, 0]
        assert slices[number] == pytest.approx(alone, rel=1e-4)
    assert abs(slices[0] - slices[1]).min() > 1e-3


def test_samples_are_learnt_from_the_tiles_that_judge_them(tmp_path):
    tiles, index, manifest, split, balance = make_data()
    manifest = manifest.assign(width=np.arange(1.0, len(manifest) + 1))
    settings = make_settings()
    names, [task] = plan_fits(settings, manifest, split, balance, index, tiles, [(0, 0)], "c")
    judging = index.set_index("tile").loc[task.training.rows]
    assert set(judging["kind"]) == {"grid"}
    trained = split.loc[(split["fold"] == 0) & (split["role"] == "train"), "sample_id"]
    assert set(judging["sample_id"]) == set(trained)
    train_stage(settings, names, [task], tiles, tmp_path / "state", tmp_path / "out")
    model = load_fit(tmp_path / "out" / "r0_f0")
    found = apply_to_tiles(model, tiles, task.training.rows, 8, samples=task.training.sample_ids)
    # As many centres as samples and hardly any penalty: every sample is met.
    assert found == pytest.approx(task.training.targets, abs=0.05)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {
                "train": {"loss": "mse", "monitor": "val_loss"},
                "model": MODEL | {"kernel_centres": None},
            },
            "pool_samples needs .* 'ridge'",
        ),
        ({"balance": {"method": "oversample"}}, "has no effect with model.pool_samples"),
    ],
)
def test_pooling_needs_what_it_is_for(change, sentence):
    with pytest.raises(ConfigError, match=sentence):
        make_settings(**change)


def test_bent_layers_of_earlier_versions_answer_as_they_did() -> None:
    """exp(-gamma × mean squared difference), all statistics counted alike."""
    settings = ModelSettings(
        backbone="test_resnet", weights="random", pooling="stage_statistics", freeze="backbone",
        kernel_centres=3, kernel_gamma=0.7,
    )  # fmt: skip
    model = build_classifier(settings, ["a", "b"], 32, seed=1).eval()
    saved = dict(model.state_dict())
    shape = saved["backbone.centres"].shape
    centres = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    saved["backbone.centres"] = centres
    del saved["backbone.likeness_weight"]
    old = rebuild_classifier(model.description.as_dict(), saved)
    assert isinstance(old.backbone, StageStatistics)
    asked = torch.randn(4, centres.shape[1], generator=torch.Generator().manual_seed(1))
    expected = torch.exp(-0.7 * (asked[:, None] - centres).square().mean(2))
    torch.testing.assert_close(old.backbone.liken(asked), expected, rtol=1e-4, atol=1e-5)
