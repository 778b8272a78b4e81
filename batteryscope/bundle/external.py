"""A labelled data set from elsewhere beside a bundle: does it fit, is it really from elsewhere."""

from collections.abc import Iterable, Iterator, Sequence

import pandas as pd

from batteryscope.bundle.picture_bundle import Row
from batteryscope.bundle.record import BundleRecord
from batteryscope.errors import ConfigError, LeakageError


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
