"""Measure speed and memory of Batteryscope as ratios against a floor of the same run.

Example: python benchmarks/measure_speed.py --only decode --only train --out benchmarks.json
"""

import argparse
import json
import logging
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

from batteryscope.core.progress import log
from batteryscope.workflow.command_line import make_parser, run_program

if not __package__:  # run as a file: the modules beside it belong to the package `benchmarks`
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

# Each module has `measure(folder) -> list[Measurement]`; the folder is for scratch files.
BENCHMARKS = {
    "decode": "benchmarks.decode_pictures",
    "tiles": "benchmarks.cut_tiles",
    "loader": "benchmarks.load_batches",
    "train": "benchmarks.train_step",
    "scripts": "benchmarks.compare_scripts",
    "networks": "benchmarks.train_networks",
    "augment": "benchmarks.augment_batch",
    "predict": "benchmarks.predict_frames",
    "beside": "benchmarks.predict_beside",
    "bfloat16": "benchmarks.forward_bfloat16",
    "start": "benchmarks.start_programs",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Read arguments and run."""
    parser = make_parser(__doc__)
    parser.add_argument(
        "--only",
        action="append",
        choices=list(BENCHMARKS),
        metavar="NAME",
        help=f"one benchmark (may be repeated): {', '.join(BENCHMARKS)}; default: all",
    )
    parser.add_argument("--out", type=Path, help="also write the numbers to this file (.json)")
    return run_program(measure_all, parser, argv)


def measure_all(arguments: argparse.Namespace) -> None:
    """Run the benchmarks one after the other, write what came out, and print it at the end."""
    from benchmarks.machine import describe_machine
    from benchmarks.measurement import Measurement, format_table

    machine = describe_machine()
    measurements: list[Measurement] = []
    with tempfile.TemporaryDirectory(prefix="batteryscope_benchmarks_") as folder:
        for name in arguments.only or BENCHMARKS:
            log.setLevel(logging.INFO)
            log.info("Measuring %s …", name)
            log.setLevel(logging.WARNING)  # the messages of what is measured are of no interest
            measurements += import_module(BENCHMARKS[name]).measure(Path(folder))
            if arguments.out is not None:  # after each, so that a killed run leaves what it had
                _write(arguments.out, machine, measurements)
    print(format_table(measurements))


def _write(path: Path, machine: dict[str, Any], measurements: Sequence[Any]) -> None:
    values = {
        "machine": machine | {"load_average_1min_after": round(os.getloadavg()[0], 2)},
        "measurements": [asdict(measurement) for measurement in measurements],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
