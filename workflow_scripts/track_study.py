"""Mirror a finished study, its sweeps or its search in MLflow: runs, tables, figures, model.

If MLflow cannot be reached, the outcome file says so and the exit status is 0.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from batteryscope.workflow.command_line import add_tracking_uri, make_parser, run_program


def main(argv: Sequence[str] | None = None) -> int:
    """Read arguments and run."""
    words = list(sys.argv[1:] if argv is None else argv)
    parser = make_parser(__doc__)
    parser.add_argument("--study", required=True, help="name of the study")
    add_tracking_uri(parser)
    switch = parser.add_mutually_exclusive_group()
    switch.add_argument("--enabled", action="store_true", default=True, help="record (default)")
    switch.add_argument("--disabled", dest="enabled", action="store_false", help="record nothing")
    parser.add_argument("--by", help="module that lists the runs (default: that of the study)")
    parser.add_argument("--settings", required=True, help="study settings (JSON text or file)")
    parser.add_argument("--work", type=Path, required=True, help="folder with the study's pieces")
    parser.add_argument("--data-version", default="", help="hash of the data set")
    parser.add_argument("--out", type=Path, required=True, help="tracked.json")
    parser.set_defaults(words=words)
    return run_program(track, parser, None if argv is None else words)


def track(arguments: argparse.Namespace) -> None:
    """Mirror what lies in the study's folder and write tracked.json."""
    from batteryscope.core.named_function import load_function
    from batteryscope.planning.layout import open_study
    from batteryscope.tracking.first_view import describe_experiment
    from batteryscope.tracking.study import track_runs, write_tracked

    layout = open_study(arguments.work, arguments.study, arguments.settings)
    doer = arguments.by or layout.modules.track
    plan_runs = load_function(doer, "plan_runs")
    command = [Path(__file__).name, *arguments.words]
    outcome = track_runs(
        arguments.study,
        lambda: plan_runs(layout, arguments.data_version),
        arguments.uri,
        arguments.enabled,
        command,
        # Sweeps and searches are guests in the experiment of their study.
        describe_experiment(layout.plan.settings.title, layout.report)
        if doer == layout.modules.track
        else "",
    )
    write_tracked(arguments.out, outcome)


if __name__ == "__main__":
    sys.exit(main())
