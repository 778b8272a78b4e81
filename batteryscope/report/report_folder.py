"""The folder of a report, of whatever kind of study: page, summary, figures, tables."""

import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from batteryscope.core.style import Picture
from batteryscope.evaluation.headline_metrics import select_headlines

BESIDE_THE_PAGE = ("comparison.csv", "metrics.json")


def write_report_folder(
    out: Path,
    html: str,
    summary: Mapping[str, Any],
    pictures: Iterable[Picture],
    files: Mapping[str, bytes],
    main_arm: str,
    maps: Mapping[str, tuple[bytes, str]] = MappingProxyType({}),
) -> Path:
    """Write the page and what lies beside it; return the path of ``report.html``.

    Parameters
    ----------
    out
        Gets ``report.html``, ``summary.json``, ``comparison.csv``, ``metrics.json``,
        ``headline.json`` (a few of these metrics, for DVC), ``figures/`` (PNG and SVG, and
        their captions) and ``tables/``. The two folders are replaced as a whole.
    html, summary
        The page, and what the index of all reports shows.
    pictures
        All figures of the page.
    files
        Tables by name, as they are to be written.
    main_arm
        The strategy that the study is judged by.
    maps
        More PNG files for ``figures/``, by name without ending: content and caption.
    """
    figures, tables = out / "figures", out / "tables"
    for folder in (figures, tables):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    captions = {}
    for picture in pictures:
        captions[picture.name] = picture.caption
        (figures / f"{picture.name}.png").write_bytes(picture.png)
        (figures / f"{picture.name}.svg").write_bytes(picture.svg)
    for name, (png, caption) in maps.items():
        captions[name] = caption
        (figures / f"{name}.png").write_bytes(png)
    (figures / "captions.json").write_text(
        json.dumps(captions, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    for name, content in files.items():
        ((out if name in BESIDE_THE_PAGE else tables) / name).write_bytes(content)
    # DVC shows the values of all studies beside each other: the study's name keeps them apart.
    metrics = json.loads(files.get("metrics.json", b"{}"))
    headlines = {summary["study"]: select_headlines(metrics, main_arm)}
    (out / "headline.json").write_text(json.dumps(headlines, indent=1) + "\n", encoding="utf-8")
    text = json.dumps(summary, indent=1, ensure_ascii=False) + "\n"
    (out / "summary.json").write_text(text, encoding="utf-8")
    path = out / "report.html"
    path.write_text(html, encoding="utf-8")
    return path
