"""Cuts one picture into the tiles that it is judged by, as the training did."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from batteryscope.bundle.frame import Frame
from batteryscope.config.preprocess import PreprocessSettings


@dataclass(frozen=True)
class CutFrame:
    """Usable tiles, (n, input_px, input_px) uint8; how many were rejected; why, if all were."""

    tiles: NDArray[np.uint8]
    n_rejected: int
    reason: str = ""
