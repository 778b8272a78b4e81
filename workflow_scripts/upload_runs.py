"""Upload the runs of all studies that MLflow could not take when they were finished."""

import argparse
import logging
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from batteryscope.core.names import hide_password
from batteryscope.errors import BatteryscopeError
from batteryscope.tracking.address import ADDRESS, split_credentials
from batteryscope.workflow.command_line import make_parser, run_program

log = logging.getLogger("batteryscope")
PROGRAM = "track_study.py"


def main(argv: Sequence[str] | None = None) -> int:
    """Read arguments and run."""
    parser = make_parser(__doc__)
    parser.add_argument("--work", type=Path, default=Path("work"), help="holds the studies")
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), help="the settings")
    parser.add_argument("--uri", help="upload to this store instead of the one first meant")
    parser.add_argument("--all", action="store_true", help="also studies uploaded before")
    return run_program(upload, parser, argv)


def upload(arguments: argparse.Namespace) -> None:
    """Repeat the tracking of every pending study."""
    from batteryscope.tracking.study import leave_out_store, read_tracked

    wanted = ("pending", "complete") if arguments.all else ("pending",)
    depths = ("*/tracked.json", "*/*/tracked.json")  # the second: of sweeps and searches
    paths = sorted(path for depth in depths for path in arguments.work.glob(depth))
    waiting = [path for path in paths if read_tracked(path)["status"] in wanted]
    if not waiting:
        log.info("No runs wait for their upload below %s.", arguments.work)
    failed = []
    for path in waiting:
        tracked = read_tracked(path)
        if tracked["program"] != PROGRAM:
            raise BatteryscopeError(
                f"{path}: found program '{tracked['program']}'; expected '{PROGRAM}'; "
                "delete the file and run the study again."
            )
        program = Path(__file__).with_name(PROGRAM)
        words = leave_out_store(tracked["arguments"])  # earlier versions noted it
        store = {ADDRESS: arguments.uri or find_store(tracked, path, arguments.params)}
        # One process per study, so that one study's failure does not stop the others.
        status = subprocess.run(
            [sys.executable, str(program), *words], check=False, env=os.environ | store
        ).returncode
        if status or read_tracked(path)["status"] != "complete":
            failed.append(path.parent.name)
    if failed:
        raise BatteryscopeError(
            f"The runs of {', '.join(failed)} still are not in MLflow; see the messages above "
            "and try again when the store can be reached."
        )


def find_store(tracked: Mapping[str, Any], path: Path, params: Path) -> str:
    """Return where a study was to be recorded: a note of it holds no user name and password."""
    from batteryscope.config.project import load_project

    noted = str(tracked.get("uri", ""))
    known = [os.environ.get(ADDRESS, "")]
    known += [load_project(params).tracking.uri] if params.is_file() else []
    for uri in filter(None, known):
        if noted in (hide_password(uri), split_credentials(uri)[0]):
            return uri
    if "***" in noted:
        raise BatteryscopeError(
            f"{path}: the address of the store holds a password, which is kept nowhere; set "
            f"{ADDRESS}, or say it with --uri."
        )
    return noted


if __name__ == "__main__":
    sys.exit(main())
