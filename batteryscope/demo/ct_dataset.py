"""Writes generated scans of cells: multi-page TIFF files and folders of slices in turn."""

from collections.abc import Iterable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tifffile
from numpy.typing import NDArray

from batteryscope.config.picture_generators import CtCellGenerator
from batteryscope.core.forked_calls import open_pool
from batteryscope.core.progress import show_progress
from batteryscope.demo.ct_parameters import State, draw_cell, find_remaining_capacity
from batteryscope.demo.ct_scan import draw_rings, render_slice
from batteryscope.demo.quantities_table import write_quantities
from batteryscope.seeds import derive_rng

CELL_DIAMETER_UM = 18_350.0
FIRST_SLICE = 200  # as if exported from the middle of a longer scan


class CellJob(NamedTuple):
    """One cell to scan."""

    state: State
    number: int


def list_cells(settings: CtCellGenerator) -> list[CellJob]:
    """List all cells, state after state."""
    return [CellJob(s, n) for s in settings.states for n in range(settings.cells_per_state)]


def render_scan(settings: CtCellGenerator, job: CellJob) -> tuple[NDArray[np.uint16], float]:
    """Render all slices of a cell.

    Returns
    -------
    scan, voxel_size_um
        (slices, size_px, size_px), and the edge of a voxel.
    """
    cell = draw_cell(job.state, derive_rng(settings.seed, "cell", *job))
    rings = draw_rings(cell, settings.size_px, derive_rng(settings.seed, "rings", *job))
    rng = derive_rng(settings.seed, "noise", *job)
    heights = np.linspace(0, 1, settings.slices)
    scan = np.stack([render_slice(cell, float(z), settings.size_px, rng, rings) for z in heights])
    return scan, CELL_DIAMETER_UM / (2 * cell.radius * settings.size_px)


def name_scan(job: CellJob) -> str:
    """Return the place of a scan: even numbers are one file, odd ones a folder."""
    ending = ".tif" if job.number % 2 == 0 else ""
    return f"{job.state}/{job.state}_{job.number + 1:02d}{ending}"


def write_scan(settings: CtCellGenerator, root: Path, job: CellJob) -> None:
    """Generate one scan and write it below ``root``."""
    scan, voxel_um = render_scan(settings, job)
    place = root / name_scan(job)
    place.parent.mkdir(exist_ok=True)
    per_um = (1 / voxel_um, 1 / voxel_um)
    if job.number % 2 == 0:
        description = {"axes": "ZYX", "unit": "um", "spacing": voxel_um}
        tifffile.imwrite(place, scan, imagej=True, resolution=per_um, metadata=description)
        return
    place.mkdir()
    for z, pixels in enumerate(scan):
        tifffile.imwrite(
            place / f"slice_{FIRST_SLICE + z}.tif",
            pixels,
            imagej=True,
            resolution=per_um,
            metadata={"unit": "um"},
        )


def write_scans(settings: CtCellGenerator, root: Path, workers: int) -> int:
    """Write all scans in several processes; the files do not depend on their number."""
    jobs = list_cells(settings)
    write = partial(write_scan, settings, root)
    with ExitStack() as stack:
        done: Iterable[None] = map(write, jobs)
        if workers > 1:
            pool = open_pool(workers)
            done = stack.enter_context(pool).map(write, jobs)
        for _ in show_progress(done, "Generating scans", len(jobs), "scan"):
            pass
    cells = [draw_cell(job.state, derive_rng(settings.seed, "cell", *job)) for job in jobs]
    rows = [
        (name_scan(job), {"remaining_capacity_percent": find_remaining_capacity(cell)})
        for job, cell in zip(jobs, cells, strict=True)
    ]
    write_quantities(root, rows)
    return len(jobs) * settings.slices
