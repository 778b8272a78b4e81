"""The order of classes that are grades, such as stages of ageing."""

from collections.abc import Sequence

import pandas as pd

from batteryscope.errors import InputError

COLUMN = "grade_number"


def attach_grades(manifest: pd.DataFrame, grades: Sequence[str]) -> pd.DataFrame:
    """Give every sample the number of its class in the order of the settings, from 0.

    Parameters
    ----------
    manifest
        Samples with ``class``.
    grades
        The classes from the lowest to the highest; without any the table stays as it is.

    Raises
    ------
    InputError
        The settings and the samples do not have the same classes.
    """
    if not grades:
        return manifest
    found = sorted(manifest["class"].unique())
    if unknown := [name for name in found if name not in grades]:
        raise InputError(
            f"dataset.labels.grades has no '{unknown[0]}', which is the class of "
            f"{int((manifest['class'] == unknown[0]).sum())} samples; put it where it belongs in "
            f"the order, or leave these samples out with dataset.where. Named are "
            f"{', '.join(grades)}."
        )
    if unused := [name for name in grades if name not in found]:
        raise InputError(
            f"dataset.labels.grades names '{unused[0]}', which no sample has; found are "
            f"{', '.join(found)}. Leave it out of the order, or correct its spelling."
        )
    numbers = {name: number for number, name in enumerate(grades)}
    return manifest.assign(**{COLUMN: manifest["class"].map(numbers).astype("int64")})


def list_grades(manifest: pd.DataFrame) -> list[str]:
    """Return the classes from the lowest to the highest; empty if they have no order."""
    if COLUMN not in manifest:
        return []
    pairs = manifest[["class", COLUMN]].drop_duplicates().sort_values(COLUMN)
    return [str(name) for name in pairs["class"]]
