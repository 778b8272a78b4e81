"""`dvc repro` after data and parameters changed: only the consequences run."""

import csv
import io
import json
import os
import re
import shutil
import signal

import numpy as np
import pytest
import yaml
from PIL import Image

from tests.conftest import ROOT, Sandbox, wait_for_program
from tests.small_params import small_params, small_study

pytestmark = pytest.mark.workflow
DATA = "data/raw/check"


def params(epochs: int) -> dict:
    study = small_study(
        dataset={"name": "check", "path": DATA, "generator": None},
        preprocess={"tiles_per_image": 5, "grid_tiles": 1},
        train={"epochs": epochs},
        explain={"tiles_per_class": 1, "misclassified_tiles": 0},
        evaluate={"baselines": ["majority"], "shortcut_audit": False},
    )
    return small_params(check=study) | {"tracking": {"enabled": False}}


class Project(Sandbox):
    """A sandbox under git and DVC."""

    def start(self) -> None:
        settings = '{"kind": "trivial", "classes": 2, "images_per_class": 8}'
        program = "workflow_scripts/generate_dataset.py"
        self.run("python", program, "--settings", settings, "--out", DATA)
        (self.root / DATA / "README.txt").unlink(missing_ok=True)
        pipeline = yaml.safe_load((ROOT / "dvc.yaml").read_text().replace("cathode_state", "check"))
        pipeline["stages"]["study"]["foreach"] = ["check"]
        pipeline["artifacts"] = {"check": pipeline["artifacts"]["check"]}
        (self.root / "dvc.yaml").write_text(yaml.safe_dump(pipeline, sort_keys=False))
        self.put_under_versions()
        self.add_data()

    def put_under_versions(self) -> None:
        """Initialise git and DVC."""
        for command in (
            "git init -q",
            "git config user.email test@example.org",
            "git config user.name Test",
            "dvc init -q",
            "dvc config core.analytics false",
        ):
            self.run(*command.split())
        shutil.copytree(ROOT / ".dvc" / "plots", self.root / ".dvc" / "plots")

    def commit(self, message: str) -> str:
        self.run("git", "add", "-A")
        self.run("git", "commit", "-q", "-m", message)
        return self.run("git", "rev-parse", "HEAD").stdout.strip()

    def repro(self) -> str:
        return self.run("dvc", "repro").stdout

    def kill_repro(self, program: str) -> None:
        """Kill the process group of ``dvc repro`` as soon as a program is at work."""
        repro = self.start_command("dvc", "repro")
        try:
            wait_for_program(repro.pid, program)
        finally:
            os.killpg(repro.pid, signal.SIGKILL)
            repro.wait()

    def add_data(self) -> None:
        self.run("dvc", "add", "-q", DATA)

    @property
    def metrics(self) -> dict:
        return json.loads((self.root / "reports/check/metrics.json").read_text())

    @property
    def model_digest(self) -> str:
        return json.loads((self.root / "models/check/digest.json").read_text())["digest"]

    @property
    def images(self) -> list:
        return sorted((self.root / DATA).rglob("*.png"))


def rules_in(output: str) -> set[str]:
    """Jobs that ended, by the lines of the run."""
    return set(re.findall(r"^[\d:]+ \[\d+ of \d+\] .*\((\w+), [^()]*\)$", output, re.MULTILINE))


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Project:
    root = tmp_path_factory.mktemp("dvc") / "project"
    root.mkdir()
    project = Project(root, params(epochs=3))
    project.start()
    return project


def test_story(project):
    output = project.repro()
    assert "train_stage" in rules_in(output)
    assert "generate_dataset" not in rules_in(output)
    first_metrics, first_model = project.metrics, project.model_digest
    first = project.commit("three epochs")

    # Snakemake's own report holds the figures with their captions, by study and kind.
    project.snakemake("check", "--report", "work/figures.html")
    page = (project.root / "work/figures.html").read_text()
    told = json.loads((project.root / "reports/check/figures/captions.json").read_text())
    assert all(word in page for word in ("2 Results", "3 Training", "key figure"))
    assert any(caption.split(".")[0][:40] in page for caption in told.values())

    # Nothing changed: nothing runs.
    output = project.repro()
    assert "didn't change, skipping" in output
    assert rules_in(output) == set()

    # A parameter changed: its consequences run, nothing before the training.
    project.write_params(params(epochs=5))
    ran = rules_in(project.repro())
    assert {"train_stage", "publish_study"} <= ran
    assert not ran & {"ingest_dataset", "preprocess_images", "split_dataset", "evaluate_baselines"}
    second_model = project.model_digest
    assert second_model != first_model
    second = project.commit("five epochs")
    diff = project.run("dvc", "params", "diff", first).stdout
    assert "studies.check.train.epochs" in diff
    shown = json.loads(project.run("dvc", "metrics", "show", "--json").stdout)
    headline = shown[""]["data"]["reports/check/headline.json"]["data"]["check"]
    assert {"accuracy", "accuracy_low", "best_baseline_accuracy"} <= set(headline)
    assert len(headline) <= 12
    diff = project.run("dvc", "metrics", "diff", "--all", first).stdout
    assert "check.log_loss" in diff
    project.run("python", "workflow_scripts/show_plots.py", "--out", "work/plots")
    page = (project.root / "work/plots/index.html").read_text()
    assert "vegaEmbed('#" in page
    assert not re.search(r"""<(?:script|link)[^>]*(?:src|href)=["']?http""", page)
    assert "validation accuracy over epochs" in page
    assert "true and predicted class" in page

    # The old revision is checked out: old models and metrics are back, without training.
    project.run("git", "checkout", "-q", first)
    project.run("dvc", "checkout", "-q", "--force")
    assert project.model_digest == first_model
    assert project.metrics == first_metrics
    assert rules_in(project.repro()) == set()
    assert "train_stage" not in rules_in(project.snakemake("check").stdout)
    assert project.model_digest == first_model

    # What Snakemake last published is another version's: a bare dry run notices.
    project.run("git", "checkout", "-q", "--force", second)
    assert "publish_study" in project.planned_rules("check")

    # Checked out, then a parameter changes: the models are the new ones.
    project.run("dvc", "checkout", "-q", "--force")
    project.repro()
    assert project.model_digest == second_model
    project.write_params(params(epochs=4))
    # DVC and all that it has started are killed (SIGKILL) while a network trains: the same command
    # goes on, with nothing typed in between.
    project.kill_repro("train_stage.py")
    assert project.model_digest == second_model
    output = project.repro()
    assert {"train_stage", "publish_study"} <= rules_in(output)
    assert "its lock is released" in output
    assert project.model_digest not in (first_model, second_model)
    facts = list((project.root / "models/check").glob("fold_*.json"))
    assert facts
    project.write_params(params(epochs=3))
    output = project.repro()
    assert not rules_in(output) & {"train_stage"}
    assert project.model_digest == first_model

    # One image added, one edited, one deleted: ingestion and all after it, nothing else.
    added, edited, deleted = project.images[0], project.images[1], project.images[2]
    pixels = np.asarray(Image.open(added))
    Image.fromarray(np.fliplr(pixels)).save(added.with_name("added.png"))
    Image.fromarray(255 - np.asarray(Image.open(edited))).save(edited)
    deleted.unlink()
    project.add_data()
    ran = rules_in(project.repro())
    assert {"ingest_dataset", "preprocess_images", "split_dataset", "train_stage"} <= ran
    assert not ran & {"check_model", "generate_dataset"}
    summary = json.loads((project.root / "work/check/data/summary.json").read_text())
    assert summary["images"] == 16
    assert project.model_digest != first_model

    # A file that was only touched is read again, but nothing is trained again.
    edited.touch()
    project.snakemake("--until", "train_stage", "--", "check")
    log = next(iter((project.root / "work/check/logs").glob("train_stage_*")))
    logs = [p.read_text() for p in log.parent.glob("train_stage_*.log")]
    assert not any("epoch 1 of" in text for text in logs if "already trained" in text)
    assert any("already trained" in text for text in logs)

    # An experiment with another setting, beside the committed state.
    project.write_params(params(epochs=3))
    project.repro()
    project.commit("edited data")
    project.run("dvc", "exp", "run", "-q", "--name", "brief", "-S", "studies.check.train.epochs=2")
    rows = list(csv.DictReader(io.StringIO(project.run("dvc", "exp", "show", "--csv").stdout)))
    experiment = next(row for row in rows if row["Experiment"] == "brief")
    workspace = next(row for row in rows if row["Experiment"] == "")
    key = "studies.check.train.epochs"
    assert float(experiment[key]) == 2
    assert float(workspace[key]) == 2
    assert project.metrics["per_image.image.log_loss"] == pytest.approx(
        float(experiment["check.log_loss"]), abs=1e-5
    )

    # Results of other data: DVC leaves them where they are, and the workflow refuses.
    models, sidecar = project.model_digest, project.root / "reports/check/digest.json"
    told = json.loads(sidecar.read_text()) | {"data": "data/raw/other"}
    sidecar.write_text(json.dumps(told))
    project.write_params(params(epochs=1))
    refused = project.run("dvc", "repro", check=False)
    assert refused.returncode != 0
    assert "results of the data in data/raw/other" in refused.stdout
    assert project.model_digest == models
    assert json.loads(sidecar.read_text()) == told
