"""Generated gas diffusion layers: volume fractions, directions, compression, and the table."""

import csv
import json

import numpy as np
import pytest

from batteryscope.config.table_data import GdlGenerator
from batteryscope.demo import gdl_dataset
from batteryscope.demo.gdl_dataset import (
    COLUMNS,
    find_notes,
    simulate_sample,
    write_gdl_table,
)
from batteryscope.demo.gdl_parameters import HIGHEST, LOWEST, GdlParameters, sample_parameters
from batteryscope.demo.gdl_structure import (
    BINDER,
    FIBRE,
    PORE,
    add_binder,
    compress,
    draw_directions,
    draw_fibres,
    measure_orientation_tensor,
)
from batteryscope.errors import ConfigError, InputError
from batteryscope.seeds import derive_rng

SHAPE = (40, 40, 40)
VOXEL_UM = 5.0
TYPICAL = GdlParameters(9, 17, 7, 300, 0.2)


def draw(fibre=20.0, binder=8.0, diameter=9.0, seed=0):
    structure, directions = draw_fibres(SHAPE, diameter, fibre, VOXEL_UM, derive_rng(seed))
    return add_binder(structure, binder, diameter, VOXEL_UM), directions


def share_percent(structure, material):
    return 100 * np.mean(structure == material)


@pytest.mark.parametrize("diameter", [6, 12])
@pytest.mark.parametrize(("fibre", "binder"), [(10, 5), (25, 10), (10, 10)])
def test_volume_fractions_are_as_asked(diameter, fibre, binder):
    structure, _ = draw(fibre, binder, diameter)
    assert structure.dtype == np.uint8
    assert structure.shape == SHAPE
    assert share_percent(structure, FIBRE) == pytest.approx(fibre, abs=1.5)
    assert share_percent(structure, BINDER) == pytest.approx(binder, abs=1.5)


def test_nothing_asked_nothing_drawn():
    structure, directions = draw(0, 5)
    assert (structure == PORE).all()
    assert directions.shape == (0, 3)


def test_fibres_fill_the_volume_evenly():
    stack = np.mean([draw(15, 0, seed=seed)[0] == FIBRE for seed in range(12)], axis=0)
    for axis in range(3):
        rest = tuple(other for other in range(3) if other != axis)
        parts = [part.mean() for part in np.array_split(stack.mean(axis=rest), 4)]
        assert max(parts) - min(parts) < 0.045


def test_fibres_have_their_cross_section():
    sections = []
    for seed in range(12):  # some fibres are cut by a face of the volume
        structure, directions = draw_fibres((160, 160, 80), 24, 1e-9, 1.0, derive_rng(seed))
        assert len(directions) == 1
        long = int(np.argmax(np.abs(directions[0])))
        cuts = np.count_nonzero(structure, axis=(1 - long, 2))
        # a cut across a fibre at an angle is larger by 1 / cosine
        sections.append(np.median(cuts) * abs(directions[0][long]))
    assert max(sections) == pytest.approx(np.pi * 12**2, rel=0.02)


def test_binder_sits_at_fibres():
    structure, _ = draw(15, 5)
    binder = np.argwhere(structure == BINDER)
    pores = np.argwhere(structure == PORE)

    def near_fibre(points):
        low, high = np.maximum(points - 1, 0), points + 2
        return np.mean(
            [
                (structure[tuple(map(slice, a, b))] == FIBRE).mean()
                for a, b in zip(low[:400], high[:400], strict=True)
            ]
        )

    assert near_fibre(binder) > 2 * near_fibre(pores)


def test_orientation_tensor_is_the_papers():
    directions = draw_directions(20_000, derive_rng(1))
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1)
    tensor = measure_orientation_tensor(directions)
    assert np.trace(tensor) == pytest.approx(1)
    np.testing.assert_allclose(tensor, np.diag([0.4966, 0.4966, 0.0068]), atol=0.01)
    assert tensor[2, 2] == pytest.approx(0.0068, abs=0.0005)


def test_orientation_tensor_of_known_directions():
    x, z = [1.0, 0, 0], [0, 0, 1.0]
    np.testing.assert_allclose(
        measure_orientation_tensor(np.array([x, x, x, z])), np.diag([0.75, 0, 0.25])
    )
    slanted = np.array([[np.sqrt(0.5), np.sqrt(0.5), 0]])
    np.testing.assert_allclose(
        measure_orientation_tensor(slanted), [[0.5, 0.5, 0], [0.5, 0.5, 0], [0, 0, 0]]
    )
    with pytest.raises(InputError, match="none"):
        measure_orientation_tensor(np.empty((0, 3)))


@pytest.mark.parametrize("factor", [0.0, 0.25, 0.5])
def test_compression_takes_thickness_and_keeps_solid(factor):
    structure, _ = draw(25, 10)
    pressed = compress(structure, factor)
    assert pressed.shape == (*SHAPE[:2], round(SHAPE[2] * (1 - factor)))
    for material in (FIBRE, BINDER):
        assert np.count_nonzero(pressed == material) == np.count_nonzero(structure == material)


def test_compression_moves_planes_together():
    structure = np.zeros((1, 1, 10), np.uint8)
    structure[0, 0, [0, 1, 4, 8, 9]] = [FIBRE, BINDER, FIBRE, FIBRE, BINDER]
    # half the height: planes 0, 0, 2, 4, 4; solid on solid fills all five in the old order
    assert compress(structure, 0.5).ravel().tolist() == [1, 2, 1, 1, 2]
    # 8 of 10: planes 0, 0, 3, 6, 7; the second rests on the first
    assert compress(structure, 0.2).ravel().tolist() == [1, 2, 0, 1, 0, 0, 1, 2]


def test_compression_moves_a_surplus_aside():
    structure = np.zeros((3, 3, 8), np.uint8)
    structure[1, 1] = FIBRE
    pressed = compress(structure, 0.5)
    assert np.count_nonzero(pressed) == 8
    assert (pressed[1, 1] == FIBRE).all()


@pytest.mark.parametrize("factor", [-0.1, 1.0])
def test_impossible_compression_factor(factor):
    with pytest.raises(InputError, match="compression_factor"):
        compress(np.zeros((2, 2, 4), np.uint8), factor)


def test_solid_that_does_not_fit():
    with pytest.raises(InputError, match=r"less room than the solid needs \(100\.0 %"):
        compress(np.ones((2, 2, 4), np.uint8), 0.5)


def test_empty_volume_is_an_input_error():
    with pytest.raises(InputError, match="smaller voxel_size_um"):
        draw_fibres((0, 4, 4), 9, 10, 5.0, derive_rng(0))


def test_equal_seeds_give_equal_samples():
    first, again, other = (simulate_sample(TYPICAL, (200, 100), 5.0, seed) for seed in (1, 1, 2))
    assert first == again
    assert first["geometric_tortuosity"] != other["geometric_tortuosity"]


def test_sample_is_plausible_and_tortuosity_grows_with_fibre():
    rows = [
        simulate_sample(TYPICAL._replace(fibre_concentration_vol_percent=c), (400, 100), 4.0, 7)
        for c in (10, 16, 22)
    ]
    tortuosities = [row["geometric_tortuosity"] for row in rows]
    assert min(tortuosities) > 1.0
    assert max(tortuosities) < 1.3
    assert tortuosities == sorted(tortuosities)
    # (10 + 7) % of solid in 0.8 of the thickness
    assert rows[0]["porosity"] == pytest.approx(1 - 0.17 / 0.8, abs=0.015)
    assert rows[0]["orientation_zz"] == pytest.approx(0.0068, abs=0.004)


@pytest.mark.parametrize("domain", ["gdl200", "gdl1000"])
def test_parameters_lie_in_the_papers_ranges(domain):
    drawn = np.array(sample_parameters(domain, 300, seed=1))
    assert (drawn >= LOWEST).all()
    assert (drawn <= HIGHEST).all()
    shares = (drawn - LOWEST) / (np.array(HIGHEST) - LOWEST)
    assert (shares.min(axis=0) < 0.3).all()
    assert (shares.max(axis=0) > 0.7).all()
    uniform_sd = np.sqrt(1 / 12)
    if domain == "gdl200":
        np.testing.assert_allclose(shares.mean(axis=0), 0.5, atol=0.05)
        np.testing.assert_allclose(shares.std(axis=0), uniform_sd, atol=0.025)
    else:  # narrower, thinner fibres, more of them
        assert (shares.std(axis=0) < 0.9 * uniform_sd).all()
        assert shares[:, 0].mean() < 0.4
        assert shares[:, 1].mean() > 0.6


def test_parameters_of_the_first_samples_stay():
    assert sample_parameters("gdl200", 5, 1) == sample_parameters("gdl200", 9, 1)[:5]
    assert sample_parameters("gdl200", 5, 1) != sample_parameters("gdl200", 5, 2)


def test_unknown_domain():
    with pytest.raises(ConfigError, match=r"'gdl500' is no domain .* choose from gdl200, gdl1000"):
        sample_parameters("gdl500", 3, 1)


def settings(**changes):
    sizes = {"gdl200": (160, 80), "gdl1000": (110, 110)}
    values = {"rows": {"gdl200": 4, "gdl1000": 2}, "size_um": sizes, "voxel_size_um": 5.0}
    return GdlGenerator.model_validate({"kind": "gdl"} | values | changes)


def test_table_has_all_samples(tmp_path):
    table = write_gdl_table(settings(), tmp_path / "gdl", workers=1)
    with table.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert table.name == "gas_diffusion_layers.csv"
    assert tuple(rows[0]) == COLUMNS
    assert [row["domain"] for row in rows] == ["gdl200"] * 4 + ["gdl1000"] * 2
    assert [float(row["thickness_um"]) for row in rows[:4]] == [
        parameters.thickness_um for parameters in sample_parameters("gdl200", 4, 1)
    ]
    assert not find_notes(tmp_path / "gdl").exists()


class KilledError(Exception):
    pass


def fail_after(monkeypatch, n):
    """Let the generator die after ``n`` samples; returns the list of what it simulated."""
    simulated = []

    def simulate(*arguments):
        if len(simulated) == n:
            raise KilledError
        simulated.append(arguments)
        return simulate_sample(*arguments)

    monkeypatch.setattr(gdl_dataset, "simulate_sample", simulate)
    return simulated


def test_interrupted_run_goes_on_and_gives_the_same_table(tmp_path, monkeypatch):
    expected = write_gdl_table(settings(), tmp_path / "whole", workers=1).read_bytes()
    folder = tmp_path / "gdl"
    fail_after(monkeypatch, 3)
    with pytest.raises(KilledError):
        write_gdl_table(settings(), folder, workers=1)
    notes = find_notes(folder)
    assert len(notes.read_text().splitlines()) == 3
    assert not (folder / "gas_diffusion_layers.csv").exists()
    with notes.open("a") as stream:
        stream.write('{"key": "torn off in the mid')
    simulated = fail_after(monkeypatch, 99)
    table = write_gdl_table(settings(), folder, workers=1)
    assert len(simulated) == 3
    assert table.read_bytes() == expected


@pytest.mark.parametrize(
    "change", [{"seed": 2}, {"voxel_size_um": 5.5}, {"size_um": {"gdl200": [150, 80]}}]
)
def test_changed_settings_start_anew(tmp_path, monkeypatch, change):
    small = {"rows": {"gdl200": 2}}
    fail_after(monkeypatch, 1)
    with pytest.raises(KilledError):
        write_gdl_table(settings(**small), tmp_path / "gdl", workers=1)
    simulated = fail_after(monkeypatch, 99)
    write_gdl_table(settings(**(small | change)), tmp_path / "gdl", workers=1)
    assert len(simulated) == 2


def test_notes_name_the_sample_by_all_it_depends_on():
    job = gdl_dataset.list_jobs(settings())[0]
    others = [
        job._replace(parameters=job.parameters._replace(thickness_um=300.0)),
        job._replace(voxel_size_um=4.0),
        job._replace(size_um=(160.0, 81.0)),
        job._replace(seed=job.seed + 1),
    ]
    keys = {gdl_dataset.identify_job(one) for one in (job, *others)}
    assert len(keys) == 5
    assert json.loads(json.dumps(job))[2] == list(job.parameters)


def test_a_sample_without_a_way_is_named(tmp_path):
    blocked = settings(rows={"gdl200": 4}, size_um={"gdl200": [20, 20]}, voxel_size_um=20.0)
    with pytest.raises(InputError, match=r"Sample \d of gdl200: No pore .* enlarge size_um"):
        write_gdl_table(blocked, tmp_path / "gdl", workers=1)


def test_several_processes_give_the_same_table(tmp_path):
    small = settings(rows={"gdl200": 3})
    alone = write_gdl_table(small, tmp_path / "alone", workers=1)
    together = write_gdl_table(small, tmp_path / "together", workers=2)
    assert together.read_bytes() == alone.read_bytes()
