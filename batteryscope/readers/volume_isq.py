"""Scanco .ISQ files: a header of 512-byte blocks, then signed 16-bit slices.

Layout after the description of the format by Scanco Medical (CTDATA-HEADER_V1), the same that
itk-ioscanco reads. That reader gives whole volumes only, so slices are read here.
"""

import struct
from pathlib import Path

from batteryscope.readers.picture import PictureError
from batteryscope.readers.pixel_size import measure_pixel
from batteryscope.readers.volume import Volume, make_raw_volume

SIGNATURE = b"CTDATA-HEADER_V1"
BLOCK_BYTES = 512
_SHORT = 3  # the only number type that scanners write


def open_isq(path: Path) -> Volume:
    """Open a Scanco ISQ file.

    Raises
    ------
    PictureError
        The header is incomplete or names another number type, or the file is cut off.
    """
    with path.open("rb") as stream:
        header = stream.read(BLOCK_BYTES)
    if len(header) < BLOCK_BYTES:
        detail = f"this ISQ file ends within its header ({len(header)} bytes); copy it again."
        raise PictureError(path, "truncated", detail)
    (data_type,) = struct.unpack_from("<i", header, 16)
    (scanner,) = struct.unpack_from("<i", header, 32)
    nx, ny, nz, *sizes_um = struct.unpack_from("<6i", header, 44)
    (data_offset,) = struct.unpack_from("<i", header, 508)
    if data_type != _SHORT or min(nx, ny, nz) < 1 or data_offset < 0:
        detail = (
            f"its ISQ header names number type {data_type}, {nx} × {ny} × {nz} voxels and data "
            f"offset {data_offset}; expected type {_SHORT} (16-bit) and sizes above 0; "
            "export it again."
        )
        raise PictureError(path, "unsupported", detail)
    edges_um = (um / n if um > 0 else None for um, n in zip(sizes_um, (nx, ny, nz), strict=True))
    # What lies behind the last slice fills the last block.
    return make_raw_volume(
        path,
        BLOCK_BYTES * (data_offset + 1),
        (nz, ny, nx),
        "<i2",
        "ISQ",
        size=measure_pixel(*edges_um),
        instrument=f"Scanco scanner {scanner}",
    )
