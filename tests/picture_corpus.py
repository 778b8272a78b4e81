"""Small pictures, each format by each property, that all show :data:`FRAME` or must be refused."""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from tests.raw_raster import cut_passes, pack_run_lengths, write_raw_bmp, write_raw_png
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


def _raw(values: Any = FRAME, n: int = 4, **more: Any) -> Callable[[Path], None]:
    size = (values.shape[1], values.shape[0])
    return lambda path: write_raw_tiff(path, _strips(values, n), size, **more)


def _packed(values: Any, bits: int, photometric: int, **more: Any) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        data = pack_bits(values, bits)
        write_raw_tiff(path, [data], (WIDTH, HEIGHT), (bits,), photometric, **more)

    return write


def _tif(values: Any = FRAME, **how: Any) -> Callable[[Path], None]:
    how = {"photometric": "minisblack", "metadata": None} | how
    return lambda path: tifffile.imwrite(path, values, **how)


def _spread(bits: int) -> tuple[NDArray[Any], Grey]:
    """Numbers of few bits, and the grey levels that they show."""
    few = (FRAME >> (8 - bits)).astype(np.uint8)
    return few, (few.astype(int) * 255 // (2**bits - 1)).astype(np.uint8)


def _palette(bits: int) -> tuple[NDArray[Any], list[int], Grey]:
    """Indices, a colour map that is no ramp, and what it shows."""
    indices, _ = _spread(bits)
    greys = np.random.default_rng(bits).permutation(256)[: 2**bits].astype(np.uint8)
    return indices, [int(g) * 257 for g in greys] * 3, greys[indices]


def _turned_tiff(orientation: int) -> Case:
    stored = store_turned(FRAME, orientation)
    # libtiff mirrors, but does not exchange rows and columns: it says so in its manual.
    others = BOTH if orientation < 5 else ("pillow",)
    return Case(_raw(stored, more={274: [orientation]}), others)


def _turned_jpeg(orientation: int) -> Case:
    def write(path: Path) -> None:
        exif = Image.Exif()
        exif[274] = orientation
        image = Image.fromarray(store_turned(FRAME, orientation))
        image.save(path, quality=98, exif=exif)

    return Case(write, ("pillow",), tolerance=8)


def _write_pages(path: Path, *pages: tuple[Grey, int]) -> None:
    with tifffile.TiffWriter(path) as file:
        for pixels, kind in pages:
            file.write(pixels, photometric="minisblack", subfiletype=kind, metadata=None)


def _png(values: NDArray[Any]) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(imagecodecs.png_encode(values)) and None


def _save(mode: str = "L", **how: Any) -> Callable[[Path], None]:
    return lambda path: Image.fromarray(FRAME).convert(mode).save(path, **how)


def _save_palette(path: Path) -> None:
    image = Image.fromarray(255 - FRAME, mode="P")
    image.putpalette([255 - i // 3 for i in range(768)])
    image.save(path)


def _turned_png(path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(store_turned(FRAME, 6)).save(path, exif=exif)


def _raw_png(values: Any = FRAME, depth: int = 8, **more: Any) -> Callable[[Path], None]:
    rows = [pack_bits(row[None], depth) for row in values]
    return lambda path: write_raw_png(path, rows, (WIDTH, HEIGHT), depth, **more)


def _bmp(data: bytes, bits: int = 8, height: int = HEIGHT, **more: Any) -> Callable[[Path], None]:
    greys = more.pop("greys", range(256))
    return lambda path: write_raw_bmp(path, data, (WIDTH, height), bits, greys=greys, **more)


def _odd_tiles(path: Path) -> None:
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


def _rgb(values: Any = FRAME) -> NDArray[Any]:
    return np.repeat(values[..., None], 3, axis=2)


def _list_cases() -> Iterator[tuple[str, Case]]:
    black, white = 1, 0
    for order, name in (("<", "little"), (">", "big")):
        yield f"8_{name}.tif", Case(_raw(order=order), BOTH)
        deep = DEEP.astype(f"{order}u2")
        yield f"16_{name}.tif", Case(_raw(deep, bits=(16,), order=order), BOTH)
        deep = (65535 - DEEP).astype(f"{order}u2")
        write = _raw(deep, bits=(16,), order=order, photometric=white)
        yield f"16_white_{name}.tif", Case(write, ("libtiff",))
    yield "8_white.tif", Case(_raw(255 - FRAME, photometric=white), BOTH)
    yield "12_packed.tif", Case(_packed(TWELVE, 12, black))
    yield "12_packed_white.tif", Case(_packed(4095 - TWELVE, 12, white))
    for photometric, name in ((black, "black"), (white, "white")):
        stored = (TWELVE if photometric else 4095 - TWELVE).astype("<u2")
        write = _raw(stored, bits=(16,), photometric=photometric, more={281: [4095]})
        yield f"12_in_16_{name}.tif", Case(write)
    for bits in (1, 2, 4):
        few, shown = _spread(bits)
        others = BOTH if bits != 2 else ("libtiff",)
        yield f"{bits}_black.tif", Case(_packed(few, bits, black), others, shown=shown)
        turned = 2**bits - 1 - few
        yield f"{bits}_white.tif", Case(_packed(turned, bits, white), others, shown=shown)
    for bits in (4, 8):
        indices, colours, shown = _palette(bits)
        write = _packed(indices, bits, 3, more={320: colours})
        yield f"palette_{bits}.tif", Case(write, BOTH, shown=shown)
    yield (
        "fill_order.tif",
        Case(
            lambda path: write_raw_tiff(
                path,
                [imagecodecs.bitorder_encode(FRAME.tobytes())],
                (WIDTH, HEIGHT),
                more={266: [2]},
            ),
            ("libtiff",),
        ),
    )
    yield "rgb.tif", Case(_tif(_rgb(), photometric="rgb"), BOTH)
    planes = np.moveaxis(_rgb(), -1, 0)
    yield "rgb_planes.tif", Case(_tif(planes, photometric="rgb", planarconfig="separate"), BOTH)
    alpha = np.dstack([_rgb(), 255 - FRAME])
    yield "rgba.tif", Case(_tif(alpha, photometric="rgb", extrasamples=["unassalpha"]))
    yield (
        "grey_alpha.tif",
        Case(
            _tif(
                np.dstack([FRAME, 255 - FRAME]), planarconfig="contig", extrasamples=["unassalpha"]
            )
        ),
    )
    yield "16_rgb.tif", Case(_tif(_rgb(DEEP), photometric="rgb"), ("libtiff",))
    for compression in ("lzw", "zlib", "packbits", "zstd"):
        others = BOTH if compression != "zstd" else ("libtiff",)
        yield f"{compression}.tif", Case(_tif(compression=compression, rowsperstrip=9), others)
    yield "predictor.tif", Case(_tif(DEEP, compression="zlib", predictor=True), ("libtiff",))
    yield "tiles.tif", Case(_tif(tile=(16, 32), compression="zlib"), BOTH)
    yield "plain_tiles.tif", Case(_tif(tile=(16, 32)), BOTH)
    yield "big.tif", Case(_tif(bigtiff=True), BOTH)
    yield (
        "jpeg.tif",
        Case(_tif(compression="jpeg", compressionargs={"level": 98}), BOTH, tolerance=8),
    )
    for orientation in range(1, 9):
        yield f"orientation_{orientation}.tif", _turned_tiff(orientation)
        yield f"orientation_{orientation}.jpg", _turned_jpeg(orientation)
    # Tags that are missing or wrong.
    yield "8_with_low_maximum.tif", Case(_raw(more={281: [63]}), BOTH)
    yield (
        "8_white_with_low_maximum.tif",
        Case(_raw(255 - FRAME, photometric=0, more={281: [63]}), BOTH),
    )
    yield "no_counts.tif", Case(_raw(without=[279]), ("pillow",))
    yield "zero_counts.tif", Case(_raw(more={279: [0, 0, 0, 0]}))
    yield "short_counts.tif", Case(_raw(more={279: [560, 560, 560, 90]}))
    yield "no_rows_per_strip.tif", Case(_raw(n=1, without=[278]), BOTH)
    yield (
        "first_page_is_marked_thumbnail.tif",
        Case(lambda path: _write_pages(path, (FRAME[::4, ::4], 1), (FRAME, 0))),
    )
    yield (
        "first_page_is_thumbnail.tif",
        Case(lambda path: _write_pages(path, (FRAME[::4, ::4], 0), (FRAME, 0))),
    )
    yield (
        "second_page_is_reduced.tif",
        Case(lambda path: _write_pages(path, (FRAME, 0), (FRAME[::2, ::2], 1)), BOTH),
    )
    # PNG, JPEG, BMP.
    yield "8.png", Case(_save(), ("pillow",))
    yield "16.png", Case(_png(DEEP), ("pillow",))
    yield "rgb.png", Case(_save("RGB"), ("pillow",))
    yield "16_rgb.png", Case(_png(_rgb(DEEP)))
    yield "rgba.png", Case(_png(alpha))
    yield "16_grey_alpha.png", Case(_png(np.dstack([DEEP, 65535 - DEEP])))
    yield "palette.png", Case(_save_palette, ("pillow",))
    yield (
        "1.png",
        Case(
            _save("1"),
            ("pillow",),
            shown=np.asarray(Image.fromarray(FRAME).convert("1").convert("L")),
        ),
    )
    yield "turned.png", Case(_turned_png, ("pillow",))
    yield "cmyk.jpg", Case(_save("CMYK", quality=98), ("pillow",), tolerance=8)
    yield "progressive.jpg", Case(_save(quality=98, progressive=True), ("pillow",), tolerance=8)
    yield "8.bmp", Case(_save(), ("pillow",))
    yield "24.bmp", Case(_save("RGB"), ("pillow",))
    yield "palette.bmp", Case(_save_palette, ("pillow",))
    yield "from_top.bmp", Case(_bmp(FRAME.tobytes(), height=-HEIGHT), ("pillow",))
    yield from _list_rare_cases()
    # Refused, each with a sentence.
    yield "no_photometric.tif", Case(_raw(photometric=None), refused="whether 0 is black")
    yield (
        "three_greys.tif",
        Case(
            _tif(_rgb(), planarconfig="contig"), refused="3 values per pixel of a picture in grey"
        ),
    )
    cmyk = np.dstack([FRAME] * 4)
    yield "cmyk.tif", Case(_tif(cmyk, photometric="separated"), refused="colour model SEPARATED")
    yield "lab.tif", Case(_tif(_rgb(), photometric="cielab"), refused="colour model CIELAB")
    yield "float.tif", Case(_tif(FRAME.astype(np.float32)), refused="numbers of type float32")
    yield "signed.tif", Case(_tif(FRAME.astype(np.int16)), refused="numbers of type int16")
    yield "no_colour_map.tif", Case(_raw(photometric=3), refused="palette, but holds none")
    yield (
        "sparse.tif",
        Case(
            _raw(more={273: [8, 0, 1128, 1688], 279: [560, 0, 560, 560]}), refused="strips or tiles"
        ),
    )
    yield (
        "strips_missing.tif",
        Case(
            _raw(more={273: [8, 568], 279: [560, 560]}), refused="has 2 strips or tiles, .* needs 4"
        ),
    )
    yield (
        "beyond_the_end.tif",
        Case(_raw(more={273: [8, 568, 1128, 99_000]}), refused="strips or tiles|ends too early"),
    )
    yield (
        "overlapping.tif",
        Case(
            _raw(more={273: [8, 100, 200, 300], 279: [92, 100, 100, 100]}), refused="shorter than"
        ),
    )


def _list_rare_cases() -> Iterator[tuple[str, Case]]:
    """What few programs write."""
    for bits in (10, 14):
        deep = FRAME.astype(np.uint16) << (bits - 8) | 3
        yield f"{bits}_packed.tif", Case(_packed(deep, bits, 1))
    yield "odd_tiles.tif", Case(_odd_tiles, BOTH)
    planes = [row.tobytes() for _ in range(3) for row in np.array_split(FRAME, 4)]
    how = {"bits": (8, 8, 8), "photometric": 2, "more": {284: [2], 278: [10]}}
    write = partial(write_raw_tiff, strips=planes, size=(WIDTH, HEIGHT), **how)
    yield "planes_in_strips.tif", Case(write, ("libtiff",))
    yield "shown_up_to.tif", Case(_tif(DEEP, extratags=[(341, 3, 1, 4000, False)]), ("libtiff",))
    curve = [(301, 3, 256, tuple(v * v for v in range(256)), False)]
    yield "transfer_function.tif", Case(_tif(extratags=curve), BOTH)
    yield "jpeg2000.tif", Case(_tif(DEEP, compression="jpeg2000"))
    how = {"compression": "lzw", "predictor": True, "byteorder": ">"}
    yield "predictor_big_endian.tif", Case(_tif(DEEP, **how), ("libtiff",))
    for bits in (2, 4):
        few, shown = _spread(bits)
        yield f"{bits}.png", Case(_raw_png(few, bits), ("pillow",), shown=shown)
        indices, colours, shown = _palette(bits)
        levels = bytes(level >> 8 for level in colours[: 2**bits] for _ in range(3))
        hidden = (b"tRNS", bytes(2**bits))
        write = _raw_png(indices, bits, colour=3, chunks=[(b"PLTE", levels), hidden])
        yield f"hidden_palette_{bits}.png", Case(write, ("pillow",), shown=shown)
    hidden = (b"tRNS", struct.pack(">H", int(DEEP[0, 0])))
    yield "16_hidden.png", Case(_raw_png(DEEP, 16, chunks=[hidden]), ("pillow",))
    hidden = (b"tRNS", struct.pack(">3H", *[int(DEEP[0, 0])] * 3))
    deep = _rgb(DEEP).reshape(HEIGHT, -1)
    yield "16_rgb_hidden.png", Case(_raw_png(deep, 16, colour=2, chunks=[hidden]))
    gamma = (b"gAMA", struct.pack(">I", 100_000))
    yield "gamma.png", Case(_raw_png(chunks=[gamma]), ("pillow",))
    how = {"rows": cut_passes(FRAME), "size": (WIDTH, HEIGHT), "interlaced": True}
    yield "interlaced.png", Case(partial(write_raw_png, **how), ("pillow",))
    yield "run_lengths.bmp", Case(_bmp(pack_run_lengths(FRAME), kind=1), ("pillow",))
    few, shown = _spread(4)
    nibbles = pack_bits(few[::-1], 4)
    yield "4.bmp", Case(_bmp(nibbles, 4, greys=range(0, 256, 17)), ("pillow",), shown=shown)
    black = np.pad(FRAME[::-1] <= 100, ((0, 0), (0, 8)))  # rows end at multiples of four bytes
    shown = np.where(FRAME <= 100, 0, 255).astype(np.uint8)
    write = _bmp(pack_bits(black, 1), 1, greys=[255, 0])
    yield "1_white_first.bmp", Case(write, ("pillow",), shown=shown)
    dull = np.dstack([FRAME[::-1]] * 3 + [np.zeros_like(FRAME)])
    yield "32.bmp", Case(_bmp(dull.tobytes(), 32, greys=[]), ("pillow",))


CASES: dict[str, Case] = dict(_list_cases())
