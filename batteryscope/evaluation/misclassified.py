"""Which tiles and images went wrong, the surest mistakes first."""

from collections.abc import Mapping

import pandas as pd

from batteryscope.evaluation.predictions import PREFIX, find_classes, get_probabilities


def list_misclassified(
    levels: Mapping[str, pd.DataFrame], manifest: pd.DataFrame, arm: str
) -> pd.DataFrame:
    """List the misclassified test tiles and images of one arm.

    Parameters
    ----------
    levels
        Test predictions by level (:func:`list_levels`); ``specimen`` is not used.
    manifest
        Manifest, for the paths.
    arm
        Name of the arm.

    Returns
    -------
    DataFrame
        ``level, path, sample_id, tile, repeat, fold, y_true, y_pred, confidence,
        p_<class>…``; images before tiles, most confident first. ``confidence`` is the
        probability of the predicted class.
    """
    paths = manifest.set_index("sample_id")["path"]
    tables = []
    for level in ("image", "slice", "tile"):
        if level not in levels:
            continue
        table = levels[level]
        wrong = table[(table["arm"] == arm) & (table["y_true"] != table["y_pred"])]
        wrong = wrong.assign(
            level=level,
            path=wrong["sample_id"].map(paths),
            confidence=get_probabilities(wrong).max(axis=1) if len(wrong) else 0.0,
        )
        tables.append(
            wrong.sort_values(
                ["confidence", "sample_id", "tile", "repeat", "fold"],
                ascending=[False, True, True, True, True],
            )
        )
    table = pd.concat(tables, ignore_index=True)
    columns = ["level", "path", "sample_id", "tile", "repeat", "fold", "y_true", "y_pred"]
    return table[[*columns, "confidence", *[PREFIX + name for name in find_classes(table)]]]
