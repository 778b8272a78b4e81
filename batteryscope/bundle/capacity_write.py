"""Puts the trained models of capacities into a folder that can be published and used alone."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from batteryscope import __version__
from batteryscope.bundle.capacity_card import render_capacity_card
from batteryscope.bundle.capacity_predict import load_capacity_bundle
from batteryscope.bundle.capacity_record import CapacityMember, CapacityRecord, CapacityTarget
from batteryscope.bundle.record import (
    CARD_FILE,
    EXAMPLE_INPUT_FILE,
    EXAMPLE_OUTPUT_FILE,
    FORMAT_VERSION,
    RECORD_FILE,
    TRAINING_IMAGES_FILE,
    BundleSettings,
    write_json,
)
from batteryscope.bundle.write import describe_data, state_licence
from batteryscope.config.preprocess import CoatingCropSettings
from batteryscope.errors import InputError
from batteryscope.evaluation.regression_metrics import read_target
from batteryscope.provenance import digest_file
from batteryscope.readers.registry import read_picture

MOST_EXAMPLES_TRIED = 20


def write_capacity_bundle(
    out: Path,
    settings: BundleSettings,
    arms: Mapping[str, Mapping[str, Any]],
    published: Sequence[str],
    manifest: pd.DataFrame,
    frames: pd.DataFrame,
    dataset: Path,
    comparison: Path,
) -> CapacityRecord:
    """Write a bundle; the same input gives the same bytes.

    Parameters
    ----------
    out
        Folder to fill.
    settings
        Study, labels, preprocessing.
    arms
        By name: ``split`` (path), ``fits`` (parts of the last stage).
    published
        The arms to bundle; of two with the same target the first predicts it.
    manifest, frames
        Tables of the contract.
    dataset
        Folder of the images, of which one becomes the example.
    comparison
        Folder with ``intervals.csv``, ``metrics.json``, ``findings.json``.
    """
    out.mkdir(parents=True, exist_ok=True)
    if not isinstance(settings.preprocess, CoatingCropSettings):
        raise InputError("Capacities are bundled with preprocess.method coating_crop only.")
    members: list[CapacityMember] = []
    targets: list[CapacityTarget] = []
    intervals = pd.read_csv(comparison / "intervals.csv")
    backbone = ""
    for arm in published:
        folders = sorted(
            (f for part in arms[arm]["fits"] for f in Path(part).glob("r*_f*")), key=_order
        )
        if not folders:
            raise InputError(f"The arm '{arm}' has no trained model to bundle; train it first.")
        members += [_copy_member(folder, arm, out) for folder in folders]
        description = _read(folders[0] / "model.json")
        backbone = backbone or description["backbone"]
        known = {target.name for target in targets}
        targets += [
            _describe_target(name, arm, intervals)
            for name in description["classes"]
            if name not in known
        ]
    splits = {arm: pd.read_parquet(arms[arm]["split"]) for arm in published}
    images = _list_training_images(manifest, frames, splits, members)
    images.to_csv(out / TRAINING_IMAGES_FILE, index=False, lineterminator="\n")
    metrics = _read(comparison / "metrics.json")
    own = (*(f"{arm}." for arm in published), "baseline_", "physics.")
    record = CapacityRecord(
        format_version=FORMAT_VERSION,
        batteryscope_version=__version__,
        study=settings.study,
        title=settings.title,
        paper=settings.paper,
        paper_doi=settings.paper_doi,
        backbone=backbone,
        targets=targets,
        preprocess=settings.preprocess,
        max_pixels=settings.max_pixels,
        members=members,
        data=describe_data(settings, manifest),
        metrics={k: v for k, v in sorted(metrics.items()) if k.startswith(own)},
        findings=[
            {str(k): str(v) for k, v in finding.items()}
            for finding in _read(comparison / "findings.json")
        ],
        licence=state_licence(settings),
    )
    write_json(out / RECORD_FILE, record.model_dump(mode="json"))
    (out / CARD_FILE).write_text(render_capacity_card(record), encoding="utf-8")
    _write_example(out, manifest, splits[published[0]], dataset, settings.max_pixels)
    return record


def _copy_member(folder: Path, arm: str, out: Path) -> CapacityMember:
    fit = _read(folder / "fit.json")
    member = CapacityMember(
        arm=arm,
        repeat=fit["repeat"],
        fold=fit["fold"],
        weights_sha256=digest_file(folder / "weights.safetensors"),
        best_epoch=fit["best_epoch"],
        n_train_images=len(fit["train_samples"]),
    )
    shutil.copyfile(folder / "weights.safetensors", out / f"{member.name}.safetensors")
    write_json(out / f"{member.name}.json", _read(folder / "model.json"))
    return member


def _describe_target(name: str, arm: str, intervals: pd.DataFrame) -> CapacityTarget:
    c_rate, unit = read_target(name)
    of_target = (intervals["arm"] == arm) & (intervals["target"] == name)
    found = intervals[of_target].iloc[0]
    width = float(found["relative_half_width"])
    return CapacityTarget(
        name=name,
        c_rate=c_rate,
        unit=unit,
        arm=arm,
        relative_half_width=round(width, 6) if 0 < width < float("inf") else None,
        coverage_wanted=float(found["coverage_wanted"]),
        coverage_measured=round(float(found["coverage_measured"]), 6),
    )


def _list_training_images(
    manifest: pd.DataFrame,
    frames: pd.DataFrame,
    splits: Mapping[str, pd.DataFrame],
    members: Sequence[CapacityMember],
) -> pd.DataFrame:
    """One row per image; one column per model with the image's role in its training."""
    columns = ["sample_id", "sha256", "path", "specimen_id", "class"]
    table = manifest.sort_values("sample_id")[columns].reset_index(drop=True)
    digests = frames.set_index("sample_id")["pixel_digest"]
    table.insert(2, "pixel_digest", table["sample_id"].map(digests))
    for member in members:
        split = splits[member.arm]
        of_fit = split[(split["repeat"] == member.repeat) & (split["fold"] == member.fold)]
        roles = of_fit.set_index("sample_id")["role"]
        table[member.column] = table["sample_id"].map(roles).fillna("")
    return table


def _write_example(
    out: Path, manifest: pd.DataFrame, split: pd.DataFrame, dataset: Path, max_pixels: int
) -> None:
    """Keep the first test image that can be judged, and what the bundle says about it."""
    first = split.sort_values(["repeat", "fold"]).drop_duplicates("sample_id")
    candidates = sorted(first.loc[first["role"] == "test", "sample_id"])[:MOST_EXAMPLES_TRIED]
    if not candidates:
        raise InputError("The split has no test image that could serve as the bundle's example.")
    files = manifest.set_index("sample_id")[["path", "sha256"]]
    bundle = load_capacity_bundle(out)
    for sample_id in candidates:
        path = dataset / str(files.loc[sample_id, "path"])
        picture = read_picture(path, max_pixels=max_pixels)
        if digest_file(path) != files.loc[sample_id, "sha256"]:
            raise InputError(
                f"{path}: the file has changed since the data set was ingested; "
                "run the workflow again."
            )
        Image.fromarray(picture.pixels_8bit).save(out / EXAMPLE_INPUT_FILE)
        row = next(bundle.predict_files([EXAMPLE_INPUT_FILE], out))
        if row["status"] == "ok":
            break
    write_json(out / EXAMPLE_OUTPUT_FILE, row)


def _order(folder: Path) -> tuple[int, int]:
    fit = _read(folder / "fit.json")
    return int(fit["repeat"]), int(fit["fold"])


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not readable ({error}); run the workflow again.") from None
