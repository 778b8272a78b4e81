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
    parser.add_argument("--settings", required=True, help="table study as JSON text or file")
    parser.add_argument("--comparison", type=Path, required=True, help="folder of the evaluation")
    parser.add_argument("--manifest-dir", type=Path, help="folder of the sample table")
    parser.add_argument("--split", type=Path, help="roles (parquet)")
    parser.add_argument("--networks", type=Path, help="folder of the networks")
    parser.add_argument("--explanations", type=Path, help="folder of the explanations")
    parser.add_argument("--proposals", type=Path, help="folder of the proposed settings")
    parser.add_argument("--sweeps", type=Path, help="folder of the points of sweeps")
    parser.add_argument("--out", type=Path, required=True, help="folder of the report to write")
    return run_program(report, parser, argv)


def report(arguments: argparse.Namespace) -> None:
    """Collect the pieces and write the report."""
    from batteryscope.config.table_study import TableStudySettings
    from batteryscope.provenance import find_git_commit
    from batteryscope.report.table_evidence import TableFolders, collect_table_evidence
    from batteryscope.report.table_report import write_table_report

    settings = read_settings(TableStudySettings, arguments.settings)
    folders = TableFolders(
        comparison=arguments.comparison,
        manifest=arguments.manifest_dir,
        split=arguments.split,
        networks=arguments.networks,
        explanations=arguments.explanations,
        proposals=arguments.proposals,
        sweeps=arguments.sweeps,
    )
    evidence = collect_table_evidence(arguments.study, settings, folders, find_git_commit())
    log.info("report: %s", write_table_report(evidence, arguments.out))


if __name__ == "__main__":
    sys.exit(main())
