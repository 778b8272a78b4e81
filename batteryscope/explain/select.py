"""Which tiles are worth an explanation."""

import pandas as pd

from batteryscope.errors import InputError
from batteryscope.evaluation.predictions import find_classes, get_probabilities


def choose_tiles(
    predictions: pd.DataFrame, tiles_per_class: int, n_misclassified: int
) -> pd.DataFrame:
    """Choose typical and mistaken test tiles, no two of a kind from the same image.

    Parameters
    ----------
    predictions
        Predictions table at tile level.
    tiles_per_class
        How many of the most confident correctly classified tiles of each class.
    n_misclassified
        How many of the most confident misclassified tiles of all classes together.

    Returns
    -------
    DataFrame
        ``sample_id, tile, repeat, fold, y_true, y_pred, confidence, kind, rank``. ``kind``
        is ``class`` or ``misclassified``; ``rank`` counts from 1 within a kind (and class).
        Fewer rows where there are not enough images.

    Raises
    ------
    InputError
        If no tile was tested.
    """
    tested = predictions[(predictions["role"] == "test") & (predictions["tile"] >= 0)]
    if tested.empty:
        raise InputError(
            "The predictions hold no test tiles, so there is nothing to explain; "
            "give the split more test images or loosen the tile filter."
        )
    tested = tested.assign(confidence=get_probabilities(tested).max(axis=1))
    order = ["confidence", "sample_id", "tile", "repeat", "fold"]
    tested = tested.sort_values(order, ascending=[False, True, True, True, True])
    right = tested["y_true"] == tested["y_pred"]
    parts = [
        _take_first(tested[right & (tested["y_true"] == name)], tiles_per_class, "class")
        for name in find_classes(predictions)
    ]
    parts.append(_take_first(tested[~right], n_misclassified, "misclassified"))
    columns = ["sample_id", "tile", "repeat", "fold", "y_true", "y_pred", "confidence"]
    return pd.concat(parts, ignore_index=True)[[*columns, "kind", "rank"]]


def _take_first(tiles: pd.DataFrame, count: int, kind: str) -> pd.DataFrame:
    chosen = tiles.drop_duplicates("sample_id").head(count)
    return chosen.assign(kind=kind, rank=range(1, len(chosen) + 1))
