"""The size of a pixel in TIFF files: ImageJ's description, OME-XML, measured resolution tags."""

import math
from typing import Any

import tifffile

from batteryscope.readers.pixel_size import UNKNOWN_SIZE, PixelSize, measure_pixel
from batteryscope.readers.written_values import as_positive, find_um_per_unit

_UM_PER_RESOLUTION_UNIT = {2: 25400.0, 3: 10000.0}  # TIFF tag 296: inch, centimetre
_COARSEST_UM = 80  # a resolution of 72 to 300 dots per inch is a print setting, not measured
_DEFAULT_UNIT = "µm"  # of OME-XML where no unit is written


def find_voxel_size(file: tifffile.TiffFile) -> PixelSize:
    """Return the size of a pixel and the spacing of slices in µm, None where the file is silent.

    ImageJ gives pixels per unit in the resolution tag, its unit and the spacing in its description;
    OME-XML says PhysicalSizeX with its unit. A resolution without a unit is no size, and neither
    is what cannot be read.
    """
    try:
        return _find_sizes(file)
    except Exception:  # damaged entries cost the size, not the picture
        return UNKNOWN_SIZE


def _find_sizes(file: tifffile.TiffFile) -> PixelSize:
    if file.is_ome:
        return _read_ome(file)
    tags = file.pages.first.tags
    across, down = (_read_resolution(tags.valueof(tag)) for tag in (282, 283))  # X, Y
    if across is None:
        return UNKNOWN_SIZE
    down = down or across
    imagej = file.imagej_metadata or {}
    if file.is_imagej:
        um = find_um_per_unit(str(imagej.get("unit", "")))
        if um is None:
            return UNKNOWN_SIZE
        spacing = as_positive(imagej.get("spacing"))
        spacing_um = None if spacing is None else spacing * um
        return measure_pixel(um / across, um / down, spacing_um)
    unit = tags.valueof(296, 1)
    um = _UM_PER_RESOLUTION_UNIT.get(unit) if isinstance(unit, int) else None
    if um is None or um / across > _COARSEST_UM:
        return UNKNOWN_SIZE
    return measure_pixel(um / across, um / down)


def _read_resolution(value: Any) -> float | None:
    """Pixels per unit, None of anything that is no number above zero (such as 0/0)."""
    if not isinstance(value, tuple) or len(value) != 2 or not all(value):
        return None
    per_unit = value[0] / value[1]
    return per_unit if math.isfinite(per_unit) and per_unit > 0 else None


def _read_ome(file: tifffile.TiffFile) -> PixelSize:
    """Read PhysicalSizeX, Y and Z of the first image."""
    described: Any = tifffile.xml2dict(file.ome_metadata or "")
    images = described.get("OME", {}).get("Image", {}) if isinstance(described, dict) else {}
    image = images[0] if isinstance(images, list) and images else images
    pixels = image.get("Pixels", {}) if isinstance(image, dict) else {}
    sizes = []
    for axis in ("X", "Y", "Z"):
        value = as_positive(pixels.get(f"PhysicalSize{axis}"))
        um = find_um_per_unit(str(pixels.get(f"PhysicalSize{axis}Unit", _DEFAULT_UNIT)))
        sizes.append(None if value is None or um is None else value * um)
    return measure_pixel(*sizes)
