"""Divide the samples into training, validation and test parts, and look for leaks."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from batteryscope.core.progress import log
from batteryscope.workflow.command_line import make_parser, run_program


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program."""
    parser = make_parser(__doc__)
    parser.add_argument("--by", default="", help="module that divides (default: as samples say)")
    parser.add_argument("--manifest", type=Path, required=True, help="sample table (parquet)")
    parser.add_argument("--frames", type=Path, help="measurements per frame (parquet)")
    parser.add_argument(
        "--features", nargs="+", default=[], help="columns of rows; equal ones stay together"
    )
    parser.add_argument("--settings", required=True, help="split settings as JSON text or file")
    parser.add_argument("--split", type=Path, required=True, help="roles (parquet) to write")
    parser.add_argument("--audit", type=Path, required=True, help="what was checked (JSON)")
    return run_program(_split, parser, argv)


def _split(arguments: argparse.Namespace) -> None:
    from batteryscope.core.named_function import load_function
    from batteryscope.samples.find_modules import find_divider

    divide = load_function(arguments.by or find_divider(arguments.manifest), "divide")
    split, audit = divide(
        arguments.settings, arguments.manifest, arguments.frames, arguments.features
    )
    for path in (arguments.split, arguments.audit):
        path.parent.mkdir(parents=True, exist_ok=True)
    split.to_parquet(arguments.split, index=False)
    text = json.dumps(audit, ensure_ascii=False, indent=1)
    arguments.audit.write_text(text + "\n", encoding="utf-8")
    for warning in audit["warnings"]:
        log.warning("%s", warning)
    first = split[(split["repeat"] == 0) & (split["fold"] == 0)]
    sizes = ", ".join(f"{n} {role}" for role, n in first["role"].value_counts().items())
    log.info("%d groups; samples of the first division: %s", audit["groups"], sizes)


if __name__ == "__main__":
    sys.exit(main())
