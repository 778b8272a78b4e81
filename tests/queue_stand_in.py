"""Stands in for the commands of a cluster: PBS (qsub, qstat, qdel) and Kubernetes (kubectl).

    python tests/queue_stand_in.py FOLDER COMMAND WORD…

Jobs run at once on this machine; FOLDER notes what was asked for and how they ended. The first job
that trains ends with an error before it begins. Nothing of the project is imported: a command must
not take longer than what it stands for.
"""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path


def submit(folder: Path, script: str, asked: dict, environment: dict[str, str]) -> str:
    """Start a job and return its number."""
    number = len(list(folder.glob("*.json"))) + 1
    text = Path(script).read_text(encoding="utf-8")
    fails = "train_stage" in text and not (folder / "failed").exists()
    if fails:
        (folder / "failed").touch()
    (folder / f"{number}.json").write_text(json.dumps(asked | {"fails": fails, "script": text}))
    command = "exit 1" if fails else f"sh {shlex.quote(script)}"
    ends = f"({command}); echo $? > {folder}/{number}.new; mv {folder}/{number}.new "
    with (folder / f"{number}.log").open("wb") as log:
        subprocess.Popen(
            ["sh", "-c", f"{ends} {folder}/{number}.status"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return str(number)


def find_status(folder: Path, number: str) -> int | None:
    """Return the exit status of a job; None as long as it runs."""
    path = folder / f"{number}.status"
    return int(path.read_text()) if path.is_file() else None


def qsub(folder: Path, words: list[str]) -> str:
    """``qsub -V … -l select=1:ncpus=2:mem=9mb:ngpus=0 -l walltime=3600 SCRIPT``."""
    places = [n for n, word in enumerate(words) if word == "-l"]
    asked = dict(words[n + 1].split("=", 1) for n in places)
    asked |= dict(part.split("=") for part in asked.pop("select").split(":")[1:])
    assert "-V" in words
    numbers = {name: int(value.removesuffix("mb")) for name, value in asked.items()}
    return submit(folder, words[-1], numbers, dict(os.environ)) + ".stand-in"


def qstat(folder: Path, words: list[str]) -> str:
    """``qstat -x -f NUMBER``."""
    status = find_status(folder, words[-1].partition(".")[0])
    state = (
        "    job_state = R" if status is None else f"    job_state = F\n    Exit_status = {status}"
    )
    return f"Job Id: {words[-1]}\n    Job_Name = batteryscope\n{state}"


def kubectl(folder: Path, words: list[str]) -> str:
    """``kubectl create --output name --filename -`` and ``kubectl get job.batch/NAME …``."""
    if words[0] == "get":
        status = find_status(folder, words[1].rpartition("-")[2])
        return {None: "/", 0: "1/"}.get(status, "/1")
    import yaml

    job = yaml.safe_load(sys.stdin)
    assert (job["apiVersion"], job["kind"]) == ("batch/v1", "Job")
    [container] = job["spec"]["template"]["spec"]["containers"]
    limits, requests = container["resources"]["limits"], container["resources"]["requests"]
    asked = {
        "ncpus": int(requests["cpu"]),
        "mem": int(requests["memory"].removesuffix("M")),
        "ngpus": int(limits["nvidia.com/gpu"]),
        "walltime": job["spec"]["activeDeadlineSeconds"],
    }
    shell, script = container["command"]
    assert shell == "sh"
    # A pod inherits nothing.
    environment = {name: os.environ[name] for name in ("PATH", "HOME")}
    return f"job.batch/batteryscope-{submit(folder, script, asked, environment)}"


if __name__ == "__main__":
    place, name, *given = sys.argv[1:]
    print({"qsub": qsub, "qstat": qstat, "kubectl": kubectl}[name](Path(place), given))
