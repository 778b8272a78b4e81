"""What all programs share: one sentence for a full disk and for defects, and their help."""

import argparse
import errno
import importlib
import os
import shutil
from pathlib import Path

import pytest

from batteryscope.config.json_text import read_settings
from batteryscope.config.physics import HalfCellSettings
from batteryscope.core import disk_space
from batteryscope.core.disk_space import check_free_space, check_writable
from batteryscope.errors import ConfigError, DiskFullError, InputError
from batteryscope.workflow.command_line import make_parser, run_program
from tests.conftest import ROOT

FULL = Path("/dev/full")
SCRIPTS = sorted((ROOT / "workflow_scripts").glob("*.py"))


def raise_error(error):
    raise error


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full here")
@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device", "work/tiles.npy"),
        RuntimeError("I/O error: No space left on device (os error 28)"),
    ],
)
def test_full_disk_is_one_sentence_even_where_the_log_lies_on_it(error, capsys):
    status = run_program(lambda _: raise_error(error), make_parser(""), ["--log", str(FULL)])
    text = capsys.readouterr().err
    assert status == 1
    assert text.count("No space is left on the disk") == 1
    assert "Traceback" not in text


def test_unexpected_error_leaves_its_details_in_the_log(tmp_path, capsys):
    path = tmp_path / "job.log"
    run_program(lambda _: raise_error(ValueError("odd")), make_parser(""), ["--log", str(path)])
    lines = path.read_text(encoding="utf-8").splitlines()
    assert "Traceback (most recent call last):" in lines
    assert "ERROR Unexpected ValueError: odd." in lines[-1]
    text = capsys.readouterr().err
    assert "Unexpected ValueError: odd" in text
    assert "Traceback" not in text


@pytest.fixture
def full_disk(monkeypatch):
    """Every disk has 1000 bytes left."""
    usage = shutil.disk_usage(Path())._replace(free=1000)
    monkeypatch.setattr(disk_space.shutil, "disk_usage", lambda _: usage)


def test_strange_error_on_a_full_disk_is_about_the_disk(full_disk, tmp_path, capsys):
    parser = make_parser("")
    parser.add_argument("--out", type=Path)
    error = RuntimeError("PytorchStreamWriter failed writing file")
    out = tmp_path / "missing" / "model.pt"
    assert run_program(lambda _: raise_error(error), parser, ["--out", str(out)]) == 1
    text = capsys.readouterr().err
    assert text.startswith(f"ERROR: No space is left on the disk that holds {tmp_path};")
    assert text.count("\n") == 1


def test_of_a_copy_between_two_disks_the_full_one_is_named(tmp_path, monkeypatch):
    source, target = tmp_path / "temporary", tmp_path / "work"
    source.mkdir()
    target.mkdir()
    usage = shutil.disk_usage(Path())
    free = {source: 10**9, target: 0}
    monkeypatch.setattr(disk_space.shutil, "disk_usage", lambda at: usage._replace(free=free[at]))
    error = OSError(errno.ENOSPC, "No space left", f"{source}/a", None, f"{target}/a")
    assert f"holds {target};" in str(disk_space.find_full_disk(error, [source]))


def test_full_disk_is_noticed_before_work_starts(full_disk, tmp_path):
    with pytest.raises(DiskFullError, match="free some space"):
        check_free_space(tmp_path / "work")


def test_folder_for_results_that_cannot_be_written_is_noticed_before_work_starts(
    tmp_path, monkeypatch
):
    check_writable(tmp_path / "work")
    monkeypatch.setattr(disk_space.os, "access", lambda place, _: place != tmp_path)
    with pytest.raises(InputError, match=r"cannot be written, but results go to .*/work; change"):
        check_writable(tmp_path / "work")


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_missing_permission_is_one_sentence(number, capsys):
    error = OSError(number, os.strerror(number), "work/x.csv")
    assert run_program(lambda _: raise_error(error), make_parser(""), []) == 1
    said = capsys.readouterr().err
    assert said == f"ERROR: work/x.csv: {os.strerror(number)}; check its permissions.\n"


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_help_explains_the_program_and_each_option(script, monkeypatch):
    parsers: list[argparse.ArgumentParser] = []

    def stop(parser, argv=None):
        parsers.append(parser)
        raise SystemExit(0)

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", stop)
    with pytest.raises(SystemExit):
        importlib.import_module(f"workflow_scripts.{script.stem}").main([])
    parser = parsers[0]
    assert parser.description
    unexplained = [a.option_strings for a in parser._actions if not a.help]
    assert not unexplained


def test_settings_that_are_not_there_are_one_sentence(tmp_path):
    with pytest.raises(ConfigError, match=r"--settings: found 'nowhere.json'; expected JSON, or a"):
        read_settings(HalfCellSettings, "nowhere.json")
    (tmp_path / "odd.json").write_text("{")
    with pytest.raises(ConfigError, match="not valid JSON"):
        read_settings(HalfCellSettings, str(tmp_path / "odd.json"))
    assert read_settings(HalfCellSettings, '{"grid_points": 5}').grid_points == 5
