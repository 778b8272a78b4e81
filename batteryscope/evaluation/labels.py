"""The label columns behind a class: composition and state of ``NCM333_pristine``, say."""

from collections.abc import Sequence

import pandas as pd

from batteryscope.errors import InputError


def list_class_labels(manifest: pd.DataFrame, label_columns: Sequence[str]) -> pd.DataFrame:
    """List which values of the label columns each class stands for.

    Parameters
    ----------
    manifest
        Manifest with the column ``class`` and the label columns.

    Returns
    -------
    DataFrame
        The label columns, indexed by class name, sorted. Classes are looked up here
        and never taken apart at their underscores.

    Raises
    ------
    InputError
        If a column is missing or one class name stands for two combinations.
    """
    if missing := [c for c in ["class", *label_columns] if c not in manifest.columns]:
        raise InputError(
            f"The manifest has no column '{missing[0]}'; found {', '.join(manifest.columns)}. "
            "Correct the label columns in params.yaml or ingest the data set again."
        )
    columns = [c for c in label_columns if c != "class"]
    table = manifest[["class", *columns]].drop_duplicates().sort_values("class")
    repeated = table.loc[table["class"].duplicated(), "class"]
    if len(repeated):
        raise InputError(
            f"The class '{repeated.iloc[0]}' stands for several values of "
            f"{', '.join(columns)}; rename the labels so that their joined names differ."
        )
    return table.set_index("class")


def find_targets(label_columns: Sequence[str]) -> list[str]:
    """List the targets to score: "" is the class; label columns follow if there are several."""
    return ["", *label_columns] if len(label_columns) > 1 else [""]


def look_up_label(
    classes: "pd.Series[str]", target: str, class_labels: pd.DataFrame
) -> "pd.Series[str]":
    """Translate class names into the values of one label column; "" leaves them as they are.

    Raises
    ------
    InputError
        If a class is not in the table.
    """
    if unknown := sorted(set(classes) - set(class_labels.index)):
        raise InputError(
            f"The predictions name the class '{unknown[0]}', which the manifest lacks (it has "
            f"{', '.join(class_labels.index)}); make the predictions again."
        )
    return classes if target == "" else classes.map(class_labels[target])
