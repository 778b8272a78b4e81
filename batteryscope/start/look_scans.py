"""Looks at a folder of CT scans."""

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from batteryscope.config.base import validate_settings
from batteryscope.config.dataset import DatasetSettings
from batteryscope.config.table_format import TableFormat
from batteryscope.manifest.build import build_manifest
from batteryscope.manifest.frames import get_thumbnails
from batteryscope.manifest.ingest_scans import SCANS
from batteryscope.readers.picture import PictureError
from batteryscope.readers.volumes import find_volumes, open_volume
from batteryscope.splits.slices import pair_slices
from batteryscope.start.class_names import understand_names
from batteryscope.start.find_tables import find_beside
from batteryscope.start.found_files import list_file_facts, warn_of_rejects
from batteryscope.start.seen import Problem, Seen, name_path, say_command

FEWEST_SLICES = 10  # of the shortest scan
MUCH_LONGER = 2
MOST_SLICES = 40  # of a scan: neighbours are nearly the same picture


def look_at_scans(
    folder: Path, targets: Sequence[str] = (), written: TableFormat | None = None
) -> Seen:
    """Read some slices of every scan.

    Parameters
    ----------
    folder
        Of the data set.
    targets
        Columns of a table beside the scans that shall be predicted.
    written
        How tables are written, where that cannot be told from them.

    Raises
    ------
    InputError
        There is no such folder, it holds no scan, or none can be used.
    """
    files = find_volumes(folder)
    names = understand_names(list(files.images), whole_paths=True)
    counts = _count_slices(folder, files.images)
    longest, shortest = (pick(counts.values(), default=1) for pick in (max, min))
    # A long scan is thinned out, but so little that a short one keeps some slices.
    step = max(1, min(-(-longest // MOST_SLICES), shortest // FEWEST_SLICES))
    beside = find_beside(folder, files, targets, names, True, written)
    dataset: dict[str, Any] = {"path": name_path(folder), "volumes": {"first": 0, "step": step}}
    problems = list(beside.problems)
    if longest > MUCH_LONGER * shortest:
        problems.append(
            Problem(
                f"Scans have {shortest} to {longest} slices, of which one in {step} is taken: long "
                "ones count more. Choose a part that all have (dataset.volumes: first, last)."
            )
        )
    if names.pattern is not None:
        dataset["labels"] = {"pattern": names.pattern, "columns": list(names.columns)}
    elif not beside.settings:
        dataset["labels"] = {"pattern": "^(?P<state>.*)$", "columns": ["state"]}
        problems.append(
            Problem(
                "No folder names the state of a scan; put the scans into a folder for each state, "
                "such as pristine/cell_01.tif.",
                prevents=True,
            )
        )
    settings = validate_settings(
        DatasetSettings, {"name": "seen"} | dataset | beside.settings, str(folder)
    )
    before = time.process_time()
    manifest, rejects, frames = build_manifest(files, settings, folder, reading=SCANS)
    problems += warn_of_rejects(files, manifest, rejects)
    seconds = (time.process_time() - before) / max(1, len(manifest))
    per_scan = np.array(list(counts.values()) or [0])
    sizes = manifest["width_px"].astype(str) + "x" + manifest["height_px"].astype(str)
    looked = "all are looked at" if step == 1 else f"one in {step} is looked at"
    low, high = int(per_scan.min()), int(per_scan.max())
    facts = list_file_facts(files, manifest, rejects, frames, names) | {
        "formats": dict(Counter(Path(p).suffix.lower() or "folder" for p in files.images)),
        "slices": f"{low if low == high else f'{low} to {high}'}; {looked} ({len(manifest)})",
        "sizes_px": dict(Counter(sizes)),
        "bit_depths": dict(Counter(manifest["bit_depth"].astype(str))),
    }
    thumbnails = dict(zip(frames["sample_id"], get_thumbnails(frames), strict=True))
    given = say_command("--scans", [folder], targets, written=written)
    return Seen(
        folder, given, dataset | beside.settings, names, manifest, rejects, frames,
        pair_slices(manifest, thumbnails), facts | beside.facts, problems, seconds,
    )  # fmt: skip


def _count_slices(folder: Path, paths: Sequence[str]) -> dict[str, int]:
    counts = {}
    for path in paths:
        try:
            counts[path] = int(open_volume(folder / path).shape[0])
        except PictureError:
            continue  # reading it will say what is wrong
    return counts
