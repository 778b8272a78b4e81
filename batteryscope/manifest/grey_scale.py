"""One grey scale for all pictures, or all scans, of an instrument.

A dark picture of a 16-bit detector and any picture of a 12-bit detector look alike, so what a
single one lets one think would make grey levels jump tenfold between neighbours.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from batteryscope.readers.grey_scale import GreyLevels, choose_bits

log = logging.getLogger("batteryscope")

FROM_FILE, FROM_INSTRUMENT, FROM_SETTING = "file", "instrument", "setting"
SOURCE_COLUMN = "bit_depth_source"
RANGE_COLUMNS = ("grey_low", "grey_high")
TYPE_COLUMN = "stored_type"  # of the grey levels of scans
_NO_NAME = "an instrument that no file names"


@dataclass(frozen=True)
class SeenLevels:
    """What one 16-bit picture or scan showed: its path, its instrument ("" if not stated)."""

    path: str
    instrument: str
    levels: GreyLevels


def decide_bit_depths(
    seen: Iterable[SeenLevels], stated: int | Mapping[str, int] | None = None
) -> dict[str, int]:
    """Decide by instrument how many bits its grey levels use; warn where pictures disagree.

    Parameters
    ----------
    seen
        16-bit pictures; those that prove their bits themselves have no say.
    stated
        What the settings say, for all instruments or by instrument.

    Returns
    -------
    dict
        Instrument → bits, for instruments with a picture that leaves it open.
    """
    groups: dict[str, list[SeenLevels]] = {}
    for one in seen:
        if one.levels.own_bits is None:
            groups.setdefault(one.instrument, []).append(one)
    decided: dict[str, int] = {}
    for instrument, members in sorted(groups.items()):
        bits = stated.get(instrument) if isinstance(stated, Mapping) else stated
        if bits is not None:
            decided[instrument] = bits
            continue
        brightest = max(members, key=lambda one: one.levels.highest)
        decided[instrument] = choose_bits(brightest.levels.highest)
        others = [one for one in members if one.levels.bits_alone != decided[instrument]]
        if others:
            log.warning(
                "16-bit files of %s are taken to use %d bits, since %s reaches grey level %d; %d "
                "of %d are so dark that they alone would look like fewer bits, such as %s (%d). If "
                "these are of another detector, state dataset.bit_depth by instrument.",
                instrument or _NO_NAME,
                decided[instrument],
                brightest.path,
                brightest.levels.highest,
                len(others),
                len(members),
                others[0].path,
                others[0].levels.highest,
            )
    return decided


@dataclass(frozen=True)
class ScanLevels:
    """Lowest and highest grey level that some slices of a scan showed, and what it states."""

    path: str
    instrument: str
    dtype: np.dtype[Any]
    low: float
    high: float
    stated_bits: int | None = None


def decide_grey_ranges(
    scans: Sequence[ScanLevels],
    bit_depth: int | Mapping[str, int] | None = None,
    grey_range: tuple[float, float] | None = None,
) -> dict[str, tuple[float, float]]:
    """Decide for every scan which grey levels become 0 and 255.

    Integers without sign are scaled by the bits in use, others from the lowest to the highest
    level of all scans of their instrument and type.

    Parameters
    ----------
    scans
        All scans of a data set.
    bit_depth, grey_range
        What the settings say.

    Returns
    -------
    dict
        Path of the scan → (lowest, highest).
    """
    if grey_range is not None:
        return {scan.path: grey_range for scan in scans if scan.dtype != np.uint8} | {
            scan.path: (0.0, 255.0) for scan in scans if scan.dtype == np.uint8
        }
    seen = [
        SeenLevels(s.path, s.instrument, GreyLevels(int(s.high), s.stated_bits))
        for s in scans
        if s.dtype == np.uint16
    ]
    bits = decide_bit_depths(seen, bit_depth)
    shared: dict[tuple[str, str], tuple[float, float]] = {}
    for scan in scans:
        low, high = shared.get((scan.instrument, scan.dtype.name), (scan.low, scan.high))
        shared[scan.instrument, scan.dtype.name] = min(low, scan.low), max(high, scan.high)
    ranges = {}
    for scan in scans:
        if scan.dtype == np.uint8:
            ranges[scan.path] = 0.0, 255.0
        elif scan.dtype == np.uint16:
            ranges[scan.path] = 0.0, 2.0 ** (scan.stated_bits or bits[scan.instrument]) - 1
        else:
            low, high = shared[scan.instrument, scan.dtype.name]
            ranges[scan.path] = low, high if high > low else low + 1.0
    return ranges


def summarise_grey_scales(manifest: pd.DataFrame) -> list[dict[str, Any]]:
    """Return what was decided, as a list of plain JSON values; empty if nothing had to be.

    Returns
    -------
    list of dict
        ``instrument`` ("" if no file names it) and, of pictures, ``bit_depth``, ``decided_by``
        (``instrument``: by its brightest picture; ``setting``) and ``images``; of scans
        ``stored_type``, ``grey_low``, ``grey_high`` and ``slices``.
    """
    if SOURCE_COLUMN in manifest:
        table = manifest[manifest[SOURCE_COLUMN] != FROM_FILE]
        columns, counted = ["bit_depth", SOURCE_COLUMN], "images"
    elif RANGE_COLUMNS[0] in manifest:
        table, columns, counted = manifest, [TYPE_COLUMN, *RANGE_COLUMNS], "slices"
    else:
        return []
    table = table.assign(instrument=table["instrument"].astype(object).fillna(""))
    rows = []
    for key, part in table.groupby(["instrument", *columns], sort=True):
        instrument, *values = key
        named = dict(zip(columns, values, strict=True))
        if SOURCE_COLUMN in named:
            named["decided_by"] = named.pop(SOURCE_COLUMN)
        plain = {k: v.item() if isinstance(v, np.generic) else v for k, v in named.items()}
        rows.append({"instrument": instrument, **plain, counted: len(part)})
    return rows


def list_bit_depths(manifest: pd.DataFrame) -> dict[str, int]:
    """Return instrument → bits that were decided for its 16-bit pictures."""
    rows = summarise_grey_scales(manifest)
    return {row["instrument"]: row["bit_depth"] for row in rows if "bit_depth" in row}


def list_grey_ranges(manifest: pd.DataFrame) -> dict[str, tuple[float, float]]:
    """Return :func:`name_scanner` → grey range of the scans, where it is one."""
    found: dict[str, set[tuple[float, float]]] = {}
    for row in summarise_grey_scales(manifest):
        if TYPE_COLUMN in row:
            key = name_scanner(row["instrument"], row[TYPE_COLUMN])
            found.setdefault(key, set()).add((row["grey_low"], row["grey_high"]))
    return {key: next(iter(ranges)) for key, ranges in found.items() if len(ranges) == 1}


def read_bit_depth(sample: Any) -> int | None:
    """Return the bits in use that a row of a sample table records; None if it records none."""
    bits = sample.get("bit_depth")
    return None if bits is None else int(bits)


def name_scanner(instrument: str | None, dtype_name: str) -> str:
    """Return by what a grey range is known: the scanner and the type of its numbers."""
    return f"{instrument or ''} {dtype_name}".strip()
