"""A control group of the kernel whose programs have little memory, of version 1 or 2."""

import re
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from unittest import SkipTest

import psutil

ENDS_WITHIN_S = 20.0  # what the programs of a group have started
CONTROLLERS, ENABLED = "cgroup.controllers", "cgroup.subtree_control"  # of version 2


class MemoryGroup:
    """A control group.

    Parameters
    ----------
    folder
        Where the kernel shows it.
    events
        Its file in which a line ``oom_kill N`` counts killed programs.
    """

    def __init__(self, folder: Path, events: str) -> None:
        self.folder, self._events = folder, folder / events

    def put_in(self, command: Sequence[str]) -> list[str]:
        """Return a command that enters the group, then becomes the given one."""
        enter = f'echo $$ > "{self.folder}/cgroup.procs" && exec "$@"'
        return ["sh", "-c", enter, "sh", *command]

    def count_kills(self) -> int:
        """Return how many of its programs the kernel has killed for want of memory."""
        counted = re.search(r"^oom_kill (\d+)$", self._events.read_text(), re.MULTILINE)
        assert counted, f"{self._events} has no line oom_kill"
        return int(counted[1])

    def wait_until_empty(self) -> None:
        """Wait for the end of its programs, since a group with programs cannot be removed."""
        end = time.monotonic() + ENDS_WITHIN_S
        while (self.folder / "cgroup.procs").read_text().strip() and time.monotonic() < end:
            time.sleep(0.2)


def list_hierarchies() -> list[tuple[int, Path]]:
    """Return version and folder of every hierarchy that can limit memory, as mounted."""
    found = []
    for mounted in psutil.disk_partitions(all=True):
        place = Path(mounted.mountpoint)
        if mounted.fstype == "cgroup" and "memory" in mounted.opts.split(","):
            found.append((1, place))
        elif mounted.fstype == "cgroup2" and "memory" in _read_words(place / CONTROLLERS):
            found.append((2, place))
    return found


@contextmanager
def make_group(
    megabytes: int, places: Sequence[tuple[int, Path]] | None = None
) -> Iterator[MemoryGroup]:
    """Make a control group with so much memory and no swap space; remove it afterwards.

    Parameters
    ----------
    megabytes
        Of all its programs together.
    places
        Instead of what :func:`list_hierarchies` finds.

    Yields
    ------
    MemoryGroup

    Raises
    ------
    SkipTest
        Control groups of this machine cannot limit memory, or not for us.
    """
    places = list_hierarchies() if places is None else places
    if not places:
        raise SkipTest("no control groups of version 1 or 2 with the controller 'memory'")
    version, place = places[0]
    switched_on = version == 2 and "memory" not in _read_words(place / ENABLED)
    try:
        if switched_on:
            (place / ENABLED).write_text("+memory")
        folder = Path(tempfile.mkdtemp(prefix="batteryscope-", dir=place))
    except OSError as error:  # in a container, most often
        raise SkipTest(f"control groups in {place} cannot be changed ({error.strerror})") from error
    group = MemoryGroup(folder, "memory.oom_control" if version == 1 else "memory.events")
    try:
        limit = str(megabytes * 2**20)
        if version == 1:
            (folder / "memory.limit_in_bytes").write_text(limit)
            _write_if_there(folder / "memory.memsw.limit_in_bytes", limit)  # with swap space
        else:
            (folder / "memory.max").write_text(limit)
            _write_if_there(folder / "memory.swap.max", "0")
        yield group
    finally:
        group.wait_until_empty()
        folder.rmdir()
        if switched_on:
            with suppress(OSError):  # others use it by now
                (place / ENABLED).write_text("-memory")


def _read_words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []


def _write_if_there(path: Path, value: str) -> None:
    if path.exists():  # not without swap accounting
        path.write_text(value)
