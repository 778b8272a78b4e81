"""Draw what users see, for docs/images/: MLflow, DVC, Snakemake, a report, a plan, the page.

For example, in a project whose results are there (`make run`)::

    python -m docs.draw_tools --study additive_transfer
    python -m docs.draw_tools --only report --study cathode_state --name demo_report
    python -m docs.draw_tools --only report --study rate_capability --name cross_sections_report \
        --below explanation
    python -m docs.draw_tools --only banner --study cathode_state
    python -m docs.draw_tools --only head --study my_cathodes --name first_run_report
    python -m docs.draw_tools --only plan --data my_cathodes.yaml --name first_run_plan
    python -m docs.draw_tools --only windings --data work/my_cells/tiles-HASH/preview.png
    python -m docs.draw_tools --only start --data data/raw/my_cathodes
    python -m docs.draw_tools --only app --study my_cathodes --data NEW_FRAME

Pages are shown by Chromium.
"""

import argparse
import base64
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
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
REPORT_PX, APP_PX = 1000, 1200
BANNER_PX, HEAD_SHARE, GAP_PX = (1000, 400), 0.62, 16  # of the README: one glance
LETTERS = 150  # of a terminal's line
PATIENCE_S = 900  # of a busy machine
FONTS = re.compile(r" *@font-face \{.*?\}\n", re.DOTALL)  # at addresses, which nobody shall ask
# Files by what they show.
OF_RUNS = {
    "dvc": "dvc_experiments.svg", "mlflow": "mlflow_runs.png",
    "snakemake": "snakemake_report.png", "report": "demo_report.png",
    "banner": "report_banner.png", "head": "report_head.png",
}  # fmt: skip
OF_DATA = {
    "start": "start_plan.svg", "plan": "plan.svg", "app": "app_page.png",
    "windings": "cell_windings.png",
}  # fmt: skip
PLAN_LINES = 14
# MLflow's assistant and its question about telemetry, as a browser remembers their being closed.
CLOSED = {
    "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1": "true",
    "mlflow.assistant.panelOpen_v1": "false",
    "mlflow.telemetry.info.alert.dismissed_v1": "true",
}
TOLD_RUNS = "document.querySelectorAll('[role=row]').length > 3"
# The report opens with the graph of rules; its list of figures and one of them are a click away.
PRESSED = """(found => { if (found) found.click(); return Boolean(found); })(%s)"""
BY_CLASS = """[...document.querySelectorAll('h3')].find(e => e.textContent === 'By class')
    ?.scrollIntoView()"""
HEAD = "#result"
RESULTS = PRESSED % "[...document.querySelectorAll('a')].find(e => e.textContent === 'Results')"
GROUP = PRESSED % "[...document.querySelectorAll('a')].find(e => e.textContent === '2 Results')"
KEY_FIGURE = PRESSED % (
    "[...document.querySelectorAll('tr')].find(e => e.textContent.startsWith('key figure'))"
    "?.querySelector('a')"
)


def show(page: Page, address: str, height_px: int, width_px: int = WIDTH_PX) -> None:
    """Open an address in a window of this size."""
    page.ask(
        "Emulation.setDeviceMetricsOverride",
        width=width_px, height=height_px, deviceScaleFactor=1, mobile=False,
    )  # fmt: skip
    page.ask("Page.navigate", url=address)


def take_picture(page: Page, out: Path) -> None:
    """Save what is seen."""
    save(look(page), out)


def look(page: Page) -> Image.Image:
    """Return what is seen."""
    time.sleep(2)  # what fades in
    shot = base64.b64decode(page.ask("Page.captureScreenshot", format="png")["data"])
    return Image.open(io.BytesIO(shot)).convert("RGB")


def save(image: Image.Image, out: Path) -> None:
    """Save with 256 colours, so that the file stays small."""
    image.quantize(256).save(out, optimize=True)


def draw_runs(study: str, out: Path, folder: Path) -> None:
    """MLflow's table of a study, as `make ui` names its address."""
    uri = os.environ.get("MLFLOW_TRACKING_URI") or load_project(Path("params.yaml")).tracking.uri
    path = dict(list_views(uri))[study]
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(PORT), "--workers", "1"]
    with serve(command, MLFLOW_BACKEND_STORE_URI=uri), open_page(folder) as page:
        closed = f"Object.assign(localStorage, {json.dumps(CLOSED)})"
        page.ask("Page.addScriptToEvaluateOnNewDocument", source=closed)
        show(page, PLACE + path, 560)
        page.wait_for(TOLD_RUNS, 120)
        take_picture(page, out)


@contextmanager
def serve(command: Sequence[str], **environment: str) -> Iterator[None]:
    """Run a server at ``PLACE`` as long as it is needed."""
    server = subprocess.Popen(command, env=SWITCHED_OFF | os.environ | environment)
    try:
        for _ in range(240):
            try:
                urllib.request.urlopen(PLACE).close()
                break
            except OSError:
                time.sleep(0.5)
        yield
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
    draw_terminal([f"$ {shlex.join(command)}", *told.splitlines()], LETTERS, out)


def draw_terminal(lines: Sequence[str], letters: int, out: Path) -> None:
    """Draw lines as a terminal of this width shows them."""
    console = Console(record=True, width=letters, file=io.StringIO())
    for line in lines:
        console.print(Text(line))
    out.write_text(FONTS.sub("", console.export_svg(title=Path.cwd().name)), encoding="utf-8")


def draw_start(data: Path, out: Path, folder: Path) -> None:
    """What `batteryscope start` prints of a folder, and how its plan explains itself."""
    plan = folder / f"{data.name}.yaml"
    shutil.copy("params.yaml", folder)
    (folder / data).parent.mkdir(parents=True)
    (folder / data).symlink_to(data.absolute())
    command = ["batteryscope", "start", str(data)]
    told = subprocess.run(
        command, cwd=folder,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    said = [line for line in told if not line.startswith("$ ")]  # the program that it starts
    draw_terminal([f"$ {shlex.join(command)}", *said, "", *read_plan(plan)], 118, out)


def read_plan(plan: Path) -> list[str]:
    """Return how a plan explains itself, as a terminal shows it."""
    steps = plan.read_text(encoding="utf-8").splitlines()
    first = next(i for i, line in enumerate(steps) if line.startswith("    preprocess:"))
    return [f"$ less {plan.name}", "  …", *steps[first : first + PLAN_LINES], "  …"]


def draw_plan(plan: Path, out: Path) -> None:
    """The part of a plan that says how images are cut and networks trained, with reasons."""
    draw_terminal(read_plan(plan), 118, out)


def draw_windings(preview: Path, out: Path) -> None:
    """What the cutting of scans leaves for the eye: can, core, crop and unrolled windings."""
    with Image.open(preview) as image:
        small = fit_width(image.convert("RGB"), APP_PX)
    # The fewer colours are kept by their places in the cube: thin lines stay orange, red and green.
    palette = small.quantize(128, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    palette.save(out, optimize=True)


def draw_parts(study: str, folder: Path, *parts: str, hidden: str = "") -> list[Image.Image]:
    """Parts of a study's report, named as CSS does, each in full; others are hidden."""
    drawn = []
    with open_page(folder) as page:
        show(page, Path("reports", study, "report.html").absolute().as_uri(), 900, REPORT_PX)
        page.wait_for("document.readyState === 'complete'")
        if hidden:
            page.run(
                f"document.querySelectorAll('{hidden}').forEach(e => e.style.display = 'none')"
            )
        for part in parts:
            box = page.run(
                f"(r => [r.x, r.y + scrollY, r.width, r.height])(document.querySelector"
                f"({json.dumps(part)}).getBoundingClientRect())"
            )
            clip = dict(zip(("x", "y", "width", "height"), box, strict=True)) | {"scale": 1}
            shot = page.ask(
                "Page.captureScreenshot", format="png", clip=clip, captureBeyondViewport=True
            )["data"]
            drawn.append(Image.open(io.BytesIO(base64.b64decode(shot))).convert("RGB"))
    return drawn


def draw_head(study: str, out: Path, folder: Path) -> None:
    """What a report says first: the number, its interval, and the baselines."""
    [head] = draw_parts(study, folder, HEAD)
    save(head, out)


def draw_banner(study: str, out: Path, folder: Path) -> None:
    """The same beside what the model looked at, small enough for one glance."""
    looked = (f"#explanations .gallery figure:nth-child({n})" for n in (1, 3))
    head, *examples = draw_parts(study, folder, HEAD, *looked, hidden=".tools, nav")
    banner = Image.new("RGB", BANNER_PX, "white")
    width = round(BANNER_PX[0] * HEAD_SHARE)
    banner.paste(fit_width(head, width), (0, 0))
    y = 0
    for example in examples:
        small = fit_width(example, BANNER_PX[0] - width - GAP_PX)
        banner.paste(small, (width + GAP_PX, y))
        y += small.height + GAP_PX
    save(banner, out)


def fit_width(image: Image.Image, width_px: int) -> Image.Image:
    """Make a picture as wide as its place."""
    size = (width_px, round(image.height * width_px / image.width))
    return image.resize(size, Image.Resampling.LANCZOS)


def draw_first_page(study: str, out: Path, folder: Path, below: str = "explanations") -> None:
    """The head of a study's report, and below it one of its sections, what the model looks at."""
    page_of_study = Path("reports", study, "report.html").absolute().as_uri()
    parts = []
    with open_page(folder) as page:
        for place, height_px in (("", 900), (f"#{below}", 560)):
            show(page, "about:blank", height_px, REPORT_PX)
            page.ask("Page.navigate", url=page_of_study + place)
            page.wait_for("document.readyState === 'complete'")
            if place:
                page.run(f"document.getElementById('{below}').scrollIntoView()")
                page.run(BY_CLASS if below == "explanations" else "")
            parts.append(look(page))
    image = Image.new("RGB", (REPORT_PX, sum(part.height for part in parts)))
    image.paste(parts[0], (0, 0))
    image.paste(parts[1], (0, parts[0].height))
    save(image, out)


def draw_app(study: str, picture: Path, out: Path, folder: Path) -> None:
    """The page to drop pictures on, with the answer to one."""
    (folder / "models").mkdir()
    (folder / "models" / study).symlink_to(Path("models", study).absolute())
    words = ["--models", str(folder / "models"), "--port", str(PORT)]
    with serve(["batteryscope", "app", *words]), open_page(folder) as page:
        show(page, PLACE, 900, APP_PX)
        page.wait_for("document.querySelector('#files input[type=file]') !== null")
        page.give_files("#files input[type=file]", picture.absolute())
        page.wait_for("document.querySelector('#told textarea').value", PATIENCE_S)
        page.wait_for("document.querySelectorAll('#crops img').length > 0", PATIENCE_S)
        take_picture(page, out)


def draw_report(study: str, out: Path, folder: Path) -> None:
    """The figures of a study in Snakemake's own report."""
    report = folder / "report.html"
    subprocess.run(["snakemake", "--report", str(report), study], check=True)
    with open_page(folder) as page:
        show(page, report.as_uri(), 760)
        page.wait_for(RESULTS)
        page.wait_for(GROUP)
        page.wait_for(KEY_FIGURE)
        take_picture(page, out)


def main() -> None:
    """Read arguments and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", default="cathode_state", help="whose results are shown")
    parser.add_argument("--out", type=Path, default=Path("docs/images"), help="folder of pictures")
    parser.add_argument("--only", choices=[*OF_RUNS, *OF_DATA], help="one of them")
    parser.add_argument("--name", help="of the picture's file, without its ending")
    parser.add_argument("--below", default="explanations", help="section that report also shows")
    parser.add_argument("--data", type=Path, help="folder for start, picture for app, …")
    arguments = parser.parse_args()
    study, data = arguments.study, arguments.data
    if arguments.only in OF_DATA and data is None:
        parser.error(f"--only {arguments.only} needs --data")
    for kind in [arguments.only] if arguments.only else OF_RUNS:
        name = {**OF_RUNS, **OF_DATA}[kind]
        out = (arguments.out / (arguments.name or name)).with_suffix(Path(name).suffix)
        with tempfile.TemporaryDirectory() as scratch:
            draw = {
                "dvc": partial(draw_experiments, study, out),
                "mlflow": partial(draw_runs, study, out, Path(scratch)),
                "snakemake": partial(draw_report, study, out, Path(scratch)),
                "report": partial(draw_first_page, study, out, Path(scratch), arguments.below),
                "banner": partial(draw_banner, study, out, Path(scratch)),
                "head": partial(draw_head, study, out, Path(scratch)),
                "start": partial(draw_start, data, out, Path(scratch)),
                "plan": partial(draw_plan, data, out),
                "windings": partial(draw_windings, data, out),
                "app": partial(draw_app, study, data, out, Path(scratch)),
            }
            draw[kind]()


if __name__ == "__main__":
    main()
