"""Time and peak memory of cutting a scan that is larger than memory, file included.

Example: python -m benchmarks.large_volume --slices 1024 --edge 2048

Takes minutes and, for the default size, 8.6 GB of disk space while it runs, so it is no part of
`make bench`. The scan is a Scanco ISQ file of a generated cell: a few rendered slices in turn.
"""

import argparse
import os
import struct
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.peak_memory import measure_growth, read_resident_mb

RENDERED = 6  # different slices, in turn
HEADER_BYTES = 512


def write_scan(path: Path, n_slices: int, edge_px: int) -> None:
    """Write an ISQ file of a cycle-aged cell, 16 bits."""
    from batteryscope.demo.ct_parameters import draw_cell
    from batteryscope.demo.ct_scan import draw_rings, render_slice

    rng = np.random.default_rng(1)
    cell = draw_cell("cycle_aged", rng)
    rings = draw_rings(cell, edge_px, rng)
    heights = np.linspace(0.4, 0.6, RENDERED)
    slices = [(render_slice(cell, z, edge_px, rng, rings) >> 1).astype("<i2") for z in heights]
    header = bytearray(HEADER_BYTES)
    header[:16] = b"CTDATA-HEADER_V1"
    sizes_um = (edge_px * 10, edge_px * 10, n_slices * 10)
    struct.pack_into("<i", header, 16, 3)
    struct.pack_into("<6i", header, 44, edge_px, edge_px, n_slices, *sizes_um)
    with path.open("wb") as stream:
        stream.write(header)
        for z in range(n_slices):
            stream.write(slices[z % RENDERED].data)


def main(argv: Sequence[str] | None = None) -> int:
    """Write the scan, cut it, and print what that took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slices", type=int, default=1024)
    parser.add_argument("--edge", type=int, default=2048, help="rows and columns of a slice")
    parser.add_argument("--every", type=int, default=1, help="cut every so many slices only")
    parser.add_argument("--folder", type=Path, help="where the scan is written (default: /tmp)")
    arguments = parser.parse_args(argv)
    from batteryscope.config.preprocess import CtSlicesSettings
    from batteryscope.preprocess.cut_volume import cut_volume
    from batteryscope.readers.volumes import open_volume

    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        path = Path(folder, "large.isq")
        write_scan(path, arguments.slices, arguments.edge)
        size = path.stat().st_size
        used = 0

        def cut() -> None:
            nonlocal used
            volume = open_volume(path)
            chosen = range(0, volume.shape[0], arguments.every)
            for piece in cut_volume(volume, chosen, CtSlicesSettings()):
                used += piece.tile is not None

        started, processor = time.perf_counter(), time.process_time()
        growth = measure_growth(cut)
        seconds, processor = time.perf_counter() - started, time.process_time() - processor
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    edge = arguments.edge
    print(f"{edge} x {edge} x {arguments.slices}, {size / 1e9:.1f} GB: {used} used")
    print(f"{seconds:.0f} s ({used / seconds:.2f} slices/s), {processor:.0f} s of CPU")
    print(f"memory: +{growth:.0f} MB while it ran; {read_resident_mb():.0f} MB at most in all")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
