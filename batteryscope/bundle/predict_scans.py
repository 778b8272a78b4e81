"""Predictions of a published model for scans: a row per slice, and a row per cell."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batteryscope.bundle.asker import PictureAsker
from batteryscope.bundle.batch import Asked, Batch
from batteryscope.bundle.covariates import CovariateSource, Looked
from batteryscope.bundle.open import open_bundle
from batteryscope.bundle.output import Judged, Summary
from batteryscope.bundle.picture_bundle import LAST_COLUMNS, SEEN_NOTE, PictureBundle, Row
from batteryscope.bundle.predict_pictures import open_models
from batteryscope.bundle.unlike import ORIGIN_COLUMN, Unlike, describe_caution, name_origin
from batteryscope.config.dataset import VolumeSettings, read_slices
from batteryscope.config.preprocess import CtSlicesSettings
from batteryscope.core.ordered_threads import run_ahead
from batteryscope.core.plural import count_of
from batteryscope.core.progress import log
from batteryscope.errors import InputError
from batteryscope.manifest.grey_scale import name_scanner
from batteryscope.manifest.inspect import reject_unexpected
from batteryscope.manifest.volumes import digest_slice
from batteryscope.preprocess.cut_volume import CutSlice, cut_volume
from batteryscope.readers.picture import PictureError
from batteryscope.readers.scan import LOCKED
from batteryscope.readers.volume import Volume
from batteryscope.readers.volumes import find_volumes, open_volume
from batteryscope.samples.choose import samples_cut_by

BATCH_SLICES = 32


def list_columns(bundle: PictureBundle[Any]) -> list[str]:
    """Return the columns of the rows: those of pictures, and what is a slice, what a cell."""
    last = [c for c in LAST_COLUMNS if c not in ("tiles_used", "tiles_rejected")]
    own = ["level", "file", "slice", *bundle.scan_columns, "slices_used", "slices_rejected"]
    return [*own, *last, *bundle.unlike_columns]


def judge_files(
    bundle: PictureBundle[Any],
    root: Path,
    files: Sequence[str],
    slices: str = "",
    source: CovariateSource | None = None,
) -> Judged:
    """Judge files or folders as a scan each, whatever lies beside them.

    Parameters
    ----------
    bundle
        The model.
    root, files
        The folder, and paths in it; a picture is a scan of one slice.
    slices
        ``FIRST:LAST:STEP`` of every scan; empty: all.
    source
        Table of what stands beside the scans, for models that are given any.

    Raises
    ------
    InputError
        The slices are no such numbers, or the table cannot be read.
    """
    chosen = read_slices(slices, "--slices")
    if source is not None:
        bundle.given = source.read(files, bundle.record.covariates, of_scans=True)
    return Judged(list_columns(bundle), predict_scans(bundle, files, root, chosen))


def judge_folder(
    bundle: PictureBundle[Any], path: Path, slices: str = "", source: CovariateSource | None = None
) -> Judged:
    """Judge one scan, or all scans below a folder."""
    found = find_volumes(path, skip_locked=True)
    for file, words in found.foreign:
        log.info("%s: %s", file, words)
    if others := (*found.unsupported, *found.special):
        n_others, first = len(others), others[0]
        log.warning("Left out as no scan: %s, such as %s.", count_of(n_others, "file"), first)
    for folder in found.locked:
        log.warning("%s: %s.", folder, LOCKED)
    files, root = found.images, path.parent if path.is_file() else path
    if "." in files:  # slices lie in the folder itself, whose name is that of the scan
        root, name = path.resolve().parent, path.resolve().name
        files = tuple(name if file == "." else f"{name}/{file}" for file in files)
    return judge_files(bundle, root, files, slices, source)


def open_asker(folder: Path) -> PictureAsker:
    """Open a model to be asked from Python."""
    return PictureAsker(open_bundle(folder), judge_folder, judge_files)


def cut_tiles(bundle: PictureBundle[Any], path: Path) -> NDArray[np.uint8] | None:
    """Return the tile of the slice in the middle of a scan; None if it cannot be used."""
    volume, settings = open_volume(path), bundle.record.preprocess.around_core
    if settings is None:
        return None
    key = name_scanner(volume.instrument, volume.dtype.name)
    known = bundle.record.data.grey_ranges.get(key)
    [cut] = cut_volume(volume, [volume.shape[0] // 2], settings, grey_range=known)
    return None if cut.tile is None else cut.tile[None]


def open_batch(asked: Asked) -> Batch:
    """Find one scan, or all scans below a folder, and open the model that will judge them.

    Raises
    ------
    InputError, ConfigError
        There is no scan, the model cannot be read, or is asked for what it does not do.
    """
    assert asked.images is not None
    bundle, source = open_models(asked)
    return Batch(
        judged=judge_folder(bundle, asked.images, asked.slices or "", source),
        summary=Summary(noun=samples_cut_by(bundle.record.preprocess).noun),
        cautions=describe_caution(bundle.record.data, bundle.familiarity is not None),
        closing_note=bundle.closing_note,
    )


def predict_scans(
    bundle: PictureBundle[Any], files: Iterable[str], root: Path, chosen: VolumeSettings
) -> Iterator[Row]:
    """Judge scans one by one, slice by slice.

    Parameters
    ----------
    bundle
        A model of scans.
    files
        Scans, as POSIX paths relative to ``root``.
    root
        Folder of the scans.
    chosen
        Which slices.

    Yields
    ------
    dict
        Rows with :func:`list_columns`: first those of the slices of a scan (``level`` slice),
        then that of the cell (``level`` cell), whose probabilities or numbers are the mean over
        its slices, with the share of slices that have the same verdict (``slices_agreeing``) or
        their spread. A few slices and the answers are in memory at a time.

    Raises
    ------
    InputError
        The model judges pictures, not scans.
    """
    settings = bundle.record.preprocess.around_core
    if settings is None:
        raise InputError(
            f"The model of study '{bundle.record.study}' judges pictures, not scans; give it the "
            "folder of pictures, or use the model of a study of scans."
        )
    for file in files:
        beside = bundle.find_covariates(file)
        if beside.reason:
            yield _start_row(bundle, file, "cell") | {"reason": beside.reason}
            continue
        try:
            volume = open_volume(root / file)
            yield from _predict_scan(bundle, volume, file, chosen, settings, beside)
        except Exception as error:  # whatever it is, it costs this scan only
            if not isinstance(error, PictureError):
                reject = reject_unexpected(file, error)
                error = PictureError(root / file, "unreadable", reject.detail)
            yield _start_row(bundle, file, "cell") | {"reason": f"{error.reason}: {error.detail}"}


def _predict_scan(
    bundle: PictureBundle[Any],
    volume: Volume,
    file: str,
    chosen: VolumeSettings,
    settings: CtSlicesSettings,
    beside: Looked,
) -> Iterator[Row]:
    numbers = chosen.choose(volume.shape[0])
    judged: list[tuple[NDArray[np.float64], Unlike | None]] = []
    n_rejected = n_seen = 0
    reasons: list[str] = []
    key = name_scanner(volume.instrument, volume.dtype.name)
    known = bundle.record.data.grey_ranges.get(key)
    for cuts in run_ahead(_cut_batches(volume, numbers, settings, known)):
        for row, found in _judge_slices(bundle, file, cuts, beside.values):
            n_seen += bool(row["seen_in_training"])
            if found is None:
                n_rejected += 1
                reasons.append(row["reason"])
            else:
                judged.append(found)
            yield row
    row = _start_row(bundle, file, "cell") | {"slices_rejected": n_rejected}
    notes = (
        [f"{count_of(n_seen, 'slice')} {'was' if n_seen == 1 else 'were'} {SEEN_NOTE}"]
        if n_seen
        else []
    )
    row |= {
        "seen_in_training": n_seen > 0,
        "note": "; ".join(filter(None, [*notes, beside.note, *volume.missing, *volume.left_out])),
    }
    if not judged:
        reason = (
            reasons[0]
            if reasons
            else f"it has {count_of(volume.shape[0], 'slice')}, none of them asked for"
        )
        yield row | {
            "reason": f"none of its {count_of(len(numbers), 'slice')} can be judged; {reason}"
        }
        return
    joined = join_slices(judged)
    row["slices_used"] = joined.shape[1]
    answer = bundle.describe_scan(joined)
    if (unlike := sum_up([one for _, one in judged if one is not None])) is None:
        yield row | answer | {"status": "ok"}
        return
    answer = bundle.weigh(answer, unlike)
    note = "; ".join(filter(None, [row["note"], answer.pop("note", "")]))
    yield row | answer | {"note": note}


def join_slices(
    judged: Sequence[tuple[NDArray[np.float64], Unlike | None]],
) -> NDArray[np.float64]:
    """Return what the models said of the slices that count, (n_models, n, n_outputs).

    Slices unlike the training count only where all are; whether they are answered does not matter.
    """
    like = [asked for asked, unlike in judged if unlike is None or not unlike.reasons]
    return np.concatenate(like or [asked for asked, _ in judged], axis=1)


def sum_up(slices: Sequence[Unlike]) -> Unlike | None:
    """Say how unlike the training cells a cell is: as its slice in the middle; None without any."""
    if not slices:
        return None
    ordered = sorted(slices, key=lambda one: one.score)
    middle = ordered[(len(ordered) - 1) // 2]  # half of the slices are not most of them
    n_unlike = sum(bool(one.reasons) for one in slices)
    of_slices = f"{n_unlike} of its {count_of(len(slices), 'slice')}"
    return replace(middle, reasons=tuple(f"{of_slices}: {one}" for one in middle.reasons[:1]))


def _cut_batches(
    volume: Volume,
    numbers: Sequence[int],
    settings: CtSlicesSettings,
    grey_range: tuple[float, float] | None,
) -> Iterator[list[tuple[CutSlice, str]]]:
    """Cut slices and digest their grey levels, some at a time."""
    waiting = cut_volume(volume, numbers, settings, grey_range=grey_range)
    while cuts := list(islice(waiting, BATCH_SLICES)):
        yield [(cut, digest_slice(volume.read_slice(cut.finding.z))) for cut in cuts]


def _judge_slices(
    bundle: PictureBundle[Any],
    file: str,
    cuts: Sequence[tuple[CutSlice, str]],
    covariates: NDArray[np.float32] | None,
) -> Iterator[tuple[Row, tuple[NDArray[np.float64], Unlike | None] | None]]:
    tiles = [cut.tile for cut, _ in cuts if cut.tile is not None]
    known = bundle.familiarity
    watch = None if known is None else known.watch()
    answers = bundle.ask_models(np.stack(tiles), covariates, watch) if tiles else None
    unlike: list[Unlike] = []
    if known is not None and watch is not None and tiles:
        unlike = known.judge_each(np.stack(tiles), watch.join(), np.arange(len(tiles)))
    used = 0
    for cut, digest in cuts:
        row = _start_row(bundle, file, "slice") | {"slice": cut.finding.z}
        row["seen_in_training"] = bundle.knows_pixels(digest)
        if row["seen_in_training"]:
            row["note"] = SEEN_NOTE
        if cut.tile is None or answers is None:
            yield row | {"reason": f"{cut.reason}: {cut.detail}"}, None
            continue
        own = answers[:, used : used + 1]
        told = unlike[used] if unlike else None
        used += 1
        answer = bundle.describe(own) | {"status": "ok"}
        answer = answer if told is None else bundle.weigh(answer, told)
        note = "; ".join(filter(None, [row["note"], answer.pop("note", "")]))
        yield row | answer | {"note": note}, (own, told)


def _start_row(bundle: PictureBundle[Any], file: str, level: str) -> Row:
    empty: dict[str, Any] = dict.fromkeys(list_columns(bundle))
    return empty | {
        "level": level,
        "file": file,
        "status": "rejected",
        "reason": "",
        "note": "",
        "seen_in_training": False,
        ORIGIN_COLUMN: name_origin(bundle.record.data),
    }
