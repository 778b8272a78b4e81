"""Published models asked from Python: about files, folders and arrays of grey levels."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from batteryscope.bundle.ask import answer_encoded
from batteryscope.bundle.covariates import HELD_TABLE, CovariateSource, hold_table
from batteryscope.bundle.output import Judged
from batteryscope.bundle.picture_bundle import PictureBundle
from batteryscope.bundle.record import TrainedCovariate
from batteryscope.errors import InputError
from batteryscope.readers.picture import Picture
from batteryscope.samples.choose import samples_cut_by


class Asker(Protocol):
    """A model that is ready to answer, whatever it judges."""

    @property
    def study(self) -> str:
        """The study that it comes from."""

    @property
    def covariates(self) -> Sequence[TrainedCovariate]:
        """What it is given beside pictures or scans."""

    def answer(
        self, data: Any, answer_anyway: bool, slices: str, covariates: Any = None
    ) -> pd.DataFrame:
        """Return the rows that programs write about the same data."""

    def answer_request(
        self, asked: pd.DataFrame, answer_anyway: bool = False, slices: str = ""
    ) -> pd.DataFrame:
        """Return the same of what a model that is served is given, which is a table."""


@dataclass(frozen=True)
class PictureAsker:
    """A model of pictures or scans.

    Attributes
    ----------
    bundle
        The model.
    judge_folder, judge_files
        What judges all of a folder, and named files in one.
    """

    bundle: PictureBundle[Any]
    judge_folder: Callable[[PictureBundle[Any], Path, str, CovariateSource | None], Judged]
    judge_files: Callable[
        [PictureBundle[Any], Path, list[str], str, CovariateSource | None], Judged
    ]

    @property
    def study(self) -> str:
        """The study that it comes from."""
        return str(self.bundle.record.study)

    @property
    def covariates(self) -> Sequence[TrainedCovariate]:
        """What the models are given beside the picture."""
        return tuple(self.bundle.record.covariates)

    def answer(
        self, data: Any, answer_anyway: bool, slices: str, covariates: Any = None
    ) -> pd.DataFrame:
        """Answer about a file, a folder, a picture, an array, or several of one of them.

        ``covariates``: a table with a row for each, for models that are given any.

        Raises
        ------
        InputError
            It is none of these, or something is asked that this kind of model does not do.
        """
        samples = samples_cut_by(self.bundle.record.preprocess)
        if slices and "slices" not in samples.options:
            raise InputError(f"slices: {samples.several} have none; leave it out.")
        bundle = copy(self.bundle)  # what is asked once stays with no later question
        bundle.answer_anyway = answer_anyway
        with TemporaryDirectory() as held:
            try:
                judged = self._judge(bundle, data, slices, covariates, Path(held))
            except InputError as error:  # a DataFrame has no place on a disk
                text = str(error).replace(str(Path(held) / HELD_TABLE), "covariates")
                raise InputError(text) from None
            return pd.DataFrame(list(judged.rows), columns=judged.columns)

    def answer_request(
        self, asked: pd.DataFrame, answer_anyway: bool = False, slices: str = ""
    ) -> pd.DataFrame:
        """Answer about files in base64 (:func:`batteryscope.bundle.ask.answer_encoded`)."""
        return answer_encoded(self.bundle, asked, answer_anyway, slices)

    def _judge(
        self, bundle: PictureBundle[Any], data: Any, slices: str, covariates: Any, held: Path
    ) -> Judged:
        """Find what is to be judged; ``held`` keeps what is no file."""
        source = self._find_source(covariates, held)
        if isinstance(data, str | Path) and (folder := find_path(data)).is_dir():
            return self.judge_folder(bundle, folder, slices, source)
        items = name_items(data)
        bundle.pictures = pick_pictures(items)
        if bundle.pictures:
            judges_scans = "slices" in samples_cut_by(bundle.record.preprocess).options
            self._check_pictures(bundle.pictures, judges_scans)
        files = list_files(items, held)
        return self.judge_files(bundle, *files, slices, source)

    def _find_source(self, covariates: Any, held: Path) -> CovariateSource | None:
        """Return the table of what stands beside the pictures; None for models that take none."""
        needed = self.covariates
        titles = ", ".join(covariate.title for covariate in needed)
        if covariates is None and not needed:
            return None
        if not needed:
            raise InputError(
                f"covariates: the models of study '{self.study}' are given nothing beside the "
                "picture; leave it out."
            )
        if isinstance(covariates, str | Path):
            return CovariateSource(find_path(covariates))
        columns = [needed[0].sample_column, *(covariate.column for covariate in needed)]
        if not isinstance(covariates, pd.DataFrame):
            found = "nothing" if covariates is None else type(covariates).__name__
            raise InputError(
                f"covariates: found {found}; the models of study '{self.study}' are given {titles} "
                "beside the picture: give a DataFrame or a table as a file, with a row for every "
                f"file and the columns {', '.join(columns)}."
            )
        if columns[0] in covariates.index.names:
            covariates = covariates.reset_index()
        if missing := [name for name in columns if name not in covariates]:
            raise InputError(
                f"covariates: found the columns {', '.join(map(str, covariates))}; expected "
                f"{', '.join(columns)}; add {', '.join(missing)}."
            )
        return hold_table(covariates, held, columns[0])

    def _check_pictures(self, pictures: Mapping[str, Picture], judges_scans: bool) -> None:
        """Refuse pictures that cannot be judged as their files would be."""
        if judges_scans:
            raise InputError(
                f"{self.study} judges scans: give their files or folders, or arrays of grey "
                "levels, not pictures of read_picture."
            )
        for file, picture in pictures.items():
            lacks = picture.is_coloured and picture.colours is None
            if lacks and self.bundle.record.preprocess.keeps_colours:
                raise InputError(
                    f"{file}: {self.study} looks at colours, which read_picture does not keep; "
                    "give the file itself."
                )


def find_path(path: str | Path) -> Path:
    """Return a path that is there.

    Raises
    ------
    InputError
        It is not.
    """
    found = Path(path)
    if not found.exists():
        raise InputError(f"{found}: there is no such file or folder.")
    return found


def name_items(data: Any) -> list[tuple[str, Any]]:
    """Return what is to be judged with its names: paths, arrays and pictures.

    Raises
    ------
    InputError
        There is nothing, or something else, or two things have one name.
    """
    if isinstance(data, str | Path | np.ndarray | Picture):
        data = [data]
    # Bytes are a sequence of numbers, and nobody means that.
    if isinstance(data, bytes | bytearray) or not isinstance(data, Iterable):
        raise InputError(
            f"found {type(data).__name__}; give a file, a folder, a picture of read_picture, an "
            "array of grey levels, a list of one of these, or a dict of them by name."
        )
    named = data.items() if isinstance(data, Mapping) else enumerate(data, 1)
    items = []
    for name, item in named:
        if not isinstance(name, str | Integral):
            raise InputError(f"{name!r}: no name of a picture; give a text or a whole number.")
        items.append((name if isinstance(name, str) else f"{name:04}", item))
    if not items:
        raise InputError("There is nothing to judge; give a file, a folder or an array.")
    # Two names that differ by case alone are one file on some disks.
    counted = Counter(name.casefold() for name, _ in items)
    if twice := [name for name, _ in items if counted[name.casefold()] > 1]:
        raise InputError(f"{', '.join(twice)}: names of one file; give each its own name.")
    return items


def pick_pictures(items: Sequence[tuple[str, Any]]) -> dict[str, Picture]:
    """Return the pictures that were read already, by the name that their row has."""
    return {f"{name}.png": item for name, item in items if isinstance(item, Picture)}


def list_files(items: Sequence[tuple[str, Any]], held: Path) -> tuple[Path, list[str]]:
    """Return a folder, and names in it of what is to be judged; arrays are written to ``held``."""
    paths = [find_path(item).absolute() for _, item in items if isinstance(item, str | Path)]
    if len(paths) not in (0, len(items)):
        raise InputError("Files and arrays are asked about one after the other, not together.")
    if paths:
        root = Path(os.path.commonpath([path.parent for path in paths]))
        return root, [path.relative_to(root).as_posix() for path in paths]
    for name, item in items:
        _check_name(name)
        if not isinstance(item, Picture):  # which is judged as it is
            _write_picture(np.asarray(item), held, name)
    return held, [f"{name}.png" for name, _ in items]


def _check_name(name: str) -> None:
    if not name or "/" in name or name.startswith("."):
        raise InputError(f"'{name}': no name of a picture; leave out slashes and leading dots.")


def _write_picture(pixels: NDArray[Any], folder: Path, name: str) -> None:
    """Write a PNG, which keeps grey levels as they are."""
    if pixels.ndim != 2 or pixels.dtype not in (np.uint8, np.uint16) or pixels.size == 0:
        raise InputError(
            f"{name}: found an array {pixels.dtype} of shape {pixels.shape}; expected grey "
            "levels uint8 or uint16 (rows × columns)."
        )
    Image.fromarray(pixels).save(folder / f"{name}.png")
