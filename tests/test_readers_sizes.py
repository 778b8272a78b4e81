"""Pixel sizes and acquisition, from whoever wrote them: units, OME, sidecars of vendors."""

import struct
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from batteryscope.readers.metadata_values import ValueReader
from batteryscope.readers.picture import PictureError
from batteryscope.readers.pixel_size import describe_unequal
from batteryscope.readers.registry import read_metadata
from batteryscope.readers.volumes import open_volume
from batteryscope.readers.written_values import LENGTHS_MM, find_um_per_unit

SCAN = np.random.default_rng(1).integers(0, 60_000, (3, 24, 32), dtype=np.uint16)


@pytest.mark.parametrize(
    ("unit", "um"),
    [
        ("um", 1), ("µm", 1), ("\\u00B5m", 1), ("micron", 1), ("microns", 1), ("micrometer", 1),
        ("nm", 1e-3), ("mm", 1e3), ("cm", 1e4), ("inch", 25_400), ("inches", 25_400), ("m", 1e6),
        ("Å", 1e-4), ("pixel", None), ("", None), ("furlong", None),
    ],
)  # fmt: skip
def test_units_of_imagej(tmp_path: Path, unit: str, um: float | None) -> None:
    assert find_um_per_unit(unit) == um
    written = {"unit": unit, "spacing": 5 / (um or 1), "axes": "ZYX"}
    if not unit.isascii():
        return  # tifffile writes ASCII only
    per_pixel = (um or 1) / 2.5
    resolution = (per_pixel, per_pixel)
    path = tmp_path / "cell.tif"
    tifffile.imwrite(path, SCAN, imagej=True, resolution=resolution, metadata=written)
    volume = open_volume(path)
    known = None if um is None else pytest.approx(2.5, rel=1e-3)
    assert volume.voxel_size_um == known
    assert volume.slice_spacing_um == (None if um is None else pytest.approx(5))
    tifffile.imwrite(
        tmp_path / "frame.tif", SCAN[0], imagej=True, resolution=resolution, metadata={"unit": unit}
    )
    assert read_metadata(tmp_path / "frame.tif").pixel_size_um == known


@pytest.mark.parametrize(("unit", "size"), [("nm", 2500), ("µm", 2.5), ("mm", 0.0025), (None, 2.5)])
def test_units_of_ome(tmp_path: Path, unit: str | None, size: float) -> None:
    written: dict[str, Any] = {"axes": "ZYX", "PhysicalSizeX": size, "PhysicalSizeZ": 2 * size}
    if unit:
        written |= {"PhysicalSizeXUnit": unit, "PhysicalSizeZUnit": unit}
    path = tmp_path / "cell.ome.tif"
    tifffile.imwrite(path, SCAN, metadata=written)
    volume = open_volume(path)
    assert volume.voxel_size_um == pytest.approx(2.5)
    assert volume.slice_spacing_um == pytest.approx(5)
    np.testing.assert_array_equal(volume.read_slice(2), SCAN[2])


OME = """<?xml version="1.0" encoding="UTF-8"?>
<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:1">
<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint16" SizeX="32" SizeY="24"
 SizeZ="{n}" SizeC="1" SizeT="1"><Channel ID="Channel:0:0" SamplesPerPixel="1"/>{planes}</Pixels>
</Image></OME>"""
PLANE = '<TiffData IFD="{page}" FirstZ="{z}" FirstC="0" FirstT="0" PlaneCount="1">{more}</TiffData>'


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_ome_says_which_page_is_which_slice(tmp_path: Path, compression: str | None) -> None:
    def write(name: str, places: dict[int, int], more: str = "", n: int = 3) -> Path:
        planes = "".join(PLANE.format(page=p, z=z, more=more) for z, p in places.items())
        text = OME.format(n=n, planes=planes)
        with tifffile.TiffWriter(tmp_path / name) as file:
            for i, page in enumerate(SCAN):
                how = {"photometric": "minisblack", "compression": compression, "metadata": None}
                file.write(page, description=None if i else text, contiguous=False, **how)
        return tmp_path / name

    volume = open_volume(write("turned.ome.tif", {0: 2, 1: 0, 2: 1}))
    for z, page in enumerate((2, 0, 1)):
        np.testing.assert_array_equal(volume.read_slice(z), SCAN[page])
    with pytest.raises(PictureError, match="announces 3 slices, but number 2 is not there"):
        open_volume(write("gap.ome.tif", {0: 0, 1: 1}))
    write("other.ome.tif", {0: 0, 1: 1, 2: 2})
    elsewhere = '<UUID FileName="other.ome.tif">urn:uuid:2</UUID>'
    with pytest.raises(PictureError, match=r"slices in another file .* export them into one file"):
        open_volume(write("set.ome.tif", {0: 0, 1: 1, 2: 2}, elsewhere))


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_ome_zarr_with_its_scale(tmp_path: Path, version: str) -> None:
    import zarr

    path = tmp_path / "cell.ome.zarr"
    group = zarr.open_group(path, mode="w", zarr_format=2 if version == "0.4" else 3)
    for level, step in ((0, 1), (1, 2)):
        pixels = SCAN[None, None, :, ::step, ::step]
        array = group.create_array(str(level), shape=pixels.shape, dtype="uint16")
        array[:] = pixels
    names = (
        ("t", "time", "second"),
        ("c", "channel", None),
        *((a, "space", "nanometer") for a in "zyx"),
    )
    axes = [{"name": n, "type": k} | ({"unit": u} if u else {}) for n, k, u in names]
    datasets = [
        {
            "path": str(level),
            "coordinateTransformations": [
                {"type": "scale", "scale": [1, 1, 5000, 2500 * step, 2500 * step]}
            ],
        }
        for level, step in ((0, 1), (1, 2))
    ]
    described = {"axes": axes, "datasets": datasets}
    if version == "0.4":
        group.attrs["multiscales"] = [described | {"version": "0.4"}]
    else:
        group.attrs["ome"] = {"version": "0.5", "multiscales": [described]}
    volume = open_volume(path)
    assert volume.shape == SCAN.shape
    assert volume.voxel_size_um == pytest.approx(2.5)
    assert volume.slice_spacing_um == pytest.approx(5)
    np.testing.assert_array_equal(volume.read_slice(1), SCAN[1])


def test_ome_zarr_with_channels_is_refused(tmp_path: Path) -> None:
    import zarr

    group = zarr.open_group(tmp_path / "c.zarr", mode="w")
    group.create_array("0", shape=(2, 3, 4, 5), dtype="uint16")[:] = 1
    axes = [{"name": name} for name in "czyx"]
    group.attrs["ome"] = {"multiscales": [{"axes": axes, "datasets": [{"path": "0"}]}]}
    with pytest.raises(PictureError, match="has 2 channels"):
        open_volume(tmp_path / "c.zarr")
    zarr.open_group(tmp_path / "empty.zarr", mode="w")
    with pytest.raises(PictureError, match="is a zarr group; name the folder of the array"):
        open_volume(tmp_path / "empty.zarr")


def test_axes_in_another_order_are_refused(tmp_path: Path) -> None:
    import zarr

    group = zarr.open_group(tmp_path / "x.zarr", mode="w")
    group.create_array("0", shape=SCAN.T.shape, dtype="uint16")[:] = SCAN.T
    axes = [{"name": name} for name in "xyz"]
    group.attrs["ome"] = {"multiscales": [{"axes": axes, "datasets": [{"path": "0"}]}]}
    with pytest.raises(PictureError, match="axes in the order x, y, z; write it with z, y, x last"):
        open_volume(tmp_path / "x.zarr")


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("how", [{}, {"shards": (1, 24, 32)}])
def test_chunks_that_are_lost_are_told(tmp_path: Path, version: int, how: dict[str, Any]) -> None:
    import zarr

    if how and version == 2:
        return  # it knows no shards
    path = tmp_path / "scan.zarr"
    chunks = (1, 12, 32)
    array = zarr.create_array(
        path, shape=SCAN.shape, chunks=chunks, dtype="u2", zarr_format=version, **how
    )
    array[:] = SCAN
    assert open_volume(path).missing == ()
    keys = [array.metadata.encode_chunk_key((z, 0, 0)) for z in range(3)]
    (path / keys[1]).unlink()
    volume = open_volume(path)
    of = 3 if how else 6
    assert f"of its {of} chunks 1 are not there, the first in slice 1" in volume.missing[0]
    np.testing.assert_array_equal(volume.read_slice(2), SCAN[2])
    for file in path.rglob("*"):
        if file.is_file() and not file.name.startswith((".z", "zarr")):
            file.unlink()
    with pytest.raises(PictureError, match=f"holds none of its {of} chunks; copy it again"):
        open_volume(path)


@pytest.mark.parametrize("kind", ["imagej", "ome", "resolution", "dicom", "isq", "zarr"])
def test_pixels_that_are_no_squares_have_no_size(tmp_path: Path, kind: str) -> None:
    import zarr

    from tests.dicom_scans import write_series
    from tests.test_readers_volumes import write_isq

    path = tmp_path / {"dicom": "d", "isq": "c.ISQ", "zarr": "c.zarr"}.get(kind, "c.ome.tif")
    if kind == "imagej":
        described = {"unit": "um", "spacing": 5, "axes": "ZYX"}
        tifffile.imwrite(path, SCAN, imagej=True, resolution=(0.4, 0.2), metadata=described)
    elif kind == "ome":
        sizes = {"axes": "ZYX", "PhysicalSizeX": 2.5, "PhysicalSizeY": 5, "PhysicalSizeZ": 5}
        tifffile.imwrite(path, SCAN, metadata=sizes)
    elif kind == "resolution":
        path = tmp_path / "c.tif"
        more = {"resolution": (4000, 2000), "resolutionunit": 3, "metadata": None}
        tifffile.imwrite(path, SCAN, photometric="minisblack", **more)
    elif kind == "dicom":
        write_series(path, change=lambda d, i: setattr(d, "PixelSpacing", [0.005, 0.0025]))
    elif kind == "isq":
        write_isq(path, SCAN.astype(np.int16), edges_um=(2.5, 5, 5))
    else:
        group = zarr.open_group(path, mode="w")
        group.create_array("0", shape=SCAN.shape, dtype="uint16")[:] = SCAN
        step = {"type": "scale", "scale": [5, 5, 2.5]}
        axes = [{"name": name, "unit": "micrometer"} for name in "zyx"]
        data = [{"path": "0", "coordinateTransformations": [step]}]
        group.attrs["ome"] = {"multiscales": [{"axes": axes, "datasets": data}]}
    volume = open_volume(path)
    assert volume.voxel_size_um is None
    assert volume.size.unequal_um == pytest.approx((2.5, 5), rel=1e-3)
    words = describe_unequal((2.5, 5.0))
    assert words.startswith("pixel_size_um is left out: its pixels are 2.5 µm wide and 5 µm high;")


@pytest.mark.parametrize("kind", ["npy", "zarr"])
@pytest.mark.parametrize("shape", [(1, 1, 3, 24, 32), (3, 1, 24, 32), (1, 3, 24, 32, 1)])
def test_axes_of_length_one(tmp_path: Path, kind: str, shape: tuple[int, ...]) -> None:
    import zarr

    path = tmp_path / f"scan.{kind}"
    if kind == "npy":
        np.save(path, SCAN.reshape(shape))
    else:
        zarr.open(path, mode="w", shape=shape, dtype="u2")[:] = SCAN.reshape(shape)
    volume = open_volume(path)
    assert volume.shape == SCAN.shape
    for z in range(3):
        np.testing.assert_array_equal(volume.read_slice(z), SCAN[z])


SIDECARS = {
    "f.txt": (
        "$CM_FORMAT JEOL/SEM\n$CM_INSTRUMENT JSM-7800F\n$CM_SIGNAL SEI\n$CM_MAG 5000\n"
        "$CM_ACCEL_VOLT 15.00\n$CM_DATE 2019/03/12\n$CM_TIME 10:21:55\n$CM_FULL_SIZE 32 24\n"
        "$$SM_MICRON_BAR 20\n$$SM_MICRON_MARKER 5um\n$$SM_WD 10.0\n",
        ("JEOL JSM-7800F", 0.25, 5000, 15, 10, "SEI", datetime(2019, 3, 12, 10, 21, 55)),
    ),
    "f.tif.txt": (
        "[SemImageFile]\r\nInstructName=SU8230\r\nDate=2019/03/12\r\nTime=10:22:13\r\n"
        "DataSize=32x24\r\nPixelSize=250.0\r\nSignalName=SE(U)\r\n"
        "AcceleratingVoltage=15000 Volt\r\nMagnification=10000\r\nWorkingDistance=8100 um\r\n",
        ("Hitachi SU8230", 0.25, 10_000, 15, 8.1, "SE(U)", datetime(2019, 3, 12, 10, 22, 13)),
    ),
    "f-tif.hdr": (
        "[MAIN]\r\nCompany=TESCAN\r\nDate=2019-03-12\r\nTime=10:22:13\r\nDevice=MIRA3\r\n"
        "DeviceModel=MIRA3 LMH\r\nPixelSizeX=2.5e-007\r\n[SEM]\r\nHV=15000.0\r\nWD=0.0100\r\n"
        "Magnification=5000.0\r\nDetector=SE\r\n",
        ("TESCAN MIRA3 LMH", 0.25, 5000, 15, 10, "SE", datetime(2019, 3, 12, 10, 22, 13)),
    ),
    "f.xml": (
        '<?xml version="1.0"?><Metadata xmlns="http://example.org/m"><Instrument>'
        "<InstrumentClass>Helios 5</InstrumentClass></Instrument><Acquisition>"
        "<AcquisitionDatetime>2022-10-04T08:41:33</AcquisitionDatetime></Acquisition><Optics>"
        "<AccelerationVoltage>2000</AccelerationVoltage><ScanFieldOfView><X>8e-06</X></ScanFieldOfView>"
        "<WorkingDistance>0.004</WorkingDistance></Optics></Metadata>",
        ("Helios 5", 0.25, None, 2, 4, None, datetime(2022, 10, 4, 8, 41, 33)),
    ),
}


@pytest.mark.parametrize("name", SIDECARS)
def test_sidecars_of_vendors(tmp_path: Path, name: str) -> None:
    text, (instrument, pixel_um, magnification, voltage, distance, detector, when) = SIDECARS[name]
    tifffile.imwrite(tmp_path / "f.tif", SCAN[0], metadata=None)
    (tmp_path / name).write_text(text, encoding="utf-8")
    found = read_metadata(tmp_path / "f.tif")
    assert (found.instrument, found.detector, found.acquired_at) == (instrument, detector, when)
    assert found.pixel_size_um == pytest.approx(pixel_um)
    assert found.magnification == magnification
    assert found.voltage_kv == pytest.approx(voltage)
    assert found.working_distance_mm == pytest.approx(distance)
    assert found.unread_sidecar is None


def write_tescan_blocks(order: str, *blocks: tuple[int, bytes]) -> bytes:
    return b"".join(struct.pack(f"{order}IH", len(data) + 2, kind) + data for kind, data in blocks)


@pytest.mark.parametrize("order", "<>")
def test_tag_of_tescan_says_what_its_text_file_says(tmp_path: Path, order: str) -> None:
    text, (instrument, pixel_um, magnification, voltage, distance, detector, when) = SIDECARS[
        "f-tif.hdr"
    ]
    main, sem = (part.strip().encode() for part in text.removeprefix("[MAIN]").split("[SEM]"))
    jpeg = b"\xff\xd8\xff[MAIN]\r\nPixelSizeX=1\r\n"  # the thumbnail may hold anything
    blocks = write_tescan_blocks(order, (1, jpeg), (2, main), (3, sem), (9, b"?"), (0, b""))
    tags = [(50431, 1, len(blocks), blocks, True)]
    path = tmp_path / "f.tif"
    tifffile.imwrite(path, SCAN[0], metadata=None, extratags=tags, byteorder=order)
    found = read_metadata(path)
    assert (found.instrument, found.detector, found.acquired_at) == (instrument, detector, when)
    assert found.pixel_size_um == pytest.approx(pixel_um)
    assert found.magnification == magnification
    assert found.voltage_kv == pytest.approx(voltage)
    assert found.working_distance_mm == pytest.approx(distance)


@pytest.mark.parametrize("content", [b"", b"12345", b"\xff" * 40, b"\0" * 40])
def test_damaged_tag_of_tescan_costs_no_picture(tmp_path: Path, content: bytes) -> None:
    main = write_tescan_blocks("<", (2, b"PixelSizeX=2.5e-007"))
    for stored in (content or b"\0", main + content, main[:-3]):
        tags = [(50431, 1, len(stored), stored, True)]
        tifffile.imwrite(tmp_path / "f.tif", SCAN[0], metadata=None, extratags=tags)
        known = stored.startswith(main)
        assert read_metadata(tmp_path / "f.tif").pixel_size_um == (
            pytest.approx(0.25) if known else None
        )


def test_a_pixel_size_of_another_width_is_not_believed(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "f.tif", SCAN[0, ::2, ::2], metadata=None)
    (tmp_path / "f.txt").write_text(SIDECARS["f.tif.txt"][0])
    found = read_metadata(tmp_path / "f.tif")
    assert (found.pixel_size_um, found.magnification) == (None, 10_000)


@pytest.mark.parametrize(
    "text", ["meeting at ten", "<Metadata>", "<!DOCTYPE x [<!ENTITY a 'b'>]><x>&a;</x>", ""]
)
def test_what_is_not_understood_is_named(tmp_path: Path, text: str) -> None:
    tifffile.imwrite(tmp_path / "f.tif", SCAN[0], metadata=None)
    (tmp_path / "f.xml").write_text(text)
    assert read_metadata(tmp_path / "f.tif").unread_sidecar == "f.xml"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1,50 K X", 1500), ("1,500 K X", None), ("1,500 X", None), ("10.000x", None),
        ("x500", 500), ("500 x 2", None), ("500 kV", None), ("1.2.3", None), ("1,2,3 X", None),
    ],
)  # fmt: skip
def test_magnifications_are_their_whole_text(text: str, expected: float | None) -> None:
    # three digits behind a mark: a thousandth is as likely, and nothing here tells
    assert ValueReader({}).magnification(text) == expected


@settings(max_examples=200, deadline=None)
@given(st.floats(1e-4, 1e5), st.sampled_from([".", ","]), st.integers(1, 6))
def test_numbers_are_read_as_written_or_not_at_all(value: float, mark: str, digits: int) -> None:
    text = f"{value:.{digits}f}".replace(".", mark)
    expected = float(text.replace(",", "."))
    values = ValueReader({})
    found = values.number("working_distance_mm", text)
    assert found == expected or (found is None and digits == 3)
    length = values.quantity("working_distance_mm", f"{text} um", LENGTHS_MM)
    assert length is None or length == pytest.approx(expected / 1000)
    assert values.quantity("working_distance_mm", f"{text} bananas", LENGTHS_MM) is None
    assert values.number("working_distance_mm", f"{text} K X") is None
