"""What trained networks say of test tiles that are otherwise than those that they learnt from."""

from collections.abc import Iterator, Mapping
from functools import singledispatch

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from batteryscope.audit.perturb import PERTURBATIONS, PERTURBED, UsualLevels
from batteryscope.evaluation.forward import (
    predict_fit,
    predict_probabilities,
    select_judged_tiles,
    take_beside,
)
from batteryscope.evaluation.number_predictions import KEYS as NUMBER_KEYS
from batteryscope.evaluation.number_predictions import PRED, TRUE, predict_values
from batteryscope.evaluation.predictions import KEYS, PREFIX, make_predictions
from batteryscope.models.classifier import TileClassifier, TileRegressor
from batteryscope.models.grey_input import FULL_SCALE
from batteryscope.seeds import derive_rng
from batteryscope.tilestore import TileStore
from batteryscope.training.data import TileSet

# Five passes over so many tiles are a few percent of the cheapest training, which makes many passes
# over thousands; the share of right ones is then known within 9 points per fit.
AUDITED_TILES = 120


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


@singledispatch
def predict_perturbed(
    model: TileClassifier,
    store: TileStore,
    manifest: pd.DataFrame,
    roles: pd.DataFrame,
    arm: str,
    seed: int = 1,
    most: int = AUDITED_TILES,
) -> pd.DataFrame:
    """Predict test tiles of one fit with one thing taken away at a time.

    Every test image gives one of its tiles, by lot; if there are more images than ``most``, images
    are drawn as well. All perturbations are of the same tiles.

    Parameters
    ----------
    model, store, manifest, roles
        As for :func:`predict_mismatched`.
    arm
        Its name.
    seed
        Base seed.
    most
        Tiles at most.

    Returns
    -------
    DataFrame
        Predictions of the arms ``<arm>_perturbed_<perturbation>``, classes or numbers as the
        network gives them; empty without test tiles.
    """
    classes = list(model.description.classes)
    numbers = manifest.set_index("sample_id")["class"].map({c: i for i, c in enumerate(classes)})
    chosen, keys = _draw_audited(model, store, manifest, roles, numbers, seed, most)
    if not len(chosen):
        return pd.DataFrame(columns=[*KEYS, *[PREFIX + name for name in classes]])
    true = np.asarray(classes, dtype=object)[chosen.targets.astype(int)]
    frame = pd.DataFrame(keys | {"y_true": true})
    tables = []
    for name, changed in _perturb(model, store, chosen, keys, seed):
        probabilities = predict_probabilities(model, changed, covariates=chosen.covariates)
        table = frame.assign(arm=f"{arm}{PERTURBED}{name}")
        tables.append(make_predictions(table, probabilities, classes))
    return pd.concat(tables, ignore_index=True)


@predict_perturbed.register
def _predict_perturbed_numbers(
    model: TileRegressor,
    store: TileStore,
    manifest: pd.DataFrame,
    roles: pd.DataFrame,
    arm: str,
    seed: int = 1,
    most: int = AUDITED_TILES,
) -> pd.DataFrame:
    targets = list(model.description.classes)
    truth = manifest.set_index("sample_id")[targets]
    chosen, keys = _draw_audited(model, store, manifest, roles, truth, seed, most)
    columns = [f"{which}{target}" for which in (TRUE, PRED) for target in targets]
    if not len(chosen):
        return pd.DataFrame(columns=[*NUMBER_KEYS, *columns])
    tables = []
    for name, changed in _perturb(model, store, chosen, keys, seed):
        predicted = predict_values(model, changed, covariates=chosen.covariates)
        values = np.hstack([chosen.targets.astype(float), predicted])
        table = pd.DataFrame(keys).assign(arm=f"{arm}{PERTURBED}{name}")
        tables.append(table.join(pd.DataFrame(values, columns=columns)))
    return pd.concat(tables, ignore_index=True)


def _draw_audited(
    model: TileClassifier,
    store: TileStore,
    manifest: pd.DataFrame,
    roles: pd.DataFrame,
    truth: pd.Series | pd.DataFrame,
    seed: int,
    most: int,
) -> tuple[TileSet, dict[str, object]]:
    """Draw the test tiles that are changed, and give the columns that name them."""
    tested = roles[roles["role"] == "test"]
    every, keys = list(
        select_judged_tiles(store.index, tested, truth, take_beside(model, manifest))
    )[-1]
    order = derive_rng(seed, "audited tiles", keys["repeat"], keys["fold"]).permutation(len(every))
    _, first = np.unique(every.sample_ids[order].astype(str), return_index=True)
    kept = np.sort(order[np.sort(first)[:most]])  # both orders are by lot
    chosen = every.take(kept)
    return chosen, keys | {"sample_id": chosen.sample_ids, "tile": chosen.rows}


def _perturb(
    model: TileClassifier,
    store: TileStore,
    chosen: TileSet,
    keys: Mapping[str, object],
    seed: int,
) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    tiles = np.asarray(store.tiles[chosen.rows])
    usual = UsualLevels(
        mean=float(model.input.training_mean) * FULL_SCALE,
        sd=float(model.input.training_sd) * FULL_SCALE,
    )
    for name, perturb in PERTURBATIONS.items():
        rng = derive_rng(seed, "perturbed", name, keys["repeat"], keys["fold"])
        yield name, perturb(tiles, usual, rng)
