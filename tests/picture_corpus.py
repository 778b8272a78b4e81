"""Small pictures, each format by each property, that all show :data:`FRAME` or must be refused."""

import struct
from collections.abc import Iterator
from functools import partial

import imagecodecs
import numpy as np
from PIL import Image

from tests.picture_writers import (
    BOTH,
    DEEP,
    FRAME,
    HEIGHT,
    TWELVE,
    WIDTH,
    Case,
    as_rgb,
    draw_palette,
    keep_bits,
    turn_jpeg,
    turn_tiff,
    write_bmp,
    write_bytes,
    write_odd_tiles,
    write_os2_bmp,
    write_packed,
    write_packed_png,
    write_pages,
    write_palette,
    write_png,
    write_raw,
    write_saved,
    write_tif,
    write_turned_bits,
    write_turned_png,
)
from tests.raw_raster import cut_passes, pack_run_lengths, write_raw_png
from tests.raw_tiff import pack_bits, write_raw_tiff


def _list_cases() -> Iterator[tuple[str, Case]]:
    black, white = 1, 0
    for order, name in (("<", "little"), (">", "big")):
        yield f"8_{name}.tif", Case(write_raw(order=order), BOTH)
        deep = DEEP.astype(f"{order}u2")
        yield f"16_{name}.tif", Case(write_raw(deep, bits=(16,), order=order), BOTH)
        deep = (65535 - DEEP).astype(f"{order}u2")
        write = write_raw(deep, bits=(16,), order=order, photometric=white)
        yield f"16_white_{name}.tif", Case(write, ("libtiff",))
    yield "8_white.tif", Case(write_raw(255 - FRAME, photometric=white), BOTH)
    yield "12_packed.tif", Case(write_packed(TWELVE, 12, black))
    yield "12_packed_white.tif", Case(write_packed(4095 - TWELVE, 12, white))
    for photometric, name in ((black, "black"), (white, "white")):
        stored = (TWELVE if photometric else 4095 - TWELVE).astype("<u2")
        write = write_raw(stored, bits=(16,), photometric=photometric, more={281: [4095]})
        yield f"12_in_16_{name}.tif", Case(write)
    for bits in (1, 2, 4):
        few, shown = keep_bits(bits)
        others = BOTH if bits != 2 else ("libtiff",)
        yield f"{bits}_black.tif", Case(write_packed(few, bits, black), others, shown=shown)
        turned = 2**bits - 1 - few
        yield f"{bits}_white.tif", Case(write_packed(turned, bits, white), others, shown=shown)
    for bits in (4, 8):
        indices, colours, shown = draw_palette(bits)
        write = write_packed(indices, bits, 3, more={320: colours})
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
    yield "rgb.tif", Case(write_tif(as_rgb(), photometric="rgb"), BOTH)
    planes = np.moveaxis(as_rgb(), -1, 0)
    yield (
        "rgb_planes.tif",
        Case(write_tif(planes, photometric="rgb", planarconfig="separate"), BOTH),
    )
    alpha = np.dstack([as_rgb(), 255 - FRAME])
    yield "rgba.tif", Case(write_tif(alpha, photometric="rgb", extrasamples=["unassalpha"]))
    yield (
        "grey_alpha.tif",
        Case(
            write_tif(
                np.dstack([FRAME, 255 - FRAME]), planarconfig="contig", extrasamples=["unassalpha"]
            )
        ),
    )
    yield "16_rgb.tif", Case(write_tif(as_rgb(DEEP), photometric="rgb"), ("libtiff",))
    for compression in ("lzw", "zlib", "packbits", "zstd"):
        others = BOTH if compression != "zstd" else ("libtiff",)
        yield f"{compression}.tif", Case(write_tif(compression=compression, rowsperstrip=9), others)
    yield "predictor.tif", Case(write_tif(DEEP, compression="zlib", predictor=True), ("libtiff",))
    yield "tiles.tif", Case(write_tif(tile=(16, 32), compression="zlib"), BOTH)
    yield "plain_tiles.tif", Case(write_tif(tile=(16, 32)), BOTH)
    yield "big.tif", Case(write_tif(bigtiff=True), BOTH)
    yield (
        "jpeg.tif",
        Case(write_tif(compression="jpeg", compressionargs={"level": 98}), BOTH, tolerance=8),
    )
    for orientation in range(1, 9):
        yield f"orientation_{orientation}.tif", turn_tiff(orientation)
        yield f"orientation_{orientation}.jpg", turn_jpeg(orientation)
    # Tags that are missing or wrong.
    yield "8_with_low_maximum.tif", Case(write_raw(more={281: [63]}), BOTH)
    yield (
        "8_white_with_low_maximum.tif",
        Case(write_raw(255 - FRAME, photometric=0, more={281: [63]}), BOTH),
    )
    yield "no_counts.tif", Case(write_raw(without=[279]), ("pillow",))
    yield "zero_counts.tif", Case(write_raw(more={279: [0, 0, 0, 0]}))
    yield "short_counts.tif", Case(write_raw(more={279: [560, 560, 560, 90]}))
    yield "no_rows_per_strip.tif", Case(write_raw(n=1, without=[278]), BOTH)
    yield (
        "first_page_is_marked_thumbnail.tif",
        Case(lambda path: write_pages(path, (FRAME[::4, ::4], 1), (FRAME, 0))),
    )
    yield (
        "first_page_is_thumbnail.tif",
        Case(lambda path: write_pages(path, (FRAME[::4, ::4], 0), (FRAME, 0))),
    )
    yield (
        "second_page_is_reduced.tif",
        Case(lambda path: write_pages(path, (FRAME, 0), (FRAME[::2, ::2], 1)), BOTH),
    )
    # PNG, JPEG, BMP.
    yield "8.png", Case(write_saved(), ("pillow",))
    yield "16.png", Case(write_png(DEEP), ("pillow",))
    yield "rgb.png", Case(write_saved("RGB"), ("pillow",))
    yield "16_rgb.png", Case(write_png(as_rgb(DEEP)))
    yield "rgba.png", Case(write_png(alpha))
    yield "16_grey_alpha.png", Case(write_png(np.dstack([DEEP, 65535 - DEEP])))
    yield "palette.png", Case(write_palette, ("pillow",))
    yield (
        "1.png",
        Case(
            write_saved("1"),
            ("pillow",),
            shown=np.asarray(Image.fromarray(FRAME).convert("1").convert("L")),
        ),
    )
    yield "turned.png", Case(write_turned_png, ("pillow",))
    yield "cmyk.jpg", Case(write_saved("CMYK", quality=98), ("pillow",), tolerance=8)
    yield (
        "progressive.jpg",
        Case(write_saved(quality=98, progressive=True), ("pillow",), tolerance=8),
    )
    yield "8.bmp", Case(write_saved(), ("pillow",))
    yield "24.bmp", Case(write_saved("RGB"), ("pillow",))
    yield "palette.bmp", Case(write_palette, ("pillow",))
    yield "from_top.bmp", Case(write_bmp(FRAME.tobytes(), height=-HEIGHT), ("pillow",))
    yield from _list_rare_cases()
    yield from _list_ramps()
    yield from _list_compressions()
    # Refused, each with a sentence.
    yield "no_photometric.tif", Case(write_raw(photometric=None), refused="whether 0 is black")
    yield (
        "three_greys.tif",
        Case(
            write_tif(as_rgb(), planarconfig="contig"),
            refused="3 values per pixel of a picture in grey",
        ),
    )
    cmyk = np.dstack([FRAME] * 4)
    yield (
        "cmyk.tif",
        Case(write_tif(cmyk, photometric="separated"), refused="colour model SEPARATED"),
    )
    yield "lab.tif", Case(write_tif(as_rgb(), photometric="cielab"), refused="colour model CIELAB")
    yield "float.tif", Case(write_tif(FRAME.astype(np.float32)), refused="numbers of type float32")
    yield "signed.tif", Case(write_tif(FRAME.astype(np.int16)), refused="numbers of type int16")
    yield "no_colour_map.tif", Case(write_raw(photometric=3), refused="palette, but holds none")
    yield (
        "sparse.tif",
        Case(
            write_raw(more={273: [8, 0, 1128, 1688], 279: [560, 0, 560, 560]}),
            refused="strips or tiles",
        ),
    )
    yield (
        "strips_missing.tif",
        Case(
            write_raw(more={273: [8, 568], 279: [560, 560]}),
            refused="has 2 strips or tiles, .* needs 4",
        ),
    )
    yield (
        "beyond_the_end.tif",
        Case(
            write_raw(more={273: [8, 568, 1128, 99_000]}), refused="strips or tiles|ends too early"
        ),
    )
    yield (
        "overlapping.tif",
        Case(
            write_raw(more={273: [8, 100, 200, 300], 279: [92, 100, 100, 100]}),
            refused="shorter than",
        ),
    )


def _list_rare_cases() -> Iterator[tuple[str, Case]]:
    """What few programs write."""
    for bits in (10, 14):
        deep = FRAME.astype(np.uint16) << (bits - 8) | 3
        yield f"{bits}_packed.tif", Case(write_packed(deep, bits, 1))
    yield "odd_tiles.tif", Case(write_odd_tiles, BOTH)
    planes = [row.tobytes() for _ in range(3) for row in np.array_split(FRAME, 4)]
    how = {"bits": (8, 8, 8), "photometric": 2, "more": {284: [2], 278: [10]}}
    write = partial(write_raw_tiff, strips=planes, size=(WIDTH, HEIGHT), **how)
    yield "planes_in_strips.tif", Case(write, ("libtiff",))
    yield (
        "shown_up_to.tif",
        Case(write_tif(DEEP, extratags=[(341, 3, 1, 4000, False)]), ("libtiff",)),
    )
    curve = [(301, 3, 256, tuple(v * v for v in range(256)), False)]
    yield "transfer_function.tif", Case(write_tif(extratags=curve), BOTH)
    yield "jpeg2000.tif", Case(write_tif(DEEP, compression="jpeg2000"))
    how = {"compression": "lzw", "predictor": True, "byteorder": ">"}
    yield "predictor_big_endian.tif", Case(write_tif(DEEP, **how), ("libtiff",))
    for bits in (2, 4):
        few, shown = keep_bits(bits)
        yield f"{bits}.png", Case(write_packed_png(few, bits), ("pillow",), shown=shown)
        indices, colours, shown = draw_palette(bits)
        levels = bytes(level >> 8 for level in colours[: 2**bits] for _ in range(3))
        hidden = (b"tRNS", bytes(2**bits))
        write = write_packed_png(indices, bits, colour=3, chunks=[(b"PLTE", levels), hidden])
        yield f"hidden_palette_{bits}.png", Case(write, ("pillow",), shown=shown)
    hidden = (b"tRNS", struct.pack(">H", int(DEEP[0, 0])))
    yield "16_hidden.png", Case(write_packed_png(DEEP, 16, chunks=[hidden]), ("pillow",))
    hidden = (b"tRNS", struct.pack(">3H", *[int(DEEP[0, 0])] * 3))
    deep = as_rgb(DEEP).reshape(HEIGHT, -1)
    yield "16_rgb_hidden.png", Case(write_packed_png(deep, 16, colour=2, chunks=[hidden]))
    gamma = (b"gAMA", struct.pack(">I", 100_000))
    yield "gamma.png", Case(write_packed_png(chunks=[gamma]), ("pillow",))
    how = {"rows": cut_passes(FRAME), "size": (WIDTH, HEIGHT), "interlaced": True}
    yield "interlaced.png", Case(partial(write_raw_png, **how), ("pillow",))
    yield "run_lengths.bmp", Case(write_bmp(pack_run_lengths(FRAME), kind=1), ("pillow",))
    few, shown = keep_bits(4)
    nibbles = pack_bits(few[::-1], 4)
    yield "4.bmp", Case(write_bmp(nibbles, 4, greys=range(0, 256, 17)), ("pillow",), shown=shown)
    black = np.pad(FRAME[::-1] <= 100, ((0, 0), (0, 8)))  # rows end at multiples of four bytes
    shown = np.where(FRAME <= 100, 0, 255).astype(np.uint8)
    write = write_bmp(pack_bits(black, 1), 1, greys=[255, 0])
    yield "1_white_first.bmp", Case(write, ("pillow",), shown=shown)
    dull = np.dstack([FRAME[::-1]] * 3 + [np.zeros_like(FRAME)])
    yield "32.bmp", Case(write_bmp(dull.tobytes(), 32, greys=[]), ("pillow",))


def _list_ramps() -> Iterator[tuple[str, Case]]:
    """BMP files whose palette is a ramp of grey, however many bits their numbers have."""
    few, _ = keep_bits(4)
    packed, ramp = pack_bits(few[::-1], 4), range(16)
    # Pillow reads eight bits of these, or one bit.
    yield "4_dark.bmp", Case(write_bmp(packed, 4, greys=ramp), shown=few)
    yield "4_dark_os2.bmp", Case(partial(write_os2_bmp, data=packed, bits=4, greys=ramp), shown=few)
    bright = (FRAME > 100).astype(np.uint8)
    shown, ends = bright * np.uint8(255), [0, 255]
    write = write_bmp(pack_bits(bright[::-1], 4), 4, greys=ends)
    yield "4_black_and_white.bmp", Case(write, shown=shown)
    write = write_bmp(bright[::-1].tobytes(), greys=ends)
    yield "8_black_and_white.bmp", Case(write, shown=shown)
    write = write_bmp(pack_run_lengths(bright), kind=1, greys=ends)
    yield "black_and_white_run_lengths.bmp", Case(write, shown=shown)
    wide = FRAME.astype("<u4") << 2
    masks = [0x3FF00000, 0xFFC00, 0x3FF]
    write = write_bmp((wide * 0x100401).tobytes(), 32, kind=3, masks=masks, greys=[])
    yield "10_10_10.bmp", Case(write, refused="BMP picture of a rare kind .* save it as PNG")


def _list_compressions() -> Iterator[tuple[str, Case]]:
    """What scanners, cameras and telephones write, and other formats under a known name."""
    how = {"bigtiff": True, "byteorder": ">", "tile": (16, 32)}
    write = write_tif(DEEP, compression="lzw", predictor=True, **how)
    yield "big_tiles_lzw_predictor.tif", Case(write)
    for tag, pack in ((5, imagecodecs.lzw_encode), (8, imagecodecs.zlib_encode)):
        data, size = pack(pack_bits(TWELVE, 12)), (WIDTH, HEIGHT)
        how = {"size": size, "bits": (12,), "photometric": 1, "more": {259: [tag]}}
        yield f"12_packed_{tag}.tif", Case(partial(write_raw_tiff, strips=[data], **how))
    for compression in ("jpegxl", "lerc", "lzma"):
        yield f"{compression}.tif", Case(write_tif(DEEP, compression=compression))
    page = Image.fromarray(FRAME > 100)
    shown = np.where(FRAME > 100, 255, 0).astype(np.uint8)
    for compression in ("group3", "group4"):
        write = partial(page.save, compression=compression)
        yield f"{compression}.tif", Case(write, BOTH, shown=shown)
    yield "group4_fill_order.tif", Case(partial(write_turned_bits, page=page), BOTH, shown=shown)
    colours = Image.merge("RGB", [Image.fromarray(FRAME)] * 3)
    how = {"compression": "jpeg", "subsampling": (2, 2), "compressionargs": {"level": 98}}
    write = write_tif(as_rgb(), photometric="rgb", **how)
    yield "subsampled.tif", Case(write, BOTH, tolerance=8)
    yield "luminance_first.tif", Case(colours.convert("YCbCr").save, refused="colour model YCBCR")
    yield "16_significant_12.png", Case(write_packed_png(DEEP, 16, chunks=[(b"sBIT", b"\x0c")]))
    other = Image.fromarray(255 - FRAME)
    write = partial(Image.fromarray(FRAME).save, save_all=True, append_images=[other])
    yield "animated.png", Case(write, ("pillow",))
    write = partial(colours.save, format="MPO", quality=98, save_all=True, append_images=[other])
    yield "two_views.jpg", Case(write, tolerance=8)
    lossless = {"lossless": True, "predictor": 1}
    yield "lossless.jpg", Case(write_bytes(imagecodecs.jpeg8_encode(FRAME, **lossless)))
    plain = imagecodecs.jpeg8_encode(as_rgb(), 98, colorspace="RGB", outcolorspace="RGB")
    yield "plain_rgb.jpg", Case(write_bytes(plain), ("pillow",), tolerance=8)
    deep = imagecodecs.jpeg8_encode(TWELVE, 98, bitspersample=12)
    yield "12.jpg", Case(write_bytes(deep), refused="a JPEG picture of 12 bits, which is not read")
    deep = imagecodecs.jpeg8_encode(DEEP, bitspersample=16, **lossless)
    yield "16.jpg", Case(write_bytes(deep), refused="a JPEG picture of 16 bits, which is not read")
    near = write_bytes(imagecodecs.jpegls_encode(FRAME))
    yield "near.jpg", Case(near, refused="a JPEG-LS picture, which is not read")
    for name, kind, content in (
        ("gif.png", "GIF", imagecodecs.gif_encode(FRAME)),
        ("webp.jpg", "WebP", imagecodecs.webp_encode(as_rgb(), lossless=True)),
        ("heic.jpg", "HEIC", b"\0\0\0\x18ftypheic" + bytes(40)),
        ("avif.jpg", "AVIF", b"\0\0\0\x1cftypavif" + bytes(40)),
        ("jpegxl.jpg", "JPEG XL", imagecodecs.jpegxl_encode(FRAME)),
        ("jpeg2000.tif", "JPEG 2000", imagecodecs.jpeg2k_encode(FRAME, codecformat="JP2")),
    ):
        words = f"is an? {kind} file, no (PNG|JPEG|TIFF) picture; save it as"
        yield f"renamed_{name}", Case(write_bytes(content), refused=words)
    for kind in ("float16", "float64", "uint32", "complex64"):
        write = write_tif(FRAME.astype(kind))
        yield f"{kind}.tif", Case(write, refused=f"numbers of type {kind}")


CASES: dict[str, Case] = dict(_list_cases())
