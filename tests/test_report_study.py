"""The report as a whole, from a small made-up study."""

import io
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from batteryscope.config.study import StudySettings
from batteryscope.plan import plan_study
from batteryscope.report.html import render_index
from batteryscope.report.write import select_verdicts
from batteryscope.seeds import derive_rng
from workflow_scripts.report_study import main

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
                "paper": [
                    {"metric": "accuracy", "value": 0.996, "note": "2430 test crops"},
                    {
                        "metric": "accuracy",
                        "target": "composition",
                        "value": 0.96,
                        "level": "image",
                    },
                ]
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
        self, root: Path, compositions: tuple[str, ...], states: tuple[str, ...], images: int
    ) -> None:
        self.root = root
        self.rng = derive_rng("report", len(compositions), images)
        self.settings = make_settings()
        self.classes = sorted(f"{c}_{s}" for c in compositions for s in states)
        self.chains = {
            arm.chains[-1]: arm.name for arm in plan_study("demo", self.settings).arms.values()
        }
        self._write_data(images)
        self._write_training()
        self._write_comparison(images * len(self.classes))

    def arguments(self, *extra: str, out: Path) -> list[str]:
        return [
            "--study", "demo",
            "--settings", self.settings.model_dump_json(),
            "--manifest-dir", f"{self.root / 'manifest'}",
            "--tiles", f"{self.root / 'tiles'}",
            "--split-dir", f"{self.root / 'split'}",
            "--comparison", f"{self.root / 'comparison'}",
            "--external", f"{self.root / 'external'}",
            "--arms", *[f"{arm}={self.root / 'arms' / arm}" for arm in self.chains.values()],
            "--stages", *[f"{chain}={self.root / 'stages' / chain}" for chain in self.chains],
            "--out", f"{out}",
            *extra,
        ]  # fmt: skip

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
        folder = self._folder("manifest")
        manifest.to_parquet(folder / "manifest.parquet")
        (folder / "rejects.csv").write_text(
            "path,reason,detail\n333/a.png,truncated,ends after 12 bytes\n"
            "333/<b>.png,unreadable,\n811/c.png,truncated,ends after 40 bytes\n"
        )
        folder = self._folder("tiles")
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
        folder = self._folder("split")
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
            folder = self._folder("arms", arm)
            (folder / "calibration.json").write_text('{"temperature": 1.4, "n_tiles": 90}')
            (folder / "cost.json").write_text('{"parameters": 2225153, "device": "cpu"}')
            entries = []
            for i, name in enumerate(self.classes):
                file = f"class_{i}.png"
                self._folder("arms", arm, "explain").joinpath(file).write_bytes(make_png(80, 9 * i))
                entries.append(
                    {"file": file, "title": name, "class": name, "y_true": name, "y_pred": name,
                     "sample_id": "0", "kind": "class", "confidence": 0.97}
                )  # fmt: skip
            entries.append({**entries[0], "kind": "misclassified", "y_true": self.classes[-1]})
            (folder / "explain" / "index.json").write_text(json.dumps(entries))

    def _write_comparison(self, n: int) -> None:
        folder = self._folder("comparison")
        rows = []
        arms = {"raw": 0.94, "per_image": 0.91}
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


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> StudyOnDisk:
    root = tmp_path_factory.mktemp("study")
    return StudyOnDisk(root, ("333", "811"), ("formation", "pristine"), 12)


@pytest.fixture(scope="module")
def reported(study: StudyOnDisk, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("reports") / "demo"
    assert main(study.arguments("--generated", out=out)) == 0
    return out


def read_page(folder: Path) -> str:
    return (folder / "report.html").read_text(encoding="utf-8")


def read_text(folder: Path) -> str:
    """The page without pictures and tags."""
    page = re.sub(r'src="data:[^"]*"', "", read_page(folder))
    page = re.sub(r"<style>.*?</style>", "", page, flags=re.S)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


def test_page_is_self_contained(reported: Path) -> None:
    page = read_page(reported)
    sources = re.findall(r'(?:src|href)="([^"]{1,40})', page)
    assert sources
    assert all(s.startswith(("data:image/png;base64,", "#", "https://doi.org/")) for s in sources)
    assert "<script" not in page
    assert "<link" not in page
    assert "url(" not in page


def test_page_tells_the_result_with_n_and_interval(reported: Path) -> None:
    text = read_text(reported)
    assert "94.0 % of 48 test images were put into the right one of 4 classes" in text
    assert "(95 % interval 83.5 to 98.0 %)" in text
    assert "the best baseline, grey levels only, reached 78.0 %" in text
    assert "come from 18 groups, so the true uncertainty is larger" in text


def test_page_shows_every_section(reported: Path) -> None:
    text = read_text(reported)
    assert "Not shown:" not in text
    for piece in (
        "94.0 ± 2.1 %",  # mean and spread
        "baseline: microscope settings only",
        "composition and state judged apart",
        "Per tile: all classes",
        "the file ends too early",
        "333/&lt;b&gt;.png",
        "Look &lt;here&gt;.",
        "it was too sure of itself",
        "The mean gap is 3.9 %, 2.7 % when scaled.",
        "1 h 05 min",
        "doi:10.1234/example",
        "snakemake demo",
        "34.0 %",
        "State &amp; composition",
        "A shortcut may explain the result",
    ):
        assert piece in text, piece


def test_generated_data_are_marked_on_page_and_figures(
    study: StudyOnDisk, reported: Path, tmp_path: Path
) -> None:
    assert "must not be quoted as results" in read_text(reported)
    assert json.loads((reported / "summary.json").read_text())["generated"] is True
    real = study.settings.model_copy(
        update={"dataset": study.settings.dataset.model_copy(update={"path": "data/raw/sem"})}
    )
    arguments = [
        "--study", "demo", "--settings", real.model_dump_json(),
        "--comparison", f"{study.root / 'comparison'}", "--out", f"{tmp_path}",
    ]  # fmt: skip
    assert main(arguments) == 0
    assert "must not be quoted" not in read_text(tmp_path)
    difference = "−11.6 points"  # tiles 88 % beside the paper's 99.6 %
    assert difference in read_text(tmp_path)
    assert difference not in read_text(reported)
    name = "figures/key_figure.png"
    assert (tmp_path / name).read_bytes() != (reported / name).read_bytes()


def test_same_input_gives_same_bytes(study: StudyOnDisk, reported: Path, tmp_path: Path) -> None:
    assert main(study.arguments("--generated", out=tmp_path)) == 0
    files = sorted(p.relative_to(reported) for p in reported.rglob("*") if p.is_file())
    assert files == sorted(p.relative_to(tmp_path) for p in tmp_path.rglob("*") if p.is_file())
    for file in files:
        assert (tmp_path / file).read_bytes() == (reported / file).read_bytes(), file


def test_figures_and_tables_lie_beside_the_page(study: StudyOnDisk, reported: Path) -> None:
    names = {p.name for p in (reported / "figures").iterdir()}
    for figure in ("key_figure", "confusion", "misclassified", "reliability", "class_sizes"):
        assert {f"{figure}.png", f"{figure}.svg"} <= names
    assert "explain_raw_class_0.png" in names
    comparison = study.root / "comparison"
    for table in ("metrics.json", "comparison.csv"):
        assert (reported / table).read_bytes() == (comparison / table).read_bytes()
    for table in ("per_class.csv", "confusion.csv"):
        assert (reported / "tables" / table).read_bytes() == (comparison / table).read_bytes()
    assert (reported / "tables" / "external_metrics.csv").is_file()
    history = pd.read_csv(reported / "tables" / "history.csv")
    assert {"stage", "repeat", "fold", "epoch", "val_accuracy"} <= set(history.columns)
    assert "seconds" not in history.columns


def test_verdicts_for_dvc_plots_are_those_of_one_arm() -> None:
    images = pd.DataFrame(
        {"sample_id": ["a", "b", "a"], "repeat": 0, "fold": 0, "arm": ["raw", "raw", "baseline_x"]}
    ).assign(y_true="333", y_pred=["333", "811", "333"], p_333=0.5)
    verdicts = select_verdicts(images, "raw")
    assert verdicts["y_pred"].tolist() == ["333", "811"]
    assert "p_333" not in verdicts


def test_only_a_comparison_still_gives_a_report(study: StudyOnDisk, tmp_path: Path) -> None:
    folder, out = tmp_path / "comparison", tmp_path / "out"
    folder.mkdir()
    (folder / "comparison.csv").write_bytes(
        (study.root / "comparison" / "comparison.csv").read_bytes()
    )
    stale = (out / "figures" / "old.png", out / "tables" / "per_class.csv")
    for file in stale:
        file.parent.mkdir(parents=True)
    for file in (*stale, out / "notes.txt"):
        file.write_text("of an earlier report")
    arguments = [
        "--study", "demo", "--settings", study.settings.model_dump_json(),
        "--comparison", f"{folder}", "--out", f"{out}",
    ]  # fmt: skip
    assert main(arguments) == 0
    text = read_text(out)
    assert text.count("Not shown:") >= 12
    assert "94.0 % of 48 test images were put into the right class" in text
    assert not any(file.exists() for file in stale)
    assert (out / "notes.txt").exists()


def test_missing_comparison_is_one_sentence(
    study: StudyOnDisk, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        "--study", "demo", "--settings", study.settings.model_dump_json(),
        "--comparison", f"{tmp_path / 'nowhere'}", "--out", f"{tmp_path / 'out'}",
    ]  # fmt: skip
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert "nowhere/comparison.csv: the file does not exist" in error
    assert "Traceback" not in error
    assert main([*arguments, "--arms", "raw"]) == 1
    assert "expected NAME=FOLDER" in capsys.readouterr().err


def test_index_links_reports(reported: Path) -> None:
    page = render_index(reported.parent)
    assert 'href="demo/report.html"' in page
    assert "94.0 % of 48 test images" in page
    assert 'src="data:image/png;base64,' in page
    assert "generated data" in page


def test_empty_index_says_so(tmp_path: Path) -> None:
    assert "No report has been published yet" in render_index(tmp_path)
