"""Predicted numbers of tiles and images, and the tables that hold them.

``predictions.parquet`` of an arm: ``sample_id, tile, repeat, fold, role, arm`` and
``y_true_<target>``, ``y_pred_<target>`` for each of its targets; ``role`` is validation or test.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from batteryscope.evaluation.forward import (
    apply_to_tiles,
    select_judged_tiles,
    take_beside,
)
from batteryscope.models.classifier import TileClassifier

KEYS = ["sample_id", "tile", "repeat", "fold", "role", "arm"]
FIT = ["repeat", "fold"]
TRUE, PRED = "y_true_", "y_pred_"
LONG_COLUMNS = [
    "arm", "target", "repeat", "fold", "role", "sample_id", "specimen_id", "class", "y_true",
    "y_pred",
]  # fmt: skip


def predict_values(
    model: TileClassifier,
    tiles: NDArray[np.uint8],
    rows: NDArray[np.int64] | None = None,
    batch_size: int = 32,
    covariates: NDArray[np.float32] | None = None,
    samples: NDArray[np.object_] | None = None,
) -> NDArray[np.float64]:
    """Return the (m, n_targets) outputs for tiles, in the units of the targets.

    The parameters are those of :func:`batteryscope.evaluation.forward.apply_to_tiles`.
    """
    return apply_to_tiles(model, tiles, rows, batch_size, covariates=covariates, samples=samples)


def predict_number_fit(
    model: TileClassifier,
    tiles: NDArray[np.uint8],
    index: pd.DataFrame,
    manifest: pd.DataFrame,
    roles: pd.DataFrame,
) -> pd.DataFrame:
    """Predict the validation and test tiles of one fit; ``manifest`` has the target columns.

    The parameters are those of :func:`batteryscope.evaluation.forward.predict_fit`.
    """
    targets = model.description.classes
    truth = manifest.set_index("sample_id")[targets]
    tables = []
    for chosen, keys in select_judged_tiles(index, roles, truth, take_beside(model, manifest)):
        predicted = predict_values(
            model,
            tiles,
            chosen.rows,
            covariates=chosen.covariates,
            samples=chosen.sample_ids,
        )
        values = {f"{TRUE}{t}": chosen.targets[:, i].astype(float) for i, t in enumerate(targets)}
        values |= {f"{PRED}{t}": predicted[:, i] for i, t in enumerate(targets)}
        tables.append(pd.DataFrame(keys | values))
    return pd.concat(tables, ignore_index=True)


def list_predicted_targets(predictions: pd.DataFrame) -> list[str]:
    """Return the targets that a table of predictions holds."""
    return [str(c).removeprefix(PRED) for c in predictions.columns if str(c).startswith(PRED)]


def gather_images(predictions: pd.DataFrame, manifest: pd.DataFrame) -> pd.DataFrame:
    """Average the tiles of every image, and put targets below each other.

    Returns
    -------
    DataFrame
        One row per arm, fit, image and target with :data:`LONG_COLUMNS`.
    """
    targets = list_predicted_targets(predictions)
    keys = [k for k in KEYS if k != "tile"]
    values = [f"{p}{t}" for t in targets for p in (TRUE, PRED)]
    images = predictions.groupby(keys, sort=True)[values].mean().reset_index()
    known = manifest.set_index("sample_id")[["specimen_id", "class"]]
    images = images.join(known, on="sample_id")
    parts = [
        images[[*keys, "specimen_id", "class"]].assign(
            target=target, y_true=images[f"{TRUE}{target}"], y_pred=images[f"{PRED}{target}"]
        )
        for target in targets
    ]
    return pd.concat(parts, ignore_index=True)[LONG_COLUMNS]


def describe_predictions(predictions: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Say nothing more of an arm: intervals are calibrated in the comparison, on other folds."""
    del predictions
    return {}
