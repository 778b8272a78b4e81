"""Write the report of a study of tables: one HTML page with its figures and tables."""

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
    parser.add_argument("--out", type=Path, required=True, help="folder of the report to write")
    return run_program(report, parser, argv)


def report(arguments: argparse.Namespace) -> None:
    """Collect the pieces and write the report."""
    from batteryscope.config.table_study import TableStudySettings
    from batteryscope.planning.layout import RowLayout
    from batteryscope.planning.plan_table_sweeps import plan_table_sweeps
    from batteryscope.provenance import find_git_commit
    from batteryscope.report.table_evidence import collect_table_evidence
    from batteryscope.report.table_report import write_table_report

    settings = read_settings(TableStudySettings, arguments.settings)
    layout = RowLayout(arguments.work, plan_table_sweeps(arguments.study, settings))
    evidence = collect_table_evidence(layout, find_git_commit())
    log.info("report: %s", write_table_report(evidence, arguments.out))


if __name__ == "__main__":
    sys.exit(main())
