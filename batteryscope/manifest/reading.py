"""How the files of a data set become records: what differs between pictures and scans."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from batteryscope.config.dataset import DatasetSettings
from batteryscope.manifest.grey_scale import FROM_FILE, SOURCE_COLUMN
from batteryscope.manifest.inspect import ImageRecord, Measure, RecordCache, inspect_images
from batteryscope.manifest.measure import measure_frame
from batteryscope.manifest.schema import Reject
from batteryscope.manifest.stated_values import HEIGHT_COLUMN
from batteryscope.readers.written_values import as_number

Answers = list[ImageRecord | Reject]


@dataclass(frozen=True)
class Reading:
    """One way to read.

    Attributes
    ----------
    inspect
        Reads the labelled files of a folder; returns records and rejects, and the labels by
        sample.
    name_columns
        Returns the further columns of a sample table, with their types.
    whole_paths
        Whether labels are searched in the whole path of a file, not in that of its folder.
    """

    inspect: Callable[
        [Path, Sequence[str], pd.DataFrame, DatasetSettings], tuple[Answers, pd.DataFrame]
    ]
    name_columns: Callable[[pd.DataFrame], dict[str, str]]
    whole_paths: bool


def inspect_pictures(
    root: Path,
    paths: Sequence[str],
    labels: pd.DataFrame,
    settings: DatasetSettings,
    measure: Measure = measure_frame,
    cache: RecordCache | None = None,
) -> tuple[Answers, pd.DataFrame]:
    """Read pictures, and ``measure`` each while it is decoded; see :class:`Reading`.

    With a ``cache``, which holds for one way to measure, those that did not change are not read.
    """
    answers = inspect_images(
        root,
        paths,
        max_pixels=settings.max_pixels,
        expected_size_px=settings.expected_size_px,
        stated_bars_px=_list_stated_bars(labels),
        bit_depth=settings.bit_depth,
        metadata_format=settings.metadata_format,
        instruments=dict(labels["instrument"]) if "instrument" in labels else None,
        measure=measure,
        cache=cache,
    )
    return answers, labels


def _list_stated_bars(labels: pd.DataFrame) -> dict[str, int]:
    """Path → data bar height, where the labels state it."""
    if HEIGHT_COLUMN not in labels.columns:
        return {}
    stated = labels[HEIGHT_COLUMN].dropna()
    return {str(path): int(as_number(text) or 0) for path, text in stated.items()}


def _name_picture_columns(table: pd.DataFrame) -> dict[str, str]:
    """Where the bits in use come from, if they had to be decided."""
    return {SOURCE_COLUMN: "str"} if (table[SOURCE_COLUMN] != FROM_FILE).any() else {}


PICTURES = Reading(inspect_pictures, _name_picture_columns, whole_paths=False)
