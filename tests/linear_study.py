"""A table study whose networks are linear laws set by hand, so that every answer is known."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from batteryscope.config.table_study import TableStudySettings
from batteryscope.seeds import derive_rng
from batteryscope.tables.fit_processes import fit_task
from batteryscope.tables.network_files import write_networks
from batteryscope.tables.network_tasks import TrainedNetwork
from batteryscope.tables.networks import AdapterStack, NetworkStack
from batteryscope.tables.plan_tasks import plan_tasks
from batteryscope.tables.table_predictions import find_family
from tests.table_networks import split_in_order

FEATURES = ("gap", "speed", "solids", "width")
LAWS = {"density": (20.0, [3, 0.2, 0.05, 0]), "loading": (1.0, [0.5, 0.1, 0, 0])}
TRANSFER = 2.0  # the target domain has twice the source's values
SPREAD = 0.01  # the second repeat's network says 1 % more
HALF_WIDTH = 0.05
MEASURED = 0.875
SHIFT = 1e4  # keeps every hidden node above 0, where it is linear


def make_settings(**changes) -> TableStudySettings:
    """Return a study with titles and a scale of its own for one feature."""
    values = {
        "kind": "table",
        "title": "Linear laws",
        "dataset": {
            "name": "linear",
            "files": [{"path": "rows.csv"}],
            "features": {
                "gap": {"unit": "µm", "label": "comma gap", "range": [0, 10]},
                "speed": {"unit": "m/min"},
                "solids": {"unit": "%", "header": "Solids (share)", "scale": 100},
                "width": {"unit": "mm"},
            },
            "targets": {"density": {"unit": "g/cm³"}, "loading": {"unit": "mg/cm²"}},
            "source": "graphite",
        },
        "split": {"repeats": 2},
        "arms": ["adapter"],
        "networks": {"density": {}, "loading": {}},
        "propose": {"domain": "nmc", "wanted": {"density": 80, "loading": 8}},
    }
    return TableStudySettings.model_validate(values | changes)


def make_manifest() -> pd.DataFrame:
    """Draw rows of two domains; speed has three levels, and the width never changes."""
    rng = derive_rng("linear rows")
    parts = []
    for domain, n in {"graphite": 60, "nmc": 30}.items():
        features = {
            "gap": rng.uniform(1, 3, n),
            "speed": rng.choice([10.0, 20.0, 30.0], n),
            "solids": rng.uniform(100, 300, n),
            "width": 5.0,
        }
        part = pd.DataFrame(features).assign(domain=domain, path="rows.csv", group="")
        for target in LAWS:
            part[target] = apply_law(target, part, domain)
        parts.append(part)
    manifest = pd.concat(parts, ignore_index=True)
    ids = [f"{i:016x}" for i in range(len(manifest))]
    return manifest.assign(sample_id=ids, row=range(2, len(manifest) + 2))


def apply_law(target: str, rows: pd.DataFrame, domain: str) -> np.ndarray:
    """Return what the first repeat's network says."""
    intercept, slopes = LAWS[target]
    value = intercept + rows[list(FEATURES)].to_numpy(float) @ slopes
    return value * (TRANSFER if domain == "nmc" else 1.0)


@torch.no_grad()
def make_linear(intercept: float, slopes: list[float]) -> NetworkStack:
    """Set a network of one hidden layer that is linear."""
    stack = NetworkStack(1, len(slopes), 1, 2)
    stack.weights[0][0, :, 0] = torch.tensor(slopes, dtype=torch.float64)
    stack.biases[0][:] = SHIFT
    stack.weights[1][0, 0, 0] = 1.0
    stack.biases[1][:] = intercept - SHIFT
    return stack


def write_study(root: Path, settings: TableStudySettings) -> list[str]:
    """Write what the workflow would leave in ``root``; return what the programs are told."""
    networks, compared = root / "networks", root / "comparison"
    for folder in (networks, compared, root / "data", root / "splits"):
        folder.mkdir(parents=True)
    manifest = make_manifest()
    manifest.to_parquet(root / "data" / "manifest.parquet", index=False)
    (root / "settings.json").write_text(settings.model_dump_json())
    split = split_in_order(manifest, settings.split, FEATURES)
    split.to_parquet(root / "splits" / "split.parquet", index=False)
    plan = plan_tasks(manifest, split, settings, split_in_order)
    repeats = plan.table.set_index("task")["repeat"]
    trained = {}
    for task in plan.tasks:
        factor = 1 + SPREAD * repeats[task.name]
        intercept, slopes = LAWS[task.target]
        if task.kind == "process":
            trained[task.name] = fit_task(task, trained)
            continue
        if task.kind == "adapter":
            network = AdapterStack(
                make_linear(intercept, slopes), make_linear(0, [TRANSFER * factor])
            )
        else:
            network = make_linear(factor * intercept, [factor * slope for slope in slopes])
        trained[task.name] = TrainedNetwork(network, np.ones(1), np.ones(1), 1, 0)
    write_networks(networks, trained, plan.table, list(FEATURES))

    main, home = settings.main_arm, find_family(settings.main_arm).source
    lines = [
        (main if domain == "nmc" else home, target, domain, repeat, width, MEASURED)
        for domain in ("graphite", "nmc")
        for target in LAWS
        for repeat, width in ((0, 9.0), (None, np.inf if domain == "graphite" else HALF_WIDTH))
    ]
    columns = ["arm", "target", "domain", "repeat", "relative_half_width", "coverage_measured"]
    pd.DataFrame(lines, columns=columns).to_csv(compared / "intervals.csv", index=False)
    errors = [(main, t, "nmc", "mape", 4.0) for t in LAWS]
    names = ["arm", "target", "domain", "metric", "mean"]
    pd.DataFrame(errors, columns=names).to_csv(compared / "comparison.csv", index=False)
    metrics = {
        "adapter.row.nmc.density.mape": 4.2,
        "scratch.row.nmc.density.mape": 9.0,
        "baseline_linear.row.nmc.density.mape": 3.1,
    }
    (compared / "metrics.json").write_text(json.dumps(metrics))
    findings = [{"kind": "few_rows", "severity": "warning", "text": "Few rows of nmc."}]
    (compared / "findings.json").write_text(json.dumps(findings))
    return [
        *("--study", "linear", "--settings", str(root / "settings.json")),
        *("--work", str(root)),
    ]
