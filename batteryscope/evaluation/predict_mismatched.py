"""What trained networks say of test tiles that are otherwise than those that they learnt from."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from batteryscope.audit.perturb import PERTURBATIONS, PERTURBED, UsualLevels
from batteryscope.evaluation.forward import (
    predict_fit,
    predict_probabilities,
    select_judged_tiles,
    take_beside,
)
from batteryscope.evaluation.predictions import KEYS, PREFIX, make_predictions
from batteryscope.models.classifier import TileClassifier
from batteryscope.models.grey_input import FULL_SCALE
from batteryscope.seeds import derive_rng
from batteryscope.tilestore import TileStore

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


def predict_perturbed(
    model: TileClassifier,
    store: TileStore,
    manifest: pd.DataFrame,
    roles: pd.DataFrame,
    arm: str,
    seed: int = 1,
    most: int = AUDITED_TILES,
    names: Sequence[str] = tuple(PERTURBATIONS),
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
    names
        Perturbations.

    Returns
    -------
    DataFrame
        Predictions of the arms ``<arm>_perturbed_<perturbation>``; empty without test tiles.
    """
    classes = list(model.description.classes)
    numbers = manifest.set_index("sample_id")["class"].map({c: i for i, c in enumerate(classes)})
    tested = roles[roles["role"] == "test"]
    chosen, keys = list(
        select_judged_tiles(store.index, tested, numbers, take_beside(model, manifest))
    )[-1]
    if not len(chosen):
        return pd.DataFrame(columns=[*KEYS, *[PREFIX + name for name in classes]])
    place = (keys["repeat"], keys["fold"])
    order = derive_rng(seed, "audited tiles", *place).permutation(len(chosen))
    _, first = np.unique(chosen.sample_ids[order].astype(str), return_index=True)
    kept = np.sort(order[np.sort(first)[:most]])  # both orders are by lot
    tiles = np.asarray(store.tiles[chosen.rows[kept]])
    beside = None if chosen.covariates is None else chosen.covariates[kept]
    usual = UsualLevels(
        mean=float(model.input.training_mean) * FULL_SCALE,
        sd=float(model.input.training_sd) * FULL_SCALE,
    )
    frame = pd.DataFrame(
        {
            "sample_id": chosen.sample_ids[kept],
            "tile": chosen.rows[kept],
            "repeat": keys["repeat"],
            "fold": keys["fold"],
            "role": "test",
            "y_true": np.asarray(classes, dtype=object)[chosen.targets[kept].astype(int)],
        }
    )
    tables = []
    for name in names:
        rng = derive_rng(seed, "perturbed", name, *place)
        changed = PERTURBATIONS[name](tiles, usual, rng)
        probabilities = predict_probabilities(model, changed, covariates=beside)
        table = frame.assign(arm=f"{arm}{PERTURBED}{name}")
        tables.append(make_predictions(table, probabilities, classes))
    return pd.concat(tables, ignore_index=True)
