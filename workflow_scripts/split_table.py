"""Divide the rows of every domain into training, validation and test parts; look for leaks."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from batteryscope.config.json_text import read_settings
from batteryscope.core.progress import log
from batteryscope.workflow.command_line import make_parser, run_program


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program."""
    parser = make_parser(__doc__)
    parser.add_argument("--manifest", type=Path, required=True, help="table of rows (parquet)")
    parser.add_argument("--settings", required=True, help="split settings as JSON text or file")
    parser.add_argument(
        "--features", nargs="+", required=True, help="feature columns; equal rows stay together"
    )
    parser.add_argument("--split", type=Path, required=True, help="roles (parquet) to write")
    parser.add_argument("--audit", type=Path, required=True, help="what was checked (JSON)")
    return run_program(_split, parser, argv)


def _split(arguments: argparse.Namespace) -> None:
    from batteryscope.config.table_study import TableSplitSettings
    from batteryscope.tables.row_schema import read_rows
    from batteryscope.tables.split_rows import audit_rows, split_rows

    settings = read_settings(TableSplitSettings, arguments.settings)
    manifest = read_rows(arguments.manifest, arguments.features)
    split = split_rows(manifest, settings, arguments.features)
    audit = audit_rows(split, manifest, arguments.features)

    for path in (arguments.split, arguments.audit):
        path.parent.mkdir(parents=True, exist_ok=True)
    split.to_parquet(arguments.split, index=False)
    text = json.dumps(audit, ensure_ascii=False, indent=1)
    arguments.audit.write_text(text + "\n", encoding="utf-8")
    for warning in audit["warnings"]:
        log.warning("%s", warning)
    first = split[split["repeat"] == 0]["role"].value_counts()
    sizes = ", ".join(f"{n} {role}" for role, n in first.items())
    log.info("%d groups; first repeat: %s rows", audit["groups"], sizes)


if __name__ == "__main__":
    sys.exit(main())
