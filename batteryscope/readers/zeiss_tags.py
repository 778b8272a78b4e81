"""The vendor tag of Zeiss SEM pictures (TIFF tag 34118, CZ_SEM)."""

import re
from collections.abc import Mapping

from batteryscope.readers.metadata_values import ValueReader
from batteryscope.readers.picture import UNKNOWN_STYLE, AcquisitionMetadata, WritingStyle
from batteryscope.readers.written_values import LENGTHS_MM, LENGTHS_UM, VOLTAGES_KV, as_positive

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
