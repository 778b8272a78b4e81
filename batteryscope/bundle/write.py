"""Puts the classifiers of an arm into a folder that can be published and used alone."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from batteryscope.bundle.card import render_card
from batteryscope.bundle.contents import (
    copy_members,
    describe_settings,
    list_common_fields,
    list_training_images,
    read_result,
)
from batteryscope.bundle.covariates import list_trained_covariates
from batteryscope.bundle.example import write_example
from batteryscope.bundle.familiarity import add_familiarity
from batteryscope.bundle.integrity import seal_bundle
from batteryscope.bundle.prediction_set import read_sets
from batteryscope.bundle.read import load_bundle
from batteryscope.bundle.record import (
    CARD_FILE,
    RECORD_FILE,
    TRAINING_IMAGES_FILE,
    BundleRecord,
    BundleSettings,
    Member,
    PublishedSets,
    write_json,
)
from batteryscope.core.baseline_catalogue import BASELINE_PREFIX
from batteryscope.core.safe_text import guard_table
from batteryscope.evaluation.forward import choose_device
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
    images = list_training_images(manifest, frames, [(member, split) for member in members])
    guard_table(images).to_csv(out_dir / TRAINING_IMAGES_FILE, index=False, lineterminator="\n")
    labels = list_class_labels(manifest, settings.label_columns).astype(str)
    own = (f"{settings.arm}.", BASELINE_PREFIX)
    # A bundle never meets other grey levels than its networks were trained with.
    about_model = [finding for finding in findings if finding.get("kind") != MISMATCH]
    record = BundleRecord(
        **list_common_fields(settings, manifest, metrics, own, about_model, members, images),
        arm=settings.arm,
        classes=description["classes"],
        label_columns=settings.label_columns,
        class_labels={str(name): dict(row) for name, row in labels.iterrows()},
        preprocess=settings.preprocess,
        input_px=description["input_px"],
        temperature=temperature,
        members=members,
        covariates=list_trained_covariates(out_dir, members),
        sets=sets,
    )
    write_json(out_dir / RECORD_FILE, record.model_dump(mode="json"))
    models = load_bundle(out_dir, choose_device(), checked=False).models
    groups = dict(split[["sample_id", "group_id"]].astype(str).itertuples(index=False, name=None))
    record = add_familiarity(out_dir, record, models, tiles, settings.false_alarms, groups)
    flips = description.get("flips_at_test", "none")
    card = render_card(record, description["backbone"], flips)
    (out_dir / CARD_FILE).write_text(card, encoding="utf-8")
    write_example(out_dir, load_bundle(out_dir, checked=False), manifest, split, dataset_dir)
    seal_bundle(out_dir)
    return record
