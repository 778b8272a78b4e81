"""The polar average of an arm: every slice by a model that was not trained on its cell."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from batteryscope.config.evaluate import ExplainSettings
from batteryscope.config.preprocess import CtSlicesSettings
from batteryscope.evaluation.forward import choose_device, load_fit
from batteryscope.explain.attribution import attribute_tiles, find_map_shape
from batteryscope.explain.polar import (
    choose_typical,
    draw_polar_average,
    tabulate_profiles,
    unroll_map,
)
from batteryscope.models.classifier import TileClassifier

TURNS = 8


def attribute_turned(
    model: TileClassifier,
    tiles: NDArray[np.uint8],
    class_numbers: list[int],
    turns: int,
    batch_size: int,
) -> NDArray[np.float64]:
    """Average Grad-CAM maps of unrolled tiles over directions at which they begin.

    Feature maps have a few columns only, and the two ends of a tile are neighbours, which the
    network cannot know. The mean over several beginnings has neither that grid nor a seam.

    Parameters
    ----------
    model
        A trained model.
    tiles : (n, H, W) or (n, C, H, W) uint8 array
        Columns are directions.
    class_numbers
        For each tile the number of the class to explain.
    turns
        Beginnings, spread evenly; 1 takes the tiles as they are.
    batch_size
        Tiles at a time.

    Returns
    -------
    (n, H, W) array
    """
    steps = [round(k * tiles.shape[-1] / turns) for k in range(turns)]
    maps = [
        np.roll(
            attribute_tiles(
                model, np.roll(tiles, step, axis=-1), class_numbers, "grad_cam", batch_size
            ).grad_cam,
            -step,
            axis=-1,
        )
        for step in steps
    ]
    return np.mean(maps, axis=0, dtype=np.float64)


def average_polar_maps(
    predictions: pd.DataFrame,
    specimens: "pd.Series[str]",
    fits: Mapping[tuple[int, int], Path],
    tiles: NDArray[np.uint8],
    cut: CtSlicesSettings,
    settings: ExplainSettings,
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
    cut
        How the tiles were cut.
    settings
        Slices per class; tiles at a time.

    Returns
    -------
    dict
        Class → (n, radii, angles) maps, each adding up to 1; classes without a right answer are
        left out.
    """
    chosen = choose_typical(predictions, specimens, settings.polar_slices_per_class)
    device = choose_device()
    found: dict[str, list[NDArray[np.float64]]] = {}
    pairs = chosen[["repeat", "fold"]].drop_duplicates().sort_values(["repeat", "fold"])
    for repeat, fold in pairs.to_numpy().tolist():
        rows = chosen[(chosen["repeat"] == repeat) & (chosen["fold"] == fold)]
        model = load_fit(fits[repeat, fold]).to(device)
        classes = model.description.classes
        block = np.ascontiguousarray(tiles[rows["tile"].to_numpy(np.int64)])
        numbers = [classes.index(name) for name in rows["y_pred"]]
        turns = TURNS if cut.unroll else 1
        maps = attribute_turned(model, block, numbers, turns, settings.batch_size)
        for name, values in zip(rows["y_true"], maps, strict=True):
            found.setdefault(str(name), []).append(unroll_map(values, cut.unroll))
    return {name: np.stack(found[name]) for name in sorted(found)}


def measure_maps(fits: Mapping[tuple[int, int], Path], tiles: NDArray[np.uint8]) -> tuple[int, int]:
    """Return rows and columns of the maps of an arm, all of whose networks are alike."""
    return find_map_shape(load_fit(next(iter(fits.values()))).eval(), np.array(tiles[0]))


def write_polar_average(
    polar: Mapping[str, NDArray[np.float64]],
    reach: float,
    out: Path,
    map_shape: tuple[int, int],
) -> list[dict[str, Any]]:
    """Write the averages as ``polar.png`` and ``polar.csv``.

    Parameters
    ----------
    polar
        From :func:`average_polar_maps`.
    reach
        Half the edge of a tile in radii of the can.
    out
        Folder of the arm's explanations.
    map_shape
        Rows and columns of the network's map before it was enlarged.

    Returns
    -------
    list of dict
        The entry for the list of explanations; none without a right answer.
    """
    if not polar:
        return []
    (out / "polar.png").write_bytes(draw_polar_average(polar, reach))
    tabulate_profiles(polar, reach).round(6).to_csv(out / "polar.csv", index=False)
    return [
        {
            "file": "polar.png",
            "kind": "polar",
            "title": "Grad-CAM around the core",
            "map_shape": list(map_shape),
        }
    ]
