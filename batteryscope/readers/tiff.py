"""TIFF pictures with 1 to 16 bits, one or many pages, and the vendor tags inside them."""

import re
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import tifffile

from batteryscope.readers.metadata_values import ValueReader
from batteryscope.readers.picture import (
    UNKNOWN_STYLE,
    AcquisitionMetadata,
    DecodedPage,
    PictureError,
    PictureFormat,
    WritingStyle,
)
from batteryscope.readers.pixel_size import UNKNOWN_SIZE
from batteryscope.readers.pixels import turn_size
from batteryscope.readers.text_sidecar import LONGEST_TEXT_BYTES, decode_text
from batteryscope.readers.tiff_page import (
    TIFF_SIGNATURES,
    choose_page,
    decode_page,
    open_tiff,
    read_calibration,
    read_orientation,
)
from batteryscope.readers.tiff_units import find_voxel_size
from batteryscope.readers.vendor_sidecars import interpret_vendor
from batteryscope.readers.written_values import LENGTHS_MM, LENGTHS_UM, VOLTAGES_KV, as_positive

TESCAN_TAG = 50431
_LAST = 0
# Kinds of blocks with lines ``Key=value``: the sections of TESCAN's text files. 1 is a thumbnail.
_SECTIONS = {2: "MAIN", 3: "SEM", 4: "GAMA", 5: "FIB"}
_Tags = Mapping[str, Any]
_KEY = re.compile(r"[A-Z]{2}_[A-Z0-9_]+")
_UNNAMED = "unnamed"


def split_zeiss_text(text: str) -> dict[str, str]:
    """Read the text of the tag into ``{"ap_wd": "14.8 mm", …}``; values stay as written.

    Numbers without a name, which the vendor does not explain, come under ``unnamed``.
    """
    entries: dict[str, str] = {}
    unnamed: list[str] = []
    key = ""
    for line in map(str.strip, text.splitlines()):
        if _KEY.fullmatch(line):
            key = line.lower()
        elif key:
            mark = "=" if "=" in line else ":"
            entries[key] = line.partition(mark)[2].strip()
            key = ""
        else:
            unnamed.append(line)
    return ({_UNNAMED: " ".join(unnamed)} if any(unnamed) else {}) | entries


def read_zeiss_tags(
    entries: Mapping[str, str], style: WritingStyle = UNKNOWN_STYLE
) -> AcquisitionMetadata:
    """Translate :func:`split_zeiss_text`.

    The pixel size is AP_IMAGE_PIXEL_SIZE; AP_PIXEL_SIZE belongs to the live image,
    which may have another resolution than the stored one.
    """
    values = ValueReader(entries, style)

    def quantity(name: str, key: str, units: Mapping[str, float]) -> float | None:
        return as_positive(values.quantity(name, entries.get(key, ""), units))

    voltage = quantity("voltage_kv", "ap_actualkv", VOLTAGES_KV)
    if voltage is None:  # the beam may have been switched off before saving
        voltage = quantity("voltage_kv", "ap_manualkv", VOLTAGES_KV)
    column = entries.get("dp_sem", "")
    found = AcquisitionMetadata(
        pixel_size_um=quantity("pixel_size_um", "ap_image_pixel_size", LENGTHS_UM),
        magnification=values.magnification(entries.get("ap_mag", "")),
        voltage_kv=voltage,
        working_distance_mm=quantity("working_distance_mm", "ap_wd", LENGTHS_MM),
        brightness=_percent(values, "brightness", entries.get("ap_brightness", "")),
        contrast=_percent(values, "contrast", entries.get("ap_contrast", "")),
        detector=entries.get("dp_detector_type") or entries.get("dp_detector_channel") or None,
        acquired_at=values.date_time(f"{entries.get('ap_date', '')} {entries.get('ap_time', '')}"),
        instrument=f"Zeiss {column}" if column else None,
        original=dict(entries),
    )
    return values.finish(found)


def _percent(values: ValueReader, name: str, text: str) -> float | None:
    return values.number(name, text.removesuffix("%"))


def split_fei_text(text: str) -> dict[str, dict[str, str]]:
    """Read the text of the tag into ``{"Beam": {"HV": "5000"}, …}``; values stay as written."""
    sections: dict[str, dict[str, str]] = {}
    section: dict[str, str] = {}
    for line in map(str.strip, text.splitlines()):
        key, mark, value = line.partition("=")
        if line.startswith("["):
            section = sections.setdefault(line.strip("[]"), {})
        elif mark:
            section[key.strip()] = value.strip()
    return sections


def read_fei_tags(
    tags: _Tags, height_px: int, style: WritingStyle = UNKNOWN_STYLE
) -> AcquisitionMetadata:
    """Translate :func:`split_fei_text`, in which lengths are in metres.

    Any entry may be missing, empty or no number. The magnification is not stored; it is
    the reference width of the vendor's data bar over the horizontal field width. The data
    bar is believed if ``height_px`` fits: rows of the scan with or without the bar.
    """
    entries = {
        f"{name}.{key}": str(value)
        for name, section in tags.items()
        if isinstance(section, Mapping)
        for key, value in section.items()
    }
    values = ValueReader(entries, style)

    def first(name: str, *found: Any) -> float | None:
        """The first of these values that is a number above zero."""
        numbers = (values.positive(name, str(value)) for value in found if value is not None)
        return next((number for number in numbers if number is not None), None)

    beam = _section(tags, str(_section(tags, "Beam").get("Beam", "EBeam")))
    scans = [
        _section(tags, "Scan"),
        _section(tags, str(_section(tags, "Beam").get("Scan", "EScan"))),
    ]
    image, user = _section(tags, "Image"), _section(tags, "User")
    detector = str(_section(tags, "Detectors").get("Name", "")).strip()
    gain = _section(tags, detector)

    fields = [beam.get("HFW"), *(s.get("HorFieldsize") for s in scans), image.get("HFW")]
    field_m = first("magnification", *fields)
    pixel_m = first("pixel_size_um", *(s.get("PixelWidth") for s in scans))
    columns = as_positive(image.get("ResolutionX"))
    if pixel_m is None and field_m is not None and columns is not None:
        pixel_m = field_m / columns
    reference_m = first("magnification", image.get("MagCanvasRealWidth"))
    volts = first("voltage_kv", _section(tags, "Beam").get("HV"), beam.get("HV"))
    stage = _section(tags, "Stage")
    distance_m = first("working_distance_mm", beam.get("WD"), stage.get("WorkingDistance"))
    date = f"{user.get('Date', '')} {user.get('Time', '')}"
    created = str(_section(tags, "PrivateFei").get("TimeOfCreation", ""))  # 13.06.2016 17:06:40
    found = AcquisitionMetadata(
        pixel_size_um=None if pixel_m is None else pixel_m * 1e6,
        magnification=round(reference_m / field_m, 2) if reference_m and field_m else None,
        voltage_kv=None if volts is None else volts / 1e3,
        working_distance_mm=None if distance_m is None else distance_m * 1e3,
        brightness=values.number("brightness", str(gain.get("Brightness", ""))),
        contrast=values.number("contrast", str(gain.get("Contrast", ""))),
        detector=detector or None,
        acquired_at=values.date_time(date) or values.date_time(created),
        data_bar_px=_find_data_bar(tags, height_px),
        instrument=str(_section(tags, "System").get("SystemType", "")).strip() or None,
        original=entries,
    )
    return values.finish(found)


def _find_data_bar(tags: _Tags, height_px: int) -> int | None:
    bar = as_positive(_section(tags, "PrivateFei").get("DatabarHeight"))
    rows = as_positive(_section(tags, "Image").get("ResolutionY"))
    if rows is not None and height_px == round(rows):
        return 0  # saved without the bar, although its height is still written
    if bar is None or (rows is not None and height_px != round(rows + bar)):
        return None
    return round(bar) if bar < height_px else None


def _section(tags: _Tags, name: str) -> _Tags:
    section = tags.get(name)
    return section if isinstance(section, Mapping) else {}


def find_tescan_text(content: bytes, byte_order: Literal["<", ">"] = "<") -> str:
    """Return the text of the tag as TESCAN writes it into ``.hdr`` files.

    Parameters
    ----------
    content
        The tag's bytes. A damaged or cut block ends the search.
    byte_order
        That of the file.

    Returns
    -------
    str
        Sections, ``[MAIN]`` first; empty if there is no such block.
    """
    texts: dict[str, str] = {}
    place = 0
    while place + 6 <= len(content):
        size, kind = struct.unpack_from(f"{byte_order}IH", content, place)
        end = place + 4 + size
        if size < 2 or end > len(content) or kind == _LAST:
            break
        if section := _SECTIONS.get(kind):
            lines = content[place + 6 : end].rstrip(b"\0").decode("cp1252", errors="replace")
            texts.setdefault(section, lines)
        place = end
    if "MAIN" not in texts:
        return ""
    return "\n".join(f"[{name}]\n{texts[name]}" for name in _SECTIONS.values() if name in texts)


_SIGN_OFFSET = 32_768  # by which ImageJ stores numbers with a sign too high
_ZEISS_TAGS, _FEI_TAGS = (34118,), (34680, 34682)


@contextmanager
def _open(path: Path, number: int) -> Iterator[tuple[tifffile.TiffFile, tifffile.TiffPage, int]]:
    """Open one page; give the file, the page and the number of pages that are pictures."""
    with open_tiff(path) as file:
        try:
            page, n_pages = choose_page(file, number)
        except IndexError as error:
            raise PictureError(path, "unreadable", str(error)) from None
        yield file, page, n_pages


def _read_size(path: Path, number: int) -> tuple[int, int]:
    with _open(path, number) as (_, page, _):
        size = int(page.imagewidth), int(page.imagelength)
        return turn_size(size, read_orientation(page))


def _decode(path: Path, number: int) -> DecodedPage:
    with _open(path, number) as (file, page, n_pages):
        if page.dtype is None or page.dtype.kind not in "bu" or page.dtype.itemsize > 2:
            detail = (
                f"holds numbers of type {page.dtype}; save it as grey or RGB with 8 or 16 bits."
            )
            raise PictureError(path, "unsupported", detail)
        if read_calibration(page).intercept <= -_SIGN_OFFSET:
            detail = (
                "holds numbers with a sign, as ImageJ stores them; save it as grey with 8 or 16 "
                "bits."
            )
            raise PictureError(path, "unsupported", detail)
        return replace(decode_page(path, file, page), n_pages=n_pages)


def _read_metadata(
    path: Path, number: int, style: WritingStyle = UNKNOWN_STYLE
) -> AcquisitionMetadata:
    with _open(path, number) as (file, page, _):
        try:
            if text := _read_text_tag(file, _ZEISS_TAGS):
                return read_zeiss_tags(split_zeiss_text(text), style)
            if text := _read_text_tag(file, _FEI_TAGS):
                return read_fei_tags(split_fei_text(text), page.imagelength, style)
            if content := _read_tag(file, (TESCAN_TAG,)):
                text = find_tescan_text(content, file.byteorder)
                if found := interpret_vendor(text, int(page.imagewidth), style):
                    return found
            # A plain resolution tag is a print setting; only these two state a measured scale.
            measured = file.is_imagej or file.is_ome
            size = find_voxel_size(file) if measured else UNKNOWN_SIZE
        except Exception as error:  # a broken vendor tag must not cost the picture
            return AcquisitionMetadata(original={"vendor tag": f"not readable: {error}"})
        texts = {tag.name: tag.value for tag in page.tags if isinstance(tag.value, str)}
        return AcquisitionMetadata(
            pixel_size_um=size.edge_um, unequal_edges_um=size.unequal_um, original=texts
        )


def _read_text_tag(file: tifffile.TiffFile, codes: tuple[int, ...]) -> str:
    """Return the text of a vendor's tag; tifffile would make 10.0 of ``10.000`` in it."""
    return decode_text(_read_tag(file, codes).rstrip(b"\0"))


def _read_tag(file: tifffile.TiffFile, codes: tuple[int, ...]) -> bytes:
    """Return the first of these tags as it is stored, cut if it is far too long."""
    tags = file.pages.first.tags
    tag = next((tags[code] for code in codes if code in tags), None)
    if tag is None:
        return b""
    handle = file.filehandle
    handle.seek(tag.valueoffset)
    return bytes(handle.read(min(tag.valuebytecount, LONGEST_TEXT_BYTES)))


TIFF = PictureFormat(
    name="TIFF",
    suffixes=(".tif", ".tiff"),
    signatures=TIFF_SIGNATURES,
    read_size=_read_size,
    decode=_decode,
    read_metadata=_read_metadata,
)
