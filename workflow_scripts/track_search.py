"""Mirror the candidates of a search in MLflow, one run each.

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
    parser.add_argument("--summary", type=Path, required=True, help="folder of the search")
    parser.add_argument("--out", type=Path, required=True, help="tracked.json")
    parser.set_defaults(words=words)
    return run_program(track, parser, None if argv is None else words)


def track(arguments: argparse.Namespace) -> None:
    """Mirror the candidates and write tracked.json."""
    from batteryscope.tracking.search_mirror import plan_search_runs
    from batteryscope.tracking.study import track_runs, write_tracked

    outcome = track_runs(
        arguments.study,
        lambda: plan_search_runs(arguments.study, arguments.summary),
        arguments.uri,
        True,
        [Path(__file__).name, *arguments.words],
    )
    write_tracked(arguments.out, outcome)


if __name__ == "__main__":
    sys.exit(main())
