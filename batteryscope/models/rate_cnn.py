"""The network of Deeg et al. (2024): three blocks of convolutions and a regressor, in timm."""

from typing import Any

from timm.models import register_model
from torch import Tensor, nn

BLOCKS = ((32, 32), (64, 64), (96, 128))
HIDDEN = (64, 64, 64, 64)
LEAK = 0.01


class RateCnn(nn.Module):
    """Image regression with few weights (their Figure 6).

    Three blocks of two 3×3 convolutions, each with batch norm and ReLU; after the first two
    blocks the maximum of 2×2 pixels is kept, after the third the mean of the whole map. Four
    dense layers of 64 with leaky ReLU, batch norm and dropout, then a linear layer.

    With three input channels the convolutions have 231 680 weights, the dense layers with five
    outputs 21 061, batch norm not counted: the "about 230 000" and "about 20 000" of the paper,
    which fit filters of 32-32, 64-64 and 96-128.

    Parameters
    ----------
    num_classes
        Number of outputs.
    in_chans
        Number of input channels.
    drop_rate
        Dropout between the dense layers.
    width
        Factor on the number of filters, for quick runs.
    bands
        Of how many bands from the surface to the foil the means are kept apart, so that it matters
        where a feature lies; the paper's network has one.
    """

    def __init__(
        self,
        num_classes: int = 5,
        in_chans: int = 3,
        drop_rate: float = 0.0,
        width: float = 1.0,
        bands: int = 1,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        layers: list[nn.Module] = []
        channels = in_chans
        for number, block in enumerate(BLOCKS):
            for filters in block:
                n = max(1, round(width * filters))
                layers += [nn.Conv2d(channels, n, 3, padding=1), nn.BatchNorm2d(n), nn.ReLU()]
                channels = n
            if number < len(BLOCKS) - 1:
                layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool2d((bands, 1))
        dense: list[nn.Module] = []
        size = channels * bands
        for hidden in HIDDEN:
            dense += [nn.Linear(size, hidden), nn.LeakyReLU(LEAK), nn.BatchNorm1d(hidden)]
            dense.append(nn.Dropout(drop_rate))
            size = hidden
        self.hidden = nn.Sequential(*dense)
        self.head = nn.Linear(size, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]
        nn.init.normal_(self.head.weight, std=0.05)
        self.default_cfg: dict[str, Any] = {"classifier": "head", "first_conv": "features.0"}

    def get_classifier(self) -> nn.Module:
        """Return the last layer."""
        return self.head

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, in_chans, H, W) to (B, num_classes)."""
        return self.head(self.hidden(self.pool(self.features(x)).flatten(1)))


@register_model
def rate_cnn(pretrained: bool = False, **options: Any) -> RateCnn:
    """Build the network for ``timm.create_model``; there are no pretrained weights."""
    if pretrained:
        raise RuntimeError("rate_cnn has no pretrained weights")
    known = ("num_classes", "in_chans", "drop_rate", "width", "bands")
    return RateCnn(**{key: options[key] for key in known if key in options})
