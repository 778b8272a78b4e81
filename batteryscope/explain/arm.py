"""Explanations of an arm: each tile by a model that was not trained on its image."""

import json
import re
from collections.abc import Hashable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from batteryscope.config.evaluate import ExplainSettings
from batteryscope.errors import InputError, LeakageError
from batteryscope.evaluation.forward import choose_device, load_fit
from batteryscope.explain.attribution import AttributionMaps, attribute_tiles
from batteryscope.explain.overlay import draw_overlay


def explain_tiles(
    chosen: pd.DataFrame,
    fits: Mapping[tuple[int, int], Path],
    tiles: NDArray[np.uint8],
    paths: "pd.Series[str]",
    settings: ExplainSettings,
    widths_um: Mapping[int, float] | None = None,
) -> Iterator[tuple[dict[str, Any], bytes]]:
    """Explain chosen tiles, loading the model of each fit once.

    Parameters
    ----------
    chosen
        Table of :func:`batteryscope.explain.select.choose_tiles`.
    fits
        Folder of each fit by (repeat, fold).
    tiles : (n, H, W) uint8 array
        The tile store.
    paths
        Path of each image within the data set by ``sample_id``, for the titles.
    settings
        Method and batch size.
    widths_um
        Width of tiles (µm), where it is known.

    Yields
    ------
    entry : dict
        ``file, title, class, y_true, y_pred, sample_id, kind, confidence``; ``class`` is
        the class that was explained, the predicted one.
    png : bytes

    Raises
    ------
    InputError
        If a fit that the predictions name is missing.
    LeakageError
        If a fit was trained on an image that it is said to have tested.
    """
    for row, tile, maps in attribute_chosen(chosen, fits, tiles, settings):
        entry = _describe(row, row["class_number"], paths)
        fine = None if maps.guided_grad_cam is None else maps.guided_grad_cam[0]
        title = f"{entry['title']}\n{Path(paths[row['sample_id']]).name}"
        width_um = (widths_um or {}).get(int(row["tile"]))
        yield entry, draw_overlay(tile, maps.grad_cam[0], fine, title, width_um)


def attribute_chosen(
    chosen: pd.DataFrame,
    fits: Mapping[tuple[int, int], Path],
    tiles: NDArray[np.uint8],
    settings: ExplainSettings,
) -> Iterator[tuple[dict[Hashable, Any], NDArray[np.uint8], AttributionMaps]]:
    """Attribute the predicted class of chosen tiles, loading the model of each fit once.

    Parameters and errors as :func:`explain_tiles`; the columns ``sample_id, tile, repeat, fold,
    y_pred`` are needed.

    Yields
    ------
    row : dict
        The row of ``chosen``, with ``class_number`` of the predicted class.
    tile : (H, W) uint8 array
    maps
        Of this tile alone, (1, H, W) each.
    """
    device = choose_device()
    pairs = chosen[["repeat", "fold"]].drop_duplicates().sort_values(["repeat", "fold"])
    for repeat, fold in pairs.to_numpy().tolist():
        rows = chosen[(chosen["repeat"] == repeat) & (chosen["fold"] == fold)]
        folder = fits.get((repeat, fold))
        if folder is None:
            raise InputError(
                f"The predictions name repeat {repeat}, fold {fold}, but there is no folder "
                f"r{repeat}_f{fold} among the trained models; predict or train again."
            )
        _check_untrained(folder, rows["sample_id"])
        model = load_fit(folder).to(device)
        classes = model.description.classes
        block = np.ascontiguousarray(tiles[rows["tile"].to_numpy(np.int64)])
        numbers = [classes.index(name) for name in rows["y_pred"]]
        maps = attribute_tiles(model, block, numbers, settings.method, settings.batch_size)
        for i, row in enumerate(rows.to_dict("records")):
            fine = maps.guided_grad_cam
            own = AttributionMaps(
                maps.grad_cam[i : i + 1], None if fine is None else fine[i : i + 1]
            )
            yield {**row, "class_number": numbers[i]}, block[i], own


def sort_entries(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Order the entries as a reader wants them: by class, then the mistakes, surest first."""
    return sorted(
        entries,
        key=lambda e: (e["kind"], e.get("y_true", ""), -e.get("confidence", 0), e["file"]),
    )


def _describe(row: dict[Hashable, Any], number: int, paths: "pd.Series[str]") -> dict[str, Any]:
    true, predicted = str(row["y_true"]), str(row["y_pred"])
    probability = f"p = {row['confidence']:.2f}"
    if row["shows"] == "class":
        title = f"{true}, recognised ({probability})"
        slug = re.sub(r"[^\w-]+", "-", true)
        file = f"class_{number:02d}_{slug}_{row['rank']}.png"
    else:
        title = f"true {true}, predicted {predicted} ({probability})"
        file = f"misclassified_{row['rank']:02d}.png"
    return {
        "file": file,
        "title": title,
        "class": predicted,
        "y_true": true,
        "y_pred": predicted,
        "sample_id": str(row["sample_id"]),
        "path": str(paths[row["sample_id"]]),
        "kind": str(row["shows"]),
        "confidence": round(float(row["confidence"]), 6),
    }


def _check_untrained(folder: Path, samples: "pd.Series[str]") -> None:
    fit = json.loads((folder / "fit.json").read_text(encoding="utf-8"))
    trained = set(fit.get("train_samples", [])) & set(samples)
    if trained:
        raise LeakageError(
            f"{folder}: this fit was trained on the image {min(trained)}, which the predictions "
            "call a test image; split, train and predict again."
        )
