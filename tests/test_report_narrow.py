"""Figures for telephones: panels below each other, nothing cut, every panel labelled."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from batteryscope.core.style import (
    BLUE,
    NARROW_IN,
    Picture,
    draw_legend,
    encode_picture,
    make_figure,
    stack_panels,
)
from batteryscope.report.bars import draw_class_sizes
from batteryscope.report.curves import draw_training_curves
from batteryscope.report.html import make_environment
from batteryscope.report.number_figures import draw_trade_off
from batteryscope.report.number_pictures import list_training_figures
from batteryscope.report.reliability import draw_reliability
from batteryscope.report.shortcuts import draw_skills
from batteryscope.report.shown_same_tiles import Panel, draw_panels


def list_cut_texts(figure: Figure) -> list[str]:
    """Texts that reach beyond the edges of a figure."""
    figure.draw_without_rendering()
    width, height = figure.bbox.width, figure.bbox.height
    undrawn = set()  # numbers of an axis beyond its ends
    for axis in [axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)]:
        low, high = sorted(axis.get_view_interval())
        for tick in (*axis.majorTicks, *axis.minorTicks):
            undrawn |= set() if low <= tick.get_loc() <= high else {tick.label1}
    cut = []
    for text in set(figure.findobj(Text)) - undrawn:
        box = text.get_window_extent()
        if text.get_text().strip() and text.get_visible() and text.get_in_layout():
            inside = box.x0 > -1 and box.y0 > -1 and box.x1 < width + 1 and box.y1 < height + 1
            cut += [] if inside else [text.get_text()]
    return cut


def draw_skill_bars() -> Figure:
    return draw_skills([(f"only the {name} of the picture", 0.4, 0.3, 0.5, BLUE) for name in "abc"])


def draw_sizes() -> Figure:
    sizes = {"train": [144, 90], "test": [0, 3]}  # the longest bar has no second part
    return draw_class_sizes(pd.DataFrame(sizes, ["333 new", "811 old"]))


def draw_curves() -> Figure:
    history = pd.DataFrame({"epoch": [1, 2], "train_loss": [2.0, 1.0], "val_accuracy": [0.4, 0.6]})
    return draw_training_curves([history], [2])


def draw_calibration() -> Figure:
    bins = {"bin_low": [0.0], "bin_high": [1.0], "confidence": [0.5], "accuracy": [0.1]}
    rows = pd.DataFrame(bins | {"count": [9]})
    return draw_reliability(rows, "images", rows)


def draw_rates() -> Figure:
    rows = [
        {"arm": arm, "unit": unit, "c_rate": rate, "class": porosity, "measured": 1, "predicted": 2}
        for arm, unit in (("m", "Ah/kg"), ("v", "Ah/L"), ("physics", "Ah/kg"), ("physics", "Ah/L"))
        for rate in (0.2, 5)
        for porosity in ("25", "50")
    ]
    return draw_trade_off(pd.DataFrame(rows), "m", "v")


@pytest.mark.parametrize(
    ("draw", "panels"), [(draw_skill_bars, 1), (draw_sizes, 1), (draw_curves, 2), (draw_rates, 6),
     (draw_calibration, 2)],
)  # fmt: skip
def test_panels_stand_below_each_other_and_nothing_is_cut(draw: Any, panels: int) -> None:
    figure = draw()
    stack_panels(figure)
    assert figure.get_size_inches()[0] == NARROW_IN
    assert not list_cut_texts(figure)
    tops = [axes.get_position().y1 for axes in figure.axes]
    assert len(tops) == panels
    assert tops == sorted(tops, reverse=True)
    assert all(axes.get_xlabel() for axes in figure.axes)


def test_a_legend_has_as_many_columns_as_its_figure_is_wide_enough_for() -> None:
    widths = []
    for labels in (["a", "b", "c"], [f"a strategy with the long name {i}" for i in range(3)]):
        figure = make_figure(4.0, 2.0)
        lines = [figure.subplots().plot([1, 2])[0] for _ in labels]
        draw_legend(figure, lines, labels)
        (legend,) = figure.legends
        assert [text.get_text() for text in legend.get_texts()] == labels
        box = legend.get_window_extent()
        widths.append((box.width < figure.bbox.width, box.height > 40))
    assert widths == [(True, False), (True, True)]


def test_panels_keep_the_titles_and_labels_that_they_shared() -> None:
    curves = draw_curves()
    stack_panels(curves)
    assert [axes.get_ylabel() for axes in curves.axes] == ["cross-entropy", "right answers"]
    figure = draw_rates()
    stack_panels(figure)
    told = [(axes.get_title("left"), axes.get_ylabel()) for axes in figure.axes]
    assert told[:2] == [("measured", "capacity / mAh/g"), ("simulated", "capacity / mAh/g")]
    assert told[3:5] == [("measured", "capacity / Ah/L"), ("simulated", "capacity / Ah/L")]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["0.2C", "5C"]
    widths = [text.get_window_extent().x0 for text in legend.get_texts()]
    assert np.ptp(widths) < 1  # one column


def test_a_name_of_two_lines_stands_above_its_bar() -> None:
    figure = draw_skills([("the long name of a strategy " * 2, 0.4, 0.3, 0.5, BLUE)])
    stack_panels(figure)
    figure.draw_without_rendering()
    (axes,) = figure.axes
    (name,) = [text for text in axes.texts if "\n" in text.get_text()]
    assert name.get_window_extent().y0 > axes.patches[0].get_window_extent().y1


def test_a_picture_that_is_missing_takes_no_place() -> None:
    tile = np.zeros((4, 4), np.uint8)
    rows: list[tuple[str, list[Panel]]] = [
        ("new", [(tile, "", True), (None, "", True)]),
        ("old", [(tile, "", True), (tile, "new", False)]),
    ]
    drawn = draw_panels(rows, ["tile", "network"], narrow=True)
    titles = [axes.get_title("left") for axes in drawn.axes if axes.axison]
    assert titles == ["tile", "tile", "network"]


def test_a_cut_text_is_found() -> None:
    figure = make_figure(2, 2)
    figure.text(0.9, 0.5, "much too long for what is left")
    assert list_cut_texts(figure) == ["much too long for what is left"]


@pytest.mark.parametrize("narrow", [True, False])
def test_a_page_shows_the_narrow_form_if_there_is_one(narrow: bool) -> None:
    picture = encode_picture(draw_curves(), "curves", "Two panels.", narrow=narrow)
    page = render(picture)
    assert page.count("<img") == 1 + narrow
    assert ('class="narrow"' in page) == narrow
    assert ('class="wide broad"' in page) == narrow


def render(picture: Picture) -> str:
    template = "{% from 'macros.html.j2' import drawn with context %}{{ drawn(shown) }}"
    return make_environment().from_string(template).render(shown=picture)


@pytest.mark.parametrize(("epochs", "drawn"), [(1, False), (2, True)])
def test_training_of_one_epoch_is_no_curve(epochs: int, drawn: bool) -> None:
    history = pd.DataFrame({"epoch": range(epochs), "train_loss": 1.0, "val_loss": 1.0})
    evidence: Any = SimpleNamespace(histories={"a": [history]}, label=str)
    assert bool(list_training_figures(evidence, "a")) == drawn
