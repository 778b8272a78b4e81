"""A labelled data set from elsewhere beside a bundle: does it fit, is it really from elsewhere."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from batteryscope.bundle.picture_bundle import Row
from batteryscope.bundle.predict import Bundle
from batteryscope.bundle.read import load_bundle
from batteryscope.bundle.record import BundleRecord
from batteryscope.core.plural import count_of
from batteryscope.errors import ConfigError, LeakageError
from batteryscope.evaluation.external import score_external
from batteryscope.evaluation.flat_metrics import DIGITS, flatten_score


def check_label_columns(label_columns: Sequence[str], record: BundleRecord) -> None:
    """Refuse label columns that the model does not predict."""
    if unknown := [c for c in label_columns if c not in record.label_columns]:
        raise ConfigError(
            f"--label-columns: the model has no '{unknown[0]}'; it predicts "
            f"{', '.join(record.label_columns)}."
        )


def refuse_seen(rows: Iterable[Row]) -> Iterator[Row]:
    """Pass prediction rows on, and stop at an image that the models were trained on.

    Raises
    ------
    LeakageError
        Naming the image, whatever its name or file format.
    """
    for row in rows:
        if row["seen_in_training"]:
            raise LeakageError(
                f"{row['file']}: this image of the external data set was used to train or tune the "
                "models, so it proves nothing; take it and its like out of the external data set."
            )
        yield row


def join_predictions(rows: pd.DataFrame, manifest: pd.DataFrame) -> pd.DataFrame:
    """Put the external samples beside their predictions.

    Parameters
    ----------
    rows
        Prediction rows in the order of the manifest.
    manifest
        Sample table of the external set.

    Returns
    -------
    DataFrame
        ``sample_id``, ``y_true`` (the external class, "" if unknown), ``y_pred``, then
        the prediction row without its class.
    """
    keys = pd.DataFrame(
        {
            "sample_id": manifest["sample_id"].to_numpy(),
            "y_true": manifest["class"].fillna("").to_numpy(),
            "y_pred": rows["class"].to_numpy(),
        }
    )
    return pd.concat([keys, rows.drop(columns="class").reset_index(drop=True)], axis=1)


def open_external(
    folder: Path, label_columns: Sequence[str], device: torch.device | str
) -> "ExternalClasses":
    """Load a bundle of classes; without ``label_columns`` all that it predicts are judged."""
    return ExternalClasses(load_bundle(folder, device), label_columns)


class ExternalClasses:
    """Checks, joins and scores an external data set for a bundle of classes."""

    def __init__(self, bundle: Bundle, label_columns: Sequence[str] = ()) -> None:
        self.bundle = bundle
        self.label_columns = list(label_columns) or bundle.record.label_columns

    def check(self, manifest: pd.DataFrame) -> None:
        """Refuse label columns that the model does not predict."""
        check_label_columns(self.label_columns, self.bundle.record)

    def join(self, rows: pd.DataFrame, manifest: pd.DataFrame) -> pd.DataFrame:
        """Put the true class before the prediction rows, in the order of the manifest."""
        return join_predictions(rows, manifest)

    def score(self, judged: pd.DataFrame, manifest: pd.DataFrame) -> pd.DataFrame:
        """Score the joined rows that have a prediction."""
        return score_external(judged, manifest, self.bundle.class_labels, self.label_columns)

    def flatten(self, scores: pd.DataFrame) -> dict[str, float | int]:
        """Return ``<arm>.external.image[.<label column>].accuracy``, and of sets, with the ends."""
        names = [str(c) for c in scores if str(c).startswith("set_coverage")]
        found: dict[str, float | int] = {}
        for row in _list_overall(scores).to_dict("records"):
            parts = (self.bundle.record.arm, "external", "image", row["target"])
            place = ".".join(filter(None, parts))
            ends = row["low"], row["high"]
            found |= flatten_score(place, "accuracy", row["accuracy"], ends, row["n"])
            sets = {name: float(row[name]) for name in names if pd.notna(row[name])}
            found |= {f"{place}.{name}": round(value, DIGITS) for name, value in sets.items()}
        return found

    def describe(self, scores: pd.DataFrame) -> list[str]:
        """Say the main numbers in lines for the terminal."""
        return [
            f"{row['target'] or 'all label columns together'}: {100 * row['accuracy']:.1f} % of "
            f"{row['n']} external images{_tell_sets(row, self.bundle.record)}."
            for row in _list_overall(scores).to_dict("records")
        ]


def _tell_sets(row: Mapping[Any, Any], record: BundleRecord) -> str:
    if record.sets is None or pd.isna(row.get("set_coverage", np.nan)):
        return ""
    return (
        f"; {100 * row['set_coverage']:.1f} % of their sets for "
        f"{100 * record.sets.coverage:g} % hold the true one ({_tell_units(row)})"
    )


def _tell_units(row: Mapping[Any, Any]) -> str:
    low, high = 100 * row["set_coverage_low"], 100 * row["set_coverage_high"]
    unit, n = row["sets_counted_by"], int(row["set_coverage_n"])
    rest = "images counted singly" if unit == "image" else f"over {count_of(n, unit)}"
    return f"95 % interval {low:.0f} to {high:.0f} %, {rest}"


def _list_overall(scores: pd.DataFrame) -> pd.DataFrame:
    return scores[scores["group"] == ""].sort_values("target", kind="stable")
