"""All repeats' networks of a domain and target asked together: mean, spread and interval."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from batteryscope.errors import InputError
from batteryscope.tables.network_files import (
    DESCRIPTIONS,
    read_descriptions,
    read_networks,
    read_plan,
)
from batteryscope.tables.networks import Numbers, Stack, predict_rows
from batteryscope.tables.table_predictions import MAIN_STUDY, find_family

Place = tuple[str, str]  # domain, target
Predict = Callable[[Numbers], Numbers]  # (rows, n_features) in their units → (rows,)


@dataclass(frozen=True)
class Estimate:
    """What the networks of one target say about some rows.

    Attributes
    ----------
    mean, sd : (rows,) float array
        Over the networks, in the unit of the target; ``sd`` (ddof 1) is NaN for one network.
    low, high : (rows,) float array
        Ends of the conformal interval around the mean; NaN where its width is unknown.
    """

    mean: Numbers
    sd: Numbers
    low: Numbers
    high: Numbers


class TableEnsemble:
    """Models of all repeats by domain and target.

    Parameters
    ----------
    members
        (domain, target) → predictions of one model, at least one each.
    half_widths
        (domain, target) → half-width of the interval as a share of the prediction; a
        missing or infinite one is unknown.
    """

    def __init__(
        self, members: Mapping[Place, Sequence[Predict]], half_widths: Mapping[Place, float]
    ) -> None:
        self.members = members
        self.half_widths = half_widths

    @property
    def domains(self) -> list[str]:
        """Names of the domains that can be asked about, sorted."""
        return sorted({domain for domain, _ in self.members})

    def predict(self, domain: str, target: str, features: Numbers) -> Estimate:
        """Predict rows, (rows, n_features) in their units."""
        members = self.members[domain, target]
        answers = np.stack([predict(features) for predict in members])
        mean = answers.mean(axis=0)
        sd = answers.std(axis=0, ddof=1) if len(members) > 1 else np.full(mean.shape, np.nan)
        width = self.half_widths.get((domain, target), np.inf)
        reach = np.abs(mean) * (width if np.isfinite(width) else np.nan)
        return Estimate(mean, sd, mean - reach, mean + reach)


def choose_members(plan: pd.DataFrame, main_arm: str) -> pd.DataFrame:
    """Choose the lines of the plan whose networks answer questions about new rows.

    Returns
    -------
    DataFrame
        Lines of the main study: the source of the family (its domain) and the main arm (the other
        domains), sorted by ``domain, target, repeat, fold``.

    Raises
    ------
    InputError
        If the main arm has no network.
    """
    main = plan[plan["ablation"] == MAIN_STUDY]
    chosen = main[main["arm"].isin([find_family(main_arm).source, main_arm])]
    if not (chosen["arm"] == main_arm).any():
        raise InputError(
            f"The plan of the networks has no line of the main arm '{main_arm}', only "
            f"{', '.join(sorted(set(main['arm'])))}; train the networks with these settings."
        )
    order = ["domain", "target", "repeat", "fold"]
    return chosen.sort_values(order, kind="stable", ignore_index=True)


def read_half_widths(path: Path, main_arm: str) -> dict[Place, float]:
    """Read the half-widths meant for new rows of ``intervals.csv``, as shares of the prediction.

    Raises
    ------
    InputError
        The file is missing or has no such rows.
    """
    return _read_new_rows(path, main_arm, "relative_half_width")


def read_coverages(path: Path, main_arm: str) -> dict[Place, float]:
    """Read which share of test rows the intervals of ``intervals.csv`` held.

    Raises
    ------
    InputError
        The file is missing or has no such rows.
    """
    return _read_new_rows(path, main_arm, "coverage_measured")


def _read_new_rows(path: Path, main_arm: str, column: str) -> dict[Place, float]:
    """Read a column of the rows without ``repeat``, which sum up a domain and a target."""
    try:
        table = pd.read_csv(path)
        arms = [find_family(main_arm).source, main_arm]
        own = table[table["repeat"].isna() & table["arm"].isin(arms)]
        places = zip(own["domain"], own["target"], own[column], strict=True)
        found = {(str(domain), str(target)): float(value) for domain, target, value in places}
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"{path}: the intervals are not readable ({error}); evaluate the networks again."
        ) from None
    if not found:
        raise InputError(
            f"{path}: there is no interval for new rows of the arm '{main_arm}'; evaluate the "
            "networks with these settings."
        )
    return found


def read_ensemble(
    folder: Path, half_widths: Mapping[Place, float], main_arm: str, features: Sequence[str]
) -> TableEnsemble:
    """Read the networks that answer questions about new rows.

    Parameters
    ----------
    folder
        What training has left.
    half_widths
        From :func:`read_half_widths`.
    main_arm, features
        As in the settings of the study.

    Raises
    ------
    InputError
        If the networks were trained on other features, or the main arm has none.
    """
    descriptions = read_descriptions(folder)
    check_features(descriptions["features"], features, folder)
    chosen = choose_members(read_plan(descriptions), main_arm)
    stacks = read_networks(folder, sorted(set(chosen["task"])))
    members: dict[Place, list[Predict]] = {}
    for line in chosen.to_dict("records"):
        place = (line["domain"], line["target"])
        members.setdefault(place, []).append(ask_network(stacks[line["task"]]))
    return TableEnsemble(members, half_widths)


def ask_network(network: Stack) -> Predict:
    """Return what a stack of one says about rows."""
    return partial(predict_rows, network)


def check_features(found: Sequence[str], expected: Sequence[str], folder: Path) -> None:
    """Refuse networks whose inputs are not these features in this order."""
    if list(found) != list(expected):
        raise InputError(
            f"{folder / DESCRIPTIONS}: the networks read {', '.join(found)}, but the settings name "
            f"{', '.join(expected)}; train the networks with these settings."
        )
