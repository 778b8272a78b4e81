"""The inverse question: which settings of the features give wanted values of the targets."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from batteryscope.config.table_data import ColumnSettings
from batteryscope.config.table_study import ProposeSettings, TableStudySettings
from batteryscope.errors import ConfigError, InputError
from batteryscope.seeds import derive_seed
from batteryscope.tables.ensemble import TableEnsemble
from batteryscope.tables.labels import name_column
from batteryscope.tables.networks import Numbers
from batteryscope.tables.proposals import TOLERANCE, Proposals
from batteryscope.tables.propose_search import (
    choose_diverse,
    find_parameters,
    find_pareto_front,
    search_parameters,
)

USUAL_SHARE = 0.95  # of the rows have a neighbour nearer than what counts as far
DIGITS = 6
SAME = 1e-9


def propose_parameters(
    manifest: pd.DataFrame, ensemble: TableEnsemble, settings: TableStudySettings
) -> Proposals:
    """Search settings whose predicted targets are the wanted ones, and choose different ones.

    Minimised are the relative deviation of every wanted target and the uncertainty of the
    models. Of what comes within the tolerance, the settings on the Pareto front are
    proposed; all that are within the tolerance if the front is too small; and the nearest
    ones if those are too few.

    Parameters
    ----------
    manifest
        ``sample_id, domain``, features and targets; the rows of the domain set the ranges.
    ensemble
        The models that answer.
    settings
        The study with ``propose``.

    Returns
    -------
    Proposals
        Its table: ``proposal`` (from 1), ``domain``, the features, for every target its mean
        with ``_sd, _low, _high`` (within the target's plausible range) and, if wanted,
        ``_wanted`` and ``_deviation_percent``, then ``max_deviation_percent,
        within_tolerance, distance_sd`` (to the nearest row, in standard deviations of the
        features), ``nearest_row`` and ``note``.

    Raises
    ------
    ConfigError
        The settings wish for nothing, or for something impossible.
    InputError
        The domain has no rows, or no feature that varies.
    """
    propose = check_wishes(settings, ensemble)
    features = list(settings.dataset.features)
    rows = manifest[manifest["domain"] == propose.domain].sort_values("sample_id")
    if rows.empty:
        raise InputError(f"The table has no rows of the domain '{propose.domain}'; add some.")
    parameters = find_parameters(rows, features)
    if all(parameter.is_fixed for parameter in parameters):
        raise InputError(
            f"No feature varies in the rows of '{propose.domain}', so there is nothing to propose; "
            "add rows with other settings."
        )
    known = rows[features].to_numpy("float64")

    def judge(values: Numbers) -> Numbers:
        return find_objectives(values, ensemble, propose)

    # Rows that come near the wish already are good parents: their settings belong together.
    nearest = np.argsort(judge(known)[:, :-1].max(axis=1), kind="stable")
    seed = derive_seed(propose.seed, "propose", propose.domain)
    tried, objectives = search_parameters(
        parameters, judge, propose.trials, seed, starts=known[nearest]
    )
    tried, first = np.unique(tried, axis=0, return_index=True)
    objectives = objectives[first]
    deviation = objectives[:, :-1].max(axis=1)
    front = find_pareto_front(objectives)
    near = deviation <= TOLERANCE
    scale = _find_scale(known)
    pool = _choose_pool(deviation, front & near, near, propose.proposals)
    best = int(np.argmin(deviation[pool]))
    chosen = pool[choose_diverse(tried[pool] / scale, best, propose.proposals)]
    chosen = chosen[np.argsort(deviation[chosen], kind="stable")]
    table = _describe(tried[chosen], features, settings.dataset.targets, ensemble, propose)
    told = _tell_values(rows[list(settings.dataset.targets)], settings)
    table = _add_neighbours(
        table,
        tried[chosen] / scale,
        known / scale,
        rows["sample_id"],
        told,
    )
    return Proposals(
        table=table,
        wanted=dict(propose.wanted),
        domain=propose.domain,
        trials=propose.trials,
        within_tolerance=int(near.sum()),
        pareto=int((front & near).sum()),
    )


def find_objectives(values: Numbers, ensemble: TableEnsemble, propose: ProposeSettings) -> Numbers:
    """Judge settings, (n, n_features): all objectives are to be minimised.

    Returns
    -------
    (n, n_wanted + 1) float array
        |prediction − wanted| / |wanted| of every wanted target; last the largest standard
        deviation of the networks as a share of the wanted value. A miss beyond the tolerance
        is added to it, or the search would collect sure answers to another question.
    """
    deviations, spreads = [], []
    for target, wanted in propose.wanted.items():
        told = ensemble.predict(propose.domain, target, values)
        deviations.append(np.abs(told.mean - wanted) / abs(wanted))
        spreads.append(np.nan_to_num(told.sd) / abs(wanted))
    miss = np.maximum(np.max(deviations, axis=0) - TOLERANCE, 0)
    return np.column_stack([*deviations, np.max(spreads, axis=0) + miss])


def check_wishes(settings: TableStudySettings, ensemble: TableEnsemble) -> ProposeSettings:
    """Return what is wanted.

    Raises
    ------
    ConfigError
        Nothing is wanted, a domain without models, or 0.
    """
    propose = settings.propose
    if propose is None:
        raise ConfigError("The study has no 'propose'; say in it which values are wanted.")
    if propose.domain not in ensemble.domains:
        raise ConfigError(
            f"propose.domain: found '{propose.domain}'; expected one of "
            f"{', '.join(ensemble.domains)}."
        )
    for target, wanted in propose.wanted.items():
        if wanted == 0 or not np.isfinite(wanted):
            raise ConfigError(
                f"propose.wanted.{target}: found {wanted:g}; give a number that is not 0, since "
                "deviations are relative to it."
            )
    return propose


def _find_scale(known: Numbers) -> Numbers:
    sd = known.std(axis=0)
    return np.where(known.max(axis=0) > known.min(axis=0), sd, 1.0)


def _choose_pool(
    deviation: Numbers, best: NDArray[np.bool_], near: NDArray[np.bool_], count: int
) -> NDArray[np.intp]:
    """Return the places of the settings from which proposals are taken."""
    for fits in (best, near):
        if fits.sum() >= count:
            return np.flatnonzero(fits)
    return np.argsort(deviation, kind="stable")[:count]


def _describe(
    values: Numbers,
    features: Sequence[str],
    targets: Mapping[str, ColumnSettings],
    ensemble: TableEnsemble,
    propose: ProposeSettings,
) -> pd.DataFrame:
    table = pd.DataFrame(values, columns=list(features))
    table.insert(0, "proposal", range(1, len(values) + 1))
    table.insert(1, "domain", propose.domain)
    deviations = []
    for target, column in targets.items():
        told = ensemble.predict(propose.domain, target, values)
        table[target], table[f"{target}_sd"] = told.mean, told.sd
        # An interval reaches no value that the settings call impossible.
        possible = column.range or (-np.inf, np.inf)
        for end, reach in (("low", told.low), ("high", told.high)):
            table[f"{target}_{end}"] = np.clip(reach, *possible)
        if target in propose.wanted:
            wanted = propose.wanted[target]
            deviations.append((told.mean - wanted) / abs(wanted))
            table[f"{target}_wanted"] = wanted
            table[f"{target}_deviation_percent"] = 100 * deviations[-1]
    largest = np.abs(deviations).max(axis=0)
    table["max_deviation_percent"] = 100 * largest
    table["within_tolerance"] = largest <= TOLERANCE
    numbers = table.select_dtypes("float64").columns.difference(list(features))
    table[numbers] = table[numbers].map(lambda value: float(f"{value:.{DIGITS}g}"))
    return table


def _tell_values(measured: pd.DataFrame, settings: TableStudySettings) -> list[str]:
    """Say in words which targets each row of the table has."""
    return [
        ", ".join(
            f"{name_column(name, column)} {row[name]:.4g} {column.unit}".rstrip()
            for name, column in settings.dataset.targets.items()
        )
        for row in measured.to_dict("records")
    ]


def _add_neighbours(
    table: pd.DataFrame,
    points: Numbers,
    known: Numbers,
    sample_ids: pd.Series,
    measured: Sequence[str],
) -> pd.DataFrame:
    """Tell how far each proposal is from what was measured; distances in feature sds."""
    tree = cKDTree(known)
    distance, nearest = tree.query(points)
    unique = np.unique(known, axis=0)
    usual = np.inf
    if len(unique) > 1:
        usual = float(np.quantile(cKDTree(unique).query(unique, k=2)[0][:, 1], USUAL_SHARE))
    notes = []
    for gap, near, place in zip(distance, table["within_tolerance"], nearest, strict=True):
        parts = []
        if not near:
            parts.append(f"misses the wish by more than {100 * TOLERANCE:g} %")
        if gap < SAME:
            parts.append(f"these settings are in the table already: {measured[place]}")
        elif gap > usual:
            parts.append(
                f"far from all rows of the table ({gap:.2g} sd; {100 * USUAL_SHARE:g} % of the "
                f"rows have a neighbour within {usual:.2g} sd)"
            )
        notes.append("; ".join(parts))
    return table.assign(
        distance_sd=[float(f"{gap:.{DIGITS}g}") for gap in distance],
        nearest_row=sample_ids.to_numpy()[nearest],
        note=notes,
    )
