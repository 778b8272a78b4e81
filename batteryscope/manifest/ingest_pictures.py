"""Read a data set of pictures: from its folder to the sample table."""

import gc
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from batteryscope.config.dataset import DatasetSettings
from batteryscope.config.json_text import read_settings
from batteryscope.config.physics import HalfCellSettings
from batteryscope.core.plural import count_of
from batteryscope.manifest.build import build_manifest
from batteryscope.manifest.computed_targets import HalfCellLaw
from batteryscope.manifest.cycling import find_cycling
from batteryscope.manifest.grey_scale import summarise_grey_scales
from batteryscope.manifest.image_cache import ImageCache
from batteryscope.manifest.ingested import Ingested
from batteryscope.manifest.reading import PICTURES, Reading, inspect_pictures
from batteryscope.manifest.schema import NOTED_REASONS, ORIGIN_COLUMNS
from batteryscope.manifest.targets import list_target_columns
from batteryscope.manifest.writing_style import summarise_writing
from batteryscope.provenance import digest_json
from batteryscope.readers.scan import FolderScan, scan_images
from batteryscope.readers.table_decisions import TableDecisions, collect_decisions, simplify_signs
from batteryscope.samples.choose import samples_of

log = logging.getLogger("batteryscope")

COMPUTED = "The capacities are computed by the half-cell model, not measured."


def hash_manifest(
    manifest: pd.DataFrame, label_columns: Sequence[str], quantities: Sequence[str] = ()
) -> str:
    """Return a digest of what the samples are: contents, labels, numbers to predict and origin.

    Neither the place of the data set nor the names of its files count, so that a moved
    or renamed copy is still the same data.
    """
    targets = list(dict.fromkeys([*list_target_columns(manifest), *quantities]))
    columns = ["sample_id", "sha256", *label_columns, "class", *ORIGIN_COLUMNS, *targets]
    table = manifest[list(dict.fromkeys(columns))].sort_values("sample_id").astype(object)
    table = table.where(table.notna(), None)
    return digest_json([list(table.columns), *table.to_numpy().tolist()])


def summarise_manifest(
    manifest: pd.DataFrame,
    rejects: pd.DataFrame,
    label_columns: Sequence[str],
    quantities: Sequence[str] = (),
) -> dict[str, Any]:
    """Count what is in a sample table and what was left out; plain JSON values.

    ``quantities`` are the columns that models predict, other than capacities.

    Returns
    -------
    dict
        ``manifest_hash``, ``images``, ``rejected``, ``label_columns``; counts per value in
        ``classes, rejects, notes, sizes, bit_depths, magnifications, voltages_kv, sessions,
        specimens, domains, instruments`` ("" counts what is not stated; notes are of files
        that are used all the same); ``grey_scales`` and ``metadata_styles``, what was decided by
        instrument (:func:`~batteryscope.manifest.grey_scale.summarise_grey_scales`,
        :func:`~batteryscope.manifest.writing_style.summarise_writing`); and
        ``first_acquired_at``, ``last_acquired_at`` (ISO, None if never stated).
    """
    sizes = manifest["width_px"].astype("str") + "x" + manifest["height_px"].astype("str")
    times = manifest["acquired_at"].dropna()
    is_note = rejects["reason"].isin(NOTED_REASONS)
    return {
        "manifest_hash": hash_manifest(manifest, label_columns, quantities),
        "images": len(manifest),
        "rejected": int((~is_note).sum()),
        "label_columns": list(label_columns),
        "classes": _count(manifest["class"]),
        "rejects": _count(rejects.loc[~is_note, "reason"]),
        "notes": _count(rejects.loc[is_note, "reason"]),
        "sizes": _count(sizes),
        "bit_depths": _count(manifest["bit_depth"]),
        "grey_scales": summarise_grey_scales(manifest),
        "metadata_styles": summarise_writing(manifest),
        "magnifications": _count(manifest["magnification"]),
        "voltages_kv": _count(manifest["voltage_kv"]),
        "sessions": _count(manifest["session_id"]),
        "specimens": _count(manifest["specimen_id"]),
        "domains": _count(manifest["domain"]),
        "instruments": _count(manifest["instrument"]),
        "first_acquired_at": times.min().isoformat() if len(times) else None,
        "last_acquired_at": times.max().isoformat() if len(times) else None,
    }


def _count(values: pd.Series) -> dict[str, int]:
    """Count values in their own order; the missing ones come last under ""."""
    present = values.dropna()
    counts = Counter(present.tolist())
    named = {
        f"{value:g}" if isinstance(value, float) else str(value): counts[value]
        for value in sorted(counts)
    }
    missing = len(values) - len(present)
    return named | ({"": named.get("", 0) + missing} if missing else {})


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
