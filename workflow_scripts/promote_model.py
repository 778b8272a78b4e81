"""Register a published model in MLflow, and make it the champion of its study if it is better.

Example: promote_model.py cathode_state; then
mlflow models serve -m models:/cathode_state@champion --env-manager local
"""

import argparse
import os
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from batteryscope.core.progress import log
from batteryscope.errors import InputError
from batteryscope.planning.study_layout import MODELS
from batteryscope.workflow.command_line import make_parser, run_program

if TYPE_CHECKING:
    import pandas as pd


def main(argv: Sequence[str] | None = None) -> int:
    """Read arguments and run."""
    parser = make_parser(__doc__)
    parser.add_argument("study", help="name of the study, and of the registered model")
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), help="the settings")
    parser.add_argument("--bundle", type=Path, help="default: models/<study>")
    parser.add_argument("--work", type=Path, default=Path("work"), help="holds the studies' pieces")
    parser.add_argument(
        "--uri",
        default=os.environ.get("MLFLOW_TRACKING_URI", ""),
        help="the tracking store (default: MLFLOW_TRACKING_URI, else that of the settings)",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="say what would happen; change nothing"
    )
    parser.add_argument(
        "--fail-unless-promoted",
        action="store_true",
        help="end with status 1 if the model is not (or would not be) the champion",
    )
    return run_program(promote, parser, argv)


def promote(arguments: argparse.Namespace) -> None:
    """Find the bundle and what its networks were tested on; register, compare, promote."""
    from batteryscope.config.project import load_project
    from batteryscope.core.names import hide_password
    from batteryscope.tracking.address import pass_credentials
    from batteryscope.tracking.registry import promote_bundle
    from batteryscope.tracking.store import open_client, resolve_uri

    bundle = arguments.bundle or MODELS / arguments.study
    uri = pass_credentials(arguments.uri or load_project(arguments.params).tracking.uri)
    tested = find_tested(arguments.work / arguments.study, bundle)
    client = open_client(uri)
    found = promote_bundle(
        client, resolve_uri(uri), arguments.study, bundle, tested, arguments.dry_run
    )
    for sentence in found.sentences:
        log.info("%s", sentence)
    if arguments.fail_unless_promoted and not found.is_champion:
        raise InputError(f"{bundle} is not the champion of '{arguments.study}'; see above.")
    if found.is_champion and not arguments.dry_run:
        serve = f"mlflow models serve -m models:/{arguments.study}@champion --env-manager local"
        log.info("Serve it: MLFLOW_TRACKING_URI=%s %s", hide_password(uri), serve)


def find_tested(work: Path, bundle: Path) -> "pd.DataFrame | None":
    """Return the test predictions of the run that made a bundle, if its pieces are still there."""
    from batteryscope.core.named_function import load_function
    from batteryscope.planning.layout import open_study
    from batteryscope.tracking.study import read_tracked
    from batteryscope.workflow.publication import describe_contents

    note = work / "tracked.json"
    if not note.is_file():
        log.warning("%s is not there: of this bundle no test predictions are known.", note)
        return None
    words = read_tracked(note)["arguments"]
    told = {a: b for a, b in pairwise(words) if a.startswith("--")}
    layout = open_study(work, work.name, told["--settings"])
    if describe_contents(layout.bundle)["digest"] != describe_contents(bundle)["digest"]:
        log.warning("%s is of another run than the pieces in %s.", bundle, work)
        return None
    tested: pd.DataFrame = load_function(layout.modules.track, "list_tested")(layout)
    return tested


if __name__ == "__main__":
    sys.exit(main())
