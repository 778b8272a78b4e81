"""Which tiles are worth an explanation."""

import pandas as pd

from batteryscope.errors import InputError
from batteryscope.evaluation.predictions import find_classes, get_probabilities
from batteryscope.seeds import derive_seed
from batteryscope.tilestore import complete_index

PLACE = ["x_px", "y_px", "crop_px", "crop_height_px"]


def choose_tiles(
    predictions: pd.DataFrame, tiles_per_class: int, n_misclassified: int
) -> pd.DataFrame:
    """Choose typical and mistaken test tiles, no two that show the same from the same image.

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
        ``sample_id, tile, repeat, fold, y_true, y_pred, confidence, shows, rank``.
        ``shows`` is ``class`` or ``misclassified``; ``rank`` counts from 1 within it (and within
        the class). Fewer rows where there are not enough images.

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
    return pd.concat(parts, ignore_index=True)[[*columns, "shows", "rank"]]


def choose_same_tiles(
    predictions: pd.DataFrame, index: pd.DataFrame, n_images: int, tiles_per_image: int
) -> pd.DataFrame:
    """Choose test images by lot, class after class in turn, in the same way for every arm.

    The lot of an image depends on its name and that of a tile on its place in the image, not on
    what was predicted: arms that are tested on the same images show the same ones, and what
    they show is not picked for being right.

    Parameters
    ----------
    predictions
        Predictions table at tile level.
    index
        Index of the tile store (``tile`` and where it lies).
    n_images
        How many images; the first of every class come before the second ones.
    tiles_per_image
        How many tiles of each, judged by the first fit that tested the image.

    Returns
    -------
    DataFrame
        ``sample_id, tile, repeat, fold, y_true, y_pred, confidence, x_px, y_px, crop_px,
        crop_height_px``,
        ordered by image.
    """
    tested = predictions[(predictions["role"] == "test") & (predictions["tile"] >= 0)]
    tested = tested.assign(confidence=get_probabilities(tested).max(axis=1))
    tested = tested.sort_values(["sample_id", "tile", "repeat", "fold"])
    tested = tested.drop_duplicates(["sample_id", "tile"])
    images = tested.drop_duplicates("sample_id")[["sample_id", "y_true"]]
    images["lot"] = [derive_seed("same image", name) for name in images["sample_id"]]
    images = images.sort_values(["lot", "sample_id"])
    images["turn"] = images.groupby("y_true").cumcount()
    images = images.sort_values(["turn", "y_true"]).head(n_images)
    places = complete_index(index).loc[index["tile"].to_numpy() >= 0, ["tile", *PLACE]]
    tiles = tested[tested["sample_id"].isin(images["sample_id"])].merge(places, on="tile")
    keys = zip(tiles["sample_id"], tiles["x_px"], tiles["y_px"], strict=True)
    tiles["lot"] = [derive_seed("same tile", name, int(x), int(y)) for name, x, y in keys]
    tiles = tiles.sort_values("lot").groupby("sample_id").head(tiles_per_image)
    order = {name: place for place, name in enumerate(images["sample_id"])}
    tiles["place"] = tiles["sample_id"].map(order)
    tiles = tiles.sort_values(["place", "lot"])
    columns = ["sample_id", "tile", "repeat", "fold", "y_true", "y_pred", "confidence"]
    return tiles[[*columns, *PLACE]].reset_index(drop=True)


def _take_first(tiles: pd.DataFrame, count: int, shows: str) -> pd.DataFrame:
    chosen = tiles.drop_duplicates("sample_id").head(count)
    return chosen.assign(shows=shows, rank=range(1, len(chosen) + 1))
