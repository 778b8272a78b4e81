"""Attribution maps laid over the tile that they explain."""

import io
import textwrap

import numpy as np
from numpy.typing import NDArray

from batteryscope.core.scale_bar import draw_scale_bar
from batteryscope.core.style import house_style, make_figure
from batteryscope.tilestore import take_plane

COLOUR_MAP = "inferno"
BRIGHTEST_SHARE = 99.5  # percentile of a map that becomes 1; single pixels would darken the rest
OPACITY = 0.65
# Strided convolutions pass the gradient to every second pixel; the eye needs its neighbourhood.
FINE_SMOOTHING_PX = 1.0


@house_style
def draw_overlay(
    tile: NDArray[np.uint8],
    grad_cam: NDArray[np.floating],
    guided_grad_cam: NDArray[np.floating] | None,
    title: str,
    width_um: float | None = None,
) -> bytes:
    """Draw the tile, its Grad-CAM and, if given, its guided Grad-CAM side by side.

    Parameters
    ----------
    tile : (H, W) or (C, H, W) uint8 array
        Grey tile as the network saw it.
    grad_cam, guided_grad_cam : (H, W) arrays
        Non-negative maps; each is scaled to its own 99.5th percentile. The guided one is
        smoothed by a Gaussian of 1 px, for the drawing only.
    title
        True and predicted class, probability.
    width_um
        Width of the tile, for a scale bar.

    Returns
    -------
    bytes
        A PNG; equal input gives equal bytes.
    """
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from skimage.filters import gaussian

    panels = [("tile", None), ("Grad-CAM", grad_cam)]
    if guided_grad_cam is not None:
        smooth = gaussian(np.asarray(guided_grad_cam, np.float64), FINE_SMOOTHING_PX)
        panels.append(("guided Grad-CAM", smooth))
    # Reports show it some 400 pixels wide: a small figure has large letters there.
    figure = make_figure(1.5 * len(panels) + 0.5, 2.1)
    all_axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, (name, values) in zip(all_axes, panels, strict=True):
        picture = to_rgb(tile) if values is None else blend(tile, values)
        axes.imshow(picture, interpolation="nearest")
        axes.set_title(name, fontweight="normal")
        if values is None and width_um:
            draw_scale_bar(axes, picture.shape[1], width_um)
        axes.set_axis_off()
    lines = [textwrap.fill(line, 22 * len(panels)) for line in title.splitlines()]
    figure.suptitle("\n".join(lines), x=0.01, ha="left", fontsize=9)
    bar = figure.colorbar(
        ScalarMappable(cmap=colormaps[COLOUR_MAP]), ax=all_axes[1:].tolist(), shrink=0.75, pad=0.02
    )
    bar.set_ticks([0.0, 1.0], labels=["none", "most"])
    bar.set_label("speaks for the class")
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=200, metadata={"Software": None})
    return png.getvalue()


def scale_map(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Scale a non-negative map to [0, 1]; its 99.5th percentile and all above become 1.

    A map of zeros stays one; so few bright pixels that the percentile is 0 are scaled
    by the highest value.
    """
    array = np.asarray(values, dtype=np.float64)
    top = float(np.percentile(array, BRIGHTEST_SHARE)) or float(array.max())
    return np.clip(array / top, 0.0, 1.0) if top > 0 else np.zeros_like(array)


def blend(tile: NDArray[np.uint8], values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Lay a map over a tile, (H, W) → (H, W, 3) in [0, 1]; where the map is 0 the tile shows."""
    from matplotlib import colormaps

    strength = scale_map(values)
    colours = colormaps[COLOUR_MAP](strength)[..., :3]
    # The square root lifts the faint parts, which a linear opacity would hide.
    opacity = OPACITY * np.sqrt(strength)[..., None]
    mixed: NDArray[np.float64] = (1 - opacity) * to_rgb(tile) + opacity * colours
    return mixed


def to_rgb(tile: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Turn grey levels 0…255, (H, W), into RGB in [0, 1], (H, W, 3).

    Of a stack of slices, (C, H, W), the middle one is shown.
    """
    return np.repeat(take_plane(tile)[..., None] / 255.0, 3, axis=2)
