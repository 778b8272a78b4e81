"""The page to drop an image on answers as the program does."""

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from batteryscope.app.answer import answer_files, describe_row, list_bundles, write_rows
from tests.browser_pages import find_chromium
from tests.browser_session import open_page
from tests.conftest import ROOT
from workflow_scripts.open_app import EXTRA
from workflow_scripts.predict_images import main as predict_images

BUNDLES = Path(__file__).parent / "fixtures" / "bundles"

pytestmark = pytest.mark.usefixtures("one_thread")


def read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, keep_default_na=False, dtype=str)


def predict(bundle: Path, images: Path, out: Path) -> pd.DataFrame:
    words = ["--bundle", str(bundle), "--images", str(images), "--out", str(out)]
    assert predict_images([*words, "--device", "cpu"]) == 0
    return read(out)


@pytest.fixture
def images(tmp_path) -> Path:
    folder = tmp_path / "images"
    shutil.copytree(BUNDLES / "classes_of_images" / "input", folder)
    (folder / "broken.png").write_bytes(b"no picture")
    return folder


def test_files_are_answered_as_by_the_program(images, tmp_path) -> None:
    bundle = BUNDLES / "classes_of_images" / "bundle"
    theirs = predict(bundle, images, tmp_path / "theirs.csv")
    shown = answer_files(bundle, [images / file for file in theirs["file"]])
    pd.testing.assert_frame_equal(read(write_rows(shown.rows, tmp_path)), theirs)
    assert "trained on generated pictures" in shown.sentences[1]
    assert [s for s in shown.sentences if s.startswith("broken.png: no answer (rejected): unread")]
    assert any(s.startswith("first.png: 333_pristine, 28.9 % sure") for s in shown.sentences)
    assert len(shown.pictures) == 8  # four crops of each usable picture
    assert all(png.startswith(b"\x89PNG") for png, _ in shown.pictures)
    nothing = answer_files(bundle, [images / "broken.png"])
    assert nothing.rows["status"].tolist() == ["rejected"]
    assert nothing.pictures == []


def test_a_scan_is_told_by_its_cell() -> None:
    kind = BUNDLES / "classes_of_scans"
    shown = answer_files(kind / "bundle", [kind / "input" / "cell.tif"])
    assert shown.sentences[-1].startswith("cell.tif: ")
    assert shown.rows["level"].tolist().count("cell") == 1
    assert len(shown.pictures) == 1


def test_a_damaged_bundle_is_one_sentence(tmp_path) -> None:
    bundle = shutil.copytree(BUNDLES / "classes_of_images" / "bundle", tmp_path / "bundle")
    (bundle / "example_output.json").write_text("{")
    shown = answer_files(bundle, [])
    assert len(shown.sentences) == 1
    assert shown.rows.empty
    assert list_bundles(tmp_path) == ["bundle"]
    assert list_bundles(BUNDLES / "tables") == []


def test_what_is_unlike_the_training_names_the_nearest_image() -> None:
    row = {"file": "a.png", "status": "unlike_training", "reason": "unlike: x; the nearest is b"}
    assert describe_row(row) == "a.png: no answer (unlike_training): unlike: x; the nearest is b."
    row = {"file": "a.png", "status": "ok", "class": "x", "confidence": 0.9, "note": "far"}
    row |= {"prediction_set": "x | y", "nearest_training_image": "b.png"}
    assert describe_row(row) == (
        "a.png: x, 90.0 % sure; possible are x | y (far). Nearest training image: b.png."
    )


@pytest.mark.docs
@pytest.mark.skipif(not (ROOT / EXTRA / "gradio").is_dir(), reason="make app installs Gradio")
@pytest.mark.skipif(find_chromium() is None, reason="there is no Chromium")
def test_files_dropped_in_a_browser_are_answered(images, tmp_path) -> None:
    bundle = shutil.copytree(
        BUNDLES / "classes_of_images" / "bundle", tmp_path / "models" / "small"
    )
    theirs = predict(bundle, images, tmp_path / "theirs.csv")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["workflow_scripts/open_app.py", "--models", str(bundle.parent), "--port", str(port)]
    server = subprocess.Popen(
        [sys.executable, *words], cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    try:
        for _ in range(600):
            with socket.socket() as there:
                if there.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert server.poll() is None
            time.sleep(0.2)
        with socket.socket() as outside:  # of no other address of this machine
            outside.settimeout(2)
            assert outside.connect_ex((socket.gethostbyname(socket.gethostname()), port)) or (
                socket.gethostbyname(socket.gethostname()).startswith("127.")
            )
        with open_page(tmp_path) as page:
            page.ask("Page.navigate", url=f"http://127.0.0.1:{port}/")
            page.wait_for("document.querySelector('#files input[type=file]') !== null")
            page.give_files("#files input[type=file]", *(images / f for f in theirs["file"]))
            told = page.wait_for("document.querySelector('#told textarea').value")
            page.wait_for("document.querySelectorAll('#crops img').length == 8")
            page.ask("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
            page.run("document.querySelector('#table').click()")
            end = time.monotonic() + 20
            while not (tmp_path / "predictions.csv").is_file() and time.monotonic() < end:
                page.run("1")
                time.sleep(0.2)
            foreign = [a for a in page.addresses if f"127.0.0.1:{port}" not in a]
    finally:
        server.terminate()
        server.wait()
    pd.testing.assert_frame_equal(read(tmp_path / "predictions.csv"), theirs)
    assert "broken.png: no answer (rejected): unreadable: is no PNG picture; replace it." in told
    assert "first.png: 333_pristine, 28.9 % sure" in told
    assert not [a for a in foreign if not a.startswith(("data:", "blob:", "about:"))]
