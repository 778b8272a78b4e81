"""Published models asked from Python: about files, folders and arrays of grey levels."""

import os
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from batteryscope.bundle.output import Judged
from batteryscope.bundle.picture_bundle import PictureBundle
from batteryscope.errors import InputError


class Asker(Protocol):
    """A model that is ready to answer, whatever it judges."""

    @property
    def study(self) -> str:
        """The study that it comes from."""

    def answer(self, data: Any, answer_anyway: bool, slices: str) -> pd.DataFrame:
        """Return the rows that programs write about the same data."""


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
    judge_folder: Callable[[PictureBundle[Any], Path, str], Judged]
    judge_files: Callable[[PictureBundle[Any], Path, list[str], str], Judged]

    @property
    def study(self) -> str:
        """The study that it comes from."""
        return str(self.bundle.record.study)

    def answer(self, data: Any, answer_anyway: bool, slices: str) -> pd.DataFrame:
        """Answer about a file, a folder, an array, or several files or arrays."""
        bundle = copy(self.bundle)  # what is asked once stays with no later question
        bundle.answer_anyway = answer_anyway
        with TemporaryDirectory() as held:
            if isinstance(data, str | Path) and (folder := find_path(data)).is_dir():
                judged = self.judge_folder(bundle, folder, slices)
            else:
                judged = self.judge_files(bundle, *list_files(data, Path(held)), slices)
            return pd.DataFrame(list(judged.rows), columns=judged.columns)


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


def list_files(data: Any, held: Path) -> tuple[Path, list[str]]:
    """Return a folder, and names in it of what is to be judged; arrays are written to ``held``."""
    if isinstance(data, str | Path | np.ndarray):
        data = [data]
    named = data.items() if isinstance(data, Mapping) else enumerate(data, 1)
    items = [(name if isinstance(name, str) else f"{name:04}", item) for name, item in named]
    if not items:
        raise InputError("There is nothing to judge; give a file, a folder or an array.")
    paths = [find_path(item).absolute() for _, item in items if isinstance(item, str | Path)]
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
