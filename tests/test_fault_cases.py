"""The bench of `make test-faults`: control groups of both versions, and what ends no other case."""

import subprocess
import sys
from pathlib import Path
from unittest import SkipTest

import pytest

from tests import memory_group
from tests.fault_bench import Bench
from tests.memory_group import make_group
from tests.run_fault_cases import run_cases

COUNTED = {
    1: ("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"),
    2: ("memory.events", "low 0\nhigh 0\nmax 51\noom 3\noom_kill 2\noom_group_kill 0\n"),
}
LIMITED = {
    1: {"memory.limit_in_bytes": "629145600", "memory.memsw.limit_in_bytes": "629145600"},
    2: {"memory.max": "629145600", "memory.swap.max": "0"},
}


@pytest.mark.parametrize("version", [1, 2])
def test_files_of_a_control_group(version, tmp_path, monkeypatch):
    """A folder stands for the kernel's, whose groups have their files from the start."""
    (tmp_path / "cgroup.subtree_control").write_text("cpu pids\n")

    def make_folder(prefix, dir):
        folder = Path(dir, f"{prefix}1")
        folder.mkdir()
        for name in (*LIMITED[version], "cgroup.procs"):
            (folder / name).touch()
        return str(folder)

    monkeypatch.setattr(memory_group.tempfile, "mkdtemp", make_folder)
    with make_group(600, [(version, tmp_path)]) as group:
        assert {name: (group.folder / name).read_text() for name in LIMITED[version]} == (
            LIMITED[version]
        )
        switched = (tmp_path / "cgroup.subtree_control").read_text()
        assert switched == ("+memory" if version == 2 else "cpu pids\n")
        command = group.put_in([sys.executable, "-c", "pass"])
        assert f'echo $$ > "{group.folder}/cgroup.procs"' in command[2]
        assert command[4:] == [sys.executable, "-c", "pass"]
        name, counted = COUNTED[version]
        (group.folder / name).write_text(counted)
        assert group.count_kills() == 2
        monkeypatch.setattr(Path, "rmdir", lambda folder: None)  # files of a real one are no hurdle
    assert (tmp_path / "cgroup.subtree_control").read_text() == (
        "-memory" if version == 2 else "cpu pids\n"
    )


def test_no_control_groups_for_memory_is_a_reason_to_skip(tmp_path):
    with pytest.raises(SkipTest, match="no control groups of version 1 or 2"), make_group(1, []):
        pass
    missing = tmp_path / "missing"
    with pytest.raises(SkipTest, match="cannot be changed"), make_group(1, [(2, missing)]):
        pass


def test_a_program_is_killed_in_a_real_group_where_the_machine_has_them():
    hungry = "import mmap; mmap.mmap(-1, 200 * 2**20).write(b'1' * (200 * 2**20))"
    try:
        with make_group(50) as group:
            command = group.put_in([sys.executable, "-c", hungry])
            status = subprocess.run(command, check=False).returncode
            assert group.count_kills() == 1
    except SkipTest as why:
        pytest.skip(str(why))
    assert status == -9
    assert not group.folder.exists()


def test_whatever_a_case_raises_the_next_one_begins(tmp_path, capsys):
    def lack(bench):
        raise SkipTest("no control groups")

    def stumble(bench):
        return bench.nothing

    def pass_by(bench):
        return f"passed in {bench.root}"

    cases = {"lacks": lack, "stumbles": stumble, "passes": pass_by}
    assert run_cases(cases, Bench(tmp_path, 7, 1)) == ["stumbles"]
    said = capsys.readouterr()
    assert said.out.splitlines()[4:] == [
        "| lacks | skipped: no control groups | 0 |",
        "| stumbles | **FAILED**: AttributeError: 'Bench' object has no attribute 'nothing' | 0 |",
        "| passes | passed in … | 0 |",
        "",
        "1 of 3 cases failed, 1 skipped.",
        "skipped: lacks",
    ]
    assert "return bench.nothing" in said.err
