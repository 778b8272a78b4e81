"""What the fuzz run damages: every kind of file that users hand over, and how each is read."""

import shutil
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

MAX_PIXELS = 200_000_000  # of the settings
BUNDLES = Path(__file__).parent / "fixtures" / "bundles"
ENGLISH = "file,class,magnification,acquired_at\na.png,x,1500.5,2024-05-31 10:00:00\n" * 3
GERMAN = "Datei;Klasse;Ladung\nä.png;formiert;1.234,5\nö.png;neu;0,75\n" * 3
SIDECARS = {
    "sne": "[Image Info]\nModel : SNE\nDate : 2019-12-03 오후 8:14:33\nMagnification : x500\n"
    "[   - Working Distance]\nWorking Distance : 5,5mm\n",
    "jeol": "$CM_MAG 10.000\n$$SM_MICRON_BAR 100\n$$SM_MICRON_MARKER 10um\n$CM_ACCEL_VOLT 5.00\n"
    "$CM_DATE 03/04/2012\n$CM_TIME 10:11:12\n",
    "hitachi": "[SemImageFile]\nInstructName=S-4800\nPixelSize=99.2\nDataSize=56x40\n"
    "AcceleratingVoltage=5000 Volt\nWorkingDistance=8100 um\nDate=03/04/2012\nTime=10:11:12\n",
    "tescan": "[MAIN]\nPixelSizeX=1.2e-7\nHV=20000.0\nWD=0.0051\nMagnification=1000\n"
    "Date=2012-04-03\nTime=10:11:12\n",
    "thermo": "<?xml version='1.0'?><M><Optics><AccelerationVoltage>5000</AccelerationVoltage>"
    "<ScanFieldOfView><X>1e-4</X></ScanFieldOfView></Optics></M>",
}
ZEISS = "AP_MAG\r\nMag = 1.50 K X\r\nAP_WD\r\nWD = 4.1 mm\r\nAP_DATE\r\nDate :23 Dec 2015\r\n\0"
FEI = (
    "[User]\r\nDate=06/13/2016\r\nTime=05:06:40 PM\r\n"
    "[Beam]\r\nHV=5000\r\nBeam=EBeam\r\n[EBeam]\r\nWD=0.004\r\n\0"
)
TESCAN = b"".join(
    struct.pack("<IH", len(text) + 2, kind) + text
    for kind, text in (
        (1, b"\xff\xd8\xff"),
        (2, b"PixelSizeX=1.2e-7\r\nDate=2012-04-03\r\nTime=10:11:12\r\n"),
        (3, b"HV=20000.0\r\nWD=0.0051\r\n"),
        (0, b""),
    )
)


@dataclass(frozen=True)
class Kind:
    """How a sound file or folder is written, how a damaged one is read, and which part is damaged.

    ``read`` returns what came of it; it may raise an error for users, nothing else. ``damaged`` is
    the pattern of the files in a folder one of which is damaged.
    """

    write: Callable[[Path], object]
    read: Callable[[Path], str]
    damaged: str = "**/*"


def read_picture_or_scan(path: Path) -> str:
    """Read a picture, then the same as a scan."""
    from batteryscope.readers.picture import PictureError
    from batteryscope.readers.registry import is_picture_name, read_picture, read_size
    from batteryscope.readers.volumes import open_volume

    outcome = "read"
    for attempt in ("picture", "scan"):
        try:
            if attempt == "picture" and path.is_file() and is_picture_name(path.name):
                read_size(path)
                read_picture(path, max_pixels=MAX_PIXELS)
            elif attempt == "scan":
                volume = open_volume(path)
                _, height, width = volume.shape
                if height * width <= MAX_PIXELS:
                    for z in range(min(3, volume.shape[0])):
                        volume.read_slice(z)
            outcome = "read"
        except PictureError as error:
            if "\n" in error.detail:
                raise ValueError(f"more than a sentence: {error.detail}") from error
            outcome = error.reason
    return outcome


def read_table(path: Path) -> str:
    """Read a table as labels are read, and every column as numbers."""
    from batteryscope.config.dataset import LabelSettings
    from batteryscope.config.table_format import DatedTableFormat
    from batteryscope.errors import BatteryscopeError
    from batteryscope.manifest.label_table import SAY_LABELS, read_label_table
    from batteryscope.readers.table_lines import read_table_lines
    from batteryscope.readers.table_numbers import find_styles, parse_number, with_lines

    outcome = "read"
    try:
        titles, rows, _ = read_table_lines(path, DatedTableFormat(), SAY_LABELS)
        numbers = [n for n, _ in rows]
        columns = {
            f"{place} {title}": with_lines(
                numbers, [row[place] if place < len(row) else None for _, row in rows]
            )
            for place, title in enumerate(titles)
        }
        for name, style in find_styles(columns, "auto", path, SAY_LABELS).items():
            for _, cell in columns[name]:
                parse_number(cell, *style)
    except BatteryscopeError as error:
        outcome = _check_sentence(error)
    known = LabelSettings(source="table", table=path.name, file_column="file", columns=["class"])
    try:
        read_label_table(path, known)
    except BatteryscopeError as error:
        _check_sentence(error)
    return outcome


def read_beside(path: Path) -> str:
    """Read the picture beside a text file: whatever that holds, the picture is read."""
    from batteryscope.readers.registry import read_picture

    read_picture(path / "a.png", max_pixels=MAX_PIXELS)
    return "read"


def open_model(path: Path) -> str:
    """Open a published model."""
    from batteryscope.bundle.open import open_bundle
    from batteryscope.errors import BatteryscopeError
    from batteryscope.tables.bundle import load_table_bundle

    try:
        if path.name.startswith("tables"):
            load_table_bundle(path)
        else:
            open_bundle(path)
    except BatteryscopeError as error:
        return _check_sentence(error)
    return "read"


def list_corpus() -> dict[str, Kind]:
    """Return name → kind of everything that is damaged."""
    from tests.picture_corpus import CASES
    from tests.picture_writers import FRAME

    corpus = {name: Kind(case.write, read_picture_or_scan) for name, case in CASES.items()}
    corpus |= {name: Kind(write, read_picture_or_scan) for name, write in _list_scans().items()}
    corpus |= {name: Kind(write, read_table) for name, write in _list_tables().items()}
    for name, text in SIDECARS.items():
        corpus[f"beside_{name}"] = Kind(_write_beside(text), read_beside, "a.txt")
    for name, code, tag in (
        ("zeiss", 34118, ZEISS.encode("cp1252")),
        ("fei", 34682, FEI.encode("cp1252")),
        ("tescan", 50431, TESCAN),
    ):
        corpus[f"{name}.tif"] = Kind(_write_tagged(FRAME, code, tag), read_picture_or_scan)
    for folder in sorted(p for p in BUNDLES.iterdir() if p.is_dir()):
        for pattern in ("bundle.json", "*.json", "*.csv"):
            name = f"{folder.name}_{pattern.strip('*.')}"
            if any((folder / "bundle").glob(pattern)):
                corpus[name] = Kind(_copy_unsealed(folder / "bundle"), open_model, pattern)
    return corpus


def _check_sentence(error: Exception) -> str:
    if "\n" in str(error) or not str(error).strip():
        raise ValueError(f"not a sentence: {error}") from error
    return "refused"


def _write_beside(text: str) -> Callable[[Path], object]:
    def write(path: Path) -> None:
        from PIL import Image

        from tests.picture_writers import FRAME

        path.mkdir()
        Image.fromarray(FRAME).save(path / "a.png")
        (path / "a.txt").write_text(text, encoding="utf-8")

    return write


def _write_tagged(frame: np.ndarray, code: int, tag: bytes) -> Callable[[Path], object]:
    import tifffile

    return lambda path: tifffile.imwrite(path, frame, extratags=[(code, 2, len(tag), tag, True)])


def _copy_unsealed(folder: Path) -> Callable[[Path], object]:
    """A bundle without the list of its files, which would notice all damage at once."""
    return lambda path: shutil.copytree(
        folder, path, ignore=shutil.ignore_patterns("digest.json", "*.md")
    )


def _list_tables() -> dict[str, Callable[[Path], object]]:
    import openpyxl
    import pandas as pd

    def write_excel(path: Path) -> None:
        book = openpyxl.Workbook()
        for line in ENGLISH.splitlines():
            book.active.append(line.split(","))
        book.active.append(["b.png", 5, 1.25, "=A1"])
        book.save(path)

    def write_parquet(path: Path) -> None:
        table = pd.DataFrame(
            {"class": ["x", "y"], "load": [1.5, None], "n": pd.Categorical(["a", "b"])}
        )
        table.set_index("class").to_parquet(path)

    return {
        "english.csv": lambda p: p.write_text(ENGLISH, encoding="utf-8"),
        "german.csv": lambda p: p.write_text("sep=;\n" + GERMAN, encoding="cp1252"),
        "utf16.csv": lambda p: p.write_text(GERMAN, encoding="utf-16"),
        "tabs.csv": lambda p: p.write_text(GERMAN.replace(";", "\t"), encoding="utf-8-sig"),
        "sheet.xlsx": write_excel,
        "table.parquet": write_parquet,
    }


def _list_scans() -> dict[str, Callable[[Path], object]]:
    import imagecodecs
    import tifffile
    from pydicom.uid import HTJ2KLossless, JPEGLosslessSV1, JPEGLSLossless

    from tests.dicom_scans import SCAN, write_enhanced, write_packed
    from tests.test_readers_volumes import write_dicom, write_isq, write_zarr

    scan = np.random.default_rng(3).integers(0, 4000, (4, 20, 24), dtype=np.uint16)
    small = np.arange(5 * 12 * 9).reshape(5, 12, 9).astype(np.int16)
    return {
        "stack.tif": lambda p: tifffile.imwrite(p, scan),
        "packed_stack.tif": lambda p: tifffile.imwrite(p, scan, compression="zlib"),
        "imagej.tif": lambda p: tifffile.imwrite(
            p, scan, imagej=True, resolution=(2, 2), metadata={"unit": "um", "axes": "ZYX"}
        ),
        "ome.ome.tif": lambda p: tifffile.imwrite(
            p, scan, metadata={"axes": "ZYX", "PhysicalSizeX": 2.5}
        ),
        "scan.npy": lambda p: np.save(p, scan),
        "cell.isq": lambda p: write_isq(p, small),
        "frames.dcm": lambda p: write_enhanced(p, [0.2, 0.0, 0.1]),
        "jpegls.dcm": lambda p: write_packed(p, JPEGLSLossless, imagecodecs.jpegls_encode(SCAN[0])),
        "lossless.dcm": lambda p: write_packed(
            p, JPEGLosslessSV1, imagecodecs.jpeg8_encode(SCAN[0], lossless=True, bitspersample=16)
        ),
        "htj2k.dcm": lambda p: write_packed(
            p, HTJ2KLossless, imagecodecs.htj2k_encode(SCAN[0], reversible=True)
        ),
        "series": lambda p: write_dicom(p, [0.0, 0.1, 0.2]),
        "store.zarr": write_zarr,
    }
