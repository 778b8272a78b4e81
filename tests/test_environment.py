"""The three descriptions of the environment agree, and the layers keep to their imports."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def declared() -> list[str]:
    everything = PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"]
    return [re.match(r"[A-Za-z0-9_.-]+", d)[0].lower().replace("_", "-") for d in everything]


@pytest.mark.parametrize("name", declared())
def test_every_dependency_is_locked_with_hashes(name):
    entry = re.search(rf"^{re.escape(name)}==.*?(?=^\S|\Z)", LOCK, re.MULTILINE | re.DOTALL)
    assert entry, f"{name} is missing in requirements.lock: run `make lock`"
    assert "--hash=sha256:" in entry[0]


def test_lock_holds_no_address():
    assert not re.search(r"https?://|file:|--index|--find-links", LOCK)


def test_conda_environment_installs_the_same_lock_and_python():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    pip = next(d["pip"] for d in environment["dependencies"] if isinstance(d, dict))
    assert "--requirement requirements.lock" in pip
    assert "--editable ." in pip
    python = next(d for d in environment["dependencies"] if str(d).startswith("python "))
    assert PROJECT["requires-python"] in python.replace(" ", "")
    assert environment["name"] == PROJECT["name"]


def imports_of(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


def test_library_imports_no_workflow_engine_and_mlflow_only_in_tracking():
    for path in (ROOT / "batteryscope").rglob("*.py"):
        found = imports_of(path)
        assert not found & {"snakemake", "dvc"}, path
        assert "mlflow" not in found or path.parent.name == "tracking", path


def test_scripts_are_thin_and_use_no_snakemake_object():
    for path in (ROOT / "workflow_scripts").glob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 95, path
        assert "snakemake" not in imports_of(path), path


@pytest.mark.parametrize("script", sorted(p.name for p in (ROOT / "workflow_scripts").glob("*.py")))
def test_every_program_has_help_without_heavy_imports(script):
    path = str(ROOT / "workflow_scripts" / script)
    code = (
        "import runpy, sys; sys.argv = ['x', '--help']\n"
        f"try: runpy.run_path({path!r}, run_name='__main__')\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'mlflow', 'sklearn', 'lightning'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "usage:" in done.stdout


def test_every_rule_has_its_script_and_its_trimmings():
    for path in (ROOT / "rules").glob("*.smk"):
        for block in re.split(r"^rule ", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
            name = block.split(":")[0]
            scripts = set(re.findall(r'(?:program_of|code_of)\("(\w+)"', block))
            assert len(scripts) == 1, name
            # A point of a sweep is made by the program that makes the study's own piece.
            assert name in scripts or name.endswith("_point"), name
            assert (ROOT / "workflow_scripts" / f"{scripts.pop()}.py").is_file(), name
            for part in ("output:", "log:", "benchmark:", "resources:", "message:", "mem_mb="):
                assert part in block, f"{name}: {part}"


def test_rules_and_programs_stay_few():
    files = [*(ROOT / "rules").glob("*.smk"), ROOT / "Snakefile", ROOT / "workflow" / "Snakefile"]
    assert sum(len(file.read_text(encoding="utf-8").splitlines()) for file in files) < 1600
    assert len(list((ROOT / "workflow_scripts").glob("*.py"))) <= 32


def test_no_make_target_has_two_recipes():
    targets = re.findall(r"^([a-z-]+):(?!=)", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert "test-docs" in targets
    assert sorted(targets) == sorted(set(targets))
