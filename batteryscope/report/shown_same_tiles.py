"""The same test images under every arm, and how much of the attention is on their masks."""

import io
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from batteryscope.core.scale_bar import draw_scale_bar, measure_tile_widths
from batteryscope.core.style import (
    GREEN,
    NARROW_IN,
    VERMILLION,
    Picture,
    encode_picture,
    house_style,
    make_figure,
)
from batteryscope.report.evidence import ArmEvidence, StudyEvidence
from batteryscope.report.shown_table import ShownTable, show_table
from batteryscope.report.tables import format_count, format_percent
from batteryscope.tilestore import take_plane

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NARROW_PANELS = 2


def find_widths_um(evidence: StudyEvidence) -> dict[int, float]:
    """Return the width in µm of every tile whose pixel size is known, as far as it has lengths."""
    index, manifest = evidence.tile_index, evidence.manifest
    if index is None or manifest is None or evidence.settings.preprocess.unrolls:
        return {}
    return measure_tile_widths(index, manifest)


def summarise_preference(tiles: pd.DataFrame) -> Mapping[str, float]:
    """Summarise the tiles of an arm, every image counting once.

    Parameters
    ----------
    tiles
        ``sample_id, share, area, preference``, one row per tile.

    Returns
    -------
    mapping
        ``n`` images with a mask, the means of ``share`` and ``area`` over them, ``preference``
        and ``sd`` (over images, ddof 1; NaN for a single one).
    """
    known = tiles.dropna(subset=["preference"])
    images = known.groupby("sample_id")[["share", "area", "preference"]].mean()
    return {
        "n": len(images),
        "share": float(images["share"].mean()),
        "area": float(images["area"].mean()),
        "preference": float(images["preference"].mean()),
        "sd": float(images["preference"].std(ddof=1)),
    }


Panel = tuple[NDArray[np.uint8] | None, str, bool]
"""Picture, the text below it, and whether the answer is right."""


def show_preference(evidence: StudyEvidence) -> ShownTable | None:
    """Make the table of attribution on the masks, arm by arm; None where no image has a mask."""
    lines: list[dict[str, str]] = []
    main: list[int] = []
    for name, arm in _find_arms(evidence).items():
        assert arm.same_tiles is not None
        found = summarise_preference(arm.same_tiles)
        if not found["n"]:
            continue
        if name == evidence.main_arm:
            main.append(len(lines))
        sd = "" if pd.isna(found["sd"]) else f" ± {found['sd']:.2f}"
        lines.append(
            {
                "strategy": arm.label,
                "share of the attribution": format_percent(found["share"]),
                "share of the area": format_percent(found["area"]),
                "ratio": f"{found['preference']:.2f}{sd}",
                "images": format_count(found["n"]),
            }
        )
    return show_table(pd.DataFrame(lines), "", (), main)


def draw_same_tiles(evidence: StudyEvidence) -> Picture | None:
    """Draw one row per image and one column per arm; None without pictures to compare."""
    arms = _find_arms(evidence)
    main = arms.get(evidence.main_arm)
    if main is None or not main.same_pictures:
        return None
    assert main.same_tiles is not None
    shown = main.same_tiles[main.same_tiles["file"].fillna("") != ""]
    # An arm with another division may have tested none of these images.
    names = {str(name) for name in shown["sample_id"]}
    seen = {name: arm for name, arm in arms.items() if names & _list_pictured(arm)}
    if len(seen) == 1 < len(arms):
        return None
    rows: list[tuple[str, list[Panel]]] = []
    known = find_widths_um(evidence)
    widths_um = [known.get(int(tile)) for tile in shown["tile"]]
    for row in shown.to_dict("records"):
        truth = str(row["y_true"])
        panels = [_show_tile(evidence, int(row["tile"]))]
        panels += [_find_panel(arm, str(row["sample_id"])) for arm in seen.values()]
        rows.append((truth.replace("_", " "), panels))
    if not rows:
        return None
    titles = ["tile", *(arm.label for arm in seen.values())]
    figure = draw_panels(rows, titles, widths_um)
    narrow = draw_panels(rows, titles, widths_um, narrow=True)
    caption = (
        "What speaks for each strategy's answer, on the same tiles of test images that were chosen "
        "by lot. A row is an image, with its true class; the answer for the tile stands below each "
        "picture (green: right, orange-red: wrong)"
    )
    if show_preference(evidence) is not None:
        caption += (
            ", then the attribution on the mask divided by the mask's share of the area (1 = none "
            "preferred)"
        )
    if any(names - _list_pictured(arm) for arm in seen.values()):
        caption += ". An empty place: this strategy did not test the image"
    if others := [arm.label for name, arm in arms.items() if name not in seen]:
        caption += f". Not shown, as they tested none of these images: {'; '.join(others)}"
    return encode_picture(figure, "same_tiles", f"{caption}.", evidence.generated, narrow)


@house_style
def draw_panels(
    rows: Sequence[tuple[str, Sequence[Panel]]],
    titles: Sequence[str],
    widths_um: Sequence[float | None] = (),
    narrow: bool = False,
) -> "Figure":
    """Draw a grid of small pictures.

    Parameters
    ----------
    rows
        Name of each row and its pictures; a picture that is None leaves its place empty.
    titles
        Of the columns.
    widths_um
        Width of the first picture of every row, as far as known, for a scale bar.
    narrow
        Two to a line, for the screen of a telephone; a row then takes several lines, and a
        picture that is None takes no place.
    """
    across = NARROW_PANELS if narrow else len(titles)
    shown = [
        [(title, panel) for title, panel in zip(titles, panels, strict=True) if _is_shown(panel)]
        if narrow
        else list(zip(titles, panels, strict=True))
        for _, panels in rows
    ]
    lines = [max(1, -(-len(row) // across)) for row in shown]
    figure = make_figure(1.25 * len(titles) + 0.5, 1.45 * len(rows) + 0.5)
    if narrow:
        figure = make_figure(NARROW_IN, 1.85 * sum(lines))
    places = np.split(figure.subplots(sum(lines), across, squeeze=False), np.cumsum(lines)[:-1])
    for number, ((name, _), row, place) in enumerate(zip(rows, shown, places, strict=True)):
        first = place.flat[0]
        first.set_ylabel(textwrap.fill(name, 16), fontsize=7.5)
        for axes in place.flat[len(row) :]:
            axes.set_axis_off()
        for axes, (title, (picture, text, is_right)) in zip(place.flat, row, strict=False):
            axes.set_xticks([])
            axes.set_yticks([])
            axes.spines[:].set_visible(False)
            if narrow or number == 0:
                axes.set_title(textwrap.fill(title, 19), fontsize=7, fontweight="normal")
            if picture is None:
                continue
            axes.imshow(picture, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
            axes.set_xlabel(text, fontsize=7, color=GREEN if is_right else VERMILLION)
        width_um = widths_um[number] if number < len(widths_um) else None
        tile = rows[number][1][0][0]
        if tile is not None and width_um:
            draw_scale_bar(first, tile.shape[1], width_um)
    return figure


def _is_shown(panel: Panel) -> bool:
    return panel[0] is not None


def _find_arms(evidence: StudyEvidence) -> dict[str, ArmEvidence]:
    """Arms that explained the same images, the main one first."""
    names = evidence.shown_arms
    known = {name: evidence.arms[name] for name in names if name in evidence.arms}
    return {name: arm for name, arm in known.items() if arm.same_tiles is not None}


def _list_pictured(arm: ArmEvidence) -> set[str]:
    """Images of which the arm has a picture."""
    assert arm.same_tiles is not None
    has_file = arm.same_tiles["file"].fillna("") != ""
    return set(arm.same_tiles.loc[has_file, "sample_id"].astype(str))


def _show_tile(evidence: StudyEvidence, tile: int) -> Panel:
    tiles = evidence.tiles
    if tiles is None or not 0 <= tile < len(tiles):
        return None, "", True
    return take_plane(np.asarray(tiles[tile])), "", True


def _find_panel(arm: ArmEvidence, sample_id: str) -> Panel:
    from PIL import Image

    assert arm.same_tiles is not None
    rows = arm.same_tiles
    rows = rows[(rows["sample_id"].astype(str) == sample_id) & (rows["file"].fillna("") != "")]
    if rows.empty or rows["file"].iloc[0] not in arm.same_pictures:
        return None, "", True
    row = rows.iloc[0]
    with Image.open(io.BytesIO(arm.same_pictures[row["file"]])) as opened:
        picture = np.asarray(opened.convert("RGB"))
    ratio = row["preference"]
    number = "" if pd.isna(ratio) else f", {ratio:.2f}"
    answer = str(row["y_pred"]).replace("_", " ")
    return picture, f"{answer}{number}", bool(row["y_true"] == row["y_pred"])


def describe_preference(shown: ShownTable | None, feature: str) -> str:
    """Say in words what the table of attribution on masks tells and what not."""
    if shown is None:
        return ""
    return (
        f"Masks mark {feature}. The ratio says how much more of the attribution lies there than "
        "on an average place of the same tile: 1 is indifference, above 1 the model looks there "
        "more than elsewhere (mean ± standard deviation over images). It does not say that the "
        "answer depends on these places, nor that the other places are irrelevant: bright edges "
        "attract gradients in any network, so compare the strategies with each other rather than "
        "with 1."
    )
