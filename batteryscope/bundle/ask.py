"""Answers about files that are in memory: the rows that ``predict_images.py`` writes of them."""

import base64
import binascii
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

from batteryscope.bundle.covariates import CovariateSource
from batteryscope.bundle.picture_bundle import PictureBundle, Row
from batteryscope.config.table_format import TableFormat
from batteryscope.core.named_function import load_function
from batteryscope.errors import BatteryscopeError
from batteryscope.samples.choose import samples_cut_by

IMAGE, FILE = "image", "file"
REJECTED = (FILE, "status", "reason", "note")
PLAIN_TABLE = TableFormat(encoding="utf-8", separator=",", decimal=".")


def ask_about_files(
    bundle: PictureBundle[Any],
    files: Mapping[str, bytes],
    slices: str = "",
    answer_anyway: bool = False,
    covariates: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Judge pictures or scans as a program does that is given a folder with these files.

    Parameters
    ----------
    bundle
        The model.
    files
        Contents by name. Only the last part of a name counts, so that nothing is written elsewhere.
    slices
        Which slices of every scan (``FIRST:LAST:STEP``); empty: all.
    answer_anyway
        Whether what is unlike all training images is answered all the same.
    covariates
        A row per file with its name in the column ``file``, for models that are given any.

    Returns
    -------
    DataFrame
        The rows in the order of ``files``. Where nothing can be read, a rejected row of each file
        says why.
    """
    judge = load_function(samples_cut_by(bundle.record.preprocess).modules.predict, "judge_folder")
    bundle.answer_anyway = answer_anyway
    names = [find_plain_name(name) for name in files]
    with TemporaryDirectory() as held:
        root = Path(held) / "files"
        root.mkdir()
        for name, content in zip(names, files.values(), strict=True):
            (root / name).write_bytes(content)
        try:
            source = None
            if covariates is not None and bundle.record.covariates:
                table = Path(held) / "covariates.csv"
                covariates.to_csv(table, index=False)
                source = CovariateSource(table, FILE, PLAIN_TABLE)
            judged = judge(bundle, root, slices, source)
            rows, columns = list(judged.rows), judged.columns
        except BatteryscopeError as error:
            reason = str(error).replace(f"{root}: ", "").replace(f"{held}/", "")
            rows, columns = [reject_file(name, reason) for name in names], list(REJECTED)
    return _sort_rows(pd.DataFrame(rows, columns=columns, dtype=object), names)


def find_plain_name(name: str) -> str:
    """Return the last part of a name, whatever system wrote it; never one that leads elsewhere."""
    plain = name.replace("\\", "/").rpartition("/")[2].replace("\0", "").lstrip(".")
    return plain or "unnamed"


def reject_file(file: str, reason: str) -> Row:
    """Return the row of a file that cannot be judged."""
    return dict(zip(REJECTED, (file, "rejected", reason, ""), strict=True))


def answer_encoded(
    bundle: PictureBundle[Any], asked: pd.DataFrame, answer_anyway: bool = False, slices: str = ""
) -> pd.DataFrame:
    """Judge files that are text: what a model that is served gets.

    Parameters
    ----------
    bundle
        The model.
    asked
        ``image``: a file in base64; ``file``: its name, whose ending tells the format where the
        content does not (default: ``image_1.png`` and so on); and columns of covariates.
    answer_anyway, slices
        As of :func:`ask_about_files`.

    Returns
    -------
    DataFrame
        The rows of all files. One that is no base64, or has the name of another one, is rejected.
    """
    files: dict[str, bytes] = {}
    refused: list[Row] = []
    names = _name_files(asked)
    for name, text in zip(names, asked[IMAGE], strict=True):
        try:
            if name in files:
                raise ValueError("another file of this request has this name")
            files[name] = decode(text)
        except ValueError as error:
            refused.append(reject_file(name, f"unreadable: {error}"))
    beside = asked.drop(columns=IMAGE).assign(**{FILE: names})
    answer = ask_about_files(bundle, files, slices, answer_anyway, beside) if files else None
    tables = [table for table in (answer, pd.DataFrame(refused, dtype=object)) if table is not None]
    return _sort_rows(pd.concat(tables, ignore_index=True), names)


def decode(text: object) -> bytes:
    """Return the bytes of a file in base64, perhaps after a ``data:`` address begins it.

    Raises
    ------
    ValueError
        The text is none.
    """
    if not isinstance(text, str) or not text:
        raise ValueError(f"the column '{IMAGE}' holds no text; give the file in base64")
    words = text.partition(",")[2] if text.startswith("data:") else text
    try:
        return base64.b64decode("".join(words.split()), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"the text in '{IMAGE}' is no base64; give the file's bytes so") from None


def _sort_rows(table: pd.DataFrame, files: list[str]) -> pd.DataFrame:
    """Bring rows into the order of the files, or of the folders, that they are of."""
    place = {file: number for number, file in reversed(list(enumerate(files)))}
    order = table[FILE].map(lambda file: place.get(str(file).split("/")[0], len(place)))
    return table.iloc[order.argsort(kind="stable")].reset_index(drop=True)


def _name_files(asked: pd.DataFrame) -> list[str]:
    """Return the plain name of every file; those without one are counted."""
    told = asked[FILE] if FILE in asked else [None] * len(asked)
    return [
        find_plain_name(name) if isinstance(name, str) and name else f"{IMAGE}_{number}.png"
        for number, name in enumerate(told, 1)
    ]
