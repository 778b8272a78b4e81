"""An ingest that remembers gives the bytes of a fresh one, whatever happened in between."""

import os
import sqlite3
import time
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from batteryscope.manifest import image_cache, inspect, picture_states
from batteryscope.manifest.picture_states import CLOCK_TICK_NS, find_replaced, read_mark
from tests.labelled_images import NCM, make_dataset, settings_of, write_image
from workflow_scripts.ingest_dataset import main

OUTPUTS = ("manifest.parquet", "frames.parquet", "rejects.csv", "summary.json")


JEOL = "$CM_MAG 500\n$CM_INSTRUMENT 6510\n$CM_DATE {date}\n$CM_TIME 10:20:30\n"


class Study:
    """A folder of pictures, and what ingests of it wrote and decoded."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.images = make_dataset(folder / "images")
        self.folder = folder
        self.cache = folder / "state" / "ingest.sqlite"
        self.more: dict[str, int] = {}
        self.decoded: list[str] = []
        decode = inspect.read_picture

        def count(path: Path, **options):
            self.decoded.append(path.name)
            return decode(path, **options)

        monkeypatch.setattr(inspect, "read_picture", count)
        self.age()

    def age(self) -> None:
        """Make all files old enough for their times to tell every change."""
        old_ns = time.time_ns() - 10 * CLOCK_TICK_NS
        for path in self.images.rglob("*.*"):
            os.utime(path, ns=(old_ns, old_ns))

    def ingest(self, name: str, cache: Path | None) -> dict[str, bytes]:
        out = self.folder / name
        settings = settings_of(NCM, **self.more).model_dump_json()
        argv = ["--dataset", str(self.images), "--settings", settings]
        argv += ["--manifest", str(out / OUTPUTS[0]), "--frames", str(out / OUTPUTS[1])]
        argv += ["--rejects", str(out / OUTPUTS[2]), "--summary", str(out / OUTPUTS[3])]
        self.decoded.clear()
        assert main([*argv, *([] if cache is None else ["--cache", str(cache)])]) == 0
        return {file: (out / file).read_bytes() for file in OUTPUTS}

    def check(self, *decoded: str) -> None:
        """An ingest with the cache decodes these alone, and writes what one without it does."""
        remembered = self.ingest("remembered", self.cache)
        assert sorted(self.decoded) == sorted(decoded)
        assert remembered == self.ingest("fresh", None)


@pytest.fixture
def study(tmp_path, monkeypatch) -> Study:
    # The inode's change time cannot be set back, so that a tick is what tests would wait for.
    monkeypatch.setattr(picture_states, "CLOCK_TICK_NS", 0)
    study = Study(tmp_path, monkeypatch)
    folder = study.images / "ncm333_pristine"
    Image.fromarray(write_image(folder / "deep.png", 91).astype(np.uint16) * 9).save(
        folder / "deep.png"
    )
    write_image(folder / "noted.png", 92)
    (folder / "noted.txt").write_text(JEOL.format(date="03/04/2024"))
    study.ingest("first", study.cache)
    assert len(study.decoded) == 8
    return study


def test_only_what_changed_is_decoded(study):
    study.check()
    folder = study.images / "ncm333_pristine"
    write_image(folder / "frame  0, a.png", 77)
    write_image(folder / "new.png", 78)
    (folder / "frame  1, a.png").unlink()
    study.check("frame  0, a.png", "new.png")
    # A neighbour of the same instrument says in which order day and month of the other stand.
    (folder / "new.txt").write_text(JEOL.format(date="31/05/2024"))
    study.check("new.png")
    assert "day first" in (study.folder / "fresh" / "summary.json").read_text()
    (folder / "noted.png.txt").write_text(JEOL.format(date="2024-05-01"))
    study.check("noted.png")
    (folder / "notes.jpg").write_text("no picture")
    study.check("notes.jpg")
    study.check("notes.jpg")  # what is rejected is read again
    database = sqlite3.connect(study.cache)
    paths = {path for (path,) in database.execute("SELECT path FROM record")}
    assert "ncm333_pristine/frame  1, a.png" not in paths


def test_the_content_decides_where_only_times_differ(study):
    study.age()
    study.check()
    path = study.images / "ncm333_pristine" / "frame  0, a.png"
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content)  # another inode
    study.check()
    status = path.stat()
    write_image(path, 5)
    assert path.stat().st_size == status.st_size
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    study.check("frame  0, a.png")  # only the time at which the inode changed tells


def test_a_file_that_just_changed_is_compared_by_content(study, monkeypatch):
    path = study.images / "ncm333_pristine" / "frame  0, a.png"
    monkeypatch.setattr(picture_states, "CLOCK_TICK_NS", 3600 * 10**9)
    write_image(path, 5)
    study.check(path.name)
    states = image_cache.ImageCache._look
    seen = {}

    def look(self, name):  # the file system's clock stands still: no change can be seen
        return seen.setdefault(name, states(self, name))

    monkeypatch.setattr(image_cache.ImageCache, "_look", look)
    study.check()
    write_image(path, 6)
    study.check(path.name)


def test_other_settings_or_code_empty_it(study, monkeypatch):
    study.more = {"max_pixels": 10**6}
    everything = [path.name for path in study.images.rglob("*.png")]
    study.check(*everything)
    study.check()
    monkeypatch.setattr(image_cache, "_name_code", lambda: ["another version"])
    study.check(*everything)


@pytest.mark.parametrize("damage", ["garbage", "flipped", "locked"])
def test_a_damaged_or_locked_cache_is_not_used(study, damage, monkeypatch, capsys):
    everything = [path.name for path in study.images.rglob("*.png")]
    if damage == "locked":
        monkeypatch.setattr(image_cache, "BUSY_AT_INGEST_SECONDS", 0.01)
        other = sqlite3.connect(study.cache, isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        study.check(*everything)
        other.close()
        study.check()
        return
    if damage == "garbage":
        study.cache.write_bytes(b"not a database" * 1000)
    else:
        database = sqlite3.connect(study.cache)
        (pictures,) = database.execute("SELECT pictures FROM record").fetchone()
        with database:
            database.execute("UPDATE record SET pictures = ?", (bytes(len(pictures)),))
        database.close()
    study.check(*everything)
    study.ingest("again", study.cache)
    study.check()
    if damage != "flipped":
        assert "pictures are read anew" in capsys.readouterr().err


def replace_quietly(path: Path, grey: int | None) -> None:
    """Write another picture, or none, of the same size and modification time."""
    status = path.stat()
    if grey is None:
        path.write_bytes(bytes(status.st_size))
    else:
        write_image(path, grey)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (status.st_size, status.st_mtime_ns)


def test_a_picture_that_was_replaced_behind_our_back_is_found(study):
    path = study.images / "ncm333_pristine" / "frame  0, a.png"
    assert find_replaced(study.cache, study.images) == ([], "")
    status = path.stat()
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content)  # another inode with the same content
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert find_replaced(study.cache, study.images) == ([], "")
    study.check()
    name = path.relative_to(study.images).as_posix()
    assert name in picture_states.describe_replaced("mine", [name])
    marks = [""]
    for grey in (5, None):
        replace_quietly(path, grey)
        replaced, mark = find_replaced(study.cache, study.images)
        assert replaced == [name]
        assert mark not in marks
        assert find_replaced(study.cache, study.images) == ([name], mark)  # after a dry run
        marks.append(mark)
        study.check(path.name)
        assert find_replaced(study.cache, study.images) == ([], mark)
    study.check(path.name)
    study.cache.unlink()
    assert find_replaced(study.cache, study.images) == ([], mark)


@pytest.mark.parametrize("trouble", ["locked", "read-only", "damaged row", "garbage"])
def test_replaced_pictures_where_the_cache_cannot_be_used(study, trouble, monkeypatch, caplog):
    path = study.images / "ncm333_pristine" / "frame  0, a.png"
    name = path.relative_to(study.images).as_posix()
    monkeypatch.setattr(picture_states, "BUSY_AT_LOOK_SECONDS", 0.01)
    replace_quietly(path, 5)
    other = sqlite3.connect(study.cache, isolation_level=None)
    if trouble == "damaged row":
        other.execute("UPDATE record SET files = '[{' WHERE path LIKE '%/noted.png'")
    elif trouble == "read-only":  # as root may write everywhere, another one is writing
        other.execute("BEGIN IMMEDIATE")
        picture_states._locate_mark(study.cache).with_suffix(".partial").mkdir()
    else:
        mark = find_replaced(study.cache, study.images).mark
        if trouble == "locked":
            other.execute("BEGIN EXCLUSIVE")
        else:
            study.cache.write_bytes(b"garbage")
        assert find_replaced(study.cache, study.images) == ([], mark)
        assert "are not noticed" in caplog.text
        other.close()
        return
    replaced, mark = find_replaced(study.cache, study.images)
    assert replaced == [name]
    assert mark
    assert read_mark(study.cache) == ("" if trouble == "read-only" else mark)
    assert ("once more" in caplog.text) == (trouble == "read-only")
    other.close()


def test_what_was_seen_of_a_file_may_be_shared(study):
    look = cache(picture_states.describe_state)
    assert find_replaced(study.cache, study.images, look) == ([], "")
    replace_quietly(study.images / "ncm333_pristine" / "frame  0, a.png", 5)
    assert find_replaced(study.cache, study.images, look) == ([], "")
    assert find_replaced(study.cache, study.images).mark
