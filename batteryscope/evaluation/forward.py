"""Applies trained models to tiles; class probabilities of them."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor

from batteryscope.core.forward_threads import pass_batches
from batteryscope.errors import ConfigError
from batteryscope.manifest.covariate_columns import take_inputs
from batteryscope.models.classifier import TileClassifier, rebuild_classifier
from batteryscope.models.flips import average_over_flips
from batteryscope.models.stage_statistics import average_samples
from batteryscope.training.data import TileSet, as_batch, select_grid_tiles


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


def apply_to_tiles(
    model: TileClassifier,
    tiles: NDArray[np.uint8],
    rows: NDArray[np.int64] | None,
    batch_size: int,
    finish: Callable[[Tensor], Tensor] = torch.Tensor.double,
    covariates: NDArray[np.float32] | None = None,
    samples: NDArray[np.object_] | None = None,
) -> NDArray[np.float64]:
    """Return what a network says about tiles, read in batches, several of them side by side.

    Answers are averaged over the mirror images that its ``flips_at_test`` asks for. A network with
    ``pool_samples`` answers once for all tiles of a sample.

    Parameters
    ----------
    model
        A trained model in evaluation mode.
    tiles : (n, H, W) or (n, C, H, W) uint8 array
        Tiles, possibly memory-mapped.
    rows : (m,) int array or None
        Which tiles, in which order; all if None.
    batch_size
        Tiles at a time.
    finish
        What is done to the (batch, n_outputs) output of the network, on its device, before it is
        averaged.
    covariates : (m, n_inputs) array or None
        Of the samples of these tiles, where the network is given any.
    samples : (m,) array or None
        Names of the samples of these tiles; without them every tile is one of its own.

    Returns
    -------
    (m, n_outputs) float array
    """
    rows = np.arange(len(tiles)) if rows is None else rows
    device, flips = model.device, model.description.flips_at_test
    if (model.covariates is None) != (covariates is None):
        raise ValueError("covariates go to the networks that are given them, and to no others")

    pools = model.description.pool_samples

    def look_beside(part: slice | NDArray[np.int64]) -> list[Tensor]:
        return [] if covariates is None else [torch.from_numpy(covariates[part]).to(device)]

    def forward(part: slice) -> NDArray[np.float64]:
        with torch.inference_mode():
            batch = as_batch(tiles[rows[part]]).to(device)

            def ask(batch: Tensor) -> Tensor:
                return model.measure(batch) if pools else finish(model(batch, *look_beside(part)))

            return average_over_flips(ask, batch, flips).cpu().numpy()

    n_outputs = len(model.description.classes)
    results = list(pass_batches(forward, len(rows), batch_size, device))
    if not results:
        return np.empty((0, n_outputs))
    answers = np.concatenate(results)
    if not pools:
        return answers
    own = np.arange(len(rows)) if samples is None else samples
    _, first, place = np.unique(own, return_index=True, return_inverse=True)
    with torch.inference_mode():
        measured = torch.from_numpy(average_samples(answers, place)).to(device)
        judged = finish(model.judge(measured, *look_beside(first)))
    return np.asarray(judged.cpu().numpy()[place])


def predict_probabilities(
    model: TileClassifier,
    tiles: NDArray[np.uint8],
    rows: NDArray[np.int64] | None = None,
    batch_size: int = 64,
    covariates: NDArray[np.float32] | None = None,
) -> NDArray[np.float64]:
    """Return the (m, n_classes) class probabilities of tiles; each row sums to 1.

    The parameters are those of :func:`apply_to_tiles`.
    """
    return apply_to_tiles(
        model, tiles, rows, batch_size, lambda out: out.double().softmax(1), covariates
    )


def select_judged_tiles(
    index: pd.DataFrame,
    roles: pd.DataFrame,
    truth: pd.Series | pd.DataFrame,
    covariates: pd.DataFrame | None = None,
) -> Iterator[tuple[TileSet, dict[str, object]]]:
    """Select the validation tiles, then the test tiles of one fit.

    Parameters
    ----------
    index
        The index of the tile store.
    roles
        Rows of the split of this repeat and fold.
    truth
        Class number by ``sample_id``, or a table with a column per target.
    covariates
        Inputs beside the picture by ``sample_id``.

    Yields
    ------
    tiles, keys
        Tiles of a role, and the columns with which every table of predictions begins.
    """
    for role in ("validation", "test"):
        samples = roles.loc[roles["role"] == role, "sample_id"]
        chosen = select_grid_tiles(index, samples, truth, covariates)
        yield (
            chosen,
            {
                "sample_id": chosen.sample_ids,
                "tile": chosen.rows,
                "repeat": int(roles["repeat"].iloc[0]),
                "fold": int(roles["fold"].iloc[0]),
                "role": role,
            },
        )


def take_beside(model: TileClassifier, manifest: pd.DataFrame) -> pd.DataFrame | None:
    """Return what a network is given beside the picture by ``sample_id``; None for nothing."""
    names = model.description.inputs_beside
    return take_inputs(manifest, names) if names else None


def predict_fit(
    model: TileClassifier,
    tiles: NDArray[np.uint8],
    index: pd.DataFrame,
    manifest: pd.DataFrame,
    roles: pd.DataFrame,
) -> pd.DataFrame:
    """Predict the validation and test tiles of one fit: the predictions table but for ``arm``.

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
    """
    classes = model.description.classes
    numbers = manifest.set_index("sample_id")["class"].map({c: i for i, c in enumerate(classes)})
    tables = []
    beside = take_beside(model, manifest)
    for chosen, keys in select_judged_tiles(index, roles, numbers, beside):
        probabilities = predict_probabilities(
            model, tiles, chosen.rows, covariates=chosen.covariates
        )
        judged = {
            "y_true": [classes[i] for i in chosen.targets],
            "y_pred": [classes[i] for i in probabilities.argmax(1)],
        }
        columns = {f"p_{name}": probabilities[:, i] for i, name in enumerate(classes)}
        tables.append(pd.DataFrame(keys | judged | columns))
    return pd.concat(tables, ignore_index=True)
