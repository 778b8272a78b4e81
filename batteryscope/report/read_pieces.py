"""Reads the tables and JSON files that a report is made from; what is missing is None."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from batteryscope.core.safe_text import first_line, guard_csv
from batteryscope.errors import InputError
from batteryscope.planning.piece_layouts import DatasetLayout

# Class names such as 333 and arm names must stay text, and an empty target stays "".
TEXT_COLUMNS = (
    "arm", "backbone", "target", "domain", "level", "metric", "class", "y_true", "y_pred",
    "sample_id", "path", "who", "reason", "detail", "kind", "group",
)  # fmt: skip


def read_table(
    path: Path | None, text_columns: tuple[str, ...] = TEXT_COLUMNS
) -> pd.DataFrame | None:
    """Read a CSV or Parquet table; None if there is no such file or it is empty.

    Parameters
    ----------
    path
        The file, or None.
    text_columns
        Columns of a CSV that are texts, whatever they look like; a missing one is "".

    Raises
    ------
    InputError
        If the file cannot be read.
    """
    if path is None or not path.is_file():
        return None
    try:
        if path.suffix == ".parquet":
            return pd.read_parquet(path)
        header = pd.read_csv(path, nrows=0).columns
        texts = {column: str for column in header if column in text_columns}
        table = pd.read_csv(path, dtype=texts)
    except (ValueError, OSError) as error:
        if isinstance(error, pd.errors.EmptyDataError):
            return None
        raise InputError(
            f"{path}: this table cannot be read ({first_line(error)}); make it anew."
        ) from None
    return table.fillna(dict.fromkeys(texts, ""))


def read_needed_table(path: Path, text_columns: tuple[str, ...] = TEXT_COLUMNS) -> pd.DataFrame:
    """Read a table of the comparison without which there is no report.

    Parameters
    ----------
    path, text_columns
        As for :func:`read_table`.

    Raises
    ------
    InputError
        If there is no such file, or it cannot be read.
    """
    table = read_table(path, text_columns)
    if table is None:
        raise InputError(
            f"{path}: the file does not exist; a report needs it, so run the comparison of the "
            "study first."
        )
    return table


def read_json(path: Path | None) -> Any:
    """Read a JSON file; None if there is no such file.

    Raises
    ------
    InputError
        If it is not valid JSON.
    """
    if path is None or not path.is_file():
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: not valid JSON ({first_line(error)}); make it anew.") from None


def add_external_files(files: dict[str, bytes], external: DatasetLayout | None) -> dict[str, bytes]:
    """Add what an external data set gave: its tables, and its metrics to ``metrics.json``.

    Parameters
    ----------
    files
        Files of the comparison by name.
    external
        The external data set, or None.
    """
    if external is None:
        return files
    tables = read_files(external.root, (external.metrics.name, external.predictions.name))
    files = files | {f"external_{name}": content for name, content in tables.items()}
    if (measured := read_json(external.flat_metrics)) is not None and "metrics.json" in files:
        merged = json.loads(files["metrics.json"]) | measured
        text = json.dumps(merged, indent=1, ensure_ascii=False) + "\n"
        files["metrics.json"] = text.encode("utf-8")
    return files


def read_files(folder: Path, names: tuple[str, ...]) -> dict[str, bytes]:
    """Read the files that exist, by name, as they may be shown to people.

    Classes, samples and columns have names of strangers: no cell of a table is a formula.
    """
    found = {name: (folder / name).read_bytes() for name in names if (folder / name).is_file()}
    return {
        n: guard_csv(content) if n.endswith(".csv") else content for n, content in found.items()
    }
