"""Write the table of gas diffusion layers: how each was made, and its geometric tortuosity."""

import csv
import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import Future, as_completed
from pathlib import Path
from typing import NamedTuple, TextIO

from batteryscope.config.json_text import as_json
from batteryscope.config.table_data import GdlGenerator
from batteryscope.core.forked_calls import open_pool
from batteryscope.core.progress import log, show_progress
from batteryscope.demo.gdl_parameters import GdlParameters, sample_parameters
from batteryscope.demo.gdl_structure import (
    PORE,
    add_binder,
    compress,
    draw_fibres,
    measure_orientation_tensor,
)
from batteryscope.demo.tortuosity import measure_geometric_tortuosity
from batteryscope.errors import InputError
from batteryscope.seeds import derive_rng, derive_seed

TABLE_NAME = "gas_diffusion_layers.csv"
# Counts up with every change of the generator that changes its numbers.
GENERATOR_VERSION = 1
COLUMNS = (
    "domain",
    "fibre_diameter_um",
    "fibre_concentration_vol_percent",
    "binder_concentration_vol_percent",
    "thickness_um",
    "compression_factor",
    "geometric_tortuosity",
    "porosity",
    "voxel_size_um",
    "orientation_xx",
    "orientation_yy",
    "orientation_zz",
)
Row = dict[str, str | float]


class GdlJob(NamedTuple):
    """One sample to simulate; equal jobs give equal rows."""

    domain: str
    number: int
    parameters: GdlParameters
    size_um: tuple[float, float]
    voxel_size_um: float
    seed: int


def simulate_sample(
    parameters: GdlParameters, size_um: tuple[float, float], voxel_size_um: float, seed: int
) -> Row:
    """Draw one gas diffusion layer and measure it.

    Parameters
    ----------
    size_um
        Length and width of the volume.

    Returns
    -------
    dict
        All ``COLUMNS`` but the domain; the porosity is that after compression.

    Raises
    ------
    InputError
        If the volume holds no voxel, or the pores do not connect its two faces.
    """
    length, width = (round(side / voxel_size_um) for side in size_um)
    shape = (length, width, round(parameters.thickness_um / voxel_size_um))
    diameter = parameters.fibre_diameter_um
    fibre, binder = parameters[1:3]
    rng = derive_rng(seed, "fibres")
    structure, directions = draw_fibres(shape, diameter, fibre, voxel_size_um, rng)
    structure = add_binder(structure, binder, diameter, voxel_size_um)
    structure = compress(structure, parameters.compression_factor)
    pore = structure == PORE
    orientation = measure_orientation_tensor(directions).diagonal()
    return {
        **parameters._asdict(),
        "geometric_tortuosity": round(measure_geometric_tortuosity(pore, voxel_size_um), 6),
        "porosity": round(float(pore.mean()), 6),
        "voxel_size_um": voxel_size_um,
        **{
            f"orientation_{axis}": round(float(value), 6)
            for axis, value in zip(("xx", "yy", "zz"), orientation, strict=True)
        },
    }


def list_jobs(settings: GdlGenerator) -> list[GdlJob]:
    """List all samples of the table in its order, each with a seed of its own."""
    return [
        GdlJob(
            domain,
            number,
            parameters,
            settings.size_um[domain],
            settings.voxel_size_um,
            derive_seed(settings.seed, "gdl", domain, number),
        )
        for domain, n in settings.rows.items()
        for number, parameters in enumerate(sample_parameters(domain, n, settings.seed))
    ]


def write_gdl_table(settings: GdlGenerator, folder: Path, workers: int) -> Path:
    """Write ``gas_diffusion_layers.csv``; equal settings give equal bytes.

    Finished samples are noted beside the folder at once, so that a run that was killed goes on
    where it was. A note counts only for a sample with the same parameters, size, voxel size
    and seed.

    Parameters
    ----------
    folder
        Created if needed; an older table in it is replaced.
    workers
        Processes; each holds one sample in memory.

    Returns
    -------
    Path
        The table.

    Raises
    ------
    ConfigError
        If ``rows`` names an unknown domain.
    InputError
        If a sample cannot be drawn or does not let gas through.
    """
    jobs = list_jobs(settings)
    folder.mkdir(parents=True, exist_ok=True)
    notes = find_notes(folder)
    wanted = {identify_job(job) for job in jobs}
    rows = {key: row for key, row in _read_notes(notes).items() if key in wanted}
    waiting = [job for job in jobs if identify_job(job) not in rows]
    if rows:
        log.info("%d of %d samples are finished from an earlier run.", len(rows), len(jobs))
    with notes.open("w", encoding="utf-8", newline="\n") as stream:  # drops notes of other settings
        for key, row in rows.items():
            _write_note(stream, key, row)
        done = _simulate_all(waiting, workers)
        for job, row in show_progress(done, "Simulating layers", len(waiting), "layer"):
            rows[identify_job(job)] = row
            _write_note(stream, identify_job(job), row)
    table = folder / TABLE_NAME
    partial = table.with_suffix(".partial")
    with partial.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows({"domain": job.domain, **rows[identify_job(job)]} for job in jobs)
    partial.replace(table)
    notes.unlink()
    return table


def find_notes(folder: Path) -> Path:
    """Return the file that keeps finished samples until the table in ``folder`` is complete."""
    return folder.with_name(f".{folder.name}.samples.jsonl")


def identify_job(job: GdlJob) -> str:
    """Return a hash of all that a sample's row depends on."""
    text = f"{GENERATOR_VERSION} {json.dumps(job)}"
    return hashlib.sha256(text.encode()).hexdigest()


def _simulate_job(job: GdlJob) -> Row:
    try:
        return simulate_sample(job.parameters, job.size_um, job.voxel_size_um, job.seed)
    except InputError as error:
        raise InputError(
            f"Sample {job.number + 1} of {job.domain}: {error} In a table, enlarge size_um or "
            "choose a smaller voxel_size_um; small volumes are easily blocked."
        ) from error


def _simulate_all(jobs: list[GdlJob], workers: int) -> Iterator[tuple[GdlJob, Row]]:
    """Simulate samples in several processes; they come as they get ready."""
    workers = min(workers, len(jobs))
    if workers <= 1:
        yield from ((job, _simulate_job(job)) for job in jobs)
        return
    # A tiny sample compiles the numba functions once; the processes find them in the cache.
    simulate_sample(GdlParameters(8, 10, 5, 40, 0.2), (40, 40), 4, seed=0)
    pool = open_pool(workers)
    try:
        futures: dict[Future[Row], GdlJob] = {pool.submit(_simulate_job, job): job for job in jobs}
        for future in as_completed(futures):
            yield futures[future], future.result()
    finally:  # after an error or Ctrl-C, too: nothing more is started
        pool.shutdown(cancel_futures=True)


def _read_notes(path: Path) -> dict[str, Row]:
    """Read finished samples; the last line may be torn if the run was killed while writing."""
    rows = {}
    if path.is_file():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                note = json.loads(line)
                rows[note["key"]] = note["row"]
            except (ValueError, KeyError, TypeError):
                continue
    return rows


def _write_note(stream: TextIO, key: str, row: Row) -> None:
    print(as_json({"key": key, "row": row}), file=stream, flush=True)
