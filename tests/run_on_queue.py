"""Runs a small study through the profiles for other clusters and compares with a local run.

    python -m tests.run_on_queue        # make test-queues

The commands of the clusters are stand-ins (tests/queue_stand_in.py); the executor, the lines of the
profiles and all jobs are real. The first training fails once, and is sent again with twice the
memory. Before that, a run is killed while its first job works: a run without a cluster must stop
beside it, before and after. Ends with an error if a result differs, by a byte, from that of a run
without a cluster.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.conftest import ROOT
from tests.kill_runs import WHOLE, KilledRuns, compare_results
from tests.run_on_slurm import ONE_CORE, RULES_WITH_GPU

COMMANDS = {"cluster-generic": ("qsub", "qstat"), "kubernetes": ("kubectl",)}


def main() -> int:
    """Run all ways and compare."""
    with tempfile.TemporaryDirectory(prefix="batteryscope-queues-") as name:
        root = Path(name)
        for part in ("local", *COMMANDS):
            (root / part).mkdir()
        alone = KilledRuns(root / "local", WHOLE, ONE_CORE)
        started = time.monotonic()
        problems = [] if alone.run() == 0 else ["the local run failed"]
        print(f"Without a cluster: {time.monotonic() - started:.0f} s.", flush=True)
        for profile in COMMANDS:
            problems += run_there(root, profile, alone)
    for problem in problems:
        print(f"ERROR: {problem}")
    print("No difference." if not problems else f"{len(problems)} problems.")
    return int(bool(problems))


def run_there(root: Path, profile: str, alone: KilledRuns) -> list[str]:
    """Run the same study with a profile; return what is wrong with it."""
    queue, binaries = root / profile / "queue", root / profile / "bin"
    queue.mkdir()
    binaries.mkdir()
    for name in COMMANDS[profile]:
        program = f"{sys.executable} {ROOT}/tests/queue_stand_in.py {queue} {name}"
        (binaries / name).write_text(f'#!/bin/sh\nexec {program} "$@"\n')
        (binaries / name).chmod(0o755)
    words = ("--workflow-profile", f"profiles/{profile}", "--seconds-between-status-checks", "1")
    study = KilledRuns(root / profile, (*words, "--", "check"), ONE_CORE)
    paths = (str(binaries), study.environment["PATH"])
    study.environment = {**study.environment, "PATH": os.pathsep.join(paths)}
    problems = check_lock(study, queue)
    started = time.monotonic()
    if study.run() != 0:
        print(study.log.read_text()[-6000:])
        return [f"the run with {profile} failed"]
    jobs = [json.loads(path.read_text()) for path in sorted(queue.glob("*.json"), key=number_of)]
    print(f"{profile}: {time.monotonic() - started:.0f} s, {len(jobs)} jobs.", flush=True)
    problems += compare_results(alone.describe_results(), study.describe_results(), profile)
    return problems + check_requests(jobs, profile)


def check_lock(study: KilledRuns, queue: Path) -> list[str]:
    """Kill a run while its first job works; return what a local run beside it does not say."""

    def say(*words: str) -> str:
        done = subprocess.run(
            ["snakemake", *words],
            cwd=study.box.root,
            env=study.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return f"{done.stdout}\nstatus {done.returncode}"

    with study.log.open("a") as log:
        run = subprocess.Popen(
            study.command,
            cwd=study.box.root,
            env=study.environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    while not list(queue.glob("*.json")) and run.poll() is None:
        time.sleep(0.2)
    heard = {"another run is at work in this folder": say(*WHOLE)}
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    heard["its jobs may still be at work on the cluster"] = say(*WHOLE)
    while not list(queue.glob("*.status")):
        time.sleep(0.2)
    heard["status 0"] = say("--unlock")
    return [
        f"expected '{words}', heard: {told}" for words, told in heard.items() if words not in told
    ]


def number_of(path: Path) -> int:
    """Return the number of a job whose file this is."""
    return int(path.stem)


def check_requests(jobs: list[dict], profile: str) -> list[str]:
    """Return what is wrong with what the jobs asked for."""
    [first] = [n for n, job in enumerate(jobs) if job["fails"]]
    again = next(job for job in jobs[first + 1 :] if "train_stage" in job["script"])
    problems = []
    if again["mem"] != 2 * jobs[first]["mem"]:
        problems.append(f"{profile}: the second training did not ask for twice the memory")
    for job in jobs:
        uses_gpu = any(f"--allowed-rules {rule}" in job["script"] for rule in RULES_WITH_GPU)
        if (job["ngpus"] > 0) != uses_gpu:
            problems.append(f"{profile}: a job asked for {job['ngpus']} GPUs: {job['script']}")
    return problems


if __name__ == "__main__":
    sys.exit(main())
