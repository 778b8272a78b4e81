"""Folders and tables that a careless plan would get wrong without a word."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from batteryscope.config.table_format import TableFormat
from batteryscope.errors import InputError
from batteryscope.start.choices import Choice
from batteryscope.start.fingerprint import write_table
from batteryscope.start.look import look_at
from batteryscope.start.look_rows import look_at_rows
from batteryscope.start.look_scans import look_at_scans
from batteryscope.start.machine import Machine
from batteryscope.start.plan_coating import plan_study as plan_coating
from batteryscope.start.plan_rows import plan_study as plan_rows
from batteryscope.start.start import plan_from
from tests.conftest import ROOT

LAPTOP = Machine(2, timed=False)


def plan(folder: Path, file: str = "mine.yaml", **options: object) -> tuple[str, list[str]]:
    seen, samples = look_at(images=folder, **options)  # type: ignore[arg-type]
    started = plan_from(seen, samples, "mine", LAPTOP, ROOT, Path(file))
    return started.overlay or "", [problem.text for problem in started.problems]


def draw_blocks(edge_px: int, shape: tuple[int, int], seed: int) -> np.ndarray:
    """Draw a pattern of random blocks."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 255, (shape[0] // edge_px + 1, shape[1] // edge_px + 1))
    return np.kron(coarse, np.ones((edge_px, edge_px)))[: shape[0], : shape[1]].astype(np.uint8)


def write_pictures(root: Path, magnifications: dict[int, int], shape: tuple[int, int]) -> Path:
    """Write two classes of pictures, so many of each magnification, which scales the blocks."""
    rows = ["file,state,magnification,pixel_size_um"]
    root.mkdir(parents=True, exist_ok=True)
    for magnification, count in magnifications.items():
        for i in range(count):
            name = f"{magnification}_{i}.png"
            frame = draw_blocks(max(2, magnification // 100), shape, 10 * magnification + i)
            Image.fromarray(frame).save(root / name)
            rows.append(f"{name},{'ab'[i % 2]},{magnification},{50 / magnification}")
    (root / "labels.csv").write_text("\n".join(rows))
    return root


# Pictures.
def test_sizes_are_those_of_the_pictures_that_are_used(tmp_path):
    folder = write_pictures(tmp_path, {400: 8, 1600: 4}, (160, 176))
    seen, samples = look_at(images=folder)
    assert seen.measured is not None
    started = plan_from(seen, samples, "mine", LAPTOP, ROOT, Path("mine.yaml"))
    assert started.overlay is not None, started.problems
    study = yaml.safe_load(started.overlay)["studies"]["mine"]
    assert study["dataset"]["where"] == {"magnification": 400}
    alone = look_at(images=write_pictures(tmp_path / "alone", {400: 8}, (160, 176)))[0]
    size = alone.facts["particle_px"]["median"]
    assert seen.facts["particle_px"]["median"] != size
    assert f"particles measure about {size:.0f} px" in started.overlay
    assert not any("pixel sizes" in problem.text for problem in started.problems)


def test_small_pictures_get_small_crops(tmp_path):
    overlay, problems = plan(write_pictures(tmp_path, {400: 8}, (48, 48)))
    if overlay:
        assert yaml.safe_load(overlay)["studies"]["mine"]["preprocess"]["crop_px"] <= 48
    assert not any("params.yaml" in text for text in problems)


def test_every_reject_is_counted_and_many_are_told(tmp_path):
    folder = write_pictures(tmp_path, {400: 10}, (64, 72))
    table = (folder / "labels.csv").read_text().replace("400_0.png,a", "400_0.png,")
    (folder / "labels.csv").write_text(table)
    (folder / "phone.heic").write_bytes(b"other")
    seen, _ = look_at(images=folder)
    assert seen.facts["rejected"] == {"missing_label": 1, "unsupported": 1}
    assert "not used" in write_table(seen)
    assert "1 of 10 files are not used: missing_label (1);" in seen.problems[-1].text


def test_the_head_names_the_file_as_it_is_found(tmp_path):
    overlay, _ = plan(write_pictures(tmp_path, {400: 8}, (64, 72)), "configs/my study.yaml")
    assert "snakemake --configfile 'configs/my study.yaml' -- mine" in overlay


def test_cross_sections_without_a_foil_are_refused(tmp_path):
    folder = write_pictures(tmp_path, {400: 8}, (64, 72))
    seen, _ = look_at(images=folder)
    object.__setattr__(seen, "facts", {"coating": {"pictures": 8, "with_foil": 0}})
    with pytest.raises(InputError, match=r"none of the 8 pictures .* shows a foil"):
        plan_coating(seen, LAPTOP, {})


# Rows.
def write_rows(path: Path, title: str, row: str, materials: tuple[str, ...]) -> Path:
    rng = np.random.default_rng(1)
    lines = [title]
    for i in range(60):
        values = {"m": materials[i % len(materials)], "o": "kl"[i // 2 % 2], "i": i}
        lines.append(row.format(**values, a=rng.uniform(50, 90), b=rng.uniform(1, 2), c=i % 7))
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_names_that_are_cleaned_alike_are_kept_apart(tmp_path):
    title = "material,Gap (um),gap (mm),밀도,두께,y"
    row = "{m},{a:.2f},{b:.3f},{c},{b:.2f},{a:.1f}"
    table = write_rows(tmp_path / "t.csv", title, row, ("NMC-811", "LFP", "NMC 811"))
    seen = look_at_rows([table], ["y"])
    assert list(seen.dataset["features"]) == ["gap", "gap_2", "column", "column_2"]
    assert seen.dataset["domains"]["nmc_811"] == {"material": {"values": ["NMC-811", "NMC 811"]}}
    assert seen.facts["materials"] == {"nmc_811": 40, "lfp": 20}
    assert seen.dataset["source"] == "nmc_811"


def test_an_operator_is_no_material(tmp_path):
    row = "{o},{m},{a:.2f},{b:.2f}"
    table = write_rows(tmp_path / "t.csv", "operator,material,a,y", row, ("NMC", "LFP", "NMC"))
    seen = look_at_rows([table], ["y"])
    assert set(seen.facts["materials"]) == {"nmc", "lfp"}
    assert any("not used: 'operator'" in problem.text for problem in seen.problems)
    unclear = write_rows(tmp_path / "u.csv", "operator,shift,a,y", row, ("NMC", "LFP", "NMC"))
    with pytest.raises(InputError, match="'operator', 'shift' names the material; add --domain"):
        look_at_rows([unclear], ["y"])
    assert set(look_at_rows([unclear], ["y"], "shift").facts["materials"]) == {"nmc", "lfp"}


def test_a_decimal_sign_may_be_stated(tmp_path):
    table = write_rows(tmp_path / "t.csv", "material;a;y", "{m};1,{i:03d};{i}", ("A", "B"))
    with pytest.raises(InputError, match="--decimal"):
        look_at_rows([table], ["y"])
    seen = look_at_rows([table], ["y"], written=TableFormat(decimal=","))
    assert seen.dataset["files"][0]["decimal"] == ","
    assert seen.given.endswith("--decimal ,")
    folder = write_pictures(tmp_path / "p", {400: 8}, (64, 72))
    overlay, _ = plan(folder, written=TableFormat(decimal="."))
    study = yaml.safe_load(overlay)["studies"]["mine"]
    assert study["dataset"]["labels"]["table_format"] == {"decimal": "."}


def test_a_target_that_is_zero_somewhere_is_planned_without_networks(tmp_path):
    processes = Choice(["pretrained_process", "transfer_process"], "y is 0 in some rows")
    for row, arms in {"{m},{a:.2f},{i}": processes, "{m},{a:.2f},1{i}": None}.items():
        table = write_rows(tmp_path / "t.csv", "material,a,y", row, ("A", "B"))
        study = plan_rows(look_at_rows([table], ["y"]), LAPTOP, {}).study
        assert ("networks" in study) == (arms is None)
        if arms is not None:
            assert study["arms"].value == arms.value
            assert study["arms"].why.startswith(arms.why)


# Scans.
def test_a_short_scan_keeps_slices_beside_a_long_one(tmp_path):
    for state, lengths in {"new": (12, 300), "aged": (12, 12)}.items():
        (tmp_path / state).mkdir()
        for i, length in enumerate(lengths):
            scan = np.random.default_rng(i).integers(0, 255, (length, 16, 18), dtype=np.uint8)
            np.save(tmp_path / state / f"cell_{state}_{i}.npy", scan)
    seen = look_at_scans(tmp_path)
    assert seen.dataset["volumes"]["step"] == 1
    assert "12 to 300 slices" in seen.problems[0].text
