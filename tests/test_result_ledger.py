"""Damaged results are removed before a job uses them, sound ones stay."""

import json
import os
from pathlib import Path

import pytest

from batteryscope.workflow.result_ledger import (
    describe_removal,
    forget_results,
    note_results,
    remove_damaged,
)

OUTPUTS = ("data/manifest.parquet", "tiles", "comparison")


@pytest.fixture
def ledger(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in (
        "data/manifest.parquet",
        "tiles/tiles.npy",
        "tiles/deep/x",
        "tiles/.table.csv",
        "comparison/m.json",
    ):
        path = Path("work") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(1000) + name.encode())
    path = Path("work/digests.json")
    note_results([f"work/{name}" for name in OUTPUTS], path)
    return path


def change_later(path: Path, content: bytes) -> None:
    """Write at another time than before, however coarse the clock of the file system is."""
    path.write_bytes(content)
    os.utime(path, ns=(1, path.stat().st_mtime_ns + 10**9))


def test_sound_results_stay(ledger) -> None:
    (Path("work/tiles") / ".snakemake_timestamp").touch()
    assert remove_damaged(ledger) == []
    path = Path("work/data/manifest.parquet")
    change_later(path, path.read_bytes())  # only touched
    assert remove_damaged(ledger) == []
    assert all(Path("work", name).exists() for name in OUTPUTS)


@pytest.mark.parametrize(
    ("name", "content", "removed"),
    [
        ("data/manifest.parquet", b"garbage", "data/manifest.parquet"),
        ("tiles/tiles.npy", bytes(1000 + len("tiles/tiles.npy")), "tiles"),  # as long as before
        ("tiles/deep/x", b"", "tiles"),
        ("tiles/.table.csv", b"garbage", "tiles"),  # true numbers of generated pictures
        ("comparison/m.json", None, "comparison"),
    ],
)
def test_damaged_results_are_removed_and_told(ledger, name, content, removed) -> None:
    if content is None:
        Path("work", name).unlink()
    else:
        change_later(Path("work", name), content)
    assert remove_damaged(ledger) == [f"work/{removed}"]
    assert [n for n in OUTPUTS if not Path("work", n).exists()] == [removed]
    assert describe_removal(f"work/{removed}").startswith(f"work/{removed}: damaged or changed")
    assert remove_damaged(ledger) == []


@pytest.mark.parametrize("name", ["mine", "work/../mine", "work", "ABSOLUTE"])
def test_nothing_outside_of_work_is_removed(ledger, name: str) -> None:
    Path("mine").mkdir()
    Path("mine/thesis.txt").write_text("years")
    name = str(Path("mine").absolute()) if name == "ABSOLUTE" else name
    ledger.write_text(json.dumps({name: {"thesis.txt": [1, 1, "0"]}}))
    assert remove_damaged(ledger) == []
    assert Path("mine/thesis.txt").read_text() == "years"
    assert Path("work/tiles/tiles.npy").exists()


def test_results_made_again_are_noted_again(ledger) -> None:
    change_later(Path("work/tiles/tiles.npy"), b"other tiles")
    note_results(["work/tiles"], ledger, renew=False)
    note_results(["work/tiles"], ledger)
    assert remove_damaged(ledger) == []


def test_known_results_are_not_noted_anew_by_the_way(ledger) -> None:
    change_later(Path("work/tiles/tiles.npy"), b"garbage")
    note_results(["work/tiles"], ledger, renew=False)
    assert remove_damaged(ledger) == ["work/tiles"]


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a": 1}', '{"a": {"b": [1]}}', "[" * 100_000])
def test_damaged_ledger_knows_nothing_and_is_written_anew(ledger, text: str) -> None:
    ledger.write_text(text)
    assert remove_damaged(ledger) == []
    note_results(["work/tiles"], ledger)
    assert list(json.loads(ledger.read_text())) == ["work/tiles"]


def test_what_a_killed_run_has_written_is_not_damaged(ledger) -> None:
    forget_results(["work/tiles", "work/never"], ledger)
    change_later(Path("work/tiles/tiles.npy"), b"tiles of other settings")
    assert remove_damaged(ledger) == []
    assert sorted(json.loads(ledger.read_text())) == [
        "work/comparison",
        "work/data/manifest.parquet",
    ]
