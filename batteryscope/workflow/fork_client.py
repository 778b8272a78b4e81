"""Lets the fork server of a run continue this program, which saves importing PyTorch.

Without a server, or if anything about it is odd, a program simply runs by itself.
"""

import os
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from types import FrameType

from batteryscope.workflow.fork_server import (
    ACCEPTED,
    GO,
    Request,
    find_installation,
    receive_line,
    send_request,
)

ADDRESS = "BATTERYSCOPE_FORK_SERVER"
PREFIX = "batteryscope-"  # of the folder with a server's address
PATIENCE_SECONDS = 0.3
# A fork of a process may not use its GPU driver, which importing libraries might have touched.
GPU_DRIVER = Path("/dev/nvidiactl")


def start_server(scratch: Path | None = None) -> subprocess.Popen[bytes] | None:
    """Start a server for the programs that this process starts, and tell them its address.

    It imports nothing before it is asked, and ends with this process.

    Parameters
    ----------
    scratch
        Folder for temporary files that goes with the run, if there is one.

    Returns
    -------
    Popen or None
        To be kept as long as the server shall live; None where forks are of no use, or it cannot
        start, which one line tells.
    """
    if not sys.platform.startswith("linux") or GPU_DRIVER.exists() or ADDRESS in os.environ:
        return None
    try:
        if scratch is None:
            remove_dead_addresses(Path(tempfile.gettempdir()))
            scratch = Path(tempfile.mkdtemp(prefix=PREFIX))
        address = scratch / "server"
        server = subprocess.Popen(
            [sys.executable, "-m", "batteryscope.workflow.fork_server", str(address)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    except OSError as error:
        print(
            f"Every program imports PyTorch by itself, for want of a server: {error}.",
            file=sys.stderr,
        )
        return None
    os.environ[ADDRESS] = str(address)
    return server


def remove_dead_addresses(folder: Path) -> None:
    """Remove the addresses that killed servers of this user have left."""
    for address in folder.glob(f"{PREFIX}*/server"):
        with suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
            if address.stat().st_uid != os.getuid():
                continue
            try:
                connection.connect(str(address))
            except ConnectionRefusedError:  # nobody listens there any more
                address.unlink()
                address.parent.rmdir()


def run_in_fork(heavy: bool) -> int | None:
    """Run the program of this process in a fork of the server.

    Parameters
    ----------
    heavy
        Whether the program needs PyTorch; then it waits until the server has imported it. Others
        use a server that is ready and do not wait for one.

    Returns
    -------
    int or None
        The exit status; None if the program has to run here.
    """
    address = os.environ.pop(ADDRESS, None)
    if address is None:
        return None
    connection = _ask(address, heavy)
    if connection is None:
        return None
    with connection:
        status = _wait(connection)
    if status < 0:  # ended by a signal, and so does this process
        with suppress(OSError):  # SIGKILL has no handler
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    return status


def _ask(address: str, heavy: bool) -> socket.socket | None:
    """Hand this program over; the connection tells how it ends."""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(None if heavy else PATIENCE_SECONDS)
    request = Request(
        program=str(Path(sys.argv[0]).resolve()),
        arguments=sys.argv[1:],
        folder=str(Path.cwd()),
        environment=dict(os.environ),
        installation=find_installation(),
        may_wait=heavy,
    )
    try:
        connection.connect(address)
        send_request(connection, request)
        if connection.recv(1) == ACCEPTED:
            sys.stdout.flush()
            sys.stderr.flush()
            socket.send_fds(connection, [GO], [0, 1, 2])
            connection.settimeout(None)
            return connection
    except OSError:
        pass
    connection.close()
    return None


def _wait(connection: socket.socket) -> int:
    """Wait for the end of the fork; signals to this process are for it."""

    def hand_on(number: int, _: FrameType | None) -> None:
        with suppress(OSError):
            connection.send(bytes([number]))

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, hand_on)
    answer = receive_line(connection)
    return int(answer) if answer.strip() else -signal.SIGKILL
