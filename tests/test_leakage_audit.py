"""Leaks that were planted in scans and cross-sections are refused, grouped or named."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image

from batteryscope.config.dataset import DatasetSettings, VolumeSettings
from batteryscope.config.picture_generators import CtCellGenerator
from batteryscope.config.split import SplitSettings
from batteryscope.demo.cross_section import render_cross_section
from batteryscope.demo.ct_dataset import CellJob, render_scan
from batteryscope.errors import LeakageError
from batteryscope.manifest.build import build_manifest
from batteryscope.manifest.frames import write_frames
from batteryscope.manifest.ingest_scans import SCANS
from batteryscope.manifest.reading import PICTURES
from batteryscope.readers.scan import scan_images
from batteryscope.readers.volumes import find_volumes
from batteryscope.splits import divide_pictures, divide_scans

STATES = ["pristine", "cycle_aged"]
CELLS = CtCellGenerator(kind="ct_cell", cells_per_state=3, slices=5, size_px=160, states=STATES)
BY_FOLD = {"scheme": "kfold", "folds": 3, "validation_fraction": 0.3}
REASON = "one cell is all we have"


@dataclass
class Scans:
    """A folder of scans, read and divided."""

    root: Path

    def read(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        labels = {"pattern": "^(?P<state>pristine|cycle_aged)/", "columns": ["state"]}
        asked = DatasetSettings(name="x", path=".", volumes=VolumeSettings(), labels=labels)
        folder = self.root / "images"
        manifest, rejects, frames = build_manifest(
            find_volumes(folder), asked, folder, reading=SCANS
        )
        manifest.to_parquet(self.root / "manifest.parquet")
        write_frames(frames, self.root / "frames.parquet")
        return manifest, rejects

    def divide(self, **changes: Any) -> tuple[pd.DataFrame, dict[str, Any]]:
        asked = SplitSettings(**(BY_FOLD | changes)).model_dump_json()
        tables = (self.root / "manifest.parquet", self.root / "frames.parquet")
        return divide_scans.divide(asked, *tables, [])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("cells")
    for state in STATES:
        (root / "images" / state).mkdir(parents=True)
        for number in range(CELLS.cells_per_state):
            scan, _ = render_scan(CELLS, CellJob(state, number))
            tifffile.imwrite(root / "images" / state / f"cell_{number}.tif", scan)
    return root


@pytest.fixture
def scans(made: Path, tmp_path: Path) -> Scans:
    return Scans(Path(shutil.copytree(made, tmp_path / "cells")))


ORIGINAL, COPY = "pristine/cell_0.tif", "pristine/cell_9.tif"


def change_grey_levels(scan: np.ndarray, how: str) -> np.ndarray:
    low, high = np.percentile(scan, (1, 99))
    scaled = np.clip((scan - low) / (high - low), 0, 1)
    return {
        "8 bit": np.round(255 * scaled).astype(np.uint8),
        "gamma": np.round(65535 * scaled**0.6).astype(np.uint16),
    }[how]


def test_different_cells_are_no_copies(scans: Scans) -> None:
    manifest, rejects = scans.read()
    assert rejects.empty
    _, audit = scans.divide()
    assert audit["near_duplicates"]["pairs"] == len(manifest) - 2 * CELLS.cells_per_state
    assert audit["warnings"] == []


@pytest.mark.parametrize("as_slices", [False, True])
@pytest.mark.parametrize("state", STATES)
def test_a_scan_saved_twice_is_left_out(scans: Scans, state: str, as_slices: bool) -> None:
    copy = scans.root / "images" / state / "cell_9.tif"
    if as_slices:  # equal pixels in another format
        copy = copy.with_suffix("")
        copy.mkdir()
        for z, pixels in enumerate(tifffile.imread(scans.root / "images" / ORIGINAL)):
            tifffile.imwrite(copy / f"slice_{z:03d}.tif", pixels, compression="zlib")
    else:
        shutil.copy(scans.root / "images" / ORIGINAL, copy)
    _, rejects = scans.read()
    is_same_class = ORIGINAL.startswith(state)
    assert set(rejects["reason"]) == {
        "duplicate_content" if is_same_class else "conflicting_labels"
    }
    assert len(rejects) == CELLS.slices * (1 if is_same_class else 2)
    told = rejects[rejects["path"].str.startswith(f"{state}/{copy.name}#")].iloc[0]
    assert f"the same pixels as {ORIGINAL}#" in told["detail"] or (
        f"{ORIGINAL}#0 shows the same pixels" in told["detail"]
    )


@pytest.mark.parametrize("how", ["8 bit", "gamma"])
def test_a_scan_with_other_grey_levels_is_refused_or_kept_together(scans: Scans, how: str) -> None:
    images = scans.root / "images"
    tifffile.imwrite(images / COPY, change_grey_levels(tifffile.imread(images / ORIGINAL), how))
    manifest, rejects = scans.read()
    assert rejects.empty
    with pytest.raises(LeakageError) as refused:
        scans.divide()
    told = str(refused.value)
    assert f"{ORIGINAL}#" in told
    assert f"{COPY}#" in told
    assert "\n" not in told
    assert "split.near_duplicates: group" in told
    split, audit = scans.divide(near_duplicates="group")
    volumes = manifest.set_index("sample_id")["volume"]
    both = split[split["sample_id"].map(volumes).isin([ORIGINAL, COPY])]
    assert both.groupby("fold")["role"].nunique().max() == 1
    named = f"The scans {ORIGINAL} and {COPY} show the same measurement"
    assert [text for text in audit["warnings"] if text.startswith(named)]
    _, audit = scans.divide(group="slice")
    assert audit["warnings"][1].startswith(named)
    _, audit = scans.divide(allow_leakage=REASON)
    assert audit["warnings"][-1].endswith(f"(split.allow_leakage): {REASON}")


def test_slices_of_one_cell_are_not_divided_unasked(scans: Scans) -> None:
    scans.read()
    with pytest.raises(LeakageError, match=r"cell_\d\.tif#\d \(\w+\) and \w+/cell_\d\.tif#\d"):
        scans.divide(group="image")
    _, audit = scans.divide(group="slice")
    assert audit["warnings"][0].startswith("Neighbouring slices of one cell are on both sides")


class TestCrossSections:
    """Generated cross-sections of three electrodes per porosity, two pictures each."""

    @pytest.fixture(scope="class")
    @classmethod
    def drawn(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        root = tmp_path_factory.mktemp("sections")
        for electrode in range(3):
            picture = render_cross_section(0.4, electrode, width_px=320).pixels
            for number in range(4):  # a mirrored picture stands for another place
                turned = picture[:: 1 - 2 * (number // 2), :: 1 - 2 * (number % 2)]
                folder = root / "images" / f"p{35 + 10 * (number // 2)}_e{electrode}"
                folder.mkdir(parents=True, exist_ok=True)
                Image.fromarray(turned).save(folder / f"place_{number % 2}.png")
        return root

    @pytest.fixture
    def root(self, drawn: Path, tmp_path: Path) -> Path:
        return Path(shutil.copytree(drawn, tmp_path / "sections"))

    def read(self, root: Path, specimens: bool = True) -> tuple[pd.DataFrame, pd.DataFrame]:
        specimen = "specimen_id" if specimens else "electrode"
        labels = {"pattern": rf"(?P<{specimen}>p(?P<porosity>\d+)_e\d+)", "columns": ["porosity"]}
        asked = DatasetSettings(name="x", path=".", labels=labels)
        manifest, rejects, frames = build_manifest(
            scan_images(root / "images"), asked, root / "images", reading=PICTURES
        )
        manifest.to_parquet(root / "manifest.parquet")
        write_frames(frames, root / "frames.parquet")
        return manifest, rejects

    def divide(self, root: Path, **changes: Any) -> tuple[pd.DataFrame, dict[str, Any]]:
        asked = SplitSettings(**(BY_FOLD | changes)).model_dump_json()
        return divide_pictures.divide(asked, root / "manifest.parquet", root / "frames.parquet", [])

    def test_pictures_of_one_electrode_stay_together_or_are_named(self, root: Path) -> None:
        manifest, _ = self.read(root)
        electrodes = manifest.set_index("sample_id")["specimen_id"]
        split, audit = self.divide(root)
        roles = split.groupby(["fold", split["sample_id"].map(electrodes)])["role"]
        assert roles.nunique().max() == 1
        assert audit["warnings"] == []
        _, audit = self.divide(root, group="image")
        (told,) = audit["warnings"]
        assert "of 12 test images come from a specimen that also trains, for example" in told
        assert told.count("(test)") == told.count("(train)") == 1

    @pytest.mark.parametrize("suffix", ["png", "tif", "bmp"])
    def test_a_picture_saved_again_is_left_out(self, root: Path, suffix: str) -> None:
        first = sorted((root / "images").rglob("*.png"))[0]
        Image.open(first).save(first.with_name(f"again.{suffix}"))
        _, rejects = self.read(root)
        (told,) = rejects.to_dict("records")
        assert told["reason"] == "duplicate_content"
        words = f"{told['path']} {told['detail']}"
        assert first.name in words
        assert f"again.{suffix}" in words

    def test_a_picture_with_other_grey_levels_is_refused(self, root: Path) -> None:
        first = sorted((root / "images").rglob("*.png"))[0]
        pixels = np.asarray(Image.open(first).convert("L"), float)
        brighter = np.clip(pixels * 1.2 + 8, 0, 255).astype(np.uint8)
        Image.fromarray(brighter).save(first.with_name("again.jpg"), quality=85)
        self.read(root, specimens=False)
        with pytest.raises(LeakageError) as refused:
            self.divide(root, group="image")
        assert first.name in str(refused.value)
        assert "again.jpg" in str(refused.value)
