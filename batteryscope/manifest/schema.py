"""The columns of the sample table, and the check that a table has them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from batteryscope.manifest.contract import check_contract, read_ingested

# What is worth knowing about a file that is used all the same; it counts as no reject.
NOTED_REASONS = ("missing_slices", "left_out", "foreign_file", "unclear_metadata")

WRITTEN_COLUMN = "written_as"  # how values that could be read in two ways were read
# Columns that are made from the file itself and never taken from a label table.
COMPUTED_COLUMNS = (
    "sample_id", "path", "sha256", "class", "width_px", "height_px", "bit_depth",
    "bit_depth_source", "stored_type", "grey_low", "grey_high",
    WRITTEN_COLUMN, "grade_number",
)  # fmt: skip
ORIGIN_COLUMNS = ("specimen_id", "session_id", "domain")
NUMBER_COLUMNS = (
    "pixel_size_um",
    "magnification",
    "voltage_kv",
    "working_distance_mm",
    "brightness",
    "contrast",
    "data_bar_px",
)
TIME_COLUMN = "acquired_at"
ACQUISITION_COLUMNS = (*NUMBER_COLUMNS, "detector", TIME_COLUMN, "instrument")

_DTYPES: dict[str, str] = {
    "sample_id": "str",
    "path": "str",
    "sha256": "str",
    "specimen_id": "str",
    "session_id": "str",
    "domain": "str",
    "class": "str",
    "width_px": "int64",
    "height_px": "int64",
    "bit_depth": "int64",
    "pixel_size_um": "float64",
    "magnification": "float64",
    "voltage_kv": "float64",
    "working_distance_mm": "float64",
    "brightness": "float64",
    "contrast": "float64",
    "detector": "str",
    "acquired_at": "datetime64[us]",
    "data_bar_px": "Int64",
    "instrument": "str",
}


@dataclass(frozen=True)
class Reject:
    """A file that is left out: its path within the data set, why, and why in words.

    With one of :data:`NOTED_REASONS` it is used and only noted.
    """

    path: str
    reason: str
    detail: str


def find_dtypes(label_columns: Sequence[str]) -> dict[str, str]:
    """Return column → dtype in the order of the sample table, label columns before the class."""
    labels = {name: "str" for name in label_columns if name != "class"}
    names = list(_DTYPES)
    cut = names.index("class")
    before, after = names[:cut], names[cut:]
    return {n: _DTYPES[n] for n in before} | labels | {n: _DTYPES[n] for n in after}


def make_schema(label_columns: Sequence[str]) -> Any:
    """Return the pandera schema of a sample table with these label columns."""
    import pandera.pandas as pa

    checks = {
        "sample_id": pa.Check.str_matches(r"^[0-9a-f]{16}$"),
        "sha256": pa.Check.str_matches(r"^[0-9a-f]{64}$"),
        "width_px": pa.Check.ge(1),
        "height_px": pa.Check.ge(1),
        "bit_depth": pa.Check.in_range(8, 32),
        "pixel_size_um": pa.Check.gt(0),
        "magnification": pa.Check.gt(0),
        "voltage_kv": pa.Check.gt(0),
        "data_bar_px": pa.Check.ge(0),
    }
    filled = {"path", *label_columns, "class"}
    nullable = {"specimen_id", "session_id", *ACQUISITION_COLUMNS}
    columns = {
        name: pa.Column(
            dtype,
            checks=[pa.Check.str_length(min_value=1)] if name in filled else checks.get(name),
            nullable=name in nullable,
            unique=name in ("sample_id", "path"),
        )
        for name, dtype in find_dtypes(label_columns).items()
    }
    return pa.DataFrameSchema(columns, strict=False)


def validate_manifest(manifest: pd.DataFrame, label_columns: Sequence[str]) -> pd.DataFrame:
    """Check a sample table against the contract.

    Raises
    ------
    InputError
        Names the first column that is missing or wrong, and an example.
    """
    return check_contract(make_schema(label_columns), manifest)


def as_reject_table(rejects: Iterable[Reject]) -> pd.DataFrame:
    """Return the table ``path, reason, detail`` in the given order."""
    rows = [(r.path, r.reason, r.detail) for r in rejects]
    return pd.DataFrame(rows, columns=["path", "reason", "detail"]).astype("str")


def write_manifest(manifest: pd.DataFrame, path: Path) -> None:
    """Write the sample table; equal tables give equal bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    manifest.to_parquet(path, index=False)


def read_manifest(path: Path, label_columns: Sequence[str] = ()) -> pd.DataFrame:
    """Read and check a sample table.

    Raises
    ------
    InputError
        The file is missing, is no parquet file, or breaks the contract.
    """
    return validate_manifest(read_ingested(path), label_columns)
