"""The look of all figures: colours, fonts, and files that are the same for the same input."""

import functools
import io
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from batteryscope.core.figure_values import spell_values

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

F = TypeVar("F", bound=Callable[..., Any])

# Okabe and Ito's palette, told apart by people with colour-vision deficiencies and in print.
BLUE = "#0072B2"
ORANGE = "#E69F00"
GREEN = "#009E73"
VERMILLION = "#D55E00"
SKY = "#56B4E9"
PURPLE = "#CC79A7"
GREY = "#9AA1AB"
INK = "#1F2933"
SOFT_INK = "#5B6672"
SERIES = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILLION)

PNG_DPI = 160
# What a report shows without scrolling on a screen of 400 pixels, with letters of full size.
NARROW_IN, NARROW_ROW_IN, NARROW_LETTERS, NARROW_TITLE = 3.0, 0.7, 46, 28
_RC: Any = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so every machine draws the same
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titley": 1.0,  # else every axis is laid out in search of labels above it
    "axes.labelcolor": INK,
    "axes.edgecolor": "#C3CAD2",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "text.color": INK,
    "xtick.color": SOFT_INK,
    "ytick.color": SOFT_INK,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "grid.color": "#E4E8EC",
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.4,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.hashsalt": "batteryscope",  # otherwise the element names in an SVG are random
}


@dataclass(frozen=True)
class Picture:
    """One figure, drawn: its file name without ending, what it shows, and both formats.

    ``narrow`` is the PNG for the screen of a telephone, if there is one; ``values`` are the numbers
    that it shows (:func:`batteryscope.core.figure_values.spell_values`), as CSV.
    """

    name: str
    caption: str
    png: bytes
    svg: bytes
    narrow: bytes | None = None
    values: bytes = b""


def house_style(function: F) -> F:
    """Run a drawing function with the house style (fonts, colours, fixed SVG names)."""

    @functools.wraps(function)
    def styled(*args: Any, **kwargs: Any) -> Any:
        import matplotlib as mpl  # here, so that programs which draw nothing start quickly

        with mpl.rc_context(_RC):
            return function(*args, **kwargs)

    return styled  # type: ignore[return-value]


@house_style
def order_colours(n: int) -> list[tuple[float, ...]]:
    """Return colours for ``n`` values in an order, dark to bright, all of them different."""
    from matplotlib import colormaps

    return [colormaps["viridis"](0.88 * i / max(1, n - 1)) for i in range(n)]


def make_figure(width_in: float, height_in: float) -> "Figure":
    """Return an empty figure of the given size in inches, free of pyplot's global state."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width_in, height_in), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


@house_style
def encode_picture(
    figure: "Figure",
    name: str,
    caption: str,
    generated: bool = False,
    narrow: "bool | Figure" = False,
) -> Picture:
    """Encode a figure as PNG and SVG, byte by byte the same for the same figure.

    Parameters
    ----------
    figure
        A figure from :func:`make_figure` without a title above all axes.
    name, caption
        File name without ending; one sentence on what the figure shows.
    generated
        Mark the figure itself as made from generated data, since figures travel alone.
    narrow
        Draw it for a telephone, too: its panels below each other, or a figure that was drawn
        ``NARROW_IN`` inches wide.
    """
    for drawn in (figure,) if isinstance(narrow, bool) else (figure, narrow):
        if generated:
            drawn.suptitle(
                "generated data, not measurements",
                x=0.995,
                ha="right",
                fontsize=7.5,
                style="italic",
                color=VERMILLION,
            )
    values = spell_values(figure)
    png, svg = io.BytesIO(), io.BytesIO()
    figure.savefig(png, format="png", dpi=PNG_DPI, metadata={"Software": None})
    figure.set_layout_engine(None)  # both formats share the layout that was found for the first
    figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
    small = None
    if narrow:
        if isinstance(narrow, bool):
            stack_panels(figure)
        stream = io.BytesIO()
        drawn = figure if isinstance(narrow, bool) else narrow
        drawn.savefig(stream, format="png", dpi=PNG_DPI, metadata={"Software": None})
        small = stream.getvalue()
    return Picture(name, caption, png.getvalue(), svg.getvalue(), small, values)


def draw_legend(
    figure: "Figure",
    handles: "Sequence[Artist]",
    labels: Sequence[str],
    loc: Literal["outside lower center", "outside upper left"] = "outside lower center",
) -> None:
    """Write a legend outside all panels, in as many columns as the figure is wide enough for."""
    for n_columns in range(len(labels), 0, -1):
        legend = figure.legend(handles, labels, loc=loc, ncols=n_columns)
        if n_columns == 1 or legend.get_window_extent().width <= figure.bbox.width:
            return
        legend.remove()


@house_style
def stack_panels(figure: "Figure") -> None:
    """Put panels below each other and the names of bars above them: letters keep their size."""
    panels = [axes for axes in figure.axes if axes.axison]
    for axes in panels if figure.get_supylabel() else ():
        axes.set_ylabel(axes.get_ylabel() or figure.get_supylabel())
    figure.supylabel("")
    _label_alone(panels)
    names = [[text.get_text() for text in axes.get_yticklabels()] for axes in panels]
    named = [any(letter.isalpha() for name in own for letter in name) for own in names]
    heights = [
        0.9 + NARROW_ROW_IN * len(own) if has_names else NARROW_IN
        for own, has_names in zip(names, named, strict=True)
    ]
    grid = figure.add_gridspec(len(panels), 1, height_ratios=heights)
    for number, axes in enumerate(panels):
        axes.set_subplotspec(grid[number])
        axes.set_title(textwrap.fill(axes.get_title("left"), NARROW_TITLE))
        axes.set_xlabel(textwrap.fill(axes.get_xlabel(), NARROW_LETTERS - 8))
        for text in axes.texts:  # what is written into the panel does not make it smaller
            text.set_in_layout(text.get_window_extent().y0 > axes.bbox.y1)
            text.set_text(textwrap.fill(text.get_text(), NARROW_LETTERS - 8))
        if named[number]:
            name_rows(axes, axes.get_yticks().tolist(), names[number])
    for legend in list(figure.legends):  # its columns are set when it is made
        handles = [handle for handle in legend.legend_handles if handle is not None]
        labels = [text.get_text() for text in legend.get_texts()]
        legend.remove()
        figure.legend(handles, labels, loc="outside lower center", ncols=1)
        heights.append(0.2 + 0.2 * len(labels))
    figure.set_size_inches(NARROW_IN, sum(heights))
    figure.set_layout_engine("constrained")


def _label_alone(panels: Sequence["Axes"]) -> None:
    """Give each panel the title, labels and numbers that it shared with those beside it."""
    places = []
    for axes in panels:
        spec = axes.get_subplotspec()
        places.append((spec.rowspan.start, spec.colspan.start) if spec else (0, 0))
    for axes, (row, column) in zip(panels, places, strict=True):
        above = [a for a, place in zip(panels, places, strict=True) if place[1] == column]
        beside = [a for a, place in zip(panels, places, strict=True) if place[0] == row]
        if not axes.get_title("left"):
            axes.set_title(above[0].get_title("left"))
        axes.set_xlabel(axes.get_xlabel() or above[-1].get_xlabel())
        axes.set_ylabel(axes.get_ylabel() or beside[0].get_ylabel())
        axes.tick_params(labelbottom=True, labelleft=True)


def name_rows(axes: "Axes", rows: Sequence[float], names: Sequence[str]) -> None:
    """Write names above the bars of a panel, which become thinner, instead of left of it.

    Parameters
    ----------
    axes
        A panel whose limits in y are set.
    rows, names
        Where each row is, and what it is called.
    """
    from matplotlib.patches import Rectangle

    low, high = axes.get_ylim()
    for bar in axes.patches:
        if isinstance(bar, Rectangle):
            middle = bar.get_y() + bar.get_height() / 2
            bar.set(y=middle - 0.2, height=0.4)
    upwards = 1 if high > low else -1
    for row, name in zip(rows, names, strict=True):
        text = textwrap.fill(name, NARROW_LETTERS)
        height, end = (0.22, "bottom") if "\n" in text else (0.48, "top")
        axes.text(
            0.01, row + upwards * height, text, transform=axes.get_yaxis_transform(), va=end,
            fontsize=8, in_layout=False, linespacing=1.1,
        )  # fmt: skip
    axes.tick_params(axis="y", labelleft=False, length=0)


def percent_axis(axes: "Axes", which: str = "x", high: float = 1.0) -> None:
    """Label an axis of fractions in percent, from 0 to ``high``."""
    from matplotlib.ticker import PercentFormatter

    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
    limits = axes.set_xlim if which == "x" else axes.set_ylim
    limits(0.0, high)
