"""Reading pictures, against the bare decoders."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.measurement import Measurement, summarise, take_rounds, timed
from benchmarks.sample_data import MAX_PIXELS, generate_frames, list_frames, write_deep_copies

REPEATS = 4
ROUNDS = 7


def measure(folder: Path) -> list[Measurement]:
    """Measure 8-bit JPEG and uncompressed 16-bit TIFF of 1280 × 960 pixels."""
    import tifffile
    from PIL import Image

    frames = list_frames(generate_frames(folder / "frames"))
    copies = write_deep_copies(frames, folder / "deep")

    def decode_jpeg(path: Path) -> None:
        np.asarray(Image.open(path))

    return [
        _compare("decode JPEG", frames * REPEATS, decode_jpeg, "Pillow in a loop"),
        _compare("decode 16-bit TIFF", copies * REPEATS, tifffile.imread, "tifffile in a loop"),
    ]


def _compare(
    name: str, paths: list[Path], decode: Callable[[Path], object], floor_is: str
) -> Measurement:
    from batteryscope.core.ordered_threads import map_in_order
    from batteryscope.readers.picture import Picture
    from batteryscope.readers.registry import read_picture

    def read(path: Path) -> Picture:
        return read_picture(path, max_pixels=MAX_PIXELS)

    def read_all() -> None:
        for _ in map_in_order(read, paths):
            pass

    def decode_all() -> None:
        for path in paths:
            decode(path)

    rounds = take_rounds(timed(read_all), timed(decode_all), ROUNDS)
    return summarise(name, "frames/s", len(paths), rounds, floor_is)
