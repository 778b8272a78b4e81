"""Mirror a finished study of tables in MLflow: runs of arms and repeats, tables, figures, model.

If MLflow cannot be reached, the outcome file says so and the exit status is 0.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from batteryscope.config.json_text import read_settings
from batteryscope.workflow.command_line import add_tracking_uri, make_parser, run_program


def main(argv: Sequence[str] | None = None) -> int:
    """Read arguments and run."""
    words = list(sys.argv[1:] if argv is None else argv)
    parser = make_parser(__doc__)
    parser.add_argument("--study", required=True, help="name of the study")
    add_tracking_uri(parser)
    parser.add_argument("--settings", required=True, help="table study as JSON text or file")
    parser.add_argument("--manifest-summary", type=Path, required=True, help="summary.json")
    parser.add_argument("--data-version", default="", help="hash of the tables")
    parser.add_argument("--split", type=Path, required=True, help="roles (parquet)")
    parser.add_argument("--networks", type=Path, required=True, help="folder of the networks")
    parser.add_argument("--comparison", type=Path, required=True, help="folder of the evaluation")
    parser.add_argument("--report", type=Path, help="folder of the report")
    parser.add_argument("--bundle", type=Path, help="folder of the bundle")
    parser.add_argument("--out", type=Path, required=True, help="tracked.json")
    parser.set_defaults(words=words)
    return run_program(track, parser, None if argv is None else words)


def track(arguments: argparse.Namespace) -> None:
    """Collect where the results lie, mirror them and write tracked.json."""
    from batteryscope.config.table_study import TableStudySettings
    from batteryscope.tracking.study import track_runs, write_tracked
    from batteryscope.tracking.table_mirror import TableResults, plan_table_runs

    results = TableResults(
        study=arguments.study,
        settings=read_settings(TableStudySettings, arguments.settings),
        data_version=arguments.data_version,
        manifest_summary=arguments.manifest_summary,
        split=arguments.split,
        networks=arguments.networks,
        comparison=arguments.comparison,
        report=arguments.report,
        bundle=arguments.bundle,
    )
    command = [Path(__file__).name, *arguments.words]
    outcome = track_runs(
        results.study, lambda: plan_table_runs(results), arguments.uri, True, command
    )
    write_tracked(arguments.out, outcome)


if __name__ == "__main__":
    sys.exit(main())
