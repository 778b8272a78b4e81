"""What a measurement is: our time and a floor's time, taken in turns in the same process."""

import gc
import json
import math
import os
import resource
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple


class Timing(NamedTuple):
    """Seconds of one call: by the wall clock, and of processor time.

    Processor time is summed over all threads and finished child processes.
    """

    wall_s: float
    cpu_s: float


class Round(NamedTuple):
    """One call of ours and one of the floor, one right after the other."""

    ours: Timing
    floor: Timing


@dataclass(frozen=True)
class Measurement:
    """One row of the table.

    Attributes
    ----------
    name
        What was measured.
    unit
        Of ``ours`` and ``floor``: a rate such as frames/s, or MB.
    ours, floor
        Medians over the rounds.
    ratio
        Cost of ours over cost of the floor; 1 is the floor, 2 is twice its time (memory).
    lowest, highest
        Range of the ratio over the rounds.
    cpu_ratio
        The same of processor time; None for memory.
    n
        Items in one round.
    rounds
        Rounds measured.
    floor_is
        What the floor does.
    note
        What the numbers alone do not say; stands below the table.
    """

    name: str
    unit: str
    ours: float
    floor: float
    ratio: float
    lowest: float
    highest: float
    cpu_ratio: float | None
    n: int
    rounds: int
    floor_is: str
    note: str = ""


def read_clocks() -> Timing:
    """Return both clocks now; only differences mean something."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = time.process_time() + children.ru_utime + children.ru_stime
    return Timing(time.perf_counter(), cpu_s)


def subtract(end: Timing, start: Timing) -> Timing:
    """Return what passed between two readings of the clocks."""
    return Timing(end.wall_s - start.wall_s, end.cpu_s - start.cpu_s)


def timed(work: Callable[[], object]) -> Callable[[], Timing]:
    """Make a function that calls ``work`` and returns how long it took."""

    def call() -> Timing:
        start = read_clocks()
        work()
        return subtract(read_clocks(), start)

    return call


def take_rounds(
    ours: Callable[[], Timing], floor: Callable[[], Timing], count: int, *, warm_up: bool = True
) -> list[Round]:
    """Call both in turns, after one call each that does not count (unless ``warm_up`` is False).

    Other work on the machine slows both down alike, and whoever comes first changes from
    round to round, so that neither profits from a warm cache or a cool processor.
    """
    if warm_up:
        ours(), floor()
    rounds = []
    gc.collect()
    for number in range(count):
        if number % 2:
            floor_timing = floor()
            rounds.append(Round(ours(), floor_timing))
        else:
            rounds.append(Round(ours(), floor()))
    return rounds


def summarise(
    name: str, unit: str, n: int, rounds: Sequence[Round], floor_is: str, note: str = ""
) -> Measurement:
    """Condense rounds to rates (n per second) and the ratio of the times.

    The ratio is the median of the ratios of the rounds, not the ratio of the medians: the
    two calls of a round met the same load.
    """
    ratios = [r.ours.wall_s / r.floor.wall_s for r in rounds]
    cpu_ours, cpu_floor = (sum(t.cpu_s for t in side) for side in zip(*rounds, strict=True))
    return Measurement(
        name=name,
        unit=unit,
        ours=n / statistics.median(r.ours.wall_s for r in rounds),
        floor=n / statistics.median(r.floor.wall_s for r in rounds),
        ratio=statistics.median(ratios),
        lowest=min(ratios),
        highest=max(ratios),
        cpu_ratio=cpu_ours / cpu_floor if cpu_floor > 0 else None,
        n=n,
        rounds=len(rounds),
        floor_is=floor_is,
        note=note,
    )


def compare_sizes(
    name: str, unit: str, n: int, ours: float, floor: float, floor_is: str
) -> Measurement:
    """Make a row of two sizes, such as peaks of memory, that were measured once."""
    ratio = ours / floor if floor else math.inf
    return Measurement(name, unit, ours, floor, ratio, ratio, ratio, None, n, 1, floor_is)


def format_table(measurements: Sequence[Measurement]) -> str:
    """Return the rows aligned in columns, a line on top that names them, and notes below."""
    head = ("measurement", "ours", "floor", "unit", "ratio", "range", "cpu", "n")
    rows = [
        (
            m.name,
            format_number(m.ours),
            format_number(m.floor),
            m.unit,
            f"{m.ratio:.2f}",
            f"{m.lowest:.2f}-{m.highest:.2f}",
            "" if m.cpu_ratio is None else f"{m.cpu_ratio:.2f}",
            str(m.n),
        )
        for m in measurements
    ]
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    lines = []
    for row in (head, *rows):
        cells = [
            cell.ljust(width) if i in (0, 3) else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines + [f"{m.name}: {m.note}" for m in measurements if m.note])


def format_number(value: float) -> str:
    """Three digits, without an exponent."""
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def report_sizes(rows: Iterable[Mapping[str, Any]], out: Path | None = None) -> None:
    """Print every row as it is measured, then how busy the machine was; write them if asked."""
    measured = []
    for row in rows:
        measured.append(row)
        print(json.dumps(row), flush=True)
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    if out is not None:
        out.write_text(json.dumps(measured, indent=1) + "\n")
