"""Writes a study's report: the page, its figures, its tables and a summary."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from batteryscope.config.study import StudySettings
from batteryscope.core.safe_text import guard_table
from batteryscope.errors import InputError
from batteryscope.evaluation.class_versions import pool_answers
from batteryscope.evaluation.published_answers import list_predictions, write_answers
from batteryscope.manifest.cycling import find_cycling, place_pictures, read_cycling
from batteryscope.planning.layout import PictureLayout
from batteryscope.planning.piece_layouts import ArmLayout
from batteryscope.provenance import digest_json, name_code_version
from batteryscope.report.capacity_over_cycles import write_capacities
from batteryscope.report.embedded import PAGE_BYTES
from batteryscope.report.evidence import ArmEvidence, Explanation, Fit, StudyEvidence
from batteryscope.report.headline import Headline, find_headline
from batteryscope.report.html import render_report
from batteryscope.report.pictures import draw_pictures
from batteryscope.report.read_pieces import (
    add_external_files,
    read_files,
    read_json,
    read_needed_table,
    read_table,
)
from batteryscope.report.report_folder import write_report_folder
from batteryscope.report.tested_images import browse_classes

COPIED = (
    "comparison.csv", "metrics.json", "paired.csv", "per_class.csv", "class_measures.csv",
    "specimens.csv", "confusion.csv", "misclassified.csv",
    "images.csv", "reliability.csv", "findings.json", "survey.csv",
    "shortcuts.csv", "confounding.csv", "confounding_counts.csv",
    "sets.csv", "risk_coverage.csv",
)  # fmt: skip


def collect_evidence(layout: PictureLayout, commit: str = "") -> StudyEvidence:
    """Read everything that the report of a study shows.

    Parameters
    ----------
    layout
        Where the pieces lie; only the comparison has to exist. A data set without a path counts as
        generated.
    commit
        The version of the code.

    Raises
    ------
    InputError
        If ``comparison.csv`` is missing or a file cannot be read.
    """
    settings = layout.plan.settings
    comparison = read_needed_table(layout.comparison / "comparison.csv")
    manifest = read_table(layout.data.manifest)
    files = add_external_files(read_files(layout.comparison, COPIED), layout.external)
    sweeps = None
    if layout.sweeps is not None:
        sweeps = read_table(layout.sweeps / "sweeps.csv")
        files |= read_files(layout.sweeps, ("sweeps.csv",))
    tiles = layout.main_tiles
    measured = read_files(tiles, ("cells.csv", "slices.csv"))
    files |= {f"winding_{name}": content for name, content in measured.items()}
    findings = read_json(layout.comparison / "findings.json")
    cycling, places = _read_cycling(layout, manifest)
    return StudyEvidence(
        study=layout.plan.study,
        settings=settings,
        generated=settings.dataset.path is None,
        comparison=comparison,
        arms={
            name: _read_arm(name, arm, layout.maps(name), settings)
            for name, arm in layout.list_arms().items()
            if arm.root.is_dir()
        },
        stages={
            name: _read_fits(folder)
            for name, folder in layout.list_stages().items()
            if folder.is_dir()
        },
        manifest=manifest,
        rejects=read_table(layout.data.rejects),
        tile_index=read_table(tiles / "index.parquet"),
        tile_rejects=read_table(tiles / "rejects.csv"),
        tiles=_open_tiles(tiles / "tiles.npy"),
        preview_png=_read_bytes(tiles / "preview.png"),
        split=read_table(layout.main_split.roles),
        frames=read_table(layout.data.frames),
        balance=_read_copies(layout),
        audit=read_json(layout.main_split.audit) or {},
        per_class=read_table(layout.comparison / "per_class.csv"),
        paired=read_table(layout.comparison / "paired.csv"),
        confusion=read_table(layout.comparison / "confusion.csv"),
        misclassified=read_table(layout.comparison / "misclassified.csv"),
        images=read_table(layout.comparison / "images.csv"),
        reliability=read_table(layout.comparison / "reliability.csv"),
        findings=None if findings is None else tuple(findings),
        survey=read_table(layout.comparison / "survey.csv"),
        external=None if layout.external is None else read_table(layout.external.metrics),
        sweeps=sweeps,
        class_measures=read_table(layout.comparison / "class_measures.csv"),
        shortcuts=read_table(layout.comparison / "shortcuts.csv"),
        confounding=read_table(layout.comparison / "confounding.csv"),
        confounding_counts=read_table(layout.comparison / "confounding_counts.csv"),
        sets=read_table(layout.comparison / "sets.csv"),
        risk=read_table(layout.comparison / "risk_coverage.csv"),
        cells=read_table(tiles / "cells.csv"),
        cycling=cycling,
        places=places,
        dataset_dir=layout.find_dataset(),
        files=files,
        data_hash=_identify_data(layout.data.summary, manifest),
        commit=commit,
    )


def _read_copies(layout: PictureLayout) -> pd.DataFrame | None:
    """Return the balance of the main arm's last stage if it copies images of rare classes."""
    stage = layout.plan.stages[layout.plan.main.chains[-1]]
    if stage.settings.balance.method != "oversample":
        return None
    return read_table(layout.balance(stage.balance_id))


def _read_cycling(
    layout: PictureLayout, manifest: pd.DataFrame | None
) -> tuple[pd.DataFrame | None, pd.DataFrame | None]:
    """Return the capacities over the cycles, and where the pictures stand among them."""
    if manifest is None:
        return None, None
    root = layout.find_dataset()
    known = find_cycling(layout.plan.settings.dataset, manifest, root)
    if known is None:
        return None, None
    places = place_pictures(manifest, known).assign(**{"class": manifest["class"]})
    return read_cycling(root, known), places


def _read_bytes(path: Path | None) -> bytes | None:
    return path.read_bytes() if path is not None and path.is_file() else None


def _open_tiles(path: Path | None) -> np.ndarray | None:
    if path is None or not path.is_file():
        return None
    try:
        tiles: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        raise InputError(f"{path}: not an array of tiles ({error}); make it anew.") from None
    return tiles


def _read_arm(name: str, arm: ArmLayout, maps: Path, settings: StudySettings) -> ArmEvidence:
    known = settings.all_arms.get(name)
    return ArmEvidence(
        name=name,
        label=(known.label if known else "") or name.replace("_", " "),
        calibration=read_json(arm.calibration) or {},
        cost=read_json(arm.cost) or {},
        explanations=_read_explanations(maps),
        same_tiles=read_table(maps / "same_tiles.csv"),
        same_pictures={path.name: path.read_bytes() for path in sorted(maps.glob("same_*.png"))},
    )


def _read_explanations(folder: Path) -> tuple[Explanation, ...]:
    entries = read_json(folder / "index.json") or []
    found = []
    for entry in entries:
        png = _read_bytes(folder / str(entry.get("file", "")))
        if png is None:
            continue  # an overlay that was deleted is not worth stopping the report for
        confidence, shape = entry.get("confidence"), entry.get("map_shape")
        found.append(
            Explanation(
                file=str(entry["file"]),
                png=png,
                title=str(entry.get("title", "")),
                class_name=str(entry.get("class", "")),
                shows=str(entry.get("kind", "class")),
                y_true=str(entry.get("y_true", "")),
                y_pred=str(entry.get("y_pred", "")),
                sample_id=str(entry.get("sample_id", "")),
                confidence=None if confidence is None else float(confidence),
                map_shape=None if shape is None else (int(shape[0]), int(shape[1])),
            )
        )
    return tuple(found)


def _read_fits(folder: Path) -> tuple[Fit, ...]:
    fits = []
    for history_path in folder.glob("part*/r*_f*/history.csv"):
        history = read_table(history_path)
        if history is not None and not history.empty:
            facts = read_json(history_path.parent / "fit.json") or {}
            fits.append(Fit(history, {"folder": history_path.parent.name, **facts}))
    return tuple(sorted(fits, key=_fit_order))


def _fit_order(fit: Fit) -> tuple[int, int, str]:
    return int(fit.facts.get("repeat", 0)), int(fit.facts.get("fold", 0)), fit.facts["folder"]


def _identify_data(summary_path: Path, manifest: pd.DataFrame | None) -> str:
    """One hash over what the samples are, independent of their names and places."""
    summary = read_json(summary_path) or {}
    if "manifest_hash" in summary:
        return str(summary["manifest_hash"])
    if manifest is None or "sha256" not in manifest:
        return ""
    return digest_json(sorted(manifest["sha256"].astype(str)))


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
