"""Does what docs/first_run.md says, on a bare machine and in one go, and keeps what it says.

    python -m tests.first_run_transcript --frames FOLDER     # as root on Debian

The machine is a Debian with Python, its venv module and git. The wheel is installed with pip, as
on the page. ``FOLDER`` holds one folder per class; twelve frames of each of the page's classes
train, five others of each are the new ones. What came out, with the time of every command and
the memory of all of them together, goes into the file ``--out``. Then all that the page shows as
an answer and nobody said is listed, and the page has to be renewed; ``--compare`` does that alone.
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

PAGE = ROOT / "docs/first_run.md"
LISTING = "frames/\n"  # a block that shows what the user brings
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
    """Type the page, write what came out, compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=Path, help="one folder per class")
    parser.add_argument("--compare", type=Path, help="an earlier transcript; nothing is typed")
    parser.add_argument("--base", type=Path, help="a bare Debian 12, not fetched again")
    parser.add_argument("--keep", type=Path, help="make the machine here, and leave it")
    parser.add_argument("--wheel", type=Path, help="install this wheel instead of a new one")
    parser.add_argument("--out", type=Path, default=ROOT / "work/first_run.txt")
    arguments = parser.parse_args()
    page = PAGE.read_text(encoding="utf-8")
    if not arguments.compare:
        if not arguments.frames:
            parser.error("--frames FOLDER or --compare FILE")
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(type_page(page, arguments), encoding="utf-8")
    told = (arguments.compare or arguments.out).read_text(encoding="utf-8")
    unsaid = find_unsaid(page, told)
    for part in unsaid:
        print(f"{PAGE.name} shows this, and it did not come out:\n{part}\n")
    return int(bool(unsaid))


def type_page(page: str, arguments: argparse.Namespace) -> str:
    """Make the machine and type the page; return what came out."""
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
            (home / "page.sh").write_text(write_script(page), encoding="utf-8")
            variables = {"HOME": HOME, "USER": "newcomer", "LANG": "C.UTF-8"}
            variables["PYTHONUNBUFFERED"] = "1"  # lines come in the order of a terminal
            said = root.run(
                "bash page.sh > page.log 2>&1; code=$?; cat page.log; exit $code",
                variables,
                USER,
                HOME,
            )
        used = root.measure_mb() - before
        return tidy(said, memory.peak_gb, used / 1000)


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


def find_unsaid(page: str, told: str) -> list[str]:
    """Return all that a page shows as the answer of a command and a transcript does not have there.

    Parts end at empty lines and at those with … alone. Lines may be broken in other places.
    """
    typed = read_commands(page)
    begins = [told.index(f"$ {line}\n") for line in typed]
    answers = [told[a:b] for a, b in zip(begins, [*begins[1:], None], strict=True)]
    answer, unsaid = "", []
    for block in re.findall(r"(?:^ {4}.*\n|^\n(?= {4}))+", page, re.MULTILINE):
        text = textwrap.dedent(block).strip("\n")
        if TYPED.match(text):
            answer = " ".join(answers[typed.index(text.splitlines()[-1])].split())
        elif not text.startswith(LISTING):
            parts = re.split(r"\n\s*(?:…\s*)?\n|\n?…\n?", text)
            unsaid += [part for part in parts if " ".join(part.split()) not in answer]
    return unsaid


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
