"""What carries out a preprocessing method on a whole data set, and says what it left out."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from batteryscope.config.preprocess import PreprocessSettings
from batteryscope.config.split import SplitSettings
from batteryscope.core.plural import count_of
from batteryscope.preprocess.cut_dataset import cut_dataset
from batteryscope.preprocess.cut_scans import cut_scans
from batteryscope.samples.choose import samples_cut_by

DatasetCutter = Callable[[pd.DataFrame, Path, Any, Path, int], tuple[pd.DataFrame, pd.DataFrame]]


def describe_rejects(rejects: pd.DataFrame, manifest: pd.DataFrame) -> list[str]:
    """Say what was left out: a line per picture; of scans a line per scan and reason.

    Parameters
    ----------
    rejects
        ``sample_id, path, reason, detail``.
    manifest
        Sample table; of scans with ``volume``.
    """
    if rejects.empty:
        return []
    if "volume" not in manifest:
        return [f"{row.path}: {row.detail} ({row.reason})" for row in rejects.itertuples()]
    volumes = manifest.set_index("sample_id")["volume"]
    sizes = volumes.value_counts().to_dict()
    table = rejects.assign(volume=rejects["sample_id"].map(volumes))
    table["number"] = table["path"].str.rpartition("#")[2]
    lines = []
    for keys in table[["volume", "reason"]].drop_duplicates().itertuples():
        part = table[(table["volume"] == keys.volume) & (table["reason"] == keys.reason)]
        first = part.iloc[0]
        lines.append(
            f"{keys.volume}: {len(part)} of {count_of(sizes[keys.volume], 'slice')} left out "
            f"({keys.reason}); the first, number {first['number']}: {first['detail']}"
        )
    return lines


def find_dataset_cutter(
    settings: PreprocessSettings, split: SplitSettings | None = None
) -> DatasetCutter:
    """Return the function that carries out ``settings.method`` on a data set.

    ``split`` tells how few images of a class may have to give all its training tiles.
    """
    whole = partial(cut_dataset, split=split)
    return whole if samples_cut_by(settings).are_files else cut_scans
