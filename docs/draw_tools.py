"""Draw what MLflow, DVC and Snakemake show of a finished study, for docs/images/.

For example, in a project whose results are there (`make run`)::

    python -m docs.draw_tools --study additive_transfer

Two of the three are pages, which Chromium shows.
"""

import argparse
import base64
import io
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from PIL import Image
from rich.console import Console
from rich.text import Text

from batteryscope.config.project import load_project
from batteryscope.tracking.first_view import SWITCHED_OFF, list_views
from tests.browser_session import Page, open_page

PORT = 5077
PLACE = f"http://127.0.0.1:{PORT}"
WIDTH_PX = 1500
LETTERS = 150  # of a terminal's line
# MLflow's assistant and its question about telemetry, as a browser remembers their being closed.
CLOSED = {
    "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1": "true",
    "mlflow.assistant.panelOpen_v1": "false",
    "mlflow.telemetry.info.alert.dismissed_v1": "true",
}
TOLD_RUNS = "document.querySelectorAll('[role=row]').length > 3"
# The report opens with the graph of rules; its list of figures and one of them are a click away.
PRESSED = """(found => { if (found) found.click(); return Boolean(found); })(%s)"""
RESULTS = PRESSED % "[...document.querySelectorAll('a')].find(e => e.textContent === 'Results')"
KEY_FIGURE = PRESSED % (
    "[...document.querySelectorAll('tr')].find(e => e.textContent.startsWith('key figure'))"
    "?.querySelector('a')"
)


def show(page: Page, address: str, height_px: int) -> None:
    """Open an address in a window of this height."""
    page.ask(
        "Emulation.setDeviceMetricsOverride",
        width=WIDTH_PX, height=height_px, deviceScaleFactor=1, mobile=False,
    )  # fmt: skip
    page.ask("Page.navigate", url=address)


def take_picture(page: Page, out: Path) -> None:
    """Save what is seen, with few colours so that the file stays small."""
    time.sleep(2)  # what fades in
    shot = base64.b64decode(page.ask("Page.captureScreenshot", format="png")["data"])
    with Image.open(io.BytesIO(shot)) as image:
        image.convert("RGB").quantize(128).save(out, optimize=True)


def draw_runs(study: str, out: Path, folder: Path) -> None:
    """MLflow's table of a study, as `make ui` names its address."""
    uri = os.environ.get("MLFLOW_TRACKING_URI") or load_project(Path("params.yaml")).tracking.uri
    path = dict(list_views(uri))[study]
    server = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "server", "--port", str(PORT), "--workers", "1"],
        env=SWITCHED_OFF | os.environ | {"MLFLOW_BACKEND_STORE_URI": uri},
    )
    try:
        for _ in range(240):
            try:
                urllib.request.urlopen(PLACE).close()
                break
            except OSError:
                time.sleep(0.5)
        with open_page(folder) as page:
            closed = f"Object.assign(localStorage, {json.dumps(CLOSED)})"
            page.ask("Page.addScriptToEvaluateOnNewDocument", source=closed)
            show(page, PLACE + path, 560)
            page.wait_for(TOLD_RUNS, 120)
            take_picture(page, out)
    finally:
        server.terminate()
        server.wait()


def draw_experiments(study: str, out: Path) -> None:
    """The headline values of one study in all experiments, as a terminal shows them."""
    kept = rf"^{study}\.(accuracy|mape|best_baseline)"
    command = ["dvc", "exp", "show", "--drop", "^(?!Experiment|Created)", "--keep", kept]
    told = subprocess.run(
        [*command, "--no-pager"],
        env=os.environ | {"COLUMNS": str(LETTERS)}, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    console = Console(record=True, width=LETTERS, file=io.StringIO())
    console.print(Text(f"$ {shlex.join(command)}"))
    console.print(Text(told), soft_wrap=True)
    console.save_svg(str(out), title=study)


def draw_report(study: str, out: Path, folder: Path) -> None:
    """The figures of a study in Snakemake's own report."""
    report = folder / "report.html"
    subprocess.run(["snakemake", "--report", str(report), study], check=True)
    with open_page(folder) as page:
        show(page, report.as_uri(), 760)
        page.wait_for(RESULTS)
        page.wait_for(KEY_FIGURE)
        take_picture(page, out)


def main() -> None:
    """Read arguments and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", default="cathode_state", help="whose results are shown")
    parser.add_argument("--out", type=Path, default=Path("docs/images"), help="folder of pictures")
    parser.add_argument("--only", choices=("dvc", "mlflow", "snakemake"), help="one of the three")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        draw = {
            "dvc": lambda out: draw_experiments(arguments.study, out / "dvc_experiments.svg"),
            "mlflow": lambda out: draw_runs(
                arguments.study, out / "mlflow_runs.png", Path(scratch)
            ),
            "snakemake": lambda out: draw_report(
                arguments.study, out / "snakemake_report.png", Path(scratch)
            ),
        }
        for name in [arguments.only] if arguments.only else draw:
            draw[name](arguments.out)


if __name__ == "__main__":
    main()
