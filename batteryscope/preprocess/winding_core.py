"""The hollow core of a jelly roll: where it is, how large and how round."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batteryscope.preprocess.can_circle import Circle, shrink_by_blocks

WORK_PX = 400
CLOSING_SHARE = 0.035  # of the can's radius; wider than the dark gap between two windings
SEARCHED_SHARE = 0.5  # of the can's radius: the core lies inside
MIN_AREA_SHARE = 0.003  # of the can's area
MIN_DEPTH = 0.12  # of the grey level of the windings: how much darker the core must be


@dataclass(frozen=True)
class Core:
    """The hollow core in pixels of the slice.

    Attributes
    ----------
    x_px, y_px
        Centroid of its area.
    radius_px
        Of the circle with the same area.
    roundness
        Area over that of its convex hull times 4π·hull area/hull perimeter²: 1 for a circle,
        lower for a core that is flattened or that windings buckle into.
    radius_variation
        Standard deviation over mean of the distance from centroid to rim, around the core.
    """

    x_px: float
    y_px: float
    radius_px: float
    roundness: float
    radius_variation: float


def find_core(pixels: NDArray[Any], can: Circle) -> Core | None:
    """Find the dark hollow in the middle of the windings.

    Dark gaps between windings are closed (grey-scale closing) so that only the hollow stays
    dark; the dark region nearest to the centre of the can is the core, its rim is then taken from
    the picture without closing.

    Parameters
    ----------
    pixels
        Grey levels, (rows, columns).
    can
        The can in this slice.

    Returns
    -------
    Core or None
        None without a hollow: a cell with a centre pin, an end cap.
    """
    from scipy.ndimage import binary_dilation, gaussian_filter, grey_closing, label

    top, left, cut = _cut_square(pixels, can)
    small, factor = shrink_by_blocks(cut, WORK_PX)
    cx = (can.x_px - left - (factor - 1) / 2) / factor
    cy = (can.y_px - top - (factor - 1) / 2) / factor
    radius = can.radius_px / factor
    size = 2 * max(1, round(CLOSING_SHARE * radius)) + 1
    closed = gaussian_filter(grey_closing(small, size=(size, size)), 1.0)
    y, x = np.ogrid[: small.shape[0], : small.shape[1]]
    r = np.hypot(x - cx, y - cy) / radius
    ring = (r > 0.45) & (r < 0.85)
    if not ring.any():
        return None
    windings = float(np.median(closed[ring]))
    hollow = float(np.percentile(closed[r < SEARCHED_SHARE], 2))
    floor = float(small[r > 1.03].min()) if (r > 1.03).any() else 0.0
    if windings - hollow < MIN_DEPTH * max(windings - floor, 1e-9):
        return None
    level = (windings + hollow) / 2
    regions, count = label((closed < level) & (r < SEARCHED_SHARE))
    if count == 0:
        return None
    number = _choose_region(regions, count, cx, cy, MIN_AREA_SHARE * np.pi * radius**2)
    if number == 0:
        return None
    near = binary_dilation(regions == number, iterations=size // 2 + 1)
    fine, _ = label((gaussian_filter(small, 1.0) < level) & near)
    inside = fine[(regions == number) & (fine > 0)]
    if not len(inside):
        return None
    mask = fine == np.bincount(inside).argmax()
    return _measure(mask, factor, top, left)


def _cut_square(pixels: NDArray[Any], can: Circle) -> tuple[int, int, NDArray[Any]]:
    half = 1.08 * can.radius_px
    top, left = max(0, int(can.y_px - half)), max(0, int(can.x_px - half))
    return top, left, pixels[top : int(can.y_px + half) + 1, left : int(can.x_px + half) + 1]


def _choose_region(regions: NDArray[Any], count: int, cx: float, cy: float, min_area: float) -> int:
    """Number of the largest region for its distance from the centre; 0 if all are too small."""
    best, best_score = 0, 0.0
    for number in range(1, count + 1):
        ys, xs = np.nonzero(regions == number)
        if len(ys) < min_area:
            continue
        distance = np.hypot(xs.mean() - cx, ys.mean() - cy)
        score = len(ys) / (1.0 + distance**2)
        if score > best_score:
            best, best_score = number, score
    return best


def _measure(mask: NDArray[np.bool_], factor: int, top: int, left: int) -> Core:
    from scipy.ndimage import binary_fill_holes
    from skimage.measure import regionprops

    region = regionprops(binary_fill_holes(mask).astype(np.uint8))[0]
    cy, cx = region.centroid
    hull = regionprops(region.image_convex.astype(np.uint8))[0]
    # The rim of pixels is longer than that of the shape; Crofton's formula corrects for it.
    hull_roundness = 4 * np.pi * hull.area / max(hull.perimeter_crofton, 1.0) ** 2
    rim = region.coords[_is_rim(region)]
    distance = np.hypot(rim[:, 0] - cy, rim[:, 1] - cx)
    shift = (factor - 1) / 2
    return Core(
        float(cx * factor + shift + left),
        float(cy * factor + shift + top),
        float(np.sqrt(region.area / np.pi) * factor),
        float(min(1.0, region.solidity * hull_roundness)),
        float(distance.std() / max(distance.mean(), 1e-9)),
    )


def _is_rim(region: Any) -> NDArray[np.bool_]:
    from scipy.ndimage import binary_erosion

    image = np.pad(region.image_filled, 1)
    rim = image & ~binary_erosion(image)
    ys, xs = region.coords[:, 0] - region.bbox[0], region.coords[:, 1] - region.bbox[1]
    flags: NDArray[np.bool_] = rim[ys + 1, xs + 1]
    return flags
