"""Score predictions for a data set of elsewhere, whose labels need not be the model's."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from batteryscope.errors import InputError
from batteryscope.evaluation.metrics import find_wilson_interval
from batteryscope.evaluation.prediction_sets import SET_SEPARATOR

SETS = "prediction_set"
UNITS = {"specimen_id": "specimen", "session_id": "session"}


def score_external(
    predictions: pd.DataFrame,
    labels: pd.DataFrame,
    class_labels: pd.DataFrame,
    label_columns: Sequence[str],
) -> pd.DataFrame:
    """Score predicted classes of an external set, label column by label column.

    Parameters
    ----------
    predictions
        One row per image with ``sample_id, y_pred`` and perhaps ``prediction_set``.
    labels
        The external manifest: ``sample_id``, any of the label columns, perhaps ``class``.
        A column that is absent or empty is not scored. Values that the model never met
        (another cycling state, say) are legitimate.
    class_labels
        The model's classes and their label columns (:func:`list_class_labels`).
    label_columns
        The model's label columns.

    Returns
    -------
    DataFrame
        ``group, target, accuracy, low, high, n, accuracy_known, n_known``. ``target`` is a
        label column, or "" for all scored columns together; ``low`` and ``high`` are the
        95 % Wilson interval; ``n`` counts images. ``accuracy_known`` leaves out the images
        whose true value the model does not know and therefore cannot get right. ``group``
        is "" for all images, then each class of the external set. Where predictions have sets of
        classes, ``set_coverage`` of these ``n_known`` images is the share whose set holds a class
        with the true labels, with its 95 % Wilson interval, and ``mean_set_size`` that of the
        sets. The interval rests on ``set_coverage_n`` units, named by ``sets_counted_by``:
        specimens or sessions, whichever are fewer, if all images have one; else images.

    Raises
    ------
    InputError
        If no image has both a prediction and a label, or a predicted class is unknown.
    """
    columns = [c for c in label_columns if c in labels.columns and labels[c].notna().any()]
    if not columns:
        raise InputError(
            f"The external data set has none of the label columns {', '.join(label_columns)}; "
            f"found {', '.join(labels.columns)}. Name its columns as in the study."
        )
    told = [c for c in ("sample_id", "y_pred", SETS) if c in predictions]
    predicted = predictions[told].drop_duplicates("sample_id")
    if unknown := sorted(set(predicted["y_pred"]) - set(class_labels.index)):
        raise InputError(
            f"The predictions name the class '{unknown[0]}', which the model lacks (it has "
            f"{', '.join(class_labels.index)}); predict again."
        )
    grouping = ["class"] if "class" in labels.columns and "class" not in columns else []
    units = [c for c in UNITS if c in labels.columns and c not in (*columns, *grouping)]
    truth = labels[["sample_id", *columns, *grouping, *units]].drop_duplicates("sample_id")
    both = predicted.merge(truth, on="sample_id", how="inner").sort_values("sample_id")
    if both.empty:
        raise InputError(
            "No image of the external data set has both a prediction and a label; "
            "predict and label the same images."
        )
    right, known, labelled = (pd.DataFrame(index=both.index) for _ in range(3))
    for column in columns:
        # A single label column may be the class itself, which is the table's index.
        values = (
            class_labels[column]
            if column in class_labels.columns
            else class_labels.index.to_series()
        )
        right[column] = both[column] == both["y_pred"].map(values)
        known[column] = both[column].isin(set(values))
        labelled[column] = both[column].notna()
    sets = _list_labels(both, class_labels)
    targets = ["", *columns] if len(columns) > 1 else [""]
    names = both["class"] if "class" in both.columns else pd.Series("", index=both.index)
    groups = ["", *sorted(set(names.dropna()) - {""})]
    rows = []
    for group in groups:
        chosen = names.notna() if group == "" else names == group
        if group == "":
            chosen[:] = True
        for target in targets:
            used = columns if target == "" else [target]
            scored = chosen & labelled[used].all(axis=1)
            if not scored.any():
                continue
            hits = right.loc[scored, used].all(axis=1)
            knows = known.loc[scored, used].all(axis=1)
            accuracy, n = float(hits.mean()), int(scored.sum())
            low, high = find_wilson_interval(accuracy, n)
            rows.append(
                {
                    "group": group,
                    "target": target,
                    "accuracy": accuracy,
                    "low": low,
                    "high": high,
                    "n": n,
                    "accuracy_known": float(hits[knows].mean()) if knows.any() else float("nan"),
                    "n_known": int(knows.sum()),
                    **_measure_sets(both[scored][knows], used, sets),
                }
            )
    return pd.DataFrame(rows)


def _list_labels(both: pd.DataFrame, class_labels: pd.DataFrame) -> "pd.Series[Any] | None":
    """Return the labels of all classes in the set of each image; None without sets."""
    if SETS not in both or both[SETS].fillna("").eq("").any():
        return None
    labels = class_labels.assign(**{str(class_labels.index.name or "class"): class_labels.index})
    return both[SETS].map(lambda text: labels.loc[text.split(SET_SEPARATOR)])


def _count_units(images: pd.DataFrame) -> tuple[int, str]:
    """Count what is independent: images of one specimen or session have much in common."""
    counts = [(len(images), "image")]
    for column, unit in UNITS.items():
        known = images[column].replace("", None) if column in images else None
        if known is not None and known.notna().all():
            counts.append((known.nunique(), unit))
    return min(counts[1:] or counts, key=lambda count: count[0])


def _measure_sets(
    images: pd.DataFrame, used: Sequence[str], sets: "pd.Series[Any] | None"
) -> dict[str, float | str]:
    if sets is None or images.empty:
        return {}
    truth, own = images[list(used)], sets[images.index]
    held = [
        bool((possible[list(truth.columns)] == row).all(axis=1).any())
        for possible, (_, row) in zip(own, truth.iterrows(), strict=True)
    ]
    share = float(np.mean(held))
    n_units, unit = _count_units(images)
    low, high = find_wilson_interval(share, n_units)
    return {
        "set_coverage": share,
        "set_coverage_low": low,
        "set_coverage_high": high,
        "set_coverage_n": n_units,
        "sets_counted_by": unit,
        "mean_set_size": float(own.map(len).mean()),
    }
