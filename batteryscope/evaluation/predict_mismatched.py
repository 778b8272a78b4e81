"""What trained networks say of test tiles with grey levels that they were not trained with."""

from collections.abc import Mapping

import pandas as pd

from batteryscope.evaluation.forward import predict_fit
from batteryscope.models.classifier import TileClassifier
from batteryscope.tilestore import TileStore


def predict_mismatched(
    model: TileClassifier,
    store: TileStore,
    manifest: pd.DataFrame,
    roles: pd.DataFrame,
    treatments: Mapping[str, str],
) -> pd.DataFrame:
    """Predict the test tiles of one fit with other grey levels than in training.

    The statistics that the network learnt from its training tiles stay: ``dataset`` and
    ``histogram_match`` use those. Validation tiles are not asked about, since nothing may be
    chosen by the outcome.

    Parameters
    ----------
    model
        The trained network of this fit; it is as it was afterwards.
    store, manifest
        Tiles and samples.
    roles
        Rows of the split of this repeat and fold.
    treatments
        Name of each arm in the predictions → its treatment of grey levels.

    Returns
    -------
    DataFrame
        Predictions of the role ``test``, all arms below each other.
    """
    tested = roles[roles["role"] == "test"]
    own, tables = model.input.grey_levels, []
    try:
        for name, treatment in treatments.items():
            model.input.grey_levels = treatment  # type: ignore[assignment]
            table = predict_fit(model, store.tiles, store.index, manifest, tested)
            table.insert(list(table.columns).index("role") + 1, "arm", name)
            tables.append(table)
    finally:
        model.input.grey_levels = own
    return pd.concat(tables, ignore_index=True)
