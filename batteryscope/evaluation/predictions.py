"""The predictions table: what every arm, model or baseline, writes and every figure reads."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from batteryscope.audit.perturb import PERTURBED
from batteryscope.core.baseline_catalogue import BASELINE_PREFIX
from batteryscope.errors import InputError

KEYS = ["sample_id", "tile", "repeat", "fold", "role", "arm", "y_true", "y_pred"]
FIT = ["repeat", "fold"]
PREFIX = "p_"


def find_classes(predictions: pd.DataFrame) -> list[str]:
    """Return the class names of the ``p_`` columns, in their order."""
    return [c.removeprefix(PREFIX) for c in predictions.columns if c.startswith(PREFIX)]


def get_probabilities(predictions: pd.DataFrame) -> NDArray[np.float64]:
    """Return the ``p_`` columns as an array (n_rows, n_classes) in [0, 1]."""
    columns = [c for c in predictions.columns if c.startswith(PREFIX)]
    return predictions[columns].to_numpy(dtype=np.float64)


def is_baseline(arm: str) -> bool:
    """Tell whether an arm is one of the baselines."""
    return arm.startswith(BASELINE_PREFIX)


def limit_validation(roles: pd.DataFrame, validated: Sequence[str] | None) -> pd.DataFrame:
    """Keep the validation images that a fit chose its epoch by; test images all stay.

    A fit on few images per class must not be calibrated on more than these. One that was
    validated elsewhere, on another domain, is calibrated on all validation images given.

    Parameters
    ----------
    roles
        ``sample_id, role`` of one repeat and fold.
    validated
        ``validation_samples`` of the fit; None if unknown.
    """
    own = roles["sample_id"].isin(set(validated or ()))
    is_validation = roles["role"] == "validation"
    if not (own & is_validation).any():
        return roles
    return roles[own | ~is_validation]


def make_predictions(
    keys: pd.DataFrame, probabilities: NDArray[np.floating], classes: Sequence[str]
) -> pd.DataFrame:
    """Put a predictions table together; the most probable class becomes ``y_pred``.

    Parameters
    ----------
    keys
        The columns ``sample_id, tile, repeat, fold, role, arm, y_true``, n rows.
    probabilities
        (n, n_classes) in [0, 1]; rows add up to 1.
    classes
        Sorted class names. Of equally probable classes the first one is predicted.
    """
    names = np.asarray(classes, dtype=object)
    table = keys.reset_index(drop=True)
    table = table.assign(y_pred=names[np.argmax(probabilities, axis=1)])[KEYS]
    columns = [PREFIX + name for name in classes]
    values = pd.DataFrame(np.asarray(probabilities, dtype=np.float64), columns=columns)
    return pd.concat([table, values], axis=1)


def check_predictions(predictions: pd.DataFrame, where: str) -> None:
    """Refuse a table that lacks columns or holds impossible probabilities.

    Raises
    ------
    InputError
        Naming the column or the row.
    """
    if missing := [c for c in KEYS if c not in predictions.columns]:
        raise InputError(
            f"{where}: the column '{missing[0]}' is missing; expected {', '.join(KEYS)} and one "
            f"column {PREFIX}<class> per class. Make the predictions again."
        )
    classes = find_classes(predictions)
    if not classes:
        raise InputError(
            f"{where}: no column {PREFIX}<class> found; expected one per class. "
            "Make the predictions again."
        )
    if predictions.empty:
        raise InputError(f"{where}: the table holds no predictions; make them again.")
    values = get_probabilities(predictions)
    if not np.isfinite(values).all() or (np.abs(values.sum(axis=1) - 1) > 1e-3).any():
        row = int(np.flatnonzero(~(np.abs(values.sum(axis=1) - 1) <= 1e-3))[0])
        raise InputError(
            f"{where}: the probabilities of row {row} (sample "
            f"'{predictions['sample_id'].iloc[row]}') add up to {values[row].sum():.4g}; "
            "expected 1. Make the predictions again."
        )
    unknown = sorted(set(predictions["y_true"]) - set(classes))
    if unknown:
        raise InputError(
            f"{where}: the true class '{unknown[0]}' has no column {PREFIX}{unknown[0]}; expected "
            f"one of {', '.join(classes)}. Make the predictions again."
        )


def read_predictions(path: Path, arm: str | None = None) -> pd.DataFrame:
    """Read and check a predictions table; ``arm`` renames its single arm."""
    table = _read_table(path)
    check_predictions(table, str(path))
    return table if arm is None else table.assign(arm=arm)


def split_perturbed(predictions: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Divide predictions of arms into those of tiles as they are and those of perturbed tiles."""
    is_perturbed = predictions["arm"].str.contains(PERTURBED, regex=False)
    return predictions[~is_perturbed], predictions[is_perturbed]


def join_predictions(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Stack the predictions of several arms, with one ``p_`` column per class of any arm.

    A class that an arm does not know has probability 0 there.

    Raises
    ------
    InputError
        If two tables hold the same arm.
    """
    seen: set[str] = set()
    for table in tables:
        arms = set(table["arm"].unique())
        if repeated := sorted(seen & arms):
            raise InputError(
                f"The arm '{repeated[0]}' occurs in two predictions tables; name each arm once."
            )
        seen |= arms
    columns = [PREFIX + c for c in sorted({c for table in tables for c in find_classes(table)})]
    joined = pd.concat([table.reindex(columns=[*KEYS, *columns]) for table in tables])
    joined[columns] = joined[columns].astype(np.float64).fillna(0.0)
    return joined.reset_index(drop=True)


def read_all_predictions(arms: Mapping[str, Path], baselines: Path | None = None) -> pd.DataFrame:
    """Read and stack the predictions of the arms and the baselines.

    Parameters
    ----------
    arms
        Table by name; the name replaces the one in the file, so that arms that
        share their trained stage may share the file.
    baselines
        Predictions of all baselines; may hold none.

    Raises
    ------
    InputError
        If a table cannot be used.
    """
    tables = [read_predictions(path, name) for name, path in arms.items()]
    if baselines is not None:
        # Without any wanted baseline the table is empty, which is no mistake.
        table = _read_table(baselines)
        if len(table):
            check_predictions(table, str(baselines))
            tables.append(table)
    return join_predictions(tables)


def _read_table(path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path}: cannot be read as a parquet table ({error}); make the predictions again."
        ) from None
