"""One run at a time; the lock of a killed run is released, that of a live one names its process."""

import errno
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from batteryscope.errors import DiskFullError
from batteryscope.workflow.run_claim import (
    FolderBusyError,
    FolderUnwritableError,
    RunOwner,
    claim_folder,
    describe_release,
    read_owner,
)

HOLD = """
import sys, time
from pathlib import Path
from batteryscope.workflow.run_claim import claim_folder
claim = claim_folder(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the claim."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def set_snakemake_locks(state):
    (state / "locks").mkdir(parents=True, exist_ok=True)
    for kind in ("input", "output"):
        (state / "locks" / f"0.{kind}.lock").write_text("work/a\n")


def test_live_run_is_named_and_keeps_its_lock(tmp_path, holder):
    set_snakemake_locks(tmp_path)
    with pytest.raises(FolderBusyError, match=f"process {holder.pid} on .*kill {holder.pid}"):
        claim_folder(tmp_path)
    assert len(list((tmp_path / "locks").iterdir())) == 2


def test_lock_of_a_killed_run_is_released_and_told(tmp_path, holder):
    set_snakemake_locks(tmp_path)
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    claim = claim_folder(tmp_path)
    assert claim.released.process == holder.pid
    assert f"process {holder.pid}" in describe_release(claim.released)
    assert not list((tmp_path / "locks").iterdir())


def test_nothing_to_release_is_not_told(tmp_path):
    claim = claim_folder(tmp_path / "new")
    assert claim.released is None
    claim.stream.close()
    assert claim_folder(tmp_path / "new").released is None


def test_lock_without_a_claim_is_released(tmp_path):
    set_snakemake_locks(tmp_path)
    assert "an earlier one" in describe_release(claim_folder(tmp_path).released)


def test_lock_of_another_machine_stays(tmp_path, monkeypatch):
    claim_folder(tmp_path).stream.close()
    set_snakemake_locks(tmp_path)
    monkeypatch.setattr(socket, "gethostname", lambda: "elsewhere")
    with pytest.raises(FolderBusyError, match="snakemake --unlock"):
        claim_folder(tmp_path)
    assert len(list((tmp_path / "locks").iterdir())) == 2


def test_programs_do_not_inherit_the_claim(tmp_path):
    claim = claim_folder(tmp_path)
    assert not os.get_inheritable(claim.stream.fileno())


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.EROFS, (FolderUnwritableError, "state: cannot be written .Read-only file system.")),
        (errno.EACCES, (FolderUnwritableError, "run a copy of the project in a folder of your")),
        (errno.ENOSPC, (DiskFullError, "No space is left on the disk that holds")),
    ],
)
def test_folder_that_cannot_be_written_is_told_in_a_sentence(
    tmp_path, monkeypatch, number, expected
):
    def refuse(path, *_, **__):
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(expected[0], match=expected[1]):
        claim_folder(tmp_path / "state")


def test_file_in_the_place_of_the_folder_is_told_in_a_sentence(tmp_path):
    (tmp_path / "state").touch()
    with pytest.raises(FolderUnwritableError, match="state: cannot be written"):
        claim_folder(tmp_path / "state")


@pytest.mark.parametrize("on_cluster", [False, True])
def test_jobs_that_a_killed_run_left_on_a_cluster_keep_its_lock(tmp_path, on_cluster):
    claim_folder(tmp_path, on_cluster=True).stream.close()
    set_snakemake_locks(tmp_path)
    with pytest.raises(FolderBusyError, match=r"its jobs may still be at work .*--unlock"):
        claim_folder(tmp_path, on_cluster)
    assert len(list((tmp_path / "locks").iterdir())) == 2
    claim_folder(tmp_path, releases_all=True).stream.close()
    assert not list((tmp_path / "locks").iterdir())
    assert claim_folder(tmp_path, on_cluster).released is None


def test_claims_of_earlier_versions_are_read(tmp_path):
    (tmp_path / "run.lock").write_text('{"process": 7, "machine": "m", "since": "today"}')
    assert read_owner(tmp_path / "run.lock") == RunOwner(7, "m", "today", on_cluster=False)
