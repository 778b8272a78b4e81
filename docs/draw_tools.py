"""Draw what MLflow, DVC and Snakemake show of a finished study, for docs/images/.

For example: python docs/draw_tools.py --study additive_transfer

It runs in a project whose results are there (`make run`), and needs Chromium for two of the three.
"""

import argparse
import io
import os
import shlex
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from rich.console import Console
from rich.text import Text

from batteryscope.config.project import load_project
from batteryscope.tracking.first_view import SWITCHED_OFF, list_views

PORT = 5077
PLACE = f"http://127.0.0.1:{PORT}"
WIDTH_PX, HEIGHT_PX = 1600, 760
LETTERS = 150  # of a terminal's line
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars")
# The report opens with the graph of rules; the first of its figures is a click away.
OPEN_FIGURES = """<script>
const press = text => [...document.querySelectorAll('a, button, li, span')]
  .filter(e => e.textContent.trim() === text).slice(-1).forEach(e => e.click());
window.addEventListener('load', () => setTimeout(() => press('STUDY'), 3000));
</script></body>"""


def take_picture(address: str, out: Path, folder: Path) -> None:
    """Let Chromium show a page, and save what is seen."""
    subprocess.run(
        ["chromium", *FLAGS, f"--user-data-dir={folder}", f"--window-size={WIDTH_PX},{HEIGHT_PX}",
         "--virtual-time-budget=30000", "--timeout=60000", f"--screenshot={out}", address],
        check=True, capture_output=True, timeout=180,
    )  # fmt: skip


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
        take_picture(PLACE + path, out, folder)
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
    page = folder / "report.html"
    subprocess.run(["snakemake", "--report", str(page), study], check=True)
    text = page.read_text(encoding="utf-8")
    before, _, after = text.rpartition("</body>")  # the word occurs in scripts, too
    opened = before + OPEN_FIGURES.replace("STUDY", study) + after
    page.write_text(opened, encoding="utf-8")
    take_picture(page.as_uri(), out, folder / "browser")


def main() -> None:
    """Read arguments and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", default="cathode_state", help="whose results are shown")
    parser.add_argument("--out", type=Path, default=Path("docs/images"), help="folder of pictures")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        draw_experiments(arguments.study, arguments.out / "dvc_experiments.svg")
        draw_runs(arguments.study, arguments.out / "mlflow_runs.png", folder / "mlflow")
        draw_report(arguments.study, arguments.out / "snakemake_report.png", folder)


if __name__ == "__main__":
    main()
