"""Bars of a run at a terminal: jobs, time left, and the training that runs."""

import io
import logging
import re
from types import SimpleNamespace

import pytest
from rich.console import Console

from batteryscope.workflow.job_costs import PlannedJob, expect_seconds
from batteryscope.workflow.run_bars import RunBars, make_bars
from batteryscope.workflow.run_log import RunLogHandler
from batteryscope.workflow.running_jobs import read_epoch
from tests.terminal import show_screen

COLUMNS = 60
TERMINAL = {"TERM": "xterm-256color"}


class Screen(io.StringIO):
    """What a terminal is sent."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def run(tmp_path):
    """Bars of two studies on two cores, their clock, and the screen."""
    screen, clock = Screen(), SimpleNamespace(now=0.0)
    console = Console(
        file=screen, force_terminal=True, width=COLUMNS, color_system=None, markup=False
    )
    bars = RunBars(console, lambda: clock.now)
    jobs = [
        PlannedJob("train_stage", "cells", "work/cells/benchmarks/train_stage_a.tsv", 2),
        PlannedJob("report_study", "cells", "work/cells/benchmarks/report_study.tsv", 1),
        PlannedJob("report_study", "scans", "work/scans/benchmarks/report_study.tsv", 1),
    ]
    bars.expect(jobs, [600.0, 60.0, None], cores=2)
    yield SimpleNamespace(bars=bars, clock=clock, screen=screen, jobs=jobs, folder=tmp_path)
    bars.close()


def begin_training(run):
    log = run.folder / "train_stage_a.log"
    log.write_text(
        "2026-01-02 10:00:00,000 INFO started\n"
        "2026-01-02 10:00:09,000 INFO cells pre, fit 2 of 5 (a): epoch 3 of 12, loss 0.3\n"
    )
    key = run.jobs[0].benchmark
    run.bars.begin_job(7, key, "cells: train per_image-0a1b2c3d", [str(log)])


def test_time_left_counts_what_is_known_and_says_what_is_not(run):
    assert run.bars.tell_time_left("cells") == "10 min"  # 600 s on both cores, 60 s on one of two
    assert run.bars.tell_time_left("scans") == ""
    assert run.bars.tell_time_left("all") == "> 10 min"
    begin_training(run)
    run.clock.now = 300.0
    assert run.bars.tell_time_left("cells") == "6 min"
    run.clock.now = 900.0  # longer than the last time
    assert run.bars.tell_time_left("cells") == "30 s"
    run.bars.end_job(7)
    run.bars.begin_job(8, run.jobs[1].benchmark, "cells: write the report", [])
    run.clock.now = 940.0
    run.bars.end_job(8)
    assert run.bars.tell_time_left("scans") == "20 s"  # as long as that of the other study


def test_lines_name_the_epoch_and_fit_into_a_narrow_terminal(run):
    begin_training(run)
    assert run.bars.tell_work("cells") == "epoch 3/12, fit 2/5, train per_image"
    run.bars.say("cells: WARNING: a picture is dark")
    run.clock.now = 120.0
    for number in (7, 8):
        run.bars.end_job(number)
    run.bars.close()
    lines = show_screen(run.screen.getvalue())
    assert all(len(line) <= COLUMNS for line in lines)
    assert lines[0] == "cells: WARNING: a picture is dark"
    assert [line.split()[0] for line in lines[1:] if line] == ["cells", "scans", "all"]
    counts = [re.search(r"\d+/\d+", line).group() for line in lines[1:] if line]
    assert counts == ["1/2", "0/1", "1/3"]


def test_study_is_done_or_failed(run):
    for number, job in enumerate(run.jobs[:2]):
        run.bars.begin_job(number, job.benchmark, "a job", [])
        run.clock.now += 50.0
        run.bars.end_job(number)
    assert run.bars.tell_work("cells") == "done in 2 min"
    run.bars.begin_job(5, run.jobs[2].benchmark, "scans: write the report", [])
    run.bars.fail_job(5)
    assert run.bars.tell_work("scans") == "failed: write the report"


def test_job_without_a_sentence_points_to_what_programs_said(run):
    standard = logging.StreamHandler(run.screen)
    handler = RunLogHandler(standard, run.screen, bars=run.bars)
    logger = logging.Logger("run", logging.INFO)
    logger.addHandler(handler)
    shell = handler.keep_output(run.folder / "log" / "programs.log")
    assert shell == f"exec >> {run.folder}/log/programs.log 2>&1; "
    job = {"jobid": 3, "rule_name": "train_stage", "log": ["no/such.log"]}
    info = {"event": "job_info", "rule_msg": "cells: train", "benchmark": run.jobs[0].benchmark}
    logger.info("Rule", extra={**job, **info})
    logger.error("Error in rule", extra={**job, "event": "job_error"})
    logger.info("1 of 2 steps", extra={"event": "progress", "done": 1, "total": 2})
    logger.warning("a disk is slow")
    handler.close()
    told = [line.strip() for line in show_screen(run.screen.getvalue())]
    assert told[:4] == [
        "FAILED  cells: train (train_stage)",
        "log: no/such.log",
        f"log: {run.folder}/log/programs.log",
        "a disk is slow",
    ]


def test_a_killed_program_is_spoken_for(run):
    handler = RunLogHandler(logging.StreamHandler(run.screen), run.screen, bars=run.bars)
    logger = logging.Logger("run", logging.INFO)
    logger.addHandler(handler)
    for end in ("returned non-zero exit status 1.", "died with <Signals.SIGKILL: 9>."):
        text = f"CalledProcessError in file x.smk\nCommand 'python' {end}"
        logger.error(text, extra={"event": "error"})
    handler.close()
    told = " ".join(show_screen(run.screen.getvalue()))
    assert told.count("memory ran out") == 1
    assert "CalledProcessError" not in told


def test_interrupted_jobs_are_no_failures(run):
    handler = RunLogHandler(logging.StreamHandler(run.screen), run.screen, bars=run.bars)
    logger = logging.Logger("run", logging.INFO)
    logger.addHandler(handler)
    run.bars.begin_job(3, run.jobs[0].benchmark, "cells: train", [])
    logger.warning("Terminating processes on user request, this might take some time.")
    logger.error("RuleException:\nCalledProcessError in file x", extra={"event": "error"})
    job = {"jobid": 3, "rule_name": "train_stage", "log": [], "event": "job_error"}
    logger.error("Error in rule", extra=job)
    handler.close()
    written = "\n".join(show_screen(run.screen.getvalue()))
    assert "Terminating" in written
    assert "FAILED" not in written
    assert "CalledProcessError" not in written
    assert run.bars.tell_work("cells") == "stopped: train"


def test_bars_are_for_terminals_that_can_move_their_cursor():
    assert make_bars(io.StringIO(), TERMINAL) is None
    assert make_bars(Screen(), {"TERM": "dumb"}) is None
    assert isinstance(make_bars(Screen(), TERMINAL), RunBars)


def test_epoch_is_the_last_one_of_a_log(tmp_path):
    log = tmp_path / "train.log"
    log.write_text("INFO a, fit 1 of 2: epoch 9 of 9\nINFO a, fit 2 of 2 (x): epoch 1 of 9, 3 s\n")
    assert read_epoch(log) == "epoch 1/9, fit 2/2"
    assert read_epoch(tmp_path / "none.log") == ""


def test_expected_seconds_are_those_of_the_job_then_of_its_rule(tmp_path):
    folder = tmp_path / "cells" / "benchmarks"
    folder.mkdir(parents=True)
    for name, seconds in (("train_stage_a", 10), ("train_stage_b", 30), ("train_stage_c", 20)):
        (folder / f"{name}.tsv").write_text(f"s\th:m:s\n{seconds}\t0\n")
    jobs = [
        PlannedJob(rule, "cells", str(folder / f"{name}.tsv"), 1)
        for rule, name in [("train_stage", "train_stage_a"), ("train_stage", "x"), ("report", "y")]
    ]
    assert expect_seconds(jobs, ["train_stage", "report"], tmp_path) == [10.0, 20.0, None]
