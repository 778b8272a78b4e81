"""Writes PNG and BMP files byte by byte, with properties that libraries do not write."""

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Chunk = tuple[bytes, bytes]
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2),
          (0, 1, 1, 2))  # first column, first row, steps along both  # fmt: skip


def write_raw_png(
    path: Path,
    rows: Sequence[bytes],
    size: tuple[int, int],
    depth: int = 8,
    colour: int = 0,
    chunks: Sequence[Chunk] = (),
    interlaced: bool = False,
) -> None:
    """Write rows that are packed already; ``chunks`` stand before the pixels.

    Parameters
    ----------
    path
        The file.
    rows
        Of the picture, or of all passes of an interlaced one.
    size
        (width, height).
    depth
        Bits per sample.
    colour
        0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGB and alpha.
    chunks
        Names and contents.
    interlaced
        Whether the rows are those of the seven passes of Adam7.
    """
    head = struct.pack(">IIBBBBB", *size, depth, colour, 0, 0, interlaced)
    packed = zlib.compress(b"".join(b"\0" + row for row in rows))
    written = [(b"IHDR", head), *chunks, (b"IDAT", packed), (b"IEND", b"")]
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
            for name, body in written
        )
    )


def cut_passes(picture: NDArray[np.uint8]) -> list[bytes]:
    """Return the rows of the seven passes in which an interlaced PNG file holds a picture."""
    passes = (picture[y::down, x::across] for x, y, across, down in _ADAM7)
    return [row.tobytes() for part in passes if part.size for row in part]


def write_raw_bmp(
    path: Path,
    data: bytes,
    size: tuple[int, int],
    bits: int = 8,
    kind: int = 0,
    greys: Sequence[int] = (),
    masks: Sequence[int] = (),
) -> None:
    """Write a BMP file from what lies behind its header.

    Parameters
    ----------
    path
        The file.
    data
        Rows from the lowest on, each padded to four bytes, or what ``kind`` makes of them.
    size
        (width, height); a negative height says that the first row is the top.
    bits
        Per pixel.
    kind
        0 plain, 1 run lengths of bytes, 3 with ``masks`` of the colours.
    greys
        The palette.
    """
    palette = b"".join(bytes([g, g, g, 0]) for g in greys)
    more = struct.pack(f"<{len(masks)}I", *masks) + palette
    head = struct.pack("<IiiHHIIiiII", 40, *size, 1, bits, kind, len(data), 0, 0, len(greys), 0)
    offset = 14 + len(head) + len(more)
    start = b"BM" + struct.pack("<IHHI", offset + len(data), 0, 0, offset)
    path.write_bytes(start + head + more + data)


def pack_run_lengths(picture: NDArray[np.uint8]) -> bytes:
    """Return what a BMP file of kind 1 holds: (how often, which level), row by row from below."""
    packed = bytearray()
    for row in picture[::-1]:
        ends = [*(np.flatnonzero(np.diff(row)) + 1), len(row)]
        begin = 0
        for end in ends:
            packed += bytes([end - begin, int(row[begin])])
            begin = end
        packed += b"\0\0"
    return bytes(packed + b"\0\1")
