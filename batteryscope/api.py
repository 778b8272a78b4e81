"""What Python programs of users get by ``import batteryscope as bs``; its names stay.

import batteryscope as bs

model = bs.load("models/cathode_state")
answers = model.predict("new_frames")          # a row per picture
tables = bs.results("cathode_state")           # what a study has found
"""

import os
from collections.abc import Mapping
from copy import copy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from batteryscope.bundle.open import open_bundle, samples_of_bundle
from batteryscope.bundle.picture_bundle import PictureBundle
from batteryscope.core.named_function import load_function
from batteryscope.errors import InputError
from batteryscope.planning.study_layout import REPORTS
from batteryscope.readers.picture import Picture
from batteryscope.readers.registry import read_picture as read_picture_file
from batteryscope.readers.volume import Volume
from batteryscope.readers.volumes import open_volume
from batteryscope.samples.choose import samples_cut_by
from batteryscope.tables.bundle import TableBundle, answer_rows, load_table_bundle

MAX_PIXELS = 200_000_000  # of a picture, as the default of dataset.max_pixels


class Model:
    """A published model, ready to answer. :func:`load` makes one.

    Attributes
    ----------
    folder
        Where it lies.
    """

    def __init__(self, folder: Path, bundle: "PictureBundle[Any] | TableBundle") -> None:
        self.folder = folder
        self._bundle = bundle

    @property
    def study(self) -> str:
        """The study that it comes from."""
        return str(self._bundle.record.study)

    def __repr__(self) -> str:
        return f"<Model of {self.study} in {self.folder}>"

    def predict(self, data: Any, *, answer_anyway: bool = False, slices: str = "") -> pd.DataFrame:
        """Answer about pictures, scans or rows, as ``batteryscope predict`` does.

        Parameters
        ----------
        data
            Of pictures and scans: a file, a folder, a sequence of files, an array of grey levels
            (rows × columns, uint8 or uint16), a sequence of such arrays, or a dict of them by
            name. Of rows: a DataFrame whose columns are the features in
            the units of the study (and ``domain``), or a CSV file of that kind.
        answer_anyway
            Whether what is unlike all that the model was trained on is answered all the same.
        slices
            Of scans: ``FIRST:LAST:STEP``; empty: all.

        Returns
        -------
        DataFrame
            A row per picture, slice and cell, or row: ``status``, ``reason``, the answer, and how
            sure it is. A file that cannot be read has ``status`` rejected, and a reason.

        Raises
        ------
        InputError
            There is no such file, no picture in a folder, or an array is no picture.
        """
        if isinstance(self._bundle, TableBundle):
            rows = data if isinstance(data, pd.DataFrame) else pd.read_csv(_find(data))
            return answer_rows(rows, self._bundle, answer_anyway)
        bundle = copy(self._bundle)  # what is asked once stays with no later question
        bundle.answer_anyway = answer_anyway
        judge = samples_cut_by(bundle.record.preprocess).modules.predict
        with TemporaryDirectory() as held:
            if isinstance(data, str | Path) and (folder := _find(data)).is_dir():
                judged = load_function(judge, "judge_folder")(bundle, folder, slices)
            else:
                root, names = _list_files(data, Path(held))
                judged = load_function(judge, "judge_files")(bundle, root, names, slices)
            return pd.DataFrame(list(judged.rows), columns=judged.columns)


def load(folder: str | Path) -> Model:
    """Load a published model.

    Parameters
    ----------
    folder
        Such as ``models/cathode_state``.

    Raises
    ------
    InputError
        There is none, or it is damaged.
    """
    place = Path(folder)
    if samples_of_bundle(place).learnt_from == "rows":
        return Model(place, load_table_bundle(place))
    return Model(place, open_bundle(place))


def read_picture(path: str | Path, max_pixels: int = MAX_PIXELS) -> Picture:
    """Read a picture of a microscope: grey levels as a viewer shows them, and its metadata.

    Parameters
    ----------
    path
        JPEG, PNG, BMP or TIFF; a text file of the microscope beside it is read, too.
    max_pixels
        Largest width × height.

    Returns
    -------
    Picture
        ``pixels`` (rows × columns), ``bit_depth``, ``metadata`` (pixel size, magnification,
        voltage, …).

    Raises
    ------
    InputError
        There is no such file.
    PictureError
        It cannot be read; ``reason`` says in a word why.
    """
    return read_picture_file(_find(path), max_pixels=max_pixels)


def read_volume(path: str | Path) -> Volume:
    """Open a CT scan without reading it: a TIFF stack, a folder of slices, NRRD, DICOM, Zarr, raw.

    Returns
    -------
    Volume
        ``shape`` (slices, rows, columns), ``voxel_size_um``, and ``read_slice(z)``, which returns
        grey levels (rows × columns).

    Raises
    ------
    InputError
        It is not there, or no scan.
    """
    return open_volume(_find(path))


def results(study: str, project: str | Path = ".") -> dict[str, pd.DataFrame]:
    """Read the tables of a published study.

    Parameters
    ----------
    study
        Its name.
    project
        The project's folder.

    Returns
    -------
    dict of str to DataFrame
        ``comparison`` (a row per arm, level and metric), ``metrics`` (``name``, ``value``), and
        the tables behind the report by the names of their files, such as ``history``.

    Raises
    ------
    InputError
        It is not published there.
    """
    folder = Path(project) / REPORTS / study
    if not (folder / "comparison.csv").is_file():
        there = sorted(p.parent.name for p in (Path(project) / REPORTS).glob("*/comparison.csv"))
        raise InputError(
            f"{folder}: no results of '{study}'; published there: {', '.join(there) or 'nothing'}."
        )
    metrics = pd.read_json(folder / "metrics.json", typ="series", convert_dates=False)
    found = {"metrics": metrics.rename_axis("name").rename("value").reset_index()}
    for path in (folder / "comparison.csv", *sorted((folder / "tables").glob("*.csv"))):
        found[path.stem] = pd.read_csv(path)
    return found


def _find(path: str | Path) -> Path:
    found = Path(path)
    if not found.exists():
        raise InputError(f"{found}: there is no such file or folder.")
    return found


def _list_files(data: Any, held: Path) -> tuple[Path, list[str]]:
    """Return a folder, and names in it of what is to be judged; arrays are written to ``held``."""
    if isinstance(data, str | Path | np.ndarray):
        data = [data]
    named = data.items() if isinstance(data, Mapping) else enumerate(data, 1)
    items = [(name if isinstance(name, str) else f"{name:04}", item) for name, item in named]
    if not items:
        raise InputError("There is nothing to judge; give a file, a folder or an array.")
    paths = [_find(item).absolute() for _, item in items if isinstance(item, str | Path)]
    if len(paths) not in (0, len(items)):
        raise InputError("Files and arrays are asked about one after the other, not together.")
    if paths:
        root = Path(os.path.commonpath([path.parent for path in paths]))
        return root, [path.relative_to(root).as_posix() for path in paths]
    for name, item in items:
        _write_picture(np.asarray(item), held, name)
    return held, [f"{name}.png" for name, _ in items]


def _write_picture(pixels: NDArray[Any], folder: Path, name: str) -> None:
    """Write a PNG, which keeps grey levels as they are."""
    if not name or "/" in name or name.startswith("."):
        raise InputError(f"'{name}': no name of a picture; leave out slashes and leading dots.")
    if pixels.ndim != 2 or pixels.dtype not in (np.uint8, np.uint16) or pixels.size == 0:
        raise InputError(
            f"{name}: found an array {pixels.dtype} of shape {pixels.shape}; expected grey "
            "levels uint8 or uint16 (rows × columns)."
        )
    Image.fromarray(pixels).save(folder / f"{name}.png")
