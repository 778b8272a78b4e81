"""Upload the runs of all studies that MLflow could not take when they were finished."""

import argparse
import logging
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from batteryscope.errors import BatteryscopeError
from batteryscope.workflow.command_line import make_parser, run_program

log = logging.getLogger("batteryscope")
PROGRAMS = ("track_study.py", "track_table.py", "track_sweeps.py", "track_search.py")


def main(argv: Sequence[str] | None = None) -> int:
    """Read arguments and run."""
    parser = make_parser(__doc__)
    parser.add_argument("--work", type=Path, default=Path("work"), help="holds the studies")
    parser.add_argument("--uri", help="upload to this store instead of the one first meant")
    parser.add_argument("--all", action="store_true", help="also studies uploaded before")
    return run_program(upload, parser, argv)


def upload(arguments: argparse.Namespace) -> None:
    """Repeat the tracking of every pending study."""
    from batteryscope.tracking.study import read_tracked

    wanted = ("pending", "complete") if arguments.all else ("pending",)
    depths = ("*/tracked.json", "*/*/tracked.json")  # the second: of sweeps and searches
    paths = sorted(path for depth in depths for path in arguments.work.glob(depth))
    waiting = [path for path in paths if read_tracked(path)["status"] in wanted]
    if not waiting:
        log.info("No runs wait for their upload below %s.", arguments.work)
    failed = []
    for path in waiting:
        tracked = read_tracked(path)
        if tracked["program"] not in PROGRAMS:
            raise BatteryscopeError(
                f"{path}: found program '{tracked['program']}'; expected one of {PROGRAMS}; "
                "delete the file and run the study again."
            )
        program, words = Path(__file__).with_name(tracked["program"]), tracked["arguments"]
        if arguments.uri:
            words = [*words, "--uri", arguments.uri]
        # One process per study, so that one study's failure does not stop the others.
        status = subprocess.run([sys.executable, str(program), *words], check=False).returncode
        if status or read_tracked(path)["status"] != "complete":
            failed.append(path.parent.name)
    if failed:
        raise BatteryscopeError(
            f"The runs of {', '.join(failed)} still are not in MLflow; see the messages above "
            "and try again when the store can be reached."
        )


if __name__ == "__main__":
    sys.exit(main())
