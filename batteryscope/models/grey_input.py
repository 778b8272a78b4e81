"""The first layer of every image model: from uint8 grey tiles to what the backbone expects.

Scaling lives inside the model, so that its statistics travel with the weights and a
prediction can never be made with other grey levels than the training.
"""

from typing import Literal

import torch
from torch import Tensor, nn

GreyLevels = Literal["raw", "dataset", "per_image", "histogram_match", "clahe"]
FULL_SCALE = 255.0
# Standardised tiles are placed at the middle of the grey scale with a usual contrast, so that a
# pretrained backbone sees inputs of the size that it was trained on.
STANDARD_MEAN, STANDARD_SD = 0.5, 0.25


class GreyInput(nn.Module):
    """Grey-level treatment, then the backbone's own normalisation.

    Parameters
    ----------
    grey_levels
        ``raw``: divided by 255. ``dataset``: standardised with mean and sd of the
        training tiles. ``per_image``: each tile standardised by itself.
        ``histogram_match``: each tile's grey-level distribution mapped onto that of
        the training tiles. ``clahe``: contrast-limited adaptive histogram
        equalisation (Zuiderveld 1994) in 4×4 regions.
    channels
        1, or 3 identical channels for an RGB stem.
    mean, sd
        The backbone's normalisation, on a scale of 0 to 1.
    """

    training_mean: Tensor
    training_sd: Tensor
    training_cdf: Tensor

    def __init__(self, grey_levels: GreyLevels, channels: int, mean: float, sd: float) -> None:
        super().__init__()
        self.grey_levels = grey_levels
        self.channels = channels
        self.mean = mean
        self.sd = sd
        self.register_buffer("training_mean", torch.tensor(STANDARD_MEAN))
        self.register_buffer("training_sd", torch.tensor(STANDARD_SD))
        self.register_buffer("training_cdf", torch.linspace(1 / 256, 1.0, 256))

    def learn_statistics(self, histogram: Tensor) -> None:
        """Take mean, sd and distribution from a 256-bin histogram of training grey levels."""
        levels = torch.arange(256, dtype=torch.float64) / FULL_SCALE
        weight = histogram.double() / histogram.sum()
        mean = (weight * levels).sum()
        sd = (weight * (levels - mean) ** 2).sum().sqrt().clamp_min(1e-3)
        self.training_mean.fill_(float(mean))
        self.training_sd.fill_(float(sd))
        self.training_cdf.copy_(weight.cumsum(0).float())

    def forward(self, tiles: Tensor) -> Tensor:
        """Map (B, 1, H, W) tiles, uint8 or float in 0…255, to (B, channels, H, W) floats.

        Tiles that have all the channels already (stacked slices) keep them; statistics are
        those of all channels together.
        """
        x = tiles.float() / FULL_SCALE
        if self.grey_levels == "dataset":
            x = (x - self.training_mean) / self.training_sd * STANDARD_SD + STANDARD_MEAN
        elif self.grey_levels == "per_image":
            centre = x.mean(dim=(1, 2, 3), keepdim=True)
            spread = x.std(dim=(1, 2, 3), keepdim=True).clamp_min(1e-3)
            x = (x - centre) / spread * STANDARD_SD + STANDARD_MEAN
        elif self.grey_levels == "histogram_match":
            x = self._match_histogram(x)
        elif self.grey_levels == "clahe":
            from kornia.enhance import equalize_clahe

            x = equalize_clahe(x.clamp(0, 1), clip_limit=2.0, grid_size=(4, 4))
        x = (x - self.mean) / self.sd
        return x if x.shape[1] == self.channels else x.expand(-1, self.channels, -1, -1)

    def _match_histogram(self, x: Tensor) -> Tensor:
        """Send each grey level to the training level with the same cumulative share."""
        levels = (x.clamp(0, 1) * FULL_SCALE).round().long().flatten(1)
        counts = torch.zeros(len(x), 256, device=x.device)
        counts.scatter_add_(1, levels, torch.ones_like(levels, dtype=counts.dtype))
        cdf = counts.cumsum(1) / levels.shape[1]
        # Half a bin below the cumulative share is the level's own rank: mid-rank matching.
        rank = cdf - 0.5 * counts / levels.shape[1]
        matched = torch.searchsorted(self.training_cdf, rank.contiguous()).clamp(max=255)
        return matched.gather(1, levels).view_as(x) / FULL_SCALE
