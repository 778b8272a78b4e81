"""The size of a pixel in TIFF files: ImageJ's description, OME-XML, measured resolution tags."""

import math
from typing import Any

import tifffile

from batteryscope.readers.written_values import as_positive, find_um_per_unit

_UM_PER_RESOLUTION_UNIT = {2: 25400.0, 3: 10000.0}  # TIFF tag 296: inch, centimetre
_COARSEST_UM = 80  # a resolution of 72 to 300 dots per inch is a print setting, not measured
_DEFAULT_UNIT = "µm"  # of OME-XML where no unit is written

Sizes = tuple[float | None, float | None]


def find_voxel_size(file: tifffile.TiffFile) -> Sizes:
    """Return the edge of a pixel and the spacing of slices in µm, None where the file is silent.

    ImageJ gives pixels per unit in the resolution tag, its unit and the spacing in its description;
    OME-XML says PhysicalSizeX with its unit. A resolution without a unit is no size, and neither
    is what cannot be read.
    """
    try:
        return _find_sizes(file)
    except Exception:  # damaged entries cost the size, not the picture
        return None, None


def _find_sizes(file: tifffile.TiffFile) -> Sizes:
    if file.is_ome:
        return _read_ome(file)
    tags = file.pages.first.tags
    resolution = tags.valueof(282)  # XResolution
    if not isinstance(resolution, tuple) or len(resolution) != 2 or not all(resolution):
        return None, None
    per_unit = resolution[0] / resolution[1]
    if not math.isfinite(per_unit) or per_unit <= 0:
        return None, None
    imagej = file.imagej_metadata or {}
    if file.is_imagej:
        um = find_um_per_unit(str(imagej.get("unit", "")))
        if um is None:
            return None, None
        spacing = as_positive(imagej.get("spacing"))
        return um / per_unit, None if spacing is None else spacing * um
    unit = tags.valueof(296, 1)
    um = _UM_PER_RESOLUTION_UNIT.get(unit) if isinstance(unit, int) else None
    if um is None or um / per_unit > _COARSEST_UM:
        return None, None
    return um / per_unit, None


def _read_ome(file: tifffile.TiffFile) -> Sizes:
    """Read PhysicalSizeX and PhysicalSizeZ of the first image."""
    described: Any = tifffile.xml2dict(file.ome_metadata or "")
    images = described.get("OME", {}).get("Image", {}) if isinstance(described, dict) else {}
    image = images[0] if isinstance(images, list) and images else images
    pixels = image.get("Pixels", {}) if isinstance(image, dict) else {}
    sizes = []
    for axis in ("X", "Z"):
        value = as_positive(pixels.get(f"PhysicalSize{axis}"))
        um = find_um_per_unit(str(pixels.get(f"PhysicalSize{axis}Unit", _DEFAULT_UNIT)))
        sizes.append(None if value is None or um is None else value * um)
    return sizes[0], sizes[1]
