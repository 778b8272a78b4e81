"""Scans read by us and by readers that share no code with ours: libtiff, Pillow, NumPy, ITK."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless, RLELossless

from batteryscope.readers.volumes import open_volume
from tests.dicom_scans import write_enhanced, write_series

RNG = np.random.default_rng(8)
DEEP: NDArray[np.uint16] = RNG.integers(0, 60_000, (4, 24, 32)).astype(np.uint16)
EIGHT = (DEEP >> 8).astype(np.uint8)
TURNED = [0.3, 0.0, 0.2, 0.1]


def read_with_libtiff(path: Path) -> NDArray[Any]:
    content = path.read_bytes()
    return np.stack([imagecodecs.tiff_decode(content, index=z) for z in range(len(DEEP))])


def read_with_pillow(path: Path) -> NDArray[Any]:
    with Image.open(path) as file:
        assert file.n_frames == len(DEEP)
        slices = []
        for z in range(file.n_frames):
            file.seek(z)
            slices.append(np.asarray(file))
        return np.stack(slices)


@pytest.mark.parametrize("how", [
    {}, {"byteorder": ">"}, {"compression": "zlib", "predictor": True}, {"compression": "lzw"},
    {"tile": (16, 16)}, {"bigtiff": True}, {"compression": "packbits", "rowsperstrip": 5},
    {"imagej": True, "metadata": {"axes": "ZYX"}}, {"metadata": {"axes": "ZYX"}, "ome": True},
], ids=str)  # fmt: skip
@pytest.mark.parametrize("scan", [EIGHT, DEEP], ids=["8", "16"])
def test_stacks_are_those_of_libtiff_and_pillow(
    tmp_path: Path, scan: NDArray[Any], how: dict[str, Any]
) -> None:
    path = tmp_path / "scan.tif"
    tifffile.imwrite(path, scan, photometric="minisblack", **how)
    ours = open_volume(path)
    found = np.stack([ours.read_slice(z) for z in range(ours.shape[0])])
    for read in (read_with_libtiff, read_with_pillow):
        if how.get("imagej") and read is read_with_libtiff:
            continue  # it sees the first page only: the others follow without directories
        theirs = read(path)
        np.testing.assert_array_equal(found, theirs)
    assert found.dtype == scan.dtype


@pytest.mark.parametrize("dtype", ["u1", "<u2", ">u2", "<i2", ">f4"])
def test_arrays_are_those_of_numpy(tmp_path: Path, dtype: str) -> None:
    path = tmp_path / "scan.npy"
    np.save(path, (DEEP >> 9).astype(dtype))
    ours = open_volume(path)
    for z in range(4):
        np.testing.assert_array_equal(ours.read_slice(z), np.load(path)[z])


def _change(**tags: Any) -> Callable[[Any, int], None]:
    def apply(dataset: Any, i: int) -> None:
        for name, value in tags.items():
            setattr(dataset, name, value[i] if isinstance(value, list) else value)

    return apply


def _compress(syntax: Any) -> Callable[[Any, int], None]:
    def apply(dataset: Any, i: int) -> None:
        if syntax == RLELossless:
            dataset.compress(syntax)
            return
        packed = imagecodecs.jpeg2k_encode(DEEP[i], codecformat="J2K", level=0)
        dataset.file_meta.TransferSyntaxUID = syntax
        dataset.PixelData = encapsulate([packed])
        dataset["PixelData"].VR = "OB"

    return apply


SERIES: dict[str, tuple[NDArray[Any], Callable[[Any, int], None]]] = {
    "plain": (DEEP, _change()),
    "8_bits": (EIGHT, _change()),
    "signed": ((DEEP.astype(np.int32) - 30_000).astype(np.int16), _change()),
    "12_bits": (DEEP >> np.uint16(4), _change(BitsStored=12, HighBit=11)),
    "hounsfield": (DEEP >> np.uint16(4), _change(RescaleSlope=1, RescaleIntercept=-1024)),
    "slopes": (DEEP, _change(RescaleSlope=0.5, RescaleIntercept=-3)),
    "rle": (DEEP, _compress(RLELossless)),
    "jpeg2000": (DEEP, _compress(JPEG2000Lossless)),
}


@pytest.mark.parametrize("name", SERIES)
def test_series_are_those_of_itk(tmp_path: Path, name: str) -> None:
    itk = pytest.importorskip("SimpleITK")
    scan, change = SERIES[name]
    write_series(tmp_path / "d", scan, positions=TURNED, change=change)
    files = itk.ImageSeriesReader_GetGDCMSeriesFileNames(str(tmp_path / "d"))
    theirs = itk.ReadImage(files)
    ours = open_volume(tmp_path / "d")
    found = np.stack([ours.read_slice(z) for z in range(4)])
    np.testing.assert_array_equal(found, itk.GetArrayFromImage(theirs))
    across, down, between = theirs.GetSpacing()
    assert ours.voxel_size_um == pytest.approx(1000 * across) == pytest.approx(1000 * down)
    assert ours.slice_spacing_um == pytest.approx(1000 * between)


def test_frames_are_those_of_itk(tmp_path: Path) -> None:
    itk = pytest.importorskip("SimpleITK")
    write_enhanced(tmp_path / "e.dcm", [0.0, 0.1, 0.2, 0.3], DEEP)
    theirs = itk.ReadImage(str(tmp_path / "e.dcm"))
    ours = open_volume(tmp_path / "e.dcm")
    found = np.stack([ours.read_slice(z) for z in range(4)])
    np.testing.assert_array_equal(found, itk.GetArrayFromImage(theirs))


@pytest.mark.parametrize("unit", ["INCH", "CENTIMETER"])
@pytest.mark.parametrize("scan", [EIGHT, DEEP, DEEP.astype(np.float32)], ids=["8", "16", "float"])
def test_stacks_and_their_resolution_are_those_of_itk(
    tmp_path: Path, scan: NDArray[Any], unit: str
) -> None:
    itk = pytest.importorskip("SimpleITK")
    path = tmp_path / "scan.tif"
    resolution = (4000, 4000)
    tifffile.imwrite(
        path, scan, photometric="minisblack", resolution=resolution, resolutionunit=unit
    )
    theirs = itk.ReadImage(str(path))
    ours = open_volume(path)
    found = np.stack([ours.read_slice(z) for z in range(4)])
    np.testing.assert_array_equal(found, itk.GetArrayFromImage(theirs))
    assert ours.voxel_size_um == pytest.approx(1000 * theirs.GetSpacing()[0], rel=1e-4)
