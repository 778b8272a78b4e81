"""Peak memory of a piece of work in a process of its own.

Example: python -m benchmarks.peak_memory cut --folder FRAMES_AND_SCRATCH --images 50
"""

import argparse
import gc
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.measurement import Measurement, compare_sizes

FEW, MANY = 50, 200
ROOT = Path(__file__).resolve().parent.parent
_STATUS = Path("/proc/self/status")
_CLEAR_REFS = Path("/proc/self/clear_refs")


def compare_memory(name: str, work: str, folder: Path) -> Measurement:
    """Compare the peak over 200 images with that over 50; a stream of images gives 1.

    The peak is what the work needs beyond what the process held before it began.
    """
    peaks = [measure_in_subprocess(work, folder, images) for images in (MANY, FEW)]
    return compare_sizes(name, "MB", MANY, peaks[0], peaks[1], f"the same over {FEW} images")


def measure_in_subprocess(work: str, folder: Path, images: int) -> float:
    """Run this module as a program and return the MB that it prints."""
    command = [sys.executable, "-m", "benchmarks.peak_memory", work]
    command += ["--folder", str(folder), "--images", str(images)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return float(done.stdout.split()[-1])


def measure_growth(work: Callable[[], object]) -> float:
    """Return by how many MB the resident memory grew at most while ``work`` ran.

    Linux keeps the peak in ``VmHWM`` and forgets it on demand. ``ru_maxrss`` would not do:
    a child inherits the peak of the process that started it.
    """
    gc.collect()
    _CLEAR_REFS.write_text("5", encoding="ascii")
    before = _read_status("VmRSS")
    work()
    return (_read_status("VmHWM") - before) / 1024


def read_resident_mb() -> float:
    """Return the largest resident memory of this process since it was last forgotten, in MB."""
    return _read_status("VmHWM") / 1024


def _read_status(key: str) -> int:
    """Return an entry of the process's status in KiB."""
    lines = _STATUS.read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{key}:"))


def main(argv: Sequence[str] | None = None) -> int:
    """Measure one piece of work and print its peak in MB."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", choices=["cut", "predict"])
    parser.add_argument("--folder", type=Path, required=True, help="where the benchmark works")
    parser.add_argument("--images", type=int, required=True, help="number of images")
    arguments = parser.parse_args(argv)
    from benchmarks import cut_tiles, predict_frames

    prepare = {"cut": cut_tiles.prepare_many, "predict": predict_frames.prepare_many}
    work = prepare[arguments.work](arguments.folder, arguments.images)
    print(f"{measure_growth(work):.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
