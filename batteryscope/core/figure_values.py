"""The numbers that a figure shows, read from what is drawn in it."""

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from batteryscope.core.safe_text import guard_row

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

COLUMNS = (
    *("panel", "drawn_as", "series", "x_axis", "x", "x_to", "x_name"),
    *("y_axis", "y", "y_to", "y_name", "value"),
)
MOST_CELLS = 2_500  # an image with more is a photograph, not a table of values
MOST_ROWS = 50_000
NAME_WITHIN = 0.5  # of an axis of names: bars that stand side by side share one

Row = dict[str, Any]


def spell_values(figure: "Figure") -> bytes:
    """Return the numbers of a figure as a CSV table, a row for every point, bar or cell.

    Parameters
    ----------
    figure
        With its lines, bars, points, areas and maps of few cells. Photographs, texts and lines
        that mark a place on one axis only are left out.

    Returns
    -------
    bytes
        Columns as in ``COLUMNS``, those without an entry left out; ``x`` and ``y`` in the units
        that the axes name, ``x_to`` and ``y_to`` the other end of a bar or an error bar,
        ``series`` is the name in the legend, else the colour; ``value`` what a colour of a map
        stands for. Empty where the figure shows no numbers, or more than
        ``MOST_ROWS``.
    """
    import pandas as pd

    rows: list[Row] = []
    panels = [a for a in figure.axes if a.get_visible() and a.get_label() != "<colorbar>"]
    for number, axes in enumerate(panels, start=1):
        titles = (axes.get_title(loc) for loc in ("left", "center", "right"))
        common = {
            "panel": next(filter(None, titles), str(number)),
            "x_axis": axes.get_xlabel() or figure.get_supxlabel(),
            "y_axis": axes.get_ylabel() or figure.get_supylabel(),
        }
        name_x, name_y = _find_names(axes.xaxis), _find_names(axes.yaxis)
        for row in _list_rows(axes):
            places = [
                (name_x, row["x"], row.get("x_to")), (name_y, row["y"], row.get("y_to")),
            ]  # fmt: skip
            found = [_name_place(*place) for place in places]
            rows.append(guard_row(common | row | {"x_name": found[0], "y_name": found[1]}))
        if len(rows) > MOST_ROWS:
            return b""
    if not rows:
        return b""
    table = pd.DataFrame(rows, columns=list(COLUMNS)).replace("", None)
    table = table.dropna(axis="columns", how="all")
    return table.to_csv(index=False, float_format="%.6g", lineterminator="\n").encode()


def _list_rows(axes: "Axes") -> Iterator[Row]:
    from matplotlib.collections import LineCollection, PathCollection, PolyCollection, QuadMesh

    series = _Series(axes)
    for line in axes.lines:
        if _lies_in(axes, line):
            told = {"drawn_as": "line", "series": series.name(line)}
            x, y = line.get_xdata(orig=False), line.get_ydata(orig=False)
            yield from (told | point for point in _list_points(np.column_stack([x, y])))
    for patch in axes.patches:
        if _lies_in(axes, patch):
            corners = patch.get_path().transformed(patch.get_patch_transform()).get_extents()
            told = {"drawn_as": "bar", "series": series.name(patch)}
            yield told | _span(corners.min, corners.max)
    for drawn in axes.collections:
        values = drawn.get_array()
        told = {"series": series.name(drawn) if values is None else ""}
        if isinstance(drawn, PathCollection):
            offsets: NDArray[Any] = np.ma.filled(np.ma.asarray(drawn.get_offsets(), float), np.nan)
            for i, point in enumerate(_list_points(offsets)):
                shown = (
                    {} if values is None or len(values) != len(offsets) else {"value": values[i]}
                )
                yield told | {"drawn_as": "point"} | point | shown
        elif isinstance(drawn, LineCollection) and _lies_in(axes, drawn):
            for segment in drawn.get_segments():
                parts = [_span(*segment)] if len(segment) == 2 else _list_points(segment)
                yield from (told | {"drawn_as": "segment"} | part for part in parts)
        elif isinstance(drawn, PolyCollection) and _lies_in(axes, drawn):
            for path in drawn.get_paths():
                points = _list_points(np.asarray(path.vertices))
                yield from (told | {"drawn_as": "area"} | point for point in points)
        elif isinstance(drawn, QuadMesh):
            edges = np.asarray(drawn.get_coordinates())
            centres = (edges[:-1, :-1] + edges[1:, 1:]) / 2
            yield from _list_cells(centres, np.ma.asarray(drawn.get_array()))
    for image in axes.images:
        values = np.ma.asarray(image.get_array())
        if values.ndim == 2 and values.size <= MOST_CELLS:
            left, right, bottom, top = image.get_extent()
            if image.origin == "upper":
                bottom, top = top, bottom
            down, across = values.shape
            x = left + (np.arange(across) + 0.5) * (right - left) / across
            y = bottom + (np.arange(down) + 0.5) * (top - bottom) / down
            yield from _list_cells(np.stack(np.meshgrid(x, y), axis=-1), values)


def _list_cells(centres: NDArray[Any], values: Any) -> Iterator[Row]:
    values = np.ma.filled(values.astype(float), np.nan).ravel()
    for point, value in zip(_list_points(centres.reshape(-1, 2)), values, strict=True):
        yield {"drawn_as": "cell", "series": "", "value": value} | point


def _list_points(points: NDArray[Any]) -> list[Row]:
    return [{"x": float(x), "y": float(y)} for x, y in points]


def _span(start: Any, end: Any) -> Row:
    return {
        "x": float(start[0]), "y": float(start[1]), "x_to": float(end[0]), "y_to": float(end[1]),
    }  # fmt: skip


def _lies_in(axes: "Axes", artist: "Artist") -> bool:
    """Whether both coordinates are data: a line that crosses the whole panel marks a place."""
    return all(artist.get_transform().contains_branch_seperately(axes.transData))


class _Series:
    """Names of what is drawn in a panel."""

    def __init__(self, axes: "Axes") -> None:
        figure = axes.get_figure()
        legends = [axes.get_legend(), *(figure.legends if figure else [])]
        shown = [
            (_find_colour(handle), text.get_text())
            for legend in legends
            if legend is not None
            for handle, text in zip(legend.legend_handles, legend.get_texts(), strict=False)
            if handle is not None
        ]
        names: dict[str, set[str]] = {}
        for colour, name in shown:
            names.setdefault(colour, set()).add(name)
        self._by_colour = {colour: min(n) for colour, n in names.items() if len(n) == 1}
        self._by_container = {
            id(part): str(container.get_label())
            for container in axes.containers
            for part in container.get_children()
        }

    def name(self, artist: "Artist") -> str:
        """What the legend calls it, or its colour; matplotlib's own names begin with ``_``."""
        names = (str(artist.get_label()), self._by_container.get(id(artist), ""))
        colour = _find_colour(artist)
        own = next((name for name in names if name and not name.startswith("_")), "")
        return own or self._by_colour.get(colour, colour)


def _find_colour(artist: "Artist") -> str:
    """The colour as ``#rrggbb``: that of the line, or of the area and else of its edge."""
    from matplotlib.colors import to_hex, to_rgba_array

    for look in ("get_color", "get_facecolor", "get_edgecolor"):
        if hasattr(artist, look):
            colours = to_rgba_array(getattr(artist, look)())
            if len(colours) and colours[0, 3] > 0:
                return to_hex(colours[0])
    return ""


def _find_names(axis: "Axis") -> dict[float, str]:
    """Names along an axis that shows no numbers."""
    from matplotlib.category import StrCategoryFormatter
    from matplotlib.ticker import FixedFormatter, FuncFormatter

    formatter = axis.get_major_formatter()
    # Names given with set_ticks are a function of matplotlib's own; others write numbers.
    is_given = isinstance(formatter, FuncFormatter) and isinstance(formatter.func, partial)
    if not is_given and not isinstance(formatter, FixedFormatter | StrCategoryFormatter):
        return {}
    places = axis.get_majorticklocs()
    names = [" ".join(text.split()) for text in formatter.format_ticks(list(places))]
    return {float(place): name for place, name in zip(places, names, strict=True) if name}


def _name_place(names: dict[float, str], start: float, end: float | None) -> str:
    centre = start if end is None else (start + end) / 2
    nearest = min(names, key=lambda place: abs(place - centre), default=None)
    if nearest is None or not abs(nearest - centre) < NAME_WITHIN:
        return ""
    return names[nearest]
