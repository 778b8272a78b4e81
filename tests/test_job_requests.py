"""What jobs ask of a cluster."""

import re
from pathlib import Path

import pytest
import yaml

from batteryscope.workflow.job_requests import (
    MeasuredJobs,
    measure_jobs,
    request_memory_mb,
    request_minutes,
)

ROOT = Path(__file__).resolve().parent.parent
RULES = ("train_stage", "train_stage_point", "split_dataset")


@pytest.fixture
def work(tmp_path):
    for study, name, seconds, peak in (
        ("mine", "train_stage_fit-1_part0", 600, 3000),
        ("mine", "train_stage_fit-1_part1", 900, 2000),
        ("other", "train_stage_fit-2_part0", 50, 4000),
        ("other", "train_stage_point_7", 7, 100),
    ):
        for kind in ("benchmarks", "logs"):
            (tmp_path / study / kind).mkdir(parents=True, exist_ok=True)
        # max_rss is that of the waiting program where the work was done in a fork.
        (tmp_path / study / "benchmarks" / f"{name}.tsv").write_text(f"s\tmax_rss\n{seconds}\t1\n")
        (tmp_path / study / "logs" / f"{name}.log").write_text(
            f"x INFO finished after 4.1 s of CPU time, {peak} MB of memory at most\n"
        )
    return tmp_path


def test_the_most_that_a_rule_took_counts_by_study(work):
    found = measure_jobs(work, RULES, {})
    assert found["train_stage", "mine"] == MeasuredJobs(900, 3000)
    assert found["train_stage", "other"] == MeasuredJobs(50, 4000)
    assert found["train_stage_point", "other"] == MeasuredJobs(7, 100)
    assert len(found) == 3


def test_what_was_measured_at_another_scale_does_not_count(work):
    (work / "mine" / "benchmarks" / "times_are_of.txt").write_text("scale demo, generated")
    found = measure_jobs(work, RULES, {"mine": "scale paper, generated"})
    assert ("train_stage", "mine") not in found
    assert found["train_stage", "other"] == MeasuredJobs(50, 4000)


def test_a_job_without_a_log_tells_its_time_only(work):
    (work / "other" / "logs" / "train_stage_point_7.log").unlink()
    assert measure_jobs(work, RULES, {})["train_stage_point", "other"] == MeasuredJobs(7, 0)


def test_requests_have_a_margin_and_double_with_each_attempt():
    measured = MeasuredJobs(seconds=900, memory_mb=3000)
    assert [request_minutes(measured, n, 60) for n in (1, 2, 3)] == [45, 90, 180]
    assert [request_memory_mb(measured, n, 6000) for n in (1, 2, 3)] == [4500, 9000, 18000]
    assert request_minutes(MeasuredJobs(seconds=1), 1, 60) == 10
    assert request_memory_mb(MeasuredJobs(seconds=1), 2, 2000) == 4000
    assert (request_minutes(None, 1, 60), request_memory_mb(None, 1, 2000)) == (60, 2000)


def test_profiles_for_clusters_name_rules_that_exist():
    profile = ROOT / "profiles" / "slurm" / "config.yaml"
    groups = yaml.safe_load(profile.read_text())["groups"]
    for name in ("cluster-generic", "kubernetes"):
        other = yaml.safe_load((ROOT / "profiles" / name / "config.yaml").read_text())
        assert other["groups"] == groups
        assert {"mem_mb=2000", "runtime=60", "gpu=0"} == set(other["default-resources"])
    named = [line.partition("=")[0] for line in groups]
    named += re.findall(r"^# +- (\w+):gpu=0$", profile.read_text(), re.MULTILINE)
    text = "\n".join(path.read_text() for path in (ROOT / "rules").glob("*.smk"))
    rules = set(re.findall(r"^\s*(?:use rule \w+ as|rule) (\w+)", text, re.MULTILINE))
    with_gpu = set(
        re.findall(r"^rule (\w+):(?:(?!^rule )[\s\S])*?^        gpu=", text, re.MULTILINE)
    )
    assert set(named) <= rules
    assert with_gpu == set(re.findall(r"(\w+):gpu=0", profile.read_text()))
