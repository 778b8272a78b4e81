"""The measures of the points of sweeps, which follow from what the models predict."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import pandas as pd

from batteryscope.config.targets import Quantity
from batteryscope.core.safe_text import first_line
from batteryscope.errors import InputError
from batteryscope.evaluation.straddling import find_straddling_arms, read_splits
from batteryscope.evaluation.sweep_points import flatten_points

Task = Literal["class", "capacity", "table"]


def score_points(
    task: Task,
    arms: Sequence[str],
    manifest: pd.DataFrame,
    label_columns: Sequence[str],
    backbones: Mapping[str, str],
    splits: Sequence[str] = (),
    quantities: Sequence[Quantity] = (),
) -> pd.DataFrame:
    """Score the arms that do the work of all points.

    Parameters
    ----------
    task
        ``class``: accuracies and F1; ``capacity``: MAPE (percent), MAE (unit of the
        capacities) and R². Rows of tables have a scorer of their own
        (:func:`batteryscope.tables.score_points.score_table_points`).
    arms
        Texts ``name=path`` of predictions.
    manifest
        Sample table.
    label_columns
        Columns that the class is made of.
    backbones
        Network by arm.
    splits
        Texts ``name=path``. An arm that trained on the specimens that it was tested on is not
        judged per specimen.
    quantities
        What the targets of the task ``capacity`` are; without any, capacities.

    Returns
    -------
    DataFrame
        ``arm, backbone, target, domain, level, metric, mean, sd, n, paper`` on test images; mean
        and standard deviation over repeats and folds.

    Raises
    ------
    InputError
        If predictions cannot be read.
    """
    if task == "class":
        from batteryscope.evaluation.comparison import compare_arms
        from batteryscope.evaluation.predictions import read_all_predictions

        predictions = read_all_predictions(arms)
        known = read_splits(splits)
        return compare_arms(predictions, manifest, label_columns, backbones, splits=known)
    from batteryscope.evaluation.regression_comparison import compare_capacities
    from batteryscope.evaluation.regression_predictions import gather_images

    images = []
    for text in arms:
        name, _, path = text.partition("=")
        predictions = _read(Path(path)).assign(arm=name)
        images.append(gather_images(predictions, manifest))
    straddling = find_straddling_arms(read_splits(splits), manifest)
    return compare_capacities(
        pd.concat(images, ignore_index=True),
        backbones,
        straddling=straddling,
        quantities=quantities,
        sample="slice" if "volume" in manifest else "image",
    )


def flatten_scores(task: Task, points: pd.DataFrame) -> dict[str, float | int]:
    """Return ``<point>.<level>[.<target>].<metric>`` → mean, of the table of all points."""
    if task == "class":
        from batteryscope.evaluation.comparison import flatten_metrics

        return flatten_metrics(points.drop(columns="arm").rename(columns={"point": "arm"}))
    return {**flatten_points(points)}


def _read(path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as a table ({first_line(error)}).") from None
