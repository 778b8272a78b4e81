"""Covariates of samples: numbers and names that go into the networks beside the pictures."""

import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from batteryscope.config.covariates import (
    COVARIATE_PREFIX,
    Covariate,
    CovariateTable,
)
from batteryscope.config.targets import Quantity
from batteryscope.errors import InputError
from batteryscope.manifest.join_table import name_scans, read_cells, read_values
from batteryscope.manifest.label_table import spell_cell
from batteryscope.manifest.quantities import read_value
from batteryscope.manifest.schema import Reject
from batteryscope.readers.table_numbers import NumberStyle

log = logging.getLogger("batteryscope")

NO_COVARIATE = "no_covariate"
SETTING = "dataset.covariates"


def attach_covariates(
    manifest: pd.DataFrame, settings: CovariateTable, root: Path, targets: Sequence[str] = ()
) -> tuple[pd.DataFrame, list[Reject]]:
    """Give every sample its covariates.

    A sample needs all of them, so that arms with and without covariates, and the baselines, learn
    from the same samples.

    Parameters
    ----------
    manifest
        Sample table.
    settings
        The covariates, and the table or the columns that hold them.
    root
        Folder of the data set, in which the table lies.
    targets
        Columns of numbers that models predict.

    Returns
    -------
    manifest
        The samples with all covariates, and a number column ``covariate_<input>`` for each input
        of the networks (of names one per category, 0 or 1).
    rejects
        ``no_covariate``: no row of the table, an empty cell, no number, an unknown name. Of a
        scan one for all its slices. Under the path of the table ``wrong_label``, its rows that
        cannot be used, and ``no_images``, once: its rows without a sample.

    Raises
    ------
    InputError
        The table cannot be used, no sample is left, or a covariate equals what is predicted.
    """
    values, rejects = find_values(manifest, settings, root, SETTING)
    good = values.notna().all(axis=1)
    if not good.any():
        first = next(r for r in rejects if r.reason == NO_COVARIATE)
        raise InputError(
            f"{root}: no sample has all of the covariates {', '.join(settings.columns)}; the first "
            f"one, {first.path}: {first.detail}"
        )
    kept = manifest[good].join(values[good].add_prefix(COVARIATE_PREFIX)).reset_index(drop=True)
    for covariate in settings.listed:
        _judge_values(kept, covariate, targets)
    return kept, rejects


def find_values(
    manifest: pd.DataFrame, settings: CovariateTable, root: Path, key: str
) -> tuple[pd.DataFrame, list[Reject]]:
    """Find what networks are given of every sample; NaN where a sample lacks it.

    Parameters
    ----------
    manifest
        Sample table, or files (``path``, of scans also ``volume``) that nobody has labelled.
    settings, root
        As of :func:`attach_covariates`.
    key
        Where the settings stand, for messages.

    Returns
    -------
    values
        A column per input, a row per sample in their order.
    rejects
        As of :func:`attach_covariates`.
    """
    listed = settings.listed
    units = {c.column: None if c.categories else c.unit for c in listed}
    written = read_values(manifest, settings, units, root, key, NO_COVARIATE)
    rejects = list(written.rejects)
    values: dict[str, NDArray[np.float64]] = {}
    for covariate in listed:
        style = written.styles.get(covariate.column, NumberStyle())
        read = partial(encode_value, covariate=covariate, style=style)
        n_inputs = len(covariate.inputs)
        numbers, wrong = read_cells(
            manifest, written, covariate.column, n_inputs, read, lambda _: NO_COVARIATE
        )
        rejects += wrong
        values |= dict(zip(covariate.inputs, numbers.T, strict=True))
    return pd.DataFrame(values, index=manifest.index), name_scans(rejects, manifest)


def encode_value(
    cell: object, covariate: Covariate, style: NumberStyle
) -> tuple[tuple[float, ...], str]:
    """Turn a written value into the inputs of networks.

    Returns
    -------
    inputs, problem
        The number, or a 0 or 1 for each category, and ""; or nothing and what is wrong.

    Examples
    --------
    >>> binder = Covariate(name="binder", label="binder", categories=["CMC", "PVDF"], column="b")
    >>> encode_value("PVDF", binder, NumberStyle())
    ((0.0, 1.0), '')
    """
    if not covariate.categories:
        unit = Quantity(name=covariate.name, unit=covariate.unit, label=covariate.label)
        value, problem = read_value(cell, unit, style)
        return (() if value is None else (value,)), problem
    name = spell_cell(cell)
    if name in covariate.categories:
        return tuple(float(name == c) for c in covariate.categories), ""
    known = ", ".join(covariate.categories)
    if name is None:
        return (), f"is empty; expected one of {known}; fill it in, or leave the sample out."
    return (), f"is '{name}'; expected one of {known}; correct it, or add it to the categories."


def _judge_values(manifest: pd.DataFrame, covariate: Covariate, targets: Sequence[str]) -> None:
    """Refuse what is predicted under another name; warn of what never varies."""
    columns = [f"{COVARIATE_PREFIX}{name}" for name in covariate.inputs]
    own = manifest[columns]
    for target in [] if covariate.categories else targets:
        if len(own) > 1 and np.allclose(own[columns[0]], manifest[target], rtol=1e-9, atol=0):
            raise InputError(
                f"{SETTING}.columns.{covariate.name}: all its values are those of '{target}', "
                "which models shall find from the picture; leave it out of the covariates."
            )
    if len(own) > 1 and (own == own.iloc[0]).to_numpy().all():
        log.warning(
            "%s.columns.%s has one value in all %d samples, so it can tell nothing.",
            SETTING,
            covariate.name,
            len(own),
        )
