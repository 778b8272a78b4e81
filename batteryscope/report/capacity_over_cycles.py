"""Capacity over the cycles, and what the network recognises at the cycles of the pictures."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from batteryscope.config.cycling import CAPACITY, CELL, CYCLE
from batteryscope.core.plural import count_of
from batteryscope.core.safe_text import guard_table
from batteryscope.core.style import (
    INK,
    NARROW_IN,
    SOFT_INK,
    Picture,
    draw_legend,
    encode_picture,
    house_style,
    make_figure,
    order_colours,
)
from batteryscope.evaluation.aggregate import pool_fits
from batteryscope.manifest.cycling import GROUP
from batteryscope.report.evidence import StudyEvidence

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAME = "capacity_over_cycles"
# More materials or specimens than this are drawn as one.
MOST_PANELS = 8
COLUMNS, NARROW_COLUMNS = 4, 2


def average_curves(table: pd.DataFrame) -> pd.DataFrame:
    """Average the cells of every group.

    Parameters
    ----------
    table
        ``group, cell, cycle, capacity_mah_g``.

    Returns
    -------
    DataFrame
        ``group, cycle, mean, sd, n`` (mAh/g; the standard deviation is NaN for one cell).
    """
    grouped = table.groupby([GROUP, CYCLE])[CAPACITY]
    return grouped.agg(["mean", "std", "count"]).set_axis(["mean", "sd", "n"], axis=1).reset_index()


def place_states(
    curves: pd.DataFrame, places: pd.DataFrame, verdicts: pd.DataFrame
) -> pd.DataFrame:
    """Say what was recognised at the place of every state on its curve.

    Parameters
    ----------
    curves
        As of :func:`average_curves`.
    places
        ``sample_id, group, state, cycle, class`` of all pictures.
    verdicts
        ``sample_id, y_pred`` of the tested pictures, where ``y_pred`` is a class.

    Returns
    -------
    DataFrame
        ``group, state, cycle`` (mean of the pictures), ``capacity_mah_g`` (of the curve at that
        cycle; a cycle outside of it has that of its nearest end), ``recognised`` (a state) and
        ``images`` (how many tested pictures of the state were put into it), by group and cycle. A
        state of which no picture was tested has one row without ``recognised``.
    """
    state_of = dict(zip(places["class"], places["state"], strict=True))
    tested = verdicts.assign(recognised=verdicts["y_pred"].map(state_of))[
        ["sample_id", "recognised"]
    ]
    rows = places.merge(tested, on="sample_id", how="left")
    means = places.groupby([GROUP, "state"])[CYCLE].mean()
    counts = rows.groupby([GROUP, "state", "recognised"])["sample_id"].count().rename("images")
    found = means.reset_index().merge(counts.reset_index(), on=[GROUP, "state"], how="left")
    found[CAPACITY] = np.nan
    for group, curve in curves.groupby(GROUP):
        mine = found[GROUP] == group
        found.loc[mine, CAPACITY] = np.interp(found.loc[mine, CYCLE], curve[CYCLE], curve["mean"])
    found = found.dropna(subset=CAPACITY).fillna({"images": 0}).astype({"images": int})
    columns = [GROUP, "state", CYCLE, CAPACITY, "recognised", "images"]
    return found.sort_values([GROUP, CYCLE, "recognised"])[columns].reset_index(drop=True)


def draw_capacities(evidence: StudyEvidence) -> Picture | None:
    """Draw capacity over the cycles with what was recognised there; None without a table."""
    pieces = _collect(evidence)
    if pieces is None:
        return None
    curves, states = pieces
    tested = count_of(int(states["images"].sum()), "test image")
    known = evidence.settings.dataset.cycle_table
    several = known is not None and known.match and len(set(states[GROUP])) > 1
    match = f", for each {str(known.match).replace('_', ' ')}" if known and several else ""
    caption = (
        "Specific discharge capacity over the cycle number"
        + match
        + ". Line: mean of the cells in the table"
        + (", band: their standard deviation" if curves["sd"].notna().any() else "")
        + ". Circles: after so many cycles the electrodes of a state were taken out. Bars: into "
        f"which state the {tested} came, by true state; a bar of one colour, that of its circle, "
        "means no mistaken state. Nothing was trained on the capacities."
    )
    narrow = _draw(curves, states, narrow=True)
    return encode_picture(_draw(curves, states), NAME, caption, evidence.generated, narrow)


def write_capacities(evidence: StudyEvidence) -> dict[str, bytes]:
    """Return the tables of the figure as CSV, by file name."""
    pieces = _collect(evidence)
    if pieces is None:
        return {}
    names = (f"{NAME}.csv", "states_over_cycles.csv")
    return {
        name: guard_table(table.round(4)).to_csv(index=False, lineterminator="\n").encode()
        for name, table in zip(names, pieces, strict=True)
    }


def _collect(evidence: StudyEvidence) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """The curves, and the states on them; many groups become one."""
    if evidence.cycling is None or evidence.places is None or evidence.images is None:
        return None
    table, places = evidence.cycling, evidence.places
    places = places[places[GROUP].isin(table[GROUP])]
    table = table[table[GROUP].isin(places[GROUP])]
    if places[GROUP].nunique() > MOST_PANELS:
        # Cells of different groups may share a name.
        cells = table[GROUP] + "/" + table[CELL]
        table = table.assign(**{GROUP: ""})
        table[CELL] = cells
        places = places.assign(**{GROUP: ""})
    images = evidence.images
    mine = images[images["arm"] == evidence.main_arm]
    if "role" in mine:
        mine = mine[mine["role"] == "test"]
    if mine["sample_id"].duplicated().any():  # several networks tested it: they vote
        mine = pool_fits(mine.assign(tile=-1))
    curves = average_curves(table)
    return curves, place_states(curves, places, mine)


@house_style
def _draw(curves: pd.DataFrame, states: pd.DataFrame, narrow: bool = False) -> "Figure":
    groups = list(dict.fromkeys(states[GROUP]))
    order = list(states.groupby("state")[CYCLE].mean().sort_values().index)
    colours = dict(zip(order, order_colours(len(order)), strict=True))
    columns = min(NARROW_COLUMNS if narrow else COLUMNS, len(groups))
    blocks = -(-len(groups) // columns)
    width = NARROW_IN if narrow else 7.2 if columns > 1 else 4.2
    figure = make_figure(width, 0.5 + 2.9 * blocks)
    grid = figure.subplots(
        2 * blocks, columns, squeeze=False, sharey="row", height_ratios=[1.7, 1.0] * blocks
    )
    for place in range(blocks * columns):
        block, column = divmod(place, columns)
        upper, lower = grid[2 * block, column], grid[2 * block + 1, column]
        if place >= len(groups):
            upper.set_visible(False)
            lower.set_visible(False)
            continue
        group = groups[place]
        mine = states[states[GROUP] == group]
        _draw_curve(upper, curves[curves[GROUP] == group], mine, colours)
        upper.set_title(str(group).replace("_", " "))
        _draw_shares(lower, mine, order, colours)
        if column == 0:
            upper.set_ylabel("capacity / mAh/g")
            lower.set_ylabel("recognised / %")
        upper.set_ylim(0, 1.08 * curves["mean"].max())
    handles = [_patch(colours[state]) for state in order]
    names = [s.replace("_", " ") for s in order]
    if narrow:  # beside it stands that data were generated
        figure.legend(handles, names, loc="outside upper left", ncols=1)
    else:
        draw_legend(figure, handles, names, "outside upper left")
    return figure


def _draw_curve(
    axes: "Axes", curve: pd.DataFrame, states: pd.DataFrame, colours: dict[str, Any]
) -> None:
    axes.plot(curve[CYCLE], curve["mean"], color=INK, lw=1.2)
    sd = curve["sd"].fillna(0)
    axes.fill_between(curve[CYCLE], curve["mean"] - sd, curve["mean"] + sd, color=INK, alpha=0.15)
    once = states.drop_duplicates("state")
    axes.scatter(
        once[CYCLE],
        once[CAPACITY],
        c=[colours[state] for state in once["state"]],
        s=42,
        edgecolors="white",
        zorder=3,
        clip_on=False,
    )
    axes.set_xlabel("cycle")
    axes.grid(axis="y")


def _draw_shares(
    axes: "Axes", states: pd.DataFrame, order: list[str], colours: dict[str, Any]
) -> None:
    here = [state for state in order if (states["state"] == state).any()]
    for x, state in enumerate(here):
        mine = states[states["state"] == state]
        total, bottom = mine["images"].sum(), 0.0
        if total == 0:
            axes.text(x, 50, "none tested", rotation=90, ha="center", va="center", color=SOFT_INK)
        for name in order:
            share = 100 * mine.loc[mine["recognised"] == name, "images"].sum() / max(total, 1)
            axes.bar(x, share, bottom=bottom, color=colours[name], width=0.7)
            bottom += share
        axes.scatter(x, -9, color=[colours[state]], s=26, clip_on=False)
    axes.set_xticks(range(len(here)), ["" for _ in here])
    axes.tick_params(axis="x", length=0)
    axes.set_xlabel("true state", labelpad=6)
    axes.set_ylim(0, 100)


def _patch(colour: Any) -> Any:
    from matplotlib.patches import Patch

    return Patch(color=colour)
