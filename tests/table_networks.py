"""Small tasks and a small study for the tests of networks of tables."""

import numpy as np
import pandas as pd

from batteryscope.config.table_study import NetworkSettings, TableStudySettings
from batteryscope.tables.network_tasks import NetworkTask, Rows
from batteryscope.tables.networks import NetworkStack

SMALL = NetworkSettings(hidden_layers=2, nodes=4)
N_FEATURES = 3


def make_rows(n: int, seed: int, shift: float = 0.0) -> Rows:
    """Draw rows of a linear law; ``shift`` moves the features as another domain would."""
    rng = np.random.default_rng(seed)
    features = rng.uniform(1, 3, size=(n, N_FEATURES)) * [1, 10, 100] + shift
    targets = 20 + features @ [3, 0.2, 0.05]
    return Rows(tuple(f"row{seed}_{i}" for i in range(n)), features, targets)


def make_task(name: str, n: int, seed: int, **changes) -> NetworkTask:
    """Make a task of ``n`` training rows and 9 validation rows."""
    values = {
        "name": name,
        "target": "density",
        "kind": "scratch",
        "network": SMALL,
        "train": make_rows(n, seed),
        "validation": make_rows(9, seed + 1000),
        "seed_names": (name,),
    }
    return NetworkTask(**{**values, **changes})


def make_stack(n: int = 3, seed: int = 0) -> NetworkStack:
    """Make networks with weights and with a scaling that differs between them."""
    stack = NetworkStack(n, N_FEATURES, 2, 4)
    for i in range(n):
        rows = make_rows(20, seed + i, shift=i)
        stack.draw_weights(i, np.random.default_rng(seed + i))
        stack.fit_scaling(i, rows.features, rows.targets)
    return stack


def make_manifest() -> pd.DataFrame:
    """Make 3 domains with 2 targets."""
    parts = []
    for number, (domain, n) in enumerate({"graphite": 60, "nmc": 24, "si_graphite": 20}.items()):
        rows = make_rows(n, number, shift=2.0 * number)
        values = dict(zip(("gap", "speed", "solids"), rows.features.T, strict=True))
        ids = [f"{domain}{i:02d}" for i in range(n)]
        targets = {"density": rows.targets, "loading": rows.targets / 10 + number}
        parts.append(pd.DataFrame({"sample_id": ids, "domain": domain, **values, **targets}))
    return pd.concat(parts, ignore_index=True).sort_values("sample_id", ignore_index=True)


def split_in_order(manifest, settings, features) -> pd.DataFrame:
    """Divide every domain by the order of its rows, moved on by the repeat."""
    parts = []
    for repeat in range(settings.repeats):
        for _, rows in manifest.groupby("domain"):
            place = (np.arange(len(rows)) + 7 * repeat) % len(rows)
            n_test = round(settings.test_fraction * len(rows))
            roles = np.where(place < n_test, "test", "train").astype(object)
            roles[(place >= n_test) & (place < n_test + 3)] = "validation"
            ids = rows["sample_id"]
            columns = {"sample_id": ids, "group_id": ids, "repeat": repeat, "fold": 0}
            parts.append(pd.DataFrame({**columns, "role": roles}))
    return pd.concat(parts, ignore_index=True)


def make_settings(**changes) -> TableStudySettings:
    """Make a study of 2 targets, 2 repeats and 2 epochs."""
    values = {
        "kind": "table",
        "title": "Small study",
        "dataset": {
            "name": "small",
            "generator": {"kind": "electrode_manufacturing"},
            "features": {"gap": {}, "speed": {}, "solids": {}},
            "targets": {"density": {}, "loading": {}},
            "source": "graphite",
        },
        "split": {"repeats": 2, "test_fraction": 0.3},
        "networks": {"density": {"hidden_layers": 2, "nodes": 4}, "loading": {}},
        "train": {"epochs": 2, "restarts": 2},
        "arms": ["pretrained", "adapter", "scratch", "fine_tuning"],
    }
    return TableStudySettings.model_validate({**values, **changes})
