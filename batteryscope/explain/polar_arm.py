"""The polar average of an arm: every slice by a model that was not trained on its cell."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from batteryscope.config.preprocess import CtSlicesSettings
from batteryscope.evaluation.forward import choose_device, load_fit
from batteryscope.explain.attribution import attribute_tiles
from batteryscope.explain.polar import choose_typical, unroll_map


def average_polar_maps(
    predictions: pd.DataFrame,
    specimens: "pd.Series[str]",
    fits: Mapping[tuple[int, int], Path],
    tiles: NDArray[np.uint8],
    settings: CtSlicesSettings,
    count: int,
    batch_size: int,
) -> dict[str, NDArray[np.float64]]:
    """Compute Grad-CAM maps of typical test slices in polar coordinates.

    Parameters
    ----------
    predictions
        Predictions table of the arm.
    specimens
        Specimen by ``sample_id``.
    fits
        Folder of each fit by (repeat, fold).
    tiles
        The tile store.
    settings
        How the tiles were cut.
    count, batch_size
        Slices per class; tiles at a time.

    Returns
    -------
    dict
        Class → (n, radii, angles) maps, each adding up to 1; classes without a right answer are
        left out.
    """
    chosen = choose_typical(predictions, specimens, count)
    device = choose_device()
    found: dict[str, list[NDArray[np.float64]]] = {}
    for (repeat, fold), rows in chosen.groupby(["repeat", "fold"]):
        model = load_fit(fits[int(repeat), int(fold)]).to(device)
        classes = model.description.classes
        block = np.ascontiguousarray(tiles[rows["tile"].to_numpy(np.int64)])
        numbers = [classes.index(name) for name in rows["y_pred"]]
        maps = attribute_tiles(model, block, numbers, "grad_cam", batch_size).grad_cam
        for name, values in zip(rows["y_true"], maps, strict=True):
            found.setdefault(str(name), []).append(unroll_map(values, settings.unroll))
    return {name: np.stack(found[name]) for name in sorted(found)}
