"""Porosities of electrodes, as the labels of their images state them."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from batteryscope.errors import InputError


def read_porosities(manifest: pd.DataFrame, column: str, otherwise: str) -> NDArray[np.float64]:
    """Read the porosity of every image's electrode.

    Parameters
    ----------
    manifest
        Sample table.
    column
        Its column with the porosity in percent (``physics.porosity_column``).
    otherwise
        What else the user can do where there is no such column, for the message.

    Returns
    -------
    (n,) float array
        As shares between 0.01 and 0.99.

    Raises
    ------
    InputError
        The column is missing or holds no percentages.
    """
    if column not in manifest:
        raise InputError(
            f"physics.porosity_column: the manifest has no column '{column}'; name the one with "
            f"the porosity of the electrodes in percent, or {otherwise}."
        )
    percent = pd.to_numeric(manifest[column], errors="coerce")
    usable = percent.between(1, 99)  # NaN is not
    if not usable.all():
        wrong = manifest.loc[~usable, column].iloc[0]
        raise InputError(
            f"physics.porosity_column: '{column}' holds '{'' if pd.isna(wrong) else wrong}'; "
            "expected a porosity in percent, "
            "between 1 and 99, with a decimal point."
        )
    return percent.to_numpy(float) / 100
