"""Assembles a bundle: what all have, what those of pictures have, and the steps that end it."""

import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pandas as pd

from batteryscope import __version__
from batteryscope.bundle.covariates import list_trained_covariates
from batteryscope.bundle.example import write_example
from batteryscope.bundle.familiarity import add_familiarity
from batteryscope.bundle.integrity import seal_bundle
from batteryscope.bundle.picture_bundle import PictureBundle
from batteryscope.bundle.record import (
    CARD_FILE,
    FORMAT_VERSION,
    RANGE_COLUMNS,
    RECORD_FILE,
    TRAINING_IMAGES_FILE,
    BundleSettings,
    Licence,
    Member,
    ModelRecord,
    PictureRecord,
    TrainingData,
    write_json,
)
from batteryscope.core.safe_text import guard_table
from batteryscope.errors import InputError
from batteryscope.evaluation.forward import choose_device
from batteryscope.manifest.grey_scale import list_bit_depths, list_grey_ranges
from batteryscope.plan import StudyPlan
from batteryscope.provenance import digest_file, digest_json

M = TypeVar("M", bound=Member)
R = TypeVar("R", bound=ModelRecord)
P = TypeVar("P", bound=PictureRecord)


def describe_settings(plan: StudyPlan) -> BundleSettings:
    """Return what a study of pictures says about the models of its bundle."""
    study, main = plan.settings, plan.main
    return BundleSettings(
        study=plan.study,
        arm=main.name,
        title=study.title,
        data_name=study.dataset.name,
        label_columns=study.dataset.labels.columns,
        preprocess=main.recipe.preprocess,
        max_pixels=study.dataset.max_pixels,
        generated=study.dataset.generated,
        paper=study.paper,
        paper_doi=study.paper_doi,
        quantities=study.dataset.quantities,
        false_alarms=study.evaluate.false_alarms,
    )


def copy_members(
    arm: str, fits: Iterable[Path], out_dir: Path, make: Callable[..., M]
) -> tuple[list[M], dict[str, Any]]:
    """Copy the networks of all fits of an arm into a bundle.

    Parameters
    ----------
    arm
        Name of the arm.
    fits
        Folders of trained fits, one per repeat and fold.
    out_dir
        The bundle.
    make
        Makes a member from its fields.

    Returns
    -------
    members, description
        By repeat and fold; the description of the first network.

    Raises
    ------
    InputError
        If there is no fit, or a file of it cannot be read.
    """
    read = [(folder, read_result(folder / "fit.json")) for folder in fits]
    if not read:
        raise InputError(f"The arm '{arm}' has no trained model to bundle; train it first.")
    members, descriptions = [], []
    for folder, fit in sorted(read, key=lambda item: (item[1]["repeat"], item[1]["fold"])):
        member = make(
            repeat=fit["repeat"],
            fold=fit["fold"],
            weights_sha256=digest_file(folder / "weights.safetensors"),
            best_epoch=fit["best_epoch"],
            n_train_images=len(fit["train_samples"]),
            pretrained=fit.get("pretrained"),
        )
        target = out_dir / f"{member.name}.safetensors"
        target.unlink(missing_ok=True)
        shutil.copyfile(folder / "weights.safetensors", target)
        description = read_result(folder / "model.json")
        write_json(out_dir / f"{member.name}.json", description)
        members.append(member)
        descriptions.append(description)
    return members, descriptions[0]


def list_training_images(
    manifest: pd.DataFrame,
    frames: pd.DataFrame,
    fits: Sequence[tuple[Member, pd.DataFrame]],
    also: Sequence[str] = (),
) -> pd.DataFrame:
    """List the images that models were made with.

    Parameters
    ----------
    manifest, frames
        Tables of the contract.
    fits
        Every model with the split that it was trained on.
    also
        Further columns of the manifest to copy.

    Returns
    -------
    DataFrame
        One row per image of the splits; one column per model with the role of the image in it.

    Raises
    ------
    InputError
        If a split does not know the fit of its model.
    """
    known = {sample for _, split in fits for sample in split["sample_id"]}
    table = manifest[manifest["sample_id"].isin(known)].sort_values("sample_id")
    table = table[["sample_id", "sha256", "path", *also, "class"]].reset_index(drop=True)
    digests = frames.set_index("sample_id")["pixel_digest"]
    table.insert(2, "pixel_digest", table["sample_id"].map(digests))
    for member, split in fits:
        own = split[(split["repeat"] == member.repeat) & (split["fold"] == member.fold)]
        if own.empty:
            raise InputError(
                f"The split does not know the fit {member.fit_name}; train again after splitting."
            )
        # Images that validate and test (split.validate_on_test) have been seen: they validate.
        own = own.sort_values("role").drop_duplicates("sample_id", keep="last")
        roles = own.set_index("sample_id")["role"]
        table[member.column] = table["sample_id"].map(roles).fillna("")
    return table


class AboutStudy(Protocol):
    """Settings that say what a study is about."""

    @property
    def title(self) -> str:
        """Its title."""

    @property
    def paper(self) -> str:
        """The paper that it follows; empty if none."""

    @property
    def paper_doi(self) -> str:
        """Its DOI."""


def list_common_fields(
    study: str,
    about: AboutStudy,
    metrics: Mapping[str, float],
    kept: tuple[str, ...],
    findings: Iterable[Mapping[str, str]],
    licence: Licence,
) -> dict[str, Any]:
    """Return the fields of the record that all models have.

    Parameters
    ----------
    study, about
        Name of the study, and what it is about.
    metrics
        Flat metrics of the comparison; those that start with one of ``kept`` stay.
    kept
        Beginnings of names.
    findings
        What a reader must know beside the numbers, as ``{kind, severity, text}``.
    licence
        Terms of use.
    """
    return {
        "format_version": FORMAT_VERSION,
        "batteryscope_version": __version__,
        "study": study,
        "title": about.title,
        "paper": about.paper,
        "paper_doi": about.paper_doi,
        "metrics": {k: v for k, v in sorted(metrics.items()) if k.startswith(kept)},
        "findings": [{str(k): str(v) for k, v in finding.items()} for finding in findings],
        "licence": licence,
    }


def describe_pictures(
    out_dir: Path,
    settings: BundleSettings,
    manifest: pd.DataFrame,
    frames: pd.DataFrame,
    fits: Sequence[tuple[Member, pd.DataFrame]],
    also: Sequence[str] = (),
) -> dict[str, Any]:
    """Write the list of training images; return what all records of models of pictures say.

    Parameters
    ----------
    out_dir
        The bundle, with the networks.
    settings
        What the study says about the bundle.
    manifest, frames
        Tables of the contract.
    fits
        Every model with the split that it was trained on.
    also
        Further columns of the manifest for the list.
    """
    members = [member for member, _ in fits]
    images = list_training_images(manifest, frames, fits, also)
    guard_table(images).to_csv(out_dir / TRAINING_IMAGES_FILE, index=False, lineterminator="\n")
    return {
        "preprocess": settings.preprocess,
        "max_pixels": settings.max_pixels,
        "members": members,
        "data": describe_data(settings, manifest, find_seen(images, members)),
        "covariates": list_trained_covariates(out_dir, members),
    }


def finish_bundle(
    out_dir: Path, record: R, render_card: Callable[[R], str], keep_example: Callable[[], None]
) -> R:
    """Write record, card and example of a bundle that is complete but for them, and seal it.

    Parameters
    ----------
    out_dir
        The bundle.
    record
        The content of bundle.json.
    render_card
        Returns the model card.
    keep_example
        Writes the example and what the bundle says of it.

    Returns
    -------
    ModelRecord
        The record.
    """
    write_json(out_dir / RECORD_FILE, record.model_dump(mode="json"))
    (out_dir / CARD_FILE).write_text(render_card(record), encoding="utf-8")
    keep_example()
    seal_bundle(out_dir)
    return record


def finish_picture_bundle(
    out_dir: Path,
    record: P,
    render_card: Callable[[P], str],
    load: Callable[..., PictureBundle[Any]],
    manifest: pd.DataFrame,
    split: pd.DataFrame,
    dataset_dir: Path,
    tiles: Path | None,
    false_alarms: float | None,
) -> P:
    """Learn what pictures the models know, then end as :func:`finish_bundle`.

    Parameters
    ----------
    out_dir, record, render_card
        As there.
    load
        Opens the bundle: ``load(folder, device, checked=False)``.
    manifest, split
        Tables of the contract; the split of the first network.
    dataset_dir
        Folder of the pictures, of which one becomes the example.
    tiles
        Tile store of the pictures; without it nothing is called unlike them.
    false_alarms
        Share of new samples of the same kind that may be called unlike; None: none is.
    """
    write_json(out_dir / RECORD_FILE, record.model_dump(mode="json"))
    models = load(out_dir, choose_device(), checked=False).models
    groups = dict(split[["sample_id", "group_id"]].astype(str).itertuples(index=False, name=None))
    record = add_familiarity(out_dir, record, models, tiles, false_alarms, groups)

    def keep_example() -> None:
        write_example(out_dir, load(out_dir, checked=False), manifest, split, dataset_dir)

    return finish_bundle(out_dir, record, render_card, keep_example)


def find_seen(images: pd.DataFrame, members: Sequence[Member]) -> set[str]:
    """Return the samples that trained or tuned one of the models."""
    roles = images[[member.column for member in members]]
    return set(images.loc[roles.isin(["train", "validation"]).any(axis=1), "sample_id"])


def describe_data(settings: BundleSettings, manifest: pd.DataFrame, seen: set[str]) -> TrainingData:
    """Describe identity and extent of the data that models were trained and tested on.

    The ranges are those of the samples that models have ``seen`` in training: what only tests
    them, or belongs to another domain, makes no picture usual.
    """
    ranges = {}
    trained = manifest[manifest["sample_id"].isin(seen)]
    for column in RANGE_COLUMNS:
        values = trained[column].dropna() if column in trained else pd.Series(dtype=float)
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
        bit_depths=list_bit_depths(manifest),
        grey_ranges=list_grey_ranges(manifest),
    )


def state_licence(settings: BundleSettings, members: Sequence[Member]) -> Licence:
    """State the terms of use, which depend on where pictures and pretrained weights come from."""
    origins = sorted({m.pretrained.describe() for m in members if m.pretrained is not None})
    if settings.generated and origins:
        weights = "Weights: they were trained on generated pictures only."
    elif settings.generated:
        weights = "Weights: MIT; they were learnt from generated pictures only."
    else:
        weights = (
            f"The weights and the example picture were made from the data set "
            f"'{settings.data_name}'; whatever its licence demands holds for them too."
        )
    if origins:
        weights += (
            f" Training began with pretrained weights of {' and '.join(origins)}; "
            "whatever their licence demands holds for these weights too."
        )
    return Licence(weights=weights)


def read_result(path: Path) -> Any:
    """Read a JSON file that the study has left.

    Raises
    ------
    InputError
        If it is missing or damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not readable ({error}); run the workflow again.") from None
