"""What the user says about each picture: labels and origin, from folder names or a table."""

import logging
import re
import unicodedata
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from batteryscope.config.dataset import LabelSettings
from batteryscope.errors import ConfigError, InputError
from batteryscope.manifest.label_table import match_files, read_label_table
from batteryscope.manifest.schema import (
    ACQUISITION_COLUMNS,
    COMPUTED_COLUMNS,
    NUMBER_COLUMNS,
    ORIGIN_COLUMNS,
    Reject,
)
from batteryscope.manifest.stated_values import convert_stated, explain_impossible
from batteryscope.readers.number_text import is_unclear
from batteryscope.readers.scan import FolderScan

log = logging.getLogger("batteryscope")


def read_labels(
    settings: LabelSettings,
    files: FolderScan,
    root: Path,
    whole_paths: bool = False,
    only_class: str | None = None,
) -> tuple[pd.DataFrame, list[Reject]]:
    """Collect the labels of all images.

    Parameters
    ----------
    settings
        Where labels come from.
    files
        Files of the data set.
    root
        Its folder.
    whole_paths
        Search the pattern in the whole path and not in that of the folder: a scan may be a
        folder itself.
    only_class
        The class of all images where no pattern names one: models that predict numbers need none.

    Returns
    -------
    table
        One row per labelled image, index ``path``; text columns: the label columns, then
        every other named group or table column, None where empty.
    rejects
        Images without a label (``missing_label``) or with one that cannot be used
        (``wrong_label``, ``conflicting_labels``), and under the path of a label table its rows
        that cannot be used.

    Raises
    ------
    InputError
        The label table cannot be used, or no row of it names a file of the data set.
    ConfigError
        The label columns are impossible.
    """
    _check_columns(settings)
    if settings.source == "table":
        table, missing = _labels_from_table(settings, files, root)
    else:
        table, missing = _labels_from_folders(settings, files.images, whole_paths, only_class)
    taken = [c for c in table.columns if c in COMPUTED_COLUMNS and c not in settings.columns]
    if taken:
        log.warning(
            "Labels: the column '%s' is not taken over, it is made from the images.", taken[0]
        )
    extra = [c for c in table.columns if c not in settings.columns and c not in taken]
    table = table[[*settings.columns, *extra]]
    rejects = list(missing)
    for column in settings.columns:
        empty = table[column].isna()
        rejects += [
            Reject(path, "missing_label", f"its label '{column}' is empty; fill it in.")
            for path in table.index[empty]
        ]
        table = table[~empty]
    is_folder_name = settings.source == "folders"  # tables decide over a column
    for column in [c for c in ACQUISITION_COLUMNS if c in table.columns]:
        impossible = [
            isinstance(text, str)
            and (
                convert_stated(text, column) is None
                or (is_folder_name and column in NUMBER_COLUMNS and is_unclear(text))
            )
            for text in table[column]
        ]
        rejects += [
            Reject(str(path), "wrong_label", explain_impossible(text, column))
            for path, text in table.loc[impossible, column].items()
        ]
        table = table[~np.array(impossible, dtype=bool)]
    return table, rejects


def _check_columns(settings: LabelSettings) -> None:
    reserved = {*COMPUTED_COLUMNS, *ORIGIN_COLUMNS, *ACQUISITION_COLUMNS} - {"class"}
    for column in settings.columns:
        if column in reserved:
            raise ConfigError(
                f"labels.columns: '{column}' is a manifest column of its own; "
                "choose another name for the label."
            )
    if settings.source == "folders" and settings.pattern is None and len(settings.columns) > 1:
        raise ConfigError(
            f"labels.columns names {len(settings.columns)} columns {settings.columns} but there is "
            "no labels.pattern to find them in the folder names; add one."
        )


def _labels_from_folders(
    settings: LabelSettings, images: Sequence[str], whole_paths: bool, only_class: str | None
) -> tuple[pd.DataFrame, list[Reject]]:
    """Search the pattern in each folder path; without one, the path is the label."""
    pattern = (
        None if settings.pattern is None else re.compile(_nfc(settings.pattern), re.IGNORECASE)
    )
    columns = settings.columns if pattern is None else list(pattern.groupindex)

    @cache  # many pictures lie in one folder
    def search(pattern: re.Pattern[str], text: str) -> list[str | None] | None:
        match = pattern.search(text)
        return match and [(match[name] or "").strip() or None for name in columns]

    rows: dict[str, list[str | None]] = {}
    rejects: list[Reject] = []
    for path in images:
        folder = _nfc(path.rpartition("/")[0])
        if pattern is None:
            if only_class or folder:
                rows[path] = [only_class or folder]
            else:
                detail = "lies in no class folder; move it into the folder of its class."
                rejects.append(Reject(path, "missing_label", detail))
            continue
        found = search(pattern, _nfc(path) if whole_paths else folder)
        if found is None:
            detail = (
                f"its folder '{folder}' does not match labels.pattern '{settings.pattern}'; "
                "rename the folder or change the pattern."
            )
            rejects.append(Reject(path, "missing_label", detail))
        else:
            rows[path] = found
    table = pd.DataFrame.from_dict(rows, orient="index", columns=columns, dtype=object)
    return table.rename_axis("path"), rejects


def _labels_from_table(
    settings: LabelSettings, files: FolderScan, root: Path
) -> tuple[pd.DataFrame, list[Reject]]:
    """Look each image up in the table; rows of files that are no pictures are left out."""
    assert settings.table is not None  # guaranteed by LabelSettings
    rows, wrong = read_label_table(root / settings.table, settings)
    matched, unmatched, conflicts = match_files(rows, settings, [*files.images, *files.unsupported])
    # Whose row is known to be wrong is told under its own path.
    untold = unmatched | {n: why for n, why in wrong.items() if n not in matched.values()}
    rejects = [
        Reject(settings.table, "wrong_label", f"row {number}: {untold[number]}.")
        for number in sorted(untold)
    ]
    images = []
    for path in files.images:
        if path in conflicts:
            rejects.append(Reject(path, "conflicting_labels", f"{conflicts[path]}; keep one."))
        elif path not in matched:
            detail = f"no row of {settings.table} names it; add one."
            rejects.append(Reject(path, "missing_label", detail))
        elif matched[path] in wrong:
            detail = f"row {matched[path]} of {settings.table}: {wrong[matched[path]]}."
            rejects.append(Reject(path, "wrong_label", detail))
        else:
            images.append(path)
    if rejects and not images:
        told = next((r for r in rejects if r.reason != "missing_label"), rejects[0])
        raise InputError(
            f"{root / settings.table}: none of its {len(rows) + len(set(wrong) - set(rows.index))} "
            f"rows can be used; for example {told.path}: {told.detail}"
        )
    table = rows.drop(columns=[settings.file_column]).loc[[matched[path] for path in images]]
    return table.set_axis(pd.Index(images, name="path", dtype=object)), rejects


def _nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)
