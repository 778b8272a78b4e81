"""No text from files, names or settings reaches a shell unquoted."""

import re
import shlex
from pathlib import Path

import pytest
from snakemake.utils import format as fill

from batteryscope.errors import InputError
from batteryscope.readers.folder import find_data_version, find_table_version
from tests.conftest import ROOT

SHELL = re.compile(r"^ +shell:\n((?: +[\"'].*\n)+)", re.MULTILINE)
PLACE = re.compile(r"\{[^{}]*\}")
NASTY = ("$(touch hit)", "`touch hit`", "a'; touch hit; '", 'a"b', "a b\nc", "*", "~", "--x")


def list_commands() -> list[tuple[str, str]]:
    """The shell commands of all rules, with the file of each."""
    commands = []
    for path in sorted([ROOT / "Snakefile", *(ROOT / "rules").glob("*.smk")]):
        text = path.read_text(encoding="utf-8")
        found = SHELL.findall(text)
        assert len(found) == len(re.findall(r"^ +shell:", text, re.MULTILINE)), path
        commands += [(path.name, "".join(eval(line) for line in f.splitlines())) for f in found]
    return commands


def test_every_place_in_a_shell_command_is_quoted():
    commands = list_commands()
    assert len(commands) > 20
    for name, command in commands:
        open_places = [p for p in PLACE.findall(command) if not p.endswith(":q}")]
        assert set(open_places) <= {"{threads}"}, f"{name}: {open_places} in {command}"
        rest = PLACE.sub("", command)
        # One program without quotes or tricks of the shell: it takes the place of the shell.
        assert command.startswith("exec python {input.program:q} "), name
        assert re.fullmatch(r"[\w./ =-]*", rest), f"{name}: {rest}"


@pytest.mark.parametrize("text", NASTY)
def test_quoted_texts_arrive_as_they_are(text):
    assert shlex.split(fill("x {text:q} {several:q}", text=text, several=[text, "b"])) == [
        "x",
        text,
        text,
        "b",
    ]


def test_rules_run_nothing_but_these_commands():
    for path in (ROOT / "rules").glob("*.smk"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"^ +(run|script|notebook|wrapper):", text, re.MULTILINE), path
        assert not re.search(r"\bshell\((?!\))", text), path
    for path in (*ROOT.glob("batteryscope/**/*.py"), *ROOT.glob("workflow_scripts/*.py")):
        assert not re.search(r"shell=True|os\.system", path.read_text(encoding="utf-8")), path


def test_no_link_between_jobs_hides_what_lies_behind_it():
    for path in (ROOT / "rules").glob("*.smk"):
        assert "ancient(" not in path.read_text(encoding="utf-8"), path


@pytest.mark.parametrize(
    "version", ["x'; touch hit; '", "$(touch hit)", "0123 4567", "[1, 2]", "ABCDEFGH"]
)
def test_data_version_that_is_no_number_is_refused(tmp_path, version):
    (tmp_path / "set.dvc").write_text(f'outs:\n- md5: "{version}"\n  path: set\n')
    with pytest.raises(InputError, match=r"set\.dvc: md5 holds .*hexadecimal.*dvc add"):
        find_data_version(str(tmp_path / "set"))
    with pytest.raises(InputError, match="hexadecimal"):
        find_table_version([str(tmp_path / "set" / "rows.csv")])


@pytest.mark.parametrize("text", ["outs: 3\n", "- a\n", "outs: [x]\n", "\x00", "outs:\n- [md5]\n"])
def test_file_that_is_none_of_dvc_is_named(tmp_path, text):
    (tmp_path / "set.dvc").write_text(text)
    with pytest.raises(InputError, match=r"set\.dvc: not a file of DVC"):
        find_data_version(str(tmp_path / "set"))


def test_versions_that_dvc_writes_are_taken(tmp_path):
    for version in ("", "d41d8cd98f00b204e9800998ecf8427e", "d41d8cd98f00b204e9800998ecf8427e.dir"):
        Path(tmp_path / "set.dvc").write_text(f"outs:\n- md5: {version}\n  path: set\n")
        assert find_data_version(str(tmp_path / "set")) == version
