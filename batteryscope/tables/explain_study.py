"""SHAP values and partial dependence of a study: its source network and its transfer."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from batteryscope.config.table_study import TableStudySettings
from batteryscope.core.progress import log, show_progress
from batteryscope.errors import InputError
from batteryscope.planning.layout import RowLayout
from batteryscope.seeds import derive_rng, derive_seed
from batteryscope.tables.attribution import (
    ExplainedNetwork,
    Predict,
    compare_ranks,
    explain_rows,
    find_named_rows,
    rank_features,
)
from batteryscope.tables.network_files import read_descriptions, read_networks, read_plan
from batteryscope.tables.networks import predict_rows
from batteryscope.tables.row_order import thin_out
from batteryscope.tables.table_predictions import find_family

GRID_POINTS = 20
MOST_ROWS = 150  # of a domain that are explained, evenly spaced, beside those that are named
GRID_QUANTILES = (0.02, 0.98)  # no curve where a single outlying row is the only support


def compute_partial_dependence(
    predicts: Sequence[Predict], rows: np.ndarray, features: Sequence[str]
) -> pd.DataFrame:
    """Average the predictions over all rows while one feature is set to a value.

    Parameters
    ----------
    predicts
        The networks of all repeats.
    rows
        Shape (rows, features), in the features' units.
    features
        Names of the columns.

    Returns
    -------
    pandas.DataFrame
        ``feature, feature_value, mean, sd, n``: mean and standard deviation over the ``n``
        networks (nan for one) in the target's unit, over a grid of quantiles of the rows'
        values. A feature that is the same in all rows has no curve.
    """
    lines = []
    for column, feature in enumerate(features):
        grid = _make_grid(rows[:, column])
        for value in grid if len(grid) > 1 else ():
            changed = rows.copy()
            changed[:, column] = value
            means = [float(np.mean(predict(changed))) for predict in predicts]
            sd = float(np.std(means, ddof=1)) if len(means) > 1 else float("nan")
            lines.append((feature, float(value), float(np.mean(means)), sd, len(means)))
    return pd.DataFrame(lines, columns=["feature", "feature_value", "mean", "sd", "n"])


def _make_grid(values: np.ndarray) -> np.ndarray:
    unique = np.unique(values)
    if len(unique) <= GRID_POINTS:
        return unique
    return np.unique(np.quantile(values, np.linspace(*GRID_QUANTILES, GRID_POINTS)))


@dataclass(frozen=True)
class Case:
    """One arm on one domain for one target: what is explained at a time."""

    arm: str
    target: str
    domain: str


def list_cases(settings: TableStudySettings, domains: list[str]) -> list[Case]:
    """List the cases: the source domain, and every target domain before and after transfer."""
    source, family = settings.dataset.source, find_family(settings.main_arm)
    arms = dict.fromkeys([family.as_it_is, settings.main_arm])
    return [
        case
        for target in settings.dataset.targets
        for case in (
            Case(family.source, target, source),
            *(Case(arm, target, d) for d in domains if d != source for arm in arms),
        )
    ]


def find_networks(plan: pd.DataFrame, case: Case, source: str) -> pd.DataFrame:
    """Find the main study's models of a case, one per repeat.

    What is applied as it is are the models of the source, if the plan does not say so.

    Raises
    ------
    InputError
        If the plan has no network for the case.
    """
    main = plan[(plan["target"] == case.target) & (plan["ablation"].fillna("") == "")]
    found = main[(main["arm"] == case.arm) & (main["domain"] == case.domain)]
    family = find_family(case.arm)
    if found.empty and case.arm == family.as_it_is:
        found = main[(main["arm"] == family.source) & (main["domain"] == source)]
    if found.empty:
        raise InputError(
            f"the trained networks hold none of the arm '{case.arm}' for {case.target} of "
            f"{case.domain}; train the study anew."
        )
    return found.sort_values("repeat").drop_duplicates("repeat")


def explain_study(layout: RowLayout, out: Path) -> None:
    """Explain every case and write four tables.

    Raises
    ------
    InputError
        If a piece of the study is missing.
    """
    torch.set_num_threads(1)  # more threads only slow down networks of this size
    settings = layout.plan.settings
    manifest = pd.read_parquet(layout.data.manifest)
    split = pd.read_parquet(layout.split().roles)
    plan = read_plan(read_descriptions(layout.networks))
    source = settings.dataset.source
    cases = list_cases(settings, sorted(set(manifest["domain"])))
    tasks = sorted({t for case in cases for t in find_networks(plan, case, source)["task"]})
    networks = read_networks(layout.networks, tasks)
    predictors = {task: partial(predict_rows, network) for task, network in networks.items()}

    explained = list(
        show_progress(
            explain_cases(manifest, split, predictors, plan, settings),
            "explaining",
            total=len(cases),
            unit="case",
        )
    )
    shap_values = pd.concat([values for _, values, _ in explained], ignore_index=True)
    ranking = rank_features(shap_values)
    tables = {
        "shap_values": shap_values,
        "ranking": ranking,
        "rank_changes": compare_ranks(
            ranking, find_family(settings.main_arm).as_it_is, settings.main_arm
        ),
        "partial_dependence": pd.concat([d for _, _, d in explained], ignore_index=True),
    }
    out.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        table.to_csv(out / f"{name}.csv", index=False, float_format="%.8g")
    log.info("%d cases explained with %d networks", len(explained), len(networks))


def explain_cases(
    manifest: pd.DataFrame,
    split: pd.DataFrame,
    predictors: Mapping[str, Predict],
    plan: pd.DataFrame,
    settings: TableStudySettings,
) -> Iterator[tuple[Case, pd.DataFrame, pd.DataFrame]]:
    """Explain the source network and the transfer, case by case.

    An unknown feature is averaged over training rows of the domain that is explained, so
    that the same base is used before and after transfer, and no test row enters it.

    Parameters
    ----------
    manifest
        ``sample_id, domain`` and the features.
    split
        ``sample_id, repeat, role`` …
    predictors
        By task name.
    plan
        ``task, arm, target, domain, repeat, ablation``.
    settings
        The study.

    Yields
    ------
    tuple
        The case; the SHAP values of the rows of its domain, of :data:`MOST_ROWS` where there are
        more; its partial dependence.
    """
    named = find_named_rows(manifest, settings.explain.chosen)
    features = list(settings.dataset.features)
    by_domain = {str(domain): rows for domain, rows in manifest.groupby("domain")}
    for case in list_cases(settings, sorted(by_domain)):
        rows = by_domain.get(case.domain)
        if rows is None:
            raise InputError(f"manifest: no row of the domain '{case.domain}' is left to explain.")
        shown = choose_explained(rows, named)
        tasks = find_networks(plan, case, settings.dataset.source)
        networks = [
            ExplainedNetwork(
                predictors[task],
                _draw_background(rows, split, int(repeat), case, settings),
            )
            for task, repeat in zip(tasks["task"], tasks["repeat"], strict=True)
        ]
        seed = derive_seed(settings.train.seed, "shap", case.target, case.domain)
        shap_values = explain_rows(networks, shown, features, case.arm, case.target, seed)
        dependence = compute_partial_dependence(
            [network.predict for network in networks], shown[features].to_numpy(float), features
        )
        for position, value in enumerate((case.domain, case.arm, case.target)):
            dependence.insert(position, ("domain", "arm", "target")[position], value)
        yield case, shap_values, dependence


def choose_explained(rows: pd.DataFrame, named: Sequence[str]) -> pd.DataFrame:
    """Return the rows of a domain, of :data:`MOST_ROWS` where there are more; named ones always."""
    spaced = rows["sample_id"].iloc[thin_out(len(rows), MOST_ROWS)]
    return rows[rows["sample_id"].isin([*spaced, *named])]


def _draw_background(
    rows: pd.DataFrame, split: pd.DataFrame, repeat: int, case: Case, settings: TableStudySettings
) -> np.ndarray:
    """Draw training rows of a repeat, the same ones before and after transfer."""
    train = split.loc[(split["repeat"] == repeat) & (split["role"] == "train"), "sample_id"]
    known = rows[rows["sample_id"].isin(set(train))].sort_values("sample_id")
    if known.empty:
        raise InputError(f"split: repeat {repeat} has no training row of '{case.domain}'.")
    rng = derive_rng(settings.train.seed, "background", case.domain, repeat)
    size = min(settings.explain.background, len(known))
    chosen = sorted(rng.choice(len(known), size=size, replace=False))
    return known.iloc[chosen][list(settings.dataset.features)].to_numpy(float)
