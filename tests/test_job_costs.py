"""What a run will take, judged by the benchmark files of earlier jobs."""

import os
from types import SimpleNamespace

import pytest

from batteryscope.workflow.job_costs import (
    CONTEXT_NAME,
    PlannedJob,
    describe_context,
    describe_cost,
    estimate_cost,
    note_context,
    read_seconds,
)

RULES = ["train_stage", "train_stage_twice", "report"]


@pytest.fixture
def work(tmp_path):
    for study, name, seconds in (
        ("a", "train_stage_x", 10),
        ("a", "train_stage_y", 30),
        ("a", "train_stage_twice_x", 1000),
        ("b", "report", 5),
    ):
        path = tmp_path / study / "benchmarks" / f"{name}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"s\th:m:s\tmax_rss\n{seconds}\t0:00:10\t5\n")
    (tmp_path / "a" / "benchmarks" / "report.tsv").write_text("half a fi")
    return tmp_path


def job(rule, study, work, benchmark="none", cores=1):
    return PlannedJob(rule, study, str(work / study / "benchmarks" / f"{benchmark}.tsv"), cores)


def test_own_time_then_the_study_then_any_study(work):
    jobs = [
        job("train_stage", "a", work, "train_stage_x"),  # 10 s, its own
        job("train_stage", "a", work, "train_stage_new", cores=64),  # 20 s on both cores
        job("report", "a", work),  # 5 s, of another study
        job("publish", "a", work),
    ]
    estimate = estimate_cost(jobs, RULES, work, cores=2)
    assert (estimate.jobs, estimate.known) == (4, 3)
    assert estimate.core_seconds == 10 + 2 * 20 + 5
    assert dict(estimate.unknown) == {"publish": 1}
    assert describe_cost(estimate, 2) == (
        "Expected: 4 jobs; 3 of them take about 28 s on 2 cores, judged by earlier runs. "
        "Nothing is known yet of: publish (1)."
    )


def test_times_of_another_scale_or_of_other_images_do_not_count(work):
    generated = describe_context("demo", SimpleNamespace(path=None))
    measured = describe_context("paper", SimpleNamespace(files=[SimpleNamespace(path="a.csv")]))
    assert (generated, measured) == ("scale demo, generated", "scale paper, a.csv")
    jobs = [job("train_stage", "a", work, "train_stage_x")]
    assert estimate_cost(jobs, RULES, work, 2, {"a": generated}).known == 1  # nothing is noted yet
    for path in (work / "a" / "benchmarks").iterdir():
        os.utime(path, (1, 1))  # measured long before
    note_context(work, {"a": generated})
    assert estimate_cost(jobs, RULES, work, 2, {"a": generated}).known == 0
    os.utime(work / "a" / "benchmarks" / "train_stage_x.tsv")  # measured in this run
    note_context(work, {"a": generated})
    assert estimate_cost(jobs, RULES, work, 2, {"a": generated}).core_seconds == 10
    assert estimate_cost(jobs, RULES, work, 2, {"a": measured}).known == 0


def test_a_damaged_note_is_one_of_another_context(work):
    jobs = [job("train_stage", "a", work, "train_stage_x")]
    note = work / "a" / "benchmarks" / CONTEXT_NAME
    note.write_bytes(b"\x85\xff garbage")
    assert estimate_cost(jobs, RULES, work, 2, {"a": "scale demo"}).known == 0
    note_context(work, {"a": "scale demo"})
    assert note.read_text() == "scale demo"


def test_without_earlier_runs(tmp_path):
    estimate = estimate_cost([job("report", "a", tmp_path)], RULES, tmp_path, 2)
    text = "Expected: 1 job; no earlier run tells how long it takes."
    assert describe_cost(estimate, 2) == text
    assert read_seconds(tmp_path / "nothing.tsv") is None
