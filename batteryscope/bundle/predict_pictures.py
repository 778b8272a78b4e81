"""Predictions of a published model for a folder of pictures: a row per picture."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from batteryscope.bundle.asker import PictureAsker
from batteryscope.bundle.batch import Asked, Batch
from batteryscope.bundle.covariates import CovariateSource, choose_source
from batteryscope.bundle.open import find_applier, open_bundle, read_any_record
from batteryscope.bundle.output import Judged, Summary
from batteryscope.bundle.picture_bundle import PictureBundle
from batteryscope.bundle.record import PictureRecord
from batteryscope.bundle.unlike import describe_caution
from batteryscope.core.named_function import load_function
from batteryscope.core.progress import log
from batteryscope.errors import ConfigError
from batteryscope.evaluation.forward import demand_device
from batteryscope.readers.registry import is_picture_name
from batteryscope.readers.scan import FolderScan, scan_images, show_name

TILES_AT_A_TIME = 64


def judge_files(
    bundle: PictureBundle[Any],
    root: Path,
    files: Sequence[str],
    slices: str = "",
    source: CovariateSource | None = None,
) -> Judged:
    """Judge files of a folder as pictures, those that are none as well.

    Parameters
    ----------
    bundle
        The model.
    root, files
        The folder, and names in it.
    slices
        Of no use here: pictures have none.
    source
        Table of what stands beside the pictures, for models that are given any.
    """
    del slices
    images = tuple(file for file in files if is_picture_name(file))
    others = tuple(file for file in files if not is_picture_name(file))
    return _judge_found(bundle, FolderScan(images, others), root, source)


def judge_folder(
    bundle: PictureBundle[Any], path: Path, slices: str = "", source: CovariateSource | None = None
) -> Judged:
    """Judge all pictures below a folder."""
    del slices
    return _judge_found(bundle, find_pictures(path), path, source)


def open_asker(folder: Path) -> PictureAsker:
    """Open a model to be asked from Python."""
    return PictureAsker(open_bundle(folder), judge_folder, judge_files)


def cut_tiles(bundle: PictureBundle[Any], path: Path) -> NDArray[np.uint8] | None:
    """Return the tiles of one picture that the models judge; None if it cannot be used."""
    return bundle.cut_file(path.name, path.parent)


def find_pictures(path: Path) -> FolderScan:
    """List the pictures below a folder as :func:`scan_images`; say what else lies there.

    A file is listed by its name, whatever it is.
    """
    if path.is_file():
        name = show_name(path.name)
        if name != path.name:
            return FolderScan((), misnamed=(name,))
        return FolderScan((name,)) if is_picture_name(name) else FolderScan((), (name,))
    found = scan_images(path, skip_locked=True)
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
    files = (found.images, found.misnamed, found.unsupported, found.special, found.locked)
    root = path.parent if path.is_file() else path
    return Judged(bundle.columns, bundle.answer_folder(found, root), sum(map(len, files)))


def open_batch(asked: Asked) -> Batch:
    """Find one picture, or all below a folder, and open the model that will judge them one by one.

    Raises
    ------
    InputError, ConfigError
        There is no picture, the model cannot be read, or is asked for what it does not do.
    """
    assert asked.images is not None
    found = find_pictures(asked.images)
    bundle, source = open_models(asked)
    draw = load_function(find_applier(asked.bundle), "draw_beside")
    return Batch(
        judged=_judge_found(bundle, found, asked.images, source),
        summary=Summary(),
        cautions=describe_caution(bundle.record.data, bundle.familiarity is not None),
        closing_note=bundle.closing_note,
        draw_beside=partial(draw, asked.bundle),
    )


def open_models(asked: Asked) -> tuple[PictureBundle[Any], CovariateSource | None]:
    """Open a model of pictures or scans, and say where its covariates are, if it is given any.

    Raises
    ------
    InputError, ConfigError
        It cannot be read, or is asked for what it does not do.
    """
    size = TILES_AT_A_TIME if asked.batch_size is None else asked.batch_size
    if size < 1:
        raise ConfigError(f"--batch-size: found {size}; give a number above 0.")
    record = cast(PictureRecord, read_any_record(asked.bundle))
    source = choose_source(asked.covariates, asked.sample_column, asked.written, record)
    device = demand_device(asked.device or "auto")
    bundle = open_bundle(asked.bundle, device, size, asked.collector)
    bundle.answer_anyway = asked.answer_anyway
    return bundle, source
