"""A sample table in a few numbers, and the identity of its content."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pandas as pd

from batteryscope.manifest.grey_scale import summarise_grey_scales
from batteryscope.manifest.schema import NOTED_REASONS, ORIGIN_COLUMNS
from batteryscope.manifest.targets import list_target_columns
from batteryscope.manifest.writing_style import summarise_writing
from batteryscope.provenance import digest_json


def hash_manifest(
    manifest: pd.DataFrame, label_columns: Sequence[str], quantities: Sequence[str] = ()
) -> str:
    """Return a digest of what the samples are: contents, labels, numbers to predict and origin.

    Neither the place of the data set nor the names of its files count, so that a moved
    or renamed copy is still the same data.
    """
    targets = list(dict.fromkeys([*list_target_columns(manifest), *quantities]))
    columns = ["sample_id", "sha256", *label_columns, "class", *ORIGIN_COLUMNS, *targets]
    table = manifest[list(dict.fromkeys(columns))].sort_values("sample_id").astype(object)
    table = table.where(table.notna(), None)
    return digest_json([list(table.columns), *table.to_numpy().tolist()])


def summarise_manifest(
    manifest: pd.DataFrame,
    rejects: pd.DataFrame,
    label_columns: Sequence[str],
    quantities: Sequence[str] = (),
) -> dict[str, Any]:
    """Count what is in a sample table and what was left out; plain JSON values.

    ``quantities`` are the columns that models predict, other than capacities.

    Returns
    -------
    dict
        ``manifest_hash``, ``images``, ``rejected``, ``label_columns``; counts per value in
        ``classes, rejects, notes, sizes, bit_depths, magnifications, voltages_kv, sessions,
        specimens, domains, instruments`` ("" counts what is not stated; notes are of files
        that are used all the same); ``grey_scales`` and ``metadata_styles``, what was decided by
        instrument (:func:`~batteryscope.manifest.grey_scale.summarise_grey_scales`,
        :func:`~batteryscope.manifest.writing_style.summarise_writing`); and
        ``first_acquired_at``, ``last_acquired_at`` (ISO, None if never stated).
    """
    sizes = manifest["width_px"].astype("str") + "x" + manifest["height_px"].astype("str")
    times = manifest["acquired_at"].dropna()
    is_note = rejects["reason"].isin(NOTED_REASONS)
    return {
        "manifest_hash": hash_manifest(manifest, label_columns, quantities),
        "images": len(manifest),
        "rejected": int((~is_note).sum()),
        "label_columns": list(label_columns),
        "classes": _count(manifest["class"]),
        "rejects": _count(rejects.loc[~is_note, "reason"]),
        "notes": _count(rejects.loc[is_note, "reason"]),
        "sizes": _count(sizes),
        "bit_depths": _count(manifest["bit_depth"]),
        "grey_scales": summarise_grey_scales(manifest),
        "metadata_styles": summarise_writing(manifest),
        "magnifications": _count(manifest["magnification"]),
        "voltages_kv": _count(manifest["voltage_kv"]),
        "sessions": _count(manifest["session_id"]),
        "specimens": _count(manifest["specimen_id"]),
        "domains": _count(manifest["domain"]),
        "instruments": _count(manifest["instrument"]),
        "first_acquired_at": times.min().isoformat() if len(times) else None,
        "last_acquired_at": times.max().isoformat() if len(times) else None,
    }


def _count(values: pd.Series) -> dict[str, int]:
    """Count values in their own order; the missing ones come last under ""."""
    present = values.dropna()
    counts = Counter(present.tolist())
    named = {
        f"{value:g}" if isinstance(value, float) else str(value): counts[value]
        for value in sorted(counts)
    }
    missing = len(values) - len(present)
    return named | ({"": named.get("", 0) + missing} if missing else {})
