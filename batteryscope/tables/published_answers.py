"""What a published study of rows answered about every test row."""

import pandas as pd

from batteryscope.core.safe_text import first_line
from batteryscope.errors import InputError
from batteryscope.planning.layout import RowLayout
from batteryscope.tables.split_rows import find_row_groups
from batteryscope.tables.table_predictions import select_main_study


def list_predictions(layout: RowLayout) -> pd.DataFrame:
    """Return the test predictions of the main arm, fit by fit.

    A unit are the rows of one group, or with equal features; a sample is named by file and line.

    Returns
    -------
    DataFrame
        As of :func:`batteryscope.evaluation.published_answers.list_predictions`.

    Raises
    ------
    InputError
        The comparison or the manifest cannot be read.
    """
    settings = layout.plan.settings
    path = layout.comparison / "predictions.parquet"
    try:
        table = select_main_study(pd.read_parquet(path))
        manifest = pd.read_parquet(layout.data.manifest)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({first_line(error)}).") from None
    table = table[(table["arm"] == settings.main_arm) & (table["role"] == "test")]
    groups = find_row_groups(manifest, list(settings.dataset.features))
    names = manifest["path"] + ", line " + manifest["row"].astype(str)
    return table.assign(
        unit=table["sample_id"].map(groups),
        sample=table["sample_id"].map(dict(zip(manifest["sample_id"], names, strict=True))),
    )
