"""Files of strangers run no code, leave no folder and fill no memory."""

import itertools
import json
import os
import pickle
import shutil
import struct
import tempfile
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from openpyxl import Workbook
from PIL import Image
from pydicom.uid import DeflatedExplicitVRLittleEndian

from batteryscope.bundle.integrity import check_seal, seal_bundle
from batteryscope.config.table_format import TableFormat
from batteryscope.core.safe_text import guard_csv
from batteryscope.errors import InputError
from batteryscope.models.weights import read_weights
from batteryscope.readers import dicom_header, table_sheets
from batteryscope.readers.mask import read_mask
from batteryscope.readers.picture import PictureError
from batteryscope.readers.table_lines import name_setting, read_table_lines
from batteryscope.readers.volumes import open_volume
from batteryscope.report.read_pieces import read_files
from batteryscope.tilestore import INDEX_NAME, TILES_NAME, TileStore
from batteryscope.training.fit_integrity import is_readable_checkpoint
from batteryscope.workflow.run_start import claim_scratch
from tests.dicom_scans import SCAN, make_slice
from tests.test_bundle_integrity import BUNDLES

ZARR = {
    "zarr_format": 2, "shape": [2, 8, 8], "chunks": [2, 8, 8], "dtype": "|u1", "compressor": None,
    "fill_value": 0, "order": "C", "filters": None, "dimension_separator": ".",
}  # fmt: skip
SAY = name_setting("dataset.files.table_format")


class Attack:
    """Unpickling it makes a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


@pytest.fixture
def attack(tmp_path):
    """What runs code where anything unpickles it."""
    mark = tmp_path / "attacked"
    pickle.loads(pickle.dumps(Attack(mark)))  # it works
    mark.rmdir()
    yield Attack(mark)
    assert not mark.exists()


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".safetensors", ".ckpt"])
@pytest.mark.parametrize("kind", ["torch", "pickle"])
def test_weights_run_no_code(tmp_path, attack, suffix, kind) -> None:
    path = tmp_path / f"weights{suffix}"
    if kind == "torch":
        torch.save({"state_dict": {"weight": attack}}, path)
    else:
        path.write_bytes(pickle.dumps(attack))
    with pytest.raises(InputError, match="not a readable weights file"):
        read_weights(path)
    assert not is_readable_checkpoint(path)


@pytest.mark.parametrize("codec", ["compressor", "filters"])
def test_zarr_stores_run_no_code(tmp_path, attack, codec) -> None:
    store = tmp_path / "scan.zarr"
    store.mkdir()
    named = {"id": "pickle"}
    changed = {codec: named if codec == "compressor" else [named]}
    (store / ".zarray").write_text(json.dumps(ZARR | changed))
    (store / "0.0.0").write_bytes(pickle.dumps(attack))
    with pytest.raises(PictureError):
        open_volume(store).load(0)


def test_arrays_run_no_code(tmp_path, attack) -> None:
    np.save(tmp_path / "scan.npy", np.array([attack], dtype=object), allow_pickle=True)
    with pytest.raises(PictureError):
        open_volume(tmp_path / "scan.npy")
    pd.DataFrame({"tile": [0], "used": [True]}).to_parquet(tmp_path / INDEX_NAME)
    shutil.copyfile(tmp_path / "scan.npy", tmp_path / TILES_NAME)
    with pytest.raises(ValueError, match="Python objects"):
        TileStore.open(tmp_path)
    (tmp_path / TILES_NAME).write_bytes(pickle.dumps(attack))
    with pytest.raises(ValueError, match="pickle"):
        TileStore.open(tmp_path)


@pytest.mark.parametrize("suffix", [".csv", ".xlsx", ".parquet", ".pkl"])
def test_tables_run_no_code(tmp_path, attack, suffix) -> None:
    path = tmp_path / f"table{suffix}"
    path.write_bytes(pickle.dumps(attack))
    with pytest.raises(InputError):
        read_table_lines(path, TableFormat(), SAY)


@pytest.mark.parametrize("name", ["../outside.txt", "/etc/hostname"])
def test_files_of_a_bundle_lie_in_it(tmp_path, name) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(BUNDLES / "tables" / "bundle", bundle)
    (tmp_path / "outside.txt").touch()
    seal_bundle(bundle)
    check_seal(bundle)
    sealed = json.loads((bundle / "digest.json").read_text())
    sealed["files"][name] = "0" * 64
    (bundle / "digest.json").write_text(json.dumps(sealed))
    with pytest.raises(InputError, match="which lies outside of the bundle"):
        check_seal(bundle)


def test_mask_is_not_unpacked_before_its_size_is_known(tmp_path) -> None:
    header = struct.pack(">IIBBBBB", 30_000, 30_000, 1, 0, 0, 0, 0)
    with (tmp_path / "a.png").open("wb") as stream:
        stream.write(b"\x89PNG\r\n\x1a\n")
        for name, data in ((b"IHDR", header), (b"IDAT", zlib.compress(b""))):
            stream.write(struct.pack(">I", len(data)) + name + data)
            stream.write(struct.pack(">I", zlib.crc32(name + data)))
    with pytest.raises(InputError, match=r"a\.png: the mask"):
        read_mask(tmp_path, "a.jpg", (20, 30))
    Image.new("L", (30, 20), 1).save(tmp_path / "b.png")
    assert read_mask(tmp_path, "b.jpg", (20, 30)).all()


def test_sheet_that_grows_beyond_measure_is_refused(tmp_path, monkeypatch) -> None:
    book = Workbook()
    book.active.append(["a", "b"])
    book.active.append([1, 2])
    book.save(tmp_path / "table.xlsx")
    assert len(read_table_lines(tmp_path / "table.xlsx", TableFormat(), SAY)[1]) == 1
    with zipfile.ZipFile(tmp_path / "table.xlsx", "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet2.xml", bytes(65_000_000))
    with pytest.raises(InputError, match=r"0\.1 MB would unpack to 65 MB"):
        read_table_lines(tmp_path / "table.xlsx", TableFormat(), SAY)


def test_sheet_expands_no_entities(tmp_path) -> None:
    Workbook().save(tmp_path / "plain.xlsx")
    entities = '<!ENTITY a "aaaaaaaaaa">' + "".join(
        f'<!ENTITY {name} "{f"&{before};" * 10}">'
        for before, name in itertools.pairwise("abcdefghij")
    )
    sheet = (
        f'<?xml version="1.0"?><!DOCTYPE x [{entities}]>'
        '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
        '<row r="1"><c r="A1" t="inlineStr"><is><t>&j;</t></is></c></row></sheetData></worksheet>'
    )
    with (
        zipfile.ZipFile(tmp_path / "plain.xlsx") as plain,
        zipfile.ZipFile(tmp_path / "table.xlsx", "w") as table,
    ):
        for name in plain.namelist():
            table.writestr(name, sheet if name.endswith("sheet1.xml") else plain.read(name))
    with pytest.raises(InputError, match="not a readable Excel file"):
        read_table_lines(tmp_path / "table.xlsx", TableFormat(), SAY)


def test_parquet_with_more_cells_than_a_table_is_refused(tmp_path, monkeypatch) -> None:
    path = tmp_path / "table.parquet"
    pq.write_table(pa.table({"a": [1, 2, 3], "b": [1, 2, 3]}), path)
    assert len(read_table_lines(path, TableFormat(), SAY)[1]) == 3
    monkeypatch.setattr(table_sheets, "MOST_CELLS", 5)
    with pytest.raises(InputError, match="announces 3 rows of 2 columns, more than 5 cells"):
        read_table_lines(path, TableFormat(), SAY)


def test_deflated_dicom_that_grows_beyond_measure_is_refused(tmp_path, monkeypatch) -> None:
    path = tmp_path / "a.dcm"
    scan = make_slice(SCAN[0], 1, 0.0, DeflatedExplicitVRLittleEndian)
    scan.save_as(path, enforce_file_format=True)
    assert dicom_header.read_header(path).is_deflated
    monkeypatch.setattr(dicom_header, "LARGEST_INFLATED_BYTES", 100)
    with pytest.raises(PictureError, match="unpacks to more than"):
        dicom_header.read_header(path)


def test_tables_of_a_report_hold_no_formulas(tmp_path) -> None:
    hostile = b'=class,n\n"=HYPERLINK(""x"")",-2\n'
    (tmp_path / "per_class.csv").write_bytes(hostile)
    (tmp_path / "metrics.json").write_bytes(b"=1")
    read = read_files(tmp_path, ("per_class.csv", "metrics.json", "none.csv"))
    guarded = hostile.replace(b"=class", b"'=class").replace(b"=HYP", b"'=HYP")
    assert read == {"per_class.csv": guarded, "metrics.json": b"=1"}
    plain = b'a,"b ""c"""\r\n-1.5,"x, y"\r\n'
    assert guard_csv(plain) == plain


def test_scratch_is_private_whatever_the_umask(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = os.umask(0)
    try:
        scratch = claim_scratch(tmp_path)
    finally:
        os.umask(before)
    assert scratch.folder.stat().st_mode & 0o777 == 0o700  # the server of forks listens in it
    scratch.remove()
