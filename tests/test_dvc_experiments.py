"""A sweep from outside: ``dvc exp`` queues one experiment per value of a swept key."""

import csv
import io

import pytest
import yaml

from tests.conftest import ROOT
from tests.small_params import small_params, small_study
from tests.test_dvc import Project

pytestmark = pytest.mark.workflow
KEY = "studies.check.demo.preprocess.crop_px"
CROPS = (48, 56)


def make_study() -> dict:
    """The smallest study that goes through to a published report."""
    return small_study(
        dataset={"generator": {"kind": "trivial", "classes": 2, "images_per_class": 6}},
        preprocess={"tiles_per_image": 5, "grid_tiles": 1},
        train={"epochs": 1},
        explain={"tiles_per_class": 1, "misclassified_tiles": 0},
        evaluate={"baselines": ["majority"], "shortcut_audit": False},
        demo={"preprocess": {"crop_px": 64}},
    )


@pytest.fixture
def project(tmp_path) -> Project:
    root = tmp_path / "project"
    root.mkdir()
    project = Project(root, small_params(check=make_study()) | {"tracking": {"enabled": False}})
    pipeline = yaml.safe_load((ROOT / "dvc.yaml").read_text())
    pipeline = {"stages": pipeline["stages"]}
    pipeline["stages"]["study"]["foreach"] = ["check"]
    (root / "dvc.yaml").write_text(yaml.safe_dump(pipeline, sort_keys=False))
    for folder in ("data/raw", "models", "reports"):
        (root / folder / ".gitkeep").touch()
    project.put_under_versions()
    project.commit("start")
    return project


def list_queue(project: Project) -> dict[str, str]:
    """The status of every queued experiment, by its short number."""
    lines = project.run("dvc", "queue", "status").stdout.split("\n\n")[0].splitlines()[1:]
    return {line.split()[0]: line.split()[-1] for line in lines}


def test_one_experiment_per_value(project):
    values = ",".join(map(str, CROPS))
    project.run("dvc", "exp", "run", "--queue", "-S", f"{KEY}={values}", "study@check")
    tasks = list_queue(project)
    assert list(tasks.values()) == ["Queued"] * len(CROPS)
    last, *others = tasks
    project.run("dvc", "queue", "remove", *others)  # one that runs tells enough
    # As its output is read, this comes back when the queue is empty.
    project.run("dvc", "queue", "start")
    assert list_queue(project) == {last: "Success"}

    table = project.run("dvc", "exp", "show", "--csv").stdout
    rows = [row for row in csv.DictReader(io.StringIO(table)) if row["Experiment"]]
    [experiment] = [row for row in rows if row["typ"] == "branch_base"]
    assert int(experiment[KEY]) in CROPS
    assert 0 <= float(experiment["check.accuracy"]) <= 1
    # It ran in a place of its own: here nothing was changed or made.
    assert project.params["studies"]["check"]["demo"]["preprocess"]["crop_px"] == 64
    assert project.run("git", "status", "--porcelain").stdout == ""
    assert not (project.root / "work").exists()
