"""From a folder to a study: names, sizes, divisions, plans, and odd folders."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from batteryscope.config.project import load_project
from batteryscope.errors import BatteryscopeError, InputError
from batteryscope.start.choices import Choice, add_reasons, strip_reasons, write_choices
from batteryscope.start.look import look_at
from batteryscope.start.machine import Machine, TileCost, measure_memory
from batteryscope.start.particle_size import measure_particles
from batteryscope.start.plan_split import plan_split
from batteryscope.start.planned import expect_seconds
from batteryscope.start.start import Started, name_study, plan_from, write_fingerprint
from tests.conftest import ROOT
from workflow_scripts import start_study

LAPTOP = Machine(2, timed=False)


def draw_discs(
    radius: float, share: float, shape: tuple[int, int] = (240, 320), seed: int = 0
) -> np.ndarray:
    """Draw discs that do not overlap, with noise, until they cover so much of the picture."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]]
    picture, centres = np.full(shape, 70.0), np.zeros((0, 2))
    wanted = share * shape[0] * shape[1] / (np.pi * radius**2)
    for _ in range(20_000):
        if len(centres) >= wanted:
            break
        centre = rng.uniform((0, 0), shape)
        if len(centres) and np.hypot(*(centres - centre).T).min() < 2 * radius:
            continue
        centres = np.vstack([centres, centre])
        top, left = (max(0, int(place - radius)) for place in centre)
        near = np.s_[top : int(centre[0] + radius) + 2, left : int(centre[1] + radius) + 2]
        picture[near][np.hypot(y[near] - centre[0], x[near] - centre[1]) <= radius] = 180
    return np.clip(picture + rng.normal(0, 12, shape), 0, 255).astype(np.uint8)


def make_folder(
    root: Path, classes: dict[str, int], radius: float = 6, suffix: str = ".png"
) -> Path:
    """Write pictures of discs, so many for each folder."""
    for number, (name, count) in enumerate(classes.items()):
        (root / name).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            frame = draw_discs(radius + number, 0.3, (128, 160), seed=100 * number + i)
            Image.fromarray(frame).save(root / name / f"{i}{suffix}")
    return root


def find_unexplained(text: str) -> list[str]:
    """Return the settings of a plan with no reason behind or above them, nor above their block."""
    silent, explained = [], [(-1, False)]  # indent, and whether a reason holds for all below
    lines = text[text.find("scale:") :].splitlines()
    for before, line in zip(["", *lines], lines, strict=False):
        indent = len(line) - len(line.lstrip())
        while explained[-1][0] >= indent:
            explained.pop()
        if line.lstrip().startswith("#"):
            continue
        has_reason = " # " in line or before.lstrip().startswith("#") or explained[-1][1]
        explained.append((indent, has_reason))
        if not line.endswith(":") and not has_reason:
            silent.append(line)
    return silent


def plan(folder: Path, **options: object) -> tuple[Started, dict]:
    seen, samples = look_at(**({"images": folder} | options))  # type: ignore[arg-type]
    started = plan_from(seen, samples, "mine", LAPTOP, ROOT, Path("mine.yaml"))
    assert not find_unexplained(started.overlay or "")
    return started, yaml.safe_load(started.overlay)["studies"]["mine"] if started.overlay else {}


# Size of particles.
@pytest.mark.parametrize("radius", [6, 10, 15])
@pytest.mark.parametrize("share", [0.15, 0.4])
def test_discs_of_known_size_are_measured(radius, share):
    frame = draw_discs(radius, share)
    assert measure_particles(frame) == pytest.approx(2 * radius, rel=0.15)
    doubled = np.kron(frame, np.ones((2, 2), np.uint8))
    assert measure_particles(doubled) == pytest.approx(4 * radius, rel=0.15)


def test_what_shows_nothing_has_no_particles():
    assert np.isnan(measure_particles(np.full((100, 100), 7, np.uint8)))
    assert np.isnan(measure_particles(np.zeros((8, 300), np.uint8)))


# The commented file.
def test_choices_read_back_as_they_were():
    values = {"a": {"b": 1.0e-3, "c": [1, "x: y"], "d": None}, "e": "^(?P<n>[0-9]+)$", "f": {}}
    choices = add_reasons(values, {"a.b": "small " * 40, "e": "short"})
    text = write_choices(choices)
    assert yaml.safe_load(text) == values == strip_reasons(choices)
    assert "# short" in text
    assert max(map(len, text.splitlines())) <= 118


# Divisions.
def make_manifest(counts: dict[str, int], specimens: int = 0) -> pd.DataFrame:
    rows = [
        {
            "sample_id": f"{name}{i:03d}", "path": f"{name}/{i}.png", "sha256": f"{name}{i}",
            "class": name, "domain": "", "session_id": None, "acquired_at": pd.NaT,
            "specimen_id": f"{name}_{i % specimens}" if specimens else None,
        }
        for name, count in counts.items() for i in range(count)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def make_pairs(*pairs: tuple[str, str]) -> pd.DataFrame:
    columns = ["sample_a", "sample_b", "similarity", "shared_field"]
    return pd.DataFrame([(a, b, 1.0, 1.0) for a, b in pairs], columns=columns)


def test_specimens_are_kept_apart_where_there_are_enough():
    found = plan_split(make_manifest({"a": 12, "b": 12}, specimens=4), make_pairs(), 0.1)
    assert (found.settings["group"], found.settings["folds"]) == ("specimen", 4)
    few = plan_split(make_manifest({"a": 12, "b": 12}, specimens=2), make_pairs(), 0.1)
    assert few.settings["group"] == "image"
    assert any("too few" in text for text in few.warnings)


def test_near_duplicates_stay_together_unless_nothing_is_left():
    manifest = make_manifest({"a": 8, "b": 8})
    chain = [(f"a{i:03d}", f"a{i + 1:03d}") for i in range(4)]
    some = plan_split(manifest, make_pairs(*chain), 0.1)
    assert (some.settings["near_duplicates"], some.settings["folds"]) == ("group", 4)
    every = [(f"a{i:03d}", f"a{i + 1:03d}") for i in range(7)]
    all_alike = plan_split(manifest, make_pairs(*every), 0.1)
    assert all_alike.settings["near_duplicates"] == "ignore"
    assert any("too good" in text for text in all_alike.warnings)


def test_two_samples_of_a_class_cannot_be_divided():
    with pytest.raises(InputError, match="3 are needed"):
        plan_split(make_manifest({"a": 8, "b": 2}), make_pairs(), 0.1)


# Plans.
def test_a_folder_of_pictures_gives_a_study_that_runs_as_it_is(tmp_path):
    folder = make_folder(tmp_path / "My cathodes", {"ncm811_pristine": 6, "ncm811_100cycles": 9})
    started, _ = plan(folder)
    assert started.overlay is not None
    overlay = yaml.safe_load(started.overlay)
    project = load_project(ROOT / "params.yaml", overlay)
    mine = project.studies["mine"]
    assert mine.based_on == "cathode_state"
    assert mine.model.backbone == "tf_efficientnet_lite0"
    assert mine.dataset.labels.columns == ["composition", "state"]
    assert mine.balance.method == "class_balanced"
    assert mine.split.near_duplicates == "group"
    assert 40 <= mine.preprocess.crop_px <= 70
    assert not mine.evaluate.paper
    assert "# yaml-language-server: $schema=docs/params.schema.json" in started.overlay
    assert "# per_image:" in started.overlay
    assert any("No folder names specimens" in problem.text for problem in started.problems)


def test_crops_hold_particles_and_fit_the_picture(tmp_path):
    _, small = plan(make_folder(tmp_path / "a", {"a": 4, "b": 4}, radius=2.5))
    _, large = plan(make_folder(tmp_path / "b", {"a": 4, "b": 4}, radius=14))
    assert small["preprocess"]["crop_px"] <= large["preprocess"]["crop_px"] <= 70


def test_a_gpu_gets_a_larger_network(tmp_path, monkeypatch):
    monkeypatch.setattr("batteryscope.start.plan_pictures.can_have_weights", lambda name: True)
    folder = make_folder(tmp_path, {"a": 5, "b": 5})
    seen, samples = look_at(images=folder)
    monkeypatch.setattr("batteryscope.start.machine.measure_memory", lambda *_: (2**27, 2**29))
    for free_gib, batch in ((0, 64), (140, 64), (5, 32), (0.1, 4)):  # 0.125 GiB a tile and 0.5
        machine = Machine(16, "some GPU", timed=False, gpu_free_gib=free_gib)
        started = plan_from(seen, samples, "mine", machine, ROOT, Path("mine.yaml"))
        assert started.overlay is not None
        study = yaml.safe_load(started.overlay)["studies"]["mine"]
        assert study["train"]["batch_size"] == batch
        assert ("64 would not fit" in started.overlay) == (batch < 64)
    assert study["model"]["backbone"] == "convnext_tiny"
    assert (study["preprocess"]["input_px"], study["train"]["precision"]) == (224, "bf16-mixed")


def test_memory_grows_with_the_area_of_a_tile():
    small, large = (
        measure_memory({"backbone": "test_resnet"}, (edge, edge), 1) for edge in (64, 128)
    )
    assert large[0] == pytest.approx(4 * small[0], rel=0.1)
    assert small[0] > 64 * 64 * 4  # more than its own pixels
    assert large[1] == small[1] > 0


def test_a_table_beside_pictures_names_classes_or_numbers(tmp_path):
    folder = make_folder(tmp_path, {"all": 8})
    for file in (folder / "all").iterdir():
        file.rename(folder / file.name)
    (folder / "all").rmdir()
    rows = [f"{i}.png,{'ab'[i % 2]},{1.5 + i}" for i in range(8)]
    (folder / "about.csv").write_text("file,kind,size_um\n" + "\n".join(rows))
    _, classes = plan(folder)
    assert classes["dataset"]["labels"]["columns"] == ["kind"]
    _, numbers = plan(folder, targets=["size_um"])
    assert numbers["dataset"]["targets"]["quantities"]["size_um"]["unit"] == "µm"
    assert numbers["train"]["loss"] == "mse"
    with pytest.raises(InputError, match=r"about\.csv: file, kind, size_um"):
        look_at(images=folder, targets=["size"])


def test_rows_of_two_materials_give_a_study_of_rows(tmp_path):
    rng = np.random.default_rng(1)
    lines = ["no;material;gap (µm);density_g_cm3"]
    for i in range(60):
        gap = rng.uniform(50, 200)
        lines.append(f"{i + 1};{'NMC' if i % 3 else 'graphite'};{gap:.1f};{1 + gap / 100:.3f}")
    table = tmp_path / "rows.csv"
    table.write_text("\n".join(lines), encoding="utf-8")
    seen, samples = look_at(tables=[table], targets=["density_g_cm3"])
    started = plan_from(seen, samples, "mine", LAPTOP, ROOT, Path("mine.yaml"))
    assert started.overlay is not None, started.problems
    assert not find_unexplained(started.overlay)
    study = load_project(ROOT / "params.yaml", yaml.safe_load(started.overlay)).studies["mine"]
    assert (study.dataset.source, list(study.dataset.features)) == ("nmc", ["gap"])
    assert study.dataset.features["gap"].unit == "µm"
    assert any("'no' numbers the rows" in problem.text for problem in started.problems)
    with pytest.raises(BatteryscopeError, match="--targets is missing"):
        look_at(tables=[table])


def test_time_is_shared_by_cores_and_not_by_the_gpu():
    cost, work = TileCost(0.02, 0.005), {"trained_tiles": 1000, "judged_tiles": 400}
    one = expect_seconds(cost, Machine(1), **work, read_seconds=0, jobs=5)
    two = expect_seconds(cost, Machine(2), **work, read_seconds=0, jobs=5)
    assert one == pytest.approx(2 * two) == pytest.approx(20 + 2 + 60)
    assert expect_seconds(None, Machine(1), **work, read_seconds=0, jobs=1) is None


# Odd folders: a sentence, never a traceback; single bad files cost themselves.
def test_odd_folders_give_a_sentence(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no image"):
        look_at(images=tmp_path / "empty")
    with pytest.raises(InputError, match="does not exist"):
        look_at(images=tmp_path / "nowhere")
    loose = make_folder(tmp_path / "loose", {".": 3})
    with pytest.raises(InputError, match="lie directly in this folder"):
        look_at(images=loose)
    for name, classes, words in (
        ("one", {"a": 6}, "all 6 images are of one class"),
        ("few", {"a": 6, "b": 1}, "at least 3 are needed"),
        ("single", {"a": 1, "b": 1, "c": 1}, "at least 3 are needed"),
    ):
        started, _ = plan(make_folder(tmp_path / name, classes))
        assert started.overlay is None
        assert words in started.problems[-1].text
        assert started.problems[-1].prevents


def test_a_class_too_small_is_left_out_and_bad_files_cost_themselves(tmp_path):
    folder = make_folder(tmp_path, {"a": 5, "b/deep": 5, "c": 2})
    (folder / "a" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    (folder / "a" / "empty.png").write_bytes(b"")
    (folder / "a" / "notes.txt").write_text("by hand")
    (folder / "a" / "copy.png").write_bytes((folder / "a" / "0.png").read_bytes())
    make_folder(folder, {"a": 1}, radius=9, suffix=".bmp")
    seen, samples = look_at(images=folder)
    assert len(seen.facts["damaged"]) == 2
    assert len(seen.facts["duplicates"]) == 1
    assert seen.facts["formats"] == {".bmp": 1, ".png": 12}
    started = plan_from(seen, samples, "mine", LAPTOP, ROOT, Path("mine.yaml"))
    assert started.overlay is not None
    study = yaml.safe_load(started.overlay)["studies"]["mine"]
    assert study["dataset"]["where"] == {"class": ["a", "b/deep"]}
    files = write_fingerprint(seen, started.problems, tmp_path / "out")
    assert json.loads(files[0].read_text())["usable"] == 13
    assert "a/broken.jpg" in files[1].read_text()


def test_names_of_studies(tmp_path):
    root = tmp_path / "project"
    root.mkdir()
    (root / "params.yaml").write_text("studies: { cathode_state: {} }")
    assert name_study("", tmp_path / "My Cathodes 2", root) == "my_cathodes_2"
    assert name_study("", tmp_path / "cathode_state", root) == "my_cathode_state"
    assert name_study("", tmp_path / "Köln", root) == "koln"
    names = {name_study("", tmp_path / name, root) for name in ("양극", "음극", "양극 1", "음극 1")}
    assert len(names) == 4
    assert all(re.fullmatch(r"(my_study|1)_[0-9a-f]{4}", name) for name in names)
    for wrong in ("Mine!", "cathode_state"):
        with pytest.raises(InputError, match="--name"):
            name_study(wrong, tmp_path, root)


# The program.
def test_the_program_writes_once_and_checks_without_writing(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("batteryscope.start.machine.look_at_machine", lambda timed=True: LAPTOP)
    project = tmp_path / "project"
    (project / "configs").mkdir(parents=True)
    (project / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    recipe = "configs/sem_ncm.yaml"
    (project / recipe).write_bytes((ROOT / recipe).read_bytes())
    folder = make_folder(project / "data" / "mine", {"a": 5, "b": 5})
    monkeypatch.chdir(project)
    arguments = ["--images", str(folder)]
    assert start_study.main([*arguments, "--check"]) == 0
    assert not (project / "mine.yaml").exists()
    assert not (project / "work").exists()
    assert start_study.main(arguments) == 0
    written = (project / "mine.yaml").read_text()
    assert yaml.safe_load(written)["studies"]["mine"]["dataset"]["path"] == "data/mine"
    assert (project / "work" / "mine" / "start" / "fingerprint.json").is_file()
    assert "Fingerprint of" in capsys.readouterr().out
    assert start_study.main(arguments) == 1
    assert "--replace" in capsys.readouterr().err
    assert start_study.main([*arguments, "--replace"]) == 0
    (project / "empty").mkdir()
    assert start_study.main(["--images", "empty", "--check"]) == 1


def test_a_choice_knows_its_reason():
    assert write_choices({"a": Choice(3, "three")}) == "a: 3 # three\n"


# Scans and cross-sections.
def make_scans(root: Path, cells: dict[str, int], slices: int = 4) -> Path:
    rng = np.random.default_rng(3)
    for state, count in cells.items():
        (root / state).mkdir(parents=True)
        for i in range(count):
            scan = rng.integers(0, 255, (slices, 40, 44), dtype=np.uint8)
            np.save(root / state / f"cell_{i}.npy", scan)
    return root


def test_scans_are_divided_by_cell(tmp_path):
    started, study = plan_scans(make_scans(tmp_path / "a", {"pristine": 4, "cycle_aged": 5}))
    assert started.overlay is not None, started.problems
    assert (study["split"]["group"], study["split"]["folds"]) == ("specimen", 4)
    assert study["preprocess"]["method"] == "ct_slices"
    assert study["dataset"]["volumes"] == {"first": 0, "step": 1}
    one, _ = plan_scans(make_scans(tmp_path / "b", {"pristine": 4, "cycle_aged": 1}))
    assert one.overlay is None
    assert "Slices of one cell cannot test" in one.problems[-1].text


def plan_scans(folder: Path) -> tuple[Started, dict]:
    return plan(folder, images=None, scans=folder)


def draw_section(seed: int) -> np.ndarray:
    """Draw resin, a coating of discs, and a bright foil below it."""
    coating = draw_discs(7, 0.5, (150, 320), seed)
    rng = np.random.default_rng(seed)
    resin, foil = rng.normal(30, 4, (60, 320)), rng.normal(240, 4, (30, 320))
    return np.clip(np.vstack([resin, coating * 0.8, foil]), 0, 255).astype(np.uint8)


def test_cross_sections_with_capacities_are_recognised(tmp_path):
    rows = ["electrode,c_rate,capacity,unit"]
    for porosity in (20, 35, 50):
        for electrode in (1, 2, 3):
            name = f"p{porosity}_e{electrode}"
            (tmp_path / name).mkdir()
            for i in range(2):
                picture = draw_section(100 * porosity + 10 * electrode + i)
                Image.fromarray(picture).save(tmp_path / name / f"{i}.png")
            rows += [f"{name},{rate},{160 - rate},mAh/g" for rate in (0.2, 1)]
    (tmp_path / "capacities.csv").write_text("\n".join(rows))
    started, study = plan(tmp_path)
    assert started.overlay is not None, started.problems
    assert study["based_on"] == "rate_capability"
    assert study["dataset"]["targets"]["c_rates"] == [0.2, 1]
    crop = study["preprocess"]
    assert crop["method"] == "coating_crop"
    assert 60 <= crop["crop_height_px"] <= 150
    assert crop["crop_width_px"] <= 320
    assert study["split"]["group"] == "specimen"
    assert study["physics"] == {"porosity_column": "porosity"}
