"""Scans in all formats: known answers, and one clear sentence for each kind of bad file."""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from batteryscope.readers.picture import PictureError
from batteryscope.readers.volume import Volume, find_grey_range, show_with_8_bits
from batteryscope.readers.volume_folder import find_gaps
from batteryscope.readers.volumes import find_volumes, open_volume

SCAN: NDArray[np.uint16] = np.random.default_rng(1).integers(0, 60000, (5, 12, 9)).astype(np.uint16)


def write_isq(
    path: Path,
    scan: NDArray[np.int16],
    data_offset: int = 0,
    edges_um: tuple[float, float, float] = (20, 20, 40),
) -> None:
    """Write a Scanco file as the notes on the header say: offset × 512 bytes, padded blocks."""
    header = bytearray(512 * (data_offset + 1))
    header[:16] = b"CTDATA-HEADER_V1"
    nz, ny, nx = scan.shape
    struct.pack_into("<i", header, 16, 3)
    dx, dy, dz = edges_um
    sizes = [round(n * um) for n, um in ((nx, dx), (ny, dy), (nz, dz))]
    struct.pack_into("<6i", header, 44, nx, ny, nz, *sizes)
    struct.pack_into("<i", header, 508, data_offset)
    body = scan.astype("<i2").tobytes()
    path.write_bytes(bytes(header) + body + b"\0" * (-len(body) % 512))


def write_slices(folder: Path, numbers: range | list[int], suffix: str = ".tif") -> None:
    folder.mkdir()
    for z, number in enumerate(numbers):
        if suffix == ".tif":
            tifffile.imwrite(folder / f"s_{number}.tif", SCAN[z % len(SCAN)])
        else:
            Image.fromarray(SCAN[z % len(SCAN)]).save(folder / f"s_{number}{suffix}")


def write_dicom(
    folder: Path,
    positions: list[float],
    turned: int | None = None,
    scan: NDArray[np.uint16] = SCAN,
    change: Callable[[Any, int], object] = lambda dataset, i: None,
) -> None:
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    folder.mkdir()
    series = generate_uid(entropy_srcs=["series"])
    for i, position in enumerate(positions):
        dataset = Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.file_meta.MediaStorageSOPClassUID = CTImageStorage
        dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[str(i)])
        dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, str(i)
        dataset.SeriesInstanceUID, dataset.InstanceNumber = series, i
        dataset.Rows, dataset.Columns = scan.shape[1:]
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.BitsAllocated = dataset.BitsStored = 16
        dataset.HighBit, dataset.PixelRepresentation = 15, 0
        dataset.PixelSpacing, dataset.ImagePositionPatient = [0.03, 0.03], [0, 0, position]
        axes = [1, 0, 0, 0, 0, 1] if i == turned else [1, 0, 0, 0, 1, 0]
        dataset.ImageOrientationPatient = axes
        dataset.PixelData = scan[i].tobytes()
        change(dataset, i)
        dataset.save_as(folder / f"IM{9 - i:04d}", enforce_file_format=True)


def write_zarr(path: Path) -> None:
    import zarr

    store = zarr.open(path, mode="w", shape=SCAN.shape, chunks=(1, 12, 9), dtype="u2")
    store[:] = SCAN


WRITERS: dict[str, Callable[[Path], object]] = {
    "stack.tif": lambda p: tifffile.imwrite(p, SCAN),
    "big.tif": lambda p: tifffile.imwrite(p, SCAN, bigtiff=True),
    "packed.tif": lambda p: tifffile.imwrite(p, SCAN, compression="zlib"),
    "big_endian.tif": lambda p: tifffile.imwrite(p, SCAN, byteorder=">"),
    "scan.npy": lambda p: np.save(p, SCAN),
    "scan.zarr": write_zarr,
    "tiff_slices": lambda p: write_slices(p, [8, 9, 10, 11, 12]),
    "png_slices": lambda p: write_slices(p, range(5), ".png"),
    "dicom": lambda p: write_dicom(p, [0.0, 0.06, 0.12, 0.18, 0.24]),
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_same_slices(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path / name)
    volume = open_volume(tmp_path / name)
    assert volume.shape == SCAN.shape
    assert volume.dtype == np.uint16
    for z in (4, 0, 2):
        np.testing.assert_array_equal(volume.read_slice(z), SCAN[z])
    assert volume.missing == ()
    with pytest.raises(PictureError, match="has 5 slices; slice 5"):
        volume.read_slice(5)


@pytest.mark.parametrize("offset", [0, 4])
def test_isq_known_answers(tmp_path: Path, offset: int) -> None:
    scan = np.random.default_rng(2).integers(-500, 9000, (4, 7, 6)).astype(np.int16)
    write_isq(tmp_path / "cell.ISQ", scan, offset)
    volume = open_volume(tmp_path / "cell.ISQ")
    assert volume.shape == (4, 7, 6)
    assert volume.dtype == np.int16
    assert (volume.voxel_size_um, volume.slice_spacing_um) == (20.0, 40.0)
    np.testing.assert_array_equal(volume.read_slice(3), scan[3])
    content = (tmp_path / "cell.ISQ").read_bytes()
    (tmp_path / "cut.ISQ").write_bytes(content[: 512 * (offset + 1) + 200])
    with pytest.raises(PictureError, match=r"ends in the middle.* 4 slices, 2 are complete") as e:
        open_volume(tmp_path / "cut.ISQ")
    assert e.value.reason == "truncated"
    (tmp_path / "head.ISQ").write_bytes(content[:100])
    with pytest.raises(PictureError, match="ends within its header"):
        open_volume(tmp_path / "head.ISQ")


@pytest.mark.real_data
def test_a_real_isq_file(shared_data: Path) -> None:
    volume = open_volume(shared_data / "isq" / "test_isq_native_only_binary_25.ISQ")
    assert volume.shape == (25, 25, 25)
    assert volume.voxel_size_um == 60.0
    values = [volume.read_slice(z) for z in range(25)]
    assert set(np.unique(values)) == {0, 1}


def test_voxel_size_where_the_file_says_it(tmp_path: Path) -> None:
    info = {"axes": "ZYX", "unit": "um", "spacing": 30.0}
    tifffile.imwrite(tmp_path / "a.tif", SCAN, imagej=True, resolution=(0.05, 0.05), metadata=info)
    volume = open_volume(tmp_path / "a.tif")
    assert volume.voxel_size_um == pytest.approx(20.0, rel=1e-3)
    assert volume.slice_spacing_um == pytest.approx(30.0)
    tifffile.imwrite(tmp_path / "b.tif", SCAN, resolution=(300, 300), resolutionunit=2)
    assert open_volume(tmp_path / "b.tif").voxel_size_um is None  # a printer's resolution
    write_dicom(tmp_path / "d", [0.0, 0.06, 0.12, 0.18, 0.24])
    dicom = open_volume(tmp_path / "d")
    assert dicom.voxel_size_um == pytest.approx(30.0)
    assert dicom.slice_spacing_um == pytest.approx(60.0)


def test_dicom_is_sorted_by_position_and_gaps_are_told(tmp_path: Path) -> None:
    write_dicom(tmp_path / "d", [0.3, 0.0, 0.1, 0.6, 0.2])
    volume = open_volume(tmp_path / "d")
    np.testing.assert_array_equal(volume.read_slice(0), SCAN[1])
    np.testing.assert_array_equal(volume.read_slice(4), SCAN[3])
    assert "about 2 slices are missing" in volume.missing[0]


def test_dicom_without_positions_is_sorted_by_number(tmp_path: Path) -> None:
    def number(dataset: Any, i: int) -> None:
        del dataset.ImagePositionPatient
        dataset.InstanceNumber = [7, 3, 4, 9, 2][i]

    write_dicom(tmp_path / "d", [0.0] * 5, change=number)
    volume = open_volume(tmp_path / "d")
    np.testing.assert_array_equal(volume.read_slice(0), SCAN[4])
    assert "between number 2 and number 9: 5 to 6, 8;" in volume.missing[0]


@pytest.mark.parametrize(
    ("slopes", "intercepts", "bits", "dtype"),
    [
        ([1] * 5, [-1024] * 5, 12, np.int16),  # Hounsfield units of most CT scanners
        ([2] * 5, [0, 0, 7, 0, 0], 12, np.uint16),
        ([1] * 5, [-1024] * 5, 16, np.float32),  # up to 64511: too large for int16
        ([0.5, 0.25, 1.5, 2.5, 3.5], [0.5] * 5, 12, np.float32),
        ([None] * 5, [None] * 5, 16, np.uint16),
    ],
)
def test_dicom_grey_levels_are_rescaled_slice_by_slice(
    tmp_path: Path, slopes: list[Any], intercepts: list[Any], bits: int, dtype: Any
) -> None:
    def rescale(dataset: Any, i: int) -> None:
        dataset.BitsStored, dataset.HighBit = bits, bits - 1
        if slopes[i] is not None:
            dataset.RescaleSlope, dataset.RescaleIntercept = slopes[i], intercepts[i]

    scan = (SCAN >> (16 - bits)).astype(np.uint16)
    write_dicom(tmp_path / "d", [0.0, 0.1, 0.2, 0.3, 0.4], scan=scan, change=rescale)
    volume = open_volume(tmp_path / "d")
    assert volume.dtype == dtype
    for z in range(5):
        expected = scan[z] * float(slopes[z] or 1) + float(intercepts[z] or 0)
        np.testing.assert_array_equal(volume.read_slice(z), expected.astype(dtype))


@pytest.mark.parametrize("shared", [True, False])
def test_dicom_frames_are_rescaled(tmp_path: Path, shared: bool) -> None:
    from pydicom.dataset import Dataset

    def group(slope: float) -> Any:
        step, frame = Dataset(), Dataset()
        step.RescaleSlope, step.RescaleIntercept = slope, -3
        frame.PixelValueTransformationSequence = [step]
        return frame

    def combine(dataset: Any, i: int) -> None:
        dataset.NumberOfFrames, dataset.PixelData = 5, SCAN.tobytes()
        slopes = [1.5] * 5 if shared else [0.5, 1.0, 1.5, 2.0, 2.5]
        dataset.SharedFunctionalGroupsSequence = [group(1.5) if shared else Dataset()]
        dataset.PerFrameFunctionalGroupsSequence = [
            Dataset() if shared else group(s) for s in slopes
        ]

    write_dicom(tmp_path / "d", [0.0], change=combine)
    volume = open_volume(next((tmp_path / "d").iterdir()))
    slope = 1.5 if shared else 2.0
    np.testing.assert_array_equal(volume.read_slice(3), (SCAN[3] * slope - 3).astype(np.float32))


def test_dicom_that_cannot_be_rescaled_is_refused(tmp_path: Path) -> None:
    def spoil(dataset: Any, i: int) -> None:
        dataset.RescaleSlope, dataset.RescaleIntercept = int(i != 1), 0

    write_dicom(tmp_path / "d", [0.0, 0.1], change=spoil)
    with pytest.raises(PictureError, match=r"states a rescale slope of 0.* correct its header"):
        open_volume(tmp_path / "d")


def test_bad_scans_are_told_in_one_sentence(tmp_path: Path) -> None:
    def refuse(name: str, words: str, z: int = 0) -> None:
        with pytest.raises(PictureError, match=words) as error:
            open_volume(tmp_path / name).read_slice(z)
        assert "\n" not in str(error.value)
        assert str(error.value).startswith(str(tmp_path))

    write_dicom(tmp_path / "mixed", [0.0, 0.1, 0.2], turned=2)
    refuse("mixed", "mixed orientations")
    write_slices(tmp_path / "sizes", range(3))
    tifffile.imwrite(tmp_path / "sizes" / "s_3.tif", SCAN[0][:, :5])
    refuse("sizes", "s_3.tif has 5 × 12 pixels, s_0.tif has 9 × 12")
    write_slices(tmp_path / "masks", range(3))
    tifffile.imwrite(tmp_path / "masks" / "mask_1.tif", SCAN[0])
    refuse("masks", "several series")
    broken = SCAN.astype(np.float32)
    broken[2, 3, 4] = np.nan
    tifffile.imwrite(tmp_path / "nan.tif", broken)
    refuse("nan.tif", "slice 2 holds 1 value that is no number", 2)
    assert open_volume(tmp_path / "nan.tif").read_slice(1).dtype == np.float32
    np.save(tmp_path / "flat.npy", SCAN[0])
    refuse("flat.npy", "expected three axes")
    np.save(tmp_path / "long.npy", SCAN.astype(np.int64))
    refuse("long.npy", "numbers of type int64")
    content = tmp_path / "cut.npy"
    np.save(content, SCAN)
    content.write_bytes(content.read_bytes()[:-300])
    refuse("cut.npy", "ends in the middle")
    tifffile.imwrite(tmp_path / "cut.tif", SCAN)
    (tmp_path / "cut.tif").write_bytes((tmp_path / "cut.tif").read_bytes()[:700])
    refuse("cut.tif", "ends in the middle|ends too early")


@pytest.mark.parametrize("n", [3, 4])
def test_slices_that_were_written_as_colours_are_refused_with_a_hint(
    tmp_path: Path, n: int
) -> None:
    few = SCAN[:n].astype(np.float32)
    tifffile.imwrite(tmp_path / "few.tif", few, photometric="rgb", planarconfig="separate")
    assert find_volumes(tmp_path).images == ("few.tif",)
    words = f"holds {n} colour planes of 9 × 12 pixels in one page; .* photometric='minisblack'"
    with pytest.raises(PictureError, match=words):
        open_volume(tmp_path / "few.tif")
    tifffile.imwrite(tmp_path / "few.tif", SCAN[:n], photometric="minisblack")
    assert open_volume(tmp_path / "few.tif").shape == (n, 12, 9)


def test_scans_side_by_side_are_a_cell_each(tmp_path: Path) -> None:
    def combine(dataset: Any, i: int) -> None:
        dataset.NumberOfFrames, dataset.PixelData = 5, SCAN.tobytes()

    write_dicom(tmp_path / "scans", [0.0], change=combine)
    framed = next((tmp_path / "scans").iterdir())
    (tmp_path / "scans" / "framed_2").write_bytes(framed.read_bytes())
    np.save(tmp_path / "scans" / "a.npy", SCAN)
    for name in ("b_1.tif", "b_2.tif"):
        tifffile.imwrite(tmp_path / "scans" / name, SCAN)
    write_isq(tmp_path / "scans" / "c.ISQ", SCAN.astype(np.int16))
    found = find_volumes(tmp_path / "scans")
    assert set(found.images) == {"a.npy", "b_1.tif", "b_2.tif", "c.ISQ", framed.name, "framed_2"}
    for name in found.images:
        assert open_volume(tmp_path / "scans" / name).shape == SCAN.shape


def test_loose_slices_of_several_cells_are_refused(tmp_path: Path) -> None:
    for cell in ("cell_a", "cell_b"):
        for z in range(3):
            tifffile.imwrite(tmp_path / f"{cell}_{z:03d}.tif", SCAN[z])
    assert find_volumes(tmp_path).images == (".",)
    with pytest.raises(PictureError, match=r"several series, such as cell_a_000.* folder of their"):
        open_volume(tmp_path)


def test_missing_slice_numbers_are_told(tmp_path: Path) -> None:
    write_slices(tmp_path / "gap", [10, 11, 12, 15, 16])
    volume = open_volume(tmp_path / "gap")
    assert volume.shape[0] == 5
    assert "between s_10.tif and s_16.tif: 13 to 14;" in volume.missing[0]
    write_slices(tmp_path / "every_second", [10, 12, 14, 16])
    assert open_volume(tmp_path / "every_second").missing == ()
    assert "001.tif and s_005.tif: 3 to 4;" in find_gaps(["s_001.tif", "s_002.tif", "s_005.tif"])[0]


def test_scans_below_a_folder(tmp_path: Path) -> None:
    for state in ("old", "new"):
        (tmp_path / state).mkdir()
        tifffile.imwrite(tmp_path / state / f"{state}_2.tif", SCAN)
        write_slices(tmp_path / state / f"{state}_10", range(3))
    write_zarr(tmp_path / "z.zarr")
    (tmp_path / "README.txt").write_text("notes")
    (tmp_path / "odd.xyz").write_text("what is this")
    found = find_volumes(tmp_path)
    expected = ("new/new_2.tif", "new/new_10", "old/old_2.tif", "old/old_10", "z.zarr")
    assert found.images == expected
    assert found.unsupported == ("odd.xyz",)
    assert find_volumes(tmp_path / "old" / "old_10").images == (".",)
    assert find_volumes(tmp_path / "old" / "old_2.tif").images == ("old_2.tif",)


def test_eight_bits_for_showing(tmp_path: Path) -> None:
    def wrap(values: NDArray[np.generic]) -> Volume:
        return Volume(tmp_path, values.shape, values.dtype, lambda z: values[z])  # type: ignore[arg-type]

    twelve = np.array([[[0, 4095]]], np.uint16)
    assert find_grey_range(wrap(twelve)) == (0.0, 4095.0)
    signed = np.array([[[-100, 300]]], np.int16)
    grey_range = find_grey_range(wrap(signed))
    assert show_with_8_bits(signed[0], grey_range).tolist() == [[0, 255]]
