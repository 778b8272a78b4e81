"""A table of rows in a few numbers, and the identity of its content."""

from collections import Counter
from typing import Any

import pandas as pd

from batteryscope.config.table_data import TableDatasetSettings
from batteryscope.provenance import digest_json
from batteryscope.tables.build_rows import find_constant_columns


def hash_rows(manifest: pd.DataFrame) -> str:
    """Return a digest of what the rows are: domain, numbers and group, not file or line."""
    ordered = manifest.sort_values("sample_id")
    return digest_json(ordered[["sample_id", "group"]].to_numpy().tolist())


def summarise_rows(
    manifest: pd.DataFrame, rejects: pd.DataFrame, settings: TableDatasetSettings
) -> dict[str, Any]:
    """Count what is in a table of rows and what was left out; plain JSON values.

    Returns
    -------
    dict
        ``manifest_hash``, ``source``, ``features``, ``targets`` (lists of names), ``rows``,
        ``rejected``; ``domains`` and ``rejects`` (rows per domain and per reason), ``groups``
        (number of different names), ``columns`` (domain → column → ``min, mean, max``), and
        ``constants`` (domain → features that never change there).
    """
    columns = [*settings.features, *settings.targets]
    ranges = {
        str(domain): {
            name: {key: float(getattr(rows[name], key)()) for key in ("min", "mean", "max")}
            for name in columns
        }
        for domain, rows in manifest.groupby("domain")
    }
    return {
        "manifest_hash": hash_rows(manifest),
        "source": settings.source,
        "features": list(settings.features),
        "targets": list(settings.targets),
        "rows": len(manifest),
        "rejected": len(rejects),
        "domains": _count(manifest["domain"]),
        "rejects": _count(rejects["reason"]),
        "groups": int(manifest.loc[manifest["group"] != "", "group"].nunique()),
        "columns": ranges,
        "constants": find_constant_columns(manifest, [*settings.features, *settings.targets]),
    }


def _count(values: pd.Series) -> dict[str, int]:
    counts = Counter(values.tolist())
    return {str(value): counts[value] for value in sorted(counts)}
