"""A picture for the eye: can found, core cropped, windings unrolled."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from batteryscope.config.preprocess import CtSlicesSettings
from batteryscope.preprocess.can_circle import Circle
from batteryscope.preprocess.ct_slices import make_tile
from batteryscope.preprocess.cut_volume import CutSlice
from batteryscope.preprocess.unroll import unroll
from batteryscope.preprocess.winding_core import Core
from batteryscope.readers.volume import Volume

SHOWN_PX, N_ANGLES, N_RADII = 320, 360, 180
CAN_COLOUR, CORE_COLOUR, CROP_COLOUR = "#ff7f0e", "#d62728", "#2ca02c"


@dataclass(frozen=True)
class ScanPreview:
    """A slice made small for showing, its square crop, and its unrolled windings.

    ``edge_px`` are (rows, columns) of the original slice; can, core and crop are in its pixels.
    """

    title: str
    thumbnail: NDArray[np.uint8]
    edge_px: tuple[int, int]
    tile: NDArray[np.uint8]
    unrolled: NDArray[np.float32]
    can: Circle | None
    core: Core | None
    centre_px: tuple[float, float]
    half_px: float


def make_scan_preview(
    volume: Volume, cut: CutSlice, title: str, settings: CtSlicesSettings
) -> ScanPreview:
    """Keep what is drawn of a slice."""
    assert cut.tile is not None
    pixels = volume.read_slice(cut.finding.z)
    low, high = np.percentile(pixels, [0.5, 99.5])
    grey = np.clip((pixels - low) / max(high - low, 1e-6) * 255, 0, 255).astype(np.uint8)
    small = Image.fromarray(grey)
    small.thumbnail((SHOWN_PX, SHOWN_PX))
    rays = unroll(grey, cut.x_px, cut.y_px, 0.0, cut.radius_px, N_ANGLES, N_RADII)
    # Cut anew, since the tile itself may be unrolled.
    square = settings.model_copy(update={"unroll": False, "input_px": SHOWN_PX})
    tile = make_tile([pixels], cut.x_px, cut.y_px, cut.radius_px, square)
    name = f"{title.replace('_', ' ')}\n{volume.path.name}, slice {cut.finding.z}"
    return ScanPreview(
        name,
        np.asarray(small),
        (pixels.shape[0], pixels.shape[1]),
        tile,
        rays,
        cut.finding.can,
        cut.finding.core,
        (cut.x_px, cut.y_px),
        settings.half_edge_radii * cut.radius_px,
    )


def draw_scan_preview(previews: Sequence[ScanPreview], path: Path) -> None:
    """Draw slice, crop and unrolled windings side by side, two slices to a row, as PNG."""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.patches import Circle as Ring
    from matplotlib.patches import Rectangle

    n_rows = max(1, -(-len(previews) // 2))
    figure = Figure(figsize=(13.5, 2.3 * n_rows + 0.4), layout="constrained")
    panels = figure.subplots(n_rows, 6, squeeze=False, width_ratios=[1, 1, 2, 1, 1, 2])
    for panel in panels.ravel():
        panel.set_axis_off()
    for number, preview in enumerate(previews):
        whole, crop, rays = panels[number // 2, 3 * (number % 2) : 3 * (number % 2) + 3]
        height, width = preview.edge_px
        whole.imshow(preview.thumbnail, cmap="gray", extent=(-0.5, width - 0.5, height - 0.5, -0.5))
        for circle, colour in ((preview.can, CAN_COLOUR), (preview.core, CORE_COLOUR)):
            if circle is not None:
                place = (circle.x_px, circle.y_px)
                whole.add_patch(Ring(place, circle.radius_px, fill=False, ec=colour, lw=1))
        x, y, half = *preview.centre_px, preview.half_px
        square = Rectangle((x - half, y - half), 2 * half, 2 * half, fill=False, ec=CROP_COLOUR)
        whole.add_patch(square)
        whole.set_title(preview.title, fontsize=8, loc="left")
        crop.imshow(preview.tile, cmap="gray", vmin=0, vmax=255)
        rays.imshow(preview.unrolled, cmap="gray", aspect="auto", origin="lower")
    words = {"can": CAN_COLOUR, "core": CORE_COLOUR, "crop": CROP_COLOUR}
    handles = [Line2D([], [], color=colour, label=name) for name, colour in words.items()]
    figure.legend(handles=handles, loc="outside lower left", ncols=3, frameon=False)
    figure.text(
        0.99, 0.005, "left: slice; middle: crop; right: unrolled around the core (angle across, "
        "radius upwards)", ha="right", fontsize=8,
    )  # fmt: skip
    figure.savefig(path, dpi=110, metadata={"Software": None})
