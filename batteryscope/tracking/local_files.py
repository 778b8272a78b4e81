"""Reads the local files of a study for tracking: tables to metrics, splits to hashes."""

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from batteryscope.core.names import make_legal_name
from batteryscope.core.safe_text import first_line
from batteryscope.errors import InputError
from batteryscope.tracking.records import MetricValue


def hash_split(path: Path) -> str:
    """Return the SHA-256 of a split table's rows, whatever their order and file format."""
    import pandas as pd

    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path}: cannot be read as a split table ({first_line(error)})."
        ) from None
    table = table[sorted(table.columns)]
    text = table.sort_values(list(table.columns)).to_csv(index=False, lineterminator="\n")
    return hashlib.sha256(text.encode()).hexdigest()


def read_history(path: Path) -> list[MetricValue]:
    """Read the metrics of all epochs from a fit's ``history.csv``.

    Returns
    -------
    list of (name, value, epoch)
        Of all numeric columns, called ``epochs/<column>``. Empty cells are NaN (a diverged loss
        stands so in the file); infinite values are left out, since MLflow would store 1.8e308.

    Raises
    ------
    InputError
        If the file is no table or has no column ``epoch``.
    """
    import pandas as pd

    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path}: cannot be read as a table of epochs ({first_line(error)})."
        ) from None
    if "epoch" not in table.columns:
        raise InputError(f"{path}: has no column 'epoch'; found {', '.join(table.columns)}.")
    columns = [c for c in table.columns if c != "epoch" and table[c].dtype.kind in "fiu"]
    return [
        (make_legal_name(f"epochs/{column}"), float(value), int(epoch))
        for column in columns
        for epoch, value in zip(table["epoch"], table[column], strict=True)
        if not math.isinf(value)
    ]


def read_fit_scores(path: Path) -> dict[tuple[str, int, int], list[MetricValue]]:
    """Score the test images of every fit, so that fits can be compared one by one.

    Parameters
    ----------
    path
        ``images.csv`` of the comparison; a missing file gives an empty result.

    Returns
    -------
    dict
        (arm, repeat, fold) → ``test/image.accuracy``, ``test/image.macro_f1`` (over the true
        classes) and ``test/image.n``.
    """
    import pandas as pd

    if not path.is_file():
        return {}
    try:
        columns = ["arm", "repeat", "fold", "y_true", "y_pred"]
        texts = {"arm": str, "y_true": str, "y_pred": str}
        table = pd.read_csv(path, usecols=columns, dtype=texts)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path}: cannot be read as a table of images ({first_line(error)})."
        ) from None
    scores = {}
    for key, rows in table.groupby(["arm", "repeat", "fold"]):
        arm, repeat, fold = cast(tuple[str, int, int], key)
        right = rows["y_true"] == rows["y_pred"]
        hits = rows.loc[right, "y_true"].value_counts()
        true, predicted = rows["y_true"].value_counts(), rows["y_pred"].value_counts()
        f1 = (
            2
            * hits.reindex(true.index, fill_value=0)
            / predicted.reindex(true.index, fill_value=0).add(true)
        )
        values = {"accuracy": right.mean(), "macro_f1": f1.mean(), "n": len(rows)}
        scores[str(arm), int(repeat), int(fold)] = [
            (f"test/image.{name}", round(float(value), 6), 0) for name, value in values.items()
        ]
    return scores


def list_numbers(values: Mapping[str, Any], prefix: str = "") -> list[MetricValue]:
    """The finite numbers among the values, one level deep, as metrics of step 0."""
    return [
        (make_legal_name(prefix + key), float(value), 0)
        for key, value in sorted(values.items())
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    ]


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises
    ------
    InputError
        If the file is missing, not valid, or holds anything else.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as JSON ({first_line(error)}).") from None
    if not isinstance(values, dict):
        raise InputError(f"{path}: expected a JSON object, found {type(values).__name__}.")
    return values


def modified_ms(path: Path) -> int:
    """When a file or folder was last written, in milliseconds since 1970."""
    return int(path.stat().st_mtime * 1000)
