"""Runs a small study through a real Slurm and compares everything with a local run.

    python -m tests.run_on_slurm        # as root; make test-slurm

The first training fails once, and its node is drained at that moment: the second attempt goes to
another one. Ends with an error if a result differs, by a byte, from that of a run without Slurm.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

from tests.kill_runs import STUDY, WHOLE, KilledRuns, compare_results
from tests.local_slurm import LocalSlurm

# With two cores sums are added in another order.
ONE_CORE = STUDY | {"train": STUDY["train"] | {"threads": 1}}
RULES_WITH_GPU = ("train_stage", "evaluate_grey_levels", "evaluate_external", "explain_study")
ON_SLURM = (
    *("--workflow-profile", "profiles/slurm", "--set-resources"),
    *(f"{rule}:gpu=0" for rule in RULES_WITH_GPU),
    *("--", "check"),
)
# Takes the place of python on the nodes: the first training drains its node and fails.
FAILING_ONCE = """#!/bin/sh
case "$*" in
*train_stage.py*)
  if mkdir {folder}/failed 2>/dev/null; then
    scontrol update NodeName="$SLURMD_NODENAME" State=DRAIN Reason=test
    echo "$SLURMD_NODENAME" > {folder}/failed/node
    exit 1
  fi
  echo "$SLURMD_NODENAME" > {folder}/trained_on ;;
esac
exec {python} "$@"
"""


def main() -> int:
    """Run both ways and compare."""
    with tempfile.TemporaryDirectory(prefix="bs", dir="/tmp") as name:
        root = Path(name)
        root.chmod(0o755)  # munge works as a user of its own
        for part in ("local", "remote", "slurm"):
            (root / part).mkdir()
        alone = KilledRuns(root / "local", WHOLE, ONE_CORE)
        started = time.monotonic()
        problems = [] if alone.run() == 0 else ["the local run failed"]
        print(f"Without Slurm: {time.monotonic() - started:.0f} s.", flush=True)
        with LocalSlurm(root / "slurm") as cluster:
            problems += run_there(root, cluster, alone)
    for problem in problems:
        print(f"ERROR: {problem}")
    print("No difference." if not problems else f"{len(problems)} problems.")
    return int(bool(problems))


def run_there(root: Path, cluster: LocalSlurm, alone: KilledRuns) -> list[str]:
    """Run the same study through Slurm; return what is wrong with it."""
    study = KilledRuns(root / "remote", ON_SLURM, ONE_CORE)
    python = cluster.binaries / "python"
    python.write_text(FAILING_ONCE.format(folder=cluster.folder, python=sys.executable))
    python.chmod(0o755)
    paths = (str(cluster.binaries), study.environment["PATH"])
    study.environment = {**study.environment, "PATH": os.pathsep.join(paths)}
    started = time.monotonic()
    if study.run() != 0:
        print(study.log.read_text()[-6000:])
        return ["the run through Slurm failed"]
    failed_on = (cluster.folder / "failed" / "node").read_text().strip()
    trained_on = (cluster.folder / "trained_on").read_text().strip()
    print(
        f"Through Slurm: {time.monotonic() - started:.0f} s; the first training failed on "
        f"{failed_on}, which was drained, the second one ran on {trained_on}.",
        flush=True,
    )
    problems = compare_results(alone.describe_results(), study.describe_results(), "through Slurm")
    return problems + ([] if failed_on != trained_on else [f"{failed_on} was not drained"])


if __name__ == "__main__":
    sys.exit(main())
