"""Writes a study's report: the page, its figures, its tables and a summary."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from batteryscope.core.safe_text import guard_table
from batteryscope.evaluation.class_versions import pool_answers
from batteryscope.evaluation.published_answers import list_predictions, write_answers
from batteryscope.planning.layout import PictureLayout
from batteryscope.provenance import name_code_version
from batteryscope.report.capacity_over_cycles import write_capacities
from batteryscope.report.collect import collect_evidence
from batteryscope.report.embedded import PAGE_BYTES
from batteryscope.report.evidence import StudyEvidence
from batteryscope.report.headline import Headline, find_headline
from batteryscope.report.html import render_report
from batteryscope.report.pictures import draw_pictures
from batteryscope.report.report_folder import write_report_folder
from batteryscope.report.tested_images import browse_classes


def report_study(layout: PictureLayout, out: Path, workers: int = 1) -> Path:
    """Write the report of a study of classes; return the path of its page.

    Raises
    ------
    InputError
        If a piece of the study is missing or cannot be read.
    """
    page = write_report(collect_evidence(layout, name_code_version()), out, workers)
    if (layout.comparison / "images.csv").is_file():
        answers = pool_answers(list_predictions(layout))
        write_answers(answers, layout.answer, {}, out / "tables")
    return page


def write_report(evidence: StudyEvidence, out: Path, workers: int = 1) -> Path:
    """Draw, render and write everything; return the path of ``report.html``.

    Parameters
    ----------
    evidence
        What was measured.
    out
        The folder to write to: ``report.html``, ``summary.json``, ``comparison.csv``,
        ``metrics.json``, ``figures/`` (PNG and SVG) and ``tables/``. The two folders are
        replaced as a whole.
    workers
        Processes that draw.
    """
    headline = find_headline(evidence)
    pictures = draw_pictures(evidence, headline, workers)
    history = join_histories(evidence).to_csv(index=False).encode()
    files = {**evidence.files, **write_capacities(evidence), "history.csv": history}
    evidence = replace(evidence, files=files)
    room_bytes = PAGE_BYTES - len(render_report(evidence, headline, pictures))
    tested = browse_classes(evidence, workers, room_bytes)
    html = render_report(evidence, headline, pictures, tested)
    summary = summarise_report(evidence, headline)
    if "key_figure" not in pictures:
        summary["figure"] = None
    maps = {
        f"explain_{arm.name}_{Path(shown.file).stem}": (
            shown.png,
            f"{shown.title or shown.class_name} ({evidence.label_of(arm.name)})".replace("_", " "),
        )
        for arm in evidence.arms.values()
        for shown in arm.explanations
    }
    page = write_report_folder(
        out, html, summary, pictures.values(), files, evidence.main_arm, maps
    )
    tables = out / "tables"
    if evidence.images is not None:
        guard_table(select_verdicts(evidence.images, evidence.main_arm)).to_csv(
            tables / "main_arm_verdicts.csv", index=False
        )
    return page


def join_histories(evidence: StudyEvidence) -> pd.DataFrame:
    """Return the epochs of all fits of all stages in one table."""
    keys = ("stage", "repeat", "fold")
    histories = [
        fit.history.assign(stage=chain, repeat=fit.facts.get("repeat"), fold=fit.facts.get("fold"))
        for chain, fits in evidence.stages.items()
        for fit in fits
    ]
    table = (
        pd.concat(histories, ignore_index=True) if histories else pd.DataFrame(columns=["epoch"])
    )
    # How long an epoch took is no result: equal runs shall give equal files.
    return table[
        [*(k for k in keys if k in table), *(c for c in table if c not in (*keys, "seconds"))]
    ]


def select_verdicts(images: pd.DataFrame, arm: str) -> pd.DataFrame:
    """Return true and predicted class of an arm's test images; ``dvc plots`` counts its rows."""
    return images.loc[images["arm"] == arm, ["sample_id", "repeat", "fold", "y_true", "y_pred"]]


def summarise_report(evidence: StudyEvidence, headline: Headline | None) -> dict[str, Any]:
    """Return what the index of all reports shows of a study."""
    return {
        "study": evidence.study,
        "title": evidence.settings.title,
        "headline": headline.sentence if headline else "No result was measured.",
        "generated": evidence.generated,
        "paper": evidence.settings.paper_of_data,
        "paper_doi": evidence.settings.paper_doi,
        "figure": "figures/key_figure.png",
        "numbers": headline.as_numbers() if headline else {},
    }
