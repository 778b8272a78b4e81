"""Killed runs, and runs that leave less than they claim; real workflow, stub programs."""

import json
import os
import re
import shutil
import signal
import subprocess
import time

import psutil
import pytest

from tests.conftest import Sandbox, wait_for_program
from tests.small_params import small_params, small_study
from tests.stub_programs import FAILS, PAUSE, write_stub
from tests.terminal import run_at_terminal, show_screen
from tests.time_limits import stretch_limit

pytestmark = pytest.mark.workflow
COMMAND = ("--cores", "1", "--", "check")


class StubbedSandbox:
    """A sandbox in which programs leave empty results at once."""

    def __init__(self, box: Sandbox) -> None:
        self.box, self.root = box, box.root
        self.path = write_stub(box.root.parent / "stub")
        self.published = box.root / "work" / "check" / "published.json"

    def run(self, *arguments: str, check: bool = True, **environment: str):
        return self.box.snakemake(*arguments, check=check, PATH=self.path, **environment)

    def run_at_terminal(self, columns: int, **environment: str) -> tuple[int, list[str], str]:
        """Return the status, the screen in the end, and all that was written."""
        variables = self.box.variables | environment | {"PATH": self.path}
        command = ["snakemake", *COMMAND]
        status, written = run_at_terminal(command, self.root, variables, columns)
        return status, show_screen(written), written

    def forget_report(self) -> None:
        """Delete the report and the note that it was published."""
        shutil.rmtree(self.root / "work" / "check" / "report")
        self.published.unlink()

    def start(self, seconds: float) -> subprocess.Popen:
        """Start a run whose programs take so long, in a process group of its own."""
        environment = {"PATH": self.path, PAUSE: str(seconds)}
        return self.box.start_command("snakemake", *COMMAND, **environment)


@pytest.fixture(scope="module")
def stubbed(make_sandbox) -> StubbedSandbox:
    box = StubbedSandbox(make_sandbox(small_params(check=small_study())))
    box.run(*COMMAND)
    assert box.published.is_file()
    return box


def test_finished_work_has_no_gap_and_says_so(stubbed):
    # What lies between is not missed as long as nothing is made from it.
    splits = stubbed.root / "work" / "check" / "splits"
    away = splits.rename(stubbed.root / "away")
    for until in ((), ("--until", "split_dataset")):
        done = stubbed.run(*until, *COMMAND)
        assert "Nothing to be done" in done.stdout
        assert "ERROR" not in done.stdout
    away.rename(splits)  # the other tests begin with finished work, whichever are chosen


def test_whatever_job_has_to_run_all_that_is_missing_is_planned(stubbed):
    stubbed.forget_report()
    for rule in ("ingest_dataset", "split_dataset", "track_study"):
        planned = stubbed.box.planned_rules("check", "-R", rule)
        assert {"report_study", "publish_study"} <= set(planned), rule
    said = stubbed.run(*COMMAND).stdout
    assert "] check: write the report (report_study, " in said
    assert "\x1b" not in said  # this is no terminal
    assert stubbed.published.is_file()


def test_run_that_leaves_a_gap_does_not_end_well(stubbed):
    # Snakemake does not look behind such a link if the job before it has to run.
    texts = {stubbed.root / "rules" / f"{name}.smk": "" for name in ("publish", "track")}
    for path in texts:
        texts[path] = text = path.read_text()
        link = "report=WORK.report,"
        assert link in text
        path.write_text(text.replace(link, "report=ancient(WORK.report),"))
    stubbed.published.unlink()
    target = "work/check/published.json"
    done = stubbed.run("--cores", "1", "-R", "report_study", "--", target, check=False)
    for path, text in texts.items():
        path.write_text(text)
    stubbed.run(*COMMAND)
    assert done.returncode != 0
    assert "ERROR: The run has ended, but what was asked for is not complete" in done.stdout
    assert "work/check/published.json" in done.stdout
    assert "Traceback" not in done.stdout


@pytest.mark.parametrize("victim", ["group", "snakemake"])
def test_killed_run_goes_on_with_the_same_command(stubbed, victim):
    stubbed.forget_report()
    process = stubbed.start(seconds=60)
    job = wait_for_program(process.pid, "stub_programs.py")
    # What this run is about to write is not taken for damaged by the next.
    noted = json.loads((stubbed.root / "work" / "digests.json").read_text())
    assert "work/check/comparison" in noted
    assert "work/check/report" not in noted
    busy = stubbed.run(*COMMAND, check=False)
    assert "report_study" in stubbed.box.planned_rules("check")  # looking is allowed meanwhile
    (os.killpg if victim == "group" else os.kill)(process.pid, signal.SIGKILL)
    process.wait()
    psutil.wait_procs([job], timeout=stretch_limit(20))
    assert not job.is_running() or job.status() == "zombie"
    # While it lived it was named, and nothing was touched.
    assert busy.returncode != 0
    assert f"another run is at work in this folder (process {process.pid} " in busy.stdout
    done = stubbed.run(*COMMAND)
    assert f"(process {process.pid}, begun" in done.stdout
    assert "its lock is released" in done.stdout
    assert "--unlock" not in done.stdout
    assert stubbed.published.is_file()
    assert "Nothing to be done" in stubbed.run(*COMMAND).stdout


def test_interrupted_run_ends_and_goes_on_with_the_same_command(stubbed):
    # SIGINT to Snakemake alone, as of `kill -INT`: Ctrl-C in a terminal reaches its programs too.
    stubbed.forget_report()
    process = stubbed.start(seconds=600)
    job = wait_for_program(process.pid, "stub_programs.py")
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=stretch_limit(120)) != 0
    psutil.wait_procs([job], timeout=stretch_limit(20))
    assert not job.is_running() or job.status() == "zombie"
    assert not stubbed.published.exists()
    stubbed.run(*COMMAND)
    assert stubbed.published.is_file()


def test_damaged_results_are_made_again_when_they_are_needed(stubbed):
    report = stubbed.root / "work" / "check" / "report"
    comparison = stubbed.root / "work" / "check" / "comparison" / "result.txt"
    comparison.write_text("garbage")
    (report / "result.txt").unlink()
    stubbed.published.unlink()
    # The clock was set back by a day since the results were made.
    for path in (stubbed.root / "work").rglob("*"):
        os.utime(path, (time.time() + 86_400,) * 2)
    done = stubbed.run(*COMMAND)
    assert "dated later than the clock" in done.stdout
    for name in ("report", "comparison"):
        assert f"work/check/{name}: damaged or changed since its job wrote it" in done.stdout
    assert comparison.read_text() == "a result\n"
    assert (report / "result.txt").is_file()
    assert stubbed.published.is_file()
    assert "Nothing to be done" in stubbed.run(*COMMAND).stdout


def test_terminal_has_a_bar_and_failed_jobs_are_told_above_it(stubbed):
    stubbed.forget_report()
    status, screen, written = stubbed.run_at_terminal(60, **{FAILS: "report_study"})
    assert status == 1
    told = [line for line in screen if line]
    place = told.index("FAILED  check: write the report (report_study)")
    assert told[place + 1 : place + 3] == [
        "        figures: nothing to draw",
        "        log: work/check/logs/report_study.log",
    ]
    (bar,) = [i for i, line in enumerate(told) if line.startswith("check ━")]
    assert place < bar < told.index("What went wrong:")
    assert "failed: write the report" in told[bar]
    assert "what a program says" not in written
    log = stubbed.root / ".snakemake" / "log" / "programs.log"
    assert log.read_text().endswith("what a program says\n")
    status, screen, _ = stubbed.run_at_terminal(60)
    assert status == 0
    assert stubbed.published.is_file()
    (bar,) = [line for line in screen if line.startswith("check ")]
    assert re.fullmatch(r"check ━{12} 3/3 +done in \d+ s", bar)
    assert not any("(report_study" in line or "Job stats" in line for line in screen)
