"""Writes small DICOM scans: series of files, and enhanced files with many frames."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, generate_uid

SCAN: NDArray[np.uint16] = np.random.default_rng(4).integers(0, 4000, (6, 12, 9)).astype(np.uint16)
Change = Callable[[Any, int], object]


def make_slice(
    pixels: NDArray[Any], number: int, position: float | None, syntax: UID = ExplicitVRLittleEndian
) -> Any:
    """Return a slice with the usual tags; a third axis of pixels are colours."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = CTImageStorage
    identity = generate_uid(entropy_srcs=[f"{number} {position}"])
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = identity
    dataset.SeriesInstanceUID = "1.2.3.4"
    dataset.InstanceNumber = number
    dataset.Rows, dataset.Columns = pixels.shape[:2]
    colour = pixels.ndim == 3
    dataset.SamplesPerPixel = 3 if colour else 1
    dataset.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        dataset.PlanarConfiguration = 0
    dataset.BitsAllocated = dataset.BitsStored = 8 * pixels.dtype.itemsize
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    dataset.PixelSpacing = [0.05, 0.05]
    if position is not None:
        dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        dataset.ImagePositionPatient = [0, 0, position]
    dataset.PixelData = pixels.tobytes()
    return dataset


def write_series(
    folder: Path,
    scan: NDArray[Any] = SCAN,
    positions: Sequence[float | None] | None = None,
    change: Change = lambda dataset, i: None,
    names: Sequence[str] | None = None,
) -> None:
    """Write one file per slice, ``IM1.dcm`` and so on, 0.05 mm apart."""
    folder.mkdir(parents=True)
    for i, pixels in enumerate(scan):
        place = round(0.05 * i, 4) if positions is None else positions[i]
        dataset = make_slice(pixels, i + 1, place)
        change(dataset, i)
        name = f"IM{i + 1}.dcm" if names is None else names[i]
        dataset.save_as(folder / name, enforce_file_format=True)


def write_packed(path: Path, syntax: UID, frame: bytes) -> None:
    """Write the first slice as a file whose pixels are a compressed frame."""
    dataset = make_slice(SCAN[0], 1, 0.0)
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.PixelData = encapsulate([frame])
    dataset.save_as(path, enforce_file_format=True)


def write_enhanced(
    path: Path,
    positions: Sequence[float | None],
    scan: NDArray[Any] = SCAN,
    stack: Sequence[int] | None = None,
) -> None:
    """Write one file whose functional groups say where each frame lies."""
    dataset = make_slice(scan[0], 1, None)
    del dataset.PixelSpacing
    dataset.NumberOfFrames = len(positions)
    dataset.PixelData = scan[: len(positions)].tobytes()
    shared, measures, plane = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = [0.02, 0.02], 0.1
    plane.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [plane]
    dataset.SharedFunctionalGroupsSequence = [shared]
    groups = []
    for i, position in enumerate(positions):
        group = Dataset()
        if position is not None:
            place = Dataset()
            place.ImagePositionPatient = [0, 0, position]
            group.PlanePositionSequence = [place]
        if stack is not None:
            content = Dataset()
            content.StackID, content.InStackPositionNumber = "1", stack[i]
            group.FrameContentSequence = [content]
        groups.append(group)
    dataset.PerFrameFunctionalGroupsSequence = groups
    dataset.save_as(path, enforce_file_format=True)
