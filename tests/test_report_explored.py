"""A page of a report is explored in a headless Chromium: click, keys, sort, filter, save, print."""

import base64
import csv
import gzip
import io
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from batteryscope.core.style import Picture
from batteryscope.report.embedded import LARGEST_PACKED, find_table, pack_files
from batteryscope.report.html import make_environment
from batteryscope.report.shown_table import show_table
from batteryscope.report.tested_images import browse_classes, vote
from batteryscope.report.thumbnails import PictureSource, make_thumbnails
from tests.browser_pages import find_chromium
from tests.browser_session import Page, open_page

PAGE = """{% extends "page.html.j2" %}
{% from "macros.html.j2" import drawn, photo, table with context %}
{% block content %}<section id="a"><h2>A</h2>{{ table(shown) }}{{ drawn(pictures.confusion) }}
{{ photo("explain_s1", map, "Where it looked", "Map") }}
</section>{% include "tested_images.html.j2" %}{% endblock %}"""
CLASSES = ("a", "b")
DURATIONS = ("2 h 05 min", "45 s", "–", "10 min", "1 min", "3 s", "4 h", "59 s")
EXPLAINED = SimpleNamespace(sample_id="s1", file="explain_s1.png")
SVG = b"<svg xmlns='http://www.w3.org/2000/svg' width='30' height='20'/>"


def draw_png(grey: int) -> bytes:
    stream = io.BytesIO()
    ramp = np.arange(grey, grey + 30, dtype=np.uint8)  # a single grey level is no picture
    Image.fromarray(np.tile(ramp, (20, 1))).save(stream, format="PNG")
    return stream.getvalue()


def make_images(arm: str, *p_a: float) -> pd.DataFrame:
    """Answers for images s0, s1, … of which every second is b."""
    rows = [
        {
            "arm": arm, "role": "test", "sample_id": f"s{i}", "y_true": CLASSES[i % 2],
            "y_pred": CLASSES[p < 0.5], "p_a": p, "p_b": 1 - p,
        }
        for i, p in enumerate(p_a)
    ]  # fmt: skip
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of six samples, the last of which is gone, and the page that shows them."""
    folder = tmp_path_factory.mktemp("explored")
    for i in range(5):
        (folder / f"{i}.png").write_bytes(draw_png(40 * i))
    manifest = pd.DataFrame(
        {
            "sample_id": [f"s{i}" for i in range(6)], "path": [f"{i}.png" for i in range(6)],
            "specimen_id": ["x", "x", "x", "y", "y", "y"], "width_px": 30, "height_px": 20,
            "bit_depth": 8,
        }
    )  # fmt: skip
    index = pd.DataFrame(
        [[0, "s1", "grid", 0, 5, 15, 15, True], [1, "s1", "random", 3, 3, 15, 15, True]],
        columns=["tile", "sample_id", "kind", "x_px", "y_px", "crop_px", "crop_height_px", "used"],
    )
    evidence: Any = SimpleNamespace(
        images=pd.concat(
            [make_images("main", 0.9, 0.8, 0.6, 0.3, 0.7, 0.2), make_images("another", *[0.9] * 6)]
        ),
        manifest=manifest, main_arm="main", dataset_dir=folder, tile_index=index, tiles=None,
        misclassified=pd.DataFrame({"level": ["tile"], "tile": [0]}),
        arms={"main": SimpleNamespace(explanations=[EXPLAINED])}, label_of=str.title, files={
            "confusion.csv": b"y_true,y_pred,count\na,a,3\n"
        },
        settings=SimpleNamespace(
            arms={"another": 1, "main": 1}, dataset=SimpleNamespace(max_pixels=10**6),
            preprocess=SimpleNamespace(cuts_in_place=True),
        ),
    )  # fmt: skip
    frame = pd.DataFrame(
        {
            "who": [f"row {i}" for i in range(8)], "time": DURATIONS,
            "change": ["−9.6 %", "1.5 %", "−0.1 %", "20 %", "3 %", "4 %", "–", "5 %"],
        }
    )  # fmt: skip
    pictures = {"confusion": Picture("confusion", "Who is taken for whom.", draw_png(9), SVG)}
    page = make_environment().from_string(PAGE).render(
        settings=SimpleNamespace(title="T"), evidence=evidence, pictures=pictures,
        shown=show_table(frame), tested=browse_classes(evidence), samples="images",
        sample="image", map=draw_png(100),
    )  # fmt: skip
    (folder / "report.html").write_text(page, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def page(folder: Path) -> Iterator[Page]:
    if find_chromium() is None:
        pytest.skip("no Chromium is installed")
    with open_page(folder) as opened:
        opened.ask("Emulation.setFocusEmulationEnabled", enabled=True)
        opened.ask("Page.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
        opened.ask("Page.navigate", url=(folder / "report.html").as_uri())
        opened.wait_for("document.querySelectorAll('ul.tested button.open').length === 6")
        yield opened


def press(page: Page, key: str) -> None:
    text = {"Enter": "\r"}.get(key, "")
    page.ask("Input.dispatchKeyEvent", type="keyDown", key=key, code=key, text=text,
             windowsVirtualKeyCode={"Enter": 13, "Escape": 27, "ArrowRight": 39}[key])  # fmt: skip
    page.ask("Input.dispatchKeyEvent", type="keyUp", key=key, code=key)


def list_column(page: Page, number: int) -> list[str]:
    cells = f"[...document.querySelectorAll('#a tbody tr:not([hidden]) td:nth-child({number})')]"
    return list(page.run(f"{cells}.map(cell => cell.textContent)"))


def test_headings_sort_numbers_and_times_by_the_keyboard(page: Page) -> None:
    page.run("document.querySelectorAll('#a th button')[1].focus()")
    press(page, "Enter")
    page.wait_for("document.querySelectorAll('#a th')[1].ariaSort === 'ascending'")
    times = ["3 s", "45 s", "59 s", "1 min", "10 min", "2 h 05 min", "4 h", "–"]
    page.wait_for("document.querySelector('#a tbody td:nth-child(2)').textContent[0] === '3'")
    assert [text.replace("\u00a0", " ") for text in list_column(page, 2)] == times
    page.run("document.querySelectorAll('#a th button')[2].click()")
    page.wait_for("document.querySelector('#a tbody td:nth-child(3)').textContent[1] === '9'")
    assert page.run("document.querySelectorAll('#a th[aria-sort]').length") == 1
    assert list_column(page, 1) == [f"row {i}" for i in (0, 2, 1, 4, 5, 7, 3, 6)]
    page.run("document.querySelector('#a .back').click()")
    assert list_column(page, 1) == [f"row {i}" for i in range(8)]


def test_a_text_filters_rows_and_what_is_left_can_be_saved(page: Page, folder: Path) -> None:
    write = "const i = document.querySelector('#a input[type=search]'); i.value = '{}'; i.oninput()"
    page.run(f"{{ {write.format('MIN')} }}")
    assert list_column(page, 1) == ["row 0", "row 3", "row 4"]
    assert page.run("document.querySelector('#a [role=status]').textContent") == "3 of 8 rows"
    page.run("[...document.querySelectorAll('#a .scroll .tools button')].at(-1).click()")
    saved = wait_for_file(folder, "Table_who_time_change.csv")
    rows = list(csv.reader(io.StringIO(saved.decode("utf-8-sig"))))
    assert rows[0] == ["who", "time", "change"]
    assert [row[0] for row in rows[1:]] == ["row 0", "row 3", "row 4"]
    page.run(f"{{ {write.format('')} }}")
    assert len(list_column(page, 1)) == 8
    assert page.run("['=1+1', '-2', 'a'].map(guard).join()") == "'=1+1,-2,a"


def test_buttons_do_not_call_the_first_rows_of_a_longer_table_all(page: Page) -> None:
    found = page.run("""(() => {
        const part = document.querySelector('#a .scroll').cloneNode(true), table = part.lastChild;
        table.dataset.of = '20';
        part.replaceChildren(table);
        exploreTable(table);
        return [...part.querySelectorAll('.tools button')].map(b => b.textContent).join();
    })()""")
    assert found == "Original order,CSV of the first 8 of 20"


def wait_for_file(folder: Path, name: str) -> bytes:
    import time

    for _ in range(100):
        if (folder / name).is_file() and (folder / name).stat().st_size:
            return (folder / name).read_bytes()
        time.sleep(0.05)
    raise TimeoutError(f"{name} among {sorted(path.name for path in folder.iterdir())}")


def test_a_figure_is_enlarged_closed_by_escape_and_saved(page: Page, folder: Path) -> None:
    page.run("document.querySelector('#a figure img').click()")
    page.wait_for("document.querySelector('dialog').open")
    page.wait_for("document.querySelector('dialog .stage img').src.startsWith('blob:')")
    assert page.run("document.querySelector('dialog .title').textContent").startswith("Who is")
    press(page, "Escape")
    page.wait_for("!document.querySelector('dialog').open")
    for kind in ("PNG", "SVG", "CSV"):
        page.run(f"document.querySelector('#a figure [aria-label$=\"as {kind}\"]').click()")
    assert wait_for_file(folder, "confusion.svg") == SVG
    assert wait_for_file(folder, "confusion.csv").startswith(b"y_true,y_pred,count\n")
    with Image.open(io.BytesIO(wait_for_file(folder, "confusion.png"))) as image:
        assert image.size == (30, 20)


def choose(page: Page, label: str, option: str) -> list[str]:
    """Choose in the browser of test images; return the names of the images that are left."""
    labels = "[...document.querySelectorAll('.browser label')]"
    find = f"{labels}.find(l => l.textContent.startsWith('{label}'))"
    page.run(f"{{ const s = {find}.querySelector('select'); s.value = [...s.options]"
             f".find(o => o.textContent === '{option}').value; s.onchange() }}")  # fmt: skip
    names = "[...document.querySelectorAll('ul.tested .name')].map(n => n.textContent)"
    return list(page.run(names))


def test_test_images_are_filtered_by_answer_class_and_arm(page: Page) -> None:
    assert choose(page, "Answer", "wrong") == ["1.png"]
    assert choose(page, "Answer", "right") == ["2.png", "3.png", "4.png", "5.png", "0.png"]
    assert choose(page, "Is", "b") == ["3.png", "5.png"]
    assert choose(page, "Answer", "unsure") == []
    assert choose(page, "Is", "all") == ["2.png"]
    assert choose(page, "Answer", "all")[0] == "1.png"
    assert choose(page, "Strategy", "Another")[:3] == ["1.png", "3.png", "5.png"]
    assert page.run("document.querySelectorAll('ul.tested li.wrong').length") == 3
    assert choose(page, "Strategy", "Main")[0] == "1.png"


def test_a_test_image_shows_its_crops_and_its_neighbour(page: Page) -> None:
    page.run("document.querySelector('ul.tested button.open').click()")
    page.wait_for("document.querySelector('dialog').open")
    assert page.run("document.querySelectorAll('dialog rect.wrong').length") == 1
    assert "Another" in page.run("document.querySelector('dialog').textContent")
    # Where the network looked stands beside it, as large as on the page; its neighbour has none.
    assert page.run("document.querySelector('dialog img.map').alt") == "Where it looked"
    page.wait_for("document.querySelector('dialog img.map').naturalWidth === 30")
    press(page, "ArrowRight")
    assert page.run("document.querySelectorAll('dialog img.map').length") == 0
    assert "2.png" in page.run("document.querySelector('dialog dl').textContent")
    press(page, "Escape")
    page.wait_for("!document.querySelector('dialog').open")


def test_a_map_of_attribution_is_clicked_and_enlarged_by_itself(page: Page) -> None:
    page.run("document.querySelector('#a figure[data-name=explain_s1] img').click()")
    page.wait_for("document.querySelector('dialog').open")
    page.wait_for("document.querySelector('dialog .stage img').naturalWidth === 30")
    assert page.run("document.querySelector('dialog .title').textContent") == "Map"
    press(page, "Escape")
    page.wait_for("!document.querySelector('dialog').open")


def test_paper_holds_the_page_without_its_buttons(page: Page) -> None:
    printed = base64.b64decode(page.ask("Page.printToPDF")["data"])
    assert printed.startswith(b"%PDF")
    page.ask("Emulation.setEmulatedMedia", media="print")
    assert page.run("[...document.querySelectorAll('.tools')].some(t => t.offsetHeight)") is False
    assert page.run("document.querySelector('ul.tested').offsetHeight > 0") is True
    page.ask("Emulation.setEmulatedMedia", media="")


def test_the_page_asks_nobody_and_reads_without_scripts(page: Page, folder: Path) -> None:
    assert all(a.startswith(("file:", "data:", "blob:")) for a in page.addresses)
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert "5 of 6 test images have a small picture here" in text
    assert text.count('<li class="right">') == 5
    assert "b, 80\u00a0%" in text


def test_networks_that_disagree_vote_with_their_probabilities() -> None:
    voted = vote(pd.concat([make_images("m", 0.9, 0.2), make_images("m", 0.4, 0.3)]), CLASSES)
    assert voted["y_pred"].tolist() == ["a", "b"]
    assert voted["confidence"].tolist() == pytest.approx([0.65, 0.75])
    assert voted[["fits", "right"]].to_numpy().tolist() == [[2, 1], [2, 2]]


def test_thumbnails_fit_into_the_page(folder: Path) -> None:
    manifest = pd.DataFrame({"sample_id": ["s0", "s1"], "path": ["0.png", "1.png"]})
    source = PictureSource(manifest, folder, None, None, 10**6)
    made, edge = make_thumbnails(["s1", "s0", "unknown"], source)
    assert list(made) == ["s1", "s0"]
    assert edge == 320
    room = 4 / 3 * len(made["s1"])
    made, edge = make_thumbnails(["s1", "s0"], source, budget_bytes=room)
    assert list(made) == ["s1"]
    assert edge == 96
    assert make_thumbnails(["s1"], source, budget_bytes=-1)[0] == {}


def test_files_are_packed_as_far_as_there_is_room() -> None:
    noise = np.random.default_rng(0).bytes(LARGEST_PACKED)
    pictures = [Picture("confusion", "", b"", SVG), Picture("sweep_lr", "", b"", noise)]
    packed = pack_files(pictures, {"confusion.csv": b"a\n", "other.csv": b"b\n"})
    assert sorted(packed) == ["confusion.csv", "confusion.svg"]
    # The numbers that a figure shows stand in for a table that is not there, or too large.
    pictures = [Picture(name, "", b"", SVG, values=b"x\n") for name in ("parity", "survey")]
    pictures += [Picture("confusion", "", b"", SVG, values=b"x\n")]
    packed = pack_files(pictures, {"confusion.csv": b"a\n", "survey.csv": noise.hex("\n").encode()})
    texts = {n: gzip.decompress(base64.b64decode(t)) for n, t in packed.items() if "csv" in n}
    assert texts == {"parity.csv": b"x\n", "survey.csv": b"x\n", "confusion.csv": b"a\n"}
    assert find_table("key_figure", "curves.csv") == "curves.csv"
    assert find_table("sweep_lr") == "sweeps.csv"
    assert find_table("class_sizes") == find_table("learning_curves") == ""
