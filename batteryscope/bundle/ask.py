"""Answers about files that are in memory: the rows that ``predict_images.py`` writes of them."""

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from copy import copy
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any

import pandas as pd

from batteryscope.bundle.covariates import hold_table
from batteryscope.bundle.picture_bundle import PictureBundle, Row
from batteryscope.core.named_function import load_function
from batteryscope.errors import BatteryscopeError, InputError
from batteryscope.samples.choose import samples_cut_by

IMAGE, FILE = "image", "file"
REJECTED = (FILE, "status", "reason", "note")
NO_ANSWER = "unreadable: the model says nothing of this file"
LONGEST_NAME = 200  # bytes; file systems take 255
ENDING = re.compile(r"\.[A-Za-z0-9]{1,16}$")
ASKING = Lock()  # one request has all processors already


def ask_about_files(
    bundle: PictureBundle[Any],
    files: Mapping[str, bytes],
    slices: str = "",
    answer_anyway: bool = False,
    covariates: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Judge pictures or scans as a program does, each file as one picture or one scan.

    One request at a time is judged, and nothing of it stays with the model.

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
        At least a row per file, in the order of ``files``; empty cells are None. A file that cannot
        be read is a rejected row that says why.
    """
    judge = load_function(samples_cut_by(bundle.record.preprocess).modules.predict, "judge_files")
    bundle = copy(bundle)  # the settings and covariates of a request are its own
    bundle.answer_anyway = answer_anyway
    names = [find_plain_name(name) for name in files]
    stored = _name_on_disk(names)
    own = dict(zip(stored, names, strict=True))
    with TemporaryDirectory() as held, ASKING:
        root = Path(held) / "files"
        root.mkdir()
        for file, content in zip(stored, files.values(), strict=True):
            (root / file).write_bytes(content)
        try:
            source = None
            if covariates is not None and bundle.record.covariates:
                places = dict(zip(names, stored, strict=True))
                told = [find_plain_name(str(name)) for name in covariates[FILE]]
                written = covariates.assign(**{FILE: [places.get(name, name) for name in told]})
                source = hold_table(written, Path(held), FILE)
            judged = judge(bundle, root, stored, slices, source)
            rows, columns = list(judged.rows), judged.columns
        except BatteryscopeError as error:
            reason = str(error).replace(f"{root}: ", "").replace(f"{held}/", "")
            rows, columns = [reject_file(file, reason) for file in stored], list(REJECTED)
    answered = {row[FILE] for row in rows}
    rows += [reject_file(file, NO_ANSWER) for file in stored if file not in answered]
    for row in rows:
        row[FILE] = own.get(row[FILE], row[FILE])
    return _sort_rows(rows, columns, names)


def find_plain_name(name: str) -> str:
    """Return the last part of a name, whatever system wrote it; never one that leads elsewhere."""
    plain = name.replace("\\", "/").rpartition("/")[2].replace("\0", "").lstrip(".")
    return plain.encode("utf-8", "replace").decode() or "unnamed"


def _name_on_disk(names: Sequence[str]) -> list[str]:
    """Return names under which files can be written: their own, or a number and their ending.

    Text files beside a picture are found by its name, so that it is kept where it can be.
    """
    found: dict[str, str] = {}  # by what a file system that ignores case sees
    for number, name in enumerate(names):
        ending = ENDING.search(name)
        is_usable = len(name.encode()) <= LONGEST_NAME and name.isprintable()
        if not is_usable or name.casefold() in found:
            name = f"file {number} of {len(names)}{ending[0] if ending else ''}"
        found[name.casefold()] = name
    return list(found.values())


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
    if IMAGE not in asked and len(asked):
        raise InputError(f"The request has no column '{IMAGE}'; give the files there, in base64.")
    files: dict[str, bytes] = {}
    refused: list[Row] = []
    kept: list[int] = []
    names = _name_files(asked)
    for place, (name, text) in enumerate(zip(names, asked.get(IMAGE, []), strict=True)):
        try:
            if name in files:
                raise ValueError("another file of this request has this name")
            files[name] = decode(text)
            kept.append(place)
        except ValueError as error:
            refused.append(reject_file(name, f"unreadable: {error}"))
    beside = asked.assign(**{FILE: names}).iloc[kept].drop(columns=IMAGE, errors="ignore")
    answer = ask_about_files(bundle, files, slices, answer_anyway, beside)
    columns = [str(column) for column in answer]
    return _sort_rows([*answer.to_dict("records"), *refused], columns, names)


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


def _sort_rows(
    rows: Sequence[Mapping[Any, Any]], columns: Sequence[str], files: Sequence[str]
) -> pd.DataFrame:
    """Bring rows into the order of their files; what is missing is None, which JSON has."""
    place = {file: number for number, file in reversed(list(enumerate(files)))}
    ordered = sorted(rows, key=lambda row: place[row[FILE]])
    table = pd.DataFrame(ordered, columns=list(columns), dtype=object)
    return table.where(table.notna(), None)


def _name_files(asked: pd.DataFrame) -> list[str]:
    """Return the plain name of every file; those without one are counted."""
    told = asked[FILE] if FILE in asked else [None] * len(asked)
    return [
        find_plain_name(name) if isinstance(name, str) and name else f"{IMAGE}_{number}.png"
        for number, name in enumerate(told, 1)
    ]
