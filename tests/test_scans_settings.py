"""What scans can be given, and what is said of those that are of no use."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile

from batteryscope.config.dataset import DatasetSettings, VolumeSettings
from batteryscope.config.learning import ModelSettings
from batteryscope.config.project import load_project
from batteryscope.demo.ct_dataset import CellJob, list_cells, render_scan
from batteryscope.errors import ConfigError, InputError
from batteryscope.manifest.build import build_manifest
from batteryscope.manifest.ingest_scans import SCANS
from batteryscope.models.classifier import build_classifier
from batteryscope.plan import plan_study
from batteryscope.planning.checks import check_project
from batteryscope.preprocess.cut_scans import cut_scans
from batteryscope.preprocess.cut_volume import cut_volume
from batteryscope.preprocess.dataset_cutters import describe_rejects
from batteryscope.readers.volume import Volume
from batteryscope.readers.volumes import find_volumes
from tests.generated_scans import CLASSES, CUT, MADE, SETTINGS


def test_generated_scans_are_equal_for_equal_settings() -> None:
    assert len(list_cells(MADE)) == 6
    first, um = render_scan(MADE, CellJob("pristine", 0))
    again, _ = render_scan(MADE, CellJob("pristine", 0))
    other, _ = render_scan(MADE, CellJob("pristine", 1))
    np.testing.assert_array_equal(first, again)
    assert first.dtype == np.uint16
    assert first.shape == (4, 160, 160)
    assert um > 0
    assert not np.array_equal(first, other)


def test_a_scan_without_a_cell_is_told(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 200, (3, 90, 90)).astype(np.uint16)
    volume = Volume(tmp_path / "air.tif", (3, 90, 90), np.dtype(np.uint16), lambda z: noise[z])
    cuts = list(cut_volume(volume, [0, 1, 2], CUT, workers=1))
    assert [cut.reason for cut in cuts] == ["no_cell"] * 3
    assert "no cell is found" in cuts[0].detail
    (tmp_path / "pristine").mkdir()
    tifffile.imwrite(tmp_path / "pristine" / "air.tif", noise, photometric="minisblack")
    manifest, _, _ = build_manifest(find_volumes(tmp_path), SETTINGS, tmp_path, reading=SCANS)
    with pytest.raises(InputError, match=r"no slice of any scan can be used.*no cell is found"):
        cut_scans(manifest, tmp_path, CUT, tmp_path / "tiles", 10**6)


def test_left_out_slices_are_told_in_one_line_per_scan() -> None:
    detail = "no cell is found in it."
    rejects = pd.DataFrame(
        {
            "sample_id": ["a", "b", "c"], "path": ["v.npy#0", "v.npy#1", "w.npy#5"],
            "reason": ["no_cell", "no_cell", "no_winding"], "detail": [detail, detail, "none."],
        }
    )  # fmt: skip
    manifest = pd.DataFrame({"sample_id": [*"abcd"], "volume": [*["v.npy"] * 2, *["w.npy"] * 2]})
    assert describe_rejects(rejects, manifest) == [
        f"v.npy: 2 of 2 slices left out (no_cell); the first, number 0: {detail}",
        "w.npy: 1 of 2 slices left out (no_winding); the first, number 5: none.",
    ]
    of_pictures = describe_rejects(rejects, manifest[["sample_id"]])
    assert of_pictures[2] == "w.npy#5: none. (no_winding)"
    nothing = pd.DataFrame({name: [] for name in rejects})  # whose columns hold no text
    assert describe_rejects(nothing, manifest) == []


def test_what_cannot_work_is_told_before_anything_runs() -> None:
    def check(**changes: object) -> None:
        overlay = {"studies": {"cell_health": changes}}
        project = load_project(Path(__file__).parents[1] / "params.yaml", overlay)
        study = project.studies["cell_health"]
        check_project({"cell_health": plan_study("cell_health", study)})

    check()
    generator = {"cells_per_state": 2}
    few = {"demo": {"dataset": {"generator": generator}, "split": {"folds": 3}}}
    with pytest.raises(ConfigError, match=r"'each', has 2 cells, .* needs at least 3 .*add cells"):
        check(**few)
    with pytest.raises(ConfigError, match=r"found 'sem_tiles' .* data set holds scans"):
        check(demo={"preprocess": {"method": "sem_tiles"}}, preprocess={"method": "sem_tiles"})


def test_settings_that_cannot_be() -> None:
    with pytest.raises(ValueError, match=r"add 'volumes: {}'"):
        DatasetSettings(name="x", generator=MADE)
    with pytest.raises(ValueError, match="last 2 is before first 5"):
        VolumeSettings(first=5, last=2)
    with pytest.raises(ConfigError, match="makes a network of one channel"):
        build_classifier(
            ModelSettings(backbone="test_resnet", weights="random", grey_input="sum_stem"),
            CLASSES, 32, 1, 3,
        )  # fmt: skip
