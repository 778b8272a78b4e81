"""Predictions of a published model for a folder of pictures: a row per picture."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from batteryscope.bundle.covariates import CovariateSource
from batteryscope.bundle.open import find_applier, open_bundle
from batteryscope.bundle.output import Judged, write_rows
from batteryscope.bundle.picture_bundle import PictureBundle
from batteryscope.bundle.unlike import describe_caution
from batteryscope.core.named_function import load_function
from batteryscope.core.progress import log, show_progress
from batteryscope.errors import InputError
from batteryscope.readers.scan import FolderScan, scan_images


@dataclass(frozen=True)
class Asked:
    """What a user asks of a published model.

    Attributes
    ----------
    bundle, images, out
        The model, what it shall judge, and the table to write.
    source
        Table of what stands beside the pictures, for models that are given any.
    device, batch_size
        Where the networks run, and how many tiles they get at a time.
    collector
        Where the current collector is, of cross-sections; None: as in training.
    slices
        Which slices of every scan (``FIRST:LAST:STEP``); empty: all.
    answer_anyway
        Whether what is unlike all training images is answered all the same.
    """

    bundle: Path
    images: Path
    out: Path
    source: CovariateSource | None
    device: torch.device | str
    batch_size: int
    collector: str | None
    slices: str
    answer_anyway: bool = False


def judge_folder(
    bundle: PictureBundle[Any],
    path: Path,
    slices: str = "",
    source: CovariateSource | None = None,
) -> Judged:
    """Judge all pictures below a folder.

    Parameters
    ----------
    bundle
        The model.
    path
        The folder.
    slices
        Of no use here: pictures have none.
    source
        Table of what stands beside the pictures, for models that are given any.

    Raises
    ------
    InputError
        The folder holds no picture.
    """
    del slices
    return _judge_found(bundle, find_pictures(path), path, source)


def cut_tiles(bundle: PictureBundle[Any], path: Path) -> NDArray[np.uint8] | None:
    """Return the tiles of one picture that the models judge; None if it cannot be used."""
    return bundle.cut_file(path.name, path.parent)


def find_pictures(path: Path) -> FolderScan:
    """List the pictures below a folder as :func:`scan_images`; say what else lies there."""
    found = scan_images(path)
    for file, words in found.foreign:
        log.info("%s: %s", file, words)
    if others := (*found.misnamed, *found.unsupported, *found.special):
        log.warning("%d files are no pictures, such as %s.", len(others), others[0])
    return found


def _judge_found(
    bundle: PictureBundle[Any], found: FolderScan, path: Path, source: CovariateSource | None
) -> Judged:
    if source is not None:
        bundle.given = source.read(found.images, bundle.record.covariates)
    files = (found.images, found.misnamed, found.unsupported, found.special)
    return Judged(bundle.columns, bundle.answer_folder(found, path), sum(map(len, files)))


def predict_images(asked: Asked, record: Any) -> None:
    """Judge all pictures below a folder and write the rows as they come.

    Raises
    ------
    InputError
        The model cannot be read, or no picture can be judged.
    """
    found = find_pictures(asked.images)
    bundle = open_bundle(asked.bundle, asked.device, asked.batch_size, asked.collector)
    bundle.answer_anyway = asked.answer_anyway
    for line in describe_caution(record.data, bundle.familiarity is not None):
        log.warning("%s", line)
    judged = _judge_found(bundle, found, asked.images, asked.source)
    progress = show_progress(judged.rows, "predicting", total=judged.n_files, unit="image")
    summary = write_rows(asked.out, judged.columns, progress)
    for line in summary.describe():
        log.info("%s", line)
    if bundle.closing_note:
        log.info("%s", bundle.closing_note)
    if drawn := load_function(find_applier(asked.bundle), "draw_beside")(asked.bundle, asked.out):
        log.info("%s", drawn)
    if summary.is_unanswered:
        raise InputError(
            f"{asked.images}: none of the {summary.n_files} images could be judged; the "
            f"reasons are in {asked.out}, the first is: {summary.first_reason}"
        )
