"""What a fit says about images that it did not learn from, written where it was trained.

The process that trained has the network, the tiles and the libraries at hand; a process of its own
would spend more time on loading them than on predicting.
"""

from functools import singledispatch
from pathlib import Path

import pandas as pd

from batteryscope.evaluation.forward import choose_device, load_fit, predict_fit
from batteryscope.evaluation.gather_fits import FIT_PREDICTIONS
from batteryscope.evaluation.regression_predictions import predict_regression_fit
from batteryscope.models.classifier import TileClassifier, TileRegressor
from batteryscope.models.fold_batch_norm import fold_batch_norm
from batteryscope.tilestore import TileStore
from batteryscope.training.data import as_batch


def write_fit_predictions(
    folder: Path, store: TileStore, manifest: pd.DataFrame, roles: pd.DataFrame, accelerator: str
) -> None:
    """Predict all validation and test tiles of a fit, and keep the table beside its weights.

    Nothing is chosen by these predictions; an arm takes what it needs of them.

    Parameters
    ----------
    folder
        The finished fit; ``predictions.parquet`` is written there.
    store, manifest
        Tiles and samples.
    roles
        Rows of the split of this repeat and fold.
    accelerator
        ``auto``, ``cpu`` or ``gpu``.
    """
    model = fold_batch_norm(load_fit(folder), as_batch(store.tiles[[0]]))
    model = model.to(choose_device(accelerator))
    table = _predict(model, store, manifest, roles)
    table.to_parquet(folder / FIT_PREDICTIONS, index=False)


@singledispatch
def _predict(
    model: TileClassifier, store: TileStore, manifest: pd.DataFrame, roles: pd.DataFrame
) -> pd.DataFrame:
    return predict_fit(model, store.tiles, store.index, manifest, roles)


@_predict.register
def _predict_numbers(
    model: TileRegressor, store: TileStore, manifest: pd.DataFrame, roles: pd.DataFrame
) -> pd.DataFrame:
    return predict_regression_fit(model, store.tiles, store.index, manifest, roles)
