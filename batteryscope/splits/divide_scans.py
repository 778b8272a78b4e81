"""The division of slices: neighbours of one scan are pairs, and so are copied scans."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from batteryscope.manifest.frames import get_thumbnails
from batteryscope.splits.divide_pictures import divide_by_pairs
from batteryscope.splits.slices import pair_slices


def divide(
    settings: str, manifest: Path, frames: Path | None, features: Sequence[str]
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Divide slices; parameters, results and errors as of pictures."""
    del features
    return divide_by_pairs(_pair_slices, settings, manifest, frames)


def _pair_slices(samples: pd.DataFrame, measured: pd.DataFrame) -> pd.DataFrame:
    thumbnails = dict(zip(measured["sample_id"], get_thumbnails(measured), strict=True))
    return pair_slices(samples, thumbnails)
