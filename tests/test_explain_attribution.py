import numpy as np
import pytest
import torch
from torch import nn

from batteryscope.config.learning import ModelSettings
from batteryscope.errors import ConfigError
from batteryscope.explain.attribution import (
    attribute_tiles,
    find_feature_layer,
    measure_share,
)
from batteryscope.models.classifier import TileClassifier, build_classifier
from batteryscope.seeds import derive_rng

EDGE = 64


pytestmark = pytest.mark.usefixtures("one_thread")


def make_model(backbone: str = "test_resnet", **settings: object) -> TileClassifier:
    values = {"backbone": backbone, "weights": "random", **settings}
    return build_classifier(ModelSettings(**values), ["a", "b", "c"], EDGE, seed=1).eval()


def make_tiles(n: int = 3) -> np.ndarray:
    return derive_rng("tiles").integers(0, 256, (n, EDGE, EDGE), dtype=np.uint8)


class Windows(nn.Module):
    """Keeps the upper left quarter of the first map and the lower right one of the second."""

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        windows = torch.zeros(1, 2, *maps.shape[2:])
        half = maps.shape[2] // 2
        windows[:, 0, :half, :half] = windows[:, 1, half:, half:] = 1
        return maps * windows


class CornerNet(nn.Sequential):
    """Class 0 is the brightness of the upper left quarter, class 1 that of the lower right one."""

    def __init__(self) -> None:
        stem = nn.Conv2d(3, 2, 4, stride=4)
        nn.init.constant_(stem.weight, 1 / 48)
        nn.init.zeros_(stem.bias)
        super().__init__(stem, nn.ReLU(inplace=True), Windows(), nn.AdaptiveAvgPool2d(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x)[:, :, 0, 0]


def test_attribution_lies_where_a_hand_built_network_looks() -> None:
    model = make_model()
    model.backbone = CornerNet()
    tile = np.full((2, EDGE, EDGE), 200, np.uint8)
    maps = attribute_tiles(model, tile, [0, 1])
    upper_left = np.zeros((EDGE, EDGE), bool)
    upper_left[: EDGE // 2, : EDGE // 2] = True
    lower_right = upper_left[::-1, ::-1]
    for found in (maps.grad_cam, maps.guided_grad_cam):
        assert measure_share(found[0], upper_left) > 0.9  # bilinear enlarging smears the edge
        assert measure_share(found[1], lower_right) > 0.9
        assert measure_share(found[0], lower_right) < 0.02
    # Guided backpropagation sees single pixels: none outside the window has a gradient.
    assert measure_share(maps.guided_grad_cam[0], upper_left) == pytest.approx(1)


def test_attribution_of_a_trained_network_lies_on_the_feature() -> None:
    """A bright blob at a random place makes the class; the maps must follow it."""
    rng = derive_rng("blobs")
    n = 64
    tiles = rng.integers(90, 110, (n, EDGE, EDGE)).astype(np.uint8)
    masks = np.zeros((n, EDGE, EDGE), bool)
    for i, (top, left) in enumerate(rng.integers(8, EDGE - 24, (n, 2))):
        masks[i, top : top + 16, left : left + 16] = True
        if i % 2:
            tiles[i][masks[i]] = 230
    model = make_model()
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model.backbone = nn.Sequential(
            nn.Conv2d(3, 8, 5, stride=4, padding=2), nn.SiLU(inplace=True),
            nn.Conv2d(8, 8, 3, padding=1), nn.SiLU(inplace=True),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2),
        )  # fmt: skip
        optimiser = torch.optim.Adam(model.backbone.parameters(), 2e-2)
        x, target = torch.from_numpy(tiles).unsqueeze(1), torch.arange(n) % 2
        for _ in range(60):
            optimiser.zero_grad()
            loss = nn.functional.cross_entropy(model(x), target)
            loss.backward()
            optimiser.step()
    assert loss.item() < 0.1
    shown = np.arange(1, n, 2)
    maps = attribute_tiles(model, tiles[shown], [1] * len(shown))
    for found in (maps.grad_cam, maps.guided_grad_cam):
        shares = [measure_share(m, masks[i]) for m, i in zip(found, shown, strict=True)]
        assert np.mean(shares) > 5 * masks.mean()


@pytest.mark.parametrize(
    ("backbone", "options"),
    [
        ("test_resnet", {}),
        ("test_efficientnet", {}),
        ("test_convnext", {}),
        ("mobilenetv3_small_050", {}),
        ("test_efficientnet", {"grey_input": "sum_stem"}),
        ("test_resnet", {"grey_levels": "histogram_match"}),
    ],
)
def test_any_convolutional_backbone_is_explained(backbone: str, options: dict) -> None:
    model = make_model(backbone, **options)
    tiles = make_tiles()
    before = model(torch.from_numpy(tiles).unsqueeze(1))
    maps = attribute_tiles(model, tiles, [0, 1, 2], batch_size=2)
    assert maps.grad_cam.shape == maps.guided_grad_cam.shape == tiles.shape
    for found in (maps.grad_cam, maps.guided_grad_cam):
        assert np.isfinite(found).all()
        assert found.min() >= 0
    assert maps.grad_cam.max() > 0
    # Nothing of it stays in the model, and it repeats to the last bit.
    after = model(torch.from_numpy(tiles).unsqueeze(1))
    torch.testing.assert_close(before, after, rtol=0, atol=0)
    again = attribute_tiles(model, tiles, [0, 1, 2], batch_size=2)
    np.testing.assert_array_equal(maps.grad_cam, again.grad_cam)
    np.testing.assert_array_equal(maps.guided_grad_cam, again.guided_grad_cam)


def test_guided_gradients_equal_captum_for_relu_networks() -> None:
    from captum.attr import GuidedGradCam

    model = make_model("test_resnet")
    tiles = make_tiles(1)
    ours = attribute_tiles(model, tiles, [1])
    for module in model.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
    layer = find_feature_layer(model)
    x = model.input(torch.from_numpy(tiles).unsqueeze(1)).detach().clone().requires_grad_()
    with pytest.warns(UserWarning, match="hooks"):
        theirs = GuidedGradCam(model.backbone, layer).attribute(
            x, target=1, interpolate_mode="bilinear"
        )
    theirs_map = theirs.sum(1).abs()[0].detach().numpy()
    np.testing.assert_allclose(ours.guided_grad_cam[0], theirs_map, rtol=1e-3, atol=1e-7)


def test_grad_cam_alone_and_no_tiles() -> None:
    model = make_model()
    assert attribute_tiles(model, make_tiles(1), [0], "grad_cam").guided_grad_cam is None
    none = attribute_tiles(model, make_tiles(0), [])
    assert none.grad_cam.shape == (0, EDGE, EDGE)
    with pytest.raises(ValueError, match="3 tiles but 1"):
        attribute_tiles(model, make_tiles(), [0])


def test_in_place_activations_and_training_mode_come_back() -> None:
    model = make_model().train()
    before = [m.inplace for m in model.modules() if hasattr(m, "inplace")]
    attribute_tiles(model, make_tiles(1), [0])
    assert model.training
    assert [m.inplace for m in model.modules() if hasattr(m, "inplace")] == before


def test_backbone_without_feature_maps_is_refused_in_one_sentence() -> None:
    model = make_model("test_vit", backbone_options={"img_size": EDGE})
    with pytest.raises(ConfigError, match=r"test_vit.*convolutional"):
        attribute_tiles(model, make_tiles(1), [0])


def test_share_has_known_answers() -> None:
    values = np.array([[3.0, 1.0], [0.0, 4.0]])
    assert measure_share(values, np.array([[True, False], [True, False]])) == 3 / 8
    assert measure_share(values, np.ones((2, 2), bool)) == 1
    assert measure_share(values, np.zeros((2, 2), bool)) == 0
    assert np.isnan(measure_share(np.zeros((2, 2)), np.ones((2, 2), bool)))
    with pytest.raises(ValueError, match="shape"):
        measure_share(values, np.ones((2, 3), bool))
    with pytest.raises(ValueError, match="non-negative"):
        measure_share(-values, np.ones((2, 2), bool))
