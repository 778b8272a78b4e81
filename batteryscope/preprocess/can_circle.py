"""The can of a cylindrical cell in a slice: a circle, found although parts of it are missing."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batteryscope.preprocess.unroll import sample_rays

WORK_PX = 320  # edge to which larger slices are reduced by averaging blocks
N_RAYS = 240
N_TRIALS = 300
TOLERANCE = 0.012  # of the radius: how far a point may lie beside the circle
MIN_SHARE_ON_CIRCLE = 0.4  # of the rays; dents and missing parts may take the rest
MIN_RADIUS_SHARE, MAX_RADIUS_SHARE = 0.12, 0.72  # of the longer edge of the slice
CLEARLY_BETTER = 0.1  # share of the rays
MIN_CONTRAST = 3.0  # sd of the surroundings by which the cell must be brighter


@dataclass(frozen=True)
class Circle:
    """A circle in pixels of the slice, pixel centres being whole numbers.

    ``share_on_circle`` is the share of the rays from its centre that met the outline of the cell
    on it, 0 to 1.
    """

    x_px: float
    y_px: float
    radius_px: float
    share_on_circle: float


def find_can(pixels: NDArray[Any]) -> Circle | None:
    """Find the outer circle of the can.

    The slice is made small, its bright part is separated (Otsu's threshold), and from the middle
    of that part rays look for its outer end. Circles through any three ends are tried, the one
    that most ends lie on wins (RANSAC, Fischler and Bolles 1981) and is refined by least squares.

    Parameters
    ----------
    pixels
        Grey levels, (rows, columns).

    Returns
    -------
    Circle or None
        None if nothing round that is brighter than its surroundings is there.
    """
    from scipy.ndimage import gaussian_filter
    from skimage.filters import threshold_otsu

    small, factor = shrink_by_blocks(pixels, WORK_PX)
    small = gaussian_filter(small, 1.0)
    low, high = np.percentile(small, [1, 99.7])
    if high <= low:
        return None
    small = np.clip(small, low, high)
    best: Circle | None = None
    # The windings and the can may differ more than the windings and air: then the second
    # threshold, taken among the darker part, finds the cell and not the can alone.
    level = float(threshold_otsu(small))
    darker = small[small <= level]
    levels = [level, float(threshold_otsu(darker))] if np.ptp(darker) > 0 else [level]
    for threshold in levels:
        if best is not None and best.share_on_circle + CLEARLY_BETTER >= 1:
            break  # nothing can be clearly better
        found = _find_outline_circle(small, threshold)
        # The higher threshold lies nearer to the true edge; the lower one must be clearly better.
        if found is not None and (
            best is None or found.share_on_circle > best.share_on_circle + CLEARLY_BETTER
        ):
            best = found
    if best is None or best.share_on_circle < MIN_SHARE_ON_CIRCLE:
        return None
    if not MIN_RADIUS_SHARE < best.radius_px / max(small.shape) < MAX_RADIUS_SHARE:
        return None
    if _measure_contrast(small, best) < MIN_CONTRAST:
        return None
    shift = (factor - 1) / 2  # the centre of a block of pixels
    return Circle(
        best.x_px * factor + shift,
        best.y_px * factor + shift,
        best.radius_px * factor,
        best.share_on_circle,
    )


def shrink_by_blocks(pixels: NDArray[Any], work_px: int) -> tuple[NDArray[np.float32], int]:
    """Average square blocks of pixels so that the longer edge is about ``work_px``.

    Returns
    -------
    small, factor
        float32, and the edge of a block (1: nothing was averaged). Rows and columns that fill
        no whole block are left out.
    """
    factor = max(1, round(max(pixels.shape) / work_px))
    height, width = (edge // factor for edge in pixels.shape)
    blocks = pixels[: height * factor, : width * factor]
    blocks = blocks.reshape(height, factor, width, factor)
    return blocks.mean(axis=(1, 3), dtype=np.float32), factor


def fit_circle(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float, float]:
    """Fit a circle by least squares of x² + y² = 2ax + 2by + c (Kåsa 1976).

    Returns
    -------
    x, y, radius
    """
    matrix = np.column_stack([2 * x, 2 * y, np.ones_like(x)])
    (a, b, c), *_ = np.linalg.lstsq(matrix, x**2 + y**2, rcond=None)
    return float(a), float(b), float(np.sqrt(max(c + a**2 + b**2, 0.0)))


def _find_outline_circle(small: NDArray[np.float32], threshold: float) -> Circle | None:
    mask = small > threshold
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if len(rows) < 3 or len(columns) < 3:
        return None
    ys, xs = np.nonzero(mask)
    cx, cy = float(np.median(xs)), float(np.median(ys))
    circle: Circle | None = None
    for _ in range(2):  # the second time from the centre of the circle that was found
        x, y = _cast_rays(small, threshold, cx, cy)
        circle = _vote_for_circle(x, y)
        if circle is None:
            return None
        cx, cy = circle.x_px, circle.y_px
    return circle


def _cast_rays(
    small: NDArray[np.float32], threshold: float, cx: float, cy: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Outermost points above the threshold on rays; finer than a pixel by interpolation."""
    angle = np.linspace(0, 2 * np.pi, N_RAYS, endpoint=False)
    height, width = small.shape
    farthest = np.hypot(max(cx, width - cx), max(cy, height - cy))  # corner of the picture
    r = np.arange(0.0, farthest + 2)
    values = sample_rays(small, cx, cy, r, np.cos(angle), np.sin(angle), float(small.min())).T
    above = values > threshold
    hit = above.any(1)
    last = len(r) - 1 - above[:, ::-1].argmax(1)
    inner = values[np.arange(N_RAYS), last]
    outer = values[np.arange(N_RAYS), np.minimum(last + 1, len(r) - 1)]
    part = np.clip((inner - threshold) / np.maximum(inner - outer, 1e-9), 0, 1)
    radius = r[last] + part
    # An end at the border of the picture is no outline: the cell may go on beyond it.
    px, py = cx + radius * np.cos(angle), cy + radius * np.sin(angle)
    inside = (px > 1) & (py > 1) & (px < width - 2) & (py < height - 2)
    keep = hit & inside
    return px[keep], py[keep]


def _vote_for_circle(x: NDArray[np.float64], y: NDArray[np.float64]) -> Circle | None:
    if len(x) < N_RAYS * MIN_SHARE_ON_CIRCLE:
        return None
    rng = np.random.default_rng(0)  # the same trials for every slice
    i, j, k = rng.integers(0, len(x), (3, N_TRIALS))
    # The centre of the circle through three points, from two perpendicular bisectors.
    ax, ay, bx, by = x[j] - x[i], y[j] - y[i], x[k] - x[i], y[k] - y[i]
    area = 2 * (ax * by - ay * bx)
    good = np.abs(area) > 1e-6
    ax, ay, bx, by, area, i = (v[good] for v in (ax, ay, bx, by, area, i))
    a2, b2 = ax**2 + ay**2, bx**2 + by**2
    ux, uy = (by * a2 - ay * b2) / area, (ax * b2 - bx * a2) / area
    radius, cx, cy = np.hypot(ux, uy), x[i] + ux, y[i] + uy
    # In place and squared: most of the time goes into this table of trials and points.
    distance2 = np.subtract.outer(cx, x) ** 2
    distance2 += np.subtract.outer(cy, y) ** 2
    low2, high2 = (((1 + sign * TOLERANCE) * radius[:, None]) ** 2 for sign in (-1, 1))
    votes = ((distance2 > low2) & (distance2 < high2)).sum(1)
    if not len(votes):
        return None
    best = int(votes.argmax())
    found = float(cx[best]), float(cy[best]), float(radius[best])
    for _ in range(3):
        on = np.abs(np.hypot(x - found[0], y - found[1]) - found[2]) < TOLERANCE * found[2]
        if on.sum() < 3:
            return None
        found = fit_circle(x[on], y[on])
    return Circle(*found, float(on.sum()) / N_RAYS)


def _measure_contrast(small: NDArray[np.float32], circle: Circle) -> float:
    """How many standard deviations of the surroundings the rim and the inside are brighter."""
    y, x = np.ogrid[: small.shape[0], : small.shape[1]]
    r = np.hypot(x - circle.x_px, y - circle.y_px) / circle.radius_px
    inside, outside = small[r < 1.0], small[(r > 1.04) & (r < 1.25)]
    if outside.size < 20:
        return np.inf
    return float((inside.mean() - outside.mean()) / max(float(outside.std()), 1e-9))
