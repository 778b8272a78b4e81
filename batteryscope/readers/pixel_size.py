"""The edge of a pixel: everything that follows takes pixels for squares."""

from typing import NamedTuple

_MOST_UNEQUAL = 0.01  # of the longer edge; programs round what they write


class PixelSize(NamedTuple):
    """How large a pixel is, in µm; None where nothing is stated.

    ``edge_um`` of a square pixel; ``spacing_um`` of slices; ``unequal_um`` width and height of a
    pixel that is no square, which then has no edge.
    """

    edge_um: float | None = None
    spacing_um: float | None = None
    unequal_um: tuple[float, float] | None = None


UNKNOWN_SIZE = PixelSize()


def measure_pixel(
    width_um: float | None, height_um: float | None, spacing_um: float | None = None
) -> PixelSize:
    """Return the size of a pixel by its width and height; an unknown height is like the width.

    >>> measure_pixel(0.5, 0.501), measure_pixel(0.5, 1.0)
    (PixelSize(edge_um=0.5, spacing_um=None, unequal_um=None), \
PixelSize(edge_um=None, spacing_um=None, unequal_um=(0.5, 1.0)))
    """
    if width_um is None or height_um is None:
        return PixelSize(width_um, spacing_um)
    if abs(width_um - height_um) > _MOST_UNEQUAL * max(width_um, height_um):
        return PixelSize(None, spacing_um, (width_um, height_um))
    return PixelSize(width_um, spacing_um)


def describe_unequal(edges_um: tuple[float, float], more: str = "") -> str:
    """Say that pixels are no squares."""
    width, height = edges_um
    return (
        f"pixel_size_um is left out: its pixels are {width:g} µm wide and {height:g} µm "
        f"high{more}; stretch it until both are equal, or all shapes in it are taken for others."
    )
