"""The documentation site: complete, without dead links, and nothing is fetched when it is read."""

import fnmatch
import functools
import http.server
import json
import os
import re
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml

from docs.draw_papers import list_papers, read_paper
from docs.site.settings_pages import SettingsPages, describe_type, find_unit
from tests.browser_pages import find_axe, find_chromium
from tests.browser_session import Page, open_page
from tests.conftest import ROOT

LIBRARIES = ROOT / "work/site/site"
LOADING = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}
WIDTHS_PX = (400, 1280)
LONGEST_SENTENCE = 30  # words; what stands in a table or in a block of code is none
# Lists of columns and files, for who changes the code; numbers with all that they depend on.
HAS_LONG_SENTENCES = {"architecture.md", "papers.md", "results.md"}
SHOWN = ("index.html", "your_data.html", "architecture.html", "reference/settings_train.html")
SERIOUS = """axe.run(document, {resultTypes: ['violations']}).then(told => told.violations
  .filter(v => ['serious', 'critical'].includes(v.impact))
  .map(v => v.id + ': ' + v.nodes[0].html))"""


class SiteSettings(yaml.SafeLoader):
    """Reads mkdocs.yml; what names Python functions there is not looked at."""


SiteSettings.add_multi_constructor("tag:yaml.org,2002:python/", lambda *_: None)


def list_named(part: object) -> Iterator[str]:
    if isinstance(part, str):
        yield part
    elif isinstance(part, (dict, list)):
        for inner in part.values() if isinstance(part, dict) else part:
            yield from list_named(inner)


def test_every_page_stands_in_one_part_of_the_site() -> None:
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    named = list(list_named(yaml.load(text, SiteSettings)["nav"]))
    assert len(named) == len(set(named))
    missing = {path.name for path in (ROOT / "docs").glob("*.md")} - set(named)
    assert not missing, f"put into nav of mkdocs.yml, where a reader looks for it: {missing}"


def test_every_published_file_is_described() -> None:
    page = (ROOT / "docs/published_files.md").read_text(encoding="utf-8")
    known = re.findall(r"`([^`\s]+)`", page)
    for stored in sorted((ROOT / "tests/golden/expected").glob("*/published.json")):
        for name in json.loads(stored.read_text(encoding="utf-8")):
            path = Path(name)
            told = (
                path.stem if path.parent.name == "figures" and path.suffix != ".json" else path.name
            )
            found = any(fnmatch.fnmatchcase(told, pattern) for pattern in known)
            assert found, f"{name} of {stored.parent.name} is missing in docs/published_files.md"


def list_sentences(text: str) -> Iterator[str]:
    """The sentences of a page, with every piece of code as one word."""
    text = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"^(?: {4}|\s*\||#).*$", "", text, flags=re.MULTILINE)
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", re.sub(r"`[^`]*`", "code", text))
    for part in re.split(r"\n\s*\n|\n(?=\s*(?:[-*]|\d+\.)\s)", text):
        yield from re.split(r"(?<=[.!?:;])\s+", " ".join(part.split()))


def test_sentences_are_short() -> None:
    for page in sorted((ROOT / "docs").glob("*.md")):
        if page.name not in HAS_LONG_SENTENCES:
            sentences = list(list_sentences(page.read_text(encoding="utf-8")))
            assert len(sentences) > 2, page.name
            long = [one for one in sentences if len(one.split()) > LONGEST_SENTENCE]
            assert not long, f"{page.name}: say it in two sentences: {long[0]}"


def test_what_builds_the_site_is_pinned_and_nowhere_else() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pinned = (ROOT / "docs/site.txt").read_text(encoding="utf-8")
    names = set(re.findall(r"^([a-z0-9-]+)==", pinned, re.MULTILINE))
    asked = {re.match("[a-z-]+", one)[0] for one in project["optional-dependencies"]["docs"]}
    assert asked <= names, "run `make lock`"
    assert all("--hash=sha256:" in part for part in re.split(r"\n(?=\w)", pinned)[1:])
    locked = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert not names & set(re.findall(r"^([a-z0-9-]+)==", locked, re.MULTILINE))


@pytest.fixture(scope="module")
def settings() -> dict[str, str]:
    schema = json.loads((ROOT / "docs/params.schema.json").read_text(encoding="utf-8"))
    studies = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))["studies"]
    return SettingsPages(schema, [read_paper(p) for p in list_papers()], studies).write()


def test_a_setting_has_meaning_unit_default_range_and_the_papers_value(settings) -> None:
    page = settings["reference/settings_train.md"]
    part = page.split("### `train.batch_size`")[1].split("\n### ")[0]
    assert "Samples that are computed together" in part
    assert "**Default** `10` · **May be** integer > 0" in part
    assert "Oh et al., npj Computational Materials 10, 88 (2024)" in part
    assert "10 images (Optimization of CNNs); here `10`. *faithful*" in part
    # A setting of rows is told by papers of rows alone.
    rows = settings["reference/settings_tables.md"].split("### `train.batch_size`")[1]
    assert "Oh et al." not in rows.split("\n### ")[0]


def test_of_several_kinds_of_a_section_each_has_its_own_settings(settings) -> None:
    page = settings["reference/settings_preprocess.md"]
    assert {"preprocess.sem_tiles.crop_px", "preprocess.coating_crop.shrink"} <= set(
        re.findall(r"\{ #(\S+) ", page)
    )
    tiles = page.split("{ #preprocess.sem_tiles.input_px ")[1].split("\n### ")[0]
    assert "Oh et al." in tiles
    assert "An et al." not in tiles
    assert "**Unit** pixels" in tiles
    data = settings["reference/settings_dataset.md"]
    assert "## `dataset.generator` with `kind: trivial` or `kind: random`" in data
    assert "**May be** a section: [labels](#section.dataset.labels)" in data
    assert "as [`dataset`](settings_dataset.md)" in settings["reference/settings_evaluate.md"]


def test_every_value_of_a_paper_stands_at_its_setting(settings) -> None:
    text = "".join(settings.values())
    for paper in list_papers():
        for row in read_paper(paper).rows:
            for key in row.settings:
                if key != "where":  # of a stage, by a name of its own
                    assert f"), {row.what}: " in text, (paper, key)


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "number", "minimum": 0, "exclusiveMaximum": 1}, "number ≥ 0, < 1"),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "integer or `null`"),
        ({"enum": ["a", "b"], "type": "string"}, "one of `a`, `b`"),
        ({"type": "array", "items": {"type": "integer", "minimum": 1}}, "list of integers ≥ 1"),
        ({"type": "object", "additionalProperties": {"type": "string"}}, "names with texts"),
        ({"$ref": "#/$defs/Arm"}, "a section"),
    ],
)  # fmt: skip
def test_what_a_setting_may_be_is_said_in_words(schema, words) -> None:
    assert describe_type(schema) == words


def test_units_come_from_names() -> None:
    assert find_unit("dataset.generator.voxel_size_um") == "µm"
    assert find_unit("physics.loading_mg_cm2") == "mg/cm²"
    assert find_unit("train.momentum") == ""


class Parts(HTMLParser):
    """Anchors of a page, where its links lead, and what it loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = {key: value or "" for key, value in attrs}
        self.anchors |= {told[key] for key in ("id", "name") if key in told}
        if tag == "a" and "href" in told:
            self.links.append(told["href"])
        elif tag in LOADING and told.get("rel") not in ("canonical", "next", "prev"):
            self.loaded += [told[LOADING[tag]]] if LOADING[tag] in told else []


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built strictly."""
    assert LIBRARIES.is_dir(), "run `make docs` once: it installs what builds the site"
    out = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(out)],
        env=os.environ | {"PYTHONPATH": str(LIBRARIES), "NO_MKDOCS_2_WARNING": "1"},
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return out


@pytest.mark.docs
def test_links_and_anchors_exist_and_nothing_is_loaded_from_elsewhere(site) -> None:
    pages = {path: Parts(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}
    assert len(pages) > 40
    dead, foreign = [], []
    for path, parts in pages.items():
        # A server shows the page of errors anywhere, so its links begin at the root.
        base = site if path.name == "404.html" else path.parent
        for link in parts.links + parts.loaded:
            address = urlsplit(link)
            if address.scheme or address.netloc:
                foreign += [f"{path.name}: {link}"] if link in parts.loaded else []
                continue
            target = base / unquote(address.path).lstrip("/") if address.path else path
            target = target / "index.html" if target.is_dir() else target
            anchor = unquote(address.fragment)
            known = target not in pages or not anchor or anchor in pages[target].anchors
            if not target.exists() or not known:
                dead.append(f"{path.relative_to(site)}: {link}")
    assert not dead
    assert not [one for one in foreign if not one.partition(": ")[2].startswith("data:")]
    outside = re.compile(r"(?:url\(|@import )[\"']?(?:https?:)?//")
    for sheet in site.rglob("*.css"):
        assert not outside.search(sheet.read_text(encoding="utf-8")), sheet


@pytest.fixture
def address(site) -> Iterator[str]:
    """Where a server of this machine shows the site."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(site))
    handler.log_message = lambda *_: None  # type: ignore[attr-defined]
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def show(page: Page, address: str, width: int) -> None:
    page.ask(
        "Emulation.setDeviceMetricsOverride",
        width=width, height=900, deviceScaleFactor=1, mobile=width < 600,
    )  # fmt: skip
    page.ask("Page.navigate", url=address)
    page.wait_for(f"location.href === '{address}' && document.readyState === 'complete'")


@pytest.mark.docs
@pytest.mark.skipif(find_chromium() is None, reason="no Chromium is installed")
def test_a_reader_asks_no_other_server_finds_words_and_sees_whole_pages(address, tmp_path) -> None:
    axe = find_axe()
    with open_page(tmp_path) as page:
        for width in WIDTHS_PX:
            for name in SHOWN:
                show(page, f"{address}/{name}", width)
                assert page.run("document.documentElement.scrollWidth") <= width, (name, width)
                if axe is None:
                    continue
                page.run(axe.read_text(encoding="utf-8"))
                told = page.ask(
                    "Runtime.evaluate", expression=SERIOUS, awaitPromise=True, returnByValue=True
                )
                assert not told["result"]["value"], (name, width)
        show(page, f"{address}/architecture.html", 1280)
        page.wait_for("document.querySelector('div.mermaid')?.clientHeight > 100")
        show(page, f"{address}/index.html?q=leakage", 1280)
        page.wait_for("[...document.querySelectorAll('.md-search-result__link')].some("
                      "a => a.href.includes('trust.html'))")  # fmt: skip
        assert not [one for one in page.addresses if not one.startswith((address, "data:"))]
