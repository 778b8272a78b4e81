"""The fits of baselines of pictures: whom each learns from, whom it predicts, and its forest."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from batteryscope.errors import InputError
from batteryscope.evaluation.predictions import FIT


@dataclass(frozen=True)
class BaselineFit:
    """One repeat and fold.

    Attributes
    ----------
    repeat, fold
        Which one.
    train
        Samples that baselines learn from, sorted.
    asked
        ``sample_id, role, tile`` (-1), ``repeat, fold`` of those that they predict, sorted.
    """

    repeat: int
    fold: int
    train: list[str]
    asked: pd.DataFrame


def list_baseline_fits(split: pd.DataFrame, roles: Collection[str]) -> Iterator[BaselineFit]:
    """Yield the fits in which somebody has one of the roles that are predicted.

    Parameters
    ----------
    split
        ``sample_id, repeat, fold, role``.
    roles
        ``test``, or ``validation`` as well.

    Raises
    ------
    InputError
        A fit has no training images.
    """
    for _, part in split.sort_values("sample_id").groupby(FIT, sort=True):
        repeat, fold = (int(part[name].iloc[0]) for name in FIT)
        train = part.loc[part["role"] == "train", "sample_id"].tolist()
        asked = part.loc[part["role"].isin(roles), ["sample_id", "role"]]
        if asked.empty:
            continue
        if not train:
            raise InputError(
                f"Repeat {repeat}, fold {fold}: no training image is left for the baselines; "
                "compare split.test_where, by which they are chosen as well, with split.leave_out."
            )
        keys = asked.assign(tile=-1, repeat=repeat, fold=fold)
        yield BaselineFit(repeat, fold, train, keys.reset_index(drop=True))


def make_forest(forest: Any, features: pd.DataFrame) -> Any:
    """Return a forest that fills gaps and turns names into numbers, where either is needed.

    Missing numbers become the training median and a flag of their own, names that training lacks
    nothing.

    Parameters
    ----------
    forest
        A forest of scikit-learn.
    features
        All that is known of any sample: numbers, or names as text.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    names = [c for c in features if not pd.api.types.is_numeric_dtype(features[c])]
    if not names and not features.isna().to_numpy().any():
        return forest
    # A column may be empty in one training part only, so empty ones are kept as zeros.
    median = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
    one_hot = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    numbers = [c for c in features if c not in names]
    kinds = [("numbers", median, numbers), ("names", one_hot, names)]
    return make_pipeline(ColumnTransformer(kinds), forest)
