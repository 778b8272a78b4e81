"""Puts the trained models of an arm into a folder that can be published and used alone."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from batteryscope import __version__
from batteryscope.bundle.card import render_card
from batteryscope.bundle.read import load_bundle
from batteryscope.bundle.record import (
    CARD_FILE,
    EXAMPLE_INPUT_FILE,
    EXAMPLE_OUTPUT_FILE,
    FORMAT_VERSION,
    RANGE_COLUMNS,
    RECORD_FILE,
    TRAINING_IMAGES_FILE,
    BundleRecord,
    BundleSettings,
    Licence,
    Member,
    TrainingData,
    write_json,
)
from batteryscope.errors import InputError
from batteryscope.evaluation.labels import list_class_labels
from batteryscope.evaluation.predictions import BASELINE_PREFIX
from batteryscope.manifest.volumes import SEPARATOR, digest_slice
from batteryscope.provenance import digest_file, digest_json
from batteryscope.readers.registry import read_picture
from batteryscope.readers.volume import find_grey_range, show_with_8_bits
from batteryscope.readers.volumes import open_volume

_MOST_EXAMPLES_TRIED = 20


def write_bundle(
    out_dir: Path,
    settings: BundleSettings,
    fits: Sequence[Path],
    manifest: pd.DataFrame,
    frames: pd.DataFrame,
    split: pd.DataFrame,
    dataset_dir: Path,
    temperature: float,
    metrics: Mapping[str, float],
    findings: Sequence[Mapping[str, str]] = (),
) -> BundleRecord:
    """Write a bundle; the same input gives the same bytes.

    Parameters
    ----------
    out_dir
        Folder to fill.
    settings
        Study, arm, labels, preprocessing.
    fits
        Folders of all fits of the arm's last stage, one per repeat and fold.
    manifest, frames, split
        Tables of the contract.
    dataset_dir
        Folder of the images, of which one becomes the example.
    temperature
        Calibration temperature of the arm.
    metrics
        Flat metrics of the study's comparison; those of the arm and of the baselines
        are kept.
    findings
        What a reader must know beside the numbers, as ``{kind, text}``.

    Raises
    ------
    InputError
        If there is no fit, fits disagree, or the example is no longer what was ingested.
    """
    if not fits:
        raise InputError(
            f"The arm '{settings.arm}' has no trained model to bundle; train it first."
        )
    out_dir.mkdir(parents=True, exist_ok=True)
    folders = sorted(fits, key=_order_of_fit)
    members = [_copy_member(folder, out_dir) for folder in folders]
    description = _read(folders[0] / "model.json")
    images = _list_training_images(manifest, frames, split, members)
    images.to_csv(out_dir / TRAINING_IMAGES_FILE, index=False, lineterminator="\n")

    labels = list_class_labels(manifest, settings.label_columns).astype(str)
    own = (f"{settings.arm}.", BASELINE_PREFIX)
    record = BundleRecord(
        format_version=FORMAT_VERSION,
        batteryscope_version=__version__,
        study=settings.study,
        arm=settings.arm,
        title=settings.title,
        paper=settings.paper,
        paper_doi=settings.paper_doi,
        classes=description["classes"],
        label_columns=settings.label_columns,
        class_labels={str(name): dict(row) for name, row in labels.iterrows()},
        preprocess=settings.preprocess,
        input_px=description["input_px"],
        max_pixels=settings.max_pixels,
        temperature=temperature,
        members=members,
        data=describe_data(settings, manifest),
        metrics={k: v for k, v in sorted(metrics.items()) if k.startswith(own)},
        findings=[{str(k): str(v) for k, v in finding.items()} for finding in findings],
        licence=state_licence(settings),
    )
    write_json(out_dir / RECORD_FILE, record.model_dump(mode="json"))
    (out_dir / CARD_FILE).write_text(render_card(record, description["backbone"]), encoding="utf-8")
    _write_example(out_dir, manifest, split, dataset_dir, settings.max_pixels)
    return record


def _order_of_fit(folder: Path) -> tuple[int, int]:
    fit = _read(folder / "fit.json")
    return int(fit["repeat"]), int(fit["fold"])


def _copy_member(folder: Path, out_dir: Path) -> Member:
    fit = _read(folder / "fit.json")
    member = Member(
        repeat=fit["repeat"],
        fold=fit["fold"],
        weights_sha256=digest_file(folder / "weights.safetensors"),
        best_epoch=fit["best_epoch"],
        n_train_images=len(fit["train_samples"]),
    )
    target = out_dir / f"{member.name}.safetensors"
    if target.exists():
        target.unlink()
    shutil.copyfile(folder / "weights.safetensors", target)
    write_json(out_dir / f"{member.name}.json", _read(folder / "model.json"))
    return member


def _list_training_images(
    manifest: pd.DataFrame,
    frames: pd.DataFrame,
    split: pd.DataFrame,
    members: Sequence[Member],
) -> pd.DataFrame:
    """One row per image of the split; one column per fit with the image's role."""
    table = manifest[manifest["sample_id"].isin(set(split["sample_id"]))].sort_values("sample_id")
    table = table[["sample_id", "sha256", "path", "class"]].reset_index(drop=True)
    digests = frames.set_index("sample_id")["pixel_digest"]
    table.insert(2, "pixel_digest", table["sample_id"].map(digests))
    fit_names = "r" + split["repeat"].astype(str) + "_f" + split["fold"].astype(str)
    roles = split.assign(fit=fit_names)
    wide = roles.pivot_table(index="sample_id", columns="fit", values="role", aggfunc="first")
    names = [member.fit_name for member in members]
    if missing := [name for name in names if name not in wide.columns]:
        raise InputError(
            f"The split does not know the fit {missing[0]}; train again after splitting."
        )
    return table.join(wide[names].fillna(""), on="sample_id")


def describe_data(settings: BundleSettings, manifest: pd.DataFrame) -> TrainingData:
    """Describe identity and extent of the data that models were trained and tested on."""
    ranges = {}
    for column in RANGE_COLUMNS:
        values = manifest[column].dropna() if column in manifest else pd.Series(dtype=float)
        if len(values):
            ranges[column] = (float(values.min()), float(values.max()))
    counts = manifest["class"].value_counts()
    return TrainingData(
        name=settings.data_name,
        generated=settings.generated,
        digest=digest_json(sorted(manifest["sha256"].astype(str))),
        n_images=len(manifest),
        n_images_per_class={str(name): int(counts[name]) for name in sorted(counts.index)},
        ranges=ranges,
        instruments=sorted(manifest["instrument"].dropna().astype(str).unique()),
        n_sessions=int(manifest["session_id"].nunique()),
    )


def state_licence(settings: BundleSettings) -> Licence:
    """State the terms of use, which depend on where the pictures come from."""
    if settings.generated:
        weights = "Weights: MIT; they were learnt from generated pictures only."
    else:
        weights = (
            f"The weights and the example picture were made from the data set "
            f"'{settings.data_name}'; whatever its licence demands holds for them too."
        )
    return Licence(weights=weights)


def _write_example(
    out_dir: Path, manifest: pd.DataFrame, split: pd.DataFrame, dataset_dir: Path, max_pixels: int
) -> None:
    """Keep the first test image that can be judged, and what the bundle says about it.

    Raises
    ------
    InputError
        If no image tests, or the file is not the one that was ingested.
    """
    first = split.sort_values(["repeat", "fold"]).drop_duplicates("sample_id")
    candidates = sorted(first.loc[first["role"] == "test", "sample_id"])[:_MOST_EXAMPLES_TRIED]
    if not candidates:
        raise InputError("The split has no test image that could serve as the bundle's example.")
    files = manifest.set_index("sample_id")[["path", "sha256"]]
    bundle = load_bundle(out_dir)
    for sample_id in candidates:
        path = dataset_dir / str(files.loc[sample_id, "path"])
        pixels, digest = _read_sample(path, max_pixels)
        if digest != files.loc[sample_id, "sha256"]:
            raise InputError(
                f"{path}: the file has changed since the data set was ingested; "
                "run the workflow again."
            )
        Image.fromarray(pixels).save(out_dir / EXAMPLE_INPUT_FILE)
        row = next(bundle.predict_files([EXAMPLE_INPUT_FILE], out_dir))
        if row["status"] == "ok":
            break
    write_json(out_dir / EXAMPLE_OUTPUT_FILE, row)


def _read_sample(path: Path, max_pixels: int) -> tuple[NDArray[np.uint8], str]:
    """Read a picture, or a slice of a scan by its name, with 8 bits, and its content hash."""
    volume_path, mark, number = path.as_posix().rpartition(SEPARATOR)
    if mark and not path.exists():
        volume = open_volume(Path(volume_path))
        pixels = volume.read_slice(int(number))
        return show_with_8_bits(pixels, find_grey_range(volume)), digest_slice(pixels)
    return read_picture(path, max_pixels=max_pixels).pixels_8bit, digest_file(path)


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not readable ({error}); train this stage again.") from None
