"""Puts the classifiers of an arm into a folder that can be published and used alone."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from batteryscope.bundle.assemble import (
    copy_members,
    describe_pictures,
    describe_settings,
    finish_picture_bundle,
    list_common_fields,
    read_result,
    state_licence,
)
from batteryscope.bundle.card import render_card
from batteryscope.bundle.prediction_set import read_sets
from batteryscope.bundle.read import load_bundle
from batteryscope.bundle.record import BundleRecord, BundleSettings, Member, PublishedSets
from batteryscope.core.baseline_catalogue import BASELINE_PREFIX
from batteryscope.evaluation.grey_mismatch import MISMATCH
from batteryscope.evaluation.labels import list_class_labels
from batteryscope.manifest.frames import read_frames
from batteryscope.manifest.grades import list_grades
from batteryscope.planning.layout import PictureLayout


def bundle_models(layout: PictureLayout, out: Path) -> BundleRecord:
    """Bundle the classifiers of the main arm of a study.

    Raises
    ------
    InputError
        If there is no fit, fits disagree, or the example is no longer what was ingested.
    """
    arm = layout.plan.main.name
    manifest = pd.read_parquet(layout.data.manifest)
    return write_bundle(
        out,
        describe_settings(layout.plan),
        [fit for part in layout.list_fits(arm) for fit in part.glob("r*_f*")],
        manifest,
        read_frames(layout.data.frames, manifest),
        pd.read_parquet(layout.main_split.roles),
        layout.find_dataset(),
        read_result(layout.arm(arm).calibration)["temperature"],
        read_result(layout.comparison / "metrics.json"),
        read_result(layout.comparison / "findings.json"),
        read_sets(layout.comparison / "sets.csv", list_grades(manifest)),
        layout.main_tiles,
    )


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
    sets: PublishedSets | None = None,
    tiles: Path | None = None,
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
    sets
        Sets of classes beside the answer; None: the bundle gives none.
    tiles
        Tile store of the images; without it nothing is called unlike them.

    Raises
    ------
    InputError
        If there is no fit, fits disagree, or the example is no longer what was ingested.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    members, description = copy_members(settings.arm, fits, out_dir, Member)
    labels = list_class_labels(manifest, settings.label_columns).astype(str)
    own = (f"{settings.arm}.", BASELINE_PREFIX)
    # A bundle never meets other grey levels than its networks were trained with.
    about_model = [finding for finding in findings if finding.get("kind") != MISMATCH]
    licence = state_licence(settings, members)
    made_with = [(member, split) for member in members]
    record = BundleRecord(
        **list_common_fields(settings.study, settings, metrics, own, about_model, licence),
        **describe_pictures(out_dir, settings, manifest, frames, made_with),
        arm=settings.arm,
        classes=description["classes"],
        label_columns=settings.label_columns,
        class_labels={str(name): dict(row) for name, row in labels.iterrows()},
        input_px=description["input_px"],
        temperature=temperature,
        sets=sets,
    )
    flips = description.get("flips_at_test", "none")
    return finish_picture_bundle(
        out_dir,
        record,
        lambda record: render_card(record, description["backbone"], flips),
        load_bundle,
        manifest,
        split,
        dataset_dir,
        tiles,
        settings.false_alarms,
    )
