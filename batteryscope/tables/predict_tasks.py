"""What the trained networks of a study say about rows they have not learnt from."""

from collections.abc import Mapping, Sequence

import pandas as pd

from batteryscope.tables.network_tasks import TrainedNetwork
from batteryscope.tables.networks import predict_rows
from batteryscope.tables.plan_tasks import StudyPlan, Variant, find_role
from batteryscope.tables.table_predictions import COLUMNS

HISTORY_COLUMNS = [
    "task", "arm", "target", "domain", "repeat", "fold", "ablation", "value",
]  # fmt: skip
ROLES = ("validation", "test")


def predict_tasks(
    plan: StudyPlan,
    trained: Mapping[str, TrainedNetwork],
    manifest: pd.DataFrame,
    features: Sequence[str],
) -> pd.DataFrame:
    """Predict the validation and test rows of every line of the plan.

    Parameters
    ----------
    plan
        From ``plan_tasks``.
    trained
        Networks by the name of their task.
    manifest
        ``sample_id``, features and targets as columns.
    features
        Names of the features in the order of training.

    Returns
    -------
    DataFrame
        ``sample_id, domain, repeat, fold, role, arm, target, ablation, value, y_true, y_pred``
        in the order of the plan; ``y_true`` and ``y_pred`` in the unit of the target.
    """
    rows = manifest.set_index("sample_id")
    inputs = rows[list(features)].astype("float64")
    parts = []
    for line in plan.table.to_dict("records"):
        variant = Variant(line["ablation"], line["value"])
        for role in ROLES:
            key = find_role(variant, line["repeat"], line["fold"], line["domain"], role)
            if ids := plan.samples.get(key, []):
                network = trained[line["task"]].network
                columns = {
                    **{name: line[name] for name in COLUMNS if name in line},
                    "sample_id": ids,
                    "role": role,
                    "y_true": rows.loc[ids, line["target"]].to_numpy("float64"),
                    "y_pred": predict_rows(network, inputs.loc[ids].to_numpy()),
                }
                parts.append(pd.DataFrame(columns)[COLUMNS])
    return pd.concat(parts, ignore_index=True)


def gather_histories(plan: StudyPlan, trained: Mapping[str, TrainedNetwork]) -> pd.DataFrame:
    """Return the errors of training and validation rows at the end of every epoch.

    Returns
    -------
    DataFrame
        ``task, arm, target, domain, repeat, fold, ablation, value, epoch`` (from 1),
        ``train_mape, validation_mape`` in percent; one row per task and epoch. Gaussian
        processes have none.
    """
    columns = [*HISTORY_COLUMNS, "epoch", "train_mape", "validation_mape"]
    parts = [pd.DataFrame(columns=columns)]
    # What comes first under a task's name is the task; the arm `pretrained` borrows it later.
    for line in plan.table.drop_duplicates("task").to_dict("records"):
        result = trained[line["task"]]
        if not len(result.train_mape):
            continue
        history = {
            **{name: line[name] for name in HISTORY_COLUMNS},
            "epoch": range(1, len(result.train_mape) + 1),
            "train_mape": result.train_mape,
            "validation_mape": result.validation_mape,
        }
        parts.append(pd.DataFrame(history))
    return pd.concat(parts[1:] or parts, ignore_index=True)
