"""Writes prediction rows as they come, so that a killed run leaves what it had."""

import csv
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from batteryscope.bundle.frame import RESCALED
from batteryscope.bundle.unlike import UNLIKE
from batteryscope.core.plural import count_of
from batteryscope.core.safe_text import guard_row
from batteryscope.errors import ConfigError, InputError
from batteryscope.evaluation.prediction_sets import SET_SEPARATOR
from batteryscope.readers.registry import is_picture_name

DEFAULT_TABLE = "predictions.csv"
OWN_COLUMNS = {"file", "seen_in_training", "status", "reason", "note"}  # of pictures and scans
DEVICES = (Path("/dev"), Path("/dev/fd"))  # a finished table takes the place of what it is named


@dataclass(frozen=True)
class Judged:
    """Prediction rows that come one by one, their columns, and of how many files they are."""

    columns: list[str]
    rows: Iterator[dict[str, Any]]
    n_files: int | None = None


@dataclass
class Summary:
    """What a run of predictions came to: images per class, and how many were rejected, seen.

    Of scans, slices are counted, and cells beside them; a cell gives the class.

    Attributes
    ----------
    noun, known
        What one of them is called, and one of those that trained.
    place
        How one is named, by its columns.
    noted
        What it means if there is a note, of one and of several.
    """

    n_files: int = 0
    n_rejected: int = 0
    n_unlike: int = 0
    n_seen: int = 0
    n_noted: int = 0
    per_class: Counter[str] = field(default_factory=Counter)
    first_reject: str = ""
    n_cells: int = 0
    n_cells_rejected: int = 0
    n_cells_unlike: int = 0
    first_unlike: str = ""
    n_unsure: int = 0
    first_set: str = ""
    noun: str = "image"
    known: str = "image"
    place: str = "{file}"
    noted: tuple[str, str] = (
        "differs much from the training images",
        "differ much from the training images",
    )

    @property
    def of_scans(self) -> bool:
        """Whether scans were judged, not pictures."""
        return self.n_all_cells > 0

    @property
    def n_all_cells(self) -> int:
        """Cells with an answer, and without."""
        return self.n_cells + self.n_cells_unlike + self.n_cells_rejected

    @property
    def is_unanswered(self) -> bool:
        """Whether nothing could be answered."""
        answered = self.n_files - self.n_rejected - self.n_unlike
        return (self.n_cells if self.of_scans else answered) == 0

    @property
    def first_reason(self) -> str:
        """Why the first file without an answer has none, and the first unlike the training."""
        reasons = filter(None, (self.first_reject, self.first_unlike))
        return "; the first unlike the training: ".join(reasons)

    def add(self, row: Mapping[str, Any]) -> None:
        """Count one row."""
        is_ok, level = row["status"] == "ok", row.get("level")
        is_unlike = row["status"] == UNLIKE
        notes = str(row["note"] or "").split("; ")
        is_rejected = not (is_ok or is_unlike)
        place = self.place.format_map(row)
        if is_rejected:
            self.first_reject = self.first_reject or f"{place}: {row['reason']}"
        if is_unlike:
            self.first_unlike = self.first_unlike or f"{place}: {row['reason']}"
        if level == "cell":
            self.n_cells += is_ok
            self.n_cells_unlike += is_unlike
            self.n_cells_rejected += is_rejected
        else:
            self.n_files += 1
            self.n_unlike += is_unlike
            self.n_rejected += is_rejected
            self.n_seen += bool(row.get("seen_in_training"))
            self.n_noted += any(part for part in notes if not part.startswith(RESCALED))
        if is_ok and level != "slice" and isinstance(name := row.get("class"), str):
            self.per_class[name] += 1
            if SET_SEPARATOR in (possible := str(row.get("prediction_set") or "")):
                self.n_unsure += 1
                self.first_set = self.first_set or f"{place}: {possible}"

    def describe_failure(self) -> str:
        """Say that nothing could be answered."""
        if self.of_scans:
            return f"no {self.noun} of any scan could be judged"
        return f"none of the {self.n_files} {self.noun}s could be judged"

    def describe(self) -> list[str]:
        """Say it in lines for the terminal."""
        noun = self.noun
        n_answered = self.n_files - self.n_rejected - self.n_unlike
        what = f"{n_answered} of {count_of(self.n_files, noun)}"
        lost = [count_of(self.n_cells_rejected, "cell")] if self.n_cells_rejected else []
        if self.of_scans:
            slices = f" ({what})" if self.n_files else ""
            what = f"{self.n_cells} of {count_of(self.n_all_cells, 'cell')}{slices}"
            lost += [count_of(self.n_rejected, noun)] if self.n_rejected else []
        elif self.n_rejected:
            lost = [str(self.n_rejected)]
        lines = [f"{what} predicted."]
        lines += [f"  {name}: {count}" for name, count in sorted(self.per_class.items())]
        if self.n_unsure:
            unsure = count_of(self.n_unsure, "cell" if self.of_scans else noun)
            lines.append(f"  more than one class possible: {unsure} (the first: {self.first_set})")
        if lost:
            lines.append(f"  rejected: {', '.join(lost)} (the first: {self.first_reject})")
        if n_unlike := self.n_unlike + self.n_cells_unlike:
            own = [count_of(self.n_cells_unlike, "cell")] if self.n_cells_unlike else []
            own += [count_of(self.n_unlike, noun)] if self.n_unlike else []
            are = "is" if n_unlike == 1 else "are"
            lines.append(
                f"  not answered: {' and '.join(own)} {are} unlike the training {self.known}s "
                f"(the first: {self.first_unlike}); --answer-anyway answers them all the same."
            )
        were = "was" if self.n_seen == 1 else "were"
        if self.n_seen:
            seen = f"{count_of(self.n_seen, noun)} {were} used to train these models"
            lines.append(f"  {seen} (see 'note').")
        if unlike := self.n_noted - self.n_seen:
            lines.append(f"  {count_of(unlike, noun)} {self.noted[unlike != 1]} (see 'note').")
        return lines


def choose_table(out: Path | None, bundle: Path, read: Iterable[Path | None] = ()) -> Path:
    """Return the table to write to: the one asked for, or ``predictions.csv`` where none is.

    Parameters
    ----------
    out
        What is asked for.
    bundle
        Folder of the model, in which nothing is written.
    read
        What the program reads, which stays as it is. Of what lies in a folder of these, only a
        table of earlier predictions may be replaced; a new table may join it.

    Raises
    ------
    ConfigError
        None is asked for, and there is a ``predictions.csv``; or what is asked for is a folder, a
        device, a part of the model, a picture, or what is read.
    """
    table = out or Path(DEFAULT_TABLE)
    place = os.path.realpath(table)  # of links that lead to each other, too
    if os.path.isdir(place):  # noqa: PTH112
        raise ConfigError(f"--out: {table} is a folder; name a table in it, such as {table}/a.csv.")
    is_special = os.path.exists(place) and not os.path.isfile(place)  # noqa: PTH110, PTH113
    if is_special or table.absolute().parent in DEVICES:
        raise ConfigError(f"--out: {table} is no ordinary file; name a table to write.")
    if Path(place).is_relative_to(bundle.resolve()):
        raise ConfigError(f"--out: {table} lies in the folder of the model; name another table.")
    if out is None and table.exists():
        raise ConfigError(
            f"{DEFAULT_TABLE} is there already, perhaps of other images; name another table with "
            "--out, or move that one away."
        )
    for path in filter(None, read):
        if place == os.path.realpath(path) or _is_same(table, path):
            raise ConfigError(
                f"--out: {table} is what shall be judged or read; name another table."
            )
        if _lies_in(path, table) and os.path.lexists(table) and not _holds_predictions(table):
            raise ConfigError(
                f"--out: {table} lies in the folder that shall be judged, and is no table of "
                "predictions; name another table."
            )
        if is_picture_name(table.name) and (_lies_in(path, table) or os.path.lexists(table)):
            raise ConfigError(
                f"--out: {table} has the name of a picture; name a table, such as "
                f"{table.with_suffix('.csv').name}."
            )
    return table


def _is_same(table: Path, path: Path) -> bool:
    """Whether both are one file, under whatever names."""
    try:
        return os.path.samefile(table, path)  # noqa: PTH121 (also of links to nothing)
    except OSError:
        return False


def _lies_in(folder: Path, table: Path) -> bool:
    """Whether a table lies in a folder, or is a link into it."""
    above = os.path.realpath(folder)
    names = (Path(os.path.realpath(table.parent)) / table.name, Path(os.path.realpath(table)))
    return any(name.is_relative_to(above) for name in names)


def _holds_predictions(table: Path) -> bool:
    """Whether an earlier run wrote a table."""
    try:
        with table.open(encoding="utf-8", newline="") as stream:
            return OWN_COLUMNS.issubset(next(csv.reader(stream), ()))
    except (OSError, UnicodeDecodeError, csv.Error):
        return False


def write_rows(
    path: Path,
    columns: Sequence[str],
    rows: Iterable[Mapping[str, Any]],
    summary: Summary | None = None,
) -> Summary:
    """Write rows to a CSV file, flushing each, under a name that says whether it is complete.

    Parameters
    ----------
    path
        The file. Until the last row it is called ``<path>.partial``.
    columns
        Header.
    rows
        Prediction rows; None becomes an empty cell.
    summary
        Counts the rows (default: as of images) and is returned.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    partial = path.with_name(path.name + ".partial")
    summary = summary or Summary()
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
            writer.writerow(guard_row(row))
            stream.flush()
            summary.add(row)
    partial.replace(path)
    return summary
