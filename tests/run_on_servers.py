"""Tries everything that laboratories share, with real servers on this machine alone.

    python -m tests.run_on_servers        # make test-servers

PostgreSQL, an S3 store, MLflow with its artifacts behind it and an SSH server are started on
loopback. Two clones of a small project hand data and models to each other through three DVC
remotes, eight jobs record runs at once, both clones train and record the same study at once, and
the workers of both take from one search. Ends with an error if anything is lost or doubled.
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from batteryscope.provenance import digest_files
from batteryscope.tracking.runs import list_runs
from batteryscope.tracking.store import find_experiment, open_client
from tests.local_servers import LOOPBACK, LocalServers
from tests.parallel_writers import check_histories, write_at_once
from tests.search_workers import SETTINGS
from tests.small_params import small_params, small_study
from tests.test_dvc import DATA, Project

SEARCH = {
    "space": {"train.learning_rate": {"low": 1.0e-4, "high": 0.1, "log": True}},
    "trials": 12,
    "workers": 2,
    "min_epochs": 1,
    "max_epochs": 4,
    "metric": "val_loss",
    "heartbeat_s": 5,
    "random": True,
}
REMOTES = ("folder", "ssh", "s3")
MODEL = Path("models/check")


class Clone(Project):
    """A copy of the project under git and DVC that speaks to the servers."""

    def __init__(self, root: Path, servers: LocalServers, params: dict | None = None) -> None:
        self.servers = servers
        if params is None:
            self.root = root
        else:
            super().__init__(root, params)

    @property
    def variables(self) -> dict[str, str]:
        """The environment of a command.

        MLflow's address, the password of the databases, which settings may not hold, and no key
        of the S3 store.
        """
        binaries = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        own = {"PATH": binaries, "MLFLOW_TRACKING_URI": self.servers.mlflow_url}
        return os.environ | own | self.servers.postgres_environment

    def add_remotes(self, folder: Path) -> None:
        """Name three remotes in DVC's own settings, and the way to their keys in the local ones."""
        for name, url in {
            "folder": folder / "folder",
            "ssh": f"ssh://{LOOPBACK}{folder / 'ssh'}",
            "s3": "s3://dvc/check",
        }.items():
            self.run("dvc", "remote", "add", "-q", name, str(url))

    def tell_keys(self) -> None:
        """What differs between people and machines, which git does not see."""
        servers = self.servers
        for name, key, value in (
            ("ssh", "port", str(servers.ports["ssh"])),
            ("ssh", "user", os.environ.get("USER", "root")),
            ("ssh", "keyfile", str(servers.folder / "user_key")),
            ("s3", "endpointurl", servers.s3_url),
        ):
            self.run("dvc", "remote", "modify", "-q", "--local", name, key, value)

    def move(self, verb: str, remote: str, *what: str) -> None:
        """Push to a remote or pull from it; S3 needs the DVC of an environment of its own."""
        if remote == "s3":
            dvc, keys = str(self.servers.binaries / "dvc"), self.servers.s3_environment
        else:
            dvc, keys = "dvc", {}
        self.run(dvc, verb, "-q", "-r", remote, *what, **keys)

    def forget_cache(self, path: Path | str) -> None:
        """Delete DVC's cache and what lies at a place."""
        for place in (".dvc/cache", str(path)):
            self.run("rm", "-rf", place)

    def describe(self, path: Path | str) -> str:
        """SHA-256 over all files of a folder."""
        folder = self.root / path
        return digest_files((p for p in folder.rglob("*") if p.is_file()), folder)


class Trial:
    """All checks, each with a line that says what came out."""

    def __init__(self, root: Path, servers: LocalServers, epochs: int = 4) -> None:
        self.root, self.servers = root, servers
        study = small_study(
            dataset={"name": "check", "path": DATA, "generator": None},
            preprocess={"tiles_per_image": 5, "grid_tiles": 1},
            train={"epochs": epochs},
            explain={"tiles_per_class": 1, "misclassified_tiles": 0},
            evaluate={"baselines": ["majority"], "shortcut_audit": False},
            search=SEARCH | {"storage": servers.name_database("optuna")},
        )
        first = root / "first"
        first.mkdir()
        self.first = Clone(first, servers, small_params(check=study))
        self.second = Clone(root / "second", servers)

    @property
    def clones(self) -> tuple[Clone, Clone]:
        """Both."""
        return self.first, self.second

    def clone(self) -> str:
        """Make the project, push its data everywhere, clone it."""
        first, origin = self.first, self.root / "origin"
        first.start()
        first.add_remotes(self.root)
        first.tell_keys()
        (self.root / "ssh").mkdir()
        first.commit("start")
        first.run("git", "init", "-q", "--bare", str(origin))
        first.run("git", "remote", "add", "origin", str(origin))
        first.run("git", "push", "-q", "-u", "origin", "HEAD")
        for remote in REMOTES:
            first.move("push", remote, f"{DATA}.dvc")
        first.run("git", "clone", "-q", str(origin), str(self.second.root))
        for command in ("user.email test@example.org", "user.name Test"):
            self.second.run("git", "config", *command.split())
        self.second.tell_keys()
        expected = first.describe(DATA)
        for remote in REMOTES:
            self.second.forget_cache(DATA)
            self.second.move("pull", remote, f"{DATA}.dvc")
            assert self.second.describe(DATA) == expected, remote
        return f"{len(first.images)} pictures, pulled by the second clone from {_list(REMOTES)}"

    def hand_over_model(self) -> str:
        """The first clone trains, the second one gets the model."""
        first, second = self.clones
        first.repro()
        first.commit("trained")
        first.run("git", "push", "-q")
        for remote in REMOTES:
            first.move("push", remote)
        second.run("git", "pull", "-q")
        for remote in REMOTES:
            second.forget_cache("models/check")
            second.move("pull", remote)
            assert second.describe(MODEL) == first.describe(MODEL), remote
        assert "didn't change, skipping" in second.repro()
        return f"a model of {_count_files(second.root / MODEL)} files, and its report, likewise"

    def hand_back_data(self) -> str:
        """The second clone adds a picture, the first one gets it."""
        first, second = self.clones
        path = second.images[0]
        path.with_name("new.png").write_bytes(path.read_bytes())
        second.add_data()
        second.commit("one more picture")
        second.run("git", "push", "-q")
        for remote in REMOTES:
            second.move("push", remote, f"{DATA}.dvc")
        first.run("git", "pull", "-q")
        for remote in REMOTES:
            first.forget_cache(DATA)
            first.move("pull", remote, f"{DATA}.dvc")
            assert first.describe(DATA) == second.describe(DATA), remote
        return f"{len(first.images)} pictures in the first clone afterwards"

    def write_in_parallel(self) -> str:
        """Eight jobs record at once; nobody but the server has a key of the S3 store."""
        before = self.servers.count_objects("mlflow")
        write_at_once(self.servers.mlflow_url, self.first.root / "params.yaml")
        n = check_histories(self.servers.mlflow_url)
        files = self.servers.count_objects("mlflow") - before
        assert files == 8, files
        return f"{n} of {n} values and {files} of 8 files arrived"

    def record_same_study(self) -> str:
        """Both clones train the same study at once and record it on one server."""
        run_at_once([(clone, ("dvc", "repro")) for clone in self.clones])
        assert self.first.describe(MODEL) == self.second.describe(MODEL)
        return self.check_runs("check")

    def check_runs(self, study: str) -> str:
        """Every job of a study has one run, which is complete, and parents that exist."""
        url = self.servers.mlflow_url
        client = open_client(url)
        runs = list_runs(client, find_experiment(client, url, study))
        keys = Counter(run.data.tags["job_key"] for run in runs)
        assert not [key for key, n in keys.items() if n > 1], keys
        told = [f"{r.data.tags['job_key']}: {r.info.status} {r.data.tags}" for r in runs]
        assert {run.info.status for run in runs} == {"FINISHED"}, told
        known = {run.info.run_id for run in runs}
        parents = {run.data.tags.get("mlflow.parentRunId") for run in runs}
        assert parents <= known | {None}, told
        return f"{len(runs)} runs, each once"

    def begin_search_at_once(self) -> str:
        """Four programs make the tables of a new database and one search, and work on it."""
        url = self.servers.name_database("optuna")
        command = [sys.executable, "-W", "ignore", "-m", "tests.search_workers"]
        own = os.environ | self.servers.postgres_environment
        workers = [
            subprocess.Popen([*command, url, str(i), "0.02", "-1", "--create"], env=own)
            for i in range(4)
        ]
        statuses = [worker.wait() for worker in workers]
        assert not any(statuses), statuses
        n, different = self.count_values()
        assert n == different == SETTINGS.trials, (n, different)
        return f"{n} candidates of one search, each once"

    def count_values(self) -> tuple[int, int]:
        """How many candidates ended, and how many values of the learning rate they had.

        One that was handed on, since its worker seemed dead, counts where it ended. Searches of
        one seed draw equal values, so each is counted by itself.
        """
        sql = (
            "SELECT count(*), count(DISTINCT (study_id, param_value)) FROM trial_params "
            "JOIN trials USING (trial_id) WHERE state IN ('COMPLETE', 'PRUNED')"
        )
        [(n, different)] = self.servers.query("optuna", sql)
        return n, different

    def search(self) -> str:
        """Workers of both clones take from one queue."""
        run_at_once([(clone, ("snakemake", "--", "search_check")) for clone in self.clones])
        return f"{self.check_search()}; {self.check_runs('check')}"

    def check_search(self) -> str:
        """Every candidate was trained once, by one of the clones, with values of its own."""
        told = []
        for strategy in ("asha", "random"):
            place = f"work/check/search/{strategy}/created.json"
            created = [json.loads((clone.root / place).read_text()) for clone in self.clones]
            assert created[0] == created[1], created
            ended = [count_candidates(clone, strategy) for clone in self.clones]
            assert sum(ended) == created[0]["trials"], (strategy, ended)
            told.append(f"{strategy}: {ended[0]} + {ended[1]} candidates")
        rows = self.servers.query(
            "optuna",
            "SELECT s.study_name, v.value_json, count(*) FROM trials t "
            "JOIN studies s USING (study_id) JOIN trial_user_attributes v USING (trial_id) "
            "WHERE v.key = 'slot' AND t.state IN ('COMPLETE', 'PRUNED') GROUP BY 1, 2",
        )
        assert all(n == 1 for *_, n in rows), rows
        n, different = self.count_values()
        assert n == different, f"{n - different} candidates were tried twice"
        tables = [c.root / "work/check/search/summary/candidates.csv" for c in self.clones]
        lines = [path.read_text().splitlines() for path in tables]
        assert len(lines[0]) == len(lines[1]), lines
        return ", ".join(told)


def count_candidates(clone: Clone, strategy: str) -> int:
    """How many candidates the workers of a clone ended, by their logs."""
    logs = (clone.root / "work/check/logs").glob(f"run_search_worker_{strategy}_*.log")
    found = re.findall(r"ended (\d+) candidates", "".join(path.read_text() for path in logs))
    return sum(map(int, found))


def run_at_once(commands: list[tuple[Clone, tuple[str, ...]]]) -> None:
    """Run commands side by side; raises with the end of the output of one that fails."""
    running = []
    for clone, command in commands:
        log = clone.root.parent / f"{clone.root.name}.log"
        with log.open("w") as out:
            process = subprocess.Popen(
                command, cwd=clone.root, env=clone.variables, stdin=subprocess.DEVNULL,
                stdout=out, stderr=out,
            )  # fmt: skip
        running.append((process, log))
    for process, _ in running:
        process.wait()
    for process, log in running:
        assert process.returncode == 0, log.read_text()[-6000:]


def _count_files(folder: Path) -> int:
    return sum(path.is_file() for path in folder.rglob("*"))


def _list(names: tuple[str, ...]) -> str:
    return ", ".join(names[:-1]) + f" and {names[-1]}"


def main() -> int:
    """Start the servers, try everything, tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--without", nargs="*", default=(), help="steps to leave out")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that all is torn down
    with tempfile.TemporaryDirectory(prefix="bs", dir="/tmp") as name:
        root = Path(name)
        root.chmod(0o755)  # PostgreSQL works as a user of its own
        (root / "servers").mkdir()
        started = time.monotonic()
        with LocalServers(root / "servers") as servers:
            print(f"The servers are up ({time.monotonic() - started:.0f} s).", flush=True)
            trial = Trial(root, servers)
            steps = {
                "data through three remotes": trial.clone,
                "a model through three remotes": trial.hand_over_model,
                "data back": trial.hand_back_data,
                "eight jobs on one MLflow server": trial.write_in_parallel,
                "one study in two clones at once": trial.record_same_study,
                "four programs begin a search at once": trial.begin_search_at_once,
                "one search in two clones at once": trial.search,
            }
            problems = 0
            for title, step in steps.items():
                if step.__name__ in arguments.without:
                    continue
                started = time.monotonic()
                try:
                    outcome = step()
                except AssertionError as error:
                    problems += 1
                    outcome = f"ERROR: {error}"
                print(f"{title}: {outcome} ({time.monotonic() - started:.0f} s)", flush=True)
    print(f"{problems} problems.")
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
