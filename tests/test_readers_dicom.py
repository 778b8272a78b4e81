"""DICOM scans: what the pixels mean, in which order slices lie, and what lies among them."""

from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pydicom
import pytest
from pydicom import uid
from pydicom.encaps import encapsulate
from pydicom.pixels import apply_modality_lut, apply_presentation_lut, pixel_array

from batteryscope.readers.picture import PictureError
from batteryscope.readers.pixels import to_luminance
from batteryscope.readers.volume import find_grey_range
from batteryscope.readers.volumes import find_volumes, open_volume
from tests.dicom_scans import SCAN, make_slice, write_enhanced, write_series


@pytest.mark.parametrize("bits", [6, 8, 10, 12, 16])
@pytest.mark.parametrize("slope", [None, 2])
def test_monochrome1_is_inverted_within_the_bits_stored(
    tmp_path: Path, bits: int, slope: int | None
) -> None:
    scan = (SCAN >> max(12 - bits, 0)).astype(np.uint8 if bits <= 8 else np.uint16)

    def mark(dataset: Any, i: int) -> None:
        dataset.PhotometricInterpretation = "MONOCHROME1"
        dataset.BitsStored, dataset.HighBit = bits, bits - 1
        if slope is not None:
            dataset.RescaleSlope, dataset.RescaleIntercept = slope, -100

    write_series(tmp_path / "d", scan, change=mark)
    volume = open_volume(tmp_path / "d")
    inverted = 2**bits - 1 - scan[3].astype(int)
    expected = inverted if slope is None else slope * inverted - 100
    np.testing.assert_array_equal(volume.read_slice(3), expected)
    # pydicom's own steps: rescale, then invert as a screen does, between its darkest and brightest.
    dataset = pydicom.dcmread(tmp_path / "d" / "IM4.dcm")
    dataset.PresentationLUTShape = "INVERSE"
    shown = apply_presentation_lut(apply_modality_lut(pixel_array(dataset), dataset), dataset)
    assert np.ptp(volume.read_slice(3) - shown.astype(float)) == 0


def test_signed_monochrome1(tmp_path: Path) -> None:
    scan = SCAN.astype(np.int16) - 2000

    def mark(dataset: Any, i: int) -> None:
        dataset.PhotometricInterpretation = "MONOCHROME1"

    write_series(tmp_path / "d", scan, change=mark)
    np.testing.assert_array_equal(open_volume(tmp_path / "d").read_slice(2), -1 - scan[2])


@pytest.mark.parametrize("planar", [0, 1])
@pytest.mark.parametrize("model", ["RGB", "YBR_FULL"])
def test_colours_are_read_in_grey(tmp_path: Path, planar: int, model: str) -> None:
    from pydicom.pixels import convert_color_space

    colours = np.random.default_rng(1).integers(0, 255, (3, 12, 9, 3), dtype=np.uint8)
    stored = colours if model == "RGB" else convert_color_space(colours, "RGB", model)

    def mark(dataset: Any, i: int) -> None:
        dataset.PhotometricInterpretation, dataset.PlanarConfiguration = model, planar
        pixels = np.moveaxis(stored[i], -1, 0) if planar else stored[i]
        content = np.ascontiguousarray(pixels).tobytes()
        dataset.PixelData = content + b"\0" * (len(content) % 2)

    write_series(tmp_path / "d", colours, change=mark)
    volume = open_volume(tmp_path / "d")
    assert volume.shape == (3, 12, 9)
    near = np.abs(volume.read_slice(1).astype(int) - to_luminance(colours[1]))
    assert near.max() <= (0 if model == "RGB" else 2)


@pytest.mark.parametrize(("bits", "step"), [(8, 1), (16, 257), (16, 1)])
def test_palettes_are_looked_up(tmp_path: Path, bits: int, step: int) -> None:
    scan = (SCAN >> 4).astype(np.uint8)
    greys = np.random.default_rng(2).permutation(256).astype(np.uint16)
    entries = greys.astype(np.uint8) if bits == 8 else greys * np.uint16(step)

    def mark(dataset: Any, i: int) -> None:
        dataset.PhotometricInterpretation = "PALETTE COLOR"
        for colour in ("Red", "Green", "Blue"):
            setattr(dataset, f"{colour}PaletteColorLookupTableDescriptor", [256, 0, bits])
            setattr(dataset, f"{colour}PaletteColorLookupTableData", entries.tobytes())

    write_series(tmp_path / "d", scan, change=mark)
    np.testing.assert_array_equal(open_volume(tmp_path / "d").read_slice(5), greys[scan[5]])


def pack_jpeg(pixels: np.ndarray, bits: int, **how: Any) -> bytes:
    """JPEG whose components stay as they are."""
    models = {"colorspace": "RGB", "outcolorspace": "RGB"} if pixels.ndim == 3 else {}
    return imagecodecs.jpeg8_encode(pixels, bitspersample=bits, **models, **how)


def pack_lossless(pixels: np.ndarray, bits: int) -> bytes:
    return pack_jpeg(pixels, bits, lossless=True, predictor=1)


PACKED = {  # how a frame is packed, and by how much it may differ then
    "JPEGLSLossless": (lambda p, _: imagecodecs.jpegls_encode(p), 0),
    "JPEGLSNearLossless": (lambda p, _: imagecodecs.jpegls_encode(p, 2), 2),
    "JPEGLossless": (pack_lossless, 0),
    "JPEGLosslessSV1": (pack_lossless, 0),
    "JPEGExtended12Bit": (lambda p, bits: pack_jpeg(p, bits, level=100), 2),
    "HTJ2KLossless": (lambda p, _: imagecodecs.htj2k_encode(p, reversible=True), 0),
    "HTJ2KLosslessRPCL": (lambda p, _: imagecodecs.htj2k_encode(p, reversible=True), 0),
    "HTJ2K": (lambda p, _: imagecodecs.htj2k_encode(p, reversible=True), 0),
    "JPEG2000Lossless": (
        lambda p, _: imagecodecs.jpeg2k_encode(p, reversible=True, codecformat="J2K"),
        0,
    ),
}


@pytest.mark.parametrize("kind", ["8", "12", "16", "16 signed", "13 signed", "8 colours"])
@pytest.mark.parametrize("syntax", PACKED)
def test_compressions_agree(tmp_path: Path, syntax: str, kind: str) -> None:
    bits, (pack, tolerance) = int(kind.split()[0]), PACKED[syntax]
    if syntax == "JPEGExtended12Bit" and kind not in ("8", "12"):
        pytest.skip("this compression has at most 12 bits and no sign")
    scan: np.ndarray = SCAN[:2] if bits > 8 else (SCAN[:2] >> 4).astype(np.uint8)
    if "signed" in kind:
        scan = scan.astype(np.int16) - 2000
    if "colours" in kind:
        scan = np.random.default_rng(1).integers(0, 255, (2, 12, 9, 3), dtype=np.uint8)
    if kind == "8 colours" and "J2K" in syntax:
        tolerance = 1  # its own colours are those of the screen, give or take

    def mark(dataset: Any, i: int) -> None:
        stored = scan[i]
        if "signed" in kind:
            stored = stored.view(np.uint16)
        if bits == 13 and pack is pack_lossless:  # which does not store what lies above the sign
            stored = stored & np.uint16(2**13 - 1)
        dataset.BitsStored, dataset.HighBit = bits, bits - 1
        dataset.file_meta.TransferSyntaxUID = getattr(uid, syntax)
        dataset.PixelData = encapsulate([pack(stored, bits)])

    write_series(tmp_path / "d", scan, change=mark)
    volume = open_volume(tmp_path / "d")
    expected = scan[1] if scan.ndim == 3 else to_luminance(scan[1])
    assert volume.dtype == expected.dtype
    assert np.abs(volume.read_slice(1).astype(int) - expected).max() <= tolerance


@pytest.mark.parametrize("syntax", ["JPEGLSLossless", "JPEGLossless", "HTJ2KLossless"])
def test_a_compressed_frame_of_another_size_is_a_sentence(tmp_path: Path, syntax: str) -> None:
    pack, _ = PACKED[syntax]

    def mark(dataset: Any, i: int) -> None:
        dataset.file_meta.TransferSyntaxUID = getattr(uid, syntax)
        dataset.PixelData = encapsulate([pack(np.pad(SCAN[i], 2), 16)])

    write_series(tmp_path / "d", SCAN[:2], change=mark)
    with pytest.raises(PictureError, match=r"cannot be decoded .*shape=\(16, 13\).* export it"):
        open_volume(tmp_path / "d")


def test_films_are_refused_in_a_sentence(tmp_path: Path) -> None:
    def mark(dataset: Any, i: int) -> None:
        dataset.file_meta.TransferSyntaxUID = uid.MPEG4HP41
        dataset.PixelData = encapsulate([bytes(64)])

    write_series(tmp_path / "d", SCAN[:2], change=mark)
    with pytest.raises(PictureError, match=r"MPEG-4 .* is not supported\); export it again"):
        open_volume(tmp_path / "d")


@pytest.mark.parametrize(
    "syntax", ["ExplicitVRBigEndian", "RLELossless", "DeflatedExplicitVRLittleEndian"]
)
def test_transfer_syntaxes_agree(tmp_path: Path, syntax: str) -> None:
    folder = tmp_path / "d"
    folder.mkdir()
    for i, pixels in enumerate(SCAN):
        dataset = make_slice(pixels, i + 1, 0.1 * i)
        if syntax == "RLELossless":
            dataset.compress(uid.RLELossless)
        elif syntax == "ExplicitVRBigEndian":
            dataset = make_slice(pixels, i + 1, 0.1 * i, uid.ExplicitVRBigEndian)
            dataset.PixelData = pixels.astype(">u2").tobytes()
            dataset["PixelData"].VR = "OW"
        else:
            dataset.file_meta.TransferSyntaxUID = uid.DeflatedExplicitVRLittleEndian
        dataset.save_as(folder / f"{i}.dcm", enforce_file_format=True)
    volume = open_volume(folder)
    for z in (0, 5):
        np.testing.assert_array_equal(volume.read_slice(z), SCAN[z])


def test_bits_above_those_stored_are_not_part_of_the_picture(tmp_path: Path) -> None:
    def overlay(dataset: Any, i: int) -> None:
        dataset.BitsStored, dataset.HighBit = 12, 11
        dataset.PixelData = (SCAN[i] | np.uint16(0x8000)).tobytes()

    write_series(tmp_path / "d", change=overlay)
    volume = open_volume(tmp_path / "d")
    np.testing.assert_array_equal(volume.read_slice(1), SCAN[1])
    assert volume.stated_bits == 12


@pytest.mark.parametrize("copies", [(2,), (0, 1, 2, 3, 4, 5)])
def test_copies_of_slices_are_left_out(tmp_path: Path, copies: tuple[int, ...]) -> None:
    write_series(tmp_path / "d")
    for i in copies:
        content = (tmp_path / "d" / f"IM{i + 1}.dcm").read_bytes()
        (tmp_path / "d" / f"IM{i + 1}(1).dcm").write_bytes(content)
    volume = open_volume(tmp_path / "d")
    assert volume.shape[0] == 6
    assert (volume.order, volume.missing) == ("position", ())
    words = (
        "1 file of slices that are there already is" if len(copies) == 1 else "6 files of slices"
    )
    assert volume.left_out[0].startswith(words)
    assert f"IM{copies[0] + 1}(1).dcm" in volume.left_out[0]
    for z in range(6):
        np.testing.assert_array_equal(volume.read_slice(z), SCAN[z])


@pytest.mark.parametrize("by", ["position", "number"])
def test_two_pictures_of_one_place_are_refused(tmp_path: Path, by: str) -> None:
    def place(dataset: Any, i: int) -> None:
        if by == "number":
            del dataset.ImagePositionPatient
            dataset.InstanceNumber = [1, 2, 2, 3, 4, 5][i]

    places = [0.0, 0.1, 0.1, 0.2, 0.3, 0.4]
    write_series(tmp_path / "d", positions=places, change=place)
    with pytest.raises(PictureError, match=r"IM2.dcm and IM3.dcm both have .* keep one series"):
        open_volume(tmp_path / "d")


def test_order_by_position_number_and_name(tmp_path: Path) -> None:
    turned = [5, 3, 1, 0, 2, 4]
    write_series(tmp_path / "position", positions=[0.1 * t for t in turned])
    volume = open_volume(tmp_path / "position")
    assert volume.order == "position"
    assert volume.slice_spacing_um == pytest.approx(100)
    np.testing.assert_array_equal(volume.read_slice(0), SCAN[3])

    def number(dataset: Any, i: int) -> None:
        dataset.InstanceNumber = turned[i]

    for name, place in (("number", None), ("all_at_one_place", 7.0)):
        write_series(tmp_path / name, positions=[place] * 6, change=number)
        volume = open_volume(tmp_path / name)
        assert volume.order == "instance number"
        np.testing.assert_array_equal(volume.read_slice(0), SCAN[3])

    def forget(dataset: Any, i: int) -> None:
        del dataset.InstanceNumber

    names = ["s10.dcm", "s9.dcm", "s8.dcm", "s7.dcm", "s11.dcm", "s12.dcm"]
    write_series(tmp_path / "names", positions=[None] * 6, change=forget, names=names)
    volume = open_volume(tmp_path / "names")
    assert volume.order == "file name"
    np.testing.assert_array_equal(volume.read_slice(0), SCAN[3])
    np.testing.assert_array_equal(volume.read_slice(3), SCAN[0])


def test_enhanced_frames_lie_where_their_groups_say(tmp_path: Path) -> None:
    write_enhanced(tmp_path / "e.dcm", [0.3, 0.0, 0.2, 0.1])
    volume = open_volume(tmp_path / "e.dcm")
    assert (volume.order, volume.shape[0]) == ("position", 4)
    assert volume.voxel_size_um == pytest.approx(20)
    assert volume.slice_spacing_um == pytest.approx(100)
    np.testing.assert_array_equal(volume.read_slice(0), SCAN[1])
    np.testing.assert_array_equal(volume.read_slice(3), SCAN[0])
    write_enhanced(tmp_path / "s.dcm", [None] * 4, stack=[3, 1, 4, 2])
    volume = open_volume(tmp_path / "s.dcm")
    assert volume.order == "instance number"
    np.testing.assert_array_equal(volume.read_slice(0), SCAN[1])
    write_enhanced(tmp_path / "plain.dcm", [None] * 4)
    volume = open_volume(tmp_path / "plain.dcm")
    assert volume.order == "frame number"
    np.testing.assert_array_equal(volume.read_slice(2), SCAN[2])
    write_enhanced(tmp_path / "twice.dcm", [0.0, 0.1, 0.0, 0.1])
    with pytest.raises(PictureError, match=r"twice.dcm frame 1 and twice.dcm frame 3 both have"):
        open_volume(tmp_path / "twice.dcm")


def test_one_identity_in_all_files_does_no_harm(tmp_path: Path) -> None:
    def same(dataset: Any, i: int) -> None:
        dataset.SOPInstanceUID = "1.2.3"

    write_series(tmp_path / "d", change=same)
    assert open_volume(tmp_path / "d").shape[0] == 6


def test_directories_and_reports_are_no_slices(tmp_path: Path) -> None:
    write_series(tmp_path / "d")
    report = make_slice(SCAN[0], 9, None)
    for tag in ("Rows", "Columns", "PixelData"):
        delattr(report, tag)
    report.save_as(tmp_path / "d" / "report.dcm", enforce_file_format=True)
    (tmp_path / "DICOMDIR").write_bytes(bytes(128) + b"DICM" + bytes(50))
    found = find_volumes(tmp_path)
    assert found.images == ("d",)
    assert found.foreign == (
        ("DICOMDIR", "holds a list of DICOM files, no slice; it is left out."),
    )
    volume = open_volume(tmp_path / "d")
    assert volume.shape[0] == 6
    assert volume.left_out[0].endswith("are left out, such as report.dcm.")


def test_grey_levels_by_a_table_are_refused(tmp_path: Path) -> None:
    def table(dataset: Any, i: int) -> None:
        lut = pydicom.Dataset()
        lut.LUTDescriptor, lut.ModalityLUTType = [2, 0, 16], "US"
        lut.LUTData = np.array([0, 1], np.uint16).tobytes()
        dataset.ModalityLUTSequence = [lut]

    write_series(tmp_path / "d", change=table)
    with pytest.raises(PictureError, match="by a table"):
        open_volume(tmp_path / "d")


@pytest.mark.parametrize("kind", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("signed", [True, False])
def test_what_lies_outside_of_the_picture_is_dark(tmp_path: Path, kind: str, signed: bool) -> None:
    scan = SCAN.astype(np.int16) - 2000 if signed else SCAN + np.uint16(100)
    scan[:, :3] = -32768 if signed else 0
    scan[:, 3] = -32000 if signed else 7

    def mark(dataset: Any, i: int) -> None:
        dataset.PhotometricInterpretation = kind
        dataset.PixelPaddingValue = int(scan.min())
        dataset.PixelPaddingRangeLimit = int(scan[0, 3, 0])

    write_series(tmp_path / "d", scan, change=mark)
    volume = open_volume(tmp_path / "d")
    found = volume.read_slice(2)
    seen = scan[2, 4:] if kind == "MONOCHROME2" else np.invert(scan[2, 4:])
    np.testing.assert_array_equal(found[4:], seen)
    assert set(found[:4].ravel()) == {seen.min()}
    if signed:  # so the range of grey levels is that of the picture
        shown = scan[:, 4:] if kind == "MONOCHROME2" else np.invert(scan[:, 4:])
        low, high = find_grey_range(volume)
        assert shown.min() <= low
        assert high - low <= 4000


def test_bits_at_another_place_are_refused(tmp_path: Path) -> None:
    def lift(dataset: Any, i: int) -> None:
        dataset.BitsStored, dataset.HighBit = 12, 15
        dataset.PixelData = (SCAN[i] << 4).astype(np.uint16).tobytes()

    write_series(tmp_path / "d", change=lift)
    with pytest.raises(PictureError, match=r"12 bits end at bit 15 \(HighBit\)"):
        open_volume(tmp_path / "d")


def test_a_damaged_tag_of_a_later_slice_is_a_sentence(tmp_path: Path) -> None:
    write_series(tmp_path / "d")
    file = tmp_path / "d" / "IM2.dcm"
    high_bit = b"\x28\0\x02\x01US"
    content = file.read_bytes()
    assert content.count(high_bit) == 1
    file.write_bytes(content.replace(high_bit, high_bit[:-1] + b"\x14"))
    with pytest.raises(PictureError, match=r"its DICOM header is damaged .* copy it again"):
        open_volume(tmp_path / "d").read_slice(1)
