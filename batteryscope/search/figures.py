"""The figures of a search: Optuna's own, and ASHA beside random search."""

import io
import logging
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pandas as pd

from batteryscope.core.figure_values import spell_values
from batteryscope.core.style import (
    BLUE,
    ORANGE,
    Picture,
    encode_picture,
    house_style,
    make_figure,
)
from batteryscope.search.results import name_metric

if TYPE_CHECKING:
    import optuna
    from matplotlib.figure import Figure

log = logging.getLogger("batteryscope")
CAPTIONS = {
    "history": "Value of every candidate over the order of their start, and the best so far.",
    "intermediate_values": "Validation metric over epochs, one line per candidate. Lines that end "
    "early belong to candidates that were stopped.",
    "parallel_coordinates": "One line per candidate through its settings; the colour is its value.",
    "importance": "Share of the value's variation that each setting explains among the best "
    "candidates (PED-ANOVA). With few "
    "candidates this is no more than a hint.",
}


def draw_search(study: "optuna.Study", progress: pd.DataFrame, metric: str) -> Iterator[Picture]:
    """Draw all figures; one that too few candidates allow is left out with a warning.

    Parameters
    ----------
    study
        The Optuna study of ASHA.
    progress
        Best value so far over epochs, per strategy.
    metric
        Name of the validation metric.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    import optuna.visualization.matplotlib as draw

    name = name_metric(metric)
    yield encode_picture(
        draw_progress(progress, name),
        "asha_and_random",
        f"Best {name} so far over the epochs spent, candidates counted in the order in which they "
        "ended.",
    )
    functions = {
        "history": draw.plot_optimization_history,
        "intermediate_values": draw.plot_intermediate_values,
        "parallel_coordinates": draw.plot_parallel_coordinate,
        "importance": draw.plot_param_importances,
    }
    for title, function in functions.items():
        try:
            yield _draw(function, study, title, name)
        except (ValueError, RuntimeError, ZeroDivisionError) as error:
            log.warning("The figure '%s' is left out: %s", title, str(error).splitlines()[0])


def _draw(function: object, study: "optuna.Study", title: str, name: str) -> Picture:
    from matplotlib import pyplot

    assert callable(function)
    wanted = {} if title == "intermediate_values" else {"target_name": name}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of few candidates, equal values and new functions
        drawn = function(study, **wanted)
        axes = drawn.flat[0] if hasattr(drawn, "flat") else drawn
        figure = axes.get_figure()
        for place in ("left", "center", "right"):
            axes.set_title("", loc=place)
        if title == "intermediate_values":
            axes.set_xlabel("epoch")
            axes.set_ylabel(name)
        legend = axes.get_legend()
        if legend is not None and len(legend.get_texts()) > 12:
            legend.remove()
        values = spell_values(figure)
        figure.set_size_inches(7.2, 3.6)
        png, svg = io.BytesIO(), io.BytesIO()
        figure.savefig(png, format="png", dpi=130, bbox_inches="tight")
        figure.savefig(svg, format="svg", bbox_inches="tight")
        pyplot.close(figure)
    return Picture(title, CAPTIONS[title], png.getvalue(), svg.getvalue(), values=values)


@house_style
def draw_progress(progress: pd.DataFrame, name: str) -> "Figure":
    """Draw the best value so far over the epochs spent, a line of steps per strategy."""
    figure = make_figure(5.4, 3.0)
    axes = figure.subplots()
    labels = {"asha": "successive halving (ASHA)", "random": "random search"}
    for (strategy, line), colour in zip(
        progress.groupby("strategy", sort=False), (BLUE, ORANGE), strict=False
    ):
        axes.step(
            line["epochs"], line["best"], where="post", color=colour, marker="o", ms=3,
            label=labels.get(str(strategy), str(strategy)),
        )  # fmt: skip
    axes.set_xlabel("epochs spent")
    axes.set_ylabel(f"best {name} so far")
    axes.grid(axis="y")
    axes.legend(loc="best")
    return figure
