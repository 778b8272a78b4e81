"""Draw DVC's plots as a page that asks nobody: Vega, which draws them, is written into it.

For example: show_plots.py
             show_plots.py --out work/plots -- reports/cathode_state/tables/history.csv

What follows ``--`` goes to ``dvc plots show``, whose own page fetches Vega from the internet.
"""

import argparse
import importlib.util
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from batteryscope.core.progress import log
from batteryscope.errors import InputError
from batteryscope.workflow.command_line import make_parser, run_program

# Snakemake's own reports draw with it, so it comes with every installation.
SCRIPTS = ("vega/vega.js", "vega-lite/vega-lite.js", "vega-embed/vega-embed.js")
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Plots</title>
{refresh_tag}
<style>
body { font-family: system-ui, "DejaVu Sans", sans-serif; }
table { border-spacing: 15px; }
</style>
%s
</head>
<body>
{plot_divs}
</body>
</html>
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Read arguments and run."""
    parser = make_parser(__doc__)
    parser.add_argument("--out", type=Path, default=Path("work/plots"), help="folder of the page")
    parser.add_argument("words", nargs="*", help="for dvc plots show")
    return run_program(show_plots, parser, argv)


def show_plots(arguments: argparse.Namespace) -> None:
    """Run ``dvc plots show`` with a page that holds all that it needs."""
    arguments.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="batteryscope") as scratch:
        template = Path(scratch) / "page.html"
        template.write_text(write_template(), encoding="utf-8")
        given = ["--out", str(arguments.out), "--html-template", str(template), *arguments.words]
        done = subprocess.run([sys.executable, "-m", "dvc", "plots", "show", *given], check=False)
    if done.returncode != 0:
        raise InputError("dvc plots show failed; what it said stands above.")
    log.info("The page needs no internet: %s", arguments.out / "index.html")


def write_template() -> str:
    """Return DVC's page with the scripts of Vega in place of their addresses."""
    found = importlib.util.find_spec("snakemake")
    folder = Path(str(found and found.origin)).parent / "assets" / "data"
    scripts = [(folder / name).read_text(encoding="utf-8") for name in SCRIPTS]
    return PAGE % "\n".join(f"<script>{script}</script>" for script in scripts)


if __name__ == "__main__":
    sys.exit(main())
