"""The page to drop an image on answers as the program does."""

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from batteryscope.app import answer
from batteryscope.app.answer import (
    answer_files,
    describe_row,
    draw_tiles,
    list_bundles,
    open_once,
    write_rows,
)
from batteryscope.app.page import make_server
from batteryscope.bundle.unlike import UNLIKE
from tests.browser_pages import find_chromium
from tests.browser_session import Page, open_page
from tests.bundled_study import bundle_study, draw_picture, make_study, save_picture, write_tiles
from tests.conftest import ROOT
from workflow_scripts.open_page import EXTRA
from workflow_scripts.open_page import main as open_page_program
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
    assert [
        s for s in shown.sentences if s.startswith("broken.png: no answer, cannot be used: unread")
    ]
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
    for text in ("{", "5", ""):  # it stands among the others, and says its sentence when chosen
        (bundle / "bundle.json").write_text(text)
        assert list_bundles(tmp_path) == ["bundle"]
        answered = answer_files(bundle, [])
        assert [str(bundle) in sentence for sentence in answered.sentences] == [True]


def test_a_picture_without_an_answer_has_crops_without_an_explanation(
    tmp_path, monkeypatch
) -> None:
    bundle = open_once(BUNDLES / "classes_of_images" / "bundle", 0)
    path = BUNDLES / "classes_of_images" / "input" / "first.png"
    row = {"file": "first.png", "class": UNLIKE, "status": UNLIKE}
    explained: list[int] = []
    monkeypatch.setattr(answer, "attribute_tiles", lambda *_: explained.append(1))
    captions = [words for _, words in draw_tiles(bundle, path, row)]
    assert captions == [f"first.png, crop {i} of 4" for i in (1, 2, 3, 4)]
    assert not explained


def test_numbers_have_interval_and_unit() -> None:
    row = {"file": "a.png", "status": "ok", "capacity_1C": 123.4, "capacity_2C": 99.0}
    row |= {"capacity_1C_low": 110.0, "capacity_1C_high": 131.0, "capacity_2C_low": None}
    told = describe_row(row, {"capacity_1C": "mAh/g"})
    assert told == "a.png: capacity_1C 123.4 (110 to 131) mAh/g, capacity_2C 99."


def request(server, method: str = "GET", **headers: str) -> tuple[int, dict[bytes, bytes]]:
    """Ask a server without a connection; return status and headers of the answer."""
    named = {"host": "127.0.0.1:7860"} | {k.replace("_", "-"): v for k, v in headers.items()}
    scope = {"type": "http", "method": method, "path": "/", "query_string": b"", "scheme": "http"}
    scope |= {"http_version": "1.1", "server": ("127.0.0.1", 7860), "client": ("127.0.0.1", 1)}
    scope["headers"] = [(k.encode(), v.encode()) for k, v in named.items()]
    sent: list[dict] = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    asyncio.run(server(scope, receive, send))
    return sent[0]["status"], dict(sent[0]["headers"])


def test_the_server_answers_no_other_page() -> None:
    server = make_server()
    server.add_api_route("/", lambda: "ok", methods=["GET", "POST"])
    own = "http://127.0.0.1:7860"
    status, headers = request(server)
    assert status == 200
    assert headers[b"content-security-policy"].startswith(b"default-src 'self'")
    assert request(server, "POST", origin=own, sec_fetch_site="same-origin")[0] == 200
    here = {"host": "localhost:7860", "origin": "http://localhost:7860"}
    assert request(server, "POST", **here)[0] == 200
    assert request(server, host="evil.example:7860")[0] == 400
    for origin in ("https://evil.example", "null", "http://127.0.0.1:5000"):
        assert request(server, "POST", origin=origin)[0] == 403
    for site in ("cross-site", "same-site"):
        assert request(server, sec_fetch_site=site)[0] == 403


def test_without_gradio_the_page_is_one_sentence(monkeypatch, capsys) -> None:
    monkeypatch.setitem(sys.modules, "gradio", None)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in ("GRADIO_ANALYTICS_ENABLED", "HF_HUB_OFFLINE", "GRADIO_TEMP_DIR"):
        monkeypatch.setenv(name, "")
    assert open_page_program(["app", "--models", str(BUNDLES)]) == 1
    told = capsys.readouterr().err.strip().splitlines()[-1]
    assert told.startswith(
        "ERROR: The page needs Gradio (gradio is missing); type "
        'pip install "batteryscope[app]", or in a clone make app'
    )


def test_what_is_unlike_the_training_names_the_nearest_image() -> None:
    row = {"file": "a.png", "status": "unlike_training", "reason": "unlike: x; the nearest is b"}
    assert describe_row(row) == (
        "a.png: no answer, unlike the training pictures: unlike: x; the nearest is b."
    )
    row = {"file": "a.png", "status": "ok", "class": "x", "confidence": 0.9, "note": "far"}
    row |= {"prediction_set": "x | y", "nearest_training_image": "b.png"}
    assert describe_row(row) == (
        "a.png: x, 90.0 % sure; possible are x | y (far). Nearest training image: b.png."
    )


@pytest.mark.docs
@pytest.mark.skipif(not (ROOT / EXTRA / "gradio").is_dir(), reason="make app installs Gradio")
@pytest.mark.skipif(find_chromium() is None, reason="there is no Chromium")
def test_files_dropped_in_a_browser_are_answered(images, tmp_path) -> None:
    models = tmp_path / "models"  # in the order in which the page lists them
    small = shutil.copytree(BUNDLES / "classes_of_images" / "bundle", models / "a_small")
    scored = make_scored_bundle(tmp_path / "study", models / "b_scored")
    scans = shutil.copytree(BUNDLES / "classes_of_scans" / "bundle", models / "c_scans")
    strange, scan = tmp_path / "strange", tmp_path / "scan"
    save_picture(draw_picture("811", "pristine", 0), strange / "known.png")
    noise = np.random.default_rng(0).integers(0, 256, (96, 128), dtype=np.uint8)
    save_picture(noise, strange / "noise.png")
    shutil.copytree(BUNDLES / "classes_of_scans" / "input", scan)
    asked = [(small, images), (scored, strange), (scans, scan)]
    theirs = [predict(bundle, given, tmp_path / f"{bundle.name}.csv") for bundle, given in asked]
    with serve_models(models) as port, open_page(tmp_path) as page:
        page.ask("Page.navigate", url=f"http://127.0.0.1:{port}/")
        page.wait_for("document.querySelector('#files input[type=file]') !== null")
        told = []
        for (bundle, given), table in zip(asked, theirs, strict=True):
            if told:  # the files of the bundle before
                page.run("document.querySelector('#files [aria-label=Clear]').click()")
                page.wait_for("document.querySelector('#files input[type=file]') !== null")
                choose(page, bundle.name)
            files = dict.fromkeys(given / file.partition("#")[0] for file in table["file"])
            page.give_files("#files input[type=file]", *files)
            name = json.dumps(next(iter(files)).name)
            told.append(page.wait_for(f"{TOLD}.includes({name}) && {TOLD}"))
            n_crops = {small: 8, scored: 8, scans: 1}[bundle]
            page.wait_for(f"document.querySelectorAll('#crops img').length == {n_crops}")
            downloaded = download_rows(page, tmp_path / f"from_{bundle.name}")
            pd.testing.assert_frame_equal(downloaded, table)
        foreign = [a for a in page.addresses if f"127.0.0.1:{port}" not in a]
    assert (
        "broken.png: no answer, cannot be used: unreadable: is no PNG picture; replace" in told[0]
    )
    assert "first.png: 333_pristine, 28.9 % sure" in told[0]
    unlike = theirs[1].set_index("file").loc["noise.png"]
    nearest = unlike["nearest_training_image"]
    assert unlike["status"] == UNLIKE
    assert "noise.png: no answer, unlike the training pictures: " in told[1]
    assert f"; the nearest is {nearest}." in told[1]
    assert theirs[1].set_index("file").loc["known.png", "status"] == "ok"
    assert "cell.tif: " in told[2]
    assert not [a for a in foreign if not a.startswith(("data:", "blob:", "about:"))]


TOLD = "document.querySelector('#told textarea').value"


def make_scored_bundle(root: Path, out: Path) -> Path:
    """Publish a small study with the score that tells what is unlike its training."""
    study = make_study(root)
    return bundle_study(study, out, tiles=write_tiles(study), false_alarms=0.2)


@contextmanager
def serve_models(models: Path) -> Iterator[int]:
    """Serve the page on a free port, of this address alone."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["workflow_scripts/open_page.py", "app", "--models", str(models), "--port", str(port)]
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
        else:
            pytest.fail("the page does not listen after 120 s")
        with socket.socket() as outside:  # of no other address, such as this one of the same device
            outside.settimeout(2)
            assert outside.connect_ex(("127.0.0.2", port))
        yield port
    finally:
        server.terminate()
        server.wait()


def choose(page: Page, model: str) -> None:
    """Choose a model by its name."""
    page.ask("Emulation.setFocusEmulationEnabled", enabled=True)
    page.run("document.querySelector('#model input').focus()")
    options = "[...document.querySelectorAll('[role=option]')]"
    option = f"{options}.find(o => o.innerText.includes('{model}'))"
    page.wait_for(f"{option} !== undefined")
    page.run(f"{option}.dispatchEvent(new MouseEvent('mousedown', {{bubbles: true}}))")
    page.wait_for(f"document.querySelector('#model input').value == '{model}'")


def download_rows(page: Page, folder: Path) -> pd.DataFrame:
    """Click on the button, and read what came."""
    folder.mkdir()
    page.ask("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
    page.run("document.querySelector('#table').click()")
    end = time.monotonic() + 20
    while not (folder / "predictions.csv").is_file() and time.monotonic() < end:
        page.run("1")
        time.sleep(0.2)
    return read(folder / "predictions.csv")
