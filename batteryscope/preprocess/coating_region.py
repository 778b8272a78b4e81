"""The coating of a straightened cross-section, and the largest rectangle within it."""

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import ndimage

from batteryscope.preprocess.coating_foil import FoilEdge, trace_edge

MIRROR_PX = 10  # columns at both ends that rotation may fill by mirroring
CLOSING_PX = 41  # pores narrower than this lie inside of the coating


@dataclass(frozen=True)
class Coating:
    """Where the coating lies in a straightened picture with the foil at the bottom.

    Attributes
    ----------
    mask : (H, W) bool
        Coating without artefacts.
    foil, surface : (W,) float
        Rows of its edges in every column.
    """

    mask: NDArray[np.bool_]
    foil: NDArray[np.float64]
    surface: NDArray[np.float64]

    @property
    def foil_row(self) -> float:
        """Mean row of the edge of the foil."""
        return float(self.foil.mean())

    @property
    def surface_row(self) -> float:
        """Mean row of the surface."""
        return float(self.surface.mean())

    @property
    def thickness_px(self) -> float:
        """Mean thickness."""
        return self.foil_row - self.surface_row


@dataclass(frozen=True)
class Rectangle:
    """Rows and columns of a straightened picture."""

    top: int
    left: int
    height: int
    width: int


def straighten(array: NDArray[np.uint8], edge: FoilEdge, *, order: int = 3) -> NDArray[np.uint8]:
    """Rotate about the middle until the foil is level, and turn it to the bottom.

    ``order`` is that of the interpolation between pixels: 3 for grey levels, 0 for labels.
    What rotates in from outside is mirrored.
    """
    turned = _rotate(array, edge.angle_deg, order, "mirror")
    return np.ascontiguousarray(turned[::-1] if edge.side == "below" else turned)


def locate_in_picture(
    rows: NDArray[np.float64], columns: NDArray[np.float64], edge: FoilEdge, shape: tuple[int, int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return where places of a straightened picture lie in the original one: rows, columns.

    Parameters
    ----------
    rows, columns
        Places in the straightened picture; arrays that broadcast.
    edge
        The foil in the original picture.
    shape
        (height, width) of both pictures.
    """
    angle = np.deg2rad(edge.angle_deg)
    middle_y, middle_x = (shape[0] - 1) / 2, (shape[1] - 1) / 2
    y = (middle_y - rows) if edge.side == "below" else (rows - middle_y)
    x = columns - middle_x
    return (
        y * np.cos(angle) + x * np.sin(angle) + middle_y,
        -y * np.sin(angle) + x * np.cos(angle) + middle_x,
    )


def find_straight_row(edge: FoilEdge, shape: tuple[int, int]) -> float:
    """Return the row of the foil's edge after :func:`straighten`."""
    middle = (shape[0] - 1) / 2
    row = middle + (edge.row - middle) * np.cos(np.deg2rad(edge.angle_deg))
    return float(shape[0] - 1 - row if edge.side == "below" else row)


def find_coating(straight: NDArray[np.uint8], edge: FoilEdge, largest_void_px: float) -> Coating:
    """Find the edges of the coating and what in between is usable.

    Parameters
    ----------
    straight
        Picture from :func:`straighten`, (H, W).
    edge
        The foil in the original picture.
    largest_void_px
        Dark discs of a larger radius are artefacts, such as torn-out lumps.
    """
    height, width = straight.shape
    level_row = find_straight_row(edge, straight.shape)
    flat = FoilEdge(0.0, level_row, "above", edge.levels)
    foil = trace_edge(straight, flat)
    foil = np.where(np.isfinite(foil), foil, level_row)
    surface = _trace_surface(straight, foil, edge.levels.solid)
    rows = np.arange(height)[:, None]
    mask = (rows > surface[None]) & (rows < foil[None] - 2)
    mask &= _list_seen(edge, (height, width))
    dark = (ndimage.gaussian_filter(straight.astype(np.float32), 1) < edge.levels.solid) & mask
    deep = ndimage.distance_transform_edt(dark) > largest_void_px
    if deep.any():
        mask &= ndimage.distance_transform_edt(~deep) > largest_void_px
    return Coating(mask, foil, surface)


def _trace_surface(
    straight: NDArray[np.uint8], foil: NDArray[np.float64], solid_level: float
) -> NDArray[np.float64]:
    """Return the row where the coating begins in every column, bridging gaps between particles."""
    smooth = ndimage.gaussian_filter(straight.astype(np.float32), 1.5)
    rows = np.arange(straight.shape[0])[:, None]
    solid = (smooth > solid_level) & (rows < foil[None])
    # Small bright specks in the resin, such as the rim of a bubble, are no coating.
    solid = ndimage.binary_opening(solid, iterations=3)
    closed = ndimage.maximum_filter1d(solid, CLOSING_PX, axis=1)
    closed = ndimage.minimum_filter1d(closed, CLOSING_PX, axis=1)
    top = np.where(closed.any(0), closed.argmax(0), foil).astype(np.float64)
    # Between two particles at the surface the coating does not reach down to a deep one.
    envelope = ndimage.minimum_filter1d(ndimage.median_filter(top, CLOSING_PX), CLOSING_PX)
    return np.asarray(ndimage.uniform_filter1d(envelope, CLOSING_PX))


def find_largest_rectangle(
    mask: NDArray[np.bool_], height_px: int = 1, width_px: int = 1
) -> Rectangle:
    """Return the largest rectangle of True; of equal ones the first from the top.

    Rectangles of at least ``height_px`` × ``width_px`` come before all others.
    """
    mask = np.ascontiguousarray(mask)
    top, left, height, width = _search_rectangle(mask, height_px, width_px)
    if not height:
        top, left, height, width = _search_rectangle(mask, 1, 1)
    return Rectangle(top, left, height, width)


@njit(cache=True)
def _search_rectangle(
    mask: NDArray[np.bool_], least_height: int, least_width: int
) -> tuple[int, int, int, int]:
    """Row by row, the largest rectangle under a histogram of heights, with a stack."""
    n_rows, n_columns = mask.shape
    heights = np.zeros(n_columns + 1, np.int64)
    starts = np.zeros(n_columns + 1, np.int64)
    levels = np.zeros(n_columns + 1, np.int64)
    best_area, best = 0, (0, 0, 0, 0)
    for i in range(n_rows):
        for j in range(n_columns):
            heights[j] = heights[j] + 1 if mask[i, j] else 0
        depth = 0
        for j in range(n_columns + 1):
            height = heights[j] if j < n_columns else 0
            start = j
            while depth > 0 and levels[depth - 1] >= height:
                depth -= 1
                start = starts[depth]
                area = levels[depth] * (j - start)
                fits = levels[depth] >= least_height and j - start >= least_width
                if area > best_area and fits:
                    best_area = area
                    best = (i - levels[depth] + 1, start, levels[depth], j - start)
            starts[depth], levels[depth] = start, height
            depth += 1
    return best


def cut_centre(rectangle: Rectangle, height: int, width: int) -> Rectangle | None:
    """Return the middle part of a rectangle, or None if it is too small."""
    if rectangle.height < height or rectangle.width < width:
        return None
    top = rectangle.top + (rectangle.height - height) // 2
    left = rectangle.left + (rectangle.width - width) // 2
    return Rectangle(top, left, height, width)


def spread_crops(rectangle: Rectangle, middle: Rectangle, count: int) -> list[Rectangle]:
    """Return ``count`` parts of the middle's size, evenly spread over the rows, inmost first.

    They overlap where the rectangle is lower than all of them together; fewer are returned where
    it has fewer rows to choose from. Of an odd number one is the middle.
    """
    half = (count - 1) / 2
    last = rectangle.top + rectangle.height - middle.height
    steps = np.arange(count) - half
    reach = np.where(steps < 0, middle.top - rectangle.top, last - middle.top)
    tops = middle.top + np.rint(steps / max(half, 0.5) * reach).astype(int)
    inmost = sorted(set(tops.tolist()), key=lambda top: (abs(top - middle.top), top))
    return [Rectangle(top, middle.left, middle.height, middle.width) for top in inmost]


def cut_out(array: NDArray[np.uint8], part: Rectangle) -> NDArray[np.uint8]:
    """Return the part of a picture that a rectangle encloses."""
    rows = slice(part.top, part.top + part.height)
    return array[rows, part.left : part.left + part.width]


def _list_seen(edge: FoilEdge, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Pixels of the straightened picture that the original shows, or nearly so."""
    height, width = shape
    rows, columns = np.arange(float(height))[:, None], np.arange(float(width))[None]
    source_row, source_column = locate_in_picture(rows, columns, edge, shape)
    seen = np.abs(source_row - (height - 1) / 2) <= (height - 1) / 2
    seen &= np.abs(source_column - (width - 1) / 2) <= (width - 1) / 2 + MIRROR_PX
    return np.asarray(seen)


def _rotate(array: NDArray[np.uint8], angle_deg: float, order: int, mode: str) -> NDArray[np.uint8]:
    angle = np.deg2rad(angle_deg)
    matrix = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    middle = (np.array(array.shape) - 1) / 2
    source = array if order == 0 else array.astype(np.float32)
    turned = ndimage.affine_transform(
        source, matrix, offset=middle - matrix @ middle, order=order, mode=mode
    )
    return turned if order == 0 else np.clip(np.rint(turned), 0, 255).astype(np.uint8)
