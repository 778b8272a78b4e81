"""The columns of a table of rows, and the check that a table has them."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from batteryscope.config.table_data import ColumnSettings
from batteryscope.manifest.contract import check_contract, read_ingested

ORIGIN_DTYPES = {
    "sample_id": "str",
    "path": "str",
    "row": "int64",
    "domain": "str",
    "group": "str",
}


class RowReject(NamedTuple):
    """A row that is left out: file, line (the header is in line 1), why, and why in words."""

    path: str
    row: int
    reason: str
    detail: str


def make_row_schema(columns: dict[str, ColumnSettings]) -> Any:
    """Return the pandera schema of a table of rows with these number columns."""
    import pandera.pandas as pa

    filled = pa.Check.str_length(min_value=1)
    checks = {
        "sample_id": pa.Check.str_matches(r"^[0-9a-f]{16}$"),
        "path": filled,
        "row": pa.Check.ge(1),
        "domain": filled,
    }
    shape = {
        name: pa.Column(dtype, checks=checks.get(name), unique=name == "sample_id")
        for name, dtype in ORIGIN_DTYPES.items()
    }
    finite = pa.Check(lambda values: np.isfinite(values), error="not finite")
    for name, column in columns.items():
        ranges = [pa.Check.in_range(*column.range)] if column.range else []
        shape[name] = pa.Column("float64", checks=[finite, *ranges])
    return pa.DataFrameSchema(shape, strict=False)


def validate_rows(manifest: pd.DataFrame, columns: dict[str, ColumnSettings]) -> pd.DataFrame:
    """Check a table of rows against the contract.

    Raises
    ------
    InputError
        Names the first column that is missing or wrong, and an example.
    """
    return check_contract(make_row_schema(columns), manifest)


def as_row_reject_table(rejects: Iterable[RowReject]) -> pd.DataFrame:
    """Return the table ``path, row, reason, detail`` in the given order."""
    table = pd.DataFrame(list(rejects), columns=list(RowReject._fields))
    return table.astype({"path": "str", "row": "int64", "reason": "str", "detail": "str"})


def read_rows(path: Path, columns: Sequence[str] = ()) -> pd.DataFrame:
    """Read a table of rows that has these number columns.

    Raises
    ------
    InputError
        The file is missing, is no parquet file, or breaks the contract.
    """
    return validate_rows(read_ingested(path), {name: ColumnSettings() for name in columns})
