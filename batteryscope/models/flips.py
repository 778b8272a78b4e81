"""What networks say about a tile and its mirror images, on average."""

from collections.abc import Callable

import torch
from torch import Tensor

# Dimensions of (B, C, H, W) along which the copies are mirrored, the tile itself first.
FLIPS_AT_TEST: dict[str, tuple[tuple[int, ...], ...]] = {
    "none": ((),),
    "columns": ((), (3,)),
    "both": ((), (2,), (3,), (2, 3)),
}


def average_over_flips(ask: Callable[[Tensor], Tensor], tiles: Tensor, flips: str) -> Tensor:
    """Return the mean of the answers to tiles and to their mirror images.

    Parameters
    ----------
    ask
        Answers tiles: probabilities or values, not logits, whose mean is another one.
    tiles : (B, C, H, W) tensor
        Tiles.
    flips
        ``none``: the tiles alone; ``columns``: also from left to right; ``both``: also upside
        down, and both at once.
    """
    answers = [ask(tiles.flip(axes) if axes else tiles) for axes in FLIPS_AT_TEST[flips]]
    return answers[0] if len(answers) == 1 else torch.stack(answers).mean(0)
