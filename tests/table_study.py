"""A table study of one target and made-up predictions with known errors."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from batteryscope.config.table_study import TableStudySettings
from batteryscope.tables.table_predictions import COLUMNS

FEATURES = ("comma_gap", "roll_gap", "roll_speed")


def make_study(**changes: Any) -> TableStudySettings:
    values: dict[str, Any] = {
        "kind": "table",
        "title": "check",
        "dataset": {
            "name": "check",
            "files": [{"path": "rows.csv"}],
            "features": {name: {"unit": "µm"} for name in FEATURES},
            "targets": {"density": {"unit": "g/cm³"}},
            "source": "graphite",
        },
        "networks": {"density": {"hidden_layers": 4, "nodes": 4}},
        "arms": ["pretrained", "adapter", "scratch", "fine_tuning"],
    }
    return TableStudySettings.model_validate(values | changes)


def make_rows(
    arm: str,
    errors: Sequence[float],
    *,
    domain: str = "nmc",
    ablation: str = "",
    value: float = float("nan"),
    role: str = "test",
    n_rows: int = 4,
) -> pd.DataFrame:
    """Predictions that are ``errors[repeat]`` percent too high in every row."""
    rows: list[Mapping[str, Any]] = [
        {
            "sample_id": f"{domain}_{role}_{i}",
            "domain": domain,
            "repeat": repeat,
            "fold": 0,
            "role": role,
            "arm": arm,
            "target": "density",
            "ablation": ablation,
            "value": value,
            "y_true": 1.0 + i,
            "y_pred": (1.0 + i) * (1 + error / 100),
        }
        for repeat, error in enumerate(errors)
        for i in range(n_rows)
    ]
    return pd.DataFrame(rows)[COLUMNS]
