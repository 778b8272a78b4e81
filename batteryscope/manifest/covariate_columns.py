"""The columns of a sample table that hold covariates, for all that only use them."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from batteryscope.config.covariates import COVARIATE_PREFIX
from batteryscope.errors import InputError


def list_covariate_columns(manifest: pd.DataFrame) -> list[str]:
    """Return the columns of a sample table that hold covariates."""
    return [str(c) for c in manifest.columns if str(c).startswith(COVARIATE_PREFIX)]


def take_inputs(manifest: pd.DataFrame, inputs: Sequence[str]) -> pd.DataFrame:
    """Return inputs of networks by ``sample_id``.

    Raises
    ------
    InputError
        The sample table lacks one.
    """
    columns = [f"{COVARIATE_PREFIX}{name}" for name in inputs]
    if missing := [name for name, c in zip(inputs, columns, strict=True) if c not in manifest]:
        raise InputError(
            f"The sample table has no covariate '{missing[0]}', which the network is given; add it "
            "to dataset.covariates and ingest the data set again."
        )
    table = manifest.set_index("sample_id")[columns]
    return table.set_axis(list(inputs), axis=1).astype(np.float64)
