"""The folder of a report, of whatever kind of study: page, summary, figures, tables."""

import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from batteryscope.core.style import Picture

BESIDE_THE_PAGE = ("comparison.csv", "metrics.json")


def write_report_folder(
    out: Path,
    html: str,
    summary: Mapping[str, Any],
    pictures: Iterable[Picture],
    files: Mapping[str, bytes],
) -> Path:
    """Write the page and what lies beside it; return the path of ``report.html``.

    Parameters
    ----------
    out
        Gets ``report.html``, ``summary.json``, ``comparison.csv``, ``metrics.json``,
        ``figures/`` (PNG and SVG) and ``tables/``. The two folders are replaced as a whole.
    html, summary
        The page, and what the index of all reports shows.
    pictures
        All figures of the page.
    files
        Tables by name, as they are to be written.
    """
    figures, tables = out / "figures", out / "tables"
    for folder in (figures, tables):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    for picture in pictures:
        (figures / f"{picture.name}.png").write_bytes(picture.png)
        (figures / f"{picture.name}.svg").write_bytes(picture.svg)
    for name, content in files.items():
        ((out if name in BESIDE_THE_PAGE else tables) / name).write_bytes(content)
    text = json.dumps(summary, indent=1, ensure_ascii=False) + "\n"
    (out / "summary.json").write_text(text, encoding="utf-8")
    path = out / "report.html"
    path.write_text(html, encoding="utf-8")
    return path
