"""What a published study answered about every test sample: the table by which versions compare.

A sample that several fits tested has one answer, as users of the model would get it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from batteryscope.config.study import list_published_arms
from batteryscope.core.safe_text import first_line, guard_table
from batteryscope.errors import InputError

if TYPE_CHECKING:
    from batteryscope.answers.kind import Answer
    from batteryscope.planning.layout import PictureLayout

ANSWERS_NAME = "answers.csv"
# What pooling adds to sample_id, sample, unit and target.
POOLED_COLUMNS = ["y_true", "y_pred", "error", "n_fits"]
ANSWER_COLUMNS = ["answer", "sample_id", "sample", "unit", "target", "target_unit", *POOLED_COLUMNS]
_TEXTS = ("answer", "sample_id", "sample", "unit", "target", "target_unit", "y_true", "y_pred")


def list_predictions(layout: "PictureLayout") -> pd.DataFrame:
    """Return the test predictions of the published arms of a study of pictures, fit by fit.

    Of arms with the same target only the first counts, which gives the published answer. A unit is
    a specimen, or a sample whose specimen is not known.

    Returns
    -------
    DataFrame
        ``sample_id, sample`` (its path), ``unit, target`` ("" for classes), ``arm, repeat, fold,
        role, y_true, y_pred`` (names, or numbers), and what else the comparison holds, as text.

    Raises
    ------
    InputError
        The comparison or the manifest cannot be read.
    """
    arms = list_published_arms(layout.plan.settings)
    path = layout.comparison / "images.csv"
    try:
        images = pd.read_csv(path, dtype=str, keep_default_na=False)
        manifest = pd.read_parquet(layout.data.manifest).set_index("sample_id")
        images = images[images["arm"].isin(arms) & (images["role"] == "test")]
        if "target" in images:
            images = images.astype({"y_true": float, "y_pred": float})
            places = images["arm"].map(arms.index)
            images = images[places == places.groupby(images["target"]).transform("min")]
        else:
            images = images[images["arm"] == arms[0]]
        unit = images["sample_id"].map(manifest["specimen_id"]).fillna(images["sample_id"])
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{path}: cannot be read ({first_line(error)}).") from None
    sample = images["sample_id"]
    if "path" in manifest:
        sample = sample.map(manifest["path"]).fillna(sample)
    return images.assign(unit=unit, sample=sample, target=images.get("target", ""))


def write_answers(
    pooled: pd.DataFrame, answer: "Answer", units: Mapping[str, str], folder: Path
) -> Path:
    """Write what a study answered into its report; return the path of the table.

    Parameters
    ----------
    pooled
        ``sample_id, sample, unit, target`` and :data:`POOLED_COLUMNS`, a row per sample and target.
    answer
        What kind of answers they are.
    units
        Unit by target, as it is shown.
    folder
        ``tables`` of the report; it gets ``answers.csv`` with :data:`ANSWER_COLUMNS`.
    """
    shown = [units.get(target, "") for target in pooled["target"]]
    table = pooled.assign(answer=answer.name, target_unit=shown)[ANSWER_COLUMNS]
    path = folder / ANSWERS_NAME
    guard_table(table).to_csv(path, index=False, float_format="%.9g")
    return path


def read_answers(path: Path) -> pd.DataFrame:
    """Read the answers of a published study.

    Raises
    ------
    InputError
        The table cannot be read, lacks a column, holds no answer, or one twice.
    """
    try:
        table = pd.read_csv(path, dtype=dict.fromkeys(_TEXTS, str), keep_default_na=False)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({first_line(error)}).") from None
    if missing := [name for name in ANSWER_COLUMNS if name not in table]:
        raise InputError(
            f"{path}: the column '{missing[0]}' is missing; expected {', '.join(ANSWER_COLUMNS)}. "
            "Publish the study anew."
        )
    if table.empty:
        raise InputError(f"{path}: no sample was tested, so nothing can be compared.")
    if (twice := table.duplicated(["sample_id", "target"])).any():
        raise InputError(
            f"{path}: the sample '{table.loc[twice, 'sample'].iloc[0]}' is there twice; publish "
            "the study anew."
        )
    return table
