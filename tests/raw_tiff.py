"""Writes TIFF files tag by tag, so that tags can be wrong or missing."""

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = Sequence[int]
_SHORT, _LONG = 3, 4


def pack_bits(values: NDArray[Any], bits: int) -> bytes:
    """Pack rows of numbers of 1 to 16 bits, highest bit first, each row padded to whole bytes."""
    shifts = np.arange(bits - 1, -1, -1)
    spread = ((values.astype(np.uint32)[..., None] >> shifts) & 1).astype(np.uint8)
    return np.packbits(spread.reshape(len(values), -1), axis=1).tobytes()


def write_raw_tiff(
    path: Path,
    strips: Sequence[bytes],
    size: tuple[int, int],
    bits: Values = (8,),
    photometric: int | None = 1,
    order: str = "<",
    more: dict[int, Values] | None = None,
    without: Sequence[int] = (),
) -> None:
    """Write one page of uncompressed strips.

    Parameters
    ----------
    path
        The file.
    strips
        Their bytes.
    size
        (width, height).
    bits
        Per sample.
    photometric
        0 white is zero, 1 black is zero, 2 RGB, 3 palette; None leaves the tag out.
    order
        "<" or ">".
    more
        Further tags, or other values for the usual ones.
    without
        Tags that are left out.
    """
    width, height = size
    offsets, place = [], 8
    for strip in strips:
        offsets.append(place)
        place += len(strip) + len(strip) % 2
    tags: dict[int, Values] = {
        256: [width],
        257: [height],
        258: list(bits),
        259: [1],
        262: [1 if photometric is None else photometric],
        273: offsets,
        277: [len(bits)],
        278: [-(-height // len(strips))],
        279: [len(strip) for strip in strips],
    }
    tags |= more or {}
    gone = {*without, *([262] if photometric is None else [])}
    tags = {tag: tags[tag] for tag in sorted(tags) if tag not in gone}
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", place)
    body = b"".join(strip + b"\0" * (len(strip) % 2) for strip in strips)
    behind = place + 2 + 12 * len(tags) + 4
    directory, far = struct.pack(order + "H", len(tags)), b""
    for tag, values in tags.items():
        kind = _SHORT if max(values) < 65536 and tag not in (273, 279) else _LONG
        packed = struct.pack(f"{order}{len(values)}{'H' if kind == _SHORT else 'I'}", *values)
        if len(packed) > 4:
            inline = struct.pack(order + "I", behind + len(far))
            far += packed + b"\0" * (len(packed) % 2)
        else:
            inline = packed.ljust(4, b"\0")
        directory += struct.pack(order + "HHI", tag, kind, len(values)) + inline
    path.write_bytes(head + body + directory + struct.pack(order + "I", 0) + far)
