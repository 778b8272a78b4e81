"""Write the report of a study of capacities: one HTML page with its figures and tables."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from batteryscope.config.json_text import read_settings
from batteryscope.core.progress import log
from batteryscope.workflow.command_line import make_parser, run_program


def main(argv: Sequence[str] | None = None) -> int:
    """Read arguments and run."""
    parser = make_parser(__doc__)
    parser.add_argument("--study", required=True, help="name of the study")
    parser.add_argument("--settings", required=True, help="settings of the study (JSON)")
    parser.add_argument("--work", type=Path, required=True, help="folder with its pieces")
    parser.add_argument("--workers", type=int, default=1, help="processes that draw (default: 1)")
    parser.add_argument("--out", type=Path, required=True, help="folder of the report to write")
    return run_program(report, parser, argv, heavy=True)


def report(arguments: argparse.Namespace) -> None:
    """Collect the pieces and write the report."""
    from batteryscope.config.study import StudySettings
    from batteryscope.plan import plan_study
    from batteryscope.planning.layout import PictureLayout
    from batteryscope.provenance import find_git_commit
    from batteryscope.report.regression_evidence import collect_regression_evidence
    from batteryscope.report.regression_report import write_regression_report

    plan = plan_study(arguments.study, read_settings(StudySettings, arguments.settings))
    layout = PictureLayout(arguments.work, plan)
    evidence = collect_regression_evidence(layout, find_git_commit())
    log.info("report: %s", write_regression_report(evidence, arguments.out, arguments.workers))


if __name__ == "__main__":
    sys.exit(main())
