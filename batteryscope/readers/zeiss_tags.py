"""The vendor tag of Zeiss SEM pictures (TIFF tag 34118, CZ_SEM)."""

from collections.abc import Mapping
from typing import Any

from batteryscope.readers.picture import AcquisitionMetadata
from batteryscope.readers.written_values import (
    LENGTHS_MM,
    LENGTHS_UM,
    VOLTAGES_KV,
    as_number,
    as_positive,
    parse_date_time,
    parse_magnification,
)

_Tags = Mapping[str, Any]


def read_zeiss_tags(tags: _Tags) -> AcquisitionMetadata:
    """Translate tifffile's ``sem_metadata``: ``{"ap_wd": ("WD", 14.808, "mm"), …}``.

    The pixel size is AP_IMAGE_PIXEL_SIZE; AP_PIXEL_SIZE belongs to the live image,
    which may have another resolution than the stored one.
    """
    working_distance = _quantity(tags, "ap_wd", LENGTHS_MM)
    date, time = _text(tags, "ap_date"), _text(tags, "ap_time")
    voltage = as_positive(_quantity(tags, "ap_actualkv", VOLTAGES_KV))
    if voltage is None:  # the beam may have been switched off before saving
        voltage = as_positive(_quantity(tags, "ap_manualkv", VOLTAGES_KV))
    column = _text(tags, "dp_sem")
    return AcquisitionMetadata(
        pixel_size_um=as_positive(_quantity(tags, "ap_image_pixel_size", LENGTHS_UM)),
        magnification=parse_magnification(" ".join(str(v) for v in tags.get("ap_mag", ())[1:])),
        voltage_kv=voltage,
        working_distance_mm=as_positive(working_distance),
        brightness=_plain(tags, "ap_brightness"),
        contrast=_plain(tags, "ap_contrast"),
        detector=_text(tags, "dp_detector_type") or _text(tags, "dp_detector_channel") or None,
        acquired_at=parse_date_time(f"{date} {time}"),
        instrument=f"Zeiss {column}" if column else None,
        original={
            # The entry without a name holds numbers that the vendor does not explain.
            key or "unnamed": _join(value)
            for key, value in tags.items()
        },
    )


def _join(value: Any) -> str:
    if not isinstance(value, tuple):
        return str(value)
    return " ".join(str(v) for v in (value[1:] if isinstance(value[0], str) else value))


def _text(tags: _Tags, key: str) -> str:
    value = tags.get(key, ())
    return str(value[1]).strip() if isinstance(value, tuple) and len(value) > 1 else ""


def _plain(tags: _Tags, key: str) -> float | None:
    value = tags.get(key, ())
    return as_number(value[1]) if isinstance(value, tuple) and len(value) > 1 else None


def _quantity(tags: _Tags, key: str, units: Mapping[str, float]) -> float | None:
    value = tags.get(key, ())
    if not isinstance(value, tuple) or len(value) < 3 or str(value[2]).strip() not in units:
        return None
    number = as_number(value[1])
    return None if number is None else number * units[str(value[2]).strip()]
