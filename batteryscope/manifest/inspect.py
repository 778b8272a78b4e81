"""Looking at every image once: does it decode, what is in it, how was it taken."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from batteryscope.config.table_format import MetadataFormat
from batteryscope.core.progress import note_traceback, show_progress
from batteryscope.manifest.frames import FRAME_DTYPES, validate_frames
from batteryscope.manifest.grey_scale import (
    FROM_FILE,
    FROM_INSTRUMENT,
    FROM_SETTING,
    SeenLevels,
    decide_bit_depths,
)
from batteryscope.manifest.measure import measure_frame
from batteryscope.manifest.schema import Reject
from batteryscope.manifest.writing_style import SeenWriting, decide_styles, describe_reading
from batteryscope.provenance import digest_file
from batteryscope.readers.grey_scale import GreyLevels
from batteryscope.readers.picture import (
    AcquisitionMetadata,
    Picture,
    PictureError,
    WritingStyle,
)
from batteryscope.readers.registry import read_metadata, read_picture

Measure = Callable[[NDArray[np.uint8], int | None], dict[str, Any]]
_WORKERS = 4  # decoders release Python's lock; more workers would hold more pictures in memory


@dataclass(frozen=True)
class ImageRecord:
    """What one usable file holds.

    ``sha256`` is of the file, ``pixel_digest`` of the decoded 8-bit grey levels, which is
    the same for the same picture in another file format. ``measured`` is from
    :func:`batteryscope.manifest.measure.measure_frame`. The pixels themselves are not kept,
    so that memory stays small. ``levels`` is what a 16-bit picture proves about its bits in use
    (None of others); of scans ``grey_range`` is what becomes 0 and 255, ``stored_type`` the type
    of the numbers, and both are None of pictures. ``written_as`` says how values of the metadata
    were read that could be read in two ways, None if there were none; ``curve`` is that of
    :class:`batteryscope.readers.picture.Picture`.
    """

    path: str
    sha256: str
    pixel_digest: str
    width_px: int
    height_px: int
    bit_depth: int
    n_pages: int
    metadata: AcquisitionMetadata
    measured: dict[str, Any]
    levels: GreyLevels | None = None
    bit_depth_source: str = FROM_FILE
    grey_range: tuple[float, float] | None = None
    stored_type: str | None = None
    written_as: str | None = None
    curve: str = ""


class RecordCache(Protocol):
    """Keeps records from one ingest to the next (:mod:`batteryscope.manifest.image_cache`)."""

    def recall(self, asked: Mapping[str, str]) -> dict[str, ImageRecord]:
        """Return the records of before of those pictures that are as they were."""

    def read(
        self, path: str, asked: str, inspect: Callable[[], ImageRecord | Reject]
    ) -> ImageRecord | Reject:
        """Return a record of before, or what ``inspect`` returns."""


def inspect_images(
    root: Path,
    paths: Sequence[str],
    *,
    max_pixels: int,
    expected_size_px: tuple[int, int] | None = None,
    stated_bars_px: Mapping[str, int] | None = None,
    bit_depth: int | Mapping[str, int] | None = None,
    metadata_format: MetadataFormat | None = None,
    instruments: Mapping[str, str] | None = None,
    measure: Measure = measure_frame,
    cache: RecordCache | None = None,
) -> list[ImageRecord | Reject]:
    """Read images in parallel; the answers have the order of ``paths``.

    16-bit pictures of one instrument are shown with the same bits in use; those that look
    otherwise by themselves are read a second time. So is metadata with values that only other
    pictures of the instrument can tell.

    Parameters
    ----------
    root
        Folder of the data set.
    paths
        POSIX paths relative to it.
    max_pixels
        Largest width × height that is decoded.
    expected_size_px
        (width, height) that every image must have; None accepts all.
    stated_bars_px
        Path → height of the data bar that the labels state; goes before what the file says.
    bit_depth
        Bits in use of 16-bit pictures, for all or by instrument; None: decided here.
    metadata_format
        How tags and text files are written, where the user states it.
    instruments
        Path → instrument that the labels state; goes before what the file says.
    measure
        Gets grey levels and the stated height of the data bar; what it returns holds at least what
        :func:`~batteryscope.manifest.measure.measure_frame` does.
    cache
        Where pictures that did not change need not be read again.
    """
    bars_px = stated_bars_px or {}

    def ask(path: str, depth: int | None) -> str:
        return f"data bar {bars_px.get(path)}, bits {depth}"

    def inspect(path: str, depth: int | None = None) -> ImageRecord | Reject:
        bar_px = bars_px.get(path)

        def look() -> ImageRecord | Reject:
            return _inspect_image(root, path, max_pixels, expected_size_px, bar_px, measure, depth)

        return look() if cache is None else cache.read(path, ask(path, depth), look)

    known: dict[str, ImageRecord | Reject] = {}
    if cache is not None:
        known |= cache.recall({path: ask(path, None) for path in paths})
    unknown = [path for path in paths if path not in known]
    known |= zip(unknown, _inspect_all(inspect, unknown), strict=True)
    answers = [known[path] for path in paths]
    named = {path: name for path, name in (instruments or {}).items() if isinstance(name, str)}
    answers = _use_one_scale(answers, inspect, named, bit_depth)

    def read_again(record: ImageRecord, style: WritingStyle) -> AcquisitionMetadata:
        def look() -> ImageRecord:
            return replace(record, metadata=read_metadata(root / record.path, style=style))

        # Of what is kept only the metadata count: the rest was decided with other pictures.
        read = look() if cache is None else cache.read(record.path, f"style {style}", look)
        return read.metadata if isinstance(read, ImageRecord) else record.metadata

    return _read_as_written(answers, read_again, named, metadata_format)


def _use_one_scale(
    answers: Sequence[ImageRecord | Reject],
    inspect: Callable[[str, int], ImageRecord | Reject],
    named: Mapping[str, str],
    bit_depth: int | Mapping[str, int] | None,
) -> list[ImageRecord | Reject]:
    """Show 16-bit pictures of one instrument with the same bits in use."""
    seen = [
        SeenLevels(a.path, named.get(a.path, a.metadata.instrument or ""), a.levels)
        for a in answers
        if isinstance(a, ImageRecord) and a.levels is not None
    ]
    decided = decide_bit_depths(seen, bit_depth)
    source = FROM_INSTRUMENT if bit_depth is None else FROM_SETTING
    bits_of = {one.path: decided[one.instrument] for one in seen if one.levels.own_bits is None}
    others = [
        a.path
        for a in answers
        if isinstance(a, ImageRecord) and bits_of.get(a.path, a.bit_depth) != a.bit_depth
    ]
    again = _inspect_all(lambda path: inspect(path, bits_of[path]), others)
    seen_again = dict(zip(others, again, strict=True))
    changed: list[ImageRecord | Reject] = []
    for answer in answers:
        answer = seen_again.get(answer.path, answer)
        if answer.path in bits_of and isinstance(answer, ImageRecord):
            answer = replace(answer, bit_depth_source=source)
        changed.append(answer)
    return changed


def _read_as_written(
    answers: Sequence[ImageRecord | Reject],
    read_again: Callable[[ImageRecord, WritingStyle], AcquisitionMetadata],
    named: Mapping[str, str],
    metadata_format: MetadataFormat | None,
) -> list[ImageRecord | Reject]:
    """Read metadata with unclear values again, in the style of their instrument."""
    if not any(isinstance(a, ImageRecord) and a.metadata.writing.unclear for a in answers):
        return list(answers)
    seen = {
        a.path: SeenWriting(
            a.path, named.get(a.path, a.metadata.instrument or ""), a.metadata.writing
        )
        for a in answers
        if isinstance(a, ImageRecord)
    }
    styles = decide_styles(seen.values(), metadata_format)
    changed: list[ImageRecord | Reject] = []
    for answer in answers:
        if isinstance(answer, ImageRecord) and answer.metadata.writing.unclear:
            style = styles[seen[answer.path].instrument]
            metadata = read_again(answer, style)
            written_as = describe_reading(answer.metadata.writing, metadata.writing, style)
            answer = replace(answer, metadata=metadata, written_as=written_as)
        changed.append(answer)
    return changed


def _inspect_all(
    inspect: Callable[[str], ImageRecord | Reject], paths: Sequence[str]
) -> list[ImageRecord | Reject]:
    with ThreadPoolExecutor(_WORKERS) as pool:
        answers = pool.map(inspect, paths)
        try:
            return list(show_progress(answers, "Reading images", total=len(paths), unit="image"))
        except BaseException:
            pool.shutdown(cancel_futures=True)  # so that Ctrl-C does not wait for the rest
            raise


def digest_pixels(picture: Picture) -> str:
    """Return a SHA-256 over size and 8-bit grey levels."""
    pixels = picture.pixels_8bit
    digest = hashlib.sha256(repr(pixels.shape).encode())
    digest.update(np.ascontiguousarray(pixels).reshape(-1).data)
    return digest.hexdigest()


def tabulate_frames(records: Iterable[ImageRecord], manifest: pd.DataFrame) -> pd.DataFrame:
    """Return the table of frames (``frames.parquet``) of the samples of a manifest.

    Parameters
    ----------
    records
        At least one for every path of the manifest.
    manifest
        Sample table: ``sample_id`` and ``path``, sorted by ``sample_id``.
    """
    found = {record.path: record for record in records}
    chosen = [found[path] for path in manifest["path"]]
    columns: dict[str, list[Any]] = {
        "sample_id": manifest["sample_id"].tolist(),
        "pixel_digest": [record.pixel_digest for record in chosen],
    }
    for name in FRAME_DTYPES:
        if name not in columns:
            columns[name] = [record.measured[name] for record in chosen]
    return validate_frames(pd.DataFrame(columns).astype(FRAME_DTYPES))


def _inspect_image(
    root: Path,
    path: str,
    max_pixels: int,
    expected_size_px: tuple[int, int] | None,
    stated_bar_px: int | None,
    measure: Measure,
    bit_depth: int | None = None,
) -> ImageRecord | Reject:
    file = root / path
    try:
        picture = read_picture(file, max_pixels=max_pixels, bit_depth=bit_depth)
        sha256 = digest_file(file)
        return _measure(path, picture, sha256, expected_size_px, stated_bar_px, measure)
    except PictureError as error:
        return Reject(path, error.reason, error.detail)
    except Exception as error:  # whatever it is, it costs this picture only
        return reject_unexpected(path, error)


def reject_unexpected(path: str, error: Exception) -> Reject:
    """Give a file up for an error that nobody thought of; its traceback goes to the log file."""
    note_traceback(error)
    words = " ".join(str(error).split())[:300]
    detail = (
        f"reading it ended in an unexpected {type(error).__name__} ({words}); the details are in "
        "the log. Copy or export the file again."
    )
    return Reject(path, "unreadable", detail)


def _measure(
    path: str,
    picture: Picture,
    sha256: str,
    expected_size_px: tuple[int, int] | None,
    stated_bar_px: int | None,
    measure: Measure,
) -> ImageRecord | Reject:
    height, width = picture.pixels.shape
    if expected_size_px is not None and (width, height) != tuple(expected_size_px):
        detail = (
            f"has {width} × {height} pixels, expected_size_px says "
            f"{expected_size_px[0]} × {expected_size_px[1]}; export it again in that size."
        )
        return Reject(path, "wrong_size", detail)
    if stated_bar_px is None:
        stated_bar_px = picture.metadata.data_bar_px
    return ImageRecord(
        path=path,
        sha256=sha256,
        pixel_digest=digest_pixels(picture),
        width_px=width,
        height_px=height,
        bit_depth=picture.bit_depth,
        n_pages=picture.n_pages,
        metadata=picture.metadata,
        measured=measure(picture.pixels_8bit, stated_bar_px),
        levels=None if picture.pixels.dtype == np.uint8 else picture.levels,
        curve=picture.curve,
    )
