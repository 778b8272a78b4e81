"""Damages pictures and scans at random and reads them: a sentence, no traceback, no hang.

    python -m tests.fuzz_readers --inputs 10000 --seed 1

Every input is made from the seed and its number alone, so that one that failed can be made again
(``--first NUMBER --inputs 1``). Ends with an error if a reader raises anything but a PictureError,
takes more than 10 s for one input, or needs more than 1 GB of memory.
"""

import argparse
import faulthandler
import resource
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

MOST_SECONDS, MOST_MEMORY_MB = 10, 1024
MAX_PIXELS = 200_000_000  # of the settings
Write = Callable[[Path], object]


def _write_isq(path: Path) -> None:
    from tests.test_readers_volumes import write_isq

    write_isq(path, np.arange(5 * 12 * 9).reshape(5, 12, 9).astype(np.int16))


def _write_dicom(path: Path) -> None:
    from tests.test_readers_volumes import write_dicom

    write_dicom(path, [0.0, 0.1, 0.2])


def _write_frames(path: Path) -> None:
    from tests.dicom_scans import write_enhanced

    write_enhanced(path, [0.2, 0.0, 0.1])


def _write_zarr(path: Path) -> None:
    from tests.test_readers_volumes import write_zarr

    write_zarr(path)


def list_corpus() -> dict[str, Write]:
    """Return name → writer of everything that is damaged: pictures, stacks, series, arrays."""
    import tifffile

    from tests.picture_corpus import CASES

    scan = np.random.default_rng(3).integers(0, 4000, (4, 20, 24), dtype=np.uint16)
    corpus: dict[str, Write] = {name: case.write for name, case in CASES.items()}
    corpus |= {
        "stack.tif": lambda p: tifffile.imwrite(p, scan),
        "packed_stack.tif": lambda p: tifffile.imwrite(p, scan, compression="zlib"),
        "imagej.tif": lambda p: tifffile.imwrite(
            p, scan, imagej=True, resolution=(2, 2), metadata={"unit": "um", "axes": "ZYX"}
        ),
        "ome.ome.tif": lambda p: tifffile.imwrite(
            p, scan, metadata={"axes": "ZYX", "PhysicalSizeX": 2.5}
        ),
        "scan.npy": lambda p: np.save(p, scan),
        "cell.isq": _write_isq,
        "frames.dcm": _write_frames,
        "series": _write_dicom,
        "store.zarr": _write_zarr,
    }
    return corpus


def damage(content: bytes, rng: np.random.Generator) -> bytes:
    """Cut a file off, change some of its bytes, or both; changes are often near its start."""
    data = bytearray(content)
    kind = rng.integers(0, 10)
    if kind < 2 or not data:
        return bytes(data[: int(rng.integers(0, len(data) + 1))])
    reach = len(data) if kind < 6 else min(len(data), 600)
    for _ in range(int(rng.integers(1, 9))):
        place = int(rng.integers(0, reach))
        if kind == 9:
            length = int(rng.integers(1, 9))
            value = [b"\xff", b"\0", b"\x7f"][int(rng.integers(0, 3))]
            data[place : place + length] = value * length
        else:
            data[place] = int(rng.integers(0, 256))
    if kind == 5:
        del data[int(rng.integers(1, len(data) + 1)) :]
    return bytes(data)


def read(path: Path) -> str:
    """Read a picture or a scan; return what came of it."""
    from batteryscope.readers.picture import PictureError
    from batteryscope.readers.registry import is_picture_name, read_picture, read_size
    from batteryscope.readers.volumes import open_volume

    outcomes = []
    for attempt in ("picture", "scan"):
        try:
            if attempt == "picture" and path.is_file() and is_picture_name(path.name):
                read_size(path)
                read_picture(path, max_pixels=MAX_PIXELS)
            elif attempt == "scan":
                volume = open_volume(path)
                _, height, width = volume.shape
                if height * width <= MAX_PIXELS:
                    for z in range(min(3, volume.shape[0])):
                        volume.read_slice(z)
            outcomes.append("read")
        except PictureError as error:
            if "\n" in error.detail:
                raise ValueError(f"more than a sentence: {error.detail}") from error
            outcomes.append(error.reason)
    return outcomes[-1]


def run(n_inputs: int, seed: int, first: int = 0) -> tuple[Counter[str], list[str]]:
    """Damage and read; return how often what came of it, and what went wrong."""
    outcomes: Counter[str] = Counter()
    failures: list[str] = []
    with tempfile.TemporaryDirectory() as scratch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sound = Path(scratch, "sound")
        sound.mkdir()
        corpus = list_corpus()
        for name, write in corpus.items():
            write(sound / name)
        names = sorted(corpus)
        read(sound / "stack.tif")  # imports everything, so that memory is compared afterwards
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        for number in range(first, first + n_inputs):
            rng = np.random.default_rng([seed, number])
            name = names[number % len(names)]
            place = Path(scratch, "damaged", name)
            shutil.rmtree(place.parent, ignore_errors=True)
            place.parent.mkdir()
            _copy_damaged(sound / name, place, rng)
            started = time.perf_counter()
            faulthandler.dump_traceback_later(MOST_SECONDS * 6, exit=True)
            try:
                outcomes[read(place)] += 1
            except Exception:
                failures.append(f"input {number} ({name}): {traceback.format_exc()}")
            finally:
                faulthandler.cancel_dump_traceback_later()
            used = time.perf_counter() - started
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            if used > MOST_SECONDS:
                failures.append(f"input {number} ({name}): took {used:.0f} s")
            if peak - before > MOST_MEMORY_MB:
                failures.append(f"input {number} ({name}): needed {peak - before} MB")
                break  # a peak stays one
    return outcomes, failures


def _copy_damaged(source: Path, target: Path, rng: np.random.Generator) -> None:
    if source.is_file():
        target.write_bytes(damage(source.read_bytes(), rng))
        return
    shutil.copytree(source, target)
    files = sorted(path for path in target.rglob("*") if path.is_file())
    chosen: Any = files[int(rng.integers(0, len(files)))]
    chosen.write_bytes(damage(chosen.read_bytes(), rng))


def main() -> int:
    """Run as a program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    arguments = parser.parse_args()
    outcomes, failures = run(arguments.inputs, arguments.seed, arguments.first)
    print(", ".join(f"{n} {what}" for what, n in outcomes.most_common()))
    for failure in failures[:20]:
        print(failure)
    print(f"{len(failures)} of {arguments.inputs} inputs failed (seed {arguments.seed}).")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
