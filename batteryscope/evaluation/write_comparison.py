"""The files that a comparison leaves: tables as CSV, numbers and findings as JSON."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from batteryscope.core.finding import Finding, Sentences
from batteryscope.evaluation.flat_metrics import FITS


def write_comparison(
    out: Path,
    tables: Mapping[str, pd.DataFrame | None],
    metrics: Mapping[str, float],
    findings: Iterable[Finding],
    sentences: Sentences,
) -> None:
    """Write ``<name>.csv`` of every table, ``metrics.json`` and ``findings.json`` into ``out``.

    A table that is None does not exist in this study. ``sentences`` say what was found.
    """
    out.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        if table is not None:
            table = table.drop(columns=FITS) if name == "comparison" else table
            table.round(6).to_csv(out / f"{name}.csv", index=False)
    for name, value in {"metrics": metrics, "findings": sentences.record(findings)}.items():
        text = json.dumps(value, indent=1, ensure_ascii=False) + "\n"
        (out / f"{name}.json").write_text(text, encoding="utf-8")
