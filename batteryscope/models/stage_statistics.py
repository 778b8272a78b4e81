"""A frozen backbone read at all its stages: mean and spread of every feature map, and one layer."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from batteryscope.errors import ConfigError

SMALLEST_VARIANCE = 1e-6  # keeps the gradient of a square root finite for a flat feature map


class StageStatistics(nn.Module):
    """Class scores that are linear in the statistics of feature maps, or in their likeness.

    Texture is told by how strongly filters of all sizes answer and how much the answers
    vary over the picture, not by where they answer. So every feature map of every stage
    gives its mean and its standard deviation over the tile.

    With ``n_centres`` the layer takes how like these statistics are to those of training tiles,
    exp(-gamma d²), where d² is the mean over the stages of the mean squared difference of a stage's
    statistics, in units of their mean variance: late stages have many more maps, and would drown
    the fine texture that early ones tell, and maps that hardly vary would add their noise. So it
    learns bent laws, too.

    Parameters
    ----------
    network
        A timm network without classifier.
    n_classes
        Number of outputs.
    n_centres
        Number of training tiles that others are likened to; 0 for a linear layer.
    gamma
        How fast likeness falls.

    Raises
    ------
    ConfigError
        If the network does not give the feature maps of its stages.
    """

    def __init__(
        self, network: nn.Module, n_classes: int, n_centres: int = 0, gamma: float = 0.0
    ) -> None:
        super().__init__()
        self.network = network
        self.default_cfg: dict[str, Any] = {"classifier": "head"}
        sizes = [2 * channels for channels in _count_channels(network)]
        n_features = sum(sizes)
        self.register_buffer("feature_mean", torch.zeros(n_features))
        self.register_buffer("feature_sd", torch.ones(n_features))
        self.standardised = nn.Identity()  # where others can listen
        self.gamma = gamma
        self._sizes = sizes
        if n_centres:
            shares = torch.cat([torch.full((size,), 1 / (len(sizes) * size)) for size in sizes])
            # Squared differences that are multiplied with it add up to their mean.
            self.register_buffer("likeness_weight", shares.sqrt())
            self.register_buffer("centres", torch.zeros(n_centres, n_features))
        self.head = nn.Linear(n_centres or n_features, n_classes)

    @property
    def n_features(self) -> int:
        """Number of statistics of a picture."""
        return len(self.get_buffer("feature_mean"))

    @property
    def has_centres(self) -> bool:
        """Whether pictures are likened to training tiles."""
        return "centres" in self._buffers

    def complete_weights(self, state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
        """Return saved weights with what earlier versions left out: all statistics counted alike.

        ``prefix`` stands before the names of this module's own.
        """
        weight, centres = f"{prefix}likeness_weight", f"{prefix}centres"
        if weight in state or centres not in state:
            return state
        alike = torch.full((self.n_features,), self.n_features**-0.5)
        return state | {weight: alike, centres: state[centres] * alike}

    def measure(self, x: Tensor) -> Tensor:
        """Return the (B, n_features) statistics of normalised pictures (B, C, H, W)."""
        return torch.cat([summarise_maps(maps) for maps in _find_maps(self.network, x)], dim=1)

    def standardise(self, statistics: Tensor) -> Tensor:
        """Return (B, n_features) statistics in standard deviations of the training tiles."""
        mean, sd = self.get_buffer("feature_mean"), self.get_buffer("feature_sd")
        standardised: Tensor = self.standardised((statistics - mean) / sd)
        return standardised

    def judge(self, standardised: Tensor) -> Tensor:
        """Return the (B, n_classes) logits of standardised statistics."""
        return self.head(self.liken(standardised) if self.has_centres else standardised)

    def score(self, statistics: Tensor) -> Tensor:
        """Return the (B, n_classes) logits of statistics."""
        return self.judge(self.standardise(statistics))

    def share_spread(self, sd: NDArray[np.floating[Any]]) -> NDArray[Any]:
        """Give all statistics of a stage one spread, from the (n_features,) spreads of each."""
        parts = np.split(sd, np.cumsum(self._sizes)[:-1])
        return np.concatenate([np.full(len(p), np.sqrt(np.mean(p**2)) or 1.0) for p in parts])

    def weigh(self, standardised: Tensor) -> Tensor:
        """Return (B, n_features) statistics whose squared distance is d²; so are the centres."""
        return standardised * self.get_buffer("likeness_weight")

    def liken(self, standardised: Tensor) -> Tensor:
        """Return how like (B, n_features) statistics are to the centres, (B, n_centres), 0 to 1."""
        centres = self.get_buffer("centres")
        weighted = self.weigh(standardised)
        # Not the root of it (torch.cdist), whose gradient has no value at a centre.
        squared = (
            weighted.square().sum(1, keepdim=True)
            + centres.square().sum(1)
            - 2 * weighted @ centres.T
        )
        return torch.exp(-self.gamma * squared.clamp_min(0))

    def forward(self, x: Tensor) -> Tensor:
        """Return the (B, n_classes) logits of normalised pictures (B, C, H, W)."""
        return self.score(self.measure(x))

    def get_classifier(self) -> nn.Module:
        """Return the layer that is trained."""
        return self.head


def summarise_maps(maps: Tensor, channels_last: bool = False) -> Tensor:
    """Return mean and spread of every feature map, (B, 2 C).

    Of (B, C, H, W) maps, (B, H, W, C) where the channels come last, or (B, N, C) tokens.
    """
    dims = (1,) if maps.ndim == 3 else (1, 2) if channels_last else (2, 3)
    maps = maps.float()
    # In two passes: torch.var_mean takes 5 to 40 times as long on a CPU.
    mean = maps.mean(dims, keepdim=True)
    variance = (maps - mean).square_().mean(dims)
    return torch.cat([mean.flatten(1), (variance + SMALLEST_VARIANCE).sqrt()], dim=1)


def average_samples(values: NDArray[np.floating[Any]], place: NDArray[np.int64]) -> NDArray[Any]:
    """Return the means over the tiles of each sample.

    Parameters
    ----------
    values : (n_tiles, n) array
    place : (n_tiles,) int array
        Number of the sample of every tile; all from 0 to the largest one occur.

    Returns
    -------
    (n_samples, n) array
    """
    sums = np.zeros((int(place.max()) + 1, values.shape[1]))
    np.add.at(sums, place, values)
    means: NDArray[Any] = sums / np.bincount(place)[:, None]
    return means.astype(values.dtype)


def _find_maps(network: nn.Module, x: Tensor) -> Sequence[Tensor]:
    return network.forward_intermediates(x, intermediates_only=True)  # type: ignore[operator]


def _count_channels(network: nn.Module) -> list[int]:
    """Channels of every stage, found with one blank picture."""
    name = type(network).__name__
    channels = next(p.shape[1] for p in network.parameters() if p.ndim == 4)
    training = network.training
    network.eval()  # the blank picture must not enter the batch-norm statistics
    try:
        with torch.no_grad():
            maps = _find_maps(network, torch.zeros(1, channels, 64, 64))
    except (AttributeError, RuntimeError, AssertionError) as error:
        raise ConfigError(
            f"model.pooling: 'stage_statistics' needs the feature maps of all stages, which timm "
            f"does not give for this network ({name}); choose 'network', or another backbone."
        ) from error
    finally:
        network.train(training)
    return [m.shape[1] for m in maps]
