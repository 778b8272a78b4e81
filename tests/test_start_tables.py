"""Tables beside pictures, and tables of rows, from which a study starts: what is taken for what."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from batteryscope.config.targets import QuantityTargets
from batteryscope.errors import InputError
from batteryscope.manifest.join_table import remove_unit
from batteryscope.manifest.quantities import attach_quantities
from batteryscope.readers.scan import FolderScan
from batteryscope.start.class_names import understand_names
from batteryscope.start.columns import find_range, number_name
from batteryscope.start.find_tables import Beside, find_beside
from batteryscope.start.look import look_at
from batteryscope.start.machine import Machine
from batteryscope.start.plan_split import plan_split
from batteryscope.start.start import plan_from
from tests.conftest import ROOT


# Values joined to samples.
@pytest.mark.parametrize(
    ("cell", "unit", "left"),
    [
        ("1.21", "1", "1.21"),
        ("0.41", "1", "0.41"),
        ("21", "1/s", "21"),
        ("5 µm", "µm", "5"),
        ("5%", "%", "5"),
        (1.21, "1", 1.21),
    ],
)
def test_a_unit_is_no_digit_of_the_number(cell, unit, left):
    assert remove_unit(cell, unit) == left


def make_samples(*paths: str) -> pd.DataFrame:
    return pd.DataFrame({"path": paths, "specimen_id": [None] * len(paths)})


def join(root, text: str, paths: list[str]) -> list[float]:
    (root / "about.csv").write_text(text)
    settings = QuantityTargets.model_validate(
        {"table": "about.csv", "sample_column": "name", "quantities": {"loading": {"unit": "1"}}}
    )
    return attach_quantities(make_samples(*paths), settings, root)[0]["loading"].tolist()


def test_rows_may_name_folders(tmp_path):
    text = "name,loading\nE1,1.21\nE2,2.41\n"
    assert join(tmp_path, text, ["x/E1/0.png", "x/E1/1.png", "y/E2/0.png"]) == [1.21, 1.21, 2.41]
    assert join(tmp_path, "name,loading\nx/E1,1.1\n", ["x/E1/0.png"]) == [1.1]
    with pytest.raises(InputError, match="2 folders are called 'E1'"):
        join(tmp_path, text, ["x/E1/0.png", "y/E1/0.png"])


# What stands beside pictures.
def look_beside(root, table: str, paths: list[str], targets: tuple[str, ...] = ()) -> Beside:
    (root / "labels.csv").write_text(table)
    folders = sorted({path.rpartition("/")[0] for path in paths})
    files = FolderScan(tuple(paths))
    return find_beside(root, files, targets, understand_names(folders))


def write_rows(title: str, paths: list[str], *values: str) -> str:
    """Give files rows, the values in turn."""
    rows = [f"{path},{values[i % len(values)]}" for i, path in enumerate(paths)]
    return "\n".join([title, *rows])


LOOSE = [f"{i}.png" for i in range(12)]
FOLDERS = [f"E{i // 2}/{i}.png" for i in range(12)]


def test_compositions_are_labels_although_they_are_numbers(tmp_path):
    text = write_rows(
        "file,composition,state,specimen_id", LOOSE, "622,new,a", "811,aged,b", "811,new,c"
    )
    found = look_beside(tmp_path, text, LOOSE)
    assert found.settings["labels"]["columns"] == ["composition", "state"]
    assert "'composition' (622, 811)" in found.problems[0].text


def test_few_whole_numbers_are_classes_and_others_are_predicted(tmp_path):
    cycles = look_beside(tmp_path, write_rows("file,cycles", LOOSE, "0", "100", "500"), LOOSE)
    assert cycles.settings["labels"]["columns"] == ["cycles"]
    assert "--targets cycles" in cycles.problems[0].text
    several = write_rows("file,cycles,rate", LOOSE, "0,1", "100,2", "500,1")
    with pytest.raises(InputError, match="'cycles' may be classes or be predicted"):
        look_beside(tmp_path, several, LOOSE)
    text = "file,loading\n" + "\n".join(f"{path},{i / 7}" for i, path in enumerate(LOOSE))
    assert list(look_beside(tmp_path, text, LOOSE).settings["targets"]["quantities"]) == ["loading"]


def test_columns_without_effect_are_named(tmp_path):
    text = write_rows("file,state,cycles,remark", LOOSE, "new,0,", "aged,100,", "aged,100,scratch")
    found = look_beside(tmp_path, text, LOOSE)
    assert found.settings["labels"]["columns"] == ["state"]
    assert "not used: 'cycles', 'remark'" in found.problems[0].text


def test_labels_of_one_folder_come_from_the_table(tmp_path):
    paths = [f"frames/{path}" for path in LOOSE]
    found = look_beside(tmp_path, write_rows("file,state", paths, "new", "aged"), paths)
    assert found.settings["labels"]["columns"] == ["state"]


def test_folders_and_a_table_that_disagree_are_asked_about(tmp_path):
    rows = "\n".join(f"E{i},{'new' if i < 3 else 'aged'}" for i in range(6))
    with pytest.raises(InputError, match="say 'state' of folders"):
        look_beside(tmp_path, f"electrode,state\n{rows}", FOLDERS)
    with pytest.raises(InputError, match="the folders say something else"):
        look_beside(tmp_path, write_rows("file,state", FOLDERS, "new", "aged"), FOLDERS)
    specimens = write_rows("file,state,specimen_id", FOLDERS, "new,a", "aged,b")
    found = look_beside(tmp_path, specimens, FOLDERS)
    assert found.settings["labels"]["source"] == "table"
    paths = [f"{'ab'[i % 2]}/{i}.png" for i in range(12)]
    same = look_beside(tmp_path, write_rows("file,state", paths, "new", "aged"), paths)
    assert not same.settings
    assert "folders are the classes" in same.problems[0].text


def test_numbers_of_an_electrode_stay_on_one_side(tmp_path):
    values = [f"{1 + i // 2 / 7:.2f}" for i in range(12)]
    table = write_rows("file,loading,specimen_id,class", LOOSE, *(f"{v},e{v},x" for v in values))
    found = look_beside(tmp_path, table, LOOSE, ("loading",))
    assert found.settings["labels"]["table"] == "labels.csv"
    with pytest.raises(InputError, match="'specimen_id'"):
        look_beside(tmp_path, write_rows("file,loading", LOOSE, *values), LOOSE, ("loading",))
    table = write_rows("file,loading,specimen_id", LOOSE, *(f"{v},e{v}" for v in values))
    with pytest.raises(InputError, match="add a column 'class'"):
        look_beside(tmp_path, table, LOOSE, ("loading",))
    by_file = write_rows("file,loading", FOLDERS, *values)
    by_folder = "electrode,loading\n" + "\n".join(f"E{i},{1 + i / 7:.2f}" for i in range(6))
    for text in (by_file, by_folder):
        labels = look_beside(tmp_path, text, FOLDERS, ("loading",)).settings["labels"]
        match = re.search(labels["pattern"], "E3")
        assert match is not None
        assert match.groupdict() == {"specimen_id": "E3", "class": "E"}


def test_electrodes_with_numbers_make_a_study_divided_by_electrode(tmp_path):
    rng = np.random.default_rng(0)
    rows = ["electrode,loading"]
    for electrode in range(4):
        (tmp_path / f"E{electrode}").mkdir()
        rows.append(f"E{electrode},{1.21 + electrode / 7:.2f}")
        for i in range(2):
            frame = rng.integers(0, 255, (64, 72), dtype=np.uint8)
            Image.fromarray(frame).save(tmp_path / f"E{electrode}" / f"{i}.png")
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    seen, samples = look_at(images=tmp_path, targets=["loading"])
    assert seen.manifest["loading"].min() == 1.21
    started = plan_from(seen, samples, "mine", Machine(2, timed=False), ROOT, Path("mine.yaml"))
    assert started.overlay is not None, started.problems
    split = yaml.safe_load(started.overlay)["studies"]["mine"]["split"]
    assert (split["group"], split["folds"]) == ("specimen", 4)


def test_numbers_need_no_three_electrodes_of_a_class():
    manifest = pd.DataFrame(
        {
            "sample_id": [f"s{i}" for i in range(12)], "path": LOOSE, "sha256": LOOSE,
            "class": [f"{i // 4}" for i in range(12)], "domain": "", "session_id": None,
            "acquired_at": pd.NaT, "specimen_id": [f"e{i // 2}" for i in range(12)],
        }
    )  # fmt: skip
    pairs = pd.DataFrame([], columns=["sample_a", "sample_b", "similarity", "shared_field"])
    assert plan_split(manifest, pairs, 0.2, stratify=False).settings["group"] == "specimen"
    assert plan_split(manifest, pairs, 0.2).settings["group"] == "image"


@pytest.mark.parametrize("values", [[2022, 2023, 2024], [0.0041, 0.0042], [1e5, 1e5 + 1], [7, 7]])
def test_ranges_hold_what_was_seen(values):
    low, high = find_range(np.array(values, float))
    assert low < min(values) <= max(values) < high


def test_a_table_of_titles_alone_is_told(tmp_path):
    (tmp_path / "rows.csv").write_text("gap,density\n")
    with pytest.raises(InputError, match="no rows below its titles"):
        look_at(tables=[tmp_path / "rows.csv"], targets=["density"])


def test_names_are_numbered_when_taken():
    assert number_name("gap", {"gap", "gap_2"}) == "gap_3"
    assert number_name("gap", {"width"}) == "gap"


def test_materials_that_numbers_name_get_names_that_settings_can_hold(tmp_path):
    rows = "".join(f"{s},{gap}.5,{s * gap:.2f}\n" for s in (92.7, 95.1) for gap in range(1, 15))
    path = tmp_path / "t.csv"
    path.write_text("share,gap,loading\n" + rows)
    seen, _ = look_at(tables=[path], targets=["loading"], domain="share")
    assert seen.dataset["source"] in seen.dataset["domains"]
    assert seen.dataset["domains"]["92_7"] == {"share": {"values": ["92.7"]}}
