"""Acquisition metadata: text sidecars, vendor tags, numbers and dates."""

import os
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from batteryscope.readers.metadata_values import ValueReader
from batteryscope.readers.picture import AcquisitionMetadata, WritingStyle
from batteryscope.readers.registry import read_metadata, read_picture
from batteryscope.readers.text_sidecar import decode_text, parse_entries
from batteryscope.readers.tiff import read_fei_tags, read_zeiss_tags, split_zeiss_text
from batteryscope.readers.written_values import parse_date_time

SHARED = Path(os.environ.get("BATTERYSCOPE_SHARED_DATA", "no such folder"))
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the real data sets are not here")

SIDECAR = """[Image Info]
Model : SNE-4500M Plus
Date : 2019-12-03 오후 8:14:33
Time : 20:14:33.9543063
Acceleated Voltage :  20 kV
Magnification : x500
Detector Mode : SED
[Running Info]
Magnification : x700
Scan Rotaion : 0°
[   - Image Process]
Brightness : 105
Contrast : -61
[   - Detector]
Detector : 105
[   - Working Distance]
Default Working Distance : 0mm
Working Distance : 5mm
Filament Current: 5345.88
[Active Scan]
Pixel Size : 0.7
"""


@pytest.fixture
def picture_path(tmp_path) -> Path:
    path = tmp_path / "ETRI_ 20 kV_SE  x500 __1.jpg"
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(path)
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp949", "utf-16", "utf-16-le"])
@pytest.mark.parametrize("ending", [".jpg.txt", ".txt"])
def test_sidecar_in_any_encoding(picture_path, encoding, ending):
    name = picture_path.name.removesuffix(".jpg") + ending
    content = SIDECAR.replace("\n", "\r\n").encode(encoding)
    picture_path.with_name(name).write_bytes(content)
    found = read_picture(picture_path, max_pixels=100).metadata
    assert found.magnification == 500
    assert found.voltage_kv == 20
    assert found.working_distance_mm == 5
    assert (found.brightness, found.contrast) == (105, -61)
    assert (found.detector, found.instrument) == ("SED", "SNE-4500M Plus")
    assert found.acquired_at == datetime(2019, 12, 3, 20, 14, 33)
    assert found.pixel_size_um is None
    assert found.original["Running Info.Magnification"] == "x700"
    assert found.original["Image Info.Date"] == "2019-12-03 오후 8:14:33"
    assert found.original["Running Info.Scan Rotaion"] == "0°"


def test_notes_beside_a_picture_do_no_harm(picture_path):
    assert read_metadata(picture_path) == AcquisitionMetadata()
    picture_path.with_name(picture_path.name + ".txt").write_bytes(b"\x81\xff nothing: here\n::\n")
    found = read_metadata(picture_path)
    assert found.magnification is None
    assert found.acquired_at is None


def test_first_of_repeated_keys_counts():
    entries = parse_entries("[A]\nKey : 1\nKey : 2\n[B]\nKey : 3\n")
    assert entries == {"A.Key": "1", "B.Key": "3"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2019-12-03 오후 8:14:33", datetime(2019, 12, 3, 20, 14, 33)),
        ("2019-09-02 오전 12:09:36", datetime(2019, 9, 2, 0, 9, 36)),
        ("2019-09-02 오후 12:09:36", datetime(2019, 9, 2, 12, 9, 36)),
        ("2019-12-03 20:14:33", datetime(2019, 12, 3, 20, 14, 33)),
        ("03/04/2016 05:06:40 PM", None),
        ("04/04/2016 05:06:40 PM", datetime(2016, 4, 4, 17, 6, 40)),
        ("13/06/2016 05:06:40 PM", datetime(2016, 6, 13, 17, 6, 40)),
        ("06/13/2016 05:06:40 PM", datetime(2016, 6, 13, 17, 6, 40)),
        ("13.06.2016 17:06:40", datetime(2016, 6, 13, 17, 6, 40)),
        ("23 Dec 2015 9:40:32", datetime(2015, 12, 23, 9, 40, 32)),
        ("2019-13-03 20:14:33", None),
        ("yesterday", None),
        ("", None),
    ],
)
def test_dates(text, expected):
    assert parse_date_time(text) == expected


def test_numbers_with_units():
    values = ValueReader({})
    assert values.magnification("x500") == 500
    assert values.magnification("1.50 K X") == 1500
    assert values.magnification("1,50 K X") == 1500
    assert values.magnification("none") is None
    assert values.quantity("voltage_kv", "20kV", {"kV": 1.0}) == 20
    assert values.quantity("voltage_kv", "20\u00a0kV", {"kV": 1.0}) == 20
    assert values.quantity("working_distance_mm", "14,8 mm", {"mm": 1.0}) == 14.8
    assert values.quantity("working_distance_mm", "5 parsec", {"mm": 1.0}) is None
    assert values.number("contrast", "-169") == -169
    assert values.number("contrast", "2,3,4") is None


@pytest.mark.parametrize("text", ["10.000 X", "x10,000", "1.500 K X"])
def test_three_digits_behind_a_mark_are_no_number(text):
    values = ValueReader({"Mag": text})
    assert values.magnification(text) is None
    found = values.finish(AcquisitionMetadata())
    assert found.writing.unclear == {"magnification": text.lstrip("x") if "K" in text else text}


@pytest.mark.parametrize(
    ("neighbour", "expected"),
    [("14.8 mm", 10), ("14,8 mm", 10_000), ("1.234.567 nA", 10_000), ("3.5e-7", 10)],
)
def test_another_value_of_the_file_tells(neighbour, expected):
    assert ValueReader({"WD": neighbour}).magnification("10.000 X") == expected
    comma = {10: 10_000, 10_000: 10}[expected]
    assert ValueReader({"WD": neighbour}).magnification("10,000 X") == comma


def test_a_file_that_contradicts_itself_tells_nothing():
    both = {"WD": "14,8 mm", "Contrast": "23.3 %"}
    assert ValueReader(both, WritingStyle(",")).magnification("10.000 X") is None
    assert ValueReader(both, WritingStyle(",", stated=True)).magnification("10.000 X") == 10_000


@pytest.mark.parametrize("text", ["12,34", "1280,960", "5.07.00"])
def test_pairs_and_versions_prove_nothing_against_a_measurement(text):
    entries = {"Position": text, "Software Version": "1,2", "WD": "14.8 mm"}
    assert ValueReader(entries).magnification("10.000 X") == 10


@given(st.floats(0.001, 9e6), st.sampled_from(".,"), st.sampled_from([" mm", "mm", " µm", " kV"]))
def test_a_quantity_is_read_as_written_or_not_at_all(value, sign, unit):
    text = f"{value:.3f}".replace(".", sign) + unit
    units = {unit.strip(): 1.0}
    read = ValueReader({}).quantity("pixel_size_um", text, units)
    assert read is None or read == pytest.approx(float(f"{value:.3f}"))
    style = WritingStyle("." if sign == "." else ",")
    assert ValueReader({}, style).quantity("pixel_size_um", text, units) == float(f"{value:.3f}")


ZEISS = """0
2.614514e-006
AP_IMAGE_PIXEL_SIZE
Image Pixel Size = 250.0 nm
AP_PIXEL_SIZE
Pixel Size = 125.0 nm
AP_MAG
Mag = 1.50 K X
AP_ACTUALKV
EHT = 0.00 V
AP_MANUALKV
EHT Target = 5.00 kV
AP_WD
WD = 4.1 mm
AP_DATE
Date :23 Dec 2015
AP_TIME
Time :9:40:32
"""


def test_zeiss_pixel_size_is_that_of_the_stored_image():
    found = read_zeiss_tags(split_zeiss_text(ZEISS))
    assert found.pixel_size_um == pytest.approx(0.25)
    assert found.magnification == 1500
    assert found.voltage_kv == 5
    assert found.working_distance_mm == pytest.approx(4.1)
    assert found.acquired_at == datetime(2015, 12, 23, 9, 40, 32)
    assert found.original["ap_mag"] == "1.50 K X"
    assert read_zeiss_tags({}) == AcquisitionMetadata()


def write_zeiss(path, text):
    grey = np.arange(64, dtype=np.uint8).reshape(8, 8)
    tag = text.replace("\n", "\r\n").encode("cp1252")
    tifffile.imwrite(path, grey, extratags=[(34118, 2, len(tag) + 1, tag + b"\0", True)])


def test_a_tag_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "a.tif"
    german = ZEISS.replace("1.50 K", "10.000").replace(".0 nm", ",0 nm").replace("4.1 mm", "4,1 mm")
    write_zeiss(path, german.replace("0.00 V", "0 V").replace("5.00 kV", "5 kV"))
    found = read_metadata(path)
    assert (found.magnification, found.pixel_size_um) == (10_000, pytest.approx(0.25))
    write_zeiss(path, "AP_MAG\nMag = 10.000 X\n")
    alone = read_metadata(path)
    assert alone.magnification is None
    assert alone.writing.unclear == {"magnification": "10.000 X"}


def test_fei_dates_of_either_order(tmp_path):
    tags = {"User": {"Date": "06/03/2016", "Time": "05:06:40 PM"}}
    assert read_fei_tags(tags, 10).acquired_at is None
    assert read_fei_tags(tags, 10).writing.unclear == {"acquired_at": "06/03/2016 05:06:40 PM"}
    tags["PrivateFei"] = {"TimeOfCreation": "03.06.2016 17:06:40"}
    found = read_fei_tags(tags, 10)
    assert found.acquired_at == datetime(2016, 6, 3, 17, 6, 40)
    assert found.writing.unclear == {}


@pytest.mark.parametrize("letter", ["µm", "Å", "°"])
def test_lone_letters_of_western_windows_are_no_korean(letter):
    assert decode_text(f"WD : 5 {letter}\n".encode("cp1252")) == f"WD : 5 {letter}\n"
    assert decode_text("오후 8:14".encode("cp949")) == "오후 8:14"


def test_fei_tags_with_holes():
    tags = {
        "Beam": {"HV": "", "Beam": "EBeam", "Scan": "EScan"},
        "EBeam": {"HV": 5000, "HFW": 1e-3, "WD": "notafloat"},
        "Image": {"ResolutionX": 500, "ResolutionY": 442, "MagCanvasRealWidth": 0.12},
        "PrivateFei": {"DatabarHeight": 29},
        "User": {"Date": "06/13/2016", "Time": "05:06:40 PM"},
    }
    found = read_fei_tags(tags, height_px=471)
    assert found.voltage_kv == 5
    assert found.pixel_size_um == pytest.approx(2)
    assert found.magnification == pytest.approx(120)
    assert found.working_distance_mm is None
    assert found.data_bar_px == 29
    assert read_fei_tags(tags, height_px=442).data_bar_px == 0  # saved without the bar
    assert read_fei_tags(tags, height_px=300).data_bar_px is None  # cropped
    assert read_fei_tags({}, height_px=10) == AcquisitionMetadata()


def test_tiff_tags_and_sidecar_complete_each_other(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.arange(64, dtype=np.uint8).reshape(8, 8), software="Some scope")
    path.with_name("a.tif.txt").write_text(SIDECAR, encoding="utf-8")
    found = read_picture(path, max_pixels=100).metadata
    assert found.original["Software"] == "Some scope"
    assert found.magnification == 500


@needs_shared
def test_real_zeiss_frame():
    path = SHARED / "vendor_tiff" / "test_tiff_Zeiss_SEM_1k.tif"
    picture = read_picture(path, max_pixels=10_000_000)
    found = picture.metadata
    assert picture.pixels.shape == (768, 1024)
    assert found.pixel_size_um == pytest.approx(2.615)
    assert (found.magnification, found.voltage_kv) == (105, 25)
    assert found.working_distance_mm == pytest.approx(14.808)
    assert (found.brightness, found.contrast) == (50, pytest.approx(23.3))
    assert (found.detector, found.instrument) == ("HE-SE2", "Zeiss Merlin")
    assert found.acquired_at == datetime(2015, 12, 23, 9, 40, 32)


@needs_shared
def test_real_fei_frames():
    found = read_metadata(SHARED / "vendor_tiff" / "FEI-Helios-Ebeam-8bits.tif")
    assert found.pixel_size_um == pytest.approx(3.3724)
    assert found.magnification == pytest.approx(120)  # as its data bar says
    assert found.voltage_kv == 5
    assert found.working_distance_mm == pytest.approx(4.03466)
    assert (found.detector, found.data_bar_px) == ("ETD", 29)
    assert found.acquired_at == datetime(2016, 6, 13, 17, 6, 40)
    name = "FEI-Helios-navcam-with-no-IRBeam-bad-floats.tif"
    broken = read_metadata(SHARED / "vendor_tiff" / name)
    assert (broken.voltage_kv, broken.pixel_size_um) == (None, None)
    assert (broken.detector, broken.data_bar_px) == ("Nav-Cam", 39)


@needs_shared
def test_real_sidecars():
    for path in sorted((SHARED / "sem_ncm").glob("*/*__5*.jpg"))[:20]:
        found = read_metadata(path)
        assert (found.magnification, found.voltage_kv) == (500, 20)
        assert found.working_distance_mm == 5
        assert found.acquired_at is not None
        assert found.acquired_at.strftime("%H:%M:%S") in found.original["Image Info.Time"]
