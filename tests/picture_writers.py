"""How the pictures of the corpus are written, what they show, and readers that are not ours."""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from tests.raw_raster import write_raw_bmp, write_raw_png
from tests.raw_tiff import pack_bits, write_raw_tiff

Grey = NDArray[np.uint8]
HEIGHT, WIDTH = 40, 56


def draw_frame() -> Grey:
    """A picture that is different after every turn and mirroring."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    noise = np.random.default_rng(5).integers(0, 12, x.shape)
    return (20 + 2 * x + 3 * (y % 17) + noise + 60 * ((x > 40) & (y < 12))).astype(np.uint8)


FRAME = draw_frame()
DEEP = FRAME.astype(np.uint16) << 8 | 7  # 16 bits of which the highest 8 are those of FRAME
TWELVE = FRAME.astype(np.uint16) << 4 | 3


@dataclass(frozen=True)
class Case:
    """A file: who else can read it (``libtiff``, ``pillow``), or why it is refused.

    ``shown`` is what a viewer shows if it is not FRAME; ``tolerance`` of grey levels if the format
    loses some.
    """

    write: Callable[[Path], object]
    others: tuple[str, ...] = ()
    refused: str = ""
    shown: Grey | None = None
    tolerance: int = 0

    @property
    def expected(self) -> Grey:
        """The grey levels that everybody sees."""
        return FRAME if self.shown is None else self.shown


def read_with_libtiff(path: Path) -> Grey:
    """What libtiff shows: strips, palettes, black and white, orientation after its own code."""
    colours = imagecodecs.tiff_decode(path.read_bytes(), asrgb=True)
    return np.asarray(Image.fromarray(np.ascontiguousarray(colours[..., :3])).convert("L"))


def read_with_pillow(path: Path) -> Grey:
    """What Pillow shows, turned by its own code."""
    from PIL import ImageOps

    with Image.open(path) as stored:
        picture = ImageOps.exif_transpose(stored)
        assert picture is not None
        if picture.mode.startswith("I"):
            return (np.asarray(picture) >> 8).astype(np.uint8)
        return np.asarray(picture.convert("RGB" if picture.mode in "P" else "L").convert("L"))


READERS: dict[str, Callable[[Path], Grey]] = {
    "libtiff": read_with_libtiff,
    "pillow": read_with_pillow,
}
BOTH = ("libtiff", "pillow")


def store_turned(picture: Grey, orientation: int) -> Grey:
    """Return how a picture is stored that a viewer turns upright (EXIF 2 to 8)."""
    stored = {
        1: lambda p: p,
        2: np.fliplr,
        3: lambda p: np.rot90(p, 2),
        4: np.flipud,
        5: np.transpose,
        6: lambda p: np.rot90(p, 1),
        7: lambda p: np.rot90(np.transpose(p), 2),
        8: lambda p: np.rot90(p, -1),
    }[orientation](picture)
    return np.ascontiguousarray(stored)


def _strips(rows: Any, n: int = 4) -> list[bytes]:
    return [part.tobytes() for part in np.array_split(rows, n)]


def write_raw(values: Any = FRAME, n: int = 4, **more: Any) -> Callable[[Path], None]:
    size = (values.shape[1], values.shape[0])
    return lambda path: write_raw_tiff(path, _strips(values, n), size, **more)


def write_packed(values: Any, bits: int, photometric: int, **more: Any) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        data = pack_bits(values, bits)
        write_raw_tiff(path, [data], (WIDTH, HEIGHT), (bits,), photometric, **more)

    return write


def write_tif(values: Any = FRAME, **how: Any) -> Callable[[Path], None]:
    how = {"photometric": "minisblack", "metadata": None} | how
    return lambda path: tifffile.imwrite(path, values, **how)


def keep_bits(bits: int) -> tuple[NDArray[Any], Grey]:
    """Numbers of few bits, and the grey levels that they show."""
    few = (FRAME >> (8 - bits)).astype(np.uint8)
    return few, (few.astype(int) * 255 // (2**bits - 1)).astype(np.uint8)


def draw_palette(bits: int) -> tuple[NDArray[Any], list[int], Grey]:
    """Indices, a colour map that is no ramp, and what it shows."""
    indices, _ = keep_bits(bits)
    greys = np.random.default_rng(bits).permutation(256)[: 2**bits].astype(np.uint8)
    return indices, [int(g) * 257 for g in greys] * 3, greys[indices]


def turn_tiff(orientation: int) -> Case:
    stored = store_turned(FRAME, orientation)
    # libtiff mirrors, but does not exchange rows and columns: it says so in its manual.
    others = BOTH if orientation < 5 else ("pillow",)
    return Case(write_raw(stored, more={274: [orientation]}), others)


def turn_jpeg(orientation: int) -> Case:
    def write(path: Path) -> None:
        exif = Image.Exif()
        exif[274] = orientation
        image = Image.fromarray(store_turned(FRAME, orientation))
        image.save(path, quality=98, exif=exif)

    return Case(write, ("pillow",), tolerance=8)


def write_pages(path: Path, *pages: tuple[Grey, int]) -> None:
    with tifffile.TiffWriter(path) as file:
        for pixels, kind in pages:
            file.write(pixels, photometric="minisblack", subfiletype=kind, metadata=None)


def write_png(values: NDArray[Any]) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(imagecodecs.png_encode(values)) and None


def write_saved(mode: str = "L", **how: Any) -> Callable[[Path], None]:
    return lambda path: Image.fromarray(FRAME).convert(mode).save(path, **how)


def write_palette(path: Path) -> None:
    image = Image.fromarray(255 - FRAME, mode="P")
    image.putpalette([255 - i // 3 for i in range(768)])
    image.save(path)


def write_turned_png(path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(store_turned(FRAME, 6)).save(path, exif=exif)


def write_packed_png(values: Any = FRAME, depth: int = 8, **more: Any) -> Callable[[Path], None]:
    rows = [pack_bits(row[None], depth) for row in values]
    return lambda path: write_raw_png(path, rows, (WIDTH, HEIGHT), depth, **more)


def write_bmp(
    data: bytes, bits: int = 8, height: int = HEIGHT, **more: Any
) -> Callable[[Path], None]:
    greys = more.pop("greys", range(256))
    return lambda path: write_raw_bmp(path, data, (WIDTH, height), bits, greys=greys, **more)


def write_bytes(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


def write_os2_bmp(path: Path, data: bytes, bits: int, greys: Sequence[int]) -> None:
    """Write a BMP file with the short header of OS/2."""
    more = struct.pack("<IHHHH", 12, WIDTH, HEIGHT, 1, bits) + bytes(
        g for g in greys for _ in "BGR"
    )
    path.write_bytes(b"BM" + struct.pack("<IHHI", 0, 0, 0, 14 + len(more)) + more + data)


def write_turned_bits(path: Path, page: Image.Image) -> None:
    """Write a fax page whose bits run from the lowest to the highest."""
    page.save(path, compression="group4")
    with tifffile.TiffFile(path) as file:
        first = file.pages.first
        (offset,), (count,) = first.dataoffsets, first.databytecounts
        photometric = int(first.photometric)
    data = imagecodecs.bitorder_encode(path.read_bytes()[offset : offset + count])
    more = {259: [4], 266: [2]}
    write_raw_tiff(path, [data], (WIDTH, HEIGHT), (1,), photometric, more=more)


def write_odd_tiles(path: Path) -> None:
    """Tiles whose edges are no multiples of 16, the last ones of which hang over the edge."""
    across, down = 24, 18
    wide = np.pad(FRAME, ((0, -HEIGHT % down), (0, -WIDTH % across)))
    tiles = [
        wide[y : y + down, x : x + across].tobytes()
        for y in range(0, HEIGHT, down)
        for x in range(0, WIDTH, across)
    ]
    counts = [len(tile) for tile in tiles]
    places = np.cumsum([8, *counts])[:-1].tolist()
    tags = {322: [across], 323: [down], 324: places, 325: counts}
    write_raw_tiff(path, tiles, (WIDTH, HEIGHT), more=tags, without=[273, 278, 279])


def as_rgb(values: Any = FRAME) -> NDArray[Any]:
    return np.repeat(values[..., None], 3, axis=2)
