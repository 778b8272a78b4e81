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
    parser.add_argument("--settings", required=True, help="study settings as JSON text or file")
    parser.add_argument("--manifest-dir", type=Path, required=True, help="folder of the manifest")
    parser.add_argument("--tiles", type=Path, required=True, help="main arm's tile store")
    parser.add_argument("--audit", type=Path, required=True, help="audit.json of the main split")
    parser.add_argument("--predicted", type=Path, required=True, help="folder with one per arm")
    parser.add_argument("--comparison", type=Path, required=True, help="folder of the comparison")
    parser.add_argument("--maps", type=Path, required=True, help="folder of the explanations")
    parser.add_argument("--sweeps", type=Path, help="folder of the points of sweeps")
    parser.add_argument("--external", type=Path, help="folder of the external data set")
    parser.add_argument("--stages", nargs="*", default=[], metavar="CHAIN=DIR", help="stages")
    parser.add_argument("--workers", type=int, default=1, help="processes that draw (default: 1)")
    parser.add_argument("--out", type=Path, required=True, help="folder of the report to write")
    return run_program(report, parser, argv, heavy=True)


def report(arguments: argparse.Namespace) -> None:
    """Collect the pieces and write the report."""
    from batteryscope.config.study import StudySettings
    from batteryscope.provenance import find_git_commit
    from batteryscope.report.regression_evidence import (
        RegressionFolders,
        collect_regression_evidence,
    )
    from batteryscope.report.regression_report import write_regression_report

    pairs = [pair.partition("=") for pair in arguments.stages]
    folders = RegressionFolders(
        comparison=arguments.comparison,
        manifest=arguments.manifest_dir,
        tiles=arguments.tiles,
        audit=arguments.audit,
        predicted=arguments.predicted,
        maps=arguments.maps,
        sweeps=arguments.sweeps,
        external=arguments.external,
        stages={name: Path(folder) for name, _, folder in pairs},
    )
    settings = read_settings(StudySettings, arguments.settings)
    evidence = collect_regression_evidence(arguments.study, settings, folders, find_git_commit())
    log.info("report: %s", write_regression_report(evidence, arguments.out, arguments.workers))


if __name__ == "__main__":
    sys.exit(main())
