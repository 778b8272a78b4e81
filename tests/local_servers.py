"""The servers of a laboratory on this machine alone: PostgreSQL, an S3 store, MLflow and SSH.

All listen on loopback, keep what they hold in one folder, and are gone on leaving.
"""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Self

from tests.time_limits import stretch_limit, wait_until

LOOPBACK = "127.0.0.1"
ENVIRONMENT = Path("work/servers/bin")  # made from tests/servers.txt by make test-servers
STARTS_WITHIN_S = 240
BUCKETS = ("mlflow", "dvc")
DATABASES = ("mlflow", "optuna")
USER = "battery"
# It sends nothing away, and starts no programs of its own beside the server.
MLFLOW_ALONE = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
}
DRIVER = "postgresql+psycopg2"  # without it, SQLAlchemy 2.1 looks for another one
SSH_SETTINGS = """
Port {port}
ListenAddress {host}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/user_key.pub
PidFile {folder}/sshd.pid
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
StrictModes no
UsePAM no
Subsystem sftp internal-sftp
"""
MAKE_BUCKETS = """
import os, sys
import boto3
client = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
for name in sys.argv[1:]:
    client.create_bucket(Bucket=name)
"""
COUNT_OBJECTS = """
import os, sys
import boto3
client = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
pages = client.get_paginator("list_objects_v2").paginate(Bucket=sys.argv[1])
print(sum(len(page.get("Contents", [])) for page in pages))
"""


class LocalServers:
    """Started on entering, gone on leaving.

    Parameters
    ----------
    folder
        An empty folder with a short path that every user may enter: sockets lie in it.
    binaries
        Of the environment with moto, boto3 and MLflow (``tests/servers.txt``).
    """

    def __init__(self, folder: Path, binaries: Path = ENVIRONMENT) -> None:
        self.folder = folder
        self.binaries = binaries.absolute()
        self.password = secrets.token_hex(16)
        self.ports = dict(zip(("postgres", "s3", "mlflow", "ssh"), find_free_ports(4), strict=True))
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        try:
            self.folder.chmod(0o755)
            self.start_postgres()
            self.start_s3()
            self.start_mlflow()
            self.start_ssh()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for name in [*reversed(self._processes)]:
            self.stop(name)
        if (self.folder / "postgres" / "postmaster.pid").exists():
            self._run_postgres("pg_ctl", "stop", "-m", "immediate")

    @property
    def mlflow_url(self) -> str:
        """Address of the tracking server."""
        return f"http://{LOOPBACK}:{self.ports['mlflow']}"

    @property
    def s3_url(self) -> str:
        """Address of the S3 store."""
        return f"http://{LOOPBACK}:{self.ports['s3']}"

    @property
    def s3_environment(self) -> dict[str, str]:
        """What a program needs that speaks to the S3 store itself."""
        return {
            "AWS_ACCESS_KEY_ID": "laboratory",
            "AWS_SECRET_ACCESS_KEY": self.password,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": self.s3_url,
        }

    def name_database(self, name: str) -> str:
        """Return the address of a database; the password is in :attr:`postgres_environment`."""
        return f"{DRIVER}://{USER}@{LOOPBACK}:{self.ports['postgres']}/{name}"

    @property
    def postgres_environment(self) -> dict[str, str]:
        """What a program needs that speaks to the databases."""
        return {"PGPASSWORD": self.password}

    def _find_server(self) -> str:
        return f"{USER}:{self.password}@{LOOPBACK}:{self.ports['postgres']}"

    def start_postgres(self) -> None:
        """Make a cluster of databases and start its server."""
        own = self.folder / "postgres"
        own.mkdir()
        secret = self.folder / "postgres.password"
        secret.write_text(self.password)
        secret.chmod(0o600)
        if os.geteuid() == 0:  # PostgreSQL refuses to work as root
            for path in (own, secret):
                shutil.chown(path, "postgres", "postgres")
        self._run_postgres(
            *("initdb", "--auth=scram-sha-256", f"--username={USER}", f"--pwfile={secret}"),
            *("--encoding=UTF8", "--locale=C", "--no-sync"),
        )
        options = f"-c listen_addresses={LOOPBACK} -p {self.ports['postgres']} -k {own}"
        self._run_postgres("pg_ctl", "start", "-w", "-o", options, "-l", f"{own}/server.log")
        for name in DATABASES:
            self.query("postgres", f"CREATE DATABASE {name}")

    def query(self, database: str, sql: str) -> list[tuple]:
        """Run one statement and return its rows."""
        import psycopg2

        connection = psycopg2.connect(f"postgresql://{self._find_server()}/{database}")
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(sql)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def start_s3(self) -> None:
        """Start the store, which keeps everything in memory, and make the buckets."""
        self._start("s3", "moto_server", "-H", LOOPBACK, "-p", str(self.ports["s3"]))
        self._wait_for("s3", lambda: answers(self.s3_url))
        self._ask_s3(MAKE_BUCKETS, *BUCKETS)

    def count_objects(self, bucket: str) -> int:
        """Return how many objects lie in a bucket."""
        return int(self._ask_s3(COUNT_OBJECTS, bucket))

    def start_mlflow(self) -> None:
        """Start the tracking server, which alone knows the keys of the S3 store."""
        environment = (
            MLFLOW_ALONE
            | self.postgres_environment
            | self.s3_environment
            | {
                "MLFLOW_S3_ENDPOINT_URL": self.s3_url,
                "MLFLOW_BACKEND_STORE_URI": self.name_database("mlflow"),
                "MLFLOW_ARTIFACTS_DESTINATION": "s3://mlflow",
            }
        )
        self._start(
            *("mlflow", "mlflow", "server", "--host", LOOPBACK),
            *("--port", str(self.ports["mlflow"]), "--workers", "2"),
            **environment,
        )
        self._wait_for("mlflow", lambda: answers(f"{self.mlflow_url}/health"))

    def start_ssh(self) -> None:
        """Start a server that lets in whoever has the key ``user_key`` of the folder."""
        for name in ("host_key", "user_key"):
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.folder / name)]
            subprocess.run(command, check=True)
        settings = self.folder / "sshd_config"
        settings.write_text(
            SSH_SETTINGS.format(port=self.ports["ssh"], host=LOOPBACK, folder=self.folder)
        )
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)  # Debian makes it when the machine starts
        self._start("ssh", find_program("sshd"), "-D", "-e", "-f", str(settings))
        self._wait_for("ssh", lambda: _accepts(self.ports["ssh"]))

    def stop(self, name: str) -> None:
        """Stop one of ``s3``, ``mlflow`` and ``ssh`` with all that it has started."""
        process = self._processes.pop(name)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(stretch_limit(10))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        with suppress(ProcessLookupError):  # its workers, if it has left any
            os.killpg(process.pid, signal.SIGKILL)

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def _start(self, name: str, program: str, *words: str, **environment: str) -> None:
        own = self.binaries / program
        with self._log(name).open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [str(own) if own.exists() else program, *words],
                cwd=self.folder,
                env=_leave_out_own(os.environ) | environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _wait_for(self, name: str, is_ready: Callable[[], bool]) -> None:
        if not wait_for_server(is_ready, self._processes[name]):
            raise SystemExit(f"{name} does not come up: {self._log(name).read_text()[-2000:]}")

    def _run_postgres(self, program: str, *words: str) -> None:
        environment = os.environ | {"PGDATA": str(self.folder / "postgres")}
        done = subprocess.run(
            [find_program(program), *words],
            cwd=self.folder,
            env=environment,
            user="postgres" if os.geteuid() == 0 else None,
            stdin=subprocess.DEVNULL,
            stdout=(self.folder / "postgres.out").open("ab"),  # a pipe would stay open
            stderr=subprocess.STDOUT,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"{program} failed: {(self.folder / 'postgres.out').read_text()}")

    def _ask_s3(self, code: str, *words: str) -> str:
        return subprocess.run(
            [self.binaries / "python", "-c", code, *words],
            env=_leave_out_own(os.environ) | self.s3_environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout


def find_program(name: str) -> str:
    """Return the path of a server's program; Debian keeps those of PostgreSQL and sshd apart.

    Raises
    ------
    SystemExit
        If it is not installed.
    """
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    path = os.pathsep.join([os.environ["PATH"], "/usr/sbin", *map(str, places)])
    found = shutil.which(name, path=path)
    if found is None:
        raise SystemExit(f"{name} is missing: apt-get install postgresql openssh-server")
    return found


def wait_for_server(is_ready: Callable[[], bool], process: subprocess.Popen[bytes]) -> bool:
    """Wait for a server; False if it has ended or takes minutes."""
    wait_until(lambda: process.poll() is not None or is_ready(), STARTS_WITHIN_S)
    return process.poll() is None and is_ready()


def _leave_out_own(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without what concerns this project's Python and tracking store."""
    prefixes = ("MLFLOW_", "AWS_", "PYTHONPATH", "VIRTUAL_ENV")
    return {k: v for k, v in environment.items() if not k.startswith(prefixes)}


def find_free_ports(n: int) -> list[int]:
    """Return ports of loopback that nobody listens on."""
    held = [socket.create_server((LOOPBACK, 0)) for _ in range(n)]
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


def answers(url: str) -> bool:
    """Whether a server says anything at all."""
    try:
        with urllib.request.urlopen(url, timeout=stretch_limit(2)):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def _accepts(port: int) -> bool:
    try:
        with socket.create_connection((LOOPBACK, port), timeout=stretch_limit(2)) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False
