"""Writes prediction rows as they come, so that a killed run leaves what it had."""

import csv
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from batteryscope.errors import InputError


@dataclass
class Summary:
    """What a run of predictions came to: images per class, and how many were rejected, seen."""

    n_files: int = 0
    n_rejected: int = 0
    n_seen: int = 0
    n_noted: int = 0
    per_class: Counter[str] = field(default_factory=Counter)
    first_reason: str = ""
    n_cells: int = 0

    def add(self, row: Mapping[str, Any]) -> None:
        """Count one row; of a scan, its slices are counted and its cell gives the class."""
        if row.get("level") == "cell" and row["status"] == "ok":
            self.n_cells += 1
            self.per_class[str(row["class"])] += 1
            return
        self.n_files += 1
        self.n_seen += bool(row["seen_in_training"])
        self.n_noted += bool(row["note"])
        if row["status"] == "ok" and row.get("level") == "slice":
            return
        if row["status"] == "ok":
            if "class" in row:
                self.per_class[str(row["class"])] += 1
        else:
            self.n_rejected += 1
            self.first_reason = self.first_reason or f"{row['file']}: {row['reason']}"

    def describe(self) -> list[str]:
        """Say it in lines for the terminal."""
        lines = [f"{self.n_files - self.n_rejected} of {self.n_files} images predicted."]
        if self.n_cells:
            lines = [lines[0].replace("images", "slices")[:-1] + f", {self.n_cells} cells:"]
        lines += [f"  {name}: {count}" for name, count in sorted(self.per_class.items())]
        if self.n_rejected:
            lines.append(f"  rejected: {self.n_rejected} (the first: {self.first_reason})")
        if self.n_seen:
            lines.append(f"  {self.n_seen} of them were used to train these models (see 'note').")
        if unlike := self.n_noted - self.n_seen:
            lines.append(f"  {unlike} differ much from the training images (see 'note').")
        return lines


def write_rows(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> Summary:
    """Write rows to a CSV file, flushing each, under a name that says whether it is complete.

    Parameters
    ----------
    path
        The file. Until the last row it is called ``<path>.partial``.
    columns
        Header.
    rows
        Prediction rows; None becomes an empty cell.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    partial = path.with_name(path.name + ".partial")
    summary = Summary()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = partial.open("w", encoding="utf-8", newline="")
    except OSError as error:
        raise InputError(
            f"{path}: cannot be written ({error.strerror}); choose another place for the table."
        ) from None
    with stream:
        writer = csv.DictWriter(stream, columns, lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow(row)
            stream.flush()
            summary.add(row)
    partial.replace(path)
    return summary
