"""Lets everything go wrong that goes wrong in a long night, and prints a table of what happened.

    python -m tests.run_fault_cases --seed 1       # as root; make test-faults
    python -m tests.run_fault_cases --only disk_full_in_work clock_set_back

Each case harms runs of a small real study in a copy of the project and gives the same command
again, without any work by hand in between. The case is passed if the results are, byte by byte,
those of an undisturbed run, the harm was told without a traceback, and nothing is left over.
"""

import argparse
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from pathlib import Path
from unittest import SkipTest

from tests import kill_runs
from tests.fault_bench import (
    Bench,
    fail_once,
    fill_disk,
    forget_record,
    kill_program,
    mount,
    read_status,
)
from tests.kill_runs import FIRST_STEPS, WHOLE, compare_results
from tests.local_servers import (
    LOOPBACK,
    MLFLOW_ALONE,
    answers,
    find_free_ports,
    wait_for_server,
)
from tests.memory_group import make_group

DAY_S = 86_400
UPLOAD = (sys.executable, "workflow_scripts/upload_runs.py", "--work", "work")


def kill_whole_runs(bench: Bench) -> str:
    """The process group of a whole run, SIGKILL at random moments."""
    place = bench.root / "kills"
    place.mkdir()
    problems = kill_runs.run(bench.kills, bench.seed, place)
    assert not problems, problems[:5]
    return f"{bench.kills} kills, every run ended like an undisturbed one"


def kill_single_jobs(bench: Bench) -> str:
    """One program of a run at a time, SIGKILL."""
    usual_s = bench.undisturbed.used_s
    study = bench.begin(WHOLE)
    killed: list[str] = []
    kill_one = kill_program(r"workflow_scripts/(\w+)\.py", killed)
    for _ in range(5):
        status = study.run(bench.chance.uniform(0.05, 0.5) * usual_s, kill_one)
        if status == 0:
            break
    assert killed
    study.log.write_text("")
    bench.end_well(study)
    return f"killed: {', '.join(killed)}; the same command went on each time"


def kill_fork_server(bench: Bench) -> str:
    """The server whose forks run the programs with PyTorch."""
    study = bench.begin(WHOLE)
    killed: list[str] = []
    status = study.run(1.0, kill_program("(fork_server)", killed))
    assert killed
    bench.end_well(study)
    return "the run itself went on to its end" if status == 0 else "the same command went on"


def run_tests(*nodes: str) -> Callable[[Bench], str]:
    """Make a case of tests that exist."""

    def act(bench: Bench) -> str:
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *nodes]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-3000:]
        return done.stdout.strip().splitlines()[-1].split(" in ")[0] + f" ({', '.join(nodes)})"

    act.__doc__ = "Tests."
    return act


def disk_full_in_work(bench: Bench) -> str:
    """The disk of work/ is full while pictures are prepared."""
    study = bench.begin(FIRST_STEPS)
    told = fill_disk(study, study.box.root / "work", "200k", "[Nn]o space")
    bench.end_well(study)
    return told


def disk_full_in_tmpdir(bench: Bench) -> str:
    """TMPDIR is full."""
    study = bench.begin(WHOLE)
    with mount(study.scratch, "-t", "tmpfs", "-o", "size=16k", "tmpfs"):
        (study.scratch / "full").write_bytes(b"0" * 8192)
        with suppress(OSError), (study.scratch / "rest").open("wb") as rest:
            while True:
                rest.write(b"0" * 512)
                rest.flush()
        status = study.run()
    text = study.log.read_text()
    assert "Traceback" not in text, text[-3000:]
    told = "the run went on to its end: Python takes /tmp where TMPDIR has no room"
    if status != 0:
        found = [line for line in text.splitlines() if re.search("[Nn]o (space|usable temp)", line)]
        assert found, text[-3000:]
        told = found[0].strip()[:160]
    study.log.write_text("")
    bench.end_well(study)
    return told


def disk_full_while_publishing(bench: Bench) -> str:
    """The disk of models/, then that of reports/, is full when a finished study is published."""
    told = []
    for name in ("models", "reports"):
        study = bench.copy_finished()
        root = study.box.root
        (root / "work/check/published.json").unlink()
        shutil.rmtree(root / name / "check")
        told.append(fill_disk(study, root / name, "4k", "[Nn]o space"))
        bench.end_well(study)
    return told[0]


def read_only_places(bench: Bench) -> str:
    """The project, its work/, models/ or reports/ on a disk that cannot be written."""
    told = []
    for name in ("", "work", "models", "reports"):
        study = bench.copy_finished()
        place = study.box.root / name
        (study.box.root / "work/check/published.json").unlink()
        shutil.rmtree(study.box.root / "models/check")
        with mount(place, "--bind", str(place)):
            subprocess.run(["mount", "-o", "remount,ro,bind", str(place)], check=True)
            told.append(fail_once(study, "[Rr]ead-only|cannot be written"))
        study.log.write_text("")
        bench.end_well(study)
    return told[-1]


def server_comes_and_goes(bench: Bench) -> str:
    """MLflow's server is down, hangs, is killed in the middle of the upload, and comes back."""
    study = bench.copy_finished()
    port = find_free_ports(1)[0]
    address = f"http://{LOOPBACK}:{port}"
    study.environment |= {"MLFLOW_TRACKING_URI": address}
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
    store = study.scratch.parent / "server.db"
    command += ["--backend-store-uri", f"sqlite:///{store}"]
    command += ["--artifacts-destination", str(study.scratch.parent / "artifacts")]

    def start() -> subprocess.Popen:
        process = subprocess.Popen(
            command, env=os.environ | MLFLOW_ALONE,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        assert wait_for_server(lambda: answers(f"{address}/health"), process)
        return process

    told = []
    forget_record(study)
    bench.end_well(study, compared=False)
    told.append(f"down: {read_status(study)}")
    server = start()
    try:
        os.killpg(server.pid, signal.SIGSTOP)
        forget_record(study)
        bench.end_well(study, compared=False)
        told.append(f"hangs: {read_status(study)}")
        os.killpg(server.pid, signal.SIGCONT)
        forget_record(study)

        def kill_in_upload(_: int) -> bool:
            with suppress(sqlite3.Error), closing(sqlite3.connect(store)) as base:
                if base.execute("SELECT count(*) FROM runs").fetchone()[0]:
                    os.killpg(server.pid, signal.SIGKILL)
                    return True
            return False

        assert study.run(0.0, kill_in_upload) == 0, study.log.read_text()[-3000:]
        told.append(f"killed in the upload: {read_status(study)}")
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()
    server = start()
    try:
        study.box.run(*UPLOAD, **study.environment)
        told.append(f"back: {read_status(study)}")
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
    with closing(sqlite3.connect(store)) as base:
        found = base.execute(
            "SELECT name || ' ' || status FROM runs WHERE lifecycle_stage = 'active'"
        ).fetchall()
    assert ", ".join(sorted(name for (name,) in found)) == bench.expected["runs in mlflow.db"]
    assert told[0] == "down: pending", told
    assert told[-1] == "back: complete", told
    return "; ".join(told)


def database_locked_or_garbage(bench: Bench) -> str:
    """Another program holds MLflow's database for 15 s; it is overwritten with garbage."""
    study = bench.copy_finished()
    database = study.box.root / "mlflow.db"
    forget_record(study)
    held = sqlite3.connect(database, check_same_thread=False, isolation_level=None)
    held.execute("BEGIN EXCLUSIVE")
    release = threading.Timer(15, lambda: held.execute("ROLLBACK"))
    release.start()
    bench.end_well(study)
    release.join()
    held.close()
    locked = read_status(study)
    assert locked == "complete"
    kept = database.read_bytes()
    database.write_bytes(bench.chance.randbytes(100_000))
    forget_record(study)
    bench.end_well(study, compared=False)
    garbage = read_status(study)
    assert garbage == "pending"
    database.write_bytes(kept)
    study.box.run(*UPLOAD, **study.environment)
    assert read_status(study) == "complete"
    assert not compare_results(bench.expected, study.describe_results(), "afterwards")
    return f"locked: waited, {locked}; garbage: {garbage}, left alone, complete after upload_runs"


def out_of_memory(bench: Bench) -> str:
    """The kernel kills a program for want of memory (a control group of 600 MB)."""
    with make_group(600) as group:
        study = bench.begin(WHOLE)
        study.command = group.put_in(study.command)
        status = study.run()
        killed = group.count_kills()
    text = study.log.read_text()
    assert killed, "nothing was killed"
    assert "Traceback" not in text, text[-3000:]
    assert status not in (0, None)
    told = [line for line in text.splitlines() if "memory ran out" in line]
    assert told, text[-3000:]
    study.log.write_text("")
    bench.end_well(study)
    return told[0].strip()[9:169]


def damage_everything(bench: Bench) -> str:
    """Every result in work/ cut in half, then overwritten; then likewise all that is no result."""
    study = bench.copy_finished()
    work = study.box.root / "work"
    noted = json.loads((work / "digests.json").read_text())
    harms = {"cut in half": lambda b: b[: len(b) // 2], "overwritten": lambda b: _garble(bench, b)}
    for harm in harms.values():
        for name, files in noted.items():
            inside = bench.chance.choice(sorted(files))
            path = study.box.root / name / inside
            before = path.read_bytes()
            path.write_bytes(harm(before) if before else b"garbage")
        study.log.write_text("")
        bench.end_well(study)
        text = study.log.read_text()
        silent = [name for name in noted if f"{name}: damaged or changed" not in text]
        assert not silent, f"not noticed: {silent}"
    results = {study.box.root / name / n for name, files in noted.items() for n in files}
    others = [p for p in work.rglob("*") if p.is_file() and p not in results]
    for harm in harms.values():
        for path in filter(Path.is_file, others):
            path.write_bytes(harm(path.read_bytes()))
        study.log.write_text("")
        bench.end_well(study)
    return f"{len(noted)} results, each noticed and made again, twice; {len(others)} other files"


def _garble(bench: Bench, content: bytes) -> bytes:
    return bench.chance.randbytes(len(content))


def two_clones_on_one_database(bench: Bench) -> str:
    """Two copies run the same study at once and record it in one SQLite file."""
    studies = [bench.begin(WHOLE) for _ in range(2)]
    uri = studies[0].environment["MLFLOW_TRACKING_URI"]
    studies[1].environment["MLFLOW_TRACKING_URI"] = uri
    threads = [threading.Thread(target=study.run) for study in studies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    results = [study.describe_results() for study in studies]
    results[1]["runs in mlflow.db"] = results[0]["runs in mlflow.db"]
    for study, found in zip(studies, results, strict=True):
        assert "Traceback" not in study.log.read_text()
        assert not compare_results(bench.expected, found, "afterwards"), study.log.read_text()[
            -2000:
        ]
    return "the same results in both, every run recorded once"


def clock_set_back(bench: Bench) -> str:
    """The clock is set back by a day in the middle: all files are dated tomorrow."""
    study = bench.begin(FIRST_STEPS)
    assert study.run() == 0
    for path in study.box.root.rglob("*"):
        if path.is_file():
            stat = path.stat()
            os.utime(path, (stat.st_atime + DAY_S, stat.st_mtime + DAY_S))
    study.log.write_text("")
    bench.end_well(study)
    told = [line for line in study.log.read_text().splitlines() if "later than the clock" in line]
    assert told
    return told[0].strip()[:160]


CASES: tuple[Callable[[Bench], str], ...] = (
    kill_single_jobs,
    kill_fork_server,
    disk_full_in_work,
    disk_full_in_tmpdir,
    disk_full_while_publishing,
    read_only_places,
    server_comes_and_goes,
    database_locked_or_garbage,
    out_of_memory,
    damage_everything,
    two_clones_on_one_database,
    clock_set_back,
    kill_whole_runs,
)
TESTS = {
    "A worker of a search, SIGKILL": (
        "tests/test_search_workflow.py",
        "tests/test_search_queue.py",
    ),
    "Two runs in one folder": ("tests/test_run_claim.py", "tests/test_run_faults.py"),
    "Weights and states of trainings damaged": ("tests/test_training_damage.py",),
}


def main() -> int:
    """Run as a program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--only", nargs="+", help="names of cases, or 'tests'")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that all is torn down
    if os.geteuid() != 0:
        raise SystemExit("Only root can fill disks and take memory away.")
    cases = {(case.__doc__ or "").strip(): case for case in CASES if _wanted(case, arguments.only)}
    if not arguments.only or "tests" in arguments.only:
        cases |= {title: run_tests(*nodes) for title, nodes in TESTS.items()}
    with tempfile.TemporaryDirectory(prefix="faults-") as root:
        failed = run_cases(cases, Bench(Path(root), arguments.seed, arguments.kills))
    return int(bool(failed))


def run_cases(cases: Mapping[str, Callable[[Bench], str]], bench: Bench) -> list[str]:
    """Print a table with a line per case; return the names of those that failed.

    After a failure, whatever it is, the next case begins.
    """
    failed, skipped = [], []
    print(f"Seed {bench.seed}.\n\n| what was done | what happened | s |\n|---|---|---|")
    for title, case in cases.items():
        started = time.monotonic()
        bench.draw_anew(title)
        try:
            outcome = case(bench)
        except SkipTest as why:
            skipped.append(title)
            outcome = f"skipped: {why}"
        except Exception as error:
            failed.append(title)
            traceback.print_exc()
            outcome = f"**FAILED**: {type(error).__name__}: {error}"
        took_s = time.monotonic() - started
        print(f"| {title} | {outcome.replace(str(bench.root), '…')} | {took_s:.0f} |", flush=True)
    print(f"\n{len(failed)} of {len(cases)} cases failed, {len(skipped)} skipped.")
    for title in skipped:
        print(f"skipped: {title}")
    return failed


def _wanted(case: Callable[[Bench], str], only: list[str] | None) -> bool:
    return not only or case.__name__ in only


if __name__ == "__main__":
    sys.exit(main())
