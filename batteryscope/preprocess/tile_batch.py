"""What every preprocessing method returns for one picture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from batteryscope.errors import InputError


class UnusablePictureError(InputError):
    """A picture from which no tile can be taken.

    Attributes
    ----------
    reason
        ``wrong_size``, ``empty``, … as in the rejects tables.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


@dataclass(frozen=True)
class TileBatch:
    """The tiles of one picture.

    Attributes
    ----------
    tiles
        uint8, (n_used, height, width).
    columns
        One value per tile, used or not: ``kind`` (``random``, ``grid`` or ``whole``), ``x_px``,
        ``y_px``, ``crop_px`` (in the original frame), ``local_sd``, ``used``; of crops that are
        no squares also ``crop_height_px``. The used ones are in the order of ``tiles``.
    data_bar_px
        Rows at the bottom of the frame that were left out.
    measurements
        What was measured beside, one value for every tile of ``columns``.
    """

    tiles: NDArray[np.uint8]
    columns: Mapping[str, Sequence[Any]]
    data_bar_px: int
    measurements: dict[str, list[float]] = field(default_factory=dict)

    @cached_property
    def table(self) -> pd.DataFrame:
        """The columns as a table, a row per tile."""
        return pd.DataFrame(self.columns)  # made if asked for: it takes as long as cutting

    @property
    def n_unused(self) -> int:
        """Number of tiles that show too little."""
        return len(self.columns["used"]) - len(self.tiles)

    def select(self, kinds: Sequence[str]) -> NDArray[np.uint8]:
        """Return the tiles of these kinds."""
        pairs = zip(self.columns["kind"], self.columns["used"], strict=True)
        chosen = [kind in kinds for kind, used in pairs if used]
        return self.tiles if all(chosen) else self.tiles[chosen]


class Preprocessor(Protocol):
    """Turns a picture into tiles; one per ``method`` of the preprocess settings."""

    def __call__(
        self,
        pixels: NDArray[np.uint8],
        record: Mapping[str, Any],
        settings: Any,
        n_random: int = 0,
        rng: np.random.Generator | None = None,
    ) -> TileBatch:
        """Cut ``n_random`` random tiles and the grid tiles of one picture.

        Parameters
        ----------
        pixels
            Grey picture, (height, width).
        record
            Row of the manifest, or any mapping with what is known about the picture.
        settings
            The preprocess settings of this method.
        n_random
            Random tiles to cut for training.
        rng
            Source of random positions; only needed with ``n_random``.

        Raises
        ------
        UnusablePictureError
            No tile can be taken from the picture.
        """
        ...
