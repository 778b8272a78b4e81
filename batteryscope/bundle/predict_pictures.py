"""Predictions of a published model for a folder of pictures: a row per picture."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from batteryscope.bundle.covariates import CovariateSource
from batteryscope.bundle.open import find_applier, open_bundle
from batteryscope.bundle.output import write_rows
from batteryscope.bundle.unlike import describe_caution
from batteryscope.core.named_function import load_function
from batteryscope.core.progress import log, show_progress
from batteryscope.errors import InputError
from batteryscope.readers.scan import scan_images


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


def predict_images(asked: Asked, record: Any) -> None:
    """Judge all pictures below a folder and write the rows as they come.

    Raises
    ------
    InputError
        The model cannot be read, or no picture can be judged.
    """
    found = scan_images(asked.images)
    for file, words in found.foreign:
        log.info("%s: %s", file, words)
    if others := (*found.misnamed, *found.unsupported, *found.special):
        log.warning("%d files are no pictures, such as %s.", len(others), others[0])
    bundle = open_bundle(asked.bundle, asked.device, asked.batch_size, asked.collector)
    bundle.answer_anyway = asked.answer_anyway
    for line in describe_caution(record.data, bundle.familiarity is not None):
        log.warning("%s", line)
    if asked.source is not None:
        bundle.given = asked.source.read(found.images, record.covariates)
    rows = bundle.answer_folder(found, asked.images)
    n_files = len(found.images) + len(others)
    progress = show_progress(rows, "predicting", total=n_files, unit="image")
    summary = write_rows(asked.out, bundle.columns, progress)
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
