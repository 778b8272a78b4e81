"""The look of all figures: colours, fonts, and files that are the same for the same input."""

import functools
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
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
    """One figure, drawn: its file name without ending, what it shows, and both formats."""

    name: str
    caption: str
    png: bytes
    svg: bytes


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
def encode_picture(figure: "Figure", name: str, caption: str, generated: bool = False) -> Picture:
    """Encode a figure as PNG and SVG, byte by byte the same for the same figure.

    Parameters
    ----------
    figure
        A figure from :func:`make_figure` without a title above all axes.
    name, caption
        File name without ending; one sentence on what the figure shows.
    generated
        Mark the figure itself as made from generated data, since figures travel alone.
    """
    if generated:
        figure.suptitle(
            "generated data, not measurements",
            x=0.995,
            ha="right",
            fontsize=7.5,
            style="italic",
            color=VERMILLION,
        )
    png, svg = io.BytesIO(), io.BytesIO()
    figure.savefig(png, format="png", dpi=PNG_DPI, metadata={"Software": None})
    figure.set_layout_engine(None)  # both formats share the layout that was found for the first
    figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
    return Picture(name, caption, png.getvalue(), svg.getvalue())


def percent_axis(axes: "Axes", which: str = "x", high: float = 1.0) -> None:
    """Label an axis of fractions in percent, from 0 to ``high``."""
    from matplotlib.ticker import PercentFormatter

    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
    limits = axes.set_xlim if which == "x" else axes.set_ylim
    limits(0.0, high)
