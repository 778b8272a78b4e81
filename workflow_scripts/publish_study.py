"""Copy a study's models and report to where DVC versions them and people look for them."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from batteryscope.core.progress import log
from batteryscope.workflow.command_line import make_parser, run_program


def main(argv: Sequence[str] | None = None) -> int:
    """Read arguments and run."""
    parser = make_parser(__doc__)
    parser.add_argument("--study", required=True, help="name of the study")
    parser.add_argument("--settings", required=True, help="settings of the study (JSON)")
    parser.add_argument("--bundle", type=Path, required=True, help="folder of its bundle")
    parser.add_argument("--report", type=Path, required=True, help="folder of its report")
    parser.add_argument("--models", type=Path, required=True, help="folder of all published models")
    parser.add_argument(
        "--reports", type=Path, required=True, help="folder of all published reports"
    )
    parser.add_argument("--out", type=Path, required=True, help="note of what was published")
    return run_program(publish, parser, argv)


def publish(arguments: argparse.Namespace) -> None:
    """Publish both folders, refresh the index of reports, write the note."""
    from batteryscope.config.project import read_study
    from batteryscope.report.html import render_index
    from batteryscope.workflow.publication import publish_folder

    origin = read_study(arguments.settings).data_origin
    digests = {}
    for source, parent in (
        (arguments.bundle, arguments.models),
        (arguments.report, arguments.reports),
    ):
        target = parent / arguments.study
        digests[target.as_posix()] = publish_folder(source, target, origin)["digest"]
    index = arguments.reports / "index.html"
    index.write_text(render_index(arguments.reports), encoding="utf-8")
    note = json.dumps({"digests": digests}, indent=1, sort_keys=True)
    arguments.out.write_text(note + "\n", encoding="utf-8")
    log.info("The report is %s", arguments.reports / arguments.study / "report.html")


if __name__ == "__main__":
    sys.exit(main())
