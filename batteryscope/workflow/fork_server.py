"""Imports the heavy libraries once for all programs of a run.

A program that trains or explains needs 5 to 10 s of CPU time to import PyTorch, timm and Lightning,
which at demo scale is more than most of its work. This server imports them when the first such
program asks, and then lets every program continue in a fork of itself
(:mod:`batteryscope.workflow.fork_client`). A fork reads the project's own modules anew, so that an
edited module counts at once.

    python -m batteryscope.workflow.fork_server SOCKET     # ends when its standard input is closed
"""

import atexit
import importlib
import json
import os
import runpy
import select
import selectors
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from batteryscope.core.process_end import end_with_parent
from batteryscope.core.waiting_threads import let_waiting_threads_sleep

# Not MLflow: it starts threads of its own, which a fork would not have.
LIBRARIES = (
    "pydantic", "pandas", "pandera.pandas", "pyarrow.parquet", "scipy.signal", "skimage.feature",
    "sklearn.ensemble", "sklearn.metrics", "matplotlib.pyplot", "numba", "torch", "timm",
    "lightning.pytorch", "kornia", "safetensors.torch",
)  # fmt: skip
ACCEPTED, REFUSED, GO = b"Y", b"N", b"G"
REPLY_SECONDS = 10.0


@dataclass
class Request:
    """A program to run: what a process has of its own besides its memory."""

    program: str
    arguments: list[str]
    folder: str
    environment: dict[str, str]
    installation: str
    may_wait: bool
    files: list[int] = field(default_factory=list)


def find_installation() -> str:
    """Return the folder of this Python and its packages, whatever name it was called by.

    Snakemake may run as ``python3.11`` and its programs as ``python``, or through a link.
    """
    return str(Path(sys.prefix).resolve())


def send_request(connection: socket.socket, request: Request) -> None:
    """Send what is asked, as one line."""
    connection.sendall(json.dumps(vars(request)).encode() + b"\n")


def receive_line(connection: socket.socket) -> bytes:
    """Receive up to the end of a line, or of the connection."""
    received = bytearray()
    while not received.endswith(b"\n"):
        if not (piece := connection.recv(65536)):
            break
        received += piece
    return bytes(received)


class ForkServer:
    """Takes requests, forks, hands signals on to the forks, and tells how they ended.

    Parameters
    ----------
    listener
        Bound to the address that programs know.
    lifeline
        A file descriptor; when it is closed at its other end, no more requests are taken.
    libraries
        Modules to import once.
    """

    def __init__(self, listener: socket.socket, lifeline: int, libraries: Sequence[str]) -> None:
        self.listener, self.libraries = listener, libraries
        self.loaded = False
        self.jobs: dict[int, socket.socket] = {}  # by process number
        self.selector = selectors.DefaultSelector()
        self._woken, wake = socket.socketpair()
        wake.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake.fileno())
        self._kept_open = wake
        self.lifeline = lifeline
        self.selector.register(listener, selectors.EVENT_READ, self._answer)
        self.selector.register(lifeline, selectors.EVENT_READ, self._stop_listening)
        self.selector.register(self._woken, selectors.EVENT_READ, self._collect)

    def serve(self) -> Request | None:
        """Answer until the lifeline is closed and all forks have ended.

        Returns
        -------
        Request or None
            What to run, in a fork; None in the server itself, at its end.
        """
        while self.jobs or self.listener.fileno() >= 0:
            for key, _ in self.selector.select():
                if request := key.data():
                    return request
        return None

    def _stop_listening(self) -> None:
        self.selector.unregister(self.lifeline)
        self.selector.unregister(self.listener)
        self.listener.close()

    def _answer(self) -> Request | None:
        if self.listener.fileno() < 0:
            return None
        connection, _ = self.listener.accept()
        connection.settimeout(REPLY_SECONDS)
        try:
            request = Request(**json.loads(receive_line(connection)))
            ours = request.installation == find_installation() and (self.loaded or request.may_wait)
            if not ours or not self._load():
                connection.sendall(REFUSED)
                connection.close()
                return None
            # A program that has not waited so long runs by itself, and must not run twice.
            connection.sendall(ACCEPTED)
            word, request.files, _, _ = socket.recv_fds(connection, 1, 3)
        except (OSError, ValueError, TypeError):
            connection.close()
            return None
        if word != GO:
            connection.close()
            return None
        return self._fork(request, connection)

    def _load(self) -> bool:
        """Import the libraries; of one that is missing the program itself shall tell.

        On a busy machine it takes a minute. If the run is killed meanwhile nobody needs the rest.
        """
        if not self.loaded:
            with suppress(ImportError):
                for name in self.libraries:
                    if select.select([self.lifeline], [], [], 0)[0]:
                        return False
                    importlib.import_module(name)
                self.loaded = True
        return self.loaded

    def _fork(self, request: Request, connection: socket.socket) -> Request | None:
        number = os.fork()
        if number == 0:
            self._leave()
            connection.close()
            return request
        for file in request.files:
            os.close(file)
        self.jobs[number] = connection
        self.selector.register(
            connection, selectors.EVENT_READ, lambda: self._hand_on(number, connection)
        )
        return None

    def _leave(self) -> None:
        """Drop in a fork what belongs to the server."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for key in list(self.selector.get_map().values()):
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.close()
        self.selector.close()
        self._kept_open.close()

    def _hand_on(self, number: int, connection: socket.socket) -> None:
        """Hand a signal on to a fork; kill it if the program that asked for it is gone."""
        if number not in self.jobs:  # it ended at the same moment
            return
        try:
            numbers = connection.recv(16)
        except OSError:
            numbers = b""
        for wanted in numbers or [signal.SIGKILL]:
            with suppress(ProcessLookupError):
                os.kill(number, wanted)
        if not numbers:
            self.selector.unregister(connection)

    def _collect(self) -> None:
        """Tell how the forks ended that have ended."""
        self._woken.recv(4096)
        while self.jobs:
            number, status = os.waitpid(-1, os.WNOHANG)
            if number == 0:
                return
            if connection := self.jobs.pop(number, None):
                with suppress(KeyError, ValueError):
                    self.selector.unregister(connection)
                with suppress(OSError):
                    connection.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))
                connection.close()


def become(request: Request) -> NoReturn:
    """Turn this process into the one that was asked for, and end as its program does."""
    end_with_parent()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for target, file in enumerate(request.files):
        os.dup2(file, target)
        os.close(file)
    for stream, number in ((sys.stdout, 1), (sys.stderr, 2)):
        stream.reconfigure(line_buffering=number == 2 or os.isatty(number))  # type: ignore[union-attr]
    os.chdir(request.folder)
    os.environ.clear()
    os.environ.update(request.environment)
    use_threads(os.environ.get("OMP_NUM_THREADS", ""))
    sys.argv = [request.program, *request.arguments]
    sys.path[0] = str(Path(request.program).resolve().parent)
    status = 0
    try:
        runpy.run_path(request.program, run_name="__main__")
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        status = 1
    end_at_once(status)


def end_at_once(status: int) -> NoReturn:
    """End as Python does, but do not take all modules apart, which costs a fork 3 s."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    os._exit(status)


def use_threads(count: str) -> None:
    """Obey the variable that libraries read when they are loaded, which has been before."""
    if count.isdigit() and "torch" in sys.modules:
        import threadpoolctl
        import torch

        threadpoolctl.threadpool_limits(int(count))
        torch.set_num_threads(int(count))


def main(arguments: list[str]) -> None:
    """Serve at the address given; further words name other libraries."""
    address = Path(arguments[0])
    with suppress(PermissionError):  # it is a leader already
        os.setsid()  # an interrupt from the keyboard goes to the programs, which hand it on
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    let_waiting_threads_sleep()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(address))
    listener.listen(64)
    request = ForkServer(listener, 0, arguments[1:] or LIBRARIES).serve()
    if request is not None:
        become(request)
    address.unlink(missing_ok=True)
    with suppress(OSError):
        address.parent.rmdir()


if __name__ == "__main__":
    main(sys.argv[1:])
