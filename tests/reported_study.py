"""A small made-up study in the folders from which a report is written."""

import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from batteryscope.config.study import StudySettings
from batteryscope.plan import plan_study
from batteryscope.planning.layout import PictureLayout
from batteryscope.seeds import derive_rng

FOLDS = 3
COMPARISON_COLUMNS = [
    "arm", "backbone", "target", "domain", "level", "metric", "mean", "sd", "n", "paper",
]  # fmt: skip


def make_settings(path: str | None = None) -> StudySettings:
    return StudySettings.model_validate(
        {
            "title": "State & composition of NCM cathodes",
            "paper": "Oh et al. 2024",
            "paper_doi": "10.1234/example",
            "dataset": {
                "name": "demo",
                "path": path,
                "generator": {"kind": "sem_top_view"},
                "labels": {
                    "columns": ["composition", "state"],
                    "pattern": "(?P<composition>x)(?P<state>y)",
                },
            },
            "preprocess": {"method": "sem_tiles"},
            "split": {"scheme": "kfold", "folds": FOLDS},
            "arms": {
                "raw": {"label": "Raw grey levels"},
                "per_image": {
                    "label": "Standardised",
                    "change": {"model.grey_levels": "per_image"},
                },
            },
            "evaluate": {
                "external": {"name": "elsewhere", "generator": {"kind": "sem_top_view"}},
                "paper": [
                    {"metric": "accuracy", "value": 0.996, "note": "2430 test crops"},
                    {
                        "metric": "accuracy",
                        "target": "composition",
                        "value": 0.96,
                        "level": "image",
                    },
                ],
            },
        }
    )


def make_png(side: int, value: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.full((side, 3 * side, 3), value, np.uint8)).save(stream, "PNG")
    return stream.getvalue()


class StudyOnDisk:
    """A made-up study in the folders that the workflow would leave."""

    def __init__(
        self,
        root: Path,
        compositions: tuple[str, ...],
        states: tuple[str, ...],
        images: int,
        settings: StudySettings | None = None,
    ) -> None:
        self.root = root
        self.rng = derive_rng("report", len(compositions), images)
        self.settings = settings or make_settings()
        self.classes = sorted(f"{c}_{s}" for c in compositions for s in states)
        plan = plan_study("demo", self.settings)
        self.layout = PictureLayout(root, plan)
        self.chains = {arm.chains[-1]: arm.name for arm in plan.arms.values()}
        self._write_data(images)
        self._write_training()
        self._write_comparison(images * len(self.classes))

    def arguments(self, *extra: str, out: Path) -> list[str]:
        return [
            "--study", "demo",
            "--settings", self.settings.model_dump_json(),
            "--work", f"{self.root}",
            "--out", f"{out}",
            *extra,
        ]  # fmt: skip

    def _write_audit(self, folder: Path) -> None:
        """Write numbers of a shortcut audit, as the comparison does."""
        names = ["grey_levels", "data_bar", "thumbnail", "grey_levels", "intact", "standardised"]
        what = ["cue", "cue", "cue", "session_left_out", "network", "network"]
        told = pd.DataFrame({"what": [*what, "model"], "name": [*names, "raw"]})
        told[["n", "accuracy", "low", "high", "balanced", "chance"]] = [30, 0.5, 0.3, 0.7, 0.5, 0.1]
        told[["skill", "skill_low", "skill_high"]] = [0.4, 0.2, 0.6]
        told.to_csv(folder / "shortcuts.csv", index=False)
        factors = pd.DataFrame(
            [("day", 2, 1.0, 1.1, 0.9), ("size", 2, 1.0, 0.0, np.nan)],
            columns=["factor", "values", "known", "mutual_information_nats", "share_of_label"],
        )
        factors.to_csv(folder / "confounding.csv", index=False)
        rows = [("day", f"2024-01-0{i + 1}", name, 3 + i) for i in (0, 1) for name in self.classes]
        counts = pd.DataFrame(rows, columns=["factor", "value", "class", "count"])
        counts.to_csv(folder / "confounding_counts.csv", index=False)

    def _write_confidence(self, folder: Path, n: int) -> None:
        """Write sets of classes and the risk-coverage curve, as the comparison does."""
        sets = pd.DataFrame({"class": ["", *self.classes], "level": "image"})
        sets = sets.assign(
            coverage_wanted=0.9, coverage_measured=0.92, low=0.8, high=0.97, n_groups=n, n=n,
            mean_size=1.25, single_share=0.8, empty_share=0.0, threshold=0.6, n_calibration=n,
            calibrated_on="test",
        )  # fmt: skip
        sets.to_csv(folder / "sets.csv", index=False)
        kept = np.arange(n, 0, -1)
        accuracy = 1 - 0.1 * kept / n
        risk = pd.DataFrame({"given_away": 1 - kept / n, "kept": kept, "accuracy": accuracy})
        risk = risk.assign(low=accuracy - 0.05, high=1.0, confidence=np.linspace(0.3, 1, n))
        risk.to_csv(folder / "risk_coverage.csv", index=False)

    def _folder(self, *parts: str) -> Path:
        folder = self.root.joinpath(*parts)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _write_data(self, images: int) -> None:
        names = [name for name in self.classes for _ in range(images)]
        samples = [f"{i:016x}" for i in range(len(names))]
        manifest = pd.DataFrame(
            {
                "sample_id": samples,
                "path": [f"{name}/{i:03d}.png" for i, name in enumerate(names)],
                "sha256": [f"{i:064x}" for i in range(len(names))],
                "specimen_id": None,
                "session_id": names,
                "domain": "",
                "class": names,
                "width_px": 640,
                "height_px": 480,
                "magnification": 500.0,
                "pixel_size_um": np.nan,
            }
        )
        folder = self._folder("data")
        manifest.to_parquet(folder / "manifest.parquet")
        (folder / "rejects.csv").write_text(
            "path,reason,detail\n333/a.png,truncated,ends after 12 bytes\n"
            "333/<b>.png,unreadable,\n811/c.png,truncated,ends after 40 bytes\n"
        )
        folder = self.layout.main_tiles
        folder.mkdir(parents=True)
        tiles = self.rng.normal(128, 40, (len(names), 48, 48)).clip(0, 255).astype(np.uint8)
        np.save(folder / "tiles.npy", tiles)
        pd.DataFrame(
            {
                "tile": [*range(len(names)), -1],
                "sample_id": [*samples, samples[0]],
                "kind": ["random"] + ["grid"] * len(names),
                "used": [True] * len(names) + [False],
            }
        ).to_parquet(folder / "index.parquet")
        (folder / "preview.png").write_bytes(make_png(50, 120))
        split = pd.concat(
            pd.DataFrame(
                {
                    "sample_id": samples,
                    "group_id": [f"g{i // 2}" for i in range(len(names))],
                    "repeat": 0,
                    "fold": fold,
                    "role": [
                        ("test", "validation", "train", "train")[(i // 2 + fold) % 4]
                        for i in range(len(names))
                    ],
                }
            )
            for fold in range(FOLDS)
        )
        folder = self.layout.main_split.root
        folder.mkdir(parents=True)
        split.to_parquet(folder / "split.parquet")
        audit = {
            "groups": 24,
            "shared_hashes": 0,
            "near_duplicates": [],
            "warnings": ["Look <here>."],
        }
        (folder / "audit.json").write_text(json.dumps(audit))

    def _write_training(self) -> None:
        epochs = np.arange(1, 13)
        for chain, arm in self.chains.items():
            for fold in range(FOLDS):
                folder = self._folder("stages", chain, "part0", f"r0_f{fold}")
                noise = self.rng.normal(0, 0.03, (3, len(epochs)))
                pd.DataFrame(
                    {
                        "epoch": epochs,
                        "train_loss": 2.4 * np.exp(-epochs / 4) + 0.05 + noise[0] ** 2,
                        "val_loss": 2.3 * np.exp(-epochs / 4) + 0.25 + noise[1],
                        "val_accuracy": (0.95 - 0.8 * np.exp(-epochs / 3) + noise[2]).clip(0, 1),
                        "learning_rate": 1e-3,
                        "seconds": 2.0,
                    }
                ).to_csv(folder / "history.csv", index=False)
                fit = {
                    "repeat": 0, "fold": fold, "best_epoch": 9 + fold, "seconds": 1300.5,
                    "tiles_per_second": 61.0, "parameters": 2225153, "device": "cpu",
                }  # fmt: skip
                (folder / "fit.json").write_text(json.dumps(fit))
            folder = self._folder("predicted", arm)
            (folder / "calibration.json").write_text('{"temperature": 1.4, "n_tiles": 90}')
            (folder / "cost.json").write_text('{"parameters": 2225153, "device": "cpu"}')
            entries = []
            for i, name in enumerate(self.classes):
                file = f"class_{i}.png"
                self._folder("explained", arm).joinpath(file).write_bytes(make_png(80, 9 * i))
                entries.append(
                    {"file": file, "title": name, "class": name, "y_true": name, "y_pred": name,
                     "sample_id": "0", "kind": "class", "confidence": 0.97}
                )  # fmt: skip
            entries.append({**entries[0], "kind": "misclassified", "y_true": self.classes[-1]})
            (self._folder("explained", arm) / "index.json").write_text(json.dumps(entries))

    def _write_comparison(self, n: int) -> None:
        folder = self._folder("comparison")
        rows = []
        arms = {n: round(max(0.94 - 0.03 * i, 0.6), 2) for i, n in enumerate(self.settings.arms)}
        baselines = {"majority": 1 / len(self.classes), "grey_levels": 0.78, "metadata": 0.62}
        arms |= {f"baseline_{name}": value for name, value in baselines.items()}
        for arm, value in arms.items():
            for level in ("image",) if arm.startswith("baseline") else ("tile", "image"):
                mean = value - (0.06 if level == "tile" else 0.0)
                place = [arm, "" if arm.startswith("baseline") else "mobilenetv2_100"]
                for metric, change in (
                    ("accuracy", 0),
                    ("balanced_accuracy", -0.004),
                    ("macro_f1", -0.01),
                ):
                    rows.append([*place, "", "", level, metric, mean + change, 0.021, n, None])
                rows.append([*place, "", "", level, "pooled_accuracy", mean, None, n, None])
                for target, better in (("composition", 0.05), ("state", 0.02)):
                    rows.append(
                        [
                            *place,
                            target,
                            "",
                            level,
                            "accuracy",
                            min(mean + better, 1),
                            0.01,
                            n,
                            None,
                        ]
                    )
        rows.append(["paper", "", "", "", "specimen", "accuracy", None, None, None, 0.9])
        comparison = pd.DataFrame(rows, columns=COMPARISON_COLUMNS)
        comparison.loc[
            (comparison["level"] == "tile") & (comparison["metric"] == "accuracy")
            & (comparison["target"] == ""), "paper",
        ] = 0.996  # fmt: skip
        comparison.to_csv(folder / "comparison.csv", index=False)
        (folder / "metrics.json").write_text('{"raw.image.accuracy": 0.94}')
        self._write_confidence(folder, n)
        per_class, confusion, wrong = [], [], []
        k = len(self.classes)
        for i, name in enumerate(self.classes):
            per_class.append(["raw", "image", name, 0.9, 0.8, 0.847, 0.735, n // k])
            counts = {name: n // k - 2, self.classes[(i + 1) % k]: 2}
            confusion += [
                ["raw", "image", name, other, counts.get(other, 0)] for other in self.classes
            ]
            p = self.rng.dirichlet(np.full(k, 0.4))
            order = np.argsort(p)
            p[[order[-1], (i + 1) % k]] = p[[(i + 1) % k, order[-1]]]
            wrong.append(
                [
                    "tile",
                    f"{i:016x}",
                    f"{name}/0.png",
                    i,
                    name,
                    self.classes[(i + 1) % k],
                    p.max(),
                    *p,
                ]
            )
        pd.DataFrame(
            per_class,
            columns=["arm", "level", "class", "precision", "recall", "f1", "jaccard", "support"],
        ).to_csv(folder / "per_class.csv", index=False)
        pd.DataFrame(confusion, columns=["arm", "level", "y_true", "y_pred", "count"]).to_csv(
            folder / "confusion.csv", index=False
        )
        pd.DataFrame(
            wrong,
            columns=["level", "sample_id", "path", "tile", "y_true", "y_pred", "confidence"]
            + [f"p_{name}" for name in self.classes],
        ).to_csv(folder / "misclassified.csv", index=False)
        bins = pd.DataFrame({"bin_low": np.arange(10) / 10})
        bins["bin_high"] = bins["bin_low"] + 0.1
        bins["count"] = [0, 0, 1, 2, 4, 8, 12, 25, 60, 280]
        bins["confidence"] = (bins["bin_low"] + 0.06).where(bins["count"] > 0)
        bins["accuracy"] = (bins["confidence"] ** 1.5).where(bins["count"] > 0)
        scaled = bins.assign(accuracy=bins["confidence"] * 0.97, scaled=True)
        bins = pd.concat([bins.assign(scaled=False), scaled]).assign(arm="raw")
        bins.to_csv(folder / "reliability.csv", index=False)
        findings = [
            {"kind": "baselines", "text": "raw beats every baseline, the best one by 16 points."},
            {"kind": "shortcut", "text": "Each of the sessions holds one class only."},
        ]
        (folder / "findings.json").write_text(json.dumps(findings))
        self._write_audit(folder)
        people = [[f"expert {i}", "expert", v, 20] for i, v in enumerate((0.2, 0.45, 0.3))]
        people += [
            ["mean of experts", "mean", 0.317, 20],
            ["best expert (expert 1)", "best", 0.45, 20],
        ]
        people += [["model", "model", 0.95, 20]]
        pd.DataFrame(people, columns=["who", "kind", "accuracy", "n"]).to_csv(
            folder / "survey.csv", index=False
        )
        pd.DataFrame(
            [["composition", "image", "accuracy", 0.96, 30], ["", "image", "accuracy", 0.34, 30]],
            columns=["target", "level", "metric", "value", "n"],
        ).to_csv(self._folder("external") / "metrics.csv", index=False)
