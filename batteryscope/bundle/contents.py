"""What every bundle of pictures contains: models, training data, licence."""

import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from batteryscope import __version__
from batteryscope.bundle.record import (
    FORMAT_VERSION,
    RANGE_COLUMNS,
    BundleSettings,
    Licence,
    Member,
    TrainingData,
    write_json,
)
from batteryscope.errors import InputError
from batteryscope.manifest.grey_scale import list_bit_depths, list_grey_ranges
from batteryscope.plan import StudyPlan
from batteryscope.provenance import digest_file, digest_json

M = TypeVar("M", bound=Member)


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


def list_common_fields(
    settings: BundleSettings,
    manifest: pd.DataFrame,
    metrics: Mapping[str, float],
    kept: tuple[str, ...],
    findings: Iterable[Mapping[str, str]],
    members: Sequence[Member],
    images: pd.DataFrame,
) -> dict[str, Any]:
    """Return the fields of the record that do not depend on what is predicted.

    Parameters
    ----------
    settings
        What the study says about the bundle.
    manifest
        The sample table.
    metrics
        Flat metrics of the comparison; those that start with one of ``kept`` stay.
    kept
        Beginnings of names.
    findings
        What a reader must know beside the numbers, as ``{kind, text}``.
    members
        The trained models, whose pretrained weights bring a licence of their own.
    images
        Their images, from :func:`list_training_images`.
    """
    return {
        "format_version": FORMAT_VERSION,
        "batteryscope_version": __version__,
        "study": settings.study,
        "title": settings.title,
        "paper": settings.paper,
        "paper_doi": settings.paper_doi,
        "max_pixels": settings.max_pixels,
        "data": describe_data(settings, manifest, find_seen(images, members)),
        "metrics": {k: v for k, v in sorted(metrics.items()) if k.startswith(kept)},
        "findings": [{str(k): str(v) for k, v in finding.items()} for finding in findings],
        "licence": state_licence(settings, members),
    }


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
