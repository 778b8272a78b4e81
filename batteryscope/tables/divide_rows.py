"""The division of rows, and what the audit found."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from batteryscope.config.json_text import read_settings
from batteryscope.config.table_study import TableSplitSettings
from batteryscope.tables.row_schema import read_rows
from batteryscope.tables.split_rows import audit_rows, split_rows


def divide(
    settings: str, manifest: Path, frames: Path | None, features: Sequence[str]
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Divide rows by settings as JSON text or a file; returns split and audit.

    ``frames`` are of no use here: rows have none. Rows with equal ``features`` stay together.

    Raises
    ------
    InputError
        If the table cannot be read, or there are too few groups.
    """
    del frames
    asked = read_settings(TableSplitSettings, settings)
    rows = read_rows(manifest, features)
    split = split_rows(rows, asked, features)
    return split, audit_rows(split, rows, features)
