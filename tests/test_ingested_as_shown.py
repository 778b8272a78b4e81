"""Data sets that were once ingested wrongly without a word, made again in small."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from batteryscope.config.dataset import DatasetSettings
from batteryscope.manifest import ingest_scans
from batteryscope.manifest.build import build_manifest
from batteryscope.manifest.reading import PICTURES as PICTURES_READ
from batteryscope.readers.scan import scan_images
from batteryscope.readers.volumes import find_volumes
from tests.dicom_scans import write_series
from tests.picture_corpus import CASES
from tests.picture_writers import store_turned
from tests.raw_tiff import pack_bits, write_raw_tiff

PICTURES: dict[str, Any] = {"name": "x", "path": "x", "labels": {}}
SCANS: dict[str, Any] = {
    "name": "x",
    "path": "x",
    "volumes": {},
    "labels": {"pattern": "^(?P<state>[^/.]+)", "columns": ["state"]},
}


def ingest(root: Path, settings: dict[str, Any]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return what was ingested, with the grey levels measured, and what was not."""
    of_scans = "volumes" in settings
    files = find_volumes(root) if of_scans else scan_images(root)
    known = DatasetSettings.model_validate(settings)
    reading = ingest_scans.SCANS if of_scans else PICTURES_READ
    manifest, rejects, frames = build_manifest(files, known, root, reading=reading)
    measured = frames.rename(columns={"data_bar_px": "found_bar_px"})
    return manifest.merge(measured, on="sample_id").sort_values("path"), rejects


def draw(height: int = 60, width: int = 80) -> NDArray[np.float64]:
    y, x = np.mgrid[:height, :width]
    noise = np.random.default_rng(1).normal(0, 0.03, x.shape)
    return np.clip(0.5 + 0.25 * np.sin(x / 9) * np.cos(y / 11) + noise, 0, 0.99)


def test_one_picture_in_12_and_16_bits_black_or_white_is_zero(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    twelve = (4095 * draw()).astype(np.uint16)
    sixteen = twelve * np.uint16(16) + np.uint16(7)
    size = twelve.shape[::-1]

    def write(name: str, data: bytes, bits: int, photometric: int, **more: Any) -> None:
        path = tmp_path / "a" / name
        write_raw_tiff(path, [data], size, (bits,), photometric, ">", **more)

    write("p12_black.tif", pack_bits(twelve, 12), 12, 1)
    write("p12_white.tif", pack_bits(4095 - twelve, 12), 12, 0)
    write("p16_black.tif", sixteen.astype(">u2").tobytes(), 16, 1)
    write("p16_white.tif", (65535 - sixteen).astype(">u2").tobytes(), 16, 0)
    write("w12_black.tif", twelve.astype(">u2").tobytes(), 16, 1)
    white = (4095 - twelve).astype(">u2").tobytes()
    write("w12_white.tif", white, 16, 0, more={281: [4095]})
    eight = (twelve >> 4).astype(np.uint8)
    write("g8_white.tif", (255 - eight).tobytes(), 8, 0)
    Image.fromarray(eight).save(tmp_path / "a" / "g8.png")
    kept, rejects = ingest(tmp_path, PICTURES)
    # Pixel by pixel the same, or they would not be duplicates.
    assert len(kept) == 1
    assert rejects["reason"].tolist() == ["duplicate_content"] * 7
    assert kept["mean"].iloc[0] == pytest.approx(eight.mean())


def test_frames_of_one_detector_that_grow_darker(tmp_path: Path, caplog: Any) -> None:
    (tmp_path / "a").mkdir()
    for i in range(8):
        frame = (6200 * 0.9**i * np.roll(draw(), 5 * i, 1)).astype(np.uint16)
        tifffile.imwrite(tmp_path / "a" / f"frame_{i}.tif", frame, photometric="minisblack")
    with caplog.at_level(logging.WARNING, "batteryscope"):
        logging.getLogger("batteryscope").propagate = True
        kept, _ = ingest(tmp_path, PICTURES)
    means = kept["mean"].to_numpy() + 0.5  # what the division by 256 cuts off
    np.testing.assert_allclose(means[1:] / means[:-1], 0.9, atol=0.01)
    assert "state dataset.bit_depth" in caplog.text


def test_frames_turned_by_exif_keep_their_data_bar_at_the_bottom(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for orientation in (1, 3, 6):
        frame = (40 + 180 * np.roll(draw(480, 640), 30 * orientation, 1)).astype(np.uint8)
        frame[410:] = 0
        image = Image.fromarray(frame)
        pen = ImageDraw.Draw(image)
        pen.line((0, 411, 639, 411), fill=255)
        for i, text in enumerate(("15.0kV", "x500", "WD 10.1mm", "100um")):
            pen.text((20 + 150 * i, 430), text, fill=255, font_size=24)
        exif = Image.Exif()
        exif[274] = orientation
        stored = Image.fromarray(store_turned(np.asarray(image), orientation))
        stored.save(tmp_path / "a" / f"frame_{orientation}.jpg", quality=92, exif=exif)
    kept, _ = ingest(tmp_path, PICTURES)
    assert kept["found_bar_px"].tolist() == [70, 70, 70]
    assert (set(kept["width_px"]), set(kept["height_px"])) == ({640}, {480})
    assert np.ptp(kept["mean"]) < 1


def test_strips_without_byte_counts_are_whole(tmp_path: Path) -> None:
    frame = np.tile(np.arange(60, 180, dtype=np.uint8), (100, 1))
    strips = [part.tobytes() for part in np.array_split(frame, 10)]
    (tmp_path / "scan" / "c1").mkdir(parents=True)
    (tmp_path / "picture" / "a").mkdir(parents=True)
    for z in range(3):
        moved = [bytes(v + 5 * z for v in strip) for strip in strips]
        path = tmp_path / "scan" / "c1" / f"slice_{z:03d}.tif"
        write_raw_tiff(path, moved, (120, 100), without=[279])
    path = tmp_path / "picture" / "a" / "frame.tif"
    write_raw_tiff(path, strips, (120, 100), without=[279])
    kept, _ = ingest(tmp_path / "scan", SCANS)
    assert kept["mean"].tolist() == [119.5, 124.5, 129.5]
    kept, _ = ingest(tmp_path / "picture", PICTURES)
    assert kept["mean"].tolist() == [119.5]


def test_a_scan_in_black_white_and_palette(tmp_path: Path) -> None:
    for z in range(3):
        grey = (250 * np.roll(draw(), 7 * z, 1)).astype(np.uint8)
        ramp = np.stack([np.arange(255, -1, -1, dtype=np.uint16) * 257] * 3)
        for name, values, more in (
            ("black", grey, {"photometric": "minisblack"}),
            ("white", 255 - grey, {"photometric": "miniswhite"}),
            ("palette", 255 - grey, {"photometric": "palette", "colormap": ramp}),
        ):
            (tmp_path / "old" / name).mkdir(parents=True, exist_ok=True)
            path = tmp_path / "old" / name / f"slice_{z:03d}.tif"
            tifffile.imwrite(path, values, metadata=None, **more)
    kept, rejects = ingest(tmp_path, SCANS)
    # The slices are the same to the last bit, so those of one scan stay.
    assert len(kept) == 3
    assert rejects["reason"].tolist() == ["duplicate_content"] * 6


def test_a_series_in_colour_costs_no_other_one(tmp_path: Path) -> None:
    scan = np.stack([(4000 * np.roll(draw(), 5 * z, 1)).astype(np.uint16) for z in range(4)])
    write_series(tmp_path / "c1", scan)
    colours = np.repeat((scan >> 4).astype(np.uint8)[..., None], 3, axis=-1)
    write_series(tmp_path / "c2", colours)
    kept, rejects = ingest(tmp_path, SCANS)
    assert rejects.empty
    assert kept.groupby("volume").size().to_dict() == {"c1": 4, "c2": 4}
    by_scan = kept.groupby("volume")["mean"].apply(list)
    np.testing.assert_allclose(by_scan["c1"], by_scan["c2"], atol=1)


def test_files_that_are_there_twice(tmp_path: Path) -> None:
    for place, copies in (("old/c1", ()), ("old/c2", range(6)), ("old/c3", (2,))):
        shift = int(place[-1])
        scan = np.stack(
            [(4000 * np.roll(draw(), 5 * z + shift, 1)).astype(np.uint16) for z in range(6)]
        )
        write_series(tmp_path / place, scan)
        for i in copies:
            content = (tmp_path / place / f"IM{i + 1}.dcm").read_bytes()
            (tmp_path / place / f"IM{i + 1}(1).dcm").write_bytes(content)
    kept, notes = ingest(tmp_path, SCANS)
    assert kept.groupby("volume").size().to_dict() == {"old/c1": 6, "old/c2": 6, "old/c3": 6}
    assert notes[["path", "reason"]].to_numpy().tolist() == [
        ["old/c2", "left_out"],
        ["old/c3", "left_out"],
    ]


def test_voxels_in_the_units_that_programs_write(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    units = {"um": 1, "micron": 1, "microns": 1, "cm": 1e4, "inch": 25_400, "mm": 1e3}
    for unit, um in units.items():
        (tmp_path / unit).mkdir()
        scan = rng.integers(0, 60_000, (3, 24, 32), dtype=np.uint16)
        described = {"unit": unit, "spacing": 5 / um, "axes": "ZYX"}
        per_unit = (um / 2.5, um / 2.5)
        path = tmp_path / unit / "cell.tif"
        tifffile.imwrite(path, scan, imagej=True, resolution=per_unit, metadata=described)
    (tmp_path / "ome").mkdir()
    scan = rng.integers(0, 60_000, (3, 24, 32), dtype=np.uint16)
    described = {"axes": "ZYX", "PhysicalSizeX": 2500, "PhysicalSizeXUnit": "nm"}
    tifffile.imwrite(tmp_path / "ome" / "cell.ome.tif", scan, metadata=described)
    kept, _ = ingest(tmp_path, SCANS)
    assert len(kept) == 21
    np.testing.assert_allclose(kept["pixel_size_um"], 2.5, rtol=1e-3)


def test_what_is_shown_otherwise_elsewhere_is_told(tmp_path: Path, caplog: Any) -> None:
    (tmp_path / "a").mkdir()
    CASES["gamma.png"].write(tmp_path / "a" / "bent.png")
    for i in range(2):
        frame = (200 * np.roll(draw(), 9 * i, 1)).astype(np.uint8)
        path = tmp_path / "a" / f"wide_{i}.tif"
        tifffile.imwrite(path, frame, imagej=True, resolution=(0.4, 0.2), metadata={"unit": "um"})
    with caplog.at_level(logging.WARNING, "batteryscope"):
        logging.getLogger("batteryscope").propagate = True
        kept, notes = ingest(tmp_path, PICTURES)
    assert len(kept) == 3
    assert "stands in 1 picture, such as a/bent.png (gamma 1). It is not applied" in caplog.text
    assert kept["pixel_size_um"].isna().all()
    assert notes["reason"].tolist() == ["unclear_metadata"]
    assert "2.5 µm wide and 5 µm high (2 pictures of this kind)" in notes["detail"][0]


def test_scans_whose_voxels_are_no_squares_are_told(tmp_path: Path) -> None:
    scan = np.random.default_rng(2).integers(0, 60_000, (3, 24, 32), dtype=np.uint16)
    (tmp_path / "old").mkdir()
    path = tmp_path / "old" / "cell.tif"
    described = {"unit": "um", "axes": "ZYX"}
    tifffile.imwrite(path, scan, imagej=True, resolution=(0.4, 0.2), metadata=described)
    kept, notes = ingest(tmp_path, SCANS)
    assert len(kept) == 3
    assert notes[["path", "reason"]].to_numpy().tolist() == [["old/cell.tif", "unclear_metadata"]]
