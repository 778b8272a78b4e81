"""Which model answers a question about new settings: the network, or a baseline that errs less."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from batteryscope.config.table_study import TableStudySettings
from batteryscope.core.baseline_catalogue import BASELINE_PREFIX
from batteryscope.evaluation.predictions import is_baseline
from batteryscope.tables.baselines import fit_baseline, seed_baseline
from batteryscope.tables.ensemble import Place, Predict, TableEnsemble, read_half_widths
from batteryscope.tables.networks import Numbers
from batteryscope.tables.table_predictions import find_family


def choose_answering_arms(
    comparison: pd.DataFrame, settings: TableStudySettings, domain: str
) -> dict[str, str]:
    """Choose for every target the arm with the lowest mean error of test rows.

    The error is the MAPE, or the MAE of a target that is 0 somewhere and so has no MAPE.

    Parameters
    ----------
    comparison
        ``arm, target, domain, metric, mean``.
    settings
        The study; with ``propose.model: network`` the network answers whatever its error.
    domain
        Where it has to answer.

    Returns
    -------
    dict
        Target → the main arm (at home the source of its family) or
        ``baseline_<name>``; the main arm if equal.
    """
    main = settings.main_arm
    network = find_family(main).source if domain == settings.dataset.source else main
    errors = comparison[comparison["domain"] == domain].dropna(subset="mean")
    if settings.propose is not None and settings.propose.model == "network":
        return dict.fromkeys(settings.dataset.targets, network)
    errors = errors[errors["arm"].eq(network) | errors["arm"].map(is_baseline).astype(bool)]
    chosen = {}
    for target in settings.dataset.targets:
        own = errors[errors["target"] == target]
        metric = "mape" if (own["metric"] == "mape").any() else "mae"
        own = own[own["metric"] == metric]
        # A stable sort with the network in front: it answers where errors are equal.
        own = own.sort_values("arm", key=lambda arms: arms != network, kind="stable")
        best = own.sort_values("mean", kind="stable")["arm"]
        chosen[target] = str(best.iloc[0]) if len(best) else network
    return chosen


def replace_networks(
    ensemble: TableEnsemble,
    answering: Mapping[str, str],
    domain: str,
    manifest: pd.DataFrame,
    split: pd.DataFrame,
    settings: TableStudySettings,
    intervals: Path,
) -> TableEnsemble:
    """Let baselines answer where they were chosen, fitted as they were when they were measured.

    Parameters
    ----------
    ensemble
        The networks.
    answering
        From :func:`choose_answering_arms`.
    domain
        Where they answer.
    manifest, split
        ``sample_id, domain``, features and targets; ``sample_id, repeat, fold, role``.
    settings
        The study.
    intervals
        Path of ``intervals.csv``.
    """
    members, widths = dict(ensemble.members), dict(ensemble.half_widths)
    for target, arm in answering.items():
        if is_baseline(arm):
            place: Place = (domain, target)
            members[place] = _fit_members(manifest, split, settings, arm, place)
            widths[place] = read_half_widths(intervals, arm).get(place, np.inf)
    return TableEnsemble(members, widths)


def _fit_members(
    manifest: pd.DataFrame,
    split: pd.DataFrame,
    settings: TableStudySettings,
    arm: str,
    place: Place,
) -> list[Predict]:
    domain, target = place
    name, features = arm.removeprefix(BASELINE_PREFIX), list(settings.dataset.features)
    known = split[split["role"] == "train"][["sample_id", "repeat", "fold"]]
    rows = known.merge(manifest[manifest["domain"] == domain], on="sample_id", validate="m:1")
    members: list[Predict] = []
    for key, train in rows.groupby(["repeat", "fold"], sort=True):
        repeat = np.asarray(key)[0]
        seed = seed_baseline(settings.train.seed, name, target, domain, int(repeat))
        inputs, truth = train[features].to_numpy("float64"), train[target].to_numpy("float64")
        members.append(partial(_ask, fit_baseline(name, inputs, truth, seed)))
    return members


def _ask(model: Any, features: Numbers) -> Numbers:
    return np.asarray(model.predict(features), dtype=np.float64)
