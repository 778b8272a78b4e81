"""Write the JSON schema of params.yaml and overlays, for completion and checks in editors."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from batteryscope.workflow.command_line import make_parser, run_program


def main(argv: Sequence[str] | None = None) -> int:
    """Read arguments and run."""
    parser = make_parser(__doc__)
    parser.add_argument("--out", type=Path, required=True, help="schema file (JSON) to write")
    return run_program(write, parser, argv)


def write(arguments: argparse.Namespace) -> None:
    """Write the schema, sorted."""
    from batteryscope.config.schema import make_schema

    schema = json.dumps(make_schema(), indent=2, sort_keys=True, ensure_ascii=False)
    arguments.out.write_text(schema + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
