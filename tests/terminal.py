"""A terminal for tests: what a command writes to it, and what stands there in the end."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from collections.abc import Sequence
from pathlib import Path

LINES = 40
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def run_at_terminal(
    command: Sequence[str], folder: Path, environment: dict[str, str], columns: int
) -> tuple[int, str]:
    """Run a command at a terminal of so many columns; return its status, and all it has written."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, columns, 0, 0))
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment | {"TERM": "xterm-256color"},
        stdin=its,
        stdout=its,
        stderr=its,
        start_new_session=True,
    )
    os.close(its)
    written = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # so ends a terminal whose last program is gone
            break
        if not part:
            break
        written += part
    os.close(ours)
    return process.wait(), written.decode()


def show_screen(written: str) -> list[str]:
    """Return the lines that stand at a terminal in the end, as far as rich moves its cursor."""
    shown: list[str] = [""]
    row = 0
    for part in re.split(r"(\x1b\[[0-9;?]*[A-Za-z]|\r\n|\r|\n)", written):
        if part in ("\n", "\r\n"):
            row += 1
            shown += [""] * (row + 1 - len(shown))
        elif part == "\x1b[1A":
            row = max(0, row - 1)
        elif part == "\x1b[2K":
            shown[row] = ""
        elif part and not CONTROL.fullmatch(part) and part != "\r":
            shown[row] += part
    return [line.rstrip() for line in shown]
