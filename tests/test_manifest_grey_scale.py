"""One grey scale per instrument; one bad file costs only itself."""

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from batteryscope.bundle.frame import Frame, UnusableFrame, read_frame, scale_as_known
from batteryscope.config.dataset import DatasetSettings
from batteryscope.manifest import inspect as inspecting
from batteryscope.manifest.build import build_manifest
from batteryscope.manifest.grey_scale import (
    ScanLevels,
    SeenLevels,
    decide_bit_depths,
    decide_grey_ranges,
    list_bit_depths,
    list_grey_ranges,
)
from batteryscope.manifest.ingest_pictures import summarise_manifest
from batteryscope.manifest.ingest_scans import SCANS
from batteryscope.readers.grey_scale import GreyLevels, look_at_levels
from batteryscope.readers.scan import scan_images
from batteryscope.readers.volumes import find_volumes
from tests.dicom_scans import SCAN, write_series


def settings_of(**more: Any) -> DatasetSettings:
    return DatasetSettings.model_validate({"name": "x", "path": "x", **more})


def write_frames(root: Path, highest: list[int], **how: Any) -> None:
    (root / "a").mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(3)
    for i, level in enumerate(highest):
        frame = rng.integers(0, level, (64, 80)).astype(np.uint16)
        frame[5, 7] = level
        tifffile.imwrite(root / "a" / f"f{i}.tif", frame, metadata=None, **how)


def ingest(root: Path, **more: Any) -> tuple[Any, Any, Any]:
    return build_manifest(scan_images(root), settings_of(**more), root)


def test_frames_that_grow_darker_keep_one_scale(tmp_path: Path, caplog: Any) -> None:
    write_frames(tmp_path, [5300, 4300, 3900, 3000, 200])
    with caplog.at_level(logging.WARNING, "batteryscope"):
        logging.getLogger("batteryscope").propagate = True
        manifest, _, frames = ingest(tmp_path)
    assert set(manifest["bit_depth"]) == {16}
    assert set(manifest["bit_depth_source"]) == {"instrument"}
    means = frames.merge(manifest, on="sample_id").sort_values("path")["mean"].to_numpy()
    np.testing.assert_allclose(means, np.array([5300, 4300, 3900, 3000, 200]) / 512, atol=0.8)
    summary = summarise_manifest(manifest, manifest.head(0).assign(reason=""), ["class"])
    assert summary["grey_scales"] == [
        {"instrument": "", "bit_depth": 16, "decided_by": "instrument", "images": 5}
    ]
    json.dumps(summary)
    assert "a/f0.tif reaches grey level 5300; 3 of 5 are so dark" in caplog.text
    assert list_bit_depths(manifest) == {"": 16}


def test_the_user_decides_and_brighter_files_are_refused(tmp_path: Path) -> None:
    write_frames(tmp_path, [5300, 3900, 3000])
    manifest, rejects, _ = ingest(tmp_path, bit_depth=12)
    assert set(manifest["bit_depth"]) == {12}
    assert set(manifest["bit_depth_source"]) == {"setting"}
    assert rejects["path"].tolist() == ["a/f0.tif"]
    assert "reaches grey level 5300, but 12 bits" in rejects["detail"][0]
    manifest, rejects, _ = ingest(tmp_path, bit_depth=14)
    assert rejects.empty
    assert set(manifest["bit_depth"]) == {14}
    with pytest.raises(ValueError, match="no path is given"):
        DatasetSettings.model_validate(
            {"name": "x", "generator": {"kind": "trivial"}, "bit_depth": 12}
        )


def test_what_a_file_proves_needs_no_decision(tmp_path: Path) -> None:
    write_frames(tmp_path, [3000, 200], extratags=[(281, "H", 1, 4095, True)])
    manifest, _, _ = ingest(tmp_path)
    assert set(manifest["bit_depth"]) == {12}
    assert "bit_depth_source" not in manifest


def test_scaled_up_levels_prove_16_bits() -> None:
    twelve = np.arange(4096, dtype=np.uint16)
    assert look_at_levels(twelve * 16 + 7) == GreyLevels(65527, 16)
    assert look_at_levels(65535 - (twelve * 16 + 7)).own_bits == 16
    assert look_at_levels(np.arange(0, 5, dtype=np.uint16) * 256).own_bits == 16
    assert look_at_levels(twelve) == GreyLevels(4095, None)
    assert look_at_levels(twelve[:200] * 16).own_bits is None  # 8 bits in 12, or a dark picture
    assert look_at_levels(twelve * 3) == GreyLevels(12285, None)
    assert look_at_levels(twelve, 10).own_bits is None  # a tag that cannot be right


def test_one_pixel_among_many_decides_about_the_bits_in_use() -> None:
    pixels = np.full(100_000, 16 * 300, np.uint16)
    pixels[54_321] = 16 * 301
    assert look_at_levels(pixels).own_bits == 16
    pixels[54_321] += 1
    assert look_at_levels(pixels).own_bits is None
    pixels[:] = 257 * 100
    assert look_at_levels(pixels).own_bits == 16
    pixels[54_321] -= 1
    assert look_at_levels(pixels).own_bits is None


def test_instruments_are_decided_one_by_one() -> None:
    seen = [
        SeenLevels("a", "A", GreyLevels(60_000, None)),
        SeenLevels("b", "A", GreyLevels(900, None)),
        SeenLevels("c", "B", GreyLevels(4000, None)),
        SeenLevels("d", "C", GreyLevels(65_000, 16)),
    ]
    assert decide_bit_depths(seen) == {"A": 16, "B": 12}
    assert decide_bit_depths(seen, {"B": 14}) == {"A": 16, "B": 14}


def test_predictions_use_what_was_decided(tmp_path: Path) -> None:
    write_frames(tmp_path, [3000])
    path = tmp_path / "a" / "f0.tif"
    frame = read_frame(path, "f0.tif", 10_000)
    guessed = scale_as_known(frame, path, {})
    assert isinstance(guessed, Frame)
    assert guessed.note == "its 12 bits in use were guessed from this picture alone"
    for known in ({"": 16}, {"Other": 16}):
        told = scale_as_known(frame, path, known)
        assert isinstance(told, Frame)
        assert told.note == ""
        assert told.pixels.max() == 3000 >> 8
    refused = scale_as_known(frame, path, {"": 10})
    assert isinstance(refused, UnusableFrame)
    assert "reaches grey level 3000, but 10 bits" in refused.reason


def scan_levels(name: str, dtype: Any, low: float, high: float, scanner: str = "S") -> ScanLevels:
    return ScanLevels(name, scanner, np.dtype(dtype), low, high)


def test_grey_ranges_are_those_of_all_scans_of_a_scanner() -> None:
    scans = [
        scan_levels("a", np.int16, -900, 2000),
        scan_levels("b", np.int16, -1000, 1500),
        scan_levels("c", np.int16, 0, 10, "T"),
        scan_levels("d", np.uint16, 5, 900),
        scan_levels("e", np.uint16, 5, 9000),
        scan_levels("f", np.uint8, 0, 255),
        scan_levels("g", np.float32, 0.5, 0.5),
    ]
    ranges = decide_grey_ranges(scans)
    assert ranges["a"] == ranges["b"] == (-1000, 2000)
    assert ranges["c"] == (0, 10)
    assert ranges["d"] == ranges["e"] == (0, 65535)
    assert ranges["f"] == (0, 255)
    assert ranges["g"] == (0.5, 1.5)
    assert decide_grey_ranges(scans, bit_depth=14)["d"] == (0, 2**14 - 1)
    stated = decide_grey_ranges(scans, grey_range=(-500.0, 500.0))
    assert (stated["a"], stated["f"]) == ((-500, 500), (0, 255))


def test_scans_record_their_grey_range(tmp_path: Path) -> None:
    for cell, shift in (("c1", 0), ("c2", 500)):
        (tmp_path / "old" / cell).mkdir(parents=True)
        np.save(tmp_path / "old" / cell / "scan.npy", (SCAN.astype(np.int16) // 2 - shift))
    labels = {"pattern": "(?P<state>old)", "columns": ["state"]}
    settings = settings_of(volumes={}, labels=labels)
    manifest, _, _ = build_manifest(find_volumes(tmp_path), settings, tmp_path, reading=SCANS)
    low, high = float(int(SCAN.min()) // 2 - 500), float(int(SCAN.max()) // 2)
    assert set(manifest["grey_low"]) == {low}
    assert set(manifest["grey_high"]) == {high}
    assert list_grey_ranges(manifest) == {"int16": (low, high)}
    with pytest.raises(ValueError, match="is empty; give the lower one first"):
        settings_of(volumes={"grey_range": [5, 5]})


def test_notes_on_scans(tmp_path: Path, caplog: Any) -> None:
    write_series(tmp_path / "old" / "c1")
    copy = tmp_path / "old" / "c1" / "IM3(1).dcm"
    copy.write_bytes((tmp_path / "old" / "c1" / "IM3.dcm").read_bytes())
    settings = settings_of(volumes={}, labels={"pattern": "(?P<state>old)", "columns": ["state"]})
    with caplog.at_level(logging.INFO, "batteryscope"):
        logging.getLogger("batteryscope").propagate = True
        manifest, notes, _ = build_manifest(
            find_volumes(tmp_path), settings, tmp_path, reading=SCANS
        )
    assert len(manifest) == 6
    assert notes["reason"].tolist() == ["left_out"]
    assert "Slices of 1 scan are sorted by position." in caplog.text
    assert summarise_manifest(manifest, notes, ["state"])["rejected"] == 0


def test_an_unexpected_error_costs_one_picture(tmp_path: Path, monkeypatch: Any) -> None:
    write_frames(tmp_path, [60_000, 50_000])
    read = inspecting.read_picture

    def fail(path: Path, **more: Any) -> Any:
        if path.name == "f1.tif":
            raise ZeroDivisionError("nobody thought of this\nat all")
        return read(path, **more)

    monkeypatch.setattr(inspecting, "read_picture", fail)
    manifest, rejects, _ = ingest(tmp_path)
    assert manifest["path"].tolist() == ["a/f0.tif"]
    assert "unexpected ZeroDivisionError (nobody thought of this at all)" in rejects["detail"][0]


def test_an_unexpected_error_costs_one_scan(tmp_path: Path, monkeypatch: Any) -> None:
    from batteryscope.manifest import volumes

    for cell in ("c1", "c2"):
        write_series(tmp_path / "old" / cell, SCAN if cell == "c1" else SCAN[::-1] // 2)
    opened = volumes.open_volume

    def fail(path: Path) -> Any:
        if path.name == "c2":
            raise OverflowError("cannot convert float infinity to integer")
        return opened(path)

    monkeypatch.setattr(volumes, "open_volume", fail)
    settings = settings_of(volumes={}, labels={"pattern": "(?P<state>old)", "columns": ["state"]})
    manifest, rejects, _ = build_manifest(find_volumes(tmp_path), settings, tmp_path, reading=SCANS)
    assert len(manifest) == 6
    assert rejects["path"].tolist() == ["old/c2"]
    assert "unexpected OverflowError" in rejects["detail"][0]


def test_sidecars_that_say_nothing_are_noted(tmp_path: Path) -> None:
    write_frames(tmp_path, [60_000, 50_000])
    for i in range(2):
        (tmp_path / "a" / f"f{i}.txt").write_text("coffee with Anna at ten")
    _, notes, _ = ingest(tmp_path)
    assert notes["reason"].tolist() == ["foreign_file"]
    assert "beside a/f0.tif was understood, nor in 1 more" in notes["detail"][0]
