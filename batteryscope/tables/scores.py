"""How far predictions are from the truth, and all arms in one tidy table."""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from batteryscope.config.evaluate import PaperValue
from batteryscope.config.table_study import TableStudySettings
from batteryscope.evaluation.flat_metrics import FITS
from batteryscope.evaluation.metric_catalogue import METRICS as METRIC_CATALOGUE
from batteryscope.evaluation.paper_values import add_paper_values
from batteryscope.evaluation.predictions import is_baseline
from batteryscope.tables.table_predictions import (
    NETWORKS,
    PROCESSES,
    find_family,
    order_table_arms,
    select_main_study,
)

METRICS = ("mape", "mae", "rmse", "r2")
SCORE_COLUMNS = [
    "arm", "target", "domain", "ablation", "value", "repeat", "metric", "score", "n"
]  # fmt: skip
COMPARISON_COLUMNS = [
    "arm", "backbone", "target", "domain", "level", "metric", "mean", "sd", "n", "paper"
]  # fmt: skip
LEVEL = "row"


def measure(metric: str, y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Return one of :data:`METRICS` for the rows of one fit; NaN where it is not defined."""
    formula = METRIC_CATALOGUE[metric].measure
    assert formula is not None, metric
    return formula(y_true, y_pred)


def score_predictions(predictions: pd.DataFrame, role: str = "test") -> pd.DataFrame:
    """Score every arm, target, domain and repeat, ablations included.

    Parameters
    ----------
    predictions
        Table of ``table_predictions.COLUMNS``.
    role
        ``test`` or ``validation``.

    Returns
    -------
    DataFrame
        ``arm, target, domain, ablation, value, repeat, metric, score, n``; metrics
        ``mape`` (percent), ``mae``, ``rmse`` (unit of the target), ``r2``; ``n`` counts the
        rows of that repeat. No ``mape`` of targets that are 0 in some row of the
        domain. Sorted by these columns, arms as in ``order_table_arms``.
    """
    keys = SCORE_COLUMNS[:6]
    asked = predictions[predictions["role"] == role]
    zeros = find_zeros(predictions)
    rows = []
    for place, part in asked.groupby(keys, sort=True, dropna=False):
        for metric in METRICS:
            if metric == "mape" and place[1:3] in zeros:
                continue
            score = measure(metric, part["y_true"], part["y_pred"])
            rows.append([*place, metric, score, len(part)])
    scores = pd.DataFrame(rows, columns=SCORE_COLUMNS)
    place_of = {arm: i for i, arm in enumerate(order_table_arms(scores))}
    return scores.sort_values(
        "arm", key=lambda arms: arms.map(place_of), kind="stable", ignore_index=True
    )


def find_zeros(predictions: pd.DataFrame) -> set[tuple[str, str]]:
    """Return target and domain wherever a true value is 0, which has no percentage error."""
    rows = predictions.loc[predictions["y_true"] == 0, ["target", "domain"]].drop_duplicates()
    return {(str(target), str(domain)) for target, domain in rows.to_numpy()}


def select_mape(scores: pd.DataFrame) -> pd.DataFrame:
    """Keep the MAPE of the main study."""
    main = select_main_study(scores)
    return main[main["metric"] == "mape"]


def compare_table_arms(predictions: pd.DataFrame, settings: TableStudySettings) -> pd.DataFrame:
    """Put all arms of the main study beside the published values.

    Parameters
    ----------
    predictions
        Networks and baselines together.
    settings
        The study: order of the targets, sizes of the networks, ``evaluate.paper``.

    Returns
    -------
    DataFrame
        ``arm, backbone, target, domain, level, metric, mean, sd, n, paper, fits``. ``level`` is
        ``row``, ``mean`` and ``sd`` (ddof 1; empty for a single repeat) are over repeats,
        ``n`` counts distinct test rows. Targets in the order of the settings, the source
        domain first. A published value without counterpart gets a row of the arm ``paper``.
    """
    main = select_main_study(predictions)
    test = main[main["role"] == "test"]
    units = test.groupby(["arm", "target", "domain"])["sample_id"].nunique()
    scores = score_predictions(main)
    source = settings.dataset.source
    domains = sorted(set(scores["domain"]), key=lambda d: (d != source, d))
    rows: list[dict[str, object]] = []
    for target in settings.dataset.targets:
        for domain in domains:
            here = scores[(scores["target"] == target) & (scores["domain"] == domain)]
            for arm in order_table_arms(here):
                mine = here[here["arm"] == arm].groupby("metric")["score"]
                means, sds, fits = mine.mean(), mine.std(ddof=1), mine.count()
                for metric in (m for m in METRICS if m in means):
                    rows.append(
                        {
                            "arm": arm,
                            "backbone": name_backbone(arm, target, settings),
                            "target": target,
                            "domain": domain,
                            "level": LEVEL,
                            "metric": metric,
                            "mean": means[metric],
                            "sd": sds[metric],
                            "n": units[arm, target, domain],
                            "paper": np.nan,
                            FITS: fits[metric],
                        }
                    )
    comparison = pd.DataFrame(rows, columns=[*COMPARISON_COLUMNS, FITS]).astype({"n": "Int64"})
    models = {arm for arm in comparison["arm"] if not is_baseline(arm)}
    paper = [_place(value, source) for value in settings.evaluate.paper]
    return add_paper_values(comparison, paper, models)


def name_backbone(arm: str, target: str, settings: TableStudySettings) -> str:
    """Name a network by its hidden layers: ``mlp_3x4``, with an adapter ``mlp_3x4+4``.

    Gaussian processes are ``gaussian_process``; baselines have no name.
    """
    if is_baseline(arm):
        return ""
    if find_family(arm) is PROCESSES:
        return "gaussian_process"
    network = settings.networks[target]
    name = f"mlp_{network.hidden_layers}x{network.nodes}"
    return f"{name}+{network.adapter_nodes or network.nodes}" if arm == "adapter" else name


def _place(value: PaperValue, source: str) -> PaperValue:
    """Return a published value as one of rows, of which there is one level only."""
    # At home, the pretrained network is simply the source network.
    at_home = value.arm == NETWORKS.as_it_is and value.domain == source
    arm = NETWORKS.source if at_home else value.arm
    return value.model_copy(update={"level": LEVEL, "arm": arm})
