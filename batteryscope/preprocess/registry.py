"""The preprocessing methods by the name they have in the settings."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batteryscope.config.preprocess import PreprocessSettings
from batteryscope.preprocess.coating_crop import crop_coating
from batteryscope.preprocess.coating_preview import draw_coating_previews, make_coating_preview
from batteryscope.preprocess.ct_slices import cut_ct_slice
from batteryscope.preprocess.preview import draw_preview, make_preview_frame
from batteryscope.preprocess.sem_tiles import cut_sem_tiles, shrink_sem_frame
from batteryscope.preprocess.tile_batch import Preprocessor, TileBatch

PREPROCESSORS: dict[str, Preprocessor] = {
    "sem_tiles": cut_sem_tiles,
    "sem_whole": shrink_sem_frame,
    "ct_slices": cut_ct_slice,
    "coating_crop": crop_coating,
}

# How the tiles of a picture are shown: what is kept of it, and what draws all that was kept.
PreviewMaker = Callable[[NDArray[np.uint8], TileBatch, str, Any], Any]
PreviewDrawer = Callable[[Sequence[Any], Path], None]
PREVIEWS: dict[str, tuple[PreviewMaker, PreviewDrawer]] = {
    "sem_tiles": (make_preview_frame, draw_preview),
    "sem_whole": (make_preview_frame, draw_preview),
    "coating_crop": (make_coating_preview, draw_coating_previews),
}


def find_preprocessor(settings: PreprocessSettings) -> Preprocessor:
    """Return the function that carries out ``settings.method`` on one picture."""
    return PREPROCESSORS[settings.method]
