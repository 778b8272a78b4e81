"""The way of a newcomer: install the package, make a project outside of any clone, use it."""

import subprocess
from pathlib import Path

import pytest
import yaml

from hatch_build import HOME, WorkflowHook
from tests.conftest import ROOT
from tests.installed_package import InstalledPackage
from tests.small_params import small_params, small_study


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    return InstalledPackage(tmp_path_factory.mktemp("installed"))


@pytest.fixture
def project(package, tmp_path):
    package.run(tmp_path, "new", "mine")
    return tmp_path / "mine"


def test_package_carries_the_workflow(package):
    for folder, pattern in (("rules", "*"), ("workflow_scripts", "*.py"), ("configs", "*.yaml")):
        ours = {path.name for path in (ROOT / folder).glob(pattern) if path.is_file()}
        assert {path.name for path in (package.home / folder).iterdir()} == ours
    for name in ("Snakefile", "params.yaml", "dvc.yaml", "docs/params.schema.json"):
        assert (package.home / name).read_bytes() == (ROOT / name).read_bytes()
    templates = {p.relative_to(ROOT) for p in (ROOT / "batteryscope").rglob("*.j2")}
    assert all((package.packages / name).is_file() for name in templates)
    assert not list(package.home.rglob("*.pyc"))
    commands = next(package.packages.glob("*.dist-info")) / "entry_points.txt"
    assert "batteryscope = batteryscope.command.main:main" in commands.read_text()


def test_package_holds_files_of_the_project_alone_and_names_its_commit(tmp_path):
    def git(*words):
        who = ("-c", "user.name=a", "-c", "user.email=a@b.c")
        done = subprocess.run(
            ["git", "-C", tmp_path, *who, *words], check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "ours.yaml").touch()
    files = {"files": {"configs": "configs", "params.yaml": "params.yaml"}}
    arguments = (str(tmp_path), files, None, None, "", "wheel")

    def include():
        data = {"force_include": {}}
        hook = WorkflowHook(*arguments)
        hook.initialize("standard", data)
        files = {Path(t).relative_to(HOME).as_posix(): s for s, t in data["force_include"].items()}
        return Path(files["commit"]).read_text() if "commit" in files else "", set(files)

    assert include() == ("", {"configs", "params.yaml"})
    git("init", "-q")
    git("add", "configs")
    git("commit", "-q", "-m", "x")
    (tmp_path / "configs" / "of_the_user.yaml").touch()
    commit, names = include()
    assert names == {"configs/ours.yaml", "params.yaml", "commit"}
    assert commit == git("rev-parse", "HEAD") + "\n"


@pytest.mark.workflow
def test_project_outside_of_a_clone_runs_the_installed_programs(package, project):
    params = small_params(check=small_study())
    (project / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    said = package.run(project, "run", "-n", "--printshellcmds").stdout
    assert said.startswith("$ snakemake --dry-run --printshellcmds\n")
    assert f"python {package.home}/workflow_scripts/train_stage.py --by batteryscope." in said
    assert not any(str(ROOT / name) in said for name in ("workflow_scripts", "batteryscope"))
    assert "Expected: 16 jobs; no earlier run tells how long they take." in said


@pytest.mark.workflow
def test_workflow_is_a_module_of_another_one(package, project):
    params = small_params(check=small_study())
    (project / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    (project / "Snakefile").write_text(
        "rule own:\n"
        "    input: 'work/check/published.json'\n"
        "    output: 'summary.txt'\n"
        "    shell: 'for word in a b; do echo $word; done > {output}'\n\n"
        "module batteryscope:\n"
        f"    snakefile: '{package.home}/Snakefile'\n"
        "    config: {'curve': False}\n\n"
        "use rule * from batteryscope as battery_*\n"
    )
    said = package.run(project, "run", "own", "--dry-run", "--printshellcmds").stdout
    assert f"python {package.home}/workflow_scripts/train_stage.py --by batteryscope." in said
    assert "Shell command: for word in a b; do" in said
    assert "battery_train_stage" in said
