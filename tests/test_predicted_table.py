"""Which table a run of predictions may write: never over what it reads."""

import os
from pathlib import Path

import pytest

from batteryscope.bundle.output import OWN_COLUMNS, choose_table
from batteryscope.errors import ConfigError

MODEL = Path("model")


@pytest.fixture
def pics(tmp_path: Path, monkeypatch) -> Path:
    """A folder of pictures with a table of labels, and a picture that is a link."""
    monkeypatch.chdir(tmp_path)
    pics = Path("pics")
    pics.mkdir()
    (pics / "a.png").write_bytes(b"\x89PNG")
    (pics / "labels.csv").write_text("file,class\na.png,x\n")
    Path("stored.png").write_bytes(b"\x89PNG")
    (pics / "b.png").symlink_to("../stored.png")
    Path("link.csv").symlink_to("pics/labels.csv")
    return pics


@pytest.mark.parametrize(
    ("out", "words"),
    [
        ("pics/a.png", "lies in the folder"),
        ("pics/b.png", "lies in the folder"),
        ("pics/labels.csv", "lies in the folder"),
        ("link.csv", "lies in the folder"),
        ("pics/new.TIF", "such as new.csv"),
        ("stored.png", "has the name of a picture"),
    ],
)
def test_nothing_that_is_judged_is_replaced(pics: Path, out: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        choose_table(Path(out), MODEL, (None, pics, None))


def test_a_new_table_and_one_of_predictions_may_lie_among_the_pictures(pics: Path) -> None:
    new = pics / "new.csv"
    assert choose_table(new, MODEL, (pics,)) == new
    new.write_text(",".join(["class", *sorted(OWN_COLUMNS)]) + "\n")
    assert choose_table(new, MODEL, (pics,)) == new
    other = Path("other.csv")
    other.write_text("anything")
    assert choose_table(other, MODEL, (pics, None)) == other


def test_a_second_name_of_the_table_that_is_read_is_refused(pics: Path) -> None:
    os.link(pics / "labels.csv", "second.csv")
    with pytest.raises(ConfigError, match="what shall be judged or read"):
        choose_table(Path("second.csv"), MODEL, (pics / "labels.csv",))
