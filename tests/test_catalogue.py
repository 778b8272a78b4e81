"""The workflow as the Snakemake Workflow Catalog and snakedeploy use it: fetched file by file."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT
from tests.installed_package import SOMEBODY
from tests.small_params import small_params, small_study

DEPLOYED = """\
configfile: "config/config.yaml"


module batteryscope:
    snakefile:
        {snakefile}
    config:
        config


use rule * from batteryscope
"""  # what snakedeploy writes
ADAPTED = """

use rule ingest_dataset from batteryscope with:
    message: "a reading of our own"


use rule ingest_dataset from batteryscope as other_reading with:
    output:
        manifest="{{study}}/{{source}}/manifest",
        rejects="{{study}}/{{source}}/rejects",
        frames="{{study}}/{{source}}/frames",
        summary="{{study}}/{{source}}/summary",


rule broken:
    output: "work/mine/broken"
    log: "work/mine/logs/broken.log"
    shell: "echo '12:00:00 ERROR it broke' > {{log}}; false"
"""


def test_the_catalogue_finds_what_standardised_usage_asks_for():
    said = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text(encoding="utf-8"))
    assert set(said["usage"]) == {"mandatory-flags", "software-stack-deployment", "report"}
    assert not any(said["usage"]["software-stack-deployment"].values())
    readme = (ROOT / "README.md").read_text(encoding="utf-8").lower()
    assert "snakemake" in readme
    assert "workflow" in readme
    assert list(ROOT.glob("LICENSE"))
    told = (ROOT / "config/README.md").read_text(encoding="utf-8")
    known = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    keys = yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8"))
    assert set(keys) <= set(known)
    assert set(re.findall(r"^\| `(\w+)", told, re.MULTILINE)) <= {*known, "sweeps", "replace"}


@pytest.fixture
def deployed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project that snakedeploy made, and in Snakemake's cache the repository with two tags."""
    cache = "cache/snakemake/snakemake/source-cache/snakemake-git-cache/github.com/any/one"
    repository = tmp_path / cache
    for name in ("rules", "workflow"):
        shutil.copytree(ROOT / name, repository / name)
    for name in ("Snakefile", "environment.yml"):
        shutil.copy(ROOT / name, repository)

    program = shutil.which("git")
    assert program, "git is needed"

    def git(*words: str) -> None:
        command = [program, "-C", str(repository), *words]
        subprocess.run(command, check=True, env=SOMEBODY | {"PATH": os.environ["PATH"]})

    def keep(tag: str) -> None:
        git("add", "--all")
        git("commit", "--quiet", "--message", tag)
        git("tag", tag)

    git("init", "--quiet")
    keep("same")
    (repository / "rules/run.smk").write_text("# of another version\n", encoding="utf-8")
    keep("other")
    project = tmp_path / "project"
    (project / "config").mkdir(parents=True)
    settings = small_params(mine=small_study())
    (project / "config/config.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return project


def run(project: Path, snakefile: str, *words: str, more: str = "") -> subprocess.CompletedProcess:
    text = (DEPLOYED + more).format(snakefile=snakefile)
    (project / "Snakefile").write_text(text, encoding="utf-8")
    command = ["snakemake", "--cores", "2", "--printshellcmds", *words]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)


@pytest.mark.workflow
def test_a_module_runs_the_programs_of_the_package(deployed):
    fetched = 'github("any/one", path="workflow/Snakefile", tag="same")'
    pictures = "work/mine/data/images"
    done = run(deployed, fetched, pictures)
    assert done.returncode == 0, done.stderr
    assert f"python {ROOT}/workflow_scripts/generate_dataset.py" in done.stdout + done.stderr
    # The blocks onstart and onsuccess of the workflow are those of the run.
    assert list(json.loads((deployed / "work/digests.json").read_text())) == [pictures]


@pytest.mark.workflow
def test_rules_of_another_version_are_refused(deployed):
    done = run(deployed, 'github("any/one", path="workflow/Snakefile", tag="other")', "-n")
    assert done.returncode == 1
    assert "rules/run.smk: found another version of Batteryscope than that of the" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.workflow
def test_a_mistake_names_the_file_of_the_module(deployed):
    config = deployed / "config/config.yaml"
    config.write_text("studies: {mine: {based_on: cell_health}}", encoding="utf-8")
    done = run(deployed, f'"{ROOT}/workflow/Snakefile"', "-n")
    assert done.returncode == 1
    assert "ERROR: config/config.yaml: studies.mine" in done.stderr


@pytest.mark.workflow
def test_rules_of_a_module_can_be_adapted(deployed):
    done = run(deployed, f'"{ROOT}/workflow/Snakefile"', "-n", more=ADAPTED)
    assert done.returncode == 0, done.stderr
    said = done.stdout + done.stderr
    assert "a reading of our own" in said
    assert "mine: train" in said  # the default target is the module's
    assert said.count("Expected: ") == 1


@pytest.mark.workflow
def test_a_run_of_an_adapted_module_says_once_what_went_wrong(deployed):
    done = run(deployed, f'"{ROOT}/workflow/Snakefile"', "work/mine/broken", more=ADAPTED)
    assert done.returncode == 1
    assert done.stderr.count("What went wrong:\nit broke\n") == 1
    assert done.stderr.count("What went wrong:") == 1
