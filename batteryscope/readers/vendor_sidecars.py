"""Files that microscopes of JEOL, Hitachi, TESCAN and Thermo Fisher write beside each picture.

Entries and units after published samples of each: JEOL ``$CM_MAG 500`` (kV, mm, length of the
scale bar in px), Hitachi ``[SemImageFile]`` (nm, V, µm), TESCAN ``[MAIN]`` (m, V), Thermo
Fisher XML (m, V).
"""

import re
from collections.abc import Callable, Mapping
from xml.etree import ElementTree

from batteryscope.readers.metadata_values import ValueReader
from batteryscope.readers.picture import UNKNOWN_STYLE, AcquisitionMetadata, WritingStyle
from batteryscope.readers.written_values import (
    LENGTHS_MM,
    LENGTHS_UM,
    VOLTAGES_KV,
    as_positive,
    parse_date_time,
)

_LENGTHS_UM = {unit.lower(): factor for unit, factor in LENGTHS_UM.items()}
_VOLTS_KV = {"Volt": 1e-3, "V": 1e-3, "": 1e-3, **VOLTAGES_KV}


def interpret_vendor(
    text: str, width_px: int | None = None, style: WritingStyle = UNKNOWN_STYLE
) -> AcquisitionMetadata | None:
    """Translate a file of one of the four vendors; None if it is of none of them.

    Parameters
    ----------
    text
        Its content.
    width_px
        Width of the picture. A pixel size that was stated for another width is not believed, since
        the picture was made smaller afterwards.
    style
        How the instrument writes numbers and dates, as far as that was decided.
    """
    start = text.lstrip("\ufeff \r\n\t")
    if "$CM_" in text:
        return _read_jeol(ValueReader(_split_lines(text, r"\s+"), style), width_px)
    if "[SemImageFile]" in text:
        return _read_hitachi(ValueReader(_split_lines(text, "="), style), width_px)
    if start.startswith("[MAIN]"):
        return _read_tescan(ValueReader(_split_lines(text, "="), style))
    if start.startswith("<"):
        return _read_thermo(start, width_px)
    return None


def _read_jeol(values: ValueReader, width_px: int | None) -> AcquisitionMetadata:
    entries = values.entries
    bar_px = values.positive("pixel_size_um", entries.get("$$SM_MICRON_BAR", ""))
    marker = entries.get("$$SM_MICRON_MARKER", "").lower()
    bar_um = values.quantity("pixel_size_um", marker, _LENGTHS_UM)
    known = _is_width(entries.get("$CM_FULL_SIZE", ""), width_px)
    distance = entries.get("$$SM_WD") or entries.get("$SM_WD", "")
    found = AcquisitionMetadata(
        pixel_size_um=bar_um / bar_px if known and bar_px and bar_um else None,
        magnification=values.magnification(entries.get("$CM_MAG", "")),
        voltage_kv=values.positive("voltage_kv", entries.get("$CM_ACCEL_VOLT", "")),
        working_distance_mm=values.positive("working_distance_mm", distance),
        brightness=values.number("brightness", entries.get("$CM_BRIGHTNESS", "")),
        contrast=values.number("contrast", entries.get("$CM_CONTRAST", "")),
        detector=entries.get("$CM_SIGNAL") or None,
        acquired_at=values.date_time(
            f"{entries.get('$CM_DATE', '')} {entries.get('$CM_TIME', '')}"
        ),
        instrument=_name("JEOL", entries.get("$CM_INSTRUMENT", "")),
        original=dict(entries),
    )
    return values.finish(found)


def _read_hitachi(values: ValueReader, width_px: int | None) -> AcquisitionMetadata:
    entries = values.entries
    pixel_nm = values.positive("pixel_size_um", entries.get("PixelSize", ""))
    known = _is_width(entries.get("DataSize", ""), width_px)
    voltage, distance = entries.get("AcceleratingVoltage", ""), entries.get("WorkingDistance", "")
    found = AcquisitionMetadata(
        pixel_size_um=pixel_nm / 1e3 if known and pixel_nm else None,
        magnification=values.magnification(entries.get("Magnification", "")),
        voltage_kv=as_positive(values.quantity("voltage_kv", voltage, _VOLTS_KV)),
        working_distance_mm=as_positive(
            values.quantity("working_distance_mm", distance, {"": 1e-3, **LENGTHS_MM})
        ),
        detector=entries.get("SignalName") or None,
        acquired_at=values.date_time(f"{entries.get('Date', '')} {entries.get('Time', '')}"),
        instrument=_name("Hitachi", entries.get("InstructName", "")),
        original=dict(entries),
    )
    return values.finish(found)


def _read_tescan(values: ValueReader) -> AcquisitionMetadata:
    entries = values.entries
    pixel_m = values.positive("pixel_size_um", entries.get("PixelSizeX", ""))
    volts = values.positive("voltage_kv", entries.get("HV", ""))
    distance_m = values.positive("working_distance_mm", entries.get("WD", ""))
    found = AcquisitionMetadata(
        pixel_size_um=None if pixel_m is None else pixel_m * 1e6,
        magnification=values.magnification(entries.get("Magnification", "")),
        voltage_kv=None if volts is None else volts / 1e3,
        working_distance_mm=None if distance_m is None else distance_m * 1e3,
        detector=entries.get("Detector") or entries.get("Detector0") or None,
        acquired_at=values.date_time(f"{entries.get('Date', '')} {entries.get('Time', '')}"),
        instrument=_name("TESCAN", entries.get("DeviceModel") or entries.get("Device", "")),
        original=dict(entries),
    )
    return values.finish(found)


def _read_thermo(text: str, width_px: int | None) -> AcquisitionMetadata | None:
    if "<!DOCTYPE" in text or "<!ENTITY" in text:  # may unfold without end
        return None
    try:
        root = ElementTree.fromstring(text.encode())
    except (ElementTree.ParseError, ValueError):
        return None
    texts: dict[str, str] = {}
    _collect(root, "", texts.setdefault)
    volts = as_positive(_first(texts, "Optics.AccelerationVoltage"))
    if volts is None and _first(texts, "Optics.ScanFieldOfView.X") is None:
        return None
    distance_m = as_positive(_first(texts, "Optics.WorkingDistance"))
    pixel_m = as_positive(_first(texts, "BinaryResult.PixelSize.X"))
    field_m = as_positive(_first(texts, "Optics.ScanFieldOfView.X"))
    if pixel_m is None and field_m is not None and width_px:
        pixel_m = field_m / width_px
    return AcquisitionMetadata(
        pixel_size_um=None if pixel_m is None else pixel_m * 1e6,
        voltage_kv=None if volts is None else volts / 1e3,
        working_distance_mm=None if distance_m is None else distance_m * 1e3,
        detector=_first(texts, "BinaryResult.Detector"),
        acquired_at=parse_date_time(
            (_first(texts, "Acquisition.AcquisitionDatetime") or "").replace("T", " ")
        ),
        instrument=_first(texts, "Instrument.InstrumentClass"),
        original=texts,
    )


def _collect(element: ElementTree.Element, above: str, keep: Callable[[str, str], str]) -> None:
    """Keep the text of every element under its path, without name spaces; the first one counts."""
    waiting = [(element, above)]
    while waiting:
        one, place = waiting.pop(0)
        name = one.tag.rpartition("}")[2]
        path = f"{place}.{name}" if place else name
        if one.text and one.text.strip():
            keep(path, one.text.strip())
        waiting += [(child, path) for child in one]


def _first(texts: Mapping[str, str], ending: str) -> str | None:
    return next((value for path, value in texts.items() if path.endswith(f".{ending}")), None)


def _split_lines(text: str, mark: str) -> dict[str, str]:
    entries: dict[str, str] = {}
    for line in text.splitlines():
        key, *value = re.split(mark, line.strip(), maxsplit=1)
        if value and key.strip():
            entries.setdefault(key.strip(), value[0].strip())
    return entries


def _is_width(size: str, width_px: int | None) -> bool:
    """Whether a stated size (``1280x960``, ``1280 960``) is that of the picture; unknown is yes."""
    match = re.match(r"\s*(\d+)", size)
    return match is None or width_px is None or int(match[1]) == width_px


def _name(vendor: str, model: str) -> str | None:
    return f"{vendor} {model}" if model else None
