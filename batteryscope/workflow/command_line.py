"""What all programs share: arguments, logging, and errors as one sentence."""

import argparse
import ctypes
import errno
import logging
import os
import resource
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from batteryscope.core.disk_space import find_full_disk
from batteryscope.core.process_end import end_with_run

# What is imported here costs every job twice: before and after it goes on in a fork.
from batteryscope.core.progress import log
from batteryscope.core.safe_text import show_controls
from batteryscope.core.waiting_threads import let_waiting_threads_sleep
from batteryscope.errors import BatteryscopeError
from batteryscope.workflow.fork_client import run_in_fork

# Numbers of glibc's malloc.h.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4
_NEVER = 2**31 - 1  # bytes; the largest value that mallopt takes
_GROWTH_BYTES = 64 * 2**20


def keep_freed_memory() -> bool:
    """Make the C library keep what is freed, instead of giving it back and asking for it again.

    Every layer of a network allocates its result anew. glibc maps an array of that size from the
    system and unmaps it when it is freed, so that every page of every result of every step is
    faulted in again: a fifth to a third of the time of training a small network on a CPU. The
    most memory that a process has is hardly changed by this, but it has it until it ends.

    Returns
    -------
    bool
        Whether it had an effect; False without glibc, where nothing is changed.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    settings = ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, _NEVER), (_TOP_PAD, _GROWTH_BYTES))
    return min(mallopt(name, value) for name, value in settings) == 1


# What the operating system says of places that may not be written (or read).
_REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS)


def make_parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser with the option that every program has: ``--log``."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--log", type=Path, help="also write messages to this file")
    return parser


def add_where(parser: argparse.ArgumentParser) -> None:
    """Add ``--where``: the samples that a study tests, as JSON (``split.test_where``)."""
    parser.add_argument(
        "--where", default="{}", help="only samples with these values (JSON), as split.test_where"
    )


def add_table_format(parser: argparse.ArgumentParser) -> None:
    """Add the options that state how a table is written, as ``TableFormat``."""
    parser.add_argument(
        "--encoding", default="auto", help="encoding of a CSV file, such as cp1252 (default: found)"
    )
    parser.add_argument("--separator", default="auto", help="of a CSV file (default: found)")
    parser.add_argument(
        "--decimal", default="auto", choices=("auto", ".", ","), help="sign of decimals in text"
    )
    parser.add_argument("--sheet", default=0, help="of an Excel file: name, or number from 0")


def add_tracking_uri(parser: argparse.ArgumentParser) -> None:
    """Add ``--uri``, the tracking store; by default the environment says it, unseen by others."""
    parser.add_argument(
        "--uri",
        default=os.environ.get("MLFLOW_TRACKING_URI", ""),
        help="the tracking store; empty: none (default: MLFLOW_TRACKING_URI)",
    )


def run_program(
    work: Callable[[argparse.Namespace], None],
    parser: argparse.ArgumentParser,
    argv: Sequence[str] | None = None,
    heavy: bool = False,
) -> int:
    """Parse arguments, run, and turn errors into one sentence and an exit status.

    Parameters
    ----------
    work
        Gets the arguments.
    parser
        Of the program.
    argv
        The words of the command line; None: those of this process, which may then continue in a
        fork of the workflow's server.
    heavy
        Whether the work needs PyTorch, so that waiting for such a fork pays.

    Returns
    -------
    int
        0 on success; 1 after an error that the user can act on, or an unexpected one,
        whose traceback then stands in the log only (or, without ``--log``, on the terminal).
    """
    arguments = parser.parse_args(argv)
    end_with_run()
    let_waiting_threads_sleep()
    if argv is None and (status := run_in_fork(heavy)) is not None:
        return status
    if heavy:
        keep_freed_memory()
    try:
        configure_logging(arguments.log)
        work(arguments)
        note_cost(arguments.log)
    except BatteryscopeError as error:
        log.error("%s", error)
        return 1
    except Exception as error:
        paths = [value for value in vars(arguments).values() if isinstance(value, Path)]
        if sentence := find_full_disk(error, paths):
            log.error("%s", sentence)
        elif isinstance(error, OSError) and error.errno in _REFUSED and error.filename:
            log.error("%s: %s; check its permissions.", error.filename, error.strerror)
        else:  # the last resort: a clear line for the user, details in the log
            _report_unexpected(error, arguments.log)
        return 1
    return 0


def configure_logging(path: Path | None = None) -> None:
    """Send messages to the terminal and, if given, to a log file."""
    log.handlers.clear()
    log.setLevel(logging.INFO)
    log.propagate = False
    terminal = _ProgressSafeHandler()
    terminal.setFormatter(_TerminalFormatter())
    log.addHandler(terminal)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("w").close()
        # Appending, because details of an unexpected error are added beside the handler.
        file = _ForgivingFileHandler(path, mode="a", encoding="utf-8")
        file.setFormatter(_FileFormatter("%(asctime)s %(levelname)s %(message)s"))
        log.addHandler(file)
        # This line also claims a block of the disk, so that there is room to say it is full.
        file.handle(log.makeRecord(log.name, logging.INFO, "", 0, "started", (), None))


def note_cost(path: Path | None) -> None:
    """Write to the log file what this process has used; a fork stands in no benchmark file."""
    own, others = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    seconds = own.ru_utime + own.ru_stime + others.ru_utime + others.ru_stime
    megabytes = max(own.ru_maxrss, others.ru_maxrss) // 1024
    text = f"finished after {seconds:.1f} s of CPU time, {megabytes} MB of memory at most"
    for handler in log.handlers if path else []:
        if isinstance(handler, logging.FileHandler):
            handler.handle(log.makeRecord(log.name, logging.INFO, "", 0, text, (), None))


class _ForgivingFileHandler(logging.FileHandler):
    """A log file; what cannot be written (full disk) still stands on the terminal."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (logging's name)
        pass

    def close(self) -> None:
        with suppress(OSError):
            super().close()


class _ProgressSafeHandler(logging.Handler):
    """Writes above a progress bar instead of through it."""

    def emit(self, record: logging.LogRecord) -> None:
        if sys.stderr.isatty():
            from tqdm import tqdm

            tqdm.write(self.format(record), file=sys.stderr)
        else:  # where nothing can be overwritten, tqdm would add its bar to every message
            with suppress(OSError):  # it may be a file on a full disk, which the log tells of
                print(self.format(record), file=sys.stderr)


class _TerminalFormatter(logging.Formatter):
    """Plain text for information, ``WARNING: …`` and ``ERROR: …`` for the rest."""

    def format(self, record: logging.LogRecord) -> str:
        prefix = "" if record.levelno <= logging.INFO else f"{record.levelname}: "
        return prefix + show_controls(record.getMessage())


class _FileFormatter(logging.Formatter):
    """Messages without commands to the terminal on which somebody may read the file."""

    def format(self, record: logging.LogRecord) -> str:
        return show_controls(super().format(record))


def _report_unexpected(error: BaseException, log_path: Path | None) -> None:
    details = "".join(traceback.format_exception(error))
    if log_path is None:
        log.error("%s", details)
    else:
        with suppress(OSError), log_path.open("a", encoding="utf-8") as stream:
            stream.write(show_controls(details))
        log.error(
            "Unexpected %s: %s. This is a defect of Batteryscope; the details are in %s.",
            type(error).__name__,
            error,
            log_path,
        )
