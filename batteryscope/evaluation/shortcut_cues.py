"""Predictions of the test images by each thing that could stand in for the class."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from batteryscope.audit.cues import CueName, list_cues
from batteryscope.audit.sessions import find_sessions, leave_sessions_out, relate_sessions
from batteryscope.core.baseline_catalogue import BASELINE_PREFIX
from batteryscope.evaluation.baselines import predict_baseline
from batteryscope.evaluation.predictions import FIT
from batteryscope.evaluation.sample_features import list_informative_metadata, select_metadata

CUE_PREFIX = "shortcut_"
LEFT_OUT_PREFIX = "left_out_"
TREES = 50  # an eighth of a second per fit; more do not change a verdict
# Cues that are asked about sessions that they have not seen: those that a network sees, too.
ASKED_ABOUT_SESSIONS: tuple[CueName, ...] = ("grey_levels", "thumbnail")
SHARED: tuple[CueName, ...] = ("grey_levels", "metadata")  # baselines that are cues as well


def predict_from_cues(
    manifest: pd.DataFrame,
    split: pd.DataFrame,
    frames: pd.DataFrame,
    baselines: pd.DataFrame,
    seed: int,
    jobs: int = 1,
) -> pd.DataFrame:
    """Predict the test images of the first repeat by every cue alone.

    Parameters
    ----------
    manifest, split
        Tables as in the contracts, of the same samples.
    frames
        Table of frames.
    baselines
        Predictions of the baselines; those on grey levels and on metadata are taken from there.
    seed
        Base seed.
    jobs
        Threads; the result does not depend on them.

    Returns
    -------
    DataFrame
        Predictions with the arms ``shortcut_<cue>``; where sessions are known and can be left out
        so that every class stays in training, also ``left_out_<cue>``, where no session stands in
        training and test.
    """
    first = keep_first_repeat(split)
    known = list_cues(manifest, frames)
    features = dict(known)
    if list_informative_metadata(manifest):  # else it knows nothing but the most frequent class
        features["metadata"] = select_metadata(manifest)
    tables = []
    for name in SHARED:
        table = keep_first_repeat(baselines[baselines["arm"] == BASELINE_PREFIX + name])
        if len(table) and features.pop(name, None) is not None:
            tables.append(table.assign(arm=CUE_PREFIX + name))

    def predict(prefix: str, name: CueName, seen: pd.DataFrame, parts: pd.DataFrame) -> Any:
        found = predict_baseline(name, seen, manifest, parts, seed, jobs, TREES)
        return found.assign(arm=prefix + name)

    tables += [predict(CUE_PREFIX, name, seen, first) for name, seen in features.items()]
    parts = divide_by_session(manifest)
    if parts is not None:
        tables += [
            predict(LEFT_OUT_PREFIX, name, known[name], parts)
            for name in ASKED_ABOUT_SESSIONS
            if name in known
        ]
    return pd.concat(tables, ignore_index=True) if tables else baselines[:0]


def keep_first_repeat(table: pd.DataFrame) -> pd.DataFrame:
    """Keep the rows of the first repeat: every test image once in cross-validation."""
    return table[table["repeat"] == table["repeat"].min()]


def divide_by_session(manifest: pd.DataFrame) -> pd.DataFrame | None:
    """Return roles where each session is tested once; None if a class would be left untrained."""
    if not relate_sessions(manifest).can_leave_out:
        return None
    _, sessions = find_sessions(manifest)
    parts = leave_sessions_out(sessions, manifest.set_index("sample_id")["class"])
    return tabulate_parts(parts) if parts else None


def tabulate_parts(parts: Sequence[tuple[Any, Any]]) -> pd.DataFrame:
    """Return sample ids that train and that test as roles of one repeat."""
    tables = [
        pd.DataFrame({"sample_id": samples, "role": role}).assign(repeat=0, fold=fold)
        for fold, (train, test) in enumerate(parts)
        for role, samples in (("train", train), ("test", test))
    ]
    return pd.concat(tables, ignore_index=True)[["sample_id", *FIT, "role"]]


def take_arms(predictions: pd.DataFrame, prefix: str) -> Mapping[CueName, pd.DataFrame]:
    """Return the predictions of every cue whose arm begins so, by the name of the cue."""
    arms = [arm for arm in dict.fromkeys(predictions["arm"]) if arm.startswith(prefix)]
    return {arm.removeprefix(prefix): predictions[predictions["arm"] == arm] for arm in arms}
