"""Class probabilities of tiles from trained models."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from batteryscope.errors import ConfigError
from batteryscope.models.classifier import TileClassifier, rebuild_classifier
from batteryscope.training.data import as_batch, select_grid_tiles


def choose_device(accelerator: str = "auto") -> torch.device:
    """Return the GPU if there is one and it is wanted, else the CPU."""
    wanted = accelerator != "cpu" and torch.cuda.is_available()
    return torch.device("cuda" if wanted else "cpu")


def demand_device(accelerator: str) -> torch.device:
    """Return the device of that name (``auto``, ``cpu`` or ``gpu``).

    Raises
    ------
    ConfigError
        A GPU is asked for, and there is none.
    """
    device = choose_device(accelerator)
    if accelerator == "gpu" and device.type == "cpu":
        raise ConfigError(
            "--device: found 'gpu', but there is none that torch can use; say 'auto'."
        )
    return device


def load_fit(folder: Path) -> TileClassifier:
    """Load the trained model of one fit."""
    description = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    return rebuild_classifier(description, load_file(folder / "weights.safetensors"))


def predict_probabilities(
    model: TileClassifier,
    tiles: NDArray[np.uint8],
    rows: NDArray[np.int64] | None = None,
    batch_size: int = 64,
) -> NDArray[np.float64]:
    """Return the class probabilities of tiles.

    Parameters
    ----------
    model
        A trained model in evaluation mode.
    tiles : (n, H, W) uint8 array
        Tiles, possibly memory-mapped.
    rows : (m,) int array, optional
        Which tiles, in which order; all by default.
    batch_size
        Tiles at a time.

    Returns
    -------
    (m, n_classes) float array
        Each row sums to 1.
    """
    rows = np.arange(len(tiles)) if rows is None else rows
    device = next(model.parameters()).device
    results = np.empty((len(rows), len(model.description.classes)))
    with torch.inference_mode():
        for start in range(0, len(rows), batch_size):
            batch = as_batch(tiles[rows[start : start + batch_size]]).to(device)
            logits = model(batch).double()
            results[start : start + len(batch)] = logits.softmax(1).cpu().numpy()
    return results


def predict_fit(
    model: TileClassifier,
    tiles: NDArray[np.uint8],
    index: pd.DataFrame,
    manifest: pd.DataFrame,
    roles: pd.DataFrame,
    arm: str,
) -> pd.DataFrame:
    """Predict the validation and test tiles of one fit, as the predictions table.

    Parameters
    ----------
    model
        The model of this fit.
    tiles, index
        The tile store.
    manifest
        The sample table.
    roles
        Rows of the split of this repeat and fold.
    arm
        Name of the arm.
    """
    classes = model.description.classes
    numbers = manifest.set_index("sample_id")["class"].map({c: i for i, c in enumerate(classes)})
    tables = []
    for role in ("validation", "test"):
        part = roles[roles["role"] == role]
        selected = select_grid_tiles(index, part["sample_id"], numbers)
        probabilities = predict_probabilities(model, tiles, selected.rows)
        table = pd.DataFrame(
            {
                "sample_id": selected.sample_ids,
                "tile": selected.rows,
                "repeat": int(roles["repeat"].iloc[0]),
                "fold": int(roles["fold"].iloc[0]),
                "role": role,
                "arm": arm,
                "y_true": [classes[i] for i in selected.targets],
                "y_pred": [classes[i] for i in probabilities.argmax(1)],
            }
        )
        columns = {f"p_{name}": probabilities[:, i] for i, name in enumerate(classes)}
        tables.append(table.assign(**columns))
    return pd.concat(tables, ignore_index=True)
