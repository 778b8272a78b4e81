"""Why a network predicts what it predicts: SHAP values, and the features' ranks by them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from batteryscope.errors import ConfigError

Predict = Callable[[np.ndarray], np.ndarray]

EXACT_FEATURES = 8  # 2^8 masks per row; above that, permutations are sampled
ADDITIVITY = 1e-3  # relative; single precision stays below it


@dataclass(frozen=True)
class ExplainedNetwork:
    """One trained network and the training rows that stand for an unknown feature.

    ``predict`` maps (rows, features) in the features' units to (rows,) in the target's
    unit; ``background`` has the shape (rows, features).
    """

    predict: Predict
    background: np.ndarray


def compute_shap_values(
    predict: Predict, rows: np.ndarray, background: np.ndarray, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Divide the predictions of rows among their features.

    Up to :data:`EXACT_FEATURES` features the Shapley values are exact; above that they are
    estimated from random permutations, which add up to the prediction all the same.

    Parameters
    ----------
    predict
        Maps (rows, features) to (rows,).
    rows
        The rows to explain, shape (rows, features).
    background
        Rows over which an unknown feature is averaged, shape (any, features).
    seed
        Of the permutations.

    Returns
    -------
    tuple
        SHAP values, shape (rows, features), and base values, shape (rows,), both in the
        target's unit. The base value is the mean prediction over ``background``.

    Raises
    ------
    ArithmeticError
        If base value and SHAP values do not add up to the prediction.
    """
    import shap  # compiles parts of itself, so it is loaded only where it is used

    def answer(x: Any) -> np.ndarray:
        return np.asarray(predict(np.asarray(x, dtype=float)), dtype=float).reshape(-1)

    masker = shap.maskers.Independent(background, max_samples=len(background))
    if rows.shape[1] <= EXACT_FEATURES:
        explainer = shap.ExactExplainer(answer, masker)
        explanation = explainer(rows, batch_size=2**EXACT_FEATURES, silent=True)
    else:
        explainer = shap.PermutationExplainer(answer, masker, seed=seed)
        rounds = 10 * (2 * rows.shape[1] + 1)
        explanation = explainer(rows, max_evals=rounds, silent=True)
    values = np.asarray(explanation.values, dtype=float).reshape(rows.shape)
    base = np.broadcast_to(np.asarray(explanation.base_values, dtype=float), (len(rows),))
    check_additivity(values, base, answer(rows))
    return values, base


def check_additivity(values: np.ndarray, base: np.ndarray, predictions: np.ndarray) -> None:
    """Raise if base value plus SHAP values is not the prediction.

    Parameters
    ----------
    values
        Shape (rows, features).
    base, predictions
        Shape (rows,), in the same unit.

    Raises
    ------
    ArithmeticError
        If a row is off by more than :data:`ADDITIVITY` times the largest prediction.
    """
    error = np.abs(base + values.sum(axis=1) - predictions)
    if error.size and error.max() > ADDITIVITY * np.abs(predictions).max():
        worst = int(error.argmax())
        raise ArithmeticError(
            f"row {worst}: base value and SHAP values add up to "
            f"{base[worst] + values[worst].sum():g}, the prediction is {predictions[worst]:g}."
        )


def explain_rows(
    networks: Sequence[ExplainedNetwork],
    rows: pd.DataFrame,
    features: Sequence[str],
    arm: str,
    target: str,
    seed: int = 0,
) -> pd.DataFrame:
    """Explain rows by the mean over the networks of all repeats.

    SHAP values are linear in the prediction, so the means add up to the mean prediction.

    Parameters
    ----------
    networks
        One per repeat.
    rows
        ``sample_id, domain`` and the features.
    features
        Columns in the order that the networks know.
    arm, target, seed
        Written into the table; seed of the permutations (many features only).

    Returns
    -------
    pandas.DataFrame
        ``sample_id, domain, arm, target, feature, feature_value, shap_value, base_value``,
        one line per row and feature; SHAP and base values in the target's unit.
    """
    array = rows[list(features)].to_numpy(float)
    explained = [compute_shap_values(n.predict, array, n.background, seed) for n in networks]
    values = np.mean([values for values, _ in explained], axis=0)
    base = np.mean([base for _, base in explained], axis=0)
    width = len(features)
    return pd.DataFrame(
        {
            "sample_id": np.repeat(rows["sample_id"].to_numpy(), width),
            "domain": np.repeat(rows["domain"].to_numpy(), width),
            "arm": arm,
            "target": target,
            "feature": np.tile(list(features), len(rows)),
            "feature_value": array.ravel(),
            "shap_value": values.ravel(),
            "base_value": np.repeat(base, width),
        }
    )


def rank_features(shap_values: pd.DataFrame) -> pd.DataFrame:
    """Rank the features by their mean absolute SHAP value, 1 being the most important.

    Returns
    -------
    pandas.DataFrame
        ``arm, target, domain, feature, mean_abs_shap, rank``, sorted by these keys and rank;
        equal features are ranked by name.
    """
    keys = ["arm", "target", "domain"]
    table = (
        shap_values.assign(mean_abs_shap=shap_values["shap_value"].abs())
        .groupby([*keys, "feature"])["mean_abs_shap"]
        .mean()
        .reset_index()
        .sort_values([*keys, "mean_abs_shap", "feature"], ascending=[True, True, True, False, True])
        .reset_index(drop=True)
    )
    table["rank"] = table.groupby(keys).cumcount() + 1
    return table


def compare_ranks(ranking: pd.DataFrame, before: str, after: str) -> pd.DataFrame:
    """Put the ranks before and after transfer side by side.

    Parameters
    ----------
    ranking
        From :func:`rank_features`.
    before, after
        Names of the two arms.

    Returns
    -------
    pandas.DataFrame
        ``target, domain, feature, mean_abs_shap_before, rank_before, mean_abs_shap_after,
        rank_after`` for domains that both arms explain, sorted by rank after transfer.
    """
    keys = ["target", "domain", "feature"]
    sides = [ranking[ranking["arm"] == arm].drop(columns="arm") for arm in (before, after)]
    table = sides[0].merge(sides[1], on=keys, suffixes=("_before", "_after"))
    return table.sort_values(["target", "domain", "rank_after"]).reset_index(drop=True)


def choose_rows(shap_values: pd.DataFrame, n_rows: int) -> list[str]:
    """Choose rows that span the predictions: evenly spaced quantiles of them.

    Parameters
    ----------
    shap_values
        The table of one arm, target and domain.
    n_rows
        How many rows to choose (fewer if there are fewer).

    Returns
    -------
    list of str
        ``sample_id`` of the rows, from the lowest prediction to the highest.
    """
    groups = shap_values.groupby("sample_id")
    predictions = (groups["base_value"].first() + groups["shap_value"].sum()).sort_index()
    ordered = predictions.sort_values(kind="stable").index
    quantiles = (np.arange(n_rows) + 0.5) / n_rows
    positions = np.unique(np.floor(quantiles * len(ordered)).astype(int))
    return [str(ordered[position]) for position in positions]


def find_named_rows(manifest: pd.DataFrame, names: Sequence[str]) -> list[str]:
    """Find rows by file and line.

    Parameters
    ----------
    manifest
        ``sample_id, path, row`` (line in the file).
    names
        Such as ``electrodes.csv:17``; folders before the file name may be left out.

    Returns
    -------
    list of str
        ``sample_id`` of the rows, in the order of the names.

    Raises
    ------
    ConfigError
        There is no such row, or several files have that name.
    """
    found = []
    for name in names:
        file, _, line = name.rpartition(":")
        paths = manifest["path"].astype(str)
        same_file = (paths == file) | paths.str.endswith(f"/{file}")
        rows = manifest[same_file & (manifest["row"] == int(line))]
        if len(rows) != 1:
            known = ", ".join(sorted(set(paths)))
            raise ConfigError(
                f"explain.chosen: {'no row' if rows.empty else 'more than one row'} '{name}' was "
                f"used; name a file ({known}) and the line of a row that was not rejected."
            )
        found.append(str(rows["sample_id"].iloc[0]))
    return found
