"""Files that microscopes write beside each picture: which one, in which encoding, of whom.

The entries of SEC SNE-4500M are translated here, those of larger vendors in
:mod:`batteryscope.readers.vendor_sidecars`.
"""

import os
import re
import unicodedata
from dataclasses import replace
from pathlib import Path

from batteryscope.readers.metadata_values import ValueReader
from batteryscope.readers.picture import UNKNOWN_STYLE, AcquisitionMetadata, WritingStyle
from batteryscope.readers.vendor_sidecars import interpret_vendor
from batteryscope.readers.written_values import LENGTHS_MM, VOLTAGES_KV

LONGEST_TEXT_BYTES = 1_000_000  # a longer text file is no sidecar


def find_sidecar(picture: Path) -> Path | None:
    """Return the text file of a picture; None without one.

    That is ``a.jpg.txt`` or ``a.txt``, ``a-jpg.hdr`` or ``a.hdr`` (TESCAN), ``a.jpg.xml`` or
    ``a.xml`` (Thermo Fisher).
    """
    candidates = (picture.with_name(name) for name in list_sidecar_names(picture.name))
    # Unlike Path.is_file, this says no of a name that is too long for a file.
    return next((path for path in candidates if os.path.isfile(path)), None)  # noqa: PTH113


def list_sidecar_names(picture_name: str) -> tuple[str, ...]:
    """Return how the text file of a picture may be called; the first that exists counts."""
    stem, suffix = os.path.splitext(picture_name)  # noqa: PTH122 (asked for every picture)
    return (
        f"{picture_name}.txt",
        f"{picture_name}.TXT",
        f"{stem}.txt",
        f"{stem}-{suffix[1:]}.hdr",
        f"{picture_name}.hdr",
        f"{stem}.hdr",
        f"{picture_name}.xml",
        f"{stem}.xml",
    )


def read_sidecar(
    picture: Path, width_px: int | None = None, style: WritingStyle = UNKNOWN_STYLE
) -> AcquisitionMetadata:
    """Read the text file beside a picture; empty metadata without one.

    Parameters
    ----------
    picture
        The picture.
    width_px
        Its width, if known.
    style
        How the instrument writes numbers and dates, as far as that was decided.
    """
    sidecar = find_sidecar(picture)
    if sidecar is None:
        return AcquisitionMetadata()
    try:
        with sidecar.open("rb") as stream:
            content = stream.read(LONGEST_TEXT_BYTES)
    except OSError as error:
        return AcquisitionMetadata(original={"sidecar": f"{sidecar.name}: {error.strerror}"})
    text = decode_text(content)
    found = interpret_vendor(text, width_px, style)
    if found is None:
        found = interpret_entries(parse_entries(text), style)
    empty = AcquisitionMetadata(original=found.original, writing=found.writing)
    if found == empty and not found.writing.unclear:
        return replace(found, unread_sidecar=sidecar.name)
    return found


def decode_text(content: bytes) -> str:
    """Decode UTF-16 (by its mark or its zero bytes), UTF-8, CP949 or, at last, CP1252.

    UTF-16 comes first because its zero bytes are valid, if meaningless, in all others. Letters of
    CP949 have two bytes above 127; a lone ``µ`` or ``°`` is one of CP1252.
    """
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16", errors="replace")
    if b"\0" in content:
        little = content[1::2].count(0) >= content[::2].count(0)
        return content.decode("utf-16-le" if little else "utf-16-be", errors="replace")
    encodings = ("utf-8-sig", "cp949") if re.search(rb"[\x80-\xff]{2}", content) else ("utf-8-sig",)
    for encoding in encodings:
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    return content.decode("cp1252", errors="replace")


def parse_entries(text: str) -> dict[str, str]:
    """Read ``[Section]`` and ``Key : value`` lines into ``{"Section.Key": "value"}``.

    Values stay as written, without surrounding blanks. A key that repeats within its
    section keeps its first value; the same key in another section is another entry.
    """
    entries: dict[str, str] = {}
    section = ""
    for line in unicodedata.normalize("NFC", text).splitlines():
        heading = "[" in line and re.fullmatch(r"\s*\[[\s-]*(.*?)\s*\]\s*", line)
        if heading:
            section = heading[1]
            continue
        key, separator, value = line.partition(":")
        if separator and key.strip():
            name = f"{section}.{key.strip()}" if section else key.strip()
            entries.setdefault(name, value.strip())
    return entries


def interpret_entries(
    entries: dict[str, str], style: WritingStyle = UNKNOWN_STYLE
) -> AcquisitionMetadata:
    """Translate the entries of an SNE-4500M text file; unknown texts give no values.

    Their ``Pixel Size : 0.7`` is left out on purpose: it has no unit, and the scale bar
    of the same frames (372 px for 100 µm) says 0.27 µm.
    """
    ending_on: dict[str, list[str]] = {}
    for name in entries:
        parts = name.split(".")
        for place in range(len(parts)):
            ending_on.setdefault(".".join(parts[place:]), []).append(name)

    def first(key: str, *sections: str) -> str:
        """The value in the first of these sections, else in any."""
        names = [f"{section}.{key}" for section in sections] + ending_on.get(key, [])
        return next((entries[name] for name in names if entries.get(name)), "")

    values = ValueReader(entries, style)
    # "Acceleated" is the vendor's own spelling.
    voltage = first("Acceleated Voltage") or first("Accelerated Voltage")
    distance = first("Working Distance", "Working Distance")
    found = AcquisitionMetadata(
        magnification=values.magnification(first("Magnification", "Image Info")),
        voltage_kv=values.quantity("voltage_kv", voltage, VOLTAGES_KV),
        working_distance_mm=values.quantity("working_distance_mm", distance, LENGTHS_MM),
        brightness=values.number("brightness", first("Brightness", "Image Process")),
        contrast=values.number("contrast", first("Contrast", "Image Process")),
        detector=first("Detector Mode", "Image Info") or None,
        acquired_at=values.date_time(first("Date", "Image Info")),
        instrument=first("Model", "Image Info") or None,
        original=entries,
    )
    return values.finish(found)
