"""What carries out a preprocessing method on a whole data set: of pictures, or of scans."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from batteryscope.config.preprocess import PreprocessSettings
from batteryscope.config.split import SplitSettings
from batteryscope.preprocess.cut_dataset import cut_dataset
from batteryscope.preprocess.cut_scans import cut_scans
from batteryscope.samples.choose import samples_cut_by

DatasetCutter = Callable[[pd.DataFrame, Path, Any, Path, int], tuple[pd.DataFrame, pd.DataFrame]]


def find_dataset_cutter(
    settings: PreprocessSettings, split: SplitSettings | None = None
) -> DatasetCutter:
    """Return the function that carries out ``settings.method`` on a data set.

    ``split`` tells how few images of a class may have to give all its training tiles.
    """
    whole = partial(cut_dataset, split=split)
    return whole if samples_cut_by(settings).are_files else cut_scans
