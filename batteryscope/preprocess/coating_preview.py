"""A picture for the eye: every step from a cross-section to the crop that the network sees."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from batteryscope.config.preprocess import CoatingCropSettings
from batteryscope.preprocess.coating_crop import cut_mosaic, locate_coating, shrink_crop
from batteryscope.preprocess.coating_foil import FoilEdge
from batteryscope.preprocess.coating_region import (
    Coating,
    Rectangle,
    cut_centre,
    cut_out,
    locate_in_picture,
)
from batteryscope.preprocess.tile_batch import TileBatch, UnusablePictureError
from batteryscope.tilestore import PREVIEW_ROW_NAME

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_ROWS = 6
LINE_COLOUR, FOIL_COLOUR, SURFACE_COLOUR, RECTANGLE_COLOUR, CROP_COLOUR = (
    "#8c564b", "#ff7f0e", "#1f77b4", "#d62728", "#2ca02c",
)  # fmt: skip
STEPS = ("foil and surface found", "straightened", "largest free rectangle", "crop")


@dataclass(frozen=True)
class CoatingSteps:
    """What every step made of one picture, or of one piece of a mosaic.

    ``picture`` and ``straight`` are (H, W); ``coating``, the largest ``rectangle`` and its
    ``middle`` lie in ``straight``; ``crop`` is what the network gets.
    """

    title: str
    picture: NDArray[np.uint8]
    straight: NDArray[np.uint8]
    edge: FoilEdge
    coating: Coating
    rectangle: Rectangle
    middle: Rectangle
    crop: NDArray[np.uint8]


def make_coating_preview(
    pixels: NDArray[np.uint8], batch: TileBatch, title: str, settings: CoatingCropSettings
) -> CoatingSteps:
    """Go through the steps again for the first usable piece of a picture, and keep each.

    Parameters
    ----------
    pixels
        The whole picture, (height, width).
    batch
        Not used: it holds crops only.
    title
        What is written over it.
    settings
        The settings that the picture was cut with.

    Raises
    ------
    UnusablePictureError
        If no piece is usable, which then is no picture to show.
    """
    problem: UnusablePictureError | None = None
    for left, right in cut_mosaic(pixels.shape[1], settings.mosaic_width_px):
        piece = np.ascontiguousarray(pixels[:, left:right])
        try:
            located = locate_coating(piece, settings)
        except UnusablePictureError as error:
            problem = problem or error
            continue
        straight, rectangle = located.straight, located.rectangle
        middle = cut_centre(rectangle, settings.crop_height_px, settings.crop_width_px)
        assert middle is not None  # locate_coating has seen to it
        crop = shrink_crop(cut_out(straight, middle), settings.shrink)
        return CoatingSteps(
            title, piece, straight, located.edge, located.coating, rectangle, middle, crop
        )
    assert problem is not None
    raise problem


def draw_coating_previews(previews: Sequence[CoatingSteps], path: Path) -> None:
    """Draw a row of steps per picture as PNG, and the most tilted one alone, for the report.

    Of more than six pictures, every so many-th is drawn.
    """
    step = max(1, -(-len(previews) // MOST_ROWS))
    shown = previews[::step]
    _draw_rows(shown, path)
    if shown:
        most_tilted = max(shown, key=lambda steps: abs(steps.edge.angle_deg))
        _draw_rows([most_tilted], path.with_name(PREVIEW_ROW_NAME))


def _draw_rows(previews: Sequence[CoatingSteps], path: Path) -> None:
    from matplotlib.figure import Figure

    n_rows = max(1, len(previews))
    figure = Figure(figsize=(13.5, 2.9 * n_rows + 0.2), layout="constrained")
    panels = figure.subplots(n_rows, len(STEPS), squeeze=False)
    for panel in panels.ravel():
        panel.set_axis_off()
    for row, steps in zip(panels, previews, strict=False):
        _draw_steps(row, steps)
        titles = (f"{steps.title}: {STEPS[0]}", *STEPS[1:])
        for panel, title in zip(row, titles, strict=True):
            # A title at a given height and no ticks: else both are laid out, for nothing.
            panel.set_title(title, fontsize=9, loc="left", y=1.0)
            panel.set(xticks=[], yticks=[])
    figure.savefig(path, dpi=110, metadata={"Software": None})


def _draw_steps(row: "Sequence[Axes]", steps: CoatingSteps) -> None:
    from matplotlib.patches import Rectangle as Box

    found, straightened, free, crop = row
    shape = (steps.picture.shape[0], steps.picture.shape[1])
    columns = np.arange(shape[1], dtype=np.float64)
    for panel, pixels in ((found, steps.picture), (straightened, steps.straight)):
        panel.imshow(pixels, cmap="gray", vmin=0, vmax=255)
    for rows, colour in (
        (steps.coating.foil, FOIL_COLOUR),
        (steps.coating.surface, SURFACE_COLOUR),
    ):
        y, x = locate_in_picture(rows, columns, steps.edge, shape)
        inside = (x >= 0) & (x <= shape[1] - 1)
        found.plot(x[inside], y[inside], color=colour, lw=1.3)
        straightened.plot(columns, rows, color=colour, lw=1.3)
    found.plot(columns, steps.edge.rows_at(columns, shape[1]), "--", color=LINE_COLOUR, lw=1.3)
    # What lies outside of the coating or is an artefact is dimmed.
    dimmed = np.where(steps.coating.mask, steps.straight, steps.straight // 3)
    free.imshow(dimmed, cmap="gray", vmin=0, vmax=255)
    for part, colour in ((steps.rectangle, RECTANGLE_COLOUR), (steps.middle, CROP_COLOUR)):
        corner = (part.left, part.top)
        free.add_patch(Box(corner, part.width, part.height, fill=False, ec=colour, lw=1.5))
    crop.imshow(steps.crop, cmap="gray", vmin=0, vmax=255)
    found.set_xlim(-0.5, shape[1] - 0.5)
    found.set_ylim(shape[0] - 0.5, -0.5)
