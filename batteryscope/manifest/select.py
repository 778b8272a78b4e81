"""Choosing samples by the values of manifest columns."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from batteryscope.errors import ConfigError
from batteryscope.manifest.columns import refuse_unknown


def select_samples(
    manifest: pd.DataFrame, where: Mapping[str, Any], key: str = "dataset.where"
) -> pd.DataFrame:
    """Keep the rows whose columns have the given value, or one of a list of values.

    Parameters
    ----------
    manifest
        Sample table.
    where
        Column → value or list of values; all columns must agree. Text columns compare
        as text (``333`` finds "333"), number columns as numbers. The value "" finds empty
        cells of text columns; nothing else does.
    key
        How the user knows this setting, for messages.

    Raises
    ------
    ConfigError
        An unknown column, or a text where numbers are compared.
    """
    keep = pd.Series(True, index=manifest.index)
    for column, wanted in where.items():
        refuse_unknown(column, manifest.columns, f"{key}.{column}")
        values = wanted if isinstance(wanted, list | tuple) else [wanted]
        found = manifest[column]
        if pd.api.types.is_numeric_dtype(found):
            keep &= found.isin([_as_number(value, f"{key}.{column}") for value in values])
        else:
            texts = [str(value) for value in values]
            keep &= found.astype("str").isin(texts) & found.notna() | ("" in texts) & found.isna()
    return manifest[keep]


def keep_samples(
    split: pd.DataFrame, manifest: pd.DataFrame, where: Mapping[str, Any]
) -> pd.DataFrame:
    """Keep the roles of the samples that :func:`select_samples` chooses (``--where``)."""
    wanted = select_samples(manifest, where, "--where")
    return split[split["sample_id"].isin(wanted["sample_id"])]


def describe_conditions(where: Mapping[str, Any]) -> str:
    """Say in words what :func:`select_samples` is asked for.

    Examples
    --------
    >>> describe_conditions({"domain": "plain", "state": ["pristine", "aged"]})
    "domain 'plain' and state 'pristine' or 'aged'"
    """
    texts = []
    for column, wanted in where.items():
        values = wanted if isinstance(wanted, list | tuple) else [wanted]
        texts.append(f"{column} {' or '.join(repr(str(value)) for value in values)}")
    return " and ".join(texts) or "any value"


def _as_number(value: Any, key: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise ConfigError(f"{key}: found {value!r}; expected a number.") from None
