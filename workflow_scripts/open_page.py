"""Open a page on this machine alone: to drop pictures on a model, or MLflow's, on all runs.

For example: open_page.py app --models models
             open_page.py runs --port 5000
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from batteryscope.core.progress import log
from batteryscope.errors import InputError
from batteryscope.planning.study_layout import MODELS
from batteryscope.workflow.command_line import make_parser, run_program

# Where make app installs what only the page needs; what both have is taken from the environment.
EXTRA = Path("work/app")


def main(argv: Sequence[str] | None = None) -> int:
    """Read arguments and run."""
    parser = make_parser(__doc__)
    pages = parser.add_subparsers(required=True, metavar="PAGE", help="which page")
    app = pages.add_parser("app", help="choose a model, drop pictures or a scan on it")
    app.add_argument("--models", type=Path, default=MODELS, help="folder of published models")
    app.add_argument("--port", type=int, default=7860, help="default: 7860")
    app.set_defaults(open=open_app)
    runs = pages.add_parser("runs", help="MLflow's user interface on the store of params.yaml")
    runs.add_argument("--params", type=Path, default=Path("params.yaml"), help="the settings")
    runs.add_argument("--host", default="127.0.0.1", help="address to serve (default: 127.0.0.1)")
    runs.add_argument("--port", type=int, default=5000, help="default: 5000")
    runs.set_defaults(open=open_runs)
    return run_program(lambda arguments: arguments.open(arguments), parser, argv)


def open_app(arguments: argparse.Namespace) -> None:
    """Serve the page until Ctrl-C."""
    sys.path.append(str(EXTRA.absolute()))
    from batteryscope.app.page import HOST, serve_page

    log.info("Open http://%s:%d in a browser; stop with Ctrl-C.", HOST, arguments.port)
    serve_page(arguments.models, arguments.port)


def open_runs(arguments: argparse.Namespace) -> None:
    """Replace this program by MLflow's server; a server that runs elsewhere is only named."""
    from batteryscope.config.project import load_project
    from batteryscope.core.names import hide_password
    from batteryscope.tracking.first_view import SWITCHED_OFF, list_views

    uri = os.environ.get("MLFLOW_TRACKING_URI") or load_project(arguments.params).tracking.uri
    if uri.startswith(("http://", "https://")):
        log.info("The runs are on a server of their own: open %s in a browser.", hide_password(uri))
        return
    if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).is_file():
        raise InputError(f"{uri}: no run was recorded there yet; run a study first.")
    place = f"http://{arguments.host}:{arguments.port}"
    log.info("Open %s in a browser; stop with Ctrl-C. The table of each study:", place)
    for name, path in list_views(uri):
        log.info("  %s: %s%s", name, place, path)
    os.execvpe(
        sys.executable,
        [
            *(sys.executable, "-m", "mlflow", "server"),
            *("--host", arguments.host, "--port", str(arguments.port)),
        ],
        # Not on the command line, which everybody on the machine can read.
        SWITCHED_OFF | os.environ | {"MLFLOW_BACKEND_STORE_URI": uri},
    )


if __name__ == "__main__":
    sys.exit(main())
