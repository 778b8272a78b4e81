"""Scale bars on pictures whose pixels have a known size."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LARGEST_SHARE = 0.4  # of the picture's width


def choose_length_um(width_um: float) -> float:
    """Return 1, 2 or 5 times a power of ten that takes at most two fifths of the width.

    Examples
    --------
    >>> choose_length_um(80.6)
    20.0
    """
    largest = LARGEST_SHARE * width_um
    power = 10.0 ** np.floor(np.log10(largest))
    return float(max(step * power for step in (1, 2, 5) if step * power <= largest))


def measure_tile_widths(index: pd.DataFrame, manifest: pd.DataFrame) -> dict[int, float]:
    """Return the width in µm of every tile of a store whose samples say how large a pixel is.

    Parameters
    ----------
    index
        ``tile, sample_id, crop_px`` (width in pixels of the original picture).
    manifest
        ``sample_id, pixel_size_um``; without that column nothing is known.
    """
    if "pixel_size_um" not in manifest or "crop_px" not in index:
        return {}
    size = pd.to_numeric(manifest.set_index("sample_id")["pixel_size_um"])
    widths = index["crop_px"] * index["sample_id"].map(size)
    known = widths.notna() & (widths > 0)
    return dict(zip(index.loc[known, "tile"], widths[known].astype(float), strict=True))


def draw_scale_bar(axes: "Axes", width_px: int, width_um: float) -> None:
    """Draw a bar of a round length over a picture, in the lower left corner."""
    from matplotlib.patheffects import withStroke

    length_um = choose_length_um(width_um)
    length_px = length_um / width_um * width_px
    left = 0.05 * width_px
    high, low = sorted(axes.get_ylim())
    y = low - 0.06 * (low - high)
    around = [withStroke(linewidth=2.5, foreground="black")]
    axes.plot(
        [left, left + length_px], [y, y], color="white", lw=1.6, solid_capstyle="butt",
        path_effects=around, scalex=False, scaley=False,
    )  # fmt: skip
    shown = f"{length_um / 1000:g} mm" if length_um >= 1000 else f"{length_um:g} µm"
    axes.text(
        left, y - 0.03 * (low - high), shown, color="white", fontsize=7, va="bottom",
        path_effects=around,
    )  # fmt: skip
