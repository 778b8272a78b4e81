"""What ingestion and training would leave of a small study of tables.

The rows follow laws in whole numbers, the networks are linear and set by hand, and what they and
the other networks say about rows is drawn by lot.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from batteryscope.config.table_study import TableStudySettings
from batteryscope.provenance import digest_text
from batteryscope.seeds import derive_rng
from batteryscope.tables.attribution import compare_ranks, rank_features
from batteryscope.tables.network_files import write_networks
from batteryscope.tables.network_tasks import TrainedNetwork
from batteryscope.tables.networks import AdapterStack, NetworkStack
from batteryscope.tables.plan_tasks import StudyPlan, Variant, find_role, plan_tasks
from batteryscope.tables.split_rows import audit_rows, split_rows
from batteryscope.tables.summarise_rows import summarise_rows
from batteryscope.tables.table_predictions import COLUMNS

EPOCHS = 5
# Spread of an arm's errors, in thousandths.
SPREADS = {"source": 40, "pretrained": 300, "adapter": 60, "scratch": 120, "fine_tuning": 70}
SHIFT = 1024.0  # keeps the hidden nodes above 0, where they are linear


def write_table_study(root: Path, name: str, settings: TableStudySettings) -> None:
    """Write everything below ``root`` that comes before the evaluation."""
    dataset, features = settings.dataset, list(settings.dataset.features)
    manifest = _draw_rows(name, settings)
    (root / "data" / "table").mkdir(parents=True)
    (root / "data" / "table" / "rows.csv").write_text("drawn\n")
    manifest.to_parquet(root / "data" / "manifest.parquet", index=False)
    reject = [("rows.csv", 9, "out_of_range", "roll gap: found -4; expected 1 to 1000.")]
    rejects = pd.DataFrame(reject, columns=["path", "row", "reason", "detail"])
    rejects.to_csv(root / "data" / "rejects.csv", index=False)
    summary = summarise_rows(manifest, rejects, dataset)
    (root / "data" / "summary.json").write_text(json.dumps(summary))

    split = split_rows(manifest, settings.split, features)
    (root / "splits").mkdir()
    split.to_parquet(root / "splits" / "split.parquet", index=False)
    audit = audit_rows(split, manifest, features)
    (root / "splits" / "audit.json").write_text(json.dumps(audit))

    plan = plan_tasks(manifest, split, settings, split_rows)
    networks = root / "networks"
    networks.mkdir()
    errors = np.array([90 / (e + 2) for e in range(EPOCHS)])
    stacks = [_set_network(task.kind, len(features), i) for i, task in enumerate(plan.tasks)]
    trained = {
        task.name: TrainedNetwork(network, errors, errors + 1, EPOCHS - 1, 0)
        for task, network in zip(plan.tasks, stacks, strict=True)
    }
    write_networks(networks, trained, plan.table, features)
    _draw_predictions(name, plan, manifest).to_parquet(
        networks / "predictions.parquet", index=False
    )
    _list_histories(plan, errors).to_parquet(networks / "histories.parquet", index=False)
    cost = {"seconds": 1.0, "n_networks": len(plan.tasks), "n_tasks": len(plan.tasks)}
    (networks / "cost.json").write_text(json.dumps(cost))
    _write_explanations(root / "explained", name, settings, manifest)


def _draw_rows(name: str, settings: TableStudySettings) -> pd.DataFrame:
    """Draw the features of every domain within a share of their ranges; targets add them up."""
    rng = derive_rng("golden rows", name)
    parts = []
    for number, (domain, n) in enumerate(settings.dataset.generator.rows.items()):
        part = pd.DataFrame({"domain": [domain] * n})
        total = np.zeros(n)
        for place, (feature, column) in enumerate(settings.dataset.features.items()):
            low, high = column.range
            levels = rng.integers(200 + 50 * number, 700 + 50 * number, n)
            part[feature] = low + (high - low) * levels / 1000
            total += levels * (place + 1)
        for place, target in enumerate(settings.dataset.targets):
            noise = 1000 + rng.integers(-20, 21, n)
            part[target] = (2 + place) * (1 + number) * total * noise / 1_000_000 + 1.0
        parts.append(part)
    manifest = pd.concat(parts, ignore_index=True)
    manifest.insert(0, "sample_id", [digest_text(f"{name} {i}")[:16] for i in manifest.index])
    return manifest.assign(path="rows.csv", row=manifest.index + 2, group="")


@torch.no_grad()
def _set_network(kind: str, n_features: int, number: int) -> NetworkStack | AdapterStack:
    """Set a linear network; ``number`` tells it from the others."""

    def make(n_inputs: int, slope: float) -> NetworkStack:
        stack = NetworkStack(1, n_inputs, 1, 2)
        stack.weights[0][0, :, 0] = slope
        stack.biases[0][:] = SHIFT
        stack.weights[1][0, 0, 0] = 1.0
        stack.biases[1][:] = 2.0 - SHIFT
        return stack

    slope = (1 + number % 7) / 64
    network = make(n_features, slope)
    return AdapterStack(network, make(1, 1.5)) if kind == "adapter" else network


def _draw_predictions(name: str, plan: StudyPlan, manifest: pd.DataFrame) -> pd.DataFrame:
    rng = derive_rng("golden predictions", name)
    truth = manifest.set_index("sample_id")[sorted(set(plan.table["target"]))].to_dict()
    rows = []
    for line in plan.table.to_dict("records"):
        variant = Variant(line["ablation"], line["value"])
        spread = SPREADS[line["arm"]] + (20 if line["ablation"] else 0)
        known = {key: line[key] for key in COLUMNS if key in line}
        for role in ("validation", "test"):
            key = find_role(variant, line["repeat"], line["fold"], line["domain"], role)
            ids = plan.samples.get(key, [])
            errors = 1000 + rng.integers(-spread, spread + 1, len(ids))
            for sample_id, error in zip(ids, errors.tolist(), strict=True):
                true = truth[line["target"]][sample_id]
                own = {"sample_id": sample_id, "role": role, "y_true": true}
                rows.append({**known, **own, "y_pred": true * error / 1000})
    return pd.DataFrame(rows)[COLUMNS]


def _write_explanations(
    folder: Path, name: str, settings: TableStudySettings, manifest: pd.DataFrame
) -> None:
    """Draw SHAP values and partial dependences, which take the explaining program ten seconds."""
    rng = derive_rng("golden explanations", name)
    folder.mkdir()
    values, dependences = [], []
    for domain, rows in manifest.groupby("domain"):
        at_home = domain == settings.dataset.source
        for arm in ["source"] if at_home else ["pretrained", settings.main_arm]:
            for target in settings.dataset.targets:
                place = {"domain": domain, "arm": arm, "target": target}
                for number, feature in enumerate(settings.dataset.features):
                    shap = rng.integers(-90, 91, len(rows)) * (number + 1) / 100
                    known = rows[["sample_id"]].assign(**place, feature=feature)
                    values.append(
                        known.assign(feature_value=rows[feature], shap_value=shap, base_value=50.0)
                    )
                    low, high = rows[feature].min(), rows[feature].max()
                    points = low + (high - low) * np.arange(5) / 4
                    answer = {"mean": 50 + np.arange(5) * (number + 1.0), "sd": 2.0, "n": 3}
                    table = pd.DataFrame({"feature_value": points, **answer})
                    dependences.append(table.assign(**place, feature=feature))
    shap_values = pd.concat(values)
    ranking = rank_features(shap_values)
    for file, table in {
        "shap_values": shap_values,
        "ranking": ranking,
        "rank_changes": compare_ranks(ranking, "pretrained", settings.main_arm),
        "partial_dependence": pd.concat(dependences),
    }.items():
        table.to_csv(folder / f"{file}.csv", index=False)


def _list_histories(plan: StudyPlan, errors: np.ndarray) -> pd.DataFrame:
    keys = ["task", "arm", "target", "domain", "repeat", "fold", "ablation", "value"]
    once = plan.table.drop_duplicates("task")[keys]
    history = pd.DataFrame(
        {"epoch": range(1, EPOCHS + 1), "train_mape": errors, "validation_mape": errors + 1}
    )
    return once.merge(history, how="cross")
