"""Write the report of a study: one HTML page with its figures and tables."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from batteryscope.config.json_text import read_settings
from batteryscope.core.progress import log
from batteryscope.errors import ConfigError
from batteryscope.workflow.command_line import make_parser, run_program


def main(argv: Sequence[str] | None = None) -> int:
    """Read arguments and run."""
    parser = make_parser(__doc__)
    parser.add_argument("--study", required=True, help="name of the study")
    parser.add_argument("--settings", required=True, help="settings of the study (JSON)")
    parser.add_argument("--comparison", type=Path, required=True, help="folder of the comparison")
    parser.add_argument("--manifest-dir", type=Path, help="folder of the sample table")
    parser.add_argument("--tiles", type=Path, help="folder of the main arm's tile store")
    parser.add_argument("--split-dir", type=Path, help="folder of the main arm's split")
    parser.add_argument(
        "--arms", nargs="*", default=[], metavar="NAME=DIR", help="folder of every arm"
    )
    parser.add_argument(
        "--stages", nargs="*", default=[], metavar="CHAIN=DIR", help="folder of every stage"
    )
    parser.add_argument("--external", type=Path, help="folder of the external results")
    parser.add_argument("--sweeps", type=Path, help="folder of the points of sweeps")
    parser.add_argument("--generated", action="store_true", help="the data set is generated")
    parser.add_argument("--workers", type=int, default=1, help="processes that draw (default: 1)")
    parser.add_argument("--out", type=Path, required=True, help="folder of the report to write")
    return run_program(report, parser, argv)


def report(arguments: argparse.Namespace) -> None:
    """Collect the pieces and write the report."""
    from batteryscope.config.study import StudySettings
    from batteryscope.provenance import find_git_commit
    from batteryscope.report.collect import StudyFolders, collect_evidence
    from batteryscope.report.write import write_report

    folders = StudyFolders(
        comparison=arguments.comparison,
        manifest=arguments.manifest_dir,
        tiles=arguments.tiles,
        split=arguments.split_dir,
        external=arguments.external,
        sweeps=arguments.sweeps,
        arms=_split_pairs(arguments.arms, "--arms"),
        stages=_split_pairs(arguments.stages, "--stages"),
    )
    settings = read_settings(StudySettings, arguments.settings)
    evidence = collect_evidence(
        arguments.study, settings, folders, arguments.generated, find_git_commit()
    )
    log.info("report: %s", write_report(evidence, arguments.out, arguments.workers))


def _split_pairs(pairs: Sequence[str], option: str) -> dict[str, Path]:
    named = [pair.partition("=") for pair in pairs]
    for name, sign, folder in named:
        if not (name and sign and folder):
            raise ConfigError(f"{option}: found '{name}{sign}{folder}'; expected NAME=FOLDER.")
    return {name: Path(folder) for name, _, folder in named}


if __name__ == "__main__":
    sys.exit(main())
