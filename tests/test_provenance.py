"""Which code a result depends on, found from its imports."""

import ast
import os
import subprocess
import time
from pathlib import Path

import pytest

from batteryscope import __version__
from batteryscope.answers.classes import CLASSES
from batteryscope.config.json_text import read_values
from batteryscope.errors import ConfigError
from batteryscope.provenance import (
    PROJECT_ROOT,
    _imported_files,
    digest_files,
    digest_json,
    find_git_commit,
    find_home,
    find_imported_files,
    name_code_version,
    write_code_list,
    write_settings,
)
from batteryscope.samples.sem import SEM
from batteryscope.seeds import derive_rng, derive_seed


def write(root: Path, **files: str) -> None:
    for name, text in files.items():
        path = root / (name.replace("__", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_imports_are_followed_through_packages_and_functions(tmp_path):
    package = tmp_path / "batteryscope"
    for folder in (package, package / "room"):
        folder.mkdir()
        (folder / "__init__.py").touch()
    write(
        tmp_path,
        batteryscope__a="from batteryscope.room.b import x\n",
        batteryscope__room__b="def f():\n    import batteryscope.c\nx = 1\n",
        batteryscope__c="import numpy\n",
        batteryscope__unused="",
    )
    script = tmp_path / "script.py"
    script.write_text("from batteryscope import a\n")
    found = {p.relative_to(tmp_path).as_posix() for p in find_imported_files(script, tmp_path)}
    assert found == {
        "script.py",
        "batteryscope/__init__.py",
        "batteryscope/a.py",
        "batteryscope/room/__init__.py",
        "batteryscope/room/b.py",
        "batteryscope/c.py",
    }


def test_imports_are_those_that_a_parser_finds():
    for path in [
        *PROJECT_ROOT.glob("batteryscope/**/*.py"),
        *PROJECT_ROOT.glob("workflow_s*/*.py"),
    ]:
        names = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                names.update({node.module, *(f"{node.module}.{a.name}" for a in node.names)})
        wanted = [PROJECT_ROOT / (name.replace(".", "/") + ".py") for name in names]
        own = {p for p in wanted if p.is_file() and p.is_relative_to(PROJECT_ROOT / "batteryscope")}
        found = _imported_files(path, PROJECT_ROOT)
        assert {p for p in found if p.name != "__init__.py"} == own, path


def names_for(script: str) -> set[str]:
    return names_of(f"workflow_scripts.{script}")


def names_of(module: str) -> set[str]:
    files = find_imported_files(PROJECT_ROOT.joinpath(*module.split(".")).with_suffix(".py"))
    return {p.relative_to(PROJECT_ROOT).as_posix() for p in files}


def test_training_does_not_depend_on_the_report_nor_ingest_on_training():
    training = names_for("train_stage") | names_of(SEM.modules.train)
    assert "batteryscope/training/fit.py" in training
    assert not any("report/" in name for name in training)
    assert not any("training/" in name for name in names_for("ingest_dataset"))
    assert any(name.endswith(".j2") for name in names_of(CLASSES.modules["tiles"].report))


def test_digests_see_names_and_contents(tmp_path):
    (tmp_path / "a").write_text("1")
    (tmp_path / "b").write_text("2")
    before = digest_files([tmp_path / "a", tmp_path / "b"], tmp_path)
    assert before == digest_files([tmp_path / "b", tmp_path / "a"], tmp_path)
    (tmp_path / "b").write_text("3")
    assert before != digest_files([tmp_path / "a", tmp_path / "b"], tmp_path)
    assert digest_json({"a": 1, "b": 2}) == digest_json({"b": 2, "a": 1})


@pytest.mark.parametrize("damage", [b"", b'{"folds": 3}', b"\xdf\x00"])
def test_damaged_settings_are_written_anew(tmp_path, damage):
    path = write_settings(tmp_path, "split", {"folds": 5})
    path.write_bytes(damage)
    if not damage.startswith(b"{"):
        with pytest.raises(ConfigError, match=r"no text in UTF-8|not valid JSON"):
            read_values(str(path))
    assert write_settings(tmp_path, "split", {"folds": 5}) == path
    assert read_values(str(path)) == {"folds": 5}


def test_no_git_is_no_commit(tmp_path):
    (tmp_path / "Snakefile").touch()
    assert find_git_commit(tmp_path) == ""
    assert find_home(tmp_path) == tmp_path


def test_an_installed_package_has_a_version_whatever_repository_it_lies_in(tmp_path):
    for words in ("init", "-c user.name=a -c user.email=a@b.c commit --allow-empty -m x"):
        subprocess.run(["git", "-C", tmp_path, *words.split()], check=True, capture_output=True)
    assert find_git_commit(tmp_path) == ""
    assert name_code_version(tmp_path) == f"batteryscope {__version__}"
    home = find_home(tmp_path)
    assert home == tmp_path / "batteryscope" / "_workflow"
    home.mkdir(parents=True)
    (home / "commit").write_text("abc+changes\n")
    assert name_code_version(tmp_path) == f"batteryscope {__version__} (abc+changes)"
    (tmp_path / "Snakefile").touch()
    assert len(find_git_commit(tmp_path)) == 40
    assert name_code_version(tmp_path) == find_git_commit(tmp_path)


def test_seeds_are_fixed_numbers():
    assert derive_seed(7, "cathode_state", "fold", 0) == 1450703622
    assert derive_seed("a", "bc") != derive_seed("ab", "c")
    assert derive_rng(1).integers(1000) == derive_rng(1).integers(1000)


def test_a_list_of_code_is_as_old_as_the_newest_module(tmp_path, monkeypatch):
    files = {name: tmp_path / f"{name}.py" for name in ("a", "b")}
    for name, age_s in (("a", 500), ("b", 900)):
        files[name].write_text(f"{name} = 1\n")
        date_ns = time.time_ns() - age_s * 10**9
        os.utime(files[name], ns=(date_ns, date_ns))

    def list_code() -> tuple[Path, int]:
        written = write_code_list(tmp_path / "lists", "program", files)
        return written, written.stat().st_mtime_ns

    first = list_code()
    assert first[1] == files["a"].stat().st_mtime_ns
    assert list_code() == first
    first[0].unlink()
    assert list_code() == first
    files["b"].write_text("b = 2\n")
    edited = list_code()
    assert edited[0] != first[0]
    assert edited[1] == files["b"].stat().st_mtime_ns
    files["b"].write_text("b = 1\n")
    assert list_code() == (first[0], files["b"].stat().st_mtime_ns)
    future_ns = time.time_ns() + 10**12
    dated = list_code()
    os.utime(files["b"], ns=(future_ns, future_ns))
    assert list_code() == dated  # and not newer in every run
    os.utime(files["b"], ns=(first[1], first[1]))

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "utime", refuse)  # the list is another user's
    assert list_code() == dated
