"""The true numbers of generated pictures and scans, in a hidden table beside them."""

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path

QUANTITIES_NAME = ".quantities.csv"  # hidden, since most studies ask for classes


def write_quantities(root: Path, rows: Iterable[tuple[str, Mapping[str, float]]]) -> None:
    """Write a row per sample below ``root``: its ``file`` or scan, then its numbers."""
    listed = sorted(rows, key=lambda row: row[0])
    names = list(listed[0][1]) if listed else []
    with (root / QUANTITIES_NAME).open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["file", *names])
        writer.writerows([file, *(f"{values[n]:.6g}" for n in names)] for file, values in listed)
