"""What a run tells at its beginning and its end, from plain jobs without Snakemake."""

from pathlib import Path

import pytest

from batteryscope.workflow.run_start import start_run
from batteryscope.workflow.run_watch import RunJob, RunWatch, find_failures, find_gaps


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def watch(jobs: list[RunJob], **settings: object) -> RunWatch:
    return RunWatch(lambda: jobs, lambda: ["train_stage"], lambda: 2, Path("reports"), **settings)  # type: ignore[arg-type]


def train(**changes: object) -> RunJob:
    values = {
        "rule": "train_stage", "study": "a", "inputs": ("in",), "outputs": ("out",),
        "benchmark": "work/a/benchmarks/train_stage.tsv", "is_needed": True, "is_asked": True,
    }  # fmt: skip
    return RunJob(**(values | changes))  # type: ignore[arg-type]


def test_the_cost_is_told_of_jobs_that_do_work(here: Path, capsys) -> None:
    jobs = [train(), train(is_needed=False), train(benchmark="")]
    watched = watch(jobs, contexts={"a": "scale demo, generated"})
    assert len(watched.tell_cost()) == 1
    assert "Expected: 1 job; no earlier run tells how long" in capsys.readouterr().err
    assert watched.begin() == ""  # without bars nothing is moved to a file
    noted = here / "work/a/benchmarks/times_are_of.txt"
    assert noted.read_text() == "scale demo, generated"


def test_gaps_are_what_is_missing_or_old(here: Path) -> None:
    assert "missing: out" in find_gaps([train(has_run=True)])
    (here / "out").write_text("")
    assert find_gaps([train(has_run=True)]) == ""
    assert "not made anew: out" in find_gaps([train(is_outdated=lambda: True)])
    (here / "out").unlink()
    # With --until a finished step is not looked for.
    assert find_gaps([train(is_needed=False)], is_partial=True) == ""
    asked = RunJob("all", "", ("published",), (), is_asked=True)
    assert "missing: published" in find_gaps([asked])


def test_notes_keep_what_a_run_has_left(here: Path) -> None:
    (here / "work").mkdir()
    (here / "work/out").write_text("x")
    job = train(outputs=("work/out",), has_run=True)
    watch([job], keeps_notes=False).note_end()
    assert not (here / "work/digests.json").exists()
    watched = watch([job], keeps_notes=True)
    watched.note_end()
    assert "work/out" in (here / "work/digests.json").read_text()
    watched.note_start()  # what is about to be written is forgotten
    assert "work/out" not in (here / "work/digests.json").read_text()


def test_pages_of_what_was_asked_for_are_told_last(here: Path, capsys) -> None:
    for name in ("a", "b"):
        (here / "reports" / name).mkdir(parents=True)
        (here / "reports" / name / "report.html").write_text("")
    (here / "reports/index.html").write_text("")
    (here / "summary").mkdir()
    (here / "summary/search.html").write_text("")
    a = train(rule="battery_publish_study")
    search = train(rule="summarise_search", outputs=("summary",))
    watch([a]).tell_pages()
    assert capsys.readouterr().err == ""
    watch([a], publishes=True).tell_pages()
    assert capsys.readouterr().err == "Report: reports/a/report.html\n"
    pages = watch([a, train(rule="publish_study", study="b"), search]).find_pages()
    assert [page.name for page in pages] == ["report.html"] * 2 + ["search.html", "index.html"]


def test_failures_are_the_sentences_of_this_run(here: Path) -> None:
    logs = here / "work/a/logs"
    logs.mkdir(parents=True)
    (logs / "x.log").write_text("t INFO fine\nt ERROR a.png: damaged; repair it\n")
    told = find_failures(0)
    assert told == "\nWhat went wrong:\na.png: damaged; repair it"
    assert find_failures(since_s=4e9) == ""


def test_a_run_that_only_shows_claims_and_removes_nothing(here: Path) -> None:
    shown = start_run([], does_work=False, takes_claim=False, on_cluster=False)
    assert (shown.claim, shown.scratch, list(shown.told)) == (None, None, [])
    assert not (here / ".snakemake").exists()
    held = start_run([Path("models")], does_work=True, takes_claim=True, on_cluster=True)
    assert held.claim is not None
    assert held.scratch is None
    held.claim.stream.close()
