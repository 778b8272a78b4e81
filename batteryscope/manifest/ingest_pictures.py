"""Read a data set of pictures: from its folder to the sample table."""

import gc
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from batteryscope.config.dataset import DatasetSettings
from batteryscope.config.json_text import read_settings
from batteryscope.config.physics import HalfCellSettings
from batteryscope.core.counted import count_of
from batteryscope.manifest.build import build_manifest
from batteryscope.manifest.computed_targets import HalfCellLaw
from batteryscope.manifest.cycling import find_cycling
from batteryscope.manifest.image_cache import ImageCache
from batteryscope.manifest.ingested import Ingested
from batteryscope.manifest.reading import PICTURES, Reading, inspect_pictures
from batteryscope.manifest.schema import NOTED_REASONS
from batteryscope.manifest.summary import summarise_manifest
from batteryscope.readers.scan import FolderScan, scan_images
from batteryscope.readers.table_decisions import TableDecisions, collect_decisions, simplify_signs
from batteryscope.samples.choose import samples_of

log = logging.getLogger("batteryscope")

COMPUTED = "The capacities are computed by the half-cell model, not measured."


def ingest(
    settings: str,
    dataset: Path,
    simulated: Path | None,
    physics: str | None,
    cache: Path | None = None,
) -> Ingested:
    """Read all files of a folder by settings as JSON text or a file.

    Parameters
    ----------
    settings
        Of the data set.
    dataset
        Folder of the images.
    simulated, physics
        Capacities of the half-cell model (CSV), as labels, and the half cell that they describe.
    cache
        File that keeps what was read, so that the next ingest reads only pictures that changed.

    Raises
    ------
    InputError
        If too few samples are usable, or labels do not fit.
    """
    given = (scan_images, settings, dataset, simulated, physics)
    if cache is None:
        return read_dataset(PICTURES, *given)
    asked = read_settings(DatasetSettings, settings)
    sizes = {"max_pixels": asked.max_pixels, "expected_size_px": asked.expected_size_px}
    with ImageCache(cache, dataset, sizes) as kept, _without_collector():
        reading = replace(PICTURES, inspect=partial(inspect_pictures, cache=kept))
        found = read_dataset(reading, *given)
    if kept.n_taken:
        log.info("%s did not change and were not read again.", count_of(kept.n_taken, "picture"))
    return found


@contextmanager
def _without_collector() -> Iterator[None]:
    """Pause Python's search for cycles, which looks at all records again and again."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def read_dataset(
    reading: Reading,
    find_files: Callable[[Path], FolderScan],
    settings: str,
    dataset: Path,
    simulated: Path | None,
    physics: str | None,
) -> Ingested:
    """Read all files that ``find_files`` finds; the other parameters as of :func:`ingest`."""
    asked = read_settings(DatasetSettings, settings)
    files = find_files(dataset)
    law = None
    if simulated is not None and physics is not None:
        cell = read_settings(HalfCellSettings, physics)
        law = HalfCellLaw(pd.read_csv(simulated), cell)
    with collect_decisions() as decisions:
        manifest, rejects, frames = build_manifest(files, asked, dataset, law, reading)
    find_cycling(asked, manifest, dataset)  # refuses the user's if it does not fit
    summary = summarise_manifest(manifest, rejects, asked.labels.columns, asked.target_names)
    summary |= _name_decisions(decisions, dataset)
    is_note = rejects["reason"].isin(NOTED_REASONS)
    parts = {"rejects": rejects[~is_note], "notes": rejects[is_note]}
    told = (
        count_of(summary["images"], samples_of(asked).noun),
        count_of(len(summary["classes"]), "class", "classes"),
    )
    return Ingested(
        manifest,
        rejects,
        summary,
        {
            word: [f"{row.path}: {row.detail} ({row.reason})" for row in part.itertuples()]
            for word, part in parts.items()
        },
        [COMPUTED] if asked.computes_targets else [],
        f"{told[0]} in {told[1]}, {summary['rejected']} rejected",
        frames,
    )


def _name_decisions(decisions: TableDecisions, dataset: Path) -> dict[str, Any]:
    """Return what was decided about the tables beside the pictures, for the summary."""

    def name(place: str) -> str:
        path = Path(place)
        return path.relative_to(dataset).as_posix() if path.is_relative_to(dataset) else place

    signs = {name(place): simplify_signs(s) for place, s in decisions.decimal_signs.items()}
    orders = {name(place): order for place, order in decisions.date_orders.items()}
    found = {"decimal_signs": signs, "date_orders": orders}
    return {key: values for key, values in found.items() if values}
