"""Random changes of a batch of training tiles, on the device that trains."""

from collections.abc import Callable
from functools import partial

import kornia.augmentation as kornia_augmentation
import torch
from torch import Tensor, nn
from torch.nn import functional

from batteryscope.config.learning import AugmentSettings
from batteryscope.models.grey_input import FULL_SCALE


class TileAugmentation(nn.Module):
    """Augment (B, C, H, W) uint8 tiles; each tile gets its own draw.

    All draws come from the generator given, so that a resumed epoch repeats what
    the interrupted one would have done; kornia, which knows no generators, runs
    inside a forked global state seeded from it.
    """

    def __init__(self, settings: AugmentSettings) -> None:
        super().__init__()
        self.settings = settings
        self.affine: nn.Module | None = None
        if settings.rotation_deg or settings.shift or settings.scale:
            self.affine = kornia_augmentation.RandomAffine(
                degrees=settings.rotation_deg,
                translate=(settings.shift, settings.shift) if settings.shift else None,
                scale=_find_scales(settings),
                padding_mode="reflection",
                p=1.0,
            )

    def forward(self, tiles: Tensor, generator: torch.Generator) -> Tensor:
        """Return float tiles in 0…255 of the same shape."""
        x = tiles.float()
        n = len(x)
        if self.settings.quarter_turns:
            turns = torch.randint(0, 4, (n,), generator=generator)
            x = _select(x, turns, [partial(torch.rot90, k=k, dims=(2, 3)) for k in range(4)])
        if self.settings.flips:
            sides = torch.randint(0, 4, (n,), generator=generator)
            x = _select(x, sides, [partial(torch.flip, dims=d) for d in ((), (2,), (3,), (2, 3))])
        if self.settings.flip_columns:
            mirrored = torch.randint(0, 2, (n,), generator=generator)
            x = _select(x, mirrored, [partial(torch.flip, dims=d) for d in ((), (3,))])
        if self.settings.roll_columns:
            x = _roll_columns(x, torch.randint(0, x.shape[-1], (n,), generator=generator))
        if self.settings.random_crop is not None:
            boxes = draw_crops(
                n, self.settings.random_crop, self.settings.random_crop_aspect, generator
            )
            x = enlarge_crops(x, boxes)
        if self.affine is not None:
            seed = int(torch.randint(0, 2**31 - 1, (1,), generator=generator))
            devices = [x.device] if x.device.type == "cuda" else []
            with torch.random.fork_rng(devices=devices):
                torch.manual_seed(seed)
                x = self.affine(x)
        if self.settings.contrast:
            gain = 1 + self.settings.contrast * _uniform(n, generator).to(x.device)
            x = (x - FULL_SCALE / 2) * gain + FULL_SCALE / 2
        if self.settings.brightness:
            x = x + FULL_SCALE * self.settings.brightness * _uniform(n, generator).to(x.device)
        return x.clamp(0, FULL_SCALE) if self.settings.contrast or self.settings.brightness else x


def draw_crops(
    n: int, area: tuple[float, float], aspect: float, generator: torch.Generator
) -> Tensor:
    """Draw parts of tiles: (n, 4) centre x, centre y, width and height, the tile being 1 × 1.

    Parameters
    ----------
    n
        How many.
    area
        Lowest and highest share of the tile, drawn evenly.
    aspect
        Highest ratio of width to height, both as shares; its logarithm is drawn evenly.
    generator
        Source of randomness.

    Returns
    -------
    (n, 4) tensor
        Parts that lie within the tile; large ones are drawn less elongated so that they fit.
    """
    draws = torch.rand(n, 4, generator=generator)
    share = area[0] + (area[1] - area[0]) * draws[:, 0]
    widest = torch.minimum(torch.tensor(aspect).log(), -share.log())
    stretch = ((2 * draws[:, 1] - 1) * widest / 2).exp()
    size = torch.stack([share.sqrt() * stretch, share.sqrt() / stretch], dim=1).clamp(
        max=1
    )  # of rounding
    return torch.cat([size / 2 + (1 - size) * draws[:, 2:], size], dim=1)


def enlarge_crops(x: Tensor, boxes: Tensor) -> Tensor:
    """Resample part i of tile i, as of :func:`draw_crops`, to the size of the tile."""
    centre, size = boxes[:, :2].to(x), boxes[:, 2:].to(x)
    theta = torch.zeros(len(x), 2, 3, device=x.device, dtype=x.dtype)
    theta[:, 0, 0], theta[:, 1, 1] = size[:, 0], size[:, 1]
    theta[:, :, 2] = 2 * centre - 1
    grid = functional.affine_grid(theta, list(x.shape), align_corners=False)
    return functional.grid_sample(x, grid, padding_mode="reflection", align_corners=False)


def _roll_columns(x: Tensor, steps: Tensor) -> Tensor:
    """Move the columns of tile i by ``steps[i]``, around the edge."""
    columns = (torch.arange(x.shape[-1]) - steps[:, None]) % x.shape[-1]
    index = columns.to(x.device)[:, None, None, :].expand_as(x)
    return x.gather(3, index)


def _find_scales(
    settings: AugmentSettings,
) -> tuple[float, float] | tuple[float, float, float, float] | None:
    """Lowest and highest scale; twice, for each axis by itself, if the settings say so."""
    if not settings.scale:
        return None
    low, high = 1 - settings.scale, 1 + settings.scale
    return (low, high, low, high) if settings.scale_per_axis else (low, high)


def _select(x: Tensor, choice: Tensor, changes: list[Callable[[Tensor], Tensor]]) -> Tensor:
    """Apply change ``choice[i]`` to tile i, one batch operation per kind of change."""
    result = torch.empty_like(x)
    choice = choice.to(x.device)
    for value, change in enumerate(changes):
        mask = choice == value
        if mask.any():
            result[mask] = change(x[mask])
    return result


def _uniform(n: int, generator: torch.Generator) -> Tensor:
    """Return (n, 1, 1, 1) draws from −1…1."""
    return torch.rand(n, 1, 1, 1, generator=generator) * 2 - 1
