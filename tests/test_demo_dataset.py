"""Generated data sets as folders: layout, equal bytes, nothing half, nothing overwritten."""

import hashlib
import json
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from batteryscope.config.base import validate_settings
from batteryscope.config.picture_generators import CheckSetGenerator, SemTopViewGenerator
from batteryscope.demo import write_dataset
from batteryscope.demo.check_sets import assign_classes, render_check_picture
from batteryscope.demo.write_dataset import generate_dataset, list_sem_jobs, read_generator
from batteryscope.errors import ConfigError, InputError
from batteryscope.readers.folder import list_files
from batteryscope.readers.mask import read_mask
from workflow_scripts import generate_dataset as program

TINY = {"images_per_class": 2, "width_px": 256, "height_px": 192}


def digest(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_layout_and_equal_bytes_for_any_number_of_workers(tmp_path):
    settings = SemTopViewGenerator(
        **TINY, compositions=["811"], states=["100cycles"], additives=["none", "VC"]
    )
    assert generate_dataset(settings, tmp_path / "one", workers=1) == 4
    assert generate_dataset(settings, tmp_path / "two", workers=2) == 4
    files = digest(tmp_path / "one")
    assert files == digest(tmp_path / "two")
    assert sorted(p.name for p in (tmp_path / "one").iterdir()) == [
        ".masks",
        ".quantities.csv",
        "README.txt",
        "ncm811_100cycles",
        "ncm811_100cycles_VC",
    ]
    name = "ncm811_100cycles_VC/DEMO_ 20 kV_SE_HighVac_x500 __2.jpg"
    assert {name, f"{name}.txt"} <= set(files)
    assert Image.open(tmp_path / "one" / name).size == (256, 192)
    mask = read_mask(tmp_path / "one" / ".masks", name, (192, 256))
    assert 0.02 < mask.mean() < 0.5
    assert not any(file.startswith(".masks") for file in list_files(tmp_path / "one"))
    assert "not taken with a microscope" in (tmp_path / "one" / "README.txt").read_text()
    assert not list(tmp_path.glob(".*"))


def test_frames_do_not_depend_on_the_other_classes_of_the_set():
    few = SemTopViewGenerator(compositions=["811"], images_per_class=3)
    jobs = list_sem_jobs(few)
    assert len(jobs) == 9
    assert len({job[:4] for job in jobs}) == 9
    per_day = [{j.visit for j in jobs if j.number == number} for number in range(3)]
    assert per_day == [{0, 1, 2}] * 3


def test_single_classes_can_be_rarer():
    settings = SemTopViewGenerator(
        compositions=["811"], images_per_class=5, additives=["none", "VC"],
        images_of={"ncm811_formation_VC": 2, "ncm811_pristine": 7},
    )  # fmt: skip
    counts = Counter(job[1:3] for job in list_sem_jobs(settings))
    assert counts.pop(("formation", "VC")) == 2
    assert counts.pop(("pristine", "none")) == 7
    assert set(counts.values()) == {5}
    with pytest.raises(ConfigError, match=r"'ncm811_formation_FEC'.*nearest .*formation_VC"):
        validate_settings(
            SemTopViewGenerator,
            {"additives": ["VC"], "images_of": {"ncm811_formation_FEC": 2}},
            "generator",
        )


def test_a_failed_run_leaves_nothing_and_a_finished_one_is_replaced(tmp_path, monkeypatch):
    settings = CheckSetGenerator(kind="trivial", classes=2, images_per_class=2)
    out = tmp_path / "set"
    generate_dataset(settings, out)
    before = digest(out)

    def fail(*_):
        raise RuntimeError("stopped half way")

    monkeypatch.setattr(write_dataset, "write_check_picture", fail)
    with pytest.raises(RuntimeError):
        generate_dataset(settings, out)
    assert digest(out) == before
    assert [p.name for p in tmp_path.iterdir()] == ["set"]
    monkeypatch.undo()
    generate_dataset(settings.model_copy(update={"seed": 2}), out)
    assert digest(out) != before


def test_a_users_folder_is_never_replaced(tmp_path):
    (tmp_path / "mine.jpg").write_bytes(b"precious")
    with pytest.raises(InputError, match="not a generated data set"):
        generate_dataset(CheckSetGenerator(kind="random"), tmp_path)
    assert (tmp_path / "mine.jpg").exists()


def test_trivial_classes_differ_and_random_labels_are_drawn_by_lot():
    trivial = CheckSetGenerator(kind="trivial", classes=8, images_per_class=1)
    pictures = [render_check_picture(trivial, i, i) for i in range(8)]
    for picture in pictures:
        assert picture.shape == (144, 160)
        assert np.median(picture[-16:]) == 0
        assert picture[:128].std() > 25
    chance = CheckSetGenerator(kind="random", classes=3, images_per_class=12)
    labels = assign_classes(chance)
    assert np.bincount(labels).tolist() == [12, 12, 12]
    assert labels != sorted(labels)
    assert labels != assign_classes(chance.model_copy(update={"seed": 2}))
    same = [render_check_picture(chance, 5, label) for label in (0, 2)]
    assert (same[0] == same[1]).all()


def test_trivial_set_is_solved_by_the_spectrum_alone():
    settings = CheckSetGenerator(kind="trivial", classes=4, images_per_class=10)
    labels = np.array(assign_classes(settings))

    def describe(number, label):
        part = render_check_picture(settings, number, label)[:128, :128].astype(float)
        power = np.abs(np.fft.fftshift(np.fft.fft2(part - part.mean()))) ** 2
        y, x = np.mgrid[-64:64, -64:64]
        rings = np.bincount(np.hypot(y, x).astype(int).ravel() // 2, power.ravel())[:32]
        return rings / rings.sum()

    rows = np.array([describe(i, label) for i, label in enumerate(labels)])
    centres = np.array([rows[labels == c][:5].mean(0) for c in range(4)])
    late = np.arange(len(labels)) % 10 >= 5
    found = ((rows[late, None] - centres) ** 2).sum(-1).argmin(1)
    assert (found == labels[late]).mean() >= 0.95


def test_program_with_real_arguments(tmp_path):
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps({"kind": "random", "classes": 2, "images_per_class": 2}))
    out, log = tmp_path / "images", tmp_path / "log.txt"
    arguments = ["--settings", str(settings), "--out", str(out), "--log", str(log)]
    assert program.main(arguments) == 0
    assert len(list(out.glob("class_?/*.png"))) == 4
    assert "4 generated pictures" in log.read_text()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"kind": "cat_pictures"}', "kind"),
        ('{"images_per_class": 3}', "kind"),
        ('{"kind": "sem_top_view", "image_per_class": 3}', "images_per_class"),
        ('{"kind": "sem_top_view", "compositions": ["911"]}', "compositions"),
        ('{"kind": "sem_top_view", "states": ["pristine", "pristine"]}', "names 'pristine' twice"),
        ('{"kind": "trivial", "classes": 1}', "classes"),
    ],
)
def test_wrong_settings_are_explained(text, message, tmp_path, capsys):
    with pytest.raises(ConfigError, match=message):
        read_generator(text)
    assert program.main(["--settings", text, "--out", str(tmp_path / "x")]) == 1
    assert "Traceback" not in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_settings_keep_their_kind():
    settings = read_generator('{"kind": "sem_top_view"}')
    assert isinstance(settings, SemTopViewGenerator)
    assert validate_settings(SemTopViewGenerator, settings.model_dump(), "x") == settings
