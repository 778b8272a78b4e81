"""Reads the pieces of a study; a missing optional piece is left empty."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from batteryscope.config.study import StudySettings
from batteryscope.errors import InputError
from batteryscope.provenance import digest_json
from batteryscope.report.evidence import ArmEvidence, Explanation, Fit, StudyEvidence
from batteryscope.report.read_pieces import (
    add_external_files,
    read_files,
    read_json,
    read_table,
)

COPIED = (
    "comparison.csv", "metrics.json", "paired.csv", "per_class.csv", "class_measures.csv",
    "specimens.csv", "confusion.csv", "misclassified.csv",
    "images.csv", "reliability.csv", "findings.json", "survey.csv",
)  # fmt: skip


@dataclass(frozen=True)
class StudyFolders:
    """Where the pieces of a study lie; only ``comparison`` has to exist."""

    comparison: Path
    manifest: Path | None = None
    tiles: Path | None = None
    split: Path | None = None
    external: Path | None = None
    sweeps: Path | None = None
    arms: Mapping[str, Path] | None = None
    stages: Mapping[str, Path] | None = None


def collect_evidence(
    study: str, settings: StudySettings, folders: StudyFolders, generated: bool, commit: str = ""
) -> StudyEvidence:
    """Read everything that the report of a study shows.

    Parameters
    ----------
    study, settings
        Name and settings of the study.
    folders
        Where the pieces lie.
    generated
        The data set was made by a generator. A data set without a path always counts as such.
    commit
        The version of the code.

    Raises
    ------
    InputError
        If ``comparison.csv`` is missing or a file cannot be read.
    """
    comparison = read_table(folders.comparison / "comparison.csv")
    if comparison is None:
        raise InputError(
            f"{folders.comparison / 'comparison.csv'}: the file does not exist; "
            "a report needs it, so run the comparison of the arms first."
        )
    manifest = read_table(_inside(folders.manifest, "manifest.parquet"))
    external = read_table(_inside(folders.external, "metrics.csv"))
    files = add_external_files(read_files(folders.comparison, COPIED), folders.external)
    sweeps = read_table(_inside(folders.sweeps, "sweeps.csv"))
    if sweeps is not None and folders.sweeps is not None:
        files["sweeps.csv"] = (folders.sweeps / "sweeps.csv").read_bytes()
    if folders.tiles is not None:
        measured = read_files(folders.tiles, ("cells.csv", "slices.csv"))
        files |= {f"winding_{name}": content for name, content in measured.items()}
    findings = read_json(folders.comparison / "findings.json")
    return StudyEvidence(
        study=study,
        settings=settings,
        generated=generated or settings.dataset.path is None,
        comparison=comparison,
        arms={
            name: _read_arm(name, folder, settings) for name, folder in (folders.arms or {}).items()
        },
        stages={name: _read_fits(folder) for name, folder in (folders.stages or {}).items()},
        manifest=manifest,
        rejects=read_table(_inside(folders.manifest, "rejects.csv")),
        tile_index=read_table(_inside(folders.tiles, "index.parquet")),
        tile_rejects=read_table(_inside(folders.tiles, "rejects.csv")),
        tiles=_open_tiles(_inside(folders.tiles, "tiles.npy")),
        preview_png=_read_bytes(_inside(folders.tiles, "preview.png")),
        split=read_table(_inside(folders.split, "split.parquet")),
        audit=read_json(_inside(folders.split, "audit.json")) or {},
        per_class=read_table(folders.comparison / "per_class.csv"),
        paired=read_table(folders.comparison / "paired.csv"),
        confusion=read_table(folders.comparison / "confusion.csv"),
        misclassified=read_table(folders.comparison / "misclassified.csv"),
        images=read_table(folders.comparison / "images.csv"),
        reliability=read_table(folders.comparison / "reliability.csv"),
        findings=None if findings is None else tuple(findings),
        survey=read_table(folders.comparison / "survey.csv"),
        external=external,
        sweeps=sweeps,
        class_measures=read_table(folders.comparison / "class_measures.csv"),
        cells=read_table(_inside(folders.tiles, "cells.csv")),
        files=files,
        data_hash=_identify_data(folders.manifest, manifest),
        commit=commit,
    )


def _inside(folder: Path | None, name: str) -> Path | None:
    return None if folder is None else folder / name


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


def _read_arm(name: str, folder: Path, settings: StudySettings) -> ArmEvidence:
    known = settings.all_arms.get(name)
    return ArmEvidence(
        name=name,
        label=(known.label if known else "") or name.replace("_", " "),
        calibration=read_json(folder / "calibration.json") or {},
        cost=read_json(folder / "cost.json") or {},
        explanations=_read_explanations(folder / "explain"),
        same_tiles=read_table(folder / "explain" / "same_tiles.csv"),
        same_pictures={
            path.name: path.read_bytes() for path in sorted(folder.glob("explain/same_*.png"))
        },
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
                kind=str(entry.get("kind", "class")),
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


def _identify_data(folder: Path | None, manifest: pd.DataFrame | None) -> str:
    """One hash over what the samples are, independent of their names and places."""
    summary = read_json(_inside(folder, "summary.json")) or {}
    if "manifest_hash" in summary:
        return str(summary["manifest_hash"])
    if manifest is None or "sha256" not in manifest:
        return ""
    return digest_json(sorted(manifest["sha256"].astype(str)))
