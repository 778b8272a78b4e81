"""What is found of any folder of files, pictures or scans: what is used, what not, and why."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from batteryscope.manifest.schema import NOTED_REASONS
from batteryscope.readers.scan import FolderScan
from batteryscope.samples.choose import samples_in
from batteryscope.start.class_names import NamedClasses
from batteryscope.start.seen import Problem

DAMAGED = ("unreadable", "truncated", "empty", "too_large", "unsupported", "wrong_size")
MOST_LOST = 0.05  # of the files that cannot be used, without a warning


def list_file_facts(
    files: FolderScan,
    manifest: pd.DataFrame,
    rejects: pd.DataFrame,
    frames: pd.DataFrame,
    names: NamedClasses,
) -> dict[str, Any]:
    """Return the facts of the fingerprint that pictures and scans share."""
    return {
        "files": len(files.images),
        "usable": manifest[samples_in(manifest.columns).file_column].nunique(),
        "pixel_sizes_um": count_numbers(manifest["pixel_size_um"]),
        "instruments": count_texts(manifest["instrument"]),
        "parts_of_names": {column: list(found) for column, found in names.parts.items()},
        "classes": dict(sorted(Counter(manifest["class"]).items())),
        "specimens": int(manifest["specimen_id"].nunique()),
        "grey_levels": {"mean": _show_spread(frames["mean"]), "sd": _show_spread(frames["sd"])},
        "rejected": count_rejects(files, rejects),
        "damaged": _list_rejects(rejects, DAMAGED),
        "duplicates": _list_rejects(rejects, ("duplicate_content", "conflicting_labels")),
    }


def count_rejects(files: FolderScan, rejects: pd.DataFrame) -> dict[str, int]:
    """Count by reason the files that are not used, and rows of tables."""
    kept = rejects[~rejects["reason"].isin(NOTED_REASONS)]
    listed = (*files.images, *files.unsupported, *files.misnamed, *files.special)
    own = kept["path"].isin(listed)
    counts = Counter(kept.loc[own, "reason"])
    rows = Counter(f"{reason} in a table" for reason in kept.loc[~own, "reason"])
    return dict((counts + rows).most_common())


def warn_of_rejects(
    files: FolderScan, manifest: pd.DataFrame, rejects: pd.DataFrame
) -> list[Problem]:
    """Say it if many files are not used, and why the first of them is not."""
    column = samples_in(manifest.columns).file_column
    lost = len(files.images) - manifest[column].nunique()
    if lost <= MOST_LOST * len(files.images):
        return []
    own = rejects[rejects["path"].isin(files.images) & ~rejects["reason"].isin(NOTED_REASONS)]
    reasons = ", ".join(f"{r} ({n})" for r, n in count_rejects(files, own).items())
    first = "".join(f"; the first one, {r.path}: {r.detail}" for r in own.head(1).itertuples())
    text = f"{lost} of {len(files.images)} files are not used: {reasons}{first}"
    return [Problem(text if text.endswith(".") else f"{text}.")]


def count_numbers(column: ArrayLike) -> dict[str, int]:
    """Count numbers as they are shown; what is not stated stands under ""."""
    values = np.asarray(column, dtype=float)
    known = values[np.isfinite(values)]
    counts: dict[str, int] = dict(Counter(f"{value:.4g}" for value in known).most_common())
    return counts | ({"": len(values) - len(known)} if len(known) < len(values) else {})


def count_texts(column: "pd.Series[str]") -> dict[str, int]:
    """Count texts; what is not stated is left out."""
    return dict(Counter(column.dropna().astype(str)).most_common())


def _show_spread(column: "pd.Series[float]") -> dict[str, float]:
    """Return median, lowest and highest value."""
    values = np.asarray(column, dtype=float)
    return {
        "median": round(float(np.median(values)), 1),
        "from": round(float(values.min()), 1),
        "to": round(float(values.max()), 1),
    }


def _list_rejects(rejects: pd.DataFrame, reasons: Sequence[str]) -> list[str]:
    """Return the files that are left out for these reasons, a line each."""
    kept = rejects[rejects["reason"].isin(reasons)]
    return [f"{row.path}: {row.detail} ({row.reason})" for row in kept.itertuples()]
