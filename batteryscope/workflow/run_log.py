"""What a run says: bars at a terminal, elsewhere a line per job; and what went wrong.

Snakemake's paragraphs (why a job runs, its files and resources, tables of jobs) stand in its own
log below ``.snakemake/log``, and on the terminal for those who ask (``--verbose``,
``--printshellcmds``).
"""

import logging
import os
import shlex
import time
from contextlib import nullcontext
from pathlib import Path
from threading import Timer
from typing import TYPE_CHECKING, Any, TextIO

from batteryscope.core.safe_text import show_controls
from batteryscope.workflow.running_jobs import read_messages

if TYPE_CHECKING:
    from batteryscope.workflow.run_bars import RunBars

# Paragraphs of Snakemake by the name of their event; jobs have lines of their own here.
_LEFT_OUT = {"workflow_started", "resources_info", "job_started", "shellcmd", "group_info"}
# Beginnings of what it says without an event.
_NOISE = (
    "Assuming unrestricted", "Building DAG", "Conda environments: ignored", "Group jobs: inactive",
    "Select jobs", "Updating checkpoint", "Using shell",
)  # fmt: skip
_FAILED_COMMAND = "CalledProcessError in file"
_STOPPED = "Terminating processes on user request"
LONG_JOB_S = 10.0
# What Snakemake says of a program that SIGKILL has ended, which could say nothing itself.
_KILLED = ("died with <Signals.SIGKILL", "returned non-zero exit status 137")
KILLED_ADVICE = (
    "A program was killed (SIGKILL), most often by the system because memory ran out: end other "
    "programs or run fewer jobs at a time (--cores 1), and give the same command again; what was "
    "finished is kept."
)


class RunLogHandler(logging.Handler):
    """Handles the messages of Snakemake: short lines for jobs, the rest as it is.

    Parameters
    ----------
    standard
        The handler of Snakemake, for errors, warnings and what is said once.
    stream
        Where lines go.
    long_job_s
        A job that takes longer (s) is also told of while it runs, so that nobody waits in vain.
    bars
        What shows the jobs at a terminal, instead of lines.
    """

    def __init__(
        self,
        standard: logging.Handler,
        stream: TextIO,
        long_job_s: float = LONG_JOB_S,
        bars: "RunBars | None" = None,
    ) -> None:
        super().__init__(standard.level)
        self.bars = bars
        self.programs: Path | None = None
        self._stopped = False
        self._standard, self._stream, self._long_job_s = standard, stream, long_job_s
        self._running: dict[int, tuple[str, str, float, Timer]] = {}
        self._ended: list[int] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Write what is to be said of one message."""
        event = str(getattr(record, "event", None) or "")
        if self.bars is not None:
            self._show_on_bars(self.bars, event, record)
        elif event == "job_info":
            self._note_start(record)
        elif event == "job_finished":
            self._ended.append(int(getattr(record, "job_id", -1)))
        elif event == "progress":
            self._tell_ends(record)
        elif event == "run_info":
            total = (getattr(record, "stats", None) or {}).get("total")
            self._write(f"{total} jobs" if total else record.getMessage())
        elif event in _LEFT_OUT or (not event and self._is_noise(record)):
            return
        else:
            if event == "job_error":
                self._forget(int(getattr(record, "jobid", -1)))
            self._standard.handle(record)
            if _tells_of_kill(record):
                self._write(KILLED_ADVICE)

    def keep_output(self, path: Path) -> str:
        """Keep what programs write from the terminal; return the words of the shell for that.

        Parameters
        ----------
        path
            The file to which it goes, emptied now.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("", encoding="utf-8")
        self.programs = path
        return f"exec >> {shlex.quote(str(path.absolute()))} 2>&1; "

    def close(self) -> None:
        """Let nothing be drawn any more."""
        if self.bars is not None:
            self.bars.close()
        super().close()

    def _show_on_bars(self, bars: "RunBars", event: str, record: logging.LogRecord) -> None:
        if event == "job_info":
            rule = str(getattr(record, "rule_name", ""))
            bars.begin_job(
                int(getattr(record, "jobid", -1)),
                str(getattr(record, "benchmark", None) or ""),
                str(getattr(record, "rule_msg", None) or rule),
                getattr(record, "log", None) or [],
            )
        elif event == "job_finished":
            job = bars.end_job(int(getattr(record, "job_id", -1)))
            if job is not None:
                for line in [t for path in job.logs for t in read_messages(path, "WARNING")]:
                    bars.say(f"{job.study}: WARNING: {show_controls(line)}", "yellow")
        elif event == "job_error":
            self._tell_failure(bars, record)
        elif event in (*_LEFT_OUT, "progress", "run_info") or (
            not event and self._is_noise(record)
        ):
            return
        elif event == "error" and _FAILED_COMMAND in record.getMessage():
            if _tells_of_kill(record) and not self._stopped:
                bars.say(KILLED_ADVICE, "red")
            # All else is told with its job's error.
        elif self._standard.filter(record):
            self._stopped |= record.getMessage().startswith(_STOPPED)
            bars.say(self._standard.format(record), _choose_colour(record.levelno))

    def _tell_failure(self, bars: "RunBars", record: logging.LogRecord) -> None:
        """Say which job has failed, its sentence, and where its log is."""
        job = bars.fail_job(int(getattr(record, "jobid", -1)), self._stopped)
        if self._stopped:  # as was wanted
            return
        rule = str(getattr(record, "rule_name", ""))
        logs = [str(path) for path in getattr(record, "log", None) or []]
        told = [line for log in logs for line in read_messages(Path(log), "ERROR")]
        bars.say(f"FAILED  {f'{job.study}: {job.what} ' if job else ''}({rule})", "red")
        if not told:  # it did not come to that: all that programs have said
            logs = [*logs, self.programs.as_posix()] if self.programs else logs
        for line in [*told, *(f"log: {log}" for log in logs)]:
            bars.say(f"        {show_controls(line)}", "red")

    def _note_start(self, record: logging.LogRecord) -> None:
        number, rule = int(getattr(record, "jobid", -1)), str(getattr(record, "rule_name", ""))
        what = str(getattr(record, "rule_msg", None) or rule)
        self._forget(number)
        timer = Timer(self._long_job_s, self._tell_running, [number])
        timer.daemon = True
        self._running[number] = what, rule, time.monotonic(), timer
        timer.start()

    def _tell_running(self, number: int) -> None:
        with self.lock or nullcontext():
            if number in self._running:
                self._write(f"{self._running[number][0]} …")

    def _tell_ends(self, record: logging.LogRecord) -> None:
        done, total = getattr(record, "done", 0), getattr(record, "total", 0)
        for number in self._ended:
            started = self._forget(number)
            if started is not None:
                what, rule, since = started
                seconds = spell_duration(time.monotonic() - since)
                self._write(f"[{done} of {total}] {what} ({rule}, {seconds})")
        self._ended = []

    def _forget(self, number: int) -> tuple[str, str, float] | None:
        known = self._running.pop(number, None)
        if known is None:
            return None
        known[3].cancel()
        return known[:3]

    def _is_noise(self, record: logging.LogRecord) -> bool:
        return record.levelno <= logging.INFO and record.getMessage().startswith(_NOISE)

    def _write(self, text: str) -> None:
        print(time.strftime("%H:%M:%S"), text, file=self._stream, flush=True)


def _choose_colour(level: int) -> str:
    if level >= logging.ERROR:
        return "red"
    return "yellow" if level >= logging.WARNING else ""


def _tells_of_kill(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.ERROR and any(w in record.getMessage() for w in _KILLED)


def spell_duration(seconds: float) -> str:
    """Return a duration as people say it.

    Examples
    --------
    >>> [spell_duration(s) for s in (0.2, 59.4, 90, 5400)]
    ['0.2 s', '59 s', '1.5 min', '1.5 h']
    """
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"


def shorten_run_log(logger: logging.Logger, shown: Any) -> RunLogHandler | None:
    """Let Snakemake's logger draw bars at a terminal, else write a line per job.

    Parameters
    ----------
    logger
        Its logger, whose handler of the terminal is replaced.
    shown
        What a user asked to see: with ``quiet``, ``verbose``, ``printshellcmds``, ``debug_dag`` or
        a logger of their own everything stays as Snakemake has it.

    Returns
    -------
    RunLogHandler or None
        What took the place of Snakemake's handler.
    """
    asked = ("quiet", "verbose", "printshellcmds", "debug_dag", "log_handler_settings")
    if any(getattr(shown, name, None) for name in asked):
        return None
    for handler in logger.handlers:
        if handler.name == "DefaultStreamHandler" and isinstance(handler, logging.StreamHandler):
            bars = None
            if handler.stream.isatty():  # what draws need not be imported elsewhere
                from batteryscope.workflow.run_bars import make_bars

                colours = not getattr(shown, "nocolor", False)
                bars = make_bars(handler.stream, os.environ, colours)
            shortened = RunLogHandler(handler, handler.stream, bars=bars)
            logger.removeHandler(handler)
            logger.addHandler(shortened)
            return shortened
    return None
