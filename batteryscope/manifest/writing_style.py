"""One way to write numbers and dates for all pictures of an instrument.

``10.000 X`` may be ten or ten thousand. What other pictures of the same microscope prove decides,
or what the settings say; without either the value is left out and noted.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from batteryscope.config.table_format import AUTO, MetadataFormat
from batteryscope.manifest.schema import WRITTEN_COLUMN, Reject
from batteryscope.readers.number_text import list_meanings
from batteryscope.readers.picture import WritingEvidence, WritingStyle

log = logging.getLogger("batteryscope")

UNCLEAR = "unclear"
_NO_NAME = "an instrument that no file names"
_SIGN_WORDS = {".": "decimal point", ",": "decimal comma"}
_ORDER_WORDS = {"day_first": "day first", "month_first": "month first"}
_SETTING = "dataset.metadata_format"


@dataclass(frozen=True)
class SeenWriting:
    """What one picture showed: its path, its instrument ("" if not stated), its evidence."""

    path: str
    instrument: str
    evidence: WritingEvidence


def decide_styles(
    seen: Iterable[SeenWriting], stated: MetadataFormat | None = None
) -> dict[str, WritingStyle]:
    """Decide by instrument how it writes numbers and dates; warn where pictures disagree.

    Parameters
    ----------
    seen
        All pictures of a data set.
    stated
        What the settings say.

    Returns
    -------
    dict
        Instrument → style; None in it where nothing proves one, or pictures disagree.
    """
    groups: dict[str, list[SeenWriting]] = {}
    for one in seen:
        groups.setdefault(one.instrument, []).append(one)
    stated = stated or MetadataFormat()
    decided = {}
    for instrument, members in sorted(groups.items()):
        decimal: Any = None if stated.decimal == AUTO else stated.decimal
        dates: Any = None if stated.dates == AUTO else stated.dates
        is_stated = decimal is not None or dates is not None
        if decimal is None:
            proofs = {one.path: one.evidence.decimals for one in members}
            decimal = _agree(proofs, _SIGN_WORDS, "decimal", instrument)
        if dates is None:
            orders = {one.path: one.evidence.orders for one in members}
            dates = _agree(orders, _ORDER_WORDS, "dates", instrument)
        decided[instrument] = WritingStyle(decimal, dates, is_stated)
    return decided


def _agree(
    proofs: Mapping[str, frozenset[Any]], words: Mapping[str, str], key: str, instrument: str
) -> str | None:
    """What all pictures that prove something prove; None if nothing, or if they disagree."""
    found = sorted({value for proved in proofs.values() for value in proved})
    if len(found) < 2:
        return found[0] if found else None
    first, second = (next(p for p, proved in proofs.items() if v in proved) for v in found[:2])
    log.warning(
        "Files of %s are written in two ways: %s has the %s, %s the %s. Values that could be read "
        "in both ways are left out where the file itself does not tell; state %s.%s if all "
        "are written alike.",
        instrument or _NO_NAME,
        first,
        words[found[0]],
        second,
        words[found[1]],
        _SETTING,
        key,
    )
    return None


def describe_reading(alone: WritingEvidence, read: WritingEvidence, style: WritingStyle) -> str:
    """Say how the values of a picture that could be read in two ways were read in the end.

    Parameters
    ----------
    alone
        What the file by itself let one think.
    read
        The same, read in the style of its instrument.
    style
        That style.
    """
    words = []
    for name in alone.unclear:
        if name in read.unclear:
            words.append(UNCLEAR)
        elif name == "acquired_at":
            words.append(_ORDER_WORDS[style.dates or "day_first"])
        else:
            words.append(_SIGN_WORDS[style.decimal or "."])
    return ", ".join(sorted(set(words)))


def note_unclear(seen: Sequence[SeenWriting]) -> list[Reject]:
    """Note, once for each instrument and field, which values had to be left out.

    Parameters
    ----------
    seen
        Pictures with what is still unclear after :func:`decide_styles`.
    """
    groups: dict[tuple[str, str], list[SeenWriting]] = {}
    for one in seen:
        for name in one.evidence.unclear:
            groups.setdefault((one.instrument, name), []).append(one)
    notes = []
    for (_, name), members in sorted(groups.items()):
        text = members[0].evidence.unclear[name]
        more = f" ({len(members)} pictures of this kind)" if len(members) > 1 else ""
        if name == "acquired_at":
            advice = f"{_SETTING}.dates: day_first or month_first"
            meant = "may have the day or the month first"
        else:
            advice = f'{_SETTING}.decimal: "." or ","'
            meant = "may be " + " or ".join(_list_readings(text))
        detail = (
            f"{name} is left out: '{text}' {meant}, and no other value of the instrument "
            f"tells{more}; state {advice}."
        )
        notes.append(Reject(members[0].path, "unclear_metadata", detail))
    return notes


def _list_readings(text: str) -> list[str]:
    number = "".join(c for c in text if c in "0123456789.,")
    return list(dict.fromkeys(list_meanings(number).values()))


def summarise_writing(manifest: pd.DataFrame) -> list[dict[str, Any]]:
    """Return by instrument how unclear values were read; empty if there were none.

    Returns
    -------
    list of dict
        ``instrument`` ("" if no file names it), ``written_as`` (``decimal comma``, ``day first``
        …, ``unclear`` where values were left out) and ``images``.
    """
    if WRITTEN_COLUMN not in manifest:
        return []
    table = manifest[manifest[WRITTEN_COLUMN].notna()]
    table = table.assign(instrument=table["instrument"].astype(object).fillna(""))
    return [
        {"instrument": instrument, WRITTEN_COLUMN: written, "images": len(part)}
        for (instrument, written), part in table.groupby(["instrument", WRITTEN_COLUMN], sort=True)
    ]
