"""A picture for the user's eye: where the data bar was found and where the tiles lie."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from batteryscope.config.preprocess import SemTilesSettings, SemWholeSettings
from batteryscope.preprocess.tile_batch import TileBatch

SHOWN_EDGE_PX = 480
COLOURS = {
    "whole": "#2ca02c",
    "grid": "#2ca02c",
    "random": "#1f77b4",
    "left out": "#d62728",
    "data bar": "#ff7f0e",
}


@dataclass(frozen=True)
class PreviewFrame:
    """A frame made small for showing, with its tiles in pixels of the original.

    ``thumbnail`` is uint8; ``size_px`` is (height, width) of the original frame.
    """

    title: str
    thumbnail: NDArray[np.uint8]
    size_px: tuple[int, int]
    table: pd.DataFrame
    data_bar_px: int


def make_preview_frame(
    pixels: NDArray[np.uint8],
    batch: TileBatch,
    title: str,
    settings: SemTilesSettings | SemWholeSettings,
) -> PreviewFrame:
    """Shrink a frame and keep what is drawn on it; the settings do not matter."""
    height, width = pixels.shape
    small = Image.fromarray(pixels)
    small.thumbnail((SHOWN_EDGE_PX, SHOWN_EDGE_PX))
    thumbnail = np.asarray(small)
    return PreviewFrame(title, thumbnail, (height, width), batch.table, batch.data_bar_px)


def draw_preview(frames: Sequence[PreviewFrame], path: Path) -> None:
    """Draw frames with data bar and tiles, four to a row, as PNG."""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.patches import Rectangle

    n_columns = min(4, max(1, len(frames)))
    n_rows = max(1, -(-len(frames) // n_columns))
    figure = Figure(figsize=(3.6 * n_columns, 3.0 * n_rows + 0.4), layout="constrained")
    panels = figure.subplots(n_rows, n_columns, squeeze=False).ravel()
    for panel in panels:
        panel.set_axis_off()
    for panel, frame in zip(panels, frames, strict=False):
        height, width = frame.size_px
        panel.imshow(frame.thumbnail, cmap="gray", vmin=0, vmax=255, extent=(0, width, height, 0))
        for tile in frame.table.sort_values("used", ascending=False).to_dict("records"):
            look = tile["kind"] if tile["used"] else "left out"
            corner, edge = (tile["x_px"], tile["y_px"]), tile["crop_px"]
            high = tile.get("crop_height_px", edge)
            line_width = 0.6 if tile["kind"] == "random" else 1.4
            panel.add_patch(
                Rectangle(corner, edge, high, fill=False, ec=COLOURS[look], lw=line_width)
            )
        if frame.data_bar_px:
            panel.axhline(height - frame.data_bar_px, color=COLOURS["data bar"], lw=1.6)
        panel.set_title(frame.title, fontsize=9)
    is_whole = any((frame.table["kind"] == "whole").any() for frame in frames)
    absent = {"grid", "random"} if is_whole else {"whole"}
    looks = {name: colour for name, colour in COLOURS.items() if name not in absent}
    handles = [Line2D([], [], color=colour, label=name) for name, colour in looks.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(looks), frameon=False)
    # Without the software's name, equal runs of different versions differ less.
    figure.savefig(path, dpi=110, metadata={"Software": None})
