"""Files dated later than the clock: ours get its date, those of users a sentence."""

import os
from pathlib import Path

import pytest

from batteryscope.errors import InputError
from batteryscope.workflow import file_dates
from batteryscope.workflow.file_dates import bring_to_present, describe_change

NOW_S = 1_000_000_000.0


def write_file(name: str, time_s: float) -> Path:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("text")
    os.utime(path, (time_s, time_s))
    return path


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_own_files_get_the_present_date_and_their_order_stays():
    old = write_file("work/a/old.csv", NOW_S - 60)
    new = write_file("work/a/new.csv", NOW_S + 60)
    later = write_file("work/a/later.csv", NOW_S + 3600)
    code = write_file("batteryscope/module.py", NOW_S + 86400)
    made = write_file("work/a/maps/.snakemake_timestamp", NOW_S + 60)
    inputs = [*map(str, (old, new, later, code)), "work/a/maps", "work/a/not there yet"]
    changed = bring_to_present(inputs, NOW_S)
    assert sorted(changed) == [str(code), str(later), "work/a/maps", str(new)]
    assert [p.stat().st_mtime for p in (old, new, later, code, made)] == [NOW_S - 60, *[NOW_S] * 4]
    assert bring_to_present(inputs, NOW_S) == []
    assert describe_change(changed).startswith("batteryscope/module.py and 3 more: dated later")


def test_finished_work_does_not_become_newer_than_what_a_run_renews():
    read = write_file("work/tiles.npy", NOW_S + 86400)
    before = write_file("work/manifest.parquet", NOW_S + 80000)
    mine = write_file("data/raw/a.png", NOW_S + 90000)
    changed = bring_to_present([str(read)], NOW_S, kept=[str(before), str(mine)])
    assert changed == ["work/manifest.parquet", "work/tiles.npy"]
    assert before.stat().st_mtime == read.stat().st_mtime == NOW_S
    assert mine.stat().st_mtime == NOW_S + 90000


def test_files_of_users_are_not_changed_but_named_with_what_to_type():
    mine = write_file("data/raw/my lines.csv", NOW_S + 86400)
    with pytest.raises(
        InputError, match=r"set the clock right, or type: touch 'data/raw/my lines"
    ) as error:
        bring_to_present([str(mine)], NOW_S)
    assert str(error.value).startswith("data/raw/my lines.csv: dated 2001-09-1")
    assert mine.stat().st_mtime == NOW_S + 86400


def test_own_files_that_cannot_be_changed_are_named(monkeypatch):
    def refuse(*_):
        raise PermissionError

    write_file("work/a.csv", NOW_S + 60)
    monkeypatch.setattr(file_dates.os, "utime", refuse)
    with pytest.raises(InputError, match=r"work/a\.csv: dated"):
        bring_to_present(["work/a.csv"], NOW_S)
