"""Read a data set of scans: from its folder to the sample table of their slices."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from batteryscope.config.dataset import DatasetSettings
from batteryscope.manifest.grey_scale import RANGE_COLUMNS, TYPE_COLUMN
from batteryscope.manifest.ingest_pictures import read_dataset
from batteryscope.manifest.ingested import Ingested
from batteryscope.manifest.inspect import ImageRecord
from batteryscope.manifest.reading import Answers, Reading
from batteryscope.manifest.volumes import expand_labels, inspect_volumes
from batteryscope.readers.volumes import find_volumes


def ingest(
    settings: str,
    dataset: Path,
    simulated: Path | None,
    physics: str | None,
    cache: Path | None = None,
) -> Ingested:
    """Read all scans of a folder; parameters and errors as of pictures.

    Nothing is kept in a ``cache``: to tell whether a scan changed takes as long as to read it.
    """
    del cache
    return read_dataset(SCANS, find_volumes, settings, dataset, simulated, physics)


def _inspect_scans(
    root: Path, paths: Sequence[str], labels: pd.DataFrame, settings: DatasetSettings
) -> tuple[Answers, pd.DataFrame]:
    answers = inspect_volumes(root, paths, settings)
    return answers, expand_labels(labels, [a for a in answers if isinstance(a, ImageRecord)])


def _name_scan_columns(table: pd.DataFrame) -> dict[str, str]:
    """Number of the slice, type of the stored numbers, and which of them are black and white."""
    return {"slice": "int64", TYPE_COLUMN: "str"} | dict.fromkeys(RANGE_COLUMNS, "float64")


SCANS = Reading(_inspect_scans, _name_scan_columns, whole_paths=True)
