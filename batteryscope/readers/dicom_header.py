"""What DICOM headers say about slices, in one file each or as the frames of one file.

Positions, orientation and pixel spacing are attributes of the file (DICOM PS3.3, C.7.6.2), or of
functional groups (C.7.6.16), first those of the frame, then those of all frames.
"""

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from batteryscope.readers.dicom_rescale import GROUPS, TAGS
from batteryscope.readers.picture import PictureError
from batteryscope.readers.pixel_size import PixelSize, measure_pixel

_DIRECTORY = "1.2.840.10008.1.3.10"  # storage class of a DICOMDIR
_DEFLATED = "1.2.840.10008.1.2.1.99"  # transfer syntax
_NAMED_WITHIN_BYTES = 1000
_UNTIL_GROUP_LENGTH = (
    128 + 4 + 12
)  # preamble, DICM, the element that says how long the first tags are
LARGEST_INFLATED_BYTES = 2_000_000_000
_TAGS = [
    "MediaStorageSOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "Rows", "Columns",
    "ImageOrientationPatient", "ImagePositionPatient", "InstanceNumber", "PixelSpacing",
    "ImagerPixelSpacing", "SliceThickness", "SpacingBetweenSlices", "NumberOfFrames",
    "ManufacturerModelName", "Manufacturer", "PhotometricInterpretation", "SamplesPerPixel",
    "BitsAllocated", "HighBit", "ModalityLUTSequence",
    "PixelPaddingValue", "PixelPaddingRangeLimit",
    *[f"{c}PaletteColorLookupTable{kind}" for c in ("Red", "Green", "Blue")
      for kind in ("Data", "Descriptor")],
    *[f"Segmented{c}PaletteColorLookupTableData" for c in ("Red", "Green", "Blue")],
    *TAGS, *GROUPS,
]  # fmt: skip


@dataclass(frozen=True)
class Header:
    """A file and its tags, of which those that matter here were read."""

    file: Path
    tags: Any

    def numbers(self, name: str) -> list[float]:
        """Return the numbers of a tag, none if it is not there."""
        return _read_numbers(self.tags, name)

    def integer(self, name: str, default: int = 0) -> int:
        """Return a whole number, or the default if there is none."""
        try:
            return int(self.tags.get(name) or default)
        except (TypeError, ValueError):
            return default

    @property
    def is_deflated(self) -> bool:
        """Whether the whole file behind its first tags is compressed."""
        meta = getattr(self.tags, "file_meta", None)
        return meta is not None and str(meta.get("TransferSyntaxUID")) == _DEFLATED

    @property
    def n_frames(self) -> int:
        """Frames in the file, 1 if it says nothing."""
        return max(1, self.integer("NumberOfFrames", 1))


@dataclass(frozen=True)
class Frame:
    """One slice.

    Attributes
    ----------
    header
        The file.
    index
        Number within the file from 0; None if it holds a single picture.
    position
        Three numbers in mm; empty if nothing is stated.
    orientation
        Six direction cosines; empty if nothing is stated.
    number
        Instance number, or the number of the frame within its stack; None if not stated.
    spacing_mm
        Height and width of a pixel; None if not stated.
    thickness_mm
        Distance of slices as stated; None if not.
    """

    header: Header
    index: int | None
    position: list[float]
    orientation: list[float]
    number: int | None
    spacing_mm: tuple[float, float] | None
    thickness_mm: float | None

    @property
    def name(self) -> str:
        """How a message calls it."""
        name = self.header.file.name
        return name if self.index is None else f"{name} frame {self.index + 1}"


def read_header(file: Path) -> Header:
    """Read the tags that matter here.

    Raises
    ------
    PictureError
        The file cannot be read.
    """
    import pydicom

    try:
        _check_inflated(file)
        return Header(file, pydicom.dcmread(file, stop_before_pixels=True, specific_tags=_TAGS))
    except PictureError:
        raise
    except Exception as error:  # pydicom raises errors of many kinds
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        detail = f"this DICOM file cannot be read ({reason}); copy it again."
        raise PictureError(file, "unreadable", detail) from None


def _check_inflated(file: Path) -> None:
    """Refuse a deflated file that grows beyond all measure; pydicom inflates it as a whole."""
    with file.open("rb") as stream:
        if _DEFLATED.encode() not in stream.read(_NAMED_WITHIN_BYTES):
            return
        from pydicom.filereader import read_file_meta_info

        length = int(read_file_meta_info(file).FileMetaInformationGroupLength)
        stream.seek(_UNTIL_GROUP_LENGTH + length)
        inflater, n_bytes = zlib.decompressobj(-zlib.MAX_WBITS), 0
        while packed := inflater.unconsumed_tail or stream.read(2**20):
            n_bytes += len(inflater.decompress(packed, 2**24))
            if n_bytes > LARGEST_INFLATED_BYTES:
                detail = (
                    f"this DICOM file unpacks to more than {LARGEST_INFLATED_BYTES / 1e9:.0f} GB; "
                    "export it again without compression."
                )
                raise PictureError(file, "too_large", detail)


def has_picture(header: Header) -> bool:
    """Tell whether a file is a picture; reports and directories have no rows and columns."""
    meta = getattr(header.tags, "file_meta", None)
    kind = str(meta.get("MediaStorageSOPClassUID", "")) if meta is not None else ""
    return kind != _DIRECTORY and header.integer("Rows") > 0 and header.integer("Columns") > 0


def list_frames(header: Header) -> list[Frame]:
    """Return the slices of a file in the order in which they lie there.

    Raises
    ------
    PictureError
        Its functional groups are of another number of frames.
    """
    n_frames = header.n_frames
    try:
        shared = (header.tags.get(GROUPS[0]) or [None])[0]
        own = list(header.tags.get(GROUPS[1]) or [None] * n_frames)
    except (TypeError, IndexError):
        shared, own = None, [None] * n_frames
    if len(own) != n_frames:
        detail = (
            f"this DICOM file describes {len(own)} frames, but holds {n_frames}; correct its "
            "header or export the series again."
        )
        raise PictureError(header.file, "unsupported", detail)
    return [
        _read_frame(header, None if n_frames == 1 else i, [own[i], shared]) for i in range(n_frames)
    ]


def find_voxel_size(frame: Frame, slice_spacing_um: float | None) -> PixelSize:
    """Return the size of a pixel."""
    if frame.spacing_mm is None:
        return PixelSize(spacing_um=slice_spacing_um)
    down, across = (1000 * edge for edge in frame.spacing_mm)  # first the distance of rows
    return measure_pixel(across, down, slice_spacing_um)


def find_instrument(header: Header) -> str | None:
    """Return maker and model, None if neither is stated."""
    names = (header.tags.get("Manufacturer"), header.tags.get("ManufacturerModelName"))
    return " ".join(str(name) for name in names if name) or None


def _read_frame(header: Header, index: int | None, groups: list[Any]) -> Frame:
    def find(sequence: str, name: str) -> list[float]:
        for group in groups:
            items = None if group is None else group.get(sequence)
            if items and (numbers := _read_numbers(items[0], name)):
                return numbers
        return header.numbers(name)

    position = find("PlanePositionSequence", "ImagePositionPatient")
    orientation = find("PlaneOrientationSequence", "ImageOrientationPatient")
    spacing = find("PixelMeasuresSequence", "PixelSpacing") or header.numbers("ImagerPixelSpacing")
    between = find("PixelMeasuresSequence", "SpacingBetweenSlices")
    between = between or find("PixelMeasuresSequence", "SliceThickness")
    if index is None:
        number = header.numbers("InstanceNumber")
    else:  # the instance number is that of the whole file
        number = find("FrameContentSequence", "InStackPositionNumber")
        if not _of_frame(groups[0], "PlanePositionSequence"):
            position = []  # one position for all frames says nothing about their order
    return Frame(
        header,
        index,
        position if len(position) == 3 else [],
        orientation if len(orientation) == 6 else [],
        int(number[0]) if number else None,
        (spacing[0], spacing[1]) if len(spacing) == 2 and min(spacing) > 0 else None,
        between[0] if between and between[0] > 0 else None,
    )


def _of_frame(group: Any, sequence: str) -> bool:
    return group is not None and bool(group.get(sequence))


def _read_numbers(tags: Any, name: str) -> list[float]:
    value = tags.get(name)
    if value is None or isinstance(value, str | bytes):
        return []
    try:
        return [float(v) for v in value] if hasattr(value, "__len__") else [float(value)]
    except (TypeError, ValueError):
        return []
