"""The numbers behind a figure are read from what is drawn in it."""

import csv
import io

import numpy as np

from batteryscope.core.figure_values import COLUMNS, spell_values
from batteryscope.core.style import encode_picture, make_figure


def read(values: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(values.decode())))


def test_every_bar_point_line_and_cell_is_a_row() -> None:
    figure = make_figure(5, 3)
    bars, curves = figure.subplots(1, 2)
    bars.bar([0, 1], [3, 4.5], label="images")
    bars.set_xticks([0, 1], ["=1+1", "811"])
    bars.axhline(2)  # marks a place, is no number of the figure
    curves.set_title("loss")
    curves.set_xlabel("epoch")
    curves.errorbar([1, 2], [3, 4], yerr=[0.5, 0.25], label="mean")
    curves.scatter([1], [5], c=[0.1])
    figure.colorbar(curves.imshow([[1, 2], [3, 4]]))
    curves.imshow(np.zeros((60, 60)))  # a photograph
    rows = read(encode_picture(figure, "a", "A.").values)
    assert list(rows[0]) == [name for name in COLUMNS if name not in ("y_axis", "y_name")]
    shown = [tuple(row[name] for name in ("x_name", "y", "y_to", "series")) for row in rows[:2]]
    assert shown == [("'=1+1", "0", "3", "images"), ("811", "0", "4.5", "images")]
    kinds = [row["drawn_as"] for row in rows[2:]]
    assert kinds == ["line"] * 2 + ["segment"] * 2 + ["point"] + ["cell"] * 4
    assert {row["panel"] for row in rows[2:]} == {"loss"}
    assert {row["x_axis"] for row in rows[2:]} == {"epoch"}
    assert [row["series"] for row in rows[2:6]] == ["mean"] * 4
    assert [(r["x"], r["y"]) for r in rows[2:4]] == [("1", "3"), ("2", "4")]
    assert [(r["y"], r["y_to"]) for r in rows[4:6]] == [("2.5", "3.5"), ("3.75", "4.25")]
    assert [(r["x"], r["y"], r["value"]) for r in rows[6:]] == [
        ("1", "5", "0.1"), ("0", "0", "1"), ("1", "0", "2"), ("0", "1", "3"), ("1", "1", "4"),
    ]  # fmt: skip


def test_curves_are_named_as_the_legend_of_the_figure_does() -> None:
    figure = make_figure(4, 2)
    panels = figure.subplots(1, 2)
    lines = [panels[i].plot([0, 1], [i, i], color=colour)[0] for i, colour in enumerate("rb")]
    panels[1].plot([0, 1], [2, 2], color="r")
    panels[1].plot([0, 1], [3, 3], color="#123456")
    figure.legend(lines, ["train", "test"])
    figure.supxlabel("grey level")
    rows = read(spell_values(figure))
    assert [row["series"] for row in rows[::2]] == ["train", "test", "train", "#123456"]
    assert [row["panel"] for row in rows[::2]] == ["1", "2", "2", "2"]
    assert {row["x_axis"] for row in rows} == {"grey level"}


def test_a_figure_without_numbers_has_none() -> None:
    figure = make_figure(2, 2)
    figure.subplots().imshow(np.zeros((60, 60, 3)))
    assert spell_values(figure) == b""
