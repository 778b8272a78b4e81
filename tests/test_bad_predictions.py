"""Twenty kinds of bad input of each sort: a row and a reason each, beside one good answer."""

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image

from batteryscope.bundle.predict_program import main as predict
from tests.test_bundle_integrity import BUNDLES

pytestmark = pytest.mark.usefixtures("one_thread")
GOOD_PICTURE = BUNDLES / "classes_of_images" / "input" / "first.png"
GOOD_SCAN = BUNDLES / "classes_of_scans" / "input" / "cell.tif"
Write = Callable[[Path], object]


def text(content: str | bytes) -> Write:
    data = content if isinstance(content, bytes) else content.encode()
    return lambda path: path.write_bytes(data)


def cut(source: Path, share: float) -> Write:
    return lambda path: path.write_bytes(source.read_bytes()[: int(share * source.stat().st_size)])


def tiff(pixels: np.ndarray, **how: object) -> Write:
    return lambda path: tifffile.imwrite(path, pixels, **how)  # type: ignore[arg-type]


def picture(pixels: np.ndarray) -> Write:
    return lambda path: Image.fromarray(pixels).save(path)


def spoil(source: Path) -> Write:
    """Change bytes in the middle of a file."""

    def write(path: Path) -> None:
        content = bytearray(source.read_bytes())
        middle = len(content) // 2
        content[middle : middle + 40] = bytes(40)
        path.write_bytes(content)

    return write


def array(values: np.ndarray) -> Write:
    def write(path: Path) -> None:
        with path.open("wb") as stream:
            np.save(stream, values)

    return write


PIXELS = np.asarray(Image.open(GOOD_PICTURE).convert("L"))
NANS = np.where(PIXELS > 100, np.nan, PIXELS).astype(np.float32)
HEADER = struct.pack(">IIBBBBB", 10**6, 10**6, 8, 0, 0, 0, 0)
PICTURES: dict[str, Write] = {
    "empty.png": text(""),
    "text.png": text("no picture"),
    "text.tif": text("no picture"),
    "text.jpg": text("no picture"),
    "text.bmp": text("no picture"),
    "page.png": text("<!DOCTYPE html><html></html>"),
    "pointer.png": text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"),
    "notes.xyz": text("other"),
    "film.mp4": text(b"\0\0\0\x18ftypmp42"),
    "cut_early.png": cut(GOOD_PICTURE, 0.02),
    "cut_late.png": cut(GOOD_PICTURE, 0.8),
    "spoiled.png": spoil(GOOD_PICTURE),
    "huge.png": text(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + HEADER + bytes(4)),
    "header.tif": text(b"II*\0\xff\xff\xff\x7f"),
    "header.jpg": text(b"\xff\xd8\xff\xe0\0\x10JFIF\0"),
    "black.png": picture(np.zeros_like(PIXELS)),
    "white.png": picture(np.full_like(PIXELS, 255)),
    "one_pixel.png": picture(PIXELS[:1, :1]),
    "narrow.png": picture(PIXELS[:, :5]),
    "floats.tif": tiff(NANS),
    "complex.tif": tiff(PIXELS.astype(np.complex64)),
}
SCAN = tifffile.imread(GOOD_SCAN)
FLOATS = SCAN.astype(np.float32)
SCANS: dict[str, Write] = {
    "empty.tif": text(""),
    "empty.npy": text(""),
    "text.tif": text("no scan"),
    "text.npy": text("no scan"),
    "text.nrrd": text("no scan"),
    "text.mha": text("no scan"),
    "text.isq": text("no scan"),
    "notes.xyz": text("other"),
    "pickled.npy": array(np.array([{"a": 1}], dtype=object)),
    "one_slice.npy": array(SCAN[0]),
    "four_axes.npy": array(np.stack([SCAN, SCAN])),
    "complex.npy": array(SCAN.astype(np.complex64)),
    "words.npy": array(np.array([["a"]])),
    "nothing.npy": array(SCAN[:0]),
    "nan.npy": array(np.full_like(FLOATS, np.nan)),
    "infinite.npy": array(np.where(FLOATS > 100, np.inf, FLOATS)),
    "air.npy": array(np.zeros_like(SCAN)),
    "noise.npy": array(np.random.default_rng(0).integers(0, 255, SCAN.shape, np.uint8)),
    "tiny.npy": array(np.ascontiguousarray(SCAN[:, :4, :4])),
    "cut.tif": cut(GOOD_SCAN, 0.5),
    "header.tif": text(b"II*\0\xff\xff\xff\x7f"),
}


def ask(kind: str, option: str, given: Path, out: Path) -> int:
    bundle = str(BUNDLES / kind / "bundle")
    more = ["--device", "cpu"] if option == "--images" else []
    return predict(["--bundle", bundle, option, str(given), "--out", str(out), *more])


def write_each(folder: Path, files: dict[str, Write]) -> None:
    """Write every file into a folder of its own: scans side by side would be slices of one."""
    for name, write in files.items():
        (folder / name.replace(".", "_")).mkdir(parents=True)
        write(folder / name.replace(".", "_") / name)


@pytest.mark.parametrize(
    ("kind", "good", "files"),
    [
        ("classes_of_images", GOOD_PICTURE, PICTURES),
        ("classes_of_scans", GOOD_SCAN, SCANS),
    ],
)
def test_bad_files_cost_themselves(
    kind: str, good: Path, files: dict[str, Write], tmp_path: Path, capfd
) -> None:
    folder, out = tmp_path / "given", tmp_path / "out.csv"
    write_each(folder, files)
    assert ask(kind, "--images", folder, out) == 1
    said = capfd.readouterr().err
    assert "Traceback" not in said
    assert "could be judged" in said
    (folder / "good").mkdir()
    (folder / "good" / good.name).write_bytes(good.read_bytes())
    assert ask(kind, "--images", folder, out) == 0
    said = capfd.readouterr().err
    assert "Traceback" not in said
    table = pd.read_csv(out, keep_default_na=False)
    if "level" in table:
        table = table[table["level"] == "cell"]
    is_good = table["file"].str.contains("good")
    assert (table["status"] == "ok").tolist() == is_good.tolist()
    assert is_good.sum() == 1
    bad = table[~is_good]
    assert (bad["status"] == "rejected").all()
    assert bad["reason"].str.fullmatch(r"[^\n]{20,}").all()
    assert not bad["reason"].str.contains("unexpected|Error").any(), bad["reason"].tolist()
    # What cannot be a scan by its name and first bytes has no row; a sentence counts it.
    silent = [n for n in files if not table["file"].str.contains(n.replace(".", "_")).any()]
    if silent:
        assert f"Left out as no scan: {len(silent)} files" in said


HEADER_LINE = "domain,solid_content_wt_percent,comma_gap_um,roll_gap_um\n"
ROW = "graphite,40,300,400\n"
TABLES = {
    "empty.csv": b"",
    "blank.csv": b"\n\n\n",
    "header.csv": HEADER_LINE.encode(),
    "no_header.csv": ROW.encode(),
    "picture.csv": GOOD_PICTURE.read_bytes(),
    "text.xlsx": b"no workbook",
    "twice.csv": f"comma_gap_um,{HEADER_LINE}300,{ROW}".encode(),
    "no_domain.csv": HEADER_LINE.replace("domain", "cell").encode() + ROW.encode(),
    "no_column.csv": b"domain,comma_gap_um,roll_gap_um\ngraphite,300,400\n",
    "words.csv": (HEADER_LINE + "graphite,forty,300,400\n").encode(),
    "infinite.csv": (HEADER_LINE + "graphite,inf,300,400\n").encode(),
    "other_domain.csv": (HEADER_LINE + "lfp,40,300,400\n").encode(),
    "gap.csv": (HEADER_LINE + "graphite,,300,400\n").encode(),
    "negative.csv": (HEADER_LINE + "graphite,-40,300,400\n").encode(),
    "unit.csv": (HEADER_LINE + "graphite,40 %,300,400\n").encode(),
    "more_cells.csv": (HEADER_LINE + "graphite,40,300,400,5\n").encode(),
    "fewer_cells.csv": (HEADER_LINE + "graphite,40\n").encode(),
    "damaged.parquet": b"PAR1 and no more",
    "cut.xlsx": b"PK\x03\x04\x14\0 and no more",
}


def test_there_are_twenty_kinds_of_each_sort() -> None:
    assert min(len(PICTURES), len(SCANS), len({*TABLES, "missing.csv"})) >= 20


@pytest.mark.parametrize("name", [*TABLES, "missing.csv"])
def test_a_bad_table_is_one_sentence(name: str, tmp_path: Path, capfd) -> None:
    if name in TABLES:
        (tmp_path / name).write_bytes(TABLES[name])
    assert ask("tables", "--table", tmp_path / name, tmp_path / "out.csv") == 1
    said = capfd.readouterr().err
    assert "Traceback" not in said
    assert len([line for line in said.splitlines() if line.startswith("ERROR: ")]) == 1
    assert name in said
