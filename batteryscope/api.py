"""What Python programs of users get by ``import batteryscope as bs``; its names stay.

import batteryscope as bs

model = bs.load("models/cathode_state")
answers = model.predict("new_frames")          # a row per picture
tables = bs.results("cathode_state")           # what a study has found
"""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from batteryscope.bundle.asker import Asker, find_path
from batteryscope.bundle.open import open_asker
from batteryscope.errors import InputError
from batteryscope.planning.study_layout import REPORTS
from batteryscope.readers.picture import Picture
from batteryscope.readers.registry import read_picture as read_picture_file
from batteryscope.readers.volume import Volume
from batteryscope.readers.volumes import open_volume

MAX_PIXELS = 200_000_000  # of a picture, as the default of dataset.max_pixels


class Model:
    """A published model, ready to answer. :func:`load` makes one.

    Attributes
    ----------
    folder
        Where it lies.
    """

    def __init__(self, folder: Path, asker: Asker) -> None:
        self.folder = folder
        self._asker = asker

    @property
    def study(self) -> str:
        """The study that it comes from."""
        return self._asker.study

    def __repr__(self) -> str:
        return f"<Model of {self.study} in {self.folder}>"

    @property
    def covariates(self) -> pd.DataFrame:
        """What :meth:`predict` is given beside pictures or scans; no row for most models.

        ``column``: its title in tables; ``label``, ``unit``; ``lowest`` and ``highest`` of the
        training; ``names``, of covariates that are no numbers, those of the training.
        """
        rows = [
            {
                "column": c.column,
                "label": c.label,
                "unit": c.unit,
                "lowest": None if c.categories else c.ranges[0][0],
                "highest": None if c.categories else c.ranges[0][1],
                "names": c.seen if c.categories else "",
            }
            for c in self._asker.covariates
        ]
        return pd.DataFrame(rows, columns=["column", "label", "unit", "lowest", "highest", "names"])

    def predict(
        self,
        data: Any,
        *,
        answer_anyway: bool = False,
        slices: str = "",
        covariates: pd.DataFrame | str | Path | None = None,
    ) -> pd.DataFrame:
        """Answer about pictures, scans or rows, as ``batteryscope predict`` does.

        Parameters
        ----------
        data
            Of pictures and scans: a file, a folder, a sequence of files, an array of grey levels
            (rows × columns, uint8 or uint16), a sequence of such arrays, or a dict of them by
            name. Of pictures also what :func:`read_picture` returns, with its pixel size and bit
            depth, which arrays do not have. Of rows: a DataFrame whose columns are the features in
            the units of the study (and ``domain``), or a table as a file.
        answer_anyway
            Whether what is unlike all that the model was trained on is answered all the same.
        slices
            Of scans: ``FIRST:LAST:STEP``; empty: all.
        covariates
            Of models with :attr:`covariates`: a DataFrame or a table as a file, a row for every
            picture or scan, with its name and the columns of the training.

        Returns
        -------
        DataFrame
            A row per picture, slice and cell, or row: ``status``, ``reason``, the answer, and how
            sure it is. A file that cannot be read has ``status`` rejected, and a reason.

        Raises
        ------
        InputError
            There is no such file, no picture in a folder, an array is no picture, two have one
            name, ``slices`` are asked of what has none, or covariates lack or are not needed.
        """
        return self._asker.answer(data, answer_anyway, slices, covariates)


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
    return Model(Path(folder), open_asker(Path(folder)))


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
    return read_picture_file(find_path(path), max_pixels=max_pixels)


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
    return open_volume(find_path(path))


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
    if not (folder / "metrics.json").is_file():
        raise InputError(
            f"{folder}: metrics.json is missing beside comparison.csv; publish '{study}' again."
        )
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    found = {"metrics": pd.DataFrame(metrics.items(), columns=["name", "value"])}
    for path in (folder / "comparison.csv", *sorted((folder / "tables").glob("*.csv"))):
        found[path.stem] = pd.read_csv(path)
    return found
