"""Does what docs/first_run.md says, on a bare machine and in one go, and keeps what it says.

    python -m tests.first_run_transcript --frames FOLDER     # as root on Debian

The machine is a Debian with Python, its venv module and git. The wheel is installed with pip, as
on the page. ``FOLDER`` holds one folder per class; twelve frames of each of the page's classes
train, five others of each are the new ones. What came out, with the time of every command and
the memory of all of them together, goes into docs/first_run.txt; the page shows parts of it,
which tests/test_first_run_page.py compares.
"""

import argparse
import re
import shutil
import sys
import tempfile
import textwrap
import threading
from pathlib import Path

import psutil

from tests.bare_root import BareRoot
from tests.build_image import build_one_wheel
from tests.conftest import ROOT

PAGE, TRANSCRIPT = ROOT / "docs/first_run.md", ROOT / "docs/first_run.txt"
CLASSES = (
    "ncm622_pristine", "ncm622_formation", "ncm622_100cycles",
    "ncm811_pristine", "ncm811_100cycles",
)  # fmt: skip
FRAMES, NEW_FRAMES = 12, 5
SYSTEM = "apt-get update && apt-get install --yes --no-install-recommends python3 python3-venv git"
HOME, USER = "/home/newcomer", "1000:1000"
TYPED = re.compile(r"(python3 -m venv|pip|batteryscope|cp|dvc|git|cd) ")
# What is typed in a second terminal, as soon as the run has said that it trained for two epochs.
STATUS, TRAINED = "batteryscope status", "epoch 2 of"
TIMED = re.compile(r"^\[(\d+) s\]$", re.MULTILINE)


def main() -> int:
    """Make the machine, type the page, write the transcript."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=Path, required=True, help="one folder per class")
    parser.add_argument("--base", type=Path, help="a bare Debian 12, not fetched again")
    parser.add_argument("--keep", type=Path, help="make the machine here, and leave it")
    parser.add_argument("--wheel", type=Path, help="install this wheel instead of a new one")
    parser.add_argument("--out", type=Path, default=TRANSCRIPT, help="default: %(default)s")
    arguments = parser.parse_args()
    if arguments.wheel is None:
        build_one_wheel()
        (arguments.wheel,) = (ROOT / "dist").glob("*.whl")
    with tempfile.TemporaryDirectory(prefix="batteryscope-first-run-") as name:
        root = BareRoot(arguments.keep or Path(name) / "root", "bookworm", arguments.base)
        root.run(SYSTEM, {})
        home = root.folder / HOME.removeprefix("/")
        home.mkdir(parents=True)
        shutil.copy(arguments.wheel, home)
        place_frames(arguments.frames, home)
        root.run(f"useradd --uid 1000 newcomer; chown -R {USER} {HOME}", {})
        before = root.measure_mb()
        with PeakMemory() as memory:
            script = write_script(PAGE.read_text(encoding="utf-8"))
            (home / "page.sh").write_text(script, encoding="utf-8")
            variables = {"HOME": HOME, "USER": "newcomer", "LANG": "C.UTF-8"}
            variables["PYTHONUNBUFFERED"] = "1"  # lines come in the order of a terminal
            said = root.run(
                "bash page.sh > page.log 2>&1; code=$?; cat page.log; exit $code",
                variables,
                USER,
                HOME,
            )
        used = root.measure_mb() - before
        arguments.out.write_text(tidy(said, memory.peak_gb, used / 1000), encoding="utf-8")
    return 0


def place_frames(source: Path, home: Path) -> None:
    """Put frames to learn from, and others, where the page has them."""
    for name in CLASSES:
        frames = sorted((source / name).glob("*.jpg"))
        step = len(frames) // (FRAMES + NEW_FRAMES)
        chosen = frames[::step][: FRAMES + NEW_FRAMES]
        if step == 0 or len(chosen) < FRAMES + NEW_FRAMES:
            raise SystemExit(f"{source / name}: {len(frames)} frames; {FRAMES + NEW_FRAMES} needed")
        for i, path in enumerate(chosen):
            new = i % 3 == 2 and i // 3 < NEW_FRAMES
            folder = home / ("new_frames" if new else "frames") / name
            folder.mkdir(parents=True, exist_ok=True)
            for file in (path, path.with_name(f"{path.name}.txt")):  # the microscope's own notes
                if file.is_file():
                    shutil.copy(file, folder)


def read_commands(page: str) -> list[str]:
    """Return the lines that the page types, in their order."""
    blocks = re.findall(r"(?:^ {4}.*\n)+", page, re.MULTILINE)
    typed = [block for block in map(textwrap.dedent, blocks) if TYPED.match(block)]
    return [line for block in typed for line in block.splitlines()]


def write_script(page: str) -> str:
    """Let a shell type every line, and tell how long it took."""
    parts = ["set -eo pipefail; touch ~/run.txt"]
    for line in read_commands(page):
        shown = line.replace("'", "'\\''")
        if line == STATUS:
            parts.append(f"printf '\\n$ %s\\n' '{shown}'; cat ~/status.txt")
            continue
        more = " --quiet" if line.startswith("pip install") else ""
        if line.startswith("batteryscope run"):
            wait = f"until grep -q '{TRAINED}' ~/run.txt; do sleep 2; done"
            parts.append(f"({wait}; {STATUS}) > ~/status.txt 2>&1 &")
            more = " 2>&1 | tee ~/run.txt"
        parts.append(f"printf '\\n$ %s\\n' '{shown}'; begun=$SECONDS\n{line}{more}")
        parts.append('echo "[$((SECONDS - begun)) s]"')
    parts.append("echo; head -4 answers.csv")
    return "\n".join(parts) + "\n"


def tidy(said: str, peak_gb: float, used_gb: float) -> str:
    """Return the transcript: what was said, without what takes no time at all to say."""
    kept = TIMED.sub(lambda found: found[0] if int(found[1]) else "", said)
    kept = re.sub(r"^.*\r", "", kept, flags=re.MULTILINE)  # bars that were drawn over
    kept = re.sub(r"[ \t]+$", "", kept, flags=re.MULTILINE)
    kept = re.sub(r"\n{3,}", "\n\n", kept).strip()
    cores = psutil.cpu_count()
    return (
        f"{kept}\n\nMemory of all programs together: {peak_gb:.1f} GB at most, on {cores} cores. "
        f"Disk: {used_gb:.1f} GB, most of it the installed packages.\n"
    )


class PeakMemory:
    """How much memory the programs that this process starts take together at most."""

    def __enter__(self) -> "PeakMemory":
        self.peak_gb, self._ends = 0.0, threading.Event()
        self._watch = threading.Thread(target=self._look, daemon=True)
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._watch.join()

    def _look(self) -> None:
        while not self._ends.wait(5):
            total = 0
            for process in psutil.Process().children(recursive=True):
                try:
                    total += process.memory_full_info().pss  # what is shared counts once
                except psutil.Error:
                    continue
            self.peak_gb = max(self.peak_gb, total / 1e9)


if __name__ == "__main__":
    sys.exit(main())
