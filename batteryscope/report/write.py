"""Writes a study's report: the page, its figures, its tables and a summary."""

import json
from pathlib import Path
from typing import Any

from batteryscope.report.collect import COPIED
from batteryscope.report.evidence import StudyEvidence
from batteryscope.report.headline import Headline, find_headline
from batteryscope.report.html import render_report
from batteryscope.report.pictures import draw_pictures

EXTERNAL_TABLE = "external_metrics.csv"


def write_report(evidence: StudyEvidence, out: Path) -> Path:
    """Draw, render and write everything; return the path of ``report.html``.

    Parameters
    ----------
    evidence
        What was measured.
    out
        The folder to write to: ``report.html``, ``summary.json``, ``figures/`` (PNG and SVG)
        and the tables. Figures and tables of an earlier report there are replaced.
    """
    headline = find_headline(evidence)
    pictures = draw_pictures(evidence, headline)
    html = render_report(evidence, headline, pictures)
    figures = out / "figures"
    figures.mkdir(parents=True, exist_ok=True)
    stale = [out / name for name in (*COPIED, EXTERNAL_TABLE)]
    for old in [*figures.glob("*.png"), *figures.glob("*.svg"), *stale]:
        old.unlink(missing_ok=True)
    for picture in pictures.values():
        (figures / f"{picture.name}.png").write_bytes(picture.png)
        (figures / f"{picture.name}.svg").write_bytes(picture.svg)
    for arm in evidence.arms.values():
        for explanation in arm.explanations:
            name = f"explain_{arm.name}_{Path(explanation.file).name}"
            (figures / name).write_bytes(explanation.png)
    for name, content in evidence.files.items():
        (out / name).write_bytes(content)
    summary = summarise_report(evidence, headline)
    if "key_figure" not in pictures:
        summary["figure"] = None
    (out / "summary.json").write_text(
        json.dumps(summary, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    path = out / "report.html"
    path.write_text(html, encoding="utf-8")
    return path


def summarise_report(evidence: StudyEvidence, headline: Headline | None) -> dict[str, Any]:
    """Return what the index of all reports shows of a study."""
    return {
        "study": evidence.study,
        "title": evidence.settings.title,
        "headline": headline.sentence if headline else "No result was measured.",
        "generated": evidence.generated,
        "paper": evidence.settings.paper,
        "paper_doi": evidence.settings.paper_doi,
        "figure": "figures/key_figure.png",
        "numbers": headline.as_numbers() if headline else {},
    }
