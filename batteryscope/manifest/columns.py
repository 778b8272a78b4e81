"""Which columns the sample table of a data set will have, as far as its settings tell."""

import difflib
import re
from collections.abc import Iterable
from pathlib import Path

from batteryscope.config.dataset import DatasetSettings
from batteryscope.errors import BatteryscopeError, ConfigError
from batteryscope.manifest.schema import find_dtypes
from batteryscope.samples.choose import samples_of


def list_columns(dataset: DatasetSettings) -> list[str] | None:
    """Return the columns of the manifest before any image is read, None if they are not known.

    They are those of the contract, the labels, and in scans the slices. Columns of capacities
    are not among them. They are unknown as long as the label table cannot be read.
    """
    labels = dataset.labels
    own = list(labels.columns)
    if labels.source == "table":
        table = _read_header(dataset)
        if table is None:
            return None
        own += table
    elif labels.pattern is not None:
        own += re.compile(labels.pattern).groupindex
    own += samples_of(dataset).columns
    return list(dict.fromkeys([*find_dtypes(labels.columns), *own]))


def refuse_unknown(column: str, known: Iterable[str], key: str) -> None:
    """Refuse a condition on a column that the sample table lacks.

    Parameters
    ----------
    column
        Its name.
    known
        The columns that there are.
    key
        How the user knows the condition, for the message.

    Raises
    ------
    ConfigError
        Naming the nearest column.
    """
    names = list(known)
    if column in names:
        return
    near = difflib.get_close_matches(column, names, n=1, cutoff=0.5)
    hint = f"did you mean '{near[0]}'? " if near else ""
    raise ConfigError(
        f"{key}: the manifest has no such column; {hint}known columns: {', '.join(names)}."
    )


def _read_header(dataset: DatasetSettings) -> list[str] | None:
    labels = dataset.labels
    if dataset.path is None or labels.table is None:
        return None
    from batteryscope.manifest.label_table import read_label_table

    try:
        table = read_label_table(Path(dataset.path, labels.table), labels).rows
    except BatteryscopeError:
        return None  # reading the data set will tell what is wrong with it
    return [str(c) for c in table.columns if c != labels.file_column]
