"""Networks: input scaling, weights from files, errors that say what to do."""

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from skimage.exposure import match_histograms

from batteryscope.augment import TileAugmentation
from batteryscope.config.learning import AugmentSettings, ModelSettings
from batteryscope.errors import BatteryscopeError, ConfigError
from batteryscope.models import known_weights
from batteryscope.models.classifier import build_classifier, rebuild_classifier
from batteryscope.models.grey_input import GreyInput
from batteryscope.models.known_weights import KnownWeights
from batteryscope.provenance import digest_file

INPUT = {"input_mean": 0.449, "input_sd": 0.226}  # a file of unknown content must state them


@pytest.fixture
def tiles():
    rng = np.random.default_rng(0)
    values = rng.normal([[[60]], [[120]], [[180]]], [[[10]], [[30]], [[5]]], (3, 48, 48))
    return torch.from_numpy(np.clip(values, 0, 255).astype(np.uint8)).unsqueeze(1)


def scaled(tiles, mode, histogram=None):
    layer = GreyInput(mode, 1, 0.5, 0.25)  # its normalisation undoes STANDARD_MEAN and _SD
    if histogram is not None:
        layer.learn_statistics(histogram)
    return layer(tiles)


def test_raw_is_linear():
    tile = torch.tensor([[[[0, 255]]]], dtype=torch.uint8)
    assert scaled(tile, "raw").flatten().tolist() == [-2.0, 2.0]


def test_per_image_standardises_each_tile(tiles):
    x = scaled(tiles, "per_image")
    assert torch.allclose(x.mean((1, 2, 3)), torch.zeros(3), atol=1e-5)
    assert torch.allclose(x.std((1, 2, 3)), torch.ones(3), atol=1e-4)


def test_per_image_ignores_brightness_and_contrast(tiles):
    x = tiles[:1].float()
    assert torch.allclose(scaled(x, "per_image"), scaled(0.5 * x + 40, "per_image"), atol=1e-4)


def test_dataset_standardises_with_training_statistics(tiles):
    histogram = torch.bincount(tiles.flatten().long(), minlength=256)
    x = scaled(tiles, "dataset", histogram)
    assert x.mean().abs() < 1e-4
    assert abs(float(x.std()) - 1) < 1e-3
    assert (x[0].mean() < x[1].mean() < x[2].mean()).item()


def test_histogram_match_agrees_with_scikit_image(tiles):
    reference, source = tiles[1, 0].numpy(), tiles[0, 0].numpy()
    histogram = torch.bincount(tiles[1].flatten().long(), minlength=256)
    ours = scaled(tiles[:1], "histogram_match", histogram) * 0.25 + 0.5
    expected = match_histograms(source, reference)
    assert np.abs(ours[0, 0].numpy() * 255 - expected).mean() < 1.5


def test_clahe_raises_local_contrast(tiles):
    flat = torch.full((1, 1, 48, 48), 100, dtype=torch.uint8)
    flat[..., ::2] += 6
    assert scaled(flat, "clahe").std() > 1.5 * scaled(flat, "raw").std()


def test_statistics_travel_with_the_weights(tiles):
    settings = ModelSettings(backbone="test_resnet", weights="random", grey_levels="dataset")
    model = build_classifier(settings, ["a", "b"], 48, seed=1).eval()
    model.input.learn_statistics(torch.bincount(tiles.flatten().long(), minlength=256))
    copy = rebuild_classifier(model.description.as_dict(), model.state_dict())
    assert torch.equal(model(tiles), copy(tiles))


def test_building_leaves_the_global_random_state_alone():
    before = torch.random.get_rng_state()
    settings = ModelSettings(backbone="test_resnet", weights="random")
    one = build_classifier(settings, ["a", "b"], 48, seed=1)
    two = build_classifier(settings, ["a", "b"], 48, seed=1)
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))


def save_backbone(path):
    settings = ModelSettings(backbone="test_resnet", weights="random")
    model = build_classifier(settings, list("abcdefg"), 48, seed=9)
    save_file({k: v.contiguous() for k, v in model.backbone.state_dict().items()}, path)
    return model


def test_weights_from_a_local_file_fill_all_but_the_head(tmp_path):
    path = tmp_path / "weights.safetensors"
    origin = save_backbone(path)
    settings = ModelSettings(
        backbone="test_resnet", weights=str(path), weights_sha256=digest_file(path), **INPUT
    )
    model = build_classifier(settings, ["a", "b"], 48, seed=1)
    assert torch.equal(model.backbone.conv1[0].weight, origin.backbone.conv1[0].weight)
    assert model.backbone.get_classifier().out_features == 2


def test_summed_stem_equals_three_grey_channels(tmp_path, tiles):
    path = tmp_path / "weights.safetensors"
    save_backbone(path)
    common = {"backbone": "test_resnet", "weights": str(path), **INPUT}
    three = build_classifier(ModelSettings(**common), ["a", "b"], 48, seed=1).eval()
    one = build_classifier(
        ModelSettings(**common, grey_input="sum_stem"), ["a", "b"], 48, seed=1
    ).eval()
    one.backbone.get_classifier().load_state_dict(three.backbone.get_classifier().state_dict())
    assert torch.allclose(three(tiles), one(tiles), atol=1e-4)


def test_frozen_backbone_trains_its_head_only():
    settings = ModelSettings(backbone="test_resnet", weights="random", freeze="backbone")
    model = build_classifier(settings, ["a", "b"], 48, seed=1)
    trained = [name for name, p in model.named_parameters() if p.requires_grad]
    assert trained == ["backbone.fc.weight", "backbone.fc.bias"]


def test_first_layer_groups_can_be_frozen():
    settings = ModelSettings(backbone="test_resnet", weights="random", freeze=2)
    model = build_classifier(settings, ["a", "b"], 48, seed=1)
    frozen = {n.split(".")[1] for n, p in model.named_parameters() if not p.requires_grad}
    assert frozen == {"conv1", "bn1", "layer1"}
    with pytest.raises(BatteryscopeError, match="leave nothing to train"):
        build_classifier(settings.model_copy(update={"freeze": 99}), ["a", "b"], 48, seed=1)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"backbone": "resnet181"}, "'resnet181' is no backbone.*did you mean resnet18"),
        ({"weights": "nowhere.pth"}, "nowhere.pth"),
        ({"weights_sha256": "0" * 64}, "SHA-256.*000000000000"),
        ({"backbone": "resnet18"}, "do not fit this backbone"),
        ({"backbone_options": {"no_such_option": 1}}, "backbone_options"),
    ],
)
def test_mistakes_are_one_sentence(tmp_path, change, words):
    path = tmp_path / "weights.safetensors"
    save_backbone(path)
    values = {"backbone": "test_resnet", "weights": str(path), **INPUT} | change
    with pytest.raises(BatteryscopeError, match=words) as error:
        build_classifier(ModelSettings(**values), ["a", "b"], 48, seed=1)
    assert "\n" not in str(error.value)


def test_a_weights_file_brings_its_input_or_that_must_be_stated(tmp_path, monkeypatch):
    path = tmp_path / "weights.safetensors"
    save_backbone(path)
    settings = ModelSettings(backbone="test_resnet", weights=str(path))
    with pytest.raises(ConfigError, match=r"state model\.input_mean and model\.input_sd as in"):
        build_classifier(settings, ["a", "b"], 48, seed=1)
    known = KnownWeights("ours", 0.25, 0.75, "same")
    monkeypatch.setitem(known_weights.KNOWN, digest_file(path), known)
    model = build_classifier(settings, ["a", "b"], 48, seed=1)
    assert (model.description.mean, model.description.sd) == (0.25, 0.75)
    # What somebody states stands, and some backbones leave no choice of padding.
    padded = settings.model_copy(update={"backbone": "mobilenetv2_100", "input_mean": 0.5})
    found = known_weights.complete_input(padded)
    assert (found.input_mean, found.input_sd) == (0.5, 0.75)
    assert found.backbone_options == {"pad_type": "same"}
    plain = {"normalisation": "none", "input_mean": None, "backbone_options": {"pad_type": ""}}
    padded = padded.model_copy(update=plain)
    assert known_weights.complete_input(padded) is padded


def test_families_with_a_choice_of_padding_are_those_of_timm():
    own = [n for part in ("efficientnet", "mobilenetv3") for n in timm.list_models(module=part)]
    named = [name for name in own if not name.startswith("tf_")]
    others = set(timm.list_models()) - set(own)
    assert [name for name in named if not name.startswith(known_weights.PADDED_FAMILIES)] == []
    assert [name for name in sorted(others) if name.startswith(known_weights.PADDED_FAMILIES)] == []


def test_weights_file_with_code_in_it_is_refused(tmp_path):
    path = tmp_path / "evil.pth"
    torch.save({"a": print}, path)
    settings = ModelSettings(backbone="test_resnet", weights=str(path), **INPUT)
    with pytest.raises(BatteryscopeError, match="not a readable weights file"):
        build_classifier(settings, ["a", "b"], 48, seed=1)


def augment(tiles, seed=0, **settings):
    values = {"flips": False, "quarter_turns": False} | settings
    generator = torch.Generator().manual_seed(seed)
    return TileAugmentation(AugmentSettings(**values))(tiles, generator)


def test_no_augmentation_changes_nothing(tiles):
    assert torch.equal(augment(tiles), tiles.float())


def test_flips_and_turns_only_move_pixels(tiles):
    changed = augment(tiles, flips=True, quarter_turns=True)
    for before, after in zip(tiles, changed, strict=True):
        assert torch.equal(before.float().flatten().sort()[0], after.flatten().sort()[0])


def test_all_eight_orientations_occur():
    tile = torch.arange(4, dtype=torch.uint8).view(1, 1, 2, 2).expand(200, 1, 2, 2)
    changed = augment(tile, flips=True, quarter_turns=True)
    assert len({tuple(t.flatten().tolist()) for t in changed}) == 8


def test_each_tile_gets_its_own_draw_and_the_seed_repeats_it(tiles):
    same = tiles[:1].expand(8, -1, -1, -1)
    settings = {"rotation_deg": 20, "shift": 0.1, "scale": 0.1, "brightness": 0.2, "contrast": 0.2}
    state = torch.random.get_rng_state()
    one, two = augment(same, 5, **settings), augment(same, 5, **settings)
    assert torch.equal(one, two)
    assert len({float(t.mean()) for t in one}) == 8
    assert torch.equal(state, torch.random.get_rng_state())
    assert one.min() >= 0
    assert one.max() <= 255
