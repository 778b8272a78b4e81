"""Every format by every property: our reader, the known answer, and readers that are not ours."""

from pathlib import Path

import numpy as np
import pytest
import tifffile

from batteryscope.errors import InputError
from batteryscope.readers.picture import PictureError
from batteryscope.readers.registry import read_picture, read_size
from batteryscope.readers.volumes import find_volumes, open_volume
from tests.picture_corpus import CASES
from tests.picture_writers import READERS, Case

READ = {name: case for name, case in CASES.items() if not case.refused}
REFUSED = {name: case for name, case in CASES.items() if case.refused}
# What scans read although pictures do not: their grey levels may be signed or floats.
OF_SCANS_ONLY = ("float.tif", "signed.tif")
# What could be several slices is no slice: open_volume says so.
OF_PICTURES_ONLY = ("rgb_planes.tif", "planes_in_strips.tif", "first_page_is_thumbnail.tif")


def same(found: np.ndarray, case: Case) -> None:
    assert found.shape == case.expected.shape
    difference = np.abs(found.astype(int) - case.expected)
    assert difference.max() <= case.tolerance


@pytest.mark.parametrize("name", READ)
def test_what_a_viewer_shows_is_read(tmp_path: Path, name: str) -> None:
    case = READ[name]
    path = tmp_path / name
    case.write(path)
    picture = read_picture(path, max_pixels=10_000)
    same(picture.pixels_8bit, case)
    assert read_size(path) == picture.pixels.shape[::-1]
    for reader in case.others:
        shown = READERS[reader](path)
        assert shown.shape == case.expected.shape, reader
        near = np.abs(shown.astype(int) - picture.pixels_8bit).max()
        assert near <= max(case.tolerance, 1 if reader == "libtiff" else 0), reader


@pytest.mark.parametrize(
    "name", [name for name in READ if name.endswith(".tif") and name not in OF_PICTURES_ONLY]
)
def test_a_slice_of_a_scan_shows_the_same(tmp_path: Path, name: str) -> None:
    case = READ[name]
    for z in range(2):
        case.write(tmp_path / f"slice_{z}.tif")
    volume = open_volume(tmp_path)
    assert volume.shape == (2, *case.expected.shape)
    shown = read_picture(tmp_path / "slice_0.tif", max_pixels=10_000)
    np.testing.assert_array_equal(volume.read_slice(1), shown.pixels)


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_shown_is_refused_in_a_sentence(tmp_path: Path, name: str) -> None:
    case = REFUSED[name]
    path = tmp_path / name
    case.write(path)
    with pytest.raises(PictureError, match=case.refused) as caught:
        read_picture(path, max_pixels=10_000)
    assert "\n" not in str(caught.value)
    if name not in OF_SCANS_ONLY:
        with pytest.raises(PictureError, match=case.refused):
            open_volume(path).read_slice(0)


@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite", "palette"])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_stacks_show_the_same_as_pictures(
    tmp_path: Path, photometric: str, compression: str | None, orientation: int
) -> None:
    scan = np.random.default_rng(2).integers(0, 255, (3, 12, 20), dtype=np.uint8)
    stored = scan if photometric == "minisblack" else 255 - scan
    ramp = np.stack([np.arange(255, -1, -1, dtype=np.uint16) * 257] * 3)
    more = {"colormap": ramp} if photometric == "palette" else {}
    tag = (274, "H", 1, orientation, False)
    path = tmp_path / "scan.tif"
    tifffile.imwrite(
        path, stored, photometric=photometric, compression=compression, extratags=[tag], **more
    )
    turned = {1: scan, 3: scan[:, ::-1, ::-1], 6: np.rot90(scan, -1, axes=(1, 2))}[orientation]
    volume = open_volume(path)
    assert volume.shape == turned.shape
    for z in range(3):
        np.testing.assert_array_equal(volume.read_slice(z), turned[z])
    second = read_picture(path, max_pixels=1000, page=1)
    np.testing.assert_array_equal(second.pixels, turned[1])


def test_thumbnails_behind_a_picture_make_no_stack(tmp_path: Path) -> None:
    CASES["second_page_is_reduced.tif"].write(tmp_path / "s_1.tif")
    CASES["second_page_is_reduced.tif"].write(tmp_path / "s_2.tif")
    assert open_volume(tmp_path).shape[0] == 2
    assert read_picture(tmp_path / "s_1.tif", max_pixels=10_000).n_pages == 1


def test_pyramids_of_stacks_are_read_at_full_size(tmp_path: Path) -> None:
    scan = np.random.default_rng(2).integers(0, 255, (3, 16, 20), dtype=np.uint8)
    with tifffile.TiffWriter(tmp_path / "scan.tif") as file:
        for plane in scan:
            file.write(plane, photometric="minisblack", metadata=None)
            file.write(plane[::2, ::2], photometric="minisblack", subfiletype=1, metadata=None)
    volume = open_volume(tmp_path / "scan.tif")
    assert volume.shape == scan.shape
    np.testing.assert_array_equal(volume.read_slice(2), scan[2])


def test_stacks_of_colours_and_of_few_bits_become_grey(tmp_path: Path) -> None:
    scan = np.random.default_rng(2).integers(0, 255, (3, 12, 20), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "rgb.tif", np.stack([scan] * 3, axis=-1), photometric="rgb")
    np.testing.assert_array_equal(open_volume(tmp_path / "rgb.tif").read_slice(2), scan[2])
    tifffile.imwrite(tmp_path / "bits.tif", scan > 100, photometric="miniswhite")
    expected = np.where(scan > 100, 0, 255)
    np.testing.assert_array_equal(open_volume(tmp_path / "bits.tif").read_slice(1), expected[1])


def test_no_axis_is_dropped(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "q.tif", np.zeros((2, 5, 12, 20), np.uint8))
    with pytest.raises(PictureError, match="has 2 along axis Q, 5 along axis Q"):
        open_volume(tmp_path / "q.tif")


@pytest.mark.parametrize("how", [{"tile": (16, 32)}, {"byteorder": ">"}])
def test_floats_are_read_with_their_predictor(tmp_path: Path, how: dict) -> None:
    scan = np.random.default_rng(4).normal(size=(2, 40, 56)).astype(np.float32)
    for z, levels in enumerate(scan):
        path = tmp_path / f"s_{z}.tif"
        tifffile.imwrite(path, levels, compression="zlib", predictor=3, metadata=None, **how)
    np.testing.assert_array_equal(open_volume(tmp_path).read_slice(1), scan[1])


def test_two_scans_in_one_file_are_refused(tmp_path: Path) -> None:
    scan = np.random.default_rng(2).integers(0, 255, (3, 12, 20), dtype=np.uint8)
    with tifffile.TiffWriter(tmp_path / "two.ome.tif", ome=True) as file:
        for part in (scan, scan[:2]):
            file.write(part, metadata={"axes": "ZYX"}, photometric="minisblack")
    with pytest.raises(PictureError, match="holds 2 series of pages; export each into a file"):
        open_volume(tmp_path / "two.ome.tif")


def test_a_folder_of_other_scans_says_what_lies_there(tmp_path: Path) -> None:
    (tmp_path / "cell.nrrd").write_bytes(b"NRRD0004\ntype: uint16\n")
    (tmp_path / "cell.raw").write_bytes(bytes(100))
    with pytest.raises(InputError, match=r"holds no scan \(2 other files, such as cell\.nrrd\); "):
        find_volumes(tmp_path)


def test_channels_are_no_slices(tmp_path: Path) -> None:
    scan = np.zeros((4, 16, 20), np.uint8)
    tifffile.imwrite(tmp_path / "c.tif", scan, imagej=True, metadata={"axes": "CYX"})
    with pytest.raises(PictureError, match="has 4 channels; expected grey slices"):
        open_volume(tmp_path / "c.tif")
    five = np.random.default_rng(1).integers(0, 255, (1, 3, 1, 16, 20), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "z.tif", five, imagej=True, metadata={"axes": "TZCYX"})
    np.testing.assert_array_equal(open_volume(tmp_path / "z.tif").read_slice(1), five[0, 1, 0])


@pytest.mark.parametrize("name", ["gamma.png", "transfer_function.tif"])
def test_scans_say_what_screens_should_do(tmp_path: Path, name: str) -> None:
    for z in range(2):
        CASES[name].write(tmp_path / f"s_{z}{Path(name).suffix}")
    (words,) = open_volume(tmp_path).left_out
    assert words.endswith("which its slices state, is left out: levels count as stored.")


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_numbers_with_a_sign_from_imagej_are_those_that_it_shows(
    tmp_path: Path, compression: str | None
) -> None:
    # It adds 32768 and says so in its calibration: Fiji shows what the scanner measured.
    scan = np.random.default_rng(3).integers(-3000, 9000, (3, 12, 20)).astype(np.int16)
    lifted = (scan.astype(np.int32) + 32_768).astype(np.uint16)
    (tmp_path / "slices").mkdir()

    def write(path: Path, values: np.ndarray, intercept: float, slope: float = 1.0) -> None:
        n = 1 if values.ndim == 2 else len(values)
        words = f"ImageJ=1.54f\nimages={n}\nslices={n}\ncf=0\nc0={intercept}\nc1={slope}\n"
        how = {"photometric": "minisblack", "metadata": None, "compression": compression}
        tifffile.imwrite(path, values, description=words, **how)

    write(tmp_path / "scan.tif", lifted, -32_768)
    for z in range(3):
        write(tmp_path / "slices" / f"s_{z}.tif", lifted[z], -32_768)
    for name in ("scan.tif", "slices"):
        volume = open_volume(tmp_path / name)
        assert volume.dtype == np.int16
        for z in range(3):
            np.testing.assert_array_equal(volume.read_slice(z), scan[z])
    # Hounsfield units after a DICOM series, and any other line that rises.
    for intercept, slope in ((-33_792, 1.0), (0.5, 0.25)):
        write(tmp_path / "scan.tif", lifted, intercept, slope)
        expected = (lifted[1] * slope + intercept).astype(np.float32)
        np.testing.assert_array_equal(open_volume(tmp_path / "scan.tif").read_slice(1), expected)
    with pytest.raises(PictureError, match="numbers with a sign, as ImageJ stores them"):
        read_picture(tmp_path / "slices" / "s_0.tif", max_pixels=1000)


@pytest.mark.parametrize("suffix", [".tif", ".png"])
def test_a_damaged_width_asks_for_no_gigabytes(tmp_path: Path, suffix: str) -> None:
    import struct
    import zlib

    path = tmp_path / f"wide{suffix}"
    if suffix == ".tif":
        data = zlib.compress(bytes(100))
        tifffile.imwrite(path, np.zeros((8, 8), np.uint8), compression="zlib", metadata=None)
        content = bytearray(path.read_bytes())
        with tifffile.TiffFile(path) as file:
            tags = file.pages.first.tags
            places = [tags[tag].valueoffset for tag in (256, 257, 278)]
        for place in places:
            content[place : place + 2] = struct.pack("<H", 12_000)
        path.write_bytes(content)
    else:
        head = struct.pack(">IIBBBBB", 12_000, 12_000, 8, 0, 0, 0, 0)
        chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(bytes(500))), (b"IEND", b"")]
        data = b"".join(
            struct.pack(">I", len(b)) + k + b + struct.pack(">I", zlib.crc32(k + b))
            for k, b in chunks
        )
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + data)
    with pytest.raises(PictureError) as caught:
        read_picture(path, max_pixels=200_000_000)
    assert caught.value.reason == "truncated"
