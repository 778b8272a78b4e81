"""Files in memory are judged as programs judge them, each with a row, and requests do not mix."""

import base64
import json
import time
from pathlib import Path

import pandas as pd
import pytest

from batteryscope.errors import InputError

BUNDLES = Path(__file__).parent / "fixtures" / "bundles"
NOTHING = base64.b64encode(b"no picture").decode()

pytestmark = pytest.mark.usefixtures("one_thread")


def encode(folder: Path) -> list[dict[str, str]]:
    return [
        {"file": path.name, "image": base64.b64encode(path.read_bytes()).decode()}
        for path in sorted(folder.iterdir())
    ]


@pytest.fixture(scope="module")
def small():
    from batteryscope.bundle.open import open_bundle

    return open_bundle(BUNDLES / "classes_of_images" / "bundle")


def ask(bundle, *asked: tuple[str | None, str]) -> pd.DataFrame:
    """Ask as a server does, and demand an answer that is strict JSON."""
    from batteryscope.bundle.ask import answer_encoded

    rows = answer_encoded(bundle, pd.DataFrame(asked, columns=["file", "image"], dtype=object))
    json.dumps(rows.to_dict("records"), allow_nan=False)
    return rows


def test_what_cannot_be_read_is_a_row_with_the_reason(small) -> None:
    [first, *_] = encode(BUNDLES / "classes_of_images" / "input")
    rows = ask(
        small,
        ("../../etc/broken.png", NOTHING),
        (None, f"data:image/png;base64,{first['image']}"),
        ("text.png", "?"),
        ("broken.png", first["image"]),
        ("a.docx", NOTHING),
    )
    assert rows["file"].tolist() == [
        "broken.png", "broken.png", "image_2.png", "text.png", "a.docx",
    ]  # fmt: skip
    assert rows["status"].tolist() == ["rejected", "rejected", "ok", "rejected", "rejected"]
    assert "another file of this request has this name" in rows["reason"][1]
    assert "no base64" in rows["reason"][3]
    assert rows["confidence"][3] is None
    alone = ask(small, ("a.docx", NOTHING))
    assert "save the picture as PNG or TIFF" in alone["reason"][0]
    assert list(alone) == list(rows) == small.columns


def test_every_name_has_a_row_whatever_it_is(small) -> None:
    [first, *_] = encode(BUNDLES / "classes_of_images" / "input")
    long = f"{'n' * 300}.png"
    names = [
        long,
        "\ud800.png",
        "notes.txt",
        "Thumbs.db",
        "a\n.png",
        "A.png",
        "a.png",
        "..",
        "x" * 300,
    ]
    rows = ask(small, *((name, first["image"]) for name in names))
    assert rows["file"].tolist() == [
        long, "?.png", "notes.txt", "Thumbs.db", "a\n.png", "A.png", "a.png", "unnamed", "x" * 300,
    ]  # fmt: skip
    ok = [name.endswith(".png") for name in names]
    assert (rows["status"] == "ok").tolist() == ok


def test_an_empty_request_has_an_empty_answer(small) -> None:
    from batteryscope.bundle.ask import answer_encoded

    assert ask(small).empty
    assert list(answer_encoded(small, pd.DataFrame())) == small.columns
    with pytest.raises(InputError, match="no column 'image'"):
        answer_encoded(small, pd.DataFrame({"file": ["a.png"]}))


def test_files_for_a_model_of_scans_are_a_scan_each() -> None:
    from batteryscope.bundle.open import open_bundle

    bundle = open_bundle(BUNDLES / "classes_of_scans" / "bundle")
    [first, *_] = encode(BUNDLES / "classes_of_images" / "input")
    [scan] = encode(BUNDLES / "classes_of_scans" / "input")
    names = {"b.png": first["image"], "cell.tif": scan["image"], "c.docx": NOTHING}
    rows = ask(bundle, *({"a.png": NOTHING} | names).items())
    cells = rows[rows["level"] == "cell"]
    assert cells["file"].tolist() == ["a.png", "b.png", "cell.tif", "c.docx"]
    assert set(rows.loc[rows["level"] == "slice", "file"]) == {"b.png", "cell.tif"}
    assert cells["status"].tolist()[2] == "ok"
    assert cells["reason"].tolist()[3].startswith("unsupported: is no scan that can be read")


def test_requests_side_by_side_do_not_mix(small, monkeypatch) -> None:
    from concurrent.futures import ThreadPoolExecutor

    from batteryscope.bundle import ask as asker
    from batteryscope.bundle.output import Judged

    def judge(bundle, root, files, slices, source):
        def rows():
            time.sleep(0.02)
            yield {"file": files[0], "status": bundle.answer_anyway}

        return Judged(["file", "status"], rows())

    monkeypatch.setattr(asker, "load_function", lambda module, name: judge)
    wanted = [True, False] * 8
    with ThreadPoolExecutor(8) as pool:
        found = pool.map(lambda w: asker.ask_about_files(small, {"a": b""}, "", w), wanted)
        assert [rows["status"][0] for rows in found] == wanted
    assert not small.answer_anyway
