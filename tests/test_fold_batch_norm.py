"""Networks that only predict: batch normalisation inside the convolutions, outputs as before."""

import copy

import pytest
import torch
from torch import nn

from batteryscope.config.learning import ModelSettings
from batteryscope.models.classifier import build_classifier
from batteryscope.models.fold_batch_norm import fold_batch_norm

TILES = torch.randint(0, 256, (2, 1, 64, 64), generator=torch.Generator().manual_seed(1))
TILES = TILES.to(torch.uint8)


def count_norms(network):
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


def shake_norms(network):
    """Statistics as after training: new ones would be folded rightly by doing nothing."""
    torch.manual_seed(2)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.3, 0.3)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.3, 0.3)
    return network.eval()


def test_the_weights_are_those_of_the_formula():
    plain = nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1, eps=0.0), nn.ReLU()).eval()
    with torch.no_grad():
        plain[0].weight.fill_(3.0), plain[0].bias.fill_(5.0)
        plain[1].weight.fill_(2.0), plain[1].bias.fill_(-1.0)
        plain[1].running_mean.fill_(7.0), plain[1].running_var.fill_(16.0)
    folded = fold_batch_norm(plain, torch.linspace(-9, 9, 16).view(1, 1, 4, 4))
    # (3 x + 5 − 7) / 4 · 2 − 1 = 1.5 x − 2
    assert folded[0].weight.item() == pytest.approx(1.5)
    assert folded[0].bias.item() == pytest.approx(-2.0)
    assert count_norms(folded) == 0
    assert count_norms(plain) == 1


@pytest.mark.parametrize(
    ("backbone", "pooling"),
    [
        ("test_resnet", "network"),
        ("test_resnet", "stage_statistics"),
        ("mobilenetv2_100", "network"),
        ("tf_efficientnet_lite0", "network"),
    ],
)
def test_networks_answer_as_before_without_any_normalisation(backbone, pooling):
    freeze = "backbone" if pooling == "stage_statistics" else "none"
    settings = ModelSettings(backbone=backbone, weights="random", pooling=pooling, freeze=freeze)
    plain = shake_norms(build_classifier(settings, ["a", "b"], 64, seed=1))
    before = copy.deepcopy(plain.state_dict())
    folded = fold_batch_norm(plain, TILES)
    assert count_norms(plain) > 3
    assert count_norms(folded) == 0
    with torch.inference_mode():
        expected, found = plain(TILES[:1]).softmax(1), folded(TILES[:1]).softmax(1)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    assert all(torch.equal(before[name], value) for name, value in plain.state_dict().items())


class Shortcut(nn.Module):
    """Uses the output of the convolution beside the normalisation, too."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)

    def forward(self, x):
        maps = self.conv(x.float())
        return self.norm(maps) + maps


def test_what_cannot_be_folded_is_left_as_it_is():
    shortcut = shake_norms(Shortcut())
    assert fold_batch_norm(shortcut, TILES) is shortcut
    twice = nn.Conv2d(1, 1, 1)
    shared = shake_norms(nn.Sequential(twice, nn.BatchNorm2d(1), twice, nn.BatchNorm2d(1)))
    assert fold_batch_norm(shared, TILES.float()) is shared
    without = nn.Sequential(nn.Conv2d(1, 1, 1)).eval()
    assert fold_batch_norm(without, TILES.float()) is without
    with pytest.raises(ValueError, match="evaluation mode"):
        fold_batch_norm(shortcut.train(), TILES)
