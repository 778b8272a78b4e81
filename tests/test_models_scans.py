"""What scans need of networks: stacked slices, a head of two layers, classic backbones, rolling."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from batteryscope.augment import TileAugmentation
from batteryscope.config.learning import AugmentSettings, ModelSettings
from batteryscope.config.project import load_project
from batteryscope.explain.attribution import attribute_tiles, find_map_shape
from batteryscope.explain.polar_arm import attribute_turned
from batteryscope.models.classifier import TileClassifier, build_classifier, rebuild_classifier
from batteryscope.models.layer_groups import group_layers
from batteryscope.models.two_layer_head import TwoLayerHead
from batteryscope.plan import plan_study
from batteryscope.training.data import as_batch, count_channels, count_grey_levels

CLASSES = list("abcd")
STACK = np.random.default_rng(1).integers(0, 255, (2, 3, 64, 64)).astype(np.uint8)


def build(backbone: str = "test_resnet", px: int = 64, **more: object) -> TileClassifier:
    settings = ModelSettings.model_validate({"backbone": backbone, "weights": "random", **more})
    return build_classifier(settings, CLASSES, px, seed=1, tile_channels=3)


def test_stacked_slices_take_the_place_of_colours() -> None:
    model = build(grey_levels="per_image").eval()
    with torch.inference_mode():
        x = model.input(as_batch(STACK))
        assert x.shape == (2, 3, 64, 64)
        assert not torch.equal(x[:, 0], x[:, 1])
        # A grey tile is the same as a stack of three equal slices.
        same = model(as_batch(STACK[:, :1].repeat(3, 1)))
        torch.testing.assert_close(model(as_batch(STACK[:, 0])), same)
    assert (count_channels(STACK), count_channels(STACK[:, 0])) == (3, 1)
    assert int(count_grey_levels(STACK, np.array([0, 1])).sum()) == STACK.size
    maps = attribute_tiles(model, STACK, [0, 1])
    assert maps.grad_cam.shape == (2, 64, 64)


@pytest.mark.parametrize(("backbone", "freeze"), [("test_resnet", 1), ("googlenet", 1)])
def test_head_of_two_layers(backbone: str, freeze: int) -> None:
    model = build(backbone, head_units=8, dropout=0.4, freeze=freeze).eval()
    assert isinstance(model.backbone, TwoLayerHead)
    kinds = [type(layer) for layer in model.backbone.head]
    assert kinds == [nn.Dropout, nn.Linear, nn.ReLU, nn.Dropout, nn.Linear]
    assert all(p.requires_grad for p in model.backbone.head.parameters())
    frozen = {n for n, p in model.backbone.named_parameters() if not p.requires_grad}
    assert frozen == set(group_layers(model.backbone)[0])
    again = rebuild_classifier(model.description.as_dict(), model.state_dict())
    with torch.inference_mode():
        assert torch.equal(again(as_batch(STACK)), model(as_batch(STACK)))
    alone = build(backbone, head_units=8, freeze="backbone")
    assert {n for n, p in alone.backbone.named_parameters() if p.requires_grad} == {
        f"head.{n}"
        for n, _ in alone.backbone.head.named_parameters()  # type: ignore[union-attr]
    }
    with pytest.raises(ValueError, match="head_units 8 does not go with pooling"):
        ModelSettings(head_units=8, pooling="stage_statistics")


def test_classic_backbones_follow_the_rules_of_timm() -> None:
    model = build("googlenet", freeze="backbone")
    names = [n for n, p in model.backbone.named_parameters() if p.requires_grad]
    assert names == ["fc.weight", "fc.bias"]
    assert len(group_layers(model.backbone)) == 5
    grey = build_classifier(
        ModelSettings(backbone="googlenet", weights="random", grey_input="sum_stem"), CLASSES, 64, 1
    ).eval()
    with torch.inference_mode():
        assert grey(as_batch(STACK[:, 0])).shape == (2, 4)


# Among the networks that the study names, those that are quick to build.
@pytest.mark.parametrize("arm", ["googlenet", "convnextv2_atto"])
def test_networks_of_the_paper_scale_train(arm: str) -> None:
    study = load_project(Path(__file__).parent.parent / "params.yaml", {"scale": "paper"}).studies[
        "cell_health"
    ]
    plan = plan_study("cell_health", study)
    settings = plan.stages[plan.arms[arm].chains[-1]].settings.model
    model = build_classifier(settings.model_copy(update={"weights": "random"}), CLASSES, 96, 1, 3)
    frozen = {n: p.clone() for n, p in model.named_parameters() if not p.requires_grad}
    assert frozen
    tiles = as_batch(STACK.repeat(2, axis=2).repeat(2, axis=3)[..., :96, :96])
    loss = torch.nn.functional.cross_entropy(model(tiles), torch.tensor([0, 3]))
    loss.backward()
    trained = [p for p in model.parameters() if p.requires_grad]
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in trained)
    torch.optim.SGD(trained, 1e-3).step()
    assert all(torch.equal(p, frozen[n]) for n, p in model.named_parameters() if n in frozen)


def test_shape_of_the_map_before_it_is_enlarged() -> None:
    model = build(px=96).eval()
    narrow = np.zeros((3, 96, 64), np.uint8)
    assert find_map_shape(model, narrow) == (3, 2)
    assert find_map_shape(model, STACK[0]) == (2, 2)


def test_maps_of_unrolled_tiles_have_no_seam() -> None:
    model = build().eval()
    maps = attribute_turned(model, STACK, [0, 1], turns=4, batch_size=2)
    turned = attribute_turned(model, np.roll(STACK, 16, axis=-1), [0, 1], turns=4, batch_size=2)
    np.testing.assert_allclose(turned, np.roll(maps, 16, axis=-1), atol=1e-6)
    plain = attribute_tiles(model, STACK, [0, 1], "grad_cam", 2).grad_cam
    np.testing.assert_allclose(attribute_turned(model, STACK, [0, 1], 1, 2), plain)


def test_rolling_moves_columns_around_the_edge() -> None:
    settings = AugmentSettings(flips=False, quarter_turns=False, roll_columns=True)
    tiles = as_batch(STACK)
    rolled = TileAugmentation(settings)(tiles, torch.Generator().manual_seed(3))
    for before, after in zip(tiles.float(), rolled, strict=True):
        steps = [k for k in range(64) if torch.equal(torch.roll(before, k, 2), after)]
        assert len(steps) == 1


def test_mirroring_keeps_rows_where_they_are() -> None:
    settings = AugmentSettings(flips=False, quarter_turns=False, flip_columns=True)
    tiles = as_batch(STACK[:1].repeat(40, axis=0))
    out = TileAugmentation(settings)(tiles, torch.Generator().manual_seed(3))
    same = [torch.equal(tile, tiles[0].float()) for tile in out]
    mirrored = [torch.equal(tile, tiles[0].float().flip(2)) for tile in out]
    assert all(a != b for a, b in zip(same, mirrored, strict=True))
    assert 10 < sum(same) < 30


def test_both_axes_can_have_their_own_scale() -> None:
    settings = AugmentSettings(flips=False, quarter_turns=False, scale=0.4, scale_per_axis=True)
    disc = torch.zeros(8, 1, 65, 65)
    rows, columns = torch.meshgrid(torch.arange(65), torch.arange(65), indexing="ij")
    disc[:, :, (rows - 32) ** 2 + (columns - 32) ** 2 < 200] = 255
    out = TileAugmentation(settings)(disc, torch.Generator().manual_seed(1)) > 128
    heights, widths = out.any(3).sum(2).flatten(), out.any(2).sum(2).flatten()
    assert (heights - widths).abs().max() > 4
