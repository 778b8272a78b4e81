"""The numbers that models predict, from where the settings say that they are."""

from functools import singledispatch
from pathlib import Path

import pandas as pd

from batteryscope.config.targets import CapacityTargets, QuantityTargets
from batteryscope.errors import InputError
from batteryscope.manifest.computed_targets import HalfCellLaw, compute_capacities
from batteryscope.manifest.quantities import attach_quantities
from batteryscope.manifest.schema import Reject
from batteryscope.manifest.targets import attach_capacities

Attached = tuple[pd.DataFrame, list[Reject]]


@singledispatch
def attach_targets(
    targets: object, manifest: pd.DataFrame, root: Path, law: HalfCellLaw | None
) -> Attached:
    """Give every sample the numbers to predict; without any the table stays as it is.

    Parameters
    ----------
    targets
        Of the data set; None if classes are predicted.
    manifest
        Sample table.
    root
        Folder of the data set.
    law
        What the half-cell model says, where it computes the numbers.

    Returns
    -------
    manifest
        With a number column per target.
    rejects
        Samples without a number, which are left out.

    Raises
    ------
    InputError
        A table cannot be read or joined, or the half-cell model is missing.
    """
    return manifest, []


@attach_targets.register
def _attach_quantities(
    targets: QuantityTargets, manifest: pd.DataFrame, root: Path, law: HalfCellLaw | None
) -> Attached:
    return attach_quantities(manifest, targets, root)


@attach_targets.register
def _attach_capacities(
    targets: CapacityTargets, manifest: pd.DataFrame, root: Path, law: HalfCellLaw | None
) -> Attached:
    if not targets.computed:
        return attach_capacities(manifest, targets, root)
    if law is None:
        raise InputError(
            "dataset.targets.source is 'simulated', but the half-cell model's capacities are "
            "missing; give --simulated and --physics."
        )
    return compute_capacities(manifest, targets, law), []
