"""What is reachable without looking at shapes: majority, grey levels, acquisition metadata.

A model earns trust by what it adds to these three. They see exactly the training
images of each repeat and fold and are tested on exactly its test images.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from batteryscope.errors import InputError
from batteryscope.evaluation.predictions import FIT, KEYS, PREFIX, make_predictions
from batteryscope.manifest.covariate_columns import list_covariate_columns
from batteryscope.preprocess.slice_table import DESCRIPTORS
from batteryscope.seeds import derive_seed

log = logging.getLogger("batteryscope")

NUMERIC_METADATA = (
    "brightness",
    "contrast",
    "voltage_kv",
    "magnification",
    "working_distance_mm",
    "bit_depth",
    "width_px",
    "height_px",
)
NAMED_METADATA = ("detector", "instrument")
TREES = 500


def list_informative_metadata(manifest: pd.DataFrame) -> list[str]:
    """List the acquisition metadata columns that hold more than one value (missing is one)."""
    return [
        column
        for column in (*NUMERIC_METADATA, *NAMED_METADATA)
        if column in manifest.columns and len(manifest[column].drop_duplicates()) > 1
    ]


def select_metadata(manifest: pd.DataFrame) -> pd.DataFrame:
    """Return the informative metadata, indexed by sample: numbers as float, names as text.

    Neither the time of acquisition nor the file name is among them.
    """
    columns = list_informative_metadata(manifest)
    table = manifest.set_index("sample_id")[columns].copy()
    for column in columns:
        if column in NUMERIC_METADATA:
            table[column] = pd.to_numeric(table[column], errors="coerce").astype(np.float64)
        else:
            known = table[column].notna()
            table[column] = table[column].astype(object).astype(str).where(known, "missing")
    return table


def predict_majority(manifest: pd.DataFrame, split: pd.DataFrame) -> pd.DataFrame:
    """Predict every test image by the class frequencies of the training images."""
    from sklearn.dummy import DummyClassifier

    nothing = manifest.set_index("sample_id")[[]].assign(constant=0.0)
    return _predict(
        "baseline_majority", nothing, manifest, split, lambda _: DummyClassifier(strategy="prior")
    )


def predict_from_grey_levels(
    manifest: pd.DataFrame, split: pd.DataFrame, grey_levels: pd.DataFrame, seed: int, jobs: int = 1
) -> pd.DataFrame:
    """Predict test images by a random forest on their grey levels.

    Parameters
    ----------
    manifest, split
        Tables as in the contracts.
    grey_levels
        One row per sample, indexed by ``sample_id``: see
        :func:`batteryscope.manifest.frames.get_grey_levels`.
    seed
        Base seed; every repeat and fold derives its own.
    jobs
        Threads; the result does not depend on them.
    """
    return _predict(
        "baseline_grey_levels",
        grey_levels,
        manifest,
        split,
        lambda fit_seed: _make_forest(fit_seed, jobs),
        seed,
    )


def predict_from_metadata(
    manifest: pd.DataFrame, split: pd.DataFrame, seed: int, jobs: int = 1
) -> pd.DataFrame:
    """Predict test images by a random forest on the acquisition metadata of the manifest.

    Missing numbers become the training median and a flag of their own, missing names a
    name of their own. Without any column that varies, this is the majority baseline.
    """
    from sklearn.dummy import DummyClassifier

    features = select_metadata(manifest)
    if features.shape[1] == 0:
        log.warning(
            "No acquisition metadata column holds more than one value: "
            "baseline_metadata carries no information and equals the majority baseline."
        )
        features = features.assign(constant=0.0)

        def make_model(fit_seed: int) -> Any:
            return DummyClassifier(strategy="prior", random_state=fit_seed)
    else:

        def make_model(fit_seed: int) -> Any:
            return _make_metadata_forest(list(features.columns), fit_seed, jobs)

    return _predict("baseline_metadata", features, manifest, split, make_model, seed)


def predict_from_windings(
    manifest: pd.DataFrame, split: pd.DataFrame, slices: pd.DataFrame, seed: int, jobs: int = 1
) -> pd.DataFrame:
    """Predict test slices by a random forest on the measured windings.

    Slices that the preprocessing left out take no part, as for the networks. Where something was
    not found in a slice, the training median stands, and a flag of its own.

    Parameters
    ----------
    manifest, split
        Tables as in the contracts.
    slices
        Rows of :func:`batteryscope.preprocess.slice_table.describe_slice` with ``sample_id``.
    seed, jobs
        As for the grey levels.
    """
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline

    used = slices[slices["used"].astype(bool)].set_index("sample_id")
    part = split[split["sample_id"].isin(used.index)]

    def make_model(fit_seed: int) -> Any:
        imputer = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
        return make_pipeline(imputer, _make_forest(fit_seed, jobs))

    features = used[list(DESCRIPTORS)]
    return _predict("baseline_winding", features, manifest, part, make_model, seed)


def predict_from_covariates(
    manifest: pd.DataFrame, split: pd.DataFrame, seed: int, jobs: int = 1
) -> pd.DataFrame:
    """Predict test images by a random forest on the covariates of their samples alone.

    Parameters
    ----------
    manifest, split, seed, jobs
        As for the grey levels; the manifest has columns of covariates.
    """
    features = manifest.set_index("sample_id")[list_covariate_columns(manifest)]
    return _predict(
        "baseline_covariates",
        features,
        manifest,
        split,
        lambda fit_seed: _make_forest(fit_seed, jobs),
        seed,
    )


def _make_forest(seed: int, jobs: int) -> Any:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(n_estimators=TREES, random_state=seed, n_jobs=jobs)


def _make_metadata_forest(columns: Sequence[str], seed: int, jobs: int) -> Any:
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    # A column may be empty in one training part only, so empty ones are kept as zeros.
    numbers = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
    names = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    return make_pipeline(
        ColumnTransformer(
            [
                ("numbers", numbers, [c for c in columns if c in NUMERIC_METADATA]),
                ("names", names, [c for c in columns if c in NAMED_METADATA]),
            ]
        ),
        _make_forest(seed, jobs),
    )


def _predict(
    arm: str,
    features: pd.DataFrame,
    manifest: pd.DataFrame,
    split: pd.DataFrame,
    make_model: Callable[[int], Any],
    seed: int = 0,
) -> pd.DataFrame:
    """Fit on the training images and predict the test images of every repeat and fold."""
    labels = manifest.set_index("sample_id")["class"]
    classes = sorted(labels.unique())
    if unknown := sorted(set(split["sample_id"]) - set(labels.index)):
        raise InputError(
            f"The split names the sample '{unknown[0]}', which the manifest lacks; split again."
        )
    tables: list[pd.DataFrame] = []
    for _, part in split.groupby(FIT, sort=True):
        repeat, fold = int(part["repeat"].iloc[0]), int(part["fold"].iloc[0])
        train = sorted(part.loc[part["role"] == "train", "sample_id"])
        test = sorted(part.loc[part["role"] == "test", "sample_id"])
        if not test:
            continue
        if not train:
            raise InputError(
                f"The split has no training image in repeat {repeat}, fold {fold}; split again."
            )
        model = make_model(derive_seed(seed, arm, "repeat", repeat, "fold", fold))
        model.fit(features.loc[train], labels.loc[train].to_numpy(dtype=object))
        probabilities = np.zeros((len(test), len(classes)))
        known = [classes.index(name) for name in model.classes_]
        probabilities[:, known] = model.predict_proba(features.loc[test])
        keys = pd.DataFrame({"sample_id": test}).assign(
            tile=-1, repeat=repeat, fold=fold, role="test", arm=arm
        )
        keys["y_true"] = labels.loc[test].to_numpy(dtype=object)
        tables.append(make_predictions(keys, probabilities, classes))
    if not tables:
        return pd.DataFrame(columns=[*KEYS, *[PREFIX + name for name in classes]])
    return pd.concat(tables, ignore_index=True)
