"""What was measured on every frame when it was decoded, so that later steps need not decode it."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from batteryscope.errors import InputError
from batteryscope.manifest.contract import check_contract, read_ingested

NAME = "table of frames"
THUMBNAIL_PX = (48, 64)  # (height, width)
DATA_BAR_PX = (8, 64)  # small: what is written there blurs, but not where, how much and how bright
PERCENTILES = (1, 5, 25, 50, 75, 95, 99)
HISTOGRAM_BINS = 64  # of four grey levels each
GREY_LEVEL_COLUMNS = (
    "mean",
    "sd",
    "skewness",
    "kurtosis",
    *[f"percentile_{p:02d}" for p in PERCENTILES],
)
FRAME_DTYPES: dict[str, str] = {
    "sample_id": "str",
    "pixel_digest": "str",
    "data_bar_px": "int64",
    **dict.fromkeys(GREY_LEVEL_COLUMNS, "float64"),
    "thumbnail": "object",
    "data_bar": "object",
    "histogram": "object",
}


def make_frames_schema() -> Any:
    """Return the pandera schema of the table of frames."""
    import pandera.pandas as pa

    def check_size(height: int, width: int) -> Any:
        def has_size(pictures: pd.Series) -> bool:
            # One answer for all: pandera would quote the bytes of every picture that fails.
            return all(isinstance(p, bytes) and len(p) == height * width for p in pictures)

        return pa.Check(has_size, name=f"{height} x {width} bytes")

    checks = {
        "pixel_digest": pa.Check.str_matches(r"^[0-9a-f]{64}$"),
        "data_bar_px": pa.Check.ge(0),
        "sd": pa.Check.ge(0),
        "thumbnail": check_size(*THUMBNAIL_PX),
        "data_bar": check_size(*DATA_BAR_PX),
        "histogram": check_size(HISTOGRAM_BINS, np.dtype(np.float32).itemsize),
    }
    columns = {
        name: pa.Column(dtype, checks=checks.get(name), unique=name == "sample_id")
        for name, dtype in FRAME_DTYPES.items()
    }
    return pa.DataFrameSchema(columns, strict=False)


def validate_frames(frames: pd.DataFrame) -> pd.DataFrame:
    """Check a table of frames against the contract.

    Raises
    ------
    InputError
        Names the first column that is missing or wrong, and an example.
    """
    return check_contract(make_frames_schema(), frames, NAME)


def write_frames(frames: pd.DataFrame, path: Path) -> None:
    """Write the table of frames; equal tables give equal bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    frames.to_parquet(path, index=False)


def read_frames(path: Path, manifest: pd.DataFrame) -> pd.DataFrame:
    """Read and check the table of frames.

    Parameters
    ----------
    path
        A ``frames.parquet``.
    manifest
        The sample table that was written with it.

    Returns
    -------
    DataFrame
        One row per sample of the manifest, sorted by ``sample_id``, with the columns
        :data:`FRAME_DTYPES`.

    Raises
    ------
    InputError
        The file is missing, is no parquet file, breaks the contract, or is of other samples.
    """
    frames = validate_frames(read_ingested(path, NAME))
    if frames["sample_id"].tolist() != sorted(manifest["sample_id"]):
        raise InputError(
            f"{path}: its {len(frames)} samples are not the {len(manifest)} of the manifest; "
            "ingest the data set again."
        )
    return frames


def get_grey_levels(frames: pd.DataFrame) -> pd.DataFrame:
    """Return the grey-level statistics alone, indexed by ``sample_id``."""
    return frames.set_index("sample_id")[list(GREY_LEVEL_COLUMNS)]


def get_thumbnails(frames: pd.DataFrame) -> list[NDArray[np.uint8]]:
    """Return the thumbnails as arrays of :data:`THUMBNAIL_PX`, in the order of the rows."""
    return [np.frombuffer(t, np.uint8).reshape(THUMBNAIL_PX) for t in frames["thumbnail"]]


def get_histograms(frames: pd.DataFrame) -> NDArray[np.float32]:
    """Return the shares of pixels per bin of grey levels, (n, 64), each row adding up to 1."""
    rows = [np.frombuffer(row, np.float32) for row in frames["histogram"]]
    return np.stack(rows) if rows else np.empty((0, HISTOGRAM_BINS), np.float32)


def get_data_bars(frames: pd.DataFrame) -> list[NDArray[np.uint8]]:
    """Return small pictures of the data bars, (8, 64) each, all 0 where there is none."""
    return [np.frombuffer(bar, np.uint8).reshape(DATA_BAR_PX) for bar in frames["data_bar"]]
