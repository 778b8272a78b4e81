"""Reads tables of ingested data, and holds them against their contract."""

from pathlib import Path
from typing import Any

import pandas as pd

from batteryscope.errors import InputError


def check_contract(schema: Any, table: pd.DataFrame, name: str = "manifest") -> pd.DataFrame:
    """Return a table as a pandera schema wants it.

    Raises
    ------
    InputError
        Names the first column that is missing or wrong, and an example.
    """
    from pandera.errors import SchemaError

    try:
        return schema.validate(table)
    except SchemaError as error:
        detail = str(error).splitlines()[0].rstrip(".")
        raise InputError(f"The {name} breaks its contract: {detail}; ingest again.") from None


def read_ingested(path: Path, name: str = "manifest") -> pd.DataFrame:
    """Read a table that ingesting wrote, without looking at its columns.

    Raises
    ------
    InputError
        The file is missing or is no parquet file.
    """
    try:
        return pd.read_parquet(path)
    except FileNotFoundError:
        raise InputError(f"{path}: the {name} does not exist; ingest the data set.") from None
    except (OSError, ValueError) as error:
        problem = str(error).splitlines()[0]
        raise InputError(f"{path}: no readable {name} ({problem}); ingest again.") from None
