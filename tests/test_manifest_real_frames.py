"""The real SEM frames, where they are at hand."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from batteryscope.audit.sessions import relate_sessions
from batteryscope.config.dataset import DatasetSettings
from batteryscope.manifest.build import build_manifest
from batteryscope.readers.registry import read_picture
from batteryscope.readers.scan import FolderScan, scan_images
from batteryscope.readers.text_sidecar import read_sidecar

SHARED = Path(os.environ.get("BATTERYSCOPE_SHARED_DATA", "no such folder"))
ROOT = SHARED / "sem_ncm"
pytestmark = pytest.mark.skipif(not ROOT.is_dir(), reason="the real SEM frames are not here")


def test_sidecars_fill_the_table():
    files = scan_images(ROOT)
    assert len(files.images) == 433
    assert files.unsupported == ()
    settings = DatasetSettings.model_validate(
        {
            "name": "ncm",
            "path": str(ROOT),
            "labels": {
                "pattern": r"ncm(?P<composition>\d{3})_(?P<state>\w+)",
                "columns": ["composition", "state"],
            },
        }
    )
    manifest, rejects, frames = build_manifest(FolderScan(files.images[::20]), settings, ROOT)
    assert rejects.empty
    assert manifest["class"].nunique() == 12
    assert set(manifest["magnification"].dropna()) == {500.0}
    assert set(manifest["voltage_kv"].dropna()) == {20.0}
    assert manifest["acquired_at"].notna().sum() >= 20
    assert len(set(manifest["brightness"])) > 1
    assert manifest["pixel_size_um"].isna().all()
    assert set(frames["data_bar_px"]) == {64}


def test_saved_again_the_frame_is_the_same(tmp_path):
    source = ROOT / scan_images(ROOT).images[100]
    expected = read_picture(source, max_pixels=2_000_000).pixels_8bit
    Image.open(source).save(tmp_path / "a.png")
    Image.open(source).convert("L").save(tmp_path / "grey.png")
    deep = np.asarray(Image.open(source).convert("L")).astype(np.uint16)
    for factor in (1, 256, 257):
        Image.fromarray(deep * np.uint16(factor)).save(tmp_path / f"{factor}.tif")
    for path in sorted(tmp_path.iterdir()):
        found = read_picture(path, max_pixels=2_000_000).pixels_8bit
        np.testing.assert_array_equal(found, expected)


def test_class_and_session_are_found_to_be_one():
    """From all 433 sidecars: one electrode and one sitting per class, as docs/trust.md says."""
    rows = []
    for number, path in enumerate(scan_images(ROOT).images):
        taken = read_sidecar(ROOT / path)
        rows.append(
            {"sample_id": f"{number:04d}", "path": path, "class": Path(path).parent.name}
            | {"session_id": None, "acquired_at": taken.acquired_at}
            | {"brightness": taken.brightness, "contrast": taken.contrast}
        )
    manifest = pd.DataFrame(rows)
    found = relate_sessions(manifest)
    assert (found.relation, found.by, found.n_sessions) == ("one", "day", 3)
    assert (found.n_classes, found.n_blocks) == (12, 12)
    assert len(found.bound_classes) == 12
    assert not found.can_leave_out
    assert len(manifest[["brightness", "contrast"]].dropna().drop_duplicates()) == 5
    # Between settings of the training: the range of all classes does not show the change.
    pristine = manifest[manifest["class"] == "ncm811_pristine"].drop_duplicates("contrast")
    assert set(pristine["contrast"]) == {62, 14}
    assert manifest["contrast"].min() < 14 < manifest["contrast"].max()
