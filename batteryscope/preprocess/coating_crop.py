"""From a picture of a cross-section to straightened crops of its coating."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.measure import block_reduce

from batteryscope.config.preprocess import CoatingCropSettings
from batteryscope.preprocess.coating_foil import FoilEdge, find_foil
from batteryscope.preprocess.coating_measures import measure_coating
from batteryscope.preprocess.coating_region import (
    Coating,
    Rectangle,
    cut_centre,
    cut_out,
    find_coating,
    find_largest_rectangle,
    spread_crops,
    straighten,
)
from batteryscope.preprocess.tile_batch import TileBatch, UnusablePictureError
from batteryscope.readers.pixels import to_luminance

TableRow = tuple[str, int, int, float, bool]


def crop_coating(
    pixels: NDArray[np.uint8],
    record: Mapping[str, Any],
    settings: CoatingCropSettings,
    n_random: int = 0,
    rng: np.random.Generator | None = None,
) -> TileBatch:
    """Cut, straighten and crop one picture.

    A :class:`~batteryscope.preprocess.tile_batch.Preprocessor`. A mosaic is cut into pieces first.
    Of the record ``is_coloured`` is looked at, if present. Pixels are (H, W), or (H, W, 3) with
    ``colour``: brightness (luminance) then finds foil and coating, and tiles have three channels.
    ``n_random`` are training crops per piece at random positions; with 0, the middle crop trains.
    The texture is measured in the judging crops.

    Raises
    ------
    UnusablePictureError
        ``coloured``, ``no_collector``, ``two_collectors`` or ``coating_too_thin``: what is
        wrong with the first piece, if no piece can be used.
    """
    if record.get("is_coloured") and not settings.colour:
        raise UnusablePictureError(
            "coloured",
            "the picture shows colours, but brightness alone tells foil, particles and pores "
            "apart; save it as a grey picture, taken in bright field, or set preprocess.colour to "
            "true, with which the network gets red, green and blue.",
        )
    grey = to_luminance(pixels)
    rows: list[TableRow] = []
    tiles: list[NDArray[np.uint8]] = []
    measured: list[dict[str, float]] = []
    problems: list[UnusablePictureError] = []
    for left, right in cut_mosaic(pixels.shape[1], settings.mosaic_width_px):
        piece = np.ascontiguousarray(grey[:, left:right])
        try:
            located = locate_coating(piece, settings)
        except UnusablePictureError as error:
            problems.append(error)
            rows.append(("grid", left, 0, 0.0, False))
            measured.append({})
            continue
        straight, rectangle = located.straight, located.rectangle
        shown = [straight]
        if pixels.ndim == 3:
            channels = np.moveaxis(pixels[:, left:right], 2, 0)
            shown = [straighten(np.ascontiguousarray(one), located.edge) for one in channels]
        middle = cut_centre(rectangle, settings.crop_height_px, settings.crop_width_px)
        assert middle is not None  # locate_coating has seen to it
        judged = spread_crops(rectangle, middle, settings.judging_crops)
        places = [("grid", place) for place in judged]
        if n_random == 0:
            places.insert(0, ("random", middle))
        elif rng is None:
            raise ValueError("random crops need a random generator")
        else:
            places[:0] = [("random", _draw_place(rectangle, middle, rng)) for _ in range(n_random)]
        values = {
            "angle_deg": located.edge.angle_deg,
            "thickness_px": located.coating.thickness_px,
        }
        texture = {place: measure_coating(cut_out(straight, place)) for place in judged}
        for kind, place in places:
            crop = cut_out(straight, place)
            rows.append((kind, left + place.left, place.top, float(crop.std()), True))
            cuts = [shrink_crop(cut_out(one, place), settings.shrink) for one in shown]
            tiles.append(cuts[0] if pixels.ndim == 2 else np.stack(cuts))
            measured.append(values | (texture[place] if kind == "grid" else {}))
    if not tiles:
        raise problems[0]
    kind_of, x_px, y_px, local_sd, used = zip(*rows, strict=True)
    columns = {
        "kind": kind_of,
        "x_px": x_px,
        "y_px": y_px,
        "crop_px": [settings.crop_width_px] * len(rows),
        "crop_height_px": [settings.crop_height_px] * len(rows),
        "local_sd": local_sd,
        "used": used,
    }
    names = max(measured, key=len)
    measurements = {name: [values.get(name, np.nan) for values in measured] for name in names}
    return TileBatch(np.stack(tiles), columns, 0, measurements)


def cut_mosaic(width_px: int, piece_px: int) -> list[tuple[int, int]]:
    """Return first and last column of the pieces of a mosaic, evenly spread over its width.

    A picture less than twice as wide as a piece is one piece as a whole.
    """
    n = width_px // piece_px
    if n < 2:
        return [(0, width_px)]
    starts = np.rint(np.linspace(0, width_px - piece_px, n)).astype(int).tolist()
    return [(start, start + piece_px) for start in starts]


@dataclass(frozen=True)
class LocatedCoating:
    """A straightened piece and what was found in it.

    Parameters
    ----------
    straight : (H, W) uint8 array
        The piece with a level foil at the bottom.
    edge
        Of the foil, in the piece as it was.
    coating, rectangle
        In the straightened piece.
    """

    straight: NDArray[np.uint8]
    edge: FoilEdge
    coating: Coating
    rectangle: Rectangle


def locate_coating(piece: NDArray[np.uint8], settings: CoatingCropSettings) -> LocatedCoating:
    """Straighten; find foil, coating and the largest rectangle of coating.

    Raises
    ------
    UnusablePictureError
        If there is no foil, a choice of several, or too little coating.
    """
    edge = find_foil(piece, settings.collector)
    straight = straighten(piece, edge)
    coating = find_coating(straight, edge, settings.largest_void_px)
    rectangle = find_largest_rectangle(
        coating.mask, settings.crop_height_px, settings.crop_width_px
    )
    if cut_centre(rectangle, settings.crop_height_px, settings.crop_width_px) is None:
        raise UnusablePictureError(
            "coating_too_thin",
            f"the largest rectangle of coating without artefacts has {rectangle.width}×"
            f"{rectangle.height} px, less than the crop of {settings.crop_width_px}×"
            f"{settings.crop_height_px} px; choose a smaller preprocess.crop_height_px or "
            "crop_width_px, or leave the picture out.",
        )
    return LocatedCoating(straight, edge, coating, rectangle)


def shrink_crop(crop: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """Return a crop made smaller by averaging blocks of ``factor`` × ``factor`` pixels."""
    if factor == 1:
        return np.ascontiguousarray(crop)
    means = block_reduce(crop.astype(np.float32), (factor, factor), np.mean)
    return np.asarray(np.rint(means), dtype=np.uint8)


def _draw_place(rectangle: Rectangle, crop: Rectangle, rng: np.random.Generator) -> Rectangle:
    top = rectangle.top + int(rng.integers(rectangle.height - crop.height + 1))
    left = rectangle.left + int(rng.integers(rectangle.width - crop.width + 1))
    return Rectangle(top, left, crop.height, crop.width)
