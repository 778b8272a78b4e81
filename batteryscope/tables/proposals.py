"""What a search for settings found."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

TOLERANCE = 0.02  # of the wanted value


@dataclass(frozen=True)
class Proposals:
    """Settings that should give the wanted values.

    Attributes
    ----------
    table
        One row per proposal, see :func:`propose_parameters`.
    wanted
        Target → value.
    domain
        Where they hold.
    trials, within_tolerance, pareto
        Settings that were tried; how many of them come near enough; how many of those no
        other one beats.
    """

    table: pd.DataFrame
    wanted: Mapping[str, float]
    domain: str
    trials: int
    within_tolerance: int
    pareto: int
