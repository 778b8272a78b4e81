"""The results of six small studies are those that are stored: whoever moves code changes none.

From stored predictions all programs after the training run as Snakemake calls them: evaluate,
compare, bundle, apply to an external data set, report, publish. A change that is meant to change
numbers or sentences renews what is stored, in a commit of its own::

    python -m tests.golden.renew
"""

import json
import re
from pathlib import Path

import pytest

from tests.browser_pages import find_axe, find_chromium, list_barriers, measure_pages
from tests.conftest import Sandbox
from tests.golden.project import (
    LETTERS,
    STUDIES,
    build_project,
    collect_results,
    list_differences,
    plan_programs,
    read_stored,
    run_programs,
)
from tests.report_texts import SLIPS, list_slips

WIDTHS_PX = (400, 1000, 1400)
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Sandbox, dict[str, list[list[str]]]]:
    sandbox = build_project(tmp_path_factory.mktemp("golden") / "project")
    return sandbox, plan_programs(sandbox)


@pytest.mark.parametrize("study", STUDIES)
def test_a_study_publishes_what_is_stored(
    planned: tuple[Sandbox, dict[str, list[list[str]]]], study: str
) -> None:
    sandbox, programs = planned
    run_programs(sandbox.root, programs[study])
    lines = list_differences(read_stored(study), collect_results(sandbox.root, study))
    assert not lines, "\n".join([f"{study}: {len(lines)} differences", *lines[:20]])


@pytest.mark.skipif(find_chromium() is None, reason="no Chromium is installed")
def test_no_cell_is_cut_at_any_width_or_on_paper(
    planned: tuple[Sandbox, dict[str, list[list[str]]]], tmp_path: Path
) -> None:
    reports = planned[0].root / "reports"
    pages = {p.parent.name: p.read_text() for p in sorted(reports.glob("*/report.html"))}
    assert pages
    assert max(len(page.encode()) for page in pages.values()) < 5_000_000
    for found in measure_pages(pages, WIDTHS_PX, tmp_path):
        assert found["cells"] > 20, found
        assert not found["cut"], found
        assert not found["column"], found
        assert found["wide"] <= 0, found
        assert found["smallest"] >= 10, found
        assert not found["shrunk"] or not found["name"].endswith(", 400 px"), found


@pytest.mark.skipif(find_chromium() is None, reason="no Chromium is installed")
@pytest.mark.skipif(find_axe() is None, reason="axe-core is not here (`make test` fetches it)")
def test_everybody_can_use_the_pages(
    planned: tuple[Sandbox, dict[str, list[list[str]]]], tmp_path: Path
) -> None:
    reports = planned[0].root / "reports"
    pages = {p.parent.name: p.read_text() for p in sorted(reports.glob("*/report.html"))}
    pages["index"] = (reports / "index.html").read_text(encoding="utf-8")
    # What axe-core finds fault with, to know that it looks.
    pages["wrong"] = '<html lang="en"><head></head><body><h1>A</h1><img src="a"></body></html>'
    found = list_barriers(pages, WIDTHS_PX, tmp_path)
    assert len(found) == len(WIDTHS_PX) * (len(STUDIES) + 2)
    for width in WIDTHS_PX:
        wrong = found.pop(f"wrong, {width} px")
        assert any(line.startswith("critical: image-alt") for line in wrong)
    assert not any(found.values()), found


def test_every_figure_of_a_report_offers_its_data(
    planned: tuple[Sandbox, dict[str, list[list[str]]]],
) -> None:
    pages = {p.parent.name: p.read_text() for p in planned[0].root.glob("reports/*/report.html")}
    assert pages
    for study, page in pages.items():
        packed = set(re.findall(r'id="file:([^"]+)"', page))
        figures = dict(re.findall(r'<figure data-name="([^"]+)" data-table="([^"]*)"', page))
        assert len(figures) > 8, study
        lacking = {n for n, table in figures.items() if not {table, f"{n}.csv"} & packed}
        pictures = ("same_tiles", "methods_", "outputs_")  # of tiles, and of maps on them
        assert all(name.startswith(pictures) for name in lacking), study


def test_reports_are_written_as_people_write(
    planned: tuple[Sandbox, dict[str, list[list[str]]]],
) -> None:
    pages = sorted((planned[0].root / "reports").glob("*/report.html"))
    assert pages
    slips = {page.parent.name: list_slips(page.read_text(encoding="utf-8")) for page in pages}
    assert not any(slips.values()), slips


def test_slips_in_writing_are_found() -> None:
    page = "<p>One.Two (a) <b>three</b>(b) , -5 % and x-5, file(s).</p><pre>-1</pre>"
    assert [slip.split(":")[0] for slip in list_slips(page)] == list(SLIPS)


def test_letters_of_figures_can_be_read(
    planned: tuple[Sandbox, dict[str, list[list[str]]]],
) -> None:
    """A report shows a figure with 105 pixels an inch: 7 points are 10 pixels."""
    lines = (planned[0].root / LETTERS).read_text(encoding="utf-8").splitlines()
    assert len(lines) > 30
    assert [line for line in lines if json.loads(line)[0] < 7] == []


def test_a_difference_is_told_by_its_place() -> None:
    stored = {
        "metrics.json": {"arm.image.accuracy": 0.875, "gone": 1},
        "comparison.csv": [{"arm": "a", "metric": "mape", "mean": 1.0}],
        "published.json": {"models/a": 1, "reports/b": 2},
    }
    assert list_differences(stored, stored) == []
    found = {
        "metrics.json": {"arm.image.accuracy": 0.875 * (1 + 1e-7), "new": "x"},
        "comparison.csv": [{"arm": "a", "metric": "mape", "mean": 1.00001}],
        "published.json": {"reports/b": 1, "models/c": 1},
    }
    assert list_differences(stored, found) == [
        "gone:    metrics.json gone = 1",
        "gone:    published.json models/a = 1",
        "new:     metrics.json new = 'x'",
        "new:     published.json models/c = 1",
        "changed: comparison.csv a/mape mean: 1.0 → 1.00001",
        "changed: published.json reports/b: 2 → 1",
    ]
