"""What is reachable without looking at shapes: the most frequent class, and forests on features.

A model earns trust by what it adds to these. They see exactly the training images of each repeat
and fold and are tested on exactly its test images.
"""

import logging
from collections.abc import Collection
from typing import Any

import numpy as np
import pandas as pd

from batteryscope.core.baseline_catalogue import BASELINE_PREFIX, OF_CLASSES
from batteryscope.errors import InputError
from batteryscope.evaluation.baseline_fits import list_baseline_fits, make_forest
from batteryscope.evaluation.predictions import KEYS, PREFIX, make_predictions
from batteryscope.evaluation.sample_features import FeatureSources, gather_features
from batteryscope.seeds import derive_seed

log = logging.getLogger("batteryscope")

TREES = 500


def predict_baselines(
    sources: FeatureSources, split: pd.DataFrame, wanted: Collection[str], seed: int, jobs: int = 1
) -> pd.DataFrame:
    """Predict test images by every baseline of classes that is wanted or always there.

    Parameters
    ----------
    sources
        What they see.
    split
        Roles, as in the contracts.
    wanted
        ``evaluate.baselines``.
    seed
        Base seed; every repeat and fold derives its own.
    jobs
        Threads; the result does not depend on them.

    Raises
    ------
    InputError
        A feature was not measured, or the split does not fit the sample table.
    """
    names = [n for n, own in OF_CLASSES.items() if n in wanted or not own.is_asked_for]
    features: dict[str, pd.DataFrame | None] = dict(gather_features(sources, names))
    if "majority" in names:
        features = {"majority": None, **features}
    tables = [
        predict_baseline(name, seen, sources.manifest, split, seed, jobs)
        for name, seen in features.items()
    ]
    if not tables:
        classes = sorted(sources.manifest["class"].unique())
        return pd.DataFrame(columns=[*KEYS, *[PREFIX + name for name in classes]])
    return pd.concat(tables, ignore_index=True)


def predict_baseline(
    name: str,
    features: pd.DataFrame | None,
    manifest: pd.DataFrame,
    split: pd.DataFrame,
    seed: int,
    jobs: int = 1,
    trees: int | None = None,
) -> pd.DataFrame:
    """Fit one baseline on the training images and predict the test images of every fit.

    A random forest on the features; without any, the frequencies of the classes.
    Images that have no features (slices that preprocessing left out) take no part.

    Parameters
    ----------
    name
        Of the baseline.
    features
        One row per sample: numbers, or names as text. None: it looks at nothing.
    manifest, split, seed, jobs
        As for :func:`predict_baselines`.
    trees
        Of the forest; as many as baselines have if not given.

    Returns
    -------
    DataFrame
        As the predictions of an arm, ``tile`` -1, arm ``baseline_<name>``.

    Raises
    ------
    InputError
        The split names a sample that the manifest lacks, or leaves no image to train on.
    """
    arm = BASELINE_PREFIX + name
    labels = manifest.set_index("sample_id")["class"]
    classes = sorted(labels.unique())
    if unknown := sorted(set(split["sample_id"]) - set(labels.index)):
        raise InputError(
            f"The split names the sample '{unknown[0]}', which the manifest lacks; split again."
        )
    if features is not None and features.shape[1] == 0:
        log.warning(
            "No acquisition metadata column holds more than one value: "
            "baseline_metadata carries no information and equals the majority baseline."
        )
        features = None
    if features is not None:
        split = split[split["sample_id"].isin(features.index)]
    seen = pd.DataFrame({"constant": 0.0}, labels.index) if features is None else features
    tables: list[pd.DataFrame] = []
    for fit in list_baseline_fits(split, ["test"]):
        test = fit.asked["sample_id"].tolist()
        chance = derive_seed(seed, arm, "repeat", fit.repeat, "fold", fit.fold)
        model = _make_model(features, chance, jobs, trees or TREES)
        model.fit(seen.loc[fit.train], labels.loc[fit.train].to_numpy(dtype=object))
        probabilities = np.zeros((len(test), len(classes)))
        known = [classes.index(name) for name in model.classes_]
        probabilities[:, known] = model.predict_proba(seen.loc[test])
        keys = fit.asked.assign(arm=arm, y_true=labels.loc[test].to_numpy(dtype=object))
        tables.append(make_predictions(keys, probabilities, classes))
    if not tables:
        return pd.DataFrame(columns=[*KEYS, *[PREFIX + name for name in classes]])
    return pd.concat(tables, ignore_index=True)


def _make_model(features: pd.DataFrame | None, seed: int, jobs: int, trees: int) -> Any:
    from sklearn.dummy import DummyClassifier
    from sklearn.ensemble import RandomForestClassifier

    if features is None:
        return DummyClassifier(strategy="prior")
    forest = RandomForestClassifier(n_estimators=trees, random_state=seed, n_jobs=jobs)
    return make_forest(forest, features)
