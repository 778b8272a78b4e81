"""The vendor tags of FEI and Thermo Fisher SEM pictures (TIFF tags 34680 and 34682)."""

from collections.abc import Mapping
from typing import Any

from batteryscope.readers.picture import AcquisitionMetadata
from batteryscope.readers.written_values import as_number, as_positive, parse_date_time

_Tags = Mapping[str, Any]


def read_fei_tags(tags: _Tags, height_px: int) -> AcquisitionMetadata:
    """Translate tifffile's ``fei_metadata``: ``{"Beam": {"HV": 5000}, …}``, lengths in metres.

    Any entry may be missing, empty or no number. The magnification is not stored; it is
    the reference width of the vendor's data bar over the horizontal field width. The data
    bar is believed if ``height_px`` fits: rows of the scan with or without the bar.
    """
    beam = _section(tags, str(_section(tags, "Beam").get("Beam", "EBeam")))
    scans = [
        _section(tags, "Scan"),
        _section(tags, str(_section(tags, "Beam").get("Scan", "EScan"))),
    ]
    image, user = _section(tags, "Image"), _section(tags, "User")
    detector = str(_section(tags, "Detectors").get("Name", "")).strip()
    gain = _section(tags, detector)

    field_m = _first_positive(
        [beam.get("HFW"), *(s.get("HorFieldsize") for s in scans), image.get("HFW")]
    )
    pixel_m = _first_positive([s.get("PixelWidth") for s in scans])
    columns = as_positive(image.get("ResolutionX"))
    if pixel_m is None and field_m is not None and columns is not None:
        pixel_m = field_m / columns
    reference_m = as_positive(image.get("MagCanvasRealWidth"))
    volts = _first_positive([_section(tags, "Beam").get("HV"), beam.get("HV")])
    distance_m = _first_positive([beam.get("WD"), _section(tags, "Stage").get("WorkingDistance")])
    return AcquisitionMetadata(
        pixel_size_um=None if pixel_m is None else pixel_m * 1e6,
        magnification=round(reference_m / field_m, 2) if reference_m and field_m else None,
        voltage_kv=None if volts is None else volts / 1e3,
        working_distance_mm=None if distance_m is None else distance_m * 1e3,
        brightness=as_number(gain.get("Brightness")),
        contrast=as_number(gain.get("Contrast")),
        detector=detector or None,
        acquired_at=parse_date_time(f"{user.get('Date', '')} {user.get('Time', '')}"),
        data_bar_px=_find_data_bar(tags, height_px),
        instrument=str(_section(tags, "System").get("SystemType", "")).strip() or None,
        original={
            f"{name}.{key}": str(value)
            for name, section in tags.items()
            if isinstance(section, Mapping)
            for key, value in section.items()
        },
    )


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


def _first_positive(values: list[Any]) -> float | None:
    return next((n for n in map(as_positive, values) if n is not None), None)
