"""Looks at a folder of pictures: every file once, with all that a plan needs."""

import re
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from batteryscope.audit.sessions import relate_sessions
from batteryscope.config.base import validate_settings
from batteryscope.config.dataset import DatasetSettings
from batteryscope.config.preprocess import CoatingCropSettings
from batteryscope.config.table_format import TableFormat
from batteryscope.errors import InputError
from batteryscope.manifest.build import build_manifest
from batteryscope.manifest.frames import get_thumbnails
from batteryscope.manifest.inspect import ImageRecord
from batteryscope.manifest.measure import measure_frame
from batteryscope.manifest.reading import PICTURES, Answers, inspect_pictures
from batteryscope.preprocess.coating_crop import cut_mosaic, locate_coating
from batteryscope.preprocess.quality import measure_local_sd
from batteryscope.preprocess.tile_batch import UnusablePictureError
from batteryscope.readers.picture import PictureError
from batteryscope.readers.registry import read_picture
from batteryscope.readers.scan import FolderScan, scan_images
from batteryscope.samples.coating import COATING
from batteryscope.samples.kind import Samples
from batteryscope.samples.sem import SEM
from batteryscope.splits.near_duplicates import find_overlaps, select_near_duplicates
from batteryscope.start.class_names import NamedClasses, understand_names
from batteryscope.start.find_tables import find_beside
from batteryscope.start.found_files import count_numbers, list_file_facts, warn_of_rejects
from batteryscope.start.particle_size import measure_particles, summarise_sizes
from batteryscope.start.seen import Seen, name_path, say_command

BLOCK_PX = 30  # as preprocess.block_px
MIN_SHARE = 0.95  # of the field of view, as split.near_duplicate_share
_STAGE_KEY = re.compile(
    r"(?:^|[^a-z])stage(?:[ _]?at)?[ _]?([xy])$|^\[?stage\]?[ ._/]*stage([xy])$", re.I
)
MOST_PICTURES = 10
FOIL_SHARE = 0.7  # of the pictures that are looked at
MAX_PIXELS = 200_000_000


def measure_coatings(folder: Path, manifest: pd.DataFrame) -> Mapping[str, Any]:
    """Look for foil and coating in some pictures, spread over all classes.

    Returns
    -------
    dict
        ``pictures`` that were looked at, ``with_foil``, and of these ``thickness_px`` (lowest and
        highest), ``height_px`` and ``width_px`` of the smallest usable rectangle, and
        ``piece_px``, the narrowest picture.
    """
    order = manifest.sort_values(["class", "path"])
    step = max(1, len(order) // MOST_PICTURES)
    paths = order["path"].iloc[::step][:MOST_PICTURES]
    smallest = CoatingCropSettings(crop_height_px=16, crop_width_px=16)
    found: list[tuple[float, int, int, int]] = []
    for path in paths:
        try:
            pixels = read_picture(folder / path, max_pixels=MAX_PIXELS).pixels_8bit
            left, right = cut_mosaic(pixels.shape[1], smallest.mosaic_width_px)[0]
            located = locate_coating(np.ascontiguousarray(pixels[:, left:right]), smallest)
        except (UnusablePictureError, PictureError):
            continue
        rectangle = located.rectangle
        found.append(
            (located.coating.thickness_px, rectangle.height, rectangle.width, right - left)
        )
    told: dict[str, Any] = {"pictures": len(paths), "with_foil": len(found)}
    if found:
        thickness, heights, widths, pieces = zip(*found, strict=True)
        told |= {
            "thickness_px": [round(min(thickness)), round(max(thickness))],
            "height_px": min(heights), "width_px": min(widths), "piece_px": min(pieces),
        }  # fmt: skip
    return told


def shows_coatings(found: Mapping[str, Any]) -> bool:
    """Whether most of the pictures that were looked at show a foil with coating."""
    return bool(found["with_foil"] >= FOIL_SHARE * found["pictures"] > 0)


@dataclass
class _Looks:
    """Keeps what was measured beyond the table of frames."""

    records: list[ImageRecord] = field(default_factory=list)
    cpu_seconds: float = 0.0

    def inspect(
        self, root: Path, paths: Sequence[str], labels: pd.DataFrame, settings: DatasetSettings
    ) -> tuple[Answers, pd.DataFrame]:
        before = time.process_time()
        answers, labels = inspect_pictures(root, paths, labels, settings, _measure)
        self.cpu_seconds = time.process_time() - before
        self.records = [answer for answer in answers if isinstance(answer, ImageRecord)]
        return answers, labels


def look_at_pictures(
    folder: Path, targets: Sequence[str] = (), written: TableFormat | None = None
) -> Seen:
    """Read every picture of a folder once.

    Parameters
    ----------
    folder
        Of the data set.
    targets
        Columns of a table beside the pictures that shall be predicted; without any, classes are.
    written
        How tables are written, where that cannot be told from them.

    Raises
    ------
    InputError
        There is no such folder, it holds no picture, or none can be used.
    """
    files = scan_images(folder)
    folders = {PurePosixPath(path).parent.as_posix() for path in files.images}
    names = understand_names(sorted(folders))
    beside = find_beside(folder, files, targets, names, written=written)
    dataset = {"path": name_path(folder)} | _say_labels(names) | beside.settings
    loose = [path for path in files.images if "/" not in path]
    if loose and not beside.settings and names.pattern is None and len(folders) == 1:
        raise InputError(
            f"{folder}: all {len(loose)} pictures lie directly in this folder, so nothing says "
            "which class they are of; put them into a folder for each class, or a table with the "
            "columns file and class (labels.csv) beside them."
        )
    looks = _Looks()
    settings = validate_settings(DatasetSettings, {"name": "seen"} | dataset, str(folder))
    reading = replace(PICTURES, inspect=looks.inspect)
    manifest, rejects, frames = build_manifest(files, settings, folder, reading=reading)
    pairs = find_overlaps(get_thumbnails(frames), frames["sample_id"].tolist())
    by_path = {record.path: record for record in looks.records}
    records = [by_path[path] for path in manifest["path"]]
    keys = ("particle_px", "local_sd", "data_bar_px")
    measured = pd.DataFrame({key: [r.measured[key] for r in records] for key in keys}, dtype=float)
    measured.insert(0, "sample_id", manifest["sample_id"].to_numpy())
    facts = _list_facts(files, manifest, rejects, frames, pairs, records, names)
    facts |= summarise_measured(measured)
    problems = [*beside.problems, *warn_of_rejects(files, manifest, rejects)]
    if "targets" in dataset:
        facts["coating"] = measure_coatings(folder, manifest)
    given = say_command("--images", [folder], targets, written=written)
    return Seen(
        folder, given, dataset, names, manifest, rejects, frames, pairs,
        facts | beside.facts,
        problems,
        looks.cpu_seconds / max(1, len(files.images)),
        measured,
    )  # fmt: skip


def tell_samples(seen: Seen) -> Samples:
    """Return what the pictures show: coatings in cross-section have a foil, and numbers to learn.

    A top view has no foil; a picture with a bright band may still be one, so that folders of
    classes count as top views.
    """
    targets = seen.dataset.get("targets", {})
    is_coating = "c_rates" in targets or (bool(targets) and shows_coatings(seen.facts["coating"]))
    return COATING if is_coating else SEM


def _measure(pixels: NDArray[np.uint8], stated_bar_px: int | None) -> dict[str, Any]:
    found = measure_frame(pixels, stated_bar_px)
    frame = pixels[: len(pixels) - found["data_bar_px"]]
    found["particle_px"] = measure_particles(frame)
    found["local_sd"] = measure_local_sd(np.ascontiguousarray(frame), BLOCK_PX)
    return found


def _say_labels(names: NamedClasses) -> dict[str, Any]:
    if names.pattern is None:
        return {}
    return {"labels": {"pattern": names.pattern, "columns": list(names.columns)}}


def _list_facts(
    files: FolderScan,
    manifest: pd.DataFrame,
    rejects: pd.DataFrame,
    frames: pd.DataFrame,
    pairs: pd.DataFrame,
    records: Sequence[ImageRecord],
    names: NamedClasses,
) -> dict[str, Any]:
    facts = list_file_facts(files, manifest, rejects, frames, names)
    facts["grey_levels"]["mean_by_class"] = _by_class(manifest, frames)
    return facts | {
        "formats": dict(Counter(PurePosixPath(p).suffix.lower() for p in manifest["path"])),
        "sizes_px": dict(Counter(f"{r.width_px}x{r.height_px}" for r in records)),
        "bit_depths": dict(Counter(str(r.bit_depth) for r in records)),
        "magnifications": count_numbers(manifest["magnification"]),
        "voltages_kv": count_numbers(manifest["voltage_kv"]),
        "sessions": describe_sessions(manifest),
        "near_duplicates": len(select_near_duplicates(pairs, MIN_SHARE)),
        "overlaps": len(pairs),
        "places_twice": _count_places(records),
    }


def summarise_measured(measured: pd.DataFrame) -> dict[str, Any]:
    """Return size of particles, data bars and contrast, for the fingerprint and for a plan.

    Parameters
    ----------
    measured
        A row for each picture; see :attr:`Seen.measured`.
    """
    middle, low, high = summarise_sizes(measured["particle_px"].tolist())
    bars = Counter(measured["data_bar_px"].astype(int).tolist())
    return {
        "data_bars_px": {str(height): n for height, n in bars.most_common()},
        "local_sd": {"lowest_tenth": round(float(measured["local_sd"].quantile(0.1)), 1)},
        "particle_px": None if np.isnan(middle) else {
            "median": round(middle, 1), "quartiles": [round(low, 1), round(high, 1)],
        },
    }  # fmt: skip


def describe_sessions(manifest: pd.DataFrame) -> dict[str, Any]:
    """Say when the pictures were taken, with the longest break, and how classes and days go."""
    relation = relate_sessions(manifest)
    times = manifest["acquired_at"].dropna().sort_values()
    told: dict[str, Any] = {
        "told_by": relation.by, "count": relation.n_sessions, "and_classes": relation.relation,
        "with_time": len(times),
    }  # fmt: skip
    if len(times):
        gaps = times.diff().dropna()
        longest = gaps.max() if len(gaps) else pd.Timedelta(0)
        told |= {
            "first": times.iloc[0].isoformat(sep=" ", timespec="minutes"),
            "last": times.iloc[-1].isoformat(sep=" ", timespec="minutes"),
            "longest_gap_hours": round(longest.total_seconds() / 3600, 1),
        }
    return told


def _by_class(manifest: pd.DataFrame, frames: pd.DataFrame) -> dict[str, float]:
    means = frames.set_index("sample_id")["mean"].loc[manifest["sample_id"]].to_numpy()
    grouped = pd.Series(means).groupby(manifest["class"].to_numpy()).median()
    return {str(name): round(float(value), 1) for name, value in grouped.items()}


def _count_places(records: Sequence[ImageRecord]) -> dict[str, int] | None:
    """Count how many pictures state where the stage stood, and how often it stood there before."""
    places = [place for record in records if (place := _find_place(record.metadata.original))]
    if not places:
        return None
    return {"stated": len(places), "again": len(places) - len(set(places))}


def _find_place(original: Mapping[str, str]) -> tuple[str, ...] | None:
    found = {}
    for key, text in original.items():
        if match := _STAGE_KEY.search(key.strip()):
            found[(match[1] or match[2]).lower()] = text.strip()
    return (found["x"], found["y"]) if {"x", "y"} <= found.keys() else None
