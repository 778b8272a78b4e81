"""Takes the place of ``python`` in a sandbox: programs that leave empty results at once.

What a program of the workflow would write is every path below ``work`` on its command line that
is not there yet. So the graph of jobs, the kills and the end of a run are real, and a study takes
seconds.
"""

import json
import os
import sys
import time
from pathlib import Path

STUB = '#!/bin/sh\nexec "{python}" "{stub}" "$@"\n'
PAUSE = "STUB_SECONDS"  # how long the programs work
FAILS = "STUB_FAILS"  # a program that fails, such as report_study


def write_stub(folder: Path) -> str:
    """Write a command ``python`` into a folder; return the PATH in which it comes first."""
    folder.mkdir()
    command = folder / "python"
    command.write_text(STUB.format(python=sys.executable, stub=__file__))
    command.chmod(0o755)
    return os.pathsep.join([str(folder), str(Path(sys.executable).parent), os.environ["PATH"]])


def publish(words: list[str]) -> None:
    """Copy bundle and report as the real program does."""
    from batteryscope.workflow.publication import publish_folder

    given = dict(zip(words[::2], words[1::2], strict=True))
    digests = {}
    for source, parent in (("--bundle", "--models"), ("--report", "--reports")):
        target = Path(given[parent]) / given["--study"]
        digests[target.as_posix()] = publish_folder(Path(given[source]), target)["digest"]
    Path(given["--out"]).write_text(json.dumps({"digests": digests}))


def leave_results(words: list[str]) -> None:
    """Write an empty file, or a folder with a file, wherever something is missing."""
    for word in words:
        path = Path(word)
        if path.parts[:1] != ("work",) or path.exists():
            continue
        if path.suffix:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("{}")
        else:
            path.mkdir(parents=True)
            (path / "result.txt").write_text("a result\n")


if __name__ == "__main__":
    sys.path.insert(0, str(Path.cwd()))
    from batteryscope.core.process_end import end_with_run

    end_with_run()
    time.sleep(float(os.environ.get(PAUSE, "0")))
    if Path(sys.argv[1]).stem == os.environ.get(FAILS):
        log = Path(sys.argv[sys.argv.index("--log") + 1])
        log.write_text("2026-01-02 10:00:00,000 ERROR figures: nothing to draw\n")
        sys.exit("what a program says")
    if Path(sys.argv[1]).name == "publish_study.py":
        publish(sys.argv[2:])
    else:
        leave_results(sys.argv[2:])
