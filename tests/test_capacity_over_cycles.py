"""Capacities over the cycles: the table, the places of pictures on it, and the figure."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from batteryscope.config.cycling import CyclingTable
from batteryscope.config.dataset import DatasetSettings
from batteryscope.demo.cycling_table import calculate_capacities, write_cycling
from batteryscope.errors import InputError
from batteryscope.manifest.cycling import find_cycling, place_pictures, read_cycling
from batteryscope.report.capacity_over_cycles import (
    average_curves,
    draw_capacities,
    place_states,
    write_capacities,
)

CYCLES = {"fresh": 0, "aged": 50}
SETTINGS = CyclingTable(table="c.csv", match="composition", cycles=CYCLES)
GOOD = (
    "composition,cell,cycle,capacity_mah_g\n811,a,1,200\n811,a,101,100\n811,b,1,180\n622,c,1,170\n"
)
MANIFEST = pd.DataFrame(
    {
        "sample_id": list("pqrs"),
        "path": [f"{n}.png" for n in "pqrs"],
        "class": ["811_fresh", "811_aged", "811_aged", "622_fresh"],
        "composition": ["811", "811", "811", "622"],
        "state": ["fresh", "aged", "aged", "fresh"],
    }
)


def read(folder, text: str, settings: CyclingTable = SETTINGS) -> pd.DataFrame:
    (folder / "c.csv").write_text(text, encoding="utf-8")
    return read_cycling(folder, settings)


def test_the_table_is_read_with_decimal_commas_and_without_cells(tmp_path):
    table = read(tmp_path, "composition;cycle;capacity_mah_g\n811;2;190,5\n811;1;200,25\n")
    assert table.to_dict("list") == {
        "group": ["811"] * 2, "cell": [""] * 2, "cycle": [1, 2], "capacity_mah_g": [200.25, 190.5]
    }  # fmt: skip
    alone = CyclingTable(table="c.csv", cycles=CYCLES)
    assert read(tmp_path, "cycle,capacity_mah_g\n1,200\n", alone)["group"].tolist() == [""]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("composition,cycle,capacity\n811,1,200\n", "no column 'capacity_mah_g'; did you mean"),
        ("composition,cycle,capacity_mah_g\n811,1,0.2 Ah\n", "line 2 .* is '0.2 Ah'; expected mAh"),
        ("composition,cycle,capacity_mah_g\n811,1.5,200\n", "'cycle' is '1.5'; expected a whole"),
        ("composition,cycle,capacity_mah_g\n811,1,\n", "line 2 .*'capacity_mah_g' is empty"),
        ("composition,cycle,capacity_mah_g\n,1,200\n", "line 2 of the column 'composition' is em"),
        (
            "composition,cycle,capacity_mah_g\n811,1,2\n811,1,3\n",
            r"cycle 1 of 811 .*twice \(line 3",
        ),
        ("composition,cycle,capacity_mah_g\n", "no rows"),
    ],
)
def test_a_bad_table_gets_one_sentence(tmp_path, text, sentence):
    with pytest.raises(InputError, match=sentence):
        read(tmp_path, text)


def test_what_does_not_fit_the_pictures_is_said_before_anything_is_trained(tmp_path):
    mine = DatasetSettings(name="x", path="x", cycling=SETTINGS)
    with pytest.raises(InputError, match=r"c\.csv is not there; put the table into the data set"):
        find_cycling(mine, MANIFEST, tmp_path)
    read(tmp_path, GOOD)
    assert find_cycling(mine, MANIFEST, tmp_path) == SETTINGS
    with pytest.raises(InputError, match=r"the table has 622, 811, the pictures NCM1\. Spell"):
        find_cycling(mine, MANIFEST.assign(composition="NCM1"), tmp_path)
    with pytest.raises(InputError, match=r"cycling\.cycles says nothing of 'old'"):
        place_pictures(MANIFEST.assign(state="old"), SETTINGS)
    other = SETTINGS.model_copy(update={"match": "maker"})
    with pytest.raises(InputError, match=r"cycling\.match is 'maker', but the pictures have no"):
        place_pictures(MANIFEST, other)
    counted = CyclingTable(table="c.csv", cycle_column="n")
    placed = place_pictures(MANIFEST.assign(n=["0", "40", "60", "3"]), counted)
    assert placed["cycle"].tolist() == [0, 40, 60, 3]
    with pytest.raises(InputError, match=r"'n' of q\.png is 'many'; expected a number of cycles"):
        place_pictures(MANIFEST.assign(n=["0", "many", "60", "3"]), counted)


def test_settings_that_contradict_are_refused():
    for wrong in ({}, {"cycles": CYCLES, "cycle_column": "n"}):
        with pytest.raises(ValueError, match="in one way: cycles"):
            CyclingTable(table="c.csv", **wrong)
    with pytest.raises(ValueError, match="match is 'cycle', which is a column of every"):
        CyclingTable(table="c.csv", match="cycle", cycles=CYCLES)
    targets = {"quantities": {"n": {"unit": "µm"}}, "table": "t.csv", "sample_column": "file"}
    with pytest.raises(ValueError, match="cycling stands beside classes"):
        DatasetSettings.model_validate(
            {"name": "x", "path": "x", "cycling": {"table": "c.csv", "cycles": CYCLES}}
            | {"targets": targets}
        )


def test_states_sit_on_their_curve_with_what_was_recognised(tmp_path):
    curves = average_curves(read(tmp_path, GOOD))
    first = curves.iloc[1]
    assert (first["group"], first["mean"], first["n"]) == ("811", 190, 2)
    assert first["sd"] == pytest.approx(np.std([200, 180], ddof=1))
    places = place_pictures(MANIFEST, SETTINGS).assign(**{"class": MANIFEST["class"]})
    verdicts = pd.DataFrame({"sample_id": ["q", "r"], "y_pred": ["622_fresh", "811_aged"]})
    found = place_states(curves, places, verdicts)
    assert found.drop(columns="recognised").to_numpy().tolist() == [
        ["622", "fresh", 0, 170, 0],
        ["811", "fresh", 0, 190, 0],
        ["811", "aged", 50, pytest.approx(190 - 90 * 0.49), 1],
        ["811", "aged", 50, pytest.approx(190 - 90 * 0.49), 1],
    ]
    assert found["recognised"].tolist()[2:] == ["aged", "fresh"]


def test_the_report_draws_and_tells_it(tmp_path):
    places = place_pictures(MANIFEST, SETTINGS).assign(**{"class": MANIFEST["class"]})
    images = pd.DataFrame({"sample_id": ["q"], "y_pred": ["811_aged"], "arm": "a", "role": "test"})
    dataset = SimpleNamespace(cycle_table=SETTINGS)
    evidence = SimpleNamespace(
        cycling=read(tmp_path, GOOD), places=places, images=images, main_arm="a",
        settings=SimpleNamespace(dataset=dataset), generated=False,
    )  # fmt: skip
    picture = draw_capacities(evidence)
    assert "for each composition. Line: mean of the cells in the table, band" in picture.caption
    assert "the 1 test images" not in picture.caption
    tables = write_capacities(evidence)
    assert b"811,aged,50.0,145.9,aged,1" in tables["states_over_cycles.csv"]
    evidence.cycling = None
    assert draw_capacities(evidence) is None


def test_generated_capacities_follow_their_formula(tmp_path):
    known = calculate_capacities("811", np.array([4, 5, 29, 104]))
    assert known.tolist() == pytest.approx(
        [200, 184 * (1 - 0.14 * 0.1), 184 * (1 - 0.14 * 0.5), 184 * (1 - 0.14)]
    )
    write_cycling(tmp_path, ["333", "811"], seed=1)
    settings = DatasetSettings.model_validate(
        {"name": "x", "generator": {"kind": "sem_top_view"}, "labels": {
            "pattern": "ncm(?P<composition>[0-9]{3})_(?P<state>.+)",
            "columns": ["composition", "state"]}}
    )  # fmt: skip
    drawn = MANIFEST.assign(state=["pristine", "100cycles", "100cycles", "formation"])
    assert find_cycling(settings, drawn, tmp_path) == settings.cycle_table
    assert find_cycling(settings, MANIFEST, tmp_path) is None  # other names of states
    assert find_cycling(settings, drawn, tmp_path / "older") is None
    table = read_cycling(tmp_path, settings.cycle_table)
    assert table.groupby("group")["cell"].nunique().to_dict() == {"333": 3, "811": 3}
    mean = average_curves(table).set_index(["group", "cycle"])["mean"]
    assert mean["811", 104] == pytest.approx(known[-1], rel=0.03)
    additive = settings.generator.model_copy(update={"additives": ["none", "VC"]})
    assert additive.cycling is None
    assert settings.model_copy(update={"path": "mine"}).cycle_table is None
