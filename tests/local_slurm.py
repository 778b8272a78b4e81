"""A real Slurm on this machine alone: one controller and three nodes that listen on loopback."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Self

PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch")
NODES = ("n1", "n2", "n3")
FIRST_PORT = 17000  # of the controller; the nodes have the next ones
COMMANDS = ("sbatch", "srun", "squeue", "scancel", "sinfo", "scontrol", "sacct", "sacctmgr")
# Debian's Slurm 22.05: no accounting, no control groups, GPUs are not known.
SETTINGS = """
ClusterName=battery
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
ReturnToService=2
StateSaveLocation={folder}/controller
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/controller.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/controller.log
SlurmdLogFile={folder}/%n.log
MinJobAge=600
PartitionName=main Nodes={nodes} Default=YES MaxTime=INFINITE State=UP
"""


class LocalSlurm:
    """Started on entering, gone on leaving; :attr:`binaries` comes first in PATH meanwhile.

    Parameters
    ----------
    folder
        An empty folder with a short path that every user may enter: sockets lie in it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.binaries = folder / "bin"
        self.settings = folder / "slurm.conf"

    def __enter__(self) -> Self:
        if missing := [name for name in PROGRAMS if shutil.which(name) is None]:
            raise SystemExit(f"{missing[0]} is missing: apt-get install slurm-wlm munge")
        if os.geteuid() != 0:
            raise SystemExit("Only root can start Slurm.")
        self.folder.chmod(0o755)
        for name in ("controller", *(f"spool/{node}" for node in NODES)):
            (self.folder / name).mkdir(parents=True)
        self._write_settings()
        try:
            self._start_munge()
            self._start("slurmctld")
            for node in NODES:
                self._start("slurmd", "-N", node)
            self._wait_for_nodes()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for job in self.ask("squeue", "--noheader", "--format=%i").split():
            self.ask("scancel", job)
        for name in ("controller.pid", *(f"{node}.pid" for node in NODES), "munge/pid"):
            with suppress(OSError, ValueError):
                os.kill(int((self.folder / name).read_text()), signal.SIGTERM)
        time.sleep(2)

    def ask(self, *command: str) -> str:
        """Run a command of Slurm and return what it says."""
        done = subprocess.run(
            [self.binaries / command[0], *command[1:]], capture_output=True, text=True, check=False
        )
        return done.stdout

    def _write_settings(self) -> None:
        host, port = socket.gethostname().split(".")[0], FIRST_PORT
        text = SETTINGS.format(host=host, port=port, folder=self.folder, nodes=",".join(NODES))
        for number, node in enumerate(NODES, 1):
            text += f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 "
            text += f"Port={port + number} CPUs=8 RealMemory=16000\n"
        self.settings.write_text(text)
        (self.folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")
        self.binaries.mkdir()
        for name in COMMANDS:  # jobs do not hand SLURM_CONF on
            program = self.binaries / name
            program.write_text(
                f'#!/bin/sh\nexport SLURM_CONF={self.settings}\nexec {shutil.which(name)} "$@"\n'
            )
            program.chmod(0o755)

    def _start_munge(self) -> None:
        own = self.folder / "munge"
        own.mkdir(mode=0o711)
        (own / "key").write_bytes(secrets.token_bytes(1024))
        (own / "key").chmod(0o400)
        for path in (own, own / "key"):
            shutil.chown(path, "munge", "munge")
        words = [f"--socket={own}/socket", f"--key-file={own}/key", f"--log-file={own}/log"]
        words += [f"--pid-file={own}/pid", f"--seed-file={own}/seed"]
        program = shutil.which("munged")
        assert program is not None
        subprocess.run([program, *words], user="munge", check=True)

    def _start(self, *command: str) -> None:
        subprocess.run(command, env=os.environ | {"SLURM_CONF": str(self.settings)}, check=True)

    def _wait_for_nodes(self) -> None:
        for _ in range(60):
            if self.ask("sinfo", "--noheader", "--format=%D %t").split() == ["3", "idle"]:
                return
            time.sleep(1)
        raise SystemExit(f"Slurm does not come up; see {self.folder}/controller.log")
