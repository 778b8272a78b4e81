"""Tabulate the rows of tables: one line per usable row, and a list of the rest with reasons.

The files are those of the settings, below --root; where they name none, all CSV files in
--root, where the generator wrote them.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from batteryscope.config.json_text import read_settings
from batteryscope.core.progress import log
from batteryscope.core.safe_text import guard_table
from batteryscope.workflow.command_line import make_parser, run_program

MAX_LISTED_REJECTS = 20


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program."""
    parser = make_parser(__doc__)
    parser.add_argument("--settings", required=True, help="data set settings as JSON text or file")
    parser.add_argument(
        "--root", type=Path, default=Path(), help="folder that the paths of the files count from"
    )
    parser.add_argument("--manifest", type=Path, required=True, help="rows (parquet) to write")
    parser.add_argument(
        "--rejects", type=Path, required=True, help="list of rejects (CSV) to write"
    )
    parser.add_argument("--summary", type=Path, required=True, help="summary (JSON) to write")
    return run_program(_ingest, parser, argv)


def _ingest(arguments: argparse.Namespace) -> None:
    from batteryscope.config.table_data import TableDatasetSettings
    from batteryscope.manifest.schema import write_manifest
    from batteryscope.tables.build_rows import build_rows, list_decimal_signs
    from batteryscope.tables.read_table import list_files, read_table
    from batteryscope.tables.summarise_rows import summarise_rows

    settings = read_settings(TableDatasetSettings, arguments.settings)
    files = list_files(settings, arguments.root)
    tables = [(file, read_table(file, settings, arguments.root)) for file in files]
    manifest, rejects = build_rows(tables, settings)
    summary = summarise_rows(manifest, rejects, settings)
    summary["decimal_signs"] = list_decimal_signs(tables, settings)

    for path in (arguments.rejects, arguments.summary):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_manifest(manifest, arguments.manifest)
    guard_table(rejects).to_csv(arguments.rejects, index=False)
    text = json.dumps(summary, ensure_ascii=False, indent=1)
    arguments.summary.write_text(text + "\n", encoding="utf-8")

    for reject in rejects.head(MAX_LISTED_REJECTS).itertuples():
        log.warning("%s, line %d: %s (%s)", reject.path, reject.row, reject.detail, reject.reason)
    if len(rejects) > MAX_LISTED_REJECTS:
        further = len(rejects) - MAX_LISTED_REJECTS
        log.warning("… and %d more rejects, see %s", further, arguments.rejects)
    for domain, names in summary["constants"].items():
        log.warning("%s: constant in all rows: %s", domain, ", ".join(names))
    counts = ", ".join(f"{name} {n}" for name, n in summary["domains"].items())
    log.info("%d rows (%s), %d rejected", summary["rows"], counts, summary["rejected"])


if __name__ == "__main__":
    sys.exit(main())
