"""The predictions table of a table study, which networks and baselines both write."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from batteryscope.errors import InputError
from batteryscope.evaluation.predictions import is_baseline

COLUMNS = [
    "sample_id", "domain", "repeat", "fold", "role", "arm", "target",
    "ablation", "value", "y_true", "y_pred",
]  # fmt: skip
SOURCE_ARM = "source"


class Family(NamedTuple):
    """The arms of one kind of model that transfer starts from: at home, and applied as it is."""

    source: str
    as_it_is: str


NETWORKS = Family(SOURCE_ARM, "pretrained")
PROCESSES = Family("source_process", "pretrained_process")
_FAMILIES = dict.fromkeys((*PROCESSES, "transfer_process"), PROCESSES)
ARM_ORDER = (*NETWORKS, "adapter", "scratch", "fine_tuning", *PROCESSES, "transfer_process")
MAIN_STUDY = ""


def check_table_predictions(
    predictions: pd.DataFrame, targets: Sequence[str], where: str = "predictions"
) -> None:
    """Refuse a table that cannot be scored.

    Parameters
    ----------
    predictions
        Columns ``sample_id, domain, repeat, fold, role, arm, target, ablation, value,
        y_true, y_pred``.
    targets
        Names of the targets of the study.
    where
        How the user knows the table, for example its path.

    Raises
    ------
    InputError
        Naming the column, the target or the row.
    """
    if missing := [c for c in COLUMNS if c not in predictions.columns]:
        raise InputError(
            f"{where}: the column '{missing[0]}' is missing; expected {', '.join(COLUMNS)}. "
            "Make the predictions again."
        )
    if unknown := sorted(set(predictions["target"]) - set(targets)):
        raise InputError(
            f"{where}: the target '{unknown[0]}' is none of {', '.join(targets)}; make the "
            "predictions again with the settings of this study."
        )
    finite = np.isfinite(predictions[["y_true", "y_pred"]].to_numpy(dtype=np.float64)).all(axis=1)
    if not finite.all():
        row = predictions[~finite].iloc[0]
        raise InputError(
            f"{where}: {row['arm']} gives y_true {row['y_true']:g} and y_pred {row['y_pred']:g} "
            f"for {row['target']} of row {row['sample_id']}; expected finite numbers. "
            "Lower train.learning_rate or check the table."
        )


def find_family(arm: str) -> Family:
    """Return the family of an arm, which says what answers in the source domain beside it."""
    return _FAMILIES.get(arm, NETWORKS)


def name_source_arm(predictions: pd.DataFrame, source: str) -> pd.DataFrame:
    """Call the pretrained network ``source`` in its own domain, where nothing is transferred."""
    at_home = (predictions["domain"] == source) & (predictions["arm"] == NETWORKS.as_it_is)
    return predictions.assign(arm=predictions["arm"].mask(at_home, SOURCE_ARM))


def select_main_study(table: pd.DataFrame) -> pd.DataFrame:
    """Keep the rows that belong to no ablation."""
    return table[table["ablation"] == MAIN_STUDY]


def order_table_arms(table: pd.DataFrame) -> list[str]:
    """List the arms: those that are taught from the source on, then baselines as first met."""
    known = {arm: place for place, arm in enumerate(ARM_ORDER)}
    arms = list(dict.fromkeys(table["arm"]))
    return sorted(arms, key=lambda a: (is_baseline(a), known.get(a, len(known))))
