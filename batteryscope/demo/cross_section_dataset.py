"""Write generated cross-sections: pictures by electrode, phase maps, and measured capacities."""

import os
from collections.abc import Iterable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from PIL import Image

from batteryscope.config.physics import HalfCellSettings
from batteryscope.config.picture_generators import CrossSectionGenerator
from batteryscope.core.forked_calls import open_pool
from batteryscope.core.progress import show_progress
from batteryscope.demo.quantities_table import write_quantities
from batteryscope.errors import InputError
from batteryscope.readers.mask import GENERATED_PHASES
from batteryscope.seeds import derive_rng, derive_seed

# Hidden, so that reading the data set does not take phase maps for images.
CAPACITY_TABLE = "capacities.csv"
# What electrodes may differ in: in words, and a number whose multiples spread the electrodes of a
# porosity; different irrational ones, so that what varies is independent.
VARIED = {
    "particle_radius_um": ("particle radius", (5**0.5 - 1) / 2),
    "binder_gradient": ("binder gradient", 2**0.5 - 1),
    "lost_particles": ("lost particles", 3**0.5 - 1),
    "coating_thickness_um": ("coating thickness", (13**0.5 - 3) / 2),
}


class Electrode(NamedTuple):
    """One electrode: its folder, the porosity it was made for, and the one it has.

    What :data:`VARIED` names is None where all electrodes are alike in it.
    """

    name: str
    nominal: float
    porosity: float
    particle_radius_um: float | None = None
    binder_gradient: float | None = None
    lost_particles: float | None = None
    coating_thickness_um: float | None = None


class CrossSectionJob(NamedTuple):
    """One picture of an electrode."""

    electrode: Electrode
    number: int


def list_electrodes(settings: CrossSectionGenerator) -> list[Electrode]:
    """List all electrodes, the most porous first, for example ``p50_e1``."""
    electrodes = []
    for nominal in sorted(settings.porosities, reverse=True):
        for number in range(settings.electrodes_per_porosity):
            name = f"p{round(100 * nominal):02d}_e{settings.first_electrode + number}"
            rng = derive_rng(settings.seed, "electrode", name)
            porosity = nominal + settings.electrode_spread * rng.normal()
            own = {key: _choose(settings, key, nominal, number) for key in settings.varied}
            electrodes.append(Electrode(name, nominal, float(porosity), **own))
    return electrodes


def _choose(settings: CrossSectionGenerator, setting: str, nominal: float, number: int) -> float:
    """Return an electrode's own value between the limits of a setting of :data:`VARIED`."""
    name, step = VARIED[setting]
    low, high = settings.varied[setting]
    start = derive_rng(settings.seed, name, round(1000 * nominal)).uniform()
    place = float((start + step * number) % 1)
    if setting == "particle_radius_um":
        return low * (high / low) ** place
    return low + (high - low) * place


def write_cross_sections(
    settings: CrossSectionGenerator, root: Path, grid: Path | None, workers: int | None
) -> int:
    """Write pictures, phase maps and capacities below ``root``; return the number of pictures.

    What an electrode was made with stands in a hidden table beside them: porosity, and what
    :data:`VARIED` names.

    Raises
    ------
    InputError
        Without a table of simulated capacities.
    """
    if grid is None:
        raise InputError(
            "Cross-sections need simulated capacities for their labels; give --capacities, or "
            "name physics in the settings of the study."
        )
    electrodes = list_electrodes(settings)
    table = simulate_measurements(electrodes, settings, pd.read_csv(grid))
    table.to_csv(root / CAPACITY_TABLE, index=False, lineterminator="\n")
    jobs = [CrossSectionJob(e, n) for e in electrodes for n in range(settings.images_per_electrode)]
    write = partial(write_picture, settings, root)
    write(jobs[0])  # compiles the numba functions once; other processes find them in the cache
    processes = workers or min(os.cpu_count() or 1, len(jobs) // 8)
    with ExitStack() as stack:
        done: Iterable[None] = map(write, jobs[1:])
        if processes > 1:
            pool = open_pool(processes)
            done = stack.enter_context(pool).map(write, jobs[1:], chunksize=4)
        for _ in show_progress(done, "Generating cross-sections", len(jobs) - 1, "picture"):
            pass
    made = {e.name: describe_electrode(settings, e) for e in electrodes}
    write_quantities(root, [(name_picture(job), made[job.electrode.name]) for job in jobs])
    return len(jobs)


def name_picture(job: CrossSectionJob) -> str:
    """Return the path of a picture below the data set, for example ``p50_e1/001.png``."""
    return f"{job.electrode.name}/{job.number + 1:03d}.png"


def describe_electrode(settings: CrossSectionGenerator, electrode: Electrode) -> dict[str, float]:
    """Return what an electrode was made with: its porosity in percent, and what varies."""
    varied = {name: getattr(electrode, name) for name in settings.varied}
    return {"porosity_percent": 100 * electrode.porosity, **varied}


def write_picture(settings: CrossSectionGenerator, root: Path, job: CrossSectionJob) -> None:
    """Generate one cross-section and write it, and its phase map, as PNG."""
    from batteryscope.demo.cross_section import render_cross_section

    electrode, number = job
    rng = derive_rng(settings.seed, "place", electrode.name, number)
    section = render_cross_section(
        float(np.clip(electrode.porosity + settings.local_spread * rng.normal(), 0.12, 0.58)),
        derive_seed(settings.seed, "picture", electrode.name, number),
        width_px=settings.width_px,
        loading_factor=float(np.clip(1 + settings.loading_spread * rng.normal(), 0.8, 1.2)),
        particle_radius_um=electrode.particle_radius_um,
        binder_gradient=electrode.binder_gradient or 0.0,
        lost_particles=electrode.lost_particles or 0.0,
        coating_thickness_um=electrode.coating_thickness_um,
    )
    name = name_picture(job)
    for folder, pixels in ((root, section.pixels), (root / GENERATED_PHASES, section.phases)):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path, compress_level=1)


def simulate_measurements(
    electrodes: list[Electrode], settings: CrossSectionGenerator, grid: pd.DataFrame
) -> pd.DataFrame:
    """Return what a rate test of every electrode would give, in mAh/g and Ah/L.

    The half-cell model is averaged over the local porosities of an electrode; every
    measurement has an error of its own, the same in both units.
    """
    from batteryscope.physics.half_cell import smooth_local_porosity

    porosities = np.array([e.porosity for e in electrodes])
    varied = {name: np.array([getattr(e, name) for e in electrodes]) for name in settings.varied}
    simulated = smooth_local_porosity(grid, porosities, HalfCellSettings(), varied)
    rows = []
    for i, electrode in enumerate(electrodes):
        for (c_rate, unit), values in simulated.items():
            rng = derive_rng(settings.seed, "rate test", electrode.name, c_rate)
            capacity = values[i] * (1 + settings.capacity_error * rng.normal())
            written = "mAh/g" if unit == "Ah/kg" else unit
            rows.append((electrode.name, c_rate, round(float(capacity), 3), written))
    return pd.DataFrame(rows, columns=["electrode", "c_rate", "capacity", "unit"])


def describe_cross_sections(settings: CrossSectionGenerator) -> str:
    """Return the story of the README of a generated data set."""
    known = " and ".join(["porosity", *(VARIED[name][0] for name in settings.varied)])
    return (
        "They imitate light-microscopy cross-sections of NCM111 cathodes (0.123 um per pixel)\n"
        "that were densified to several porosities; after Deeg et al. (2024). One folder per\n"
        "electrode. capacities.csv holds what the half-cell model of PyBaMM gives for the\n"
        f"electrode's {known}, with an error of measurement; the hidden table .quantities.csv\n"
        "has these numbers themselves. The hidden folder .phases holds the true phase of every\n"
        "pixel. Good for trying out the pipeline; nothing about real electrodes follows from\n"
        "results on them.\n"
    )
