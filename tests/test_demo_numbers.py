"""Numbers of the demo in the documents are the stored ones, and every table says whose it is."""

import re
import sys

import pytest
import yaml

from tests.conftest import ROOT

sys.path.insert(0, str(ROOT / "docs"))
import demo_numbers

DATED = re.compile(r"\*Commits? [0-9a-f]{7}\b.* 20\d\d")
OLD = re.compile(
    r"(?i)earlier (?:version|demo)s?|an earlier|version before|settings before|our doing|"
    r"few hours before|no longer|in the version of|that are gone|was measured before"
)


@pytest.fixture(scope="module")
def runs():
    return demo_numbers.read_numbers()


def open_all(runs):
    return {name: demo_numbers.open_studies(stored) for name, stored in runs.items()}


@pytest.mark.parametrize("page", demo_numbers.PAGES, ids=lambda page: page.name)
def test_sections_of_runs_show_the_stored_numbers(runs, page):
    text = page.read_text(encoding="utf-8")
    assert demo_numbers.write_page(text, runs, open_all(runs)) == text, (
        f"{page.name}: a section of a run was edited by hand, or its numbers were; change "
        "docs/demo_sections and run python docs/demo_numbers.py"
    )


def test_every_stored_number_is_shown_and_every_section_stands_somewhere(runs):
    studies = open_all(runs)
    text = "".join(page.read_text(encoding="utf-8") for page in demo_numbers.PAGES)
    shown = {found[2] for found in demo_numbers.SECTION.finditer(text)}
    assert shown == {path.name.split(".")[0] for path in demo_numbers.SECTIONS.iterdir()}
    demo_numbers.write_page(text, runs, studies)
    for run, stored in runs.items():
        assert {
            name: dict(sorted(study.asked.items())) for name, study in studies[run].items()
        } == {name: dict(sorted(numbers.items())) for name, numbers in stored["studies"].items()}


def test_the_readme_shows_no_percentage_that_nothing_guards():
    text = demo_numbers.SECTION.sub("", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert re.findall(r"[0-9.]+ ?%", text) == []


def split_sections(text):
    """Return the parts of a page, each from its heading on."""
    return re.split(r"\n(?=##+ )", text)


def test_every_section_of_results_with_a_table_or_a_command_says_commit_and_day():
    text = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    missing = [
        part.splitlines()[0]
        for part in split_sections(text)
        if ("\n|---" in part and not DATED.search(part.partition("\n|---")[0]))
        or ("\n    " in part and not DATED.search(part))
    ]
    assert missing == [], "say commit and day, in italics, before the first table of the section"


def test_results_tell_of_todays_code_alone():
    text = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    assert re.findall(OLD, text) == [], "history belongs into CHANGELOG.md"


def test_numbers_of_a_report_are_stored_with_what_they_depend_on(tmp_path, monkeypatch, runs):
    (tmp_path / "sections").mkdir()
    (tmp_path / "sections" / "one.md.j2").write_text(
        "{{ measured }}\n{{ some.shares('a.image.accuracy') }}, "
        "{{ some.signed('paired/difference/first=a,second=b', 1, 100) }}\n"
    )
    page, numbers = tmp_path / "page.md", tmp_path / "numbers.yaml"
    page.write_text("before\n<!-- demo: one -->\nold\n<!-- end of demo -->\nafter\n")
    demo = runs[demo_numbers.DEMO]
    numbers.write_text(yaml.safe_dump({demo_numbers.DEMO: {**demo, "studies": {"some": {}}}}))
    tables = tmp_path / "reports" / "some" / "tables"
    tables.mkdir(parents=True)
    (tmp_path / "reports" / "index.html").touch()
    (tables.parent / "metrics.json").write_text(
        '{"a.image.accuracy": 0.8512, "a.image.accuracy_sd": 0.02, "a.image.n": 7}'
    )
    (tables.parent / "summary.json").write_text('{"generated": true}')
    (tables / "paired.csv").write_text("first,second,difference\na,b,-0.25\na,c,0.5\n")
    for name, value in {"SECTIONS": "sections", "NUMBERS": "numbers.yaml"}.items():
        monkeypatch.setattr(demo_numbers, name, tmp_path / value)
    monkeypatch.setattr(demo_numbers, "PAGES", (page,))
    reports = ["--reports", str(tmp_path / "reports")]
    assert demo_numbers.main([*reports, "--commit", "abcdef1", "--machine", "a desk"]) == 0
    written = page.read_text()
    assert "\n85.1 ± 2.0 %, −25.0\n<!-- end of demo -->\nafter\n" in written
    assert "*Commit abcdef1, " in written
    kept = demo_numbers.read_numbers()[demo_numbers.DEMO]
    assert kept["studies"]["some"] == {
        "a.image.accuracy": 0.8512,
        "a.image.accuracy_sd": 0.02,
        "paired/difference/first=a,second=b": -0.25,
    }
    assert demo_numbers.main([]) == 0  # the same, without the reports
    assert page.read_text() == written
    assert demo_numbers.main([*reports, "--check"]) == 0
    (tables.parent / "metrics.json").write_text('{"a.image.accuracy": 0.7, "a.image.n": 7}')
    assert demo_numbers.main([*reports, "--check"]) == 1
    (tables.parent / "summary.json").write_text('{"generated": false}')
    with pytest.raises(ValueError, match="other data"):
        demo_numbers.main(reports)


def test_what_moved_beyond_the_tolerance_is_named():
    old = {"a.image.accuracy": 0.8, "a.image.mape": 4.0, "a.image.n": 9.0}
    assert demo_numbers.list_moved(old, {**old, "a.image.accuracy": 0.89}) == []
    assert demo_numbers.list_moved(old, {**old, "a.image.accuracy": 0.91}) == [
        "a.image.accuracy: 0.8, now 0.91"
    ]
    assert demo_numbers.list_moved(old, {**old, "a.image.mape": 4.9}) == []
    assert demo_numbers.list_moved(old, {**old, "a.image.mape": 5.1}) != []
    assert "no number any more" in demo_numbers.list_moved(old, {"a.image.n": 9.0})[0]


def test_runs_are_renewed_in_folders_of_their_own_and_missing_data_are_named(
    tmp_path, monkeypatch, capsys
):
    """Runs work beside the demo's reports; one without its data is left out."""
    monkeypatch.setattr(demo_numbers, "WORKPLACE", tmp_path)
    called = []
    monkeypatch.setattr(
        demo_numbers.subprocess, "run", lambda words, **how: called.append((words, how))
    )
    run = {"command": "snakemake --configfile configs/a.yaml -- some", "minutes": 3}
    assert demo_numbers.renew_run("one", run) == tmp_path / "one" / "reports"
    words, how = called[0]
    assert words == ["snakemake", "--snakefile", str(ROOT / "Snakefile"), "--configfile",
                     str(ROOT / "configs" / "a.yaml"), "--", "some"]  # fmt: skip
    assert how["cwd"] == tmp_path / "one"
    assert (tmp_path / "one" / "data").resolve() == ROOT / "data"
    runs = {
        "one": run,
        "long": {**run, "minutes": 31},
        "away": {**run, "data": ["data/raw/nowhere"]},
    }
    assert demo_numbers.choose_runs([], runs) == ["one"]
    assert "away: left out without data/raw/nowhere" in capsys.readouterr().out
    assert demo_numbers.choose_runs(["long"], runs) == ["long"]
    with pytest.raises(SystemExit, match="no run two; known: one, long, away"):
        demo_numbers.choose_runs(["two"], runs)


def test_reports_of_this_folder_are_within_the_tolerance(runs):
    """Where a demo was run: its numbers are those of the documents, as far as machines agree."""
    stored = runs[demo_numbers.DEMO]
    reports = ROOT / "reports"
    present = [name for name in stored["studies"] if (reports / name / "metrics.json").is_file()]
    kept = {name: demo_numbers.Report(reports / name) for name in present}
    moved = {
        name: demo_numbers.list_moved(
            {key: v for key, v in stored["studies"][name].items() if "/" not in key}, report.metrics
        )
        for name, report in kept.items()
        if report.is_generated
    }
    assert {name: lines for name, lines in moved.items() if lines} == {}
