"""Mirror the points of a study's sweeps in MLflow, one run each.

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
    from batteryscope.config.project import STUDY_KINDS

    words = list(sys.argv[1:] if argv is None else argv)
    parser = make_parser(__doc__)
    parser.add_argument("--study", required=True, help="name of the study")
    parser.add_argument("--kind", choices=sorted(STUDY_KINDS), default="image", help="of its data")
    add_tracking_uri(parser)
    parser.add_argument("--settings", required=True, help="study settings (JSON text or file)")
    parser.add_argument("--work", type=Path, required=True, help="folder with the study's pieces")
    parser.add_argument("--data-version", default="", help="hash of the data set")
    parser.add_argument("--out", type=Path, required=True, help="tracked.json")
    parser.set_defaults(words=words)
    return run_program(track, parser, None if argv is None else words)


def track(arguments: argparse.Namespace) -> None:
    """Mirror the points and write tracked.json."""
    from batteryscope.config.project import STUDY_KINDS
    from batteryscope.planning.layout import lay_out_study
    from batteryscope.tracking.study import track_runs, write_tracked
    from batteryscope.tracking.sweep_mirror import plan_point_runs

    settings = read_settings(STUDY_KINDS[arguments.kind], arguments.settings)
    layout = lay_out_study(arguments.work, arguments.study, settings)
    command = [Path(__file__).name, *arguments.words]
    outcome = track_runs(
        arguments.study,
        lambda: plan_point_runs(layout, arguments.data_version),
        arguments.uri,
        True,
        command,
    )
    write_tracked(arguments.out, outcome)


if __name__ == "__main__":
    sys.exit(main())
