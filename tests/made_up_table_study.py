"""A made-up study of tables in the folders that the workflow would leave."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from batteryscope.config.table_study import TableStudySettings
from batteryscope.evaluation.flat_metrics import flatten_metrics
from batteryscope.seeds import derive_rng
from batteryscope.tables.attribution import compare_ranks, rank_features
from batteryscope.tables.compare import compare_pairs
from batteryscope.tables.explain_study import explain_cases
from batteryscope.tables.intervals import measure_intervals
from batteryscope.tables.scores import (
    compare_table_arms,
    score_predictions,
)

RANGES = {
    "active_material": {"graphite": (91, 95.5), "nmc": (85, 97.5), "si_graphite": (8, 15)},
    "solid_content": {"graphite": (22, 42), "nmc": (42, 66), "si_graphite": (24, 32)},
    "coating_speed": {"graphite": (0.3, 0.3), "nmc": (0.2, 1), "si_graphite": (0.3, 0.3)},
    "comma_gap": {"graphite": (100, 300), "nmc": (50, 400), "si_graphite": (100, 300)},
    "roll_gap": {"graphite": (1, 135), "nmc": (20, 206), "si_graphite": (15, 102)},
}
# Relative error (bias, noise) of every arm.
ARMS = {
    "source": (0.0, 0.04),
    "pretrained": (-0.5, 0.15),
    "adapter": (0.0, 0.07),
    "scratch": (0.02, 0.11),
    "fine_tuning": (0.0, 0.08),
    "baseline_mean": (0.05, 0.3),
    "baseline_linear": (0.0, 0.06),
    "baseline_gaussian_process": (0.0, 0.09),
}
ROWS = {"graphite": 235, "nmc": 63, "si_graphite": 53}
TARGETS = ("density", "mass_loading")
REPEATS = 3


def make_table_settings() -> TableStudySettings:
    """Return settings with the columns of the manufacturing data."""
    column = {
        "active_material": {"unit": "wt%"},
        "solid_content": {"unit": "%"},
        "coating_speed": {"unit": "m/min"},
        "comma_gap": {"unit": "µm"},
        "roll_speed": {"unit": "m/min"},
        "roll_gap": {"unit": "µm"},
    }
    published = [("density", "nmc", 8.1), ("mass_loading", "nmc", 10.6)]
    return TableStudySettings.model_validate(
        {
            "kind": "table",
            "title": "Electrode manufacturing across chemistries",
            "paper": "Fernandez et al. 2025",
            "paper_doi": "10.1234/example",
            "dataset": {
                "name": "electrodes",
                "generator": {"kind": "electrode_manufacturing"},
                "features": column,
                "targets": {"density": {"unit": "g/cm³"}, "mass_loading": {"unit": "mg/cm²"}},
                "source": "graphite",
            },
            "split": {"repeats": REPEATS},
            "explain": {"background": 12},
            "arms": ["pretrained", "adapter", "scratch", "fine_tuning"],
            "networks": {
                "density": {"hidden_layers": 4, "nodes": 4},
                "mass_loading": {"hidden_layers": 3, "nodes": 3},
            },
            "evaluate": {
                "paper": [
                    {
                        "metric": "mape",
                        "target": target,
                        "domain": domain,
                        "value": value,
                        "level": "row",
                        "arm": "adapter",
                    }
                    for target, domain, value in published
                ]
            },
        }
    )


def make_manifest(rows: dict[str, int]) -> pd.DataFrame:
    """Draw rows of every domain; density and loading follow smooth laws."""
    rng = derive_rng("made-up rows")
    parts = []
    for domain, n in rows.items():
        part = pd.DataFrame({name: rng.uniform(*r[domain], n) for name, r in RANGES.items()})
        part["roll_speed"] = rng.choice([0.27, 0.54], n)
        scale = {"graphite": 1.0, "nmc": 2.2, "si_graphite": 0.8}[domain]
        part["density"] = scale * (1.5 - 0.003 * part["roll_gap"] + 0.4 * part["roll_speed"])
        part["mass_loading"] = scale * part["comma_gap"] * part["solid_content"] / 1200
        parts.append(part.assign(domain=domain))
    manifest = pd.concat(parts, ignore_index=True)
    manifest.insert(0, "sample_id", [f"{i:016x}" for i in range(len(manifest))])
    return manifest.assign(path="table.csv", row=manifest.index + 2, group="")


def make_split(manifest: pd.DataFrame) -> pd.DataFrame:
    """Divide every domain at random: 30 % test, 10 % of the rest validation."""
    rng = derive_rng("made-up split")
    parts = []
    for repeat in range(REPEATS):
        for _, rows in manifest.groupby("domain"):
            role = np.full(len(rows), "train", dtype=object)
            order = rng.permutation(len(rows))
            n_test = round(0.3 * len(rows))
            role[order[:n_test]] = "test"
            role[order[n_test : n_test + max(1, len(rows) // 14)]] = "validation"
            part = {"sample_id": rows["sample_id"], "repeat": repeat, "fold": 0, "role": role}
            parts.append(pd.DataFrame(part))
    split = pd.concat(parts, ignore_index=True)
    split.insert(1, "group_id", split["sample_id"])
    return split


def make_predictions(manifest: pd.DataFrame, split: pd.DataFrame) -> pd.DataFrame:
    """Draw predictions of every arm, and an ablation over the number of target rows."""
    rng = derive_rng("made-up predictions")
    known = split[split["role"] != "train"].merge(manifest, on="sample_id")
    studies = [("", np.nan, 1.0)] + [("target_rows", float(n), 12 / n) for n in (8, 16, 32)]
    parts = []
    for ablation, value, worse in studies:
        for target in TARGETS:
            for arm, (bias, noise) in ARMS.items():
                if ablation and arm not in ("adapter", "scratch"):
                    continue
                at_home = known["domain"] == "graphite"
                baseline = arm.startswith("baseline")
                chosen = at_home if arm == "source" else (~at_home if not baseline else None)
                rows = known if chosen is None else known[chosen]
                if ablation:
                    noise = 0.07 + (0.12 * worse if arm == "scratch" else 0.01 * worse)
                error = rng.normal(bias, noise, len(rows))
                part = rows[["sample_id", "domain", "repeat", "fold", "role"]].assign(
                    arm=arm, target=target, ablation=ablation, value=value, y_true=rows[target]
                )
                parts.append(part.assign(y_pred=part["y_true"] * (1 + error)))
    return pd.concat(parts, ignore_index=True)


def average_ablations(predictions: pd.DataFrame) -> pd.DataFrame:
    """Average the test error over repeats at every value of the ablation."""
    scores = score_predictions(predictions)
    ablated = scores[(scores["metric"] == "mape") & (scores["ablation"] != "")]
    keys = ["ablation", "value", "arm", "target", "domain"]
    columns = {"mape": ("score", "mean"), "sd": ("score", "std"), "n": ("score", "size")}
    return ablated.groupby(keys, as_index=False).agg(**columns).assign(full=False)


def make_plan() -> pd.DataFrame:
    """List the networks: those of the source, which ``pretrained`` borrows, and the adapters."""
    lines = []
    for target in TARGETS:
        for repeat in range(REPEATS):
            name = f"{target}_{repeat}"
            lines.append((f"source_{name}", "source", target, "graphite", repeat))
            for domain in ("nmc", "si_graphite"):
                lines.append((f"source_{name}", "pretrained", target, domain, repeat))
                for arm in ("adapter", "scratch"):
                    lines.append((f"{arm}_{domain}_{name}", arm, target, domain, repeat))
    plan = pd.DataFrame(lines, columns=["task", "arm", "target", "domain", "repeat"])
    return plan.assign(fold=0, ablation="", value=np.nan, parent="")


def make_histories(plan: pd.DataFrame) -> pd.DataFrame:
    """Draw falling errors; from scratch, the validation error rises again."""
    epochs = np.arange(1, 121)
    parts = []
    for line in plan.drop_duplicates("task").to_dict("records"):
        train = 4 + 60 * np.exp(-epochs / (18 + line["repeat"]))
        rise = 0.12 * epochs if line["arm"] == "scratch" else 1.5
        part = {**line, "epoch": epochs, "train_mape": train, "validation_mape": train + rise}
        parts.append(pd.DataFrame(part))
    return pd.concat(parts, ignore_index=True).drop(columns="parent")


def predict_made_up(features: np.ndarray, factor: float) -> np.ndarray:
    """A law with an interaction: comma gap times solid content, and the roll gap."""
    answer = factor * features[:, 1] * features[:, 3] / 1200 - 0.01 * features[:, 5]
    return np.asarray(answer + 0.5 * features[:, 4])


def write_study(root: Path, rows: dict[str, int] = ROWS) -> list[str]:
    """Write all folders and return the arguments of the report's program, without ``--out``."""
    settings = make_table_settings()
    manifest = make_manifest(rows)
    split, plan = make_split(manifest), make_plan()
    data, networks, compared, explained = (
        root / n for n in ("data", "networks", "comparison", "explained")
    )
    for folder in (data, networks, compared, explained):
        folder.mkdir(parents=True)
    manifest.to_parquet(data / "manifest.parquet", index=False)
    (root / "splits").mkdir()
    split.to_parquet(root / "splits" / "split.parquet", index=False)
    pd.DataFrame(
        [("table.csv", 9, "out_of_range", "roll_gap: found -4 µm; expected 0 to 500.")],
        columns=["path", "row", "reason", "detail"],
    ).to_csv(data / "rejects.csv", index=False)

    predictions = make_predictions(manifest, split)
    predictions.to_parquet(networks / "predictions.parquet", index=False)
    make_histories(plan).to_parquet(networks / "histories.parquet", index=False)
    counted = {"source": 93, "adapter": 13, "scratch": 93}
    facts = {
        task: {"trained_parameters": counted[task.split("_")[0]], "best_epoch": 100}
        for task in plan["task"]
    }
    text = json.dumps({"networks": facts, "plan": json.loads(plan.to_json(orient="records"))})
    (networks / "networks.json").write_text(text)

    predictions.to_parquet(compared / "predictions.parquet", index=False)

    comparison = compare_table_arms(predictions, settings)
    tables = {
        "comparison": comparison,
        "paired": compare_pairs(predictions, "adapter"),
        "ablations": average_ablations(predictions),
        "intervals": measure_intervals(predictions, 0.9),
    }
    for name, table in tables.items():
        table.to_csv(compared / f"{name}.csv", index=False)
    (compared / "metrics.json").write_text(json.dumps(flatten_metrics(comparison)))
    findings = [{"kind": "transfer", "severity": "warning", "text": "Transfer does not pay here."}]
    (compared / "findings.json").write_text(json.dumps(findings))

    factors = {task: 1 + 0.1 * (i % 3) for i, task in enumerate(plan["task"].unique())}
    predictors = {
        task: lambda x, factor=factor: predict_made_up(x, factor)
        for task, factor in factors.items()
    }
    cases = list(explain_cases(manifest, split, predictors, plan, settings))
    shap_values = pd.concat([values for _, values, _ in cases])
    ranking = rank_features(shap_values)
    for name, table in {
        "shap_values": shap_values,
        "ranking": ranking,
        "rank_changes": compare_ranks(ranking, "pretrained", "adapter"),
        "partial_dependence": pd.concat([dependence for _, _, dependence in cases]),
    }.items():
        table.to_csv(explained / f"{name}.csv", index=False)
    settings_file = root / "settings.json"
    settings_file.write_text(settings.model_dump_json())
    return [
        *("--study", "electrodes", "--settings", str(settings_file)),
        *("--work", str(root)),
    ]
