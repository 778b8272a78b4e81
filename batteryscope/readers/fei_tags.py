"""The vendor tags of FEI and Thermo Fisher SEM pictures (TIFF tags 34680 and 34682)."""

from collections.abc import Mapping
from typing import Any

from batteryscope.readers.metadata_values import ValueReader
from batteryscope.readers.picture import UNKNOWN_STYLE, AcquisitionMetadata, WritingStyle
from batteryscope.readers.written_values import as_positive

_Tags = Mapping[str, Any]


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
