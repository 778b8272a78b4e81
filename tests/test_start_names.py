"""What names of folders and titles of columns tell."""

import re

import numpy as np
import pytest

from batteryscope.start.class_names import understand_names
from batteryscope.start.columns import find_range, read_columns, split_unit


# Names of folders.
@pytest.mark.parametrize(
    ("folders", "columns", "specimens"),
    [
        (["ncm811_100cycles", "ncm333_pristine"], ("composition", "state"), False),
        (["ncm811_formation", "ncm811_formation_VC"], ("composition", "state"), False),
        (["ncm811/pristine", "ncm811/100cycles"], ("composition", "state"), False),
        (["p35_e1", "p20_e2"], ("porosity",), True),
        (["pristine/cell_1", "aged/cell_1"], ("state",), True),
        (["good/a1", "good/a2", "bad/b1"], ("class",), True),
        (["good/left", "good/right", "bad/left"], ("upper", "lower"), False),
        (["aged/ncm622", "aged/ncm811", "pristine/ncm622"], ("state", "composition"), False),
        (["aged/101", "aged/102", "pristine/201"], ("state",), True),
        (["day1/good", "day1/bad", "day2/bad"], ("class",), False),
        (["good/day1", "bad/day1", "bad/day2"], ("class",), False),
        (["2024-05-01/622_aged", "2024-05-02/811_aged"], ("composition", "state"), False),
        (["100", "200", "500"], ("class",), False),
        (["622", "811"], ("composition",), False),
        (["NCM90", "NCM83"], ("class",), False),
        (["x_25C", "x_45C", "y_25C"], ("part_1", "part_2"), False),
        (["333", "333_formation"], ("class",), False),
        (["cats", "Hunde"], ("class",), False),
        (["", "."], ("class",), False),
    ],
)
def test_names_of_folders_are_taken_apart(folders, columns, specimens):
    found = understand_names(folders)
    assert (found.columns, found.specimens) == (columns, specimens)


def test_days_are_sessions_and_no_classes():
    found = understand_names(["day1/good", "day1/bad", "day2/bad"])
    match = re.search(found.pattern or "", "day2/bad")
    assert match is not None
    assert match.groupdict() == {"session_id": "day2", "class": "bad"}
    below = re.search(understand_names(["a/run_1", "b/run_2"]).pattern or "", "b/run_2")
    assert below is not None
    assert below.groupdict() == {"session_id": "run_2", "class": "b"}
    scans = understand_names(["day1/pristine/c.tif", "day2/aged/d.tif"], whole_paths=True)
    assert scans.columns == ("state",)


def test_scans_get_the_state_from_their_path():
    found = understand_names(["pristine/cell_1.tif", "cycle_aged/c2.ISQ"], whole_paths=True)
    assert found.columns == ("state",)
    assert list(found.parts["state"]) == ["cycle_aged", "pristine"]


@pytest.mark.parametrize(
    ("title", "name", "unit"),
    [
        ("Comma gap (µm)", "comma_gap", "µm"),
        ("pore_percent", "pore_percent", "%"),
        ("mass loading [mg/cm²]", "mass_loading", "mg/cm²"),
        ("AM", "am", ""),
        ("Comma.Gap..μm.", "comma_gap_um", "µm"),
        ("σ1..mg.cm2..Perpendicular", "sigma1_mg_cm2_perpendicular", ""),
        ("Flächenmasse mg cm²", "flachenmasse_mg_cm2", "mg/cm²"),
        ("2nd", "column_2nd", ""),
    ],
)
def test_titles_tell_names_and_units(title, name, unit):
    assert split_unit(title) == (name, unit)


def test_ranges_are_wider_than_what_was_seen():
    assert find_range(np.array([10.0, 20.0, np.nan])) == (5, 25)
    assert find_range(np.array([0.0, 4.0])) == (0, 6)
    assert find_range(np.array([50.0, 96.0]), "wt%") == (27, 100)
    assert find_range(np.array([1.0, 4.0]))[0] == 0.5


def test_a_table_is_read_column_by_column(tmp_path):
    (tmp_path / "t.csv").write_text("name;value\na;0,5\nb;1,25\n")
    columns = read_columns(tmp_path / "t.csv")
    assert columns["name"].numbers is None
    assert columns["value"].numbers.tolist() == [0.5, 1.25]
