"""What a run says on the terminal: a line per job, and what went wrong as Snakemake says it."""

import io
import logging
import re
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from snakemake.cli import get_argument_parser

from batteryscope.command.arguments import plan_run
from batteryscope.workflow.run_log import RunLogHandler, shorten_run_log


@pytest.fixture
def told():
    """A logger as Snakemake's, shortened, and what it has written."""
    stream = io.StringIO()
    logger = logging.Logger("run", logging.INFO)
    standard = logging.StreamHandler(stream)
    standard.name = "DefaultStreamHandler"
    logger.addHandler(standard)
    shorten_run_log(logger, SimpleNamespace(quiet=set(), verbose=False))
    (handler,) = logger.handlers
    assert isinstance(handler, RunLogHandler)

    def tell(text="", level=logging.INFO, **extra):
        logger.log(level, text, extra=extra)

    def read():
        return [re.sub(r"^[\d:]{8} ", "", line) for line in stream.getvalue().splitlines()]

    return handler, tell, read


def test_a_job_is_a_line_with_study_rule_and_duration(told):
    _, tell, read = told
    tell("Building DAG of jobs...")
    tell("Workflow has started!", event="workflow_started")
    tell("Job stats: …", event="run_info", stats={"total": 2, "train_stage": 1})
    tell("Execute 1 jobs...", event="job_started")
    job = {"jobid": 3, "rule_msg": "cells: train", "rule_name": "train_stage"}
    tell("Rule: train_stage", event="job_info", reason="a long paragraph", **job)
    tell("Shell command: …", event="shellcmd")
    tell("Finished jobid: 3", event="job_finished", job_id=3)
    tell(event="progress", done=1, total=2)
    tell("Nothing to be done")
    assert read() == ["2 jobs", "[1 of 2] cells: train (train_stage, 0.0 s)", "Nothing to be done"]


@pytest.mark.parametrize("asked", ["verbose", "printshellcmds", "debug_dag"])
def test_who_asks_for_snakemakes_own_output_gets_it(asked):
    words = plan_run(["cathode_state", f"--{asked.replace('_', '-')}"], Path())
    arguments, _ = get_argument_parser().parse_known_args(words)
    assert getattr(arguments, asked) is True
    logger, stream = logging.Logger("run", logging.INFO), io.StringIO()
    standard = logging.StreamHandler(stream)
    standard.name = "DefaultStreamHandler"
    logger.addHandler(standard)
    assert shorten_run_log(logger, arguments) is None
    assert logger.handlers == [standard]
    logger.info("Shell command: …", extra={"event": "shellcmd"})
    assert stream.getvalue() == "Shell command: …\n"


def test_a_long_job_is_told_of_while_it_runs(told):
    handler, tell, read = told
    handler._long_job_s = 0.01
    tell(event="job_info", jobid=1, rule_msg="cells: train", rule_name="train_stage")
    deadline = time.monotonic() + 5
    while not read() and time.monotonic() < deadline:
        time.sleep(0.01)
    tell(event="job_finished", job_id=1)
    tell(event="progress", done=1, total=1)
    assert [line.split(" (")[0] for line in read()] == ["cells: train …", "[1 of 1] cells: train"]


def test_what_went_wrong_is_said_as_before(told):
    _, tell, read = told
    tell(event="job_info", jobid=1, rule_msg="cells: train", rule_name="train_stage")
    tell("Error in rule train_stage", logging.ERROR, event="job_error", jobid=1)
    tell("Select jobs: a warning", logging.WARNING)
    assert read() == ["Error in rule train_stage", "Select jobs: a warning"]


@pytest.mark.parametrize(
    ("end", "advised"),
    [
        ("died with <Signals.SIGKILL: 9>.", True),
        ("returned non-zero exit status 137.", True),
        ("returned non-zero exit status 1.", False),
    ],
)
def test_a_program_that_could_say_nothing_is_spoken_for(told, end, advised):
    _, tell, read = told
    tell(f"Command 'python train_stage.py' {end}", logging.ERROR, event="error")
    assert ("memory ran out" in read()[-1]) == advised


def test_who_asks_for_more_gets_it():
    logger = logging.Logger("run")
    standard = logging.StreamHandler()
    standard.name = "DefaultStreamHandler"
    logger.addHandler(standard)
    shorten_run_log(logger, SimpleNamespace(printshellcmds=True))
    assert logger.handlers == [standard]
