"""What tags and text files beside pictures could mean in two ways, decided by instrument."""

import json
import logging
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from batteryscope.config.dataset import DatasetSettings
from batteryscope.config.table_format import MetadataFormat
from batteryscope.errors import ConfigError, InputError
from batteryscope.manifest.build import build_manifest
from batteryscope.manifest.ingest_pictures import summarise_manifest
from batteryscope.readers.scan import scan_images
from workflow_scripts import ingest_dataset

JEOL = "$CM_MAG {mag}\n$CM_INSTRUMENT 6510\n$CM_DATE {date}\n$CM_TIME 10:20:30\n$$SM_WD {wd}\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    rng = np.random.default_rng(1)
    for place in ("pristine/a.jpg", "pristine/b.jpg", "aged/c.jpg"):
        path = tmp_path / place
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (40, 40), dtype=np.uint8)).save(path)
    return tmp_path


def write(
    root: Path, place: str, mag: str = "500", date: str = "2024-05-31", wd: str = "9"
) -> None:
    text = JEOL.format(mag=mag, date=date, wd=wd)
    (root / place).with_suffix(".txt").write_text(text, encoding="utf-8")


def build(root: Path, **more):
    settings = DatasetSettings(name="d", path=str(root), **more)
    manifest, rejects, _ = build_manifest(scan_images(root), settings, root)
    summary = summarise_manifest(manifest, rejects, ["class"])
    return manifest.set_index("path"), rejects, summary


def test_a_neighbour_of_the_same_instrument_tells(root, caplog):
    write(root, "pristine/a.jpg", mag="10.000", date="03/04/2024")
    write(root, "pristine/b.jpg", wd="9,5", date="31/05/2024")
    write(root, "aged/c.jpg")
    manifest, rejects, summary = build(root)
    row = manifest.loc["pristine/a.jpg"]
    assert row["magnification"] == 10_000
    assert row["acquired_at"] == datetime(2024, 4, 3, 10, 20, 30)
    assert row["written_as"] == "day first, decimal comma"
    assert manifest["written_as"].notna().sum() == 1
    assert rejects.empty
    expected = {"instrument": "JEOL 6510", "written_as": "day first, decimal comma", "images": 1}
    assert summary["metadata_styles"] == [expected]
    assert not caplog.records


def test_without_proof_the_values_are_left_out_and_noted(root):
    for place in ("pristine/a.jpg", "pristine/b.jpg"):
        write(root, place, mag="10.000", date="03/04/2024")
    manifest, rejects, summary = build(root)
    assert manifest["magnification"].isna().all()
    assert manifest["acquired_at"].isna().all()
    assert len(manifest) == 3
    assert rejects["reason"].tolist() == ["unclear_metadata"] * 2
    assert (summary["rejected"], summary["notes"]) == (0, {"unclear_metadata": 2})
    words = " ".join(rejects["detail"])
    assert "'10.000' may be 10.000 or 10000" in words
    assert "2 pictures of this kind" in words
    assert "dataset.metadata_format.dates: day_first or month_first" in words
    assert summary["metadata_styles"][0]["written_as"] == "unclear"


def test_the_user_tells(root):
    write(root, "pristine/a.jpg", mag="10.000", date="03/04/2024")
    stated = MetadataFormat(decimal=",", dates="month_first")
    manifest, rejects, _ = build(root, metadata_format=stated)
    row = manifest.loc["pristine/a.jpg"]
    assert row["magnification"] == 10_000
    assert row["acquired_at"] == datetime(2024, 3, 4, 10, 20, 30)
    assert rejects.empty


def test_pictures_that_disagree_are_told(root, caplog):
    write(root, "pristine/a.jpg", wd="9,5")
    write(root, "pristine/b.jpg", wd="9.5")
    write(root, "aged/c.jpg", mag="10.000")
    with caplog.at_level(logging.WARNING, logger="batteryscope"):
        manifest, rejects, _ = build(root)
    assert "a.jpg has the decimal comma, pristine/b.jpg the decimal point" in caplog.text
    assert "dataset.metadata_format.decimal" in caplog.text
    assert manifest.loc["pristine/a.jpg", "working_distance_mm"] == 9.5
    assert manifest.loc["pristine/b.jpg", "working_distance_mm"] == 9.5
    assert np.isnan(manifest.loc["aged/c.jpg", "magnification"])
    assert rejects["reason"].tolist() == ["unclear_metadata"]


def test_another_instrument_does_not_tell(root):
    write(root, "pristine/a.jpg", mag="10.000")
    write(root, "pristine/b.jpg", wd="9,5")
    other = root / "pristine/b.txt"
    other.write_text(other.read_text().replace("6510", "7000"))
    manifest, rejects, _ = build(root)
    assert np.isnan(manifest.loc["pristine/a.jpg", "magnification"])
    assert len(rejects) == 1


def test_labels_that_state_the_value_need_no_note(root):
    write(root, "pristine/a.jpg", mag="10.000")
    table = "file,class,magnification\na.jpg,x,1500\nb.jpg,x,1500\nc.jpg,y,1500\n"
    (root / "labels.csv").write_text(table)
    manifest, rejects, _ = build(root, labels={"source": "table", "table": "labels.csv"})
    assert (manifest["magnification"] == 1500).all()
    assert rejects.empty


def test_folder_names_that_may_be_two_numbers(root):
    (root / "aged").rename(root / "aged_10.000x")
    pattern = r"(?P<class>[a-z]+)(_(?P<magnification>[\d.]+)x)?$"
    _, rejects, _ = build(root, labels={"pattern": pattern})
    assert rejects["reason"].tolist() == ["wrong_label"]
    assert "may be 10.000 or 10000" in rejects["detail"][0]


def test_the_program_writes_the_decision(root, tmp_path):
    write(root, "pristine/a.jpg", mag="10.000")
    write(root, "aged/c.jpg", wd="9,5")
    out = tmp_path / "out"
    names = {"--manifest": "m.parquet", "--rejects": "r.csv", "--frames": "f.parquet"}
    arguments = [text for option, name in names.items() for text in (option, str(out / name))]
    settings = json.dumps({"name": "d", "path": str(root)})
    arguments += ["--summary", str(out / "s.json"), "--settings", settings]
    assert ingest_dataset.main(["--dataset", str(root), *arguments]) == 0
    summary = json.loads((out / "s.json").read_text())
    assert summary["metadata_styles"][0]["written_as"] == "decimal comma"


@pytest.mark.parametrize(
    "wrong", [{"path": None, "generator": {"kind": "sem_top_view"}}, {"volumes": {}}]
)
def test_a_statement_without_effect_is_refused(wrong):
    settings = {"name": "d", "path": "x", "metadata_format": {"decimal": ","}} | wrong
    with pytest.raises((ConfigError, InputError, ValueError), match="metadata_format is for"):
        DatasetSettings(**settings)


def test_a_tag_of_a_tiff_file_is_decided_too(root):
    grey = np.random.default_rng(5).integers(0, 255, (40, 40), dtype=np.uint8)
    for name, text in (("t", "AP_MAG\r\nMag = 10.000 X"), ("u", "AP_WD\r\nWD = 4.15 mm")):
        tag = f"{text}\r\nDP_SEM\r\nSem = Merlin\r\n\0".encode()
        tags = [(34118, 2, len(tag), tag, True)]
        tifffile.imwrite(root / f"aged/{name}.tif", grey + (name == "u"), extratags=tags)
    manifest, _, _ = build(root)
    assert manifest.loc["aged/t.tif", "magnification"] == 10
    assert manifest.loc["aged/t.tif", "written_as"] == "decimal point"
