"""Programs of the workflow and Snakemake, started from the command in the user's folder."""

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from batteryscope.core.run_options import STARTED_BY_COMMAND
from batteryscope.errors import InputError
from batteryscope.provenance import PROJECT_ROOT, find_home, is_clone

PARAMS = Path("params.yaml")


def check_project_folder() -> None:
    """Refuse a folder without settings.

    Raises
    ------
    InputError
        params.yaml is not here.
    """
    if not PARAMS.is_file():
        raise InputError(
            f"{Path.cwd()}: no project, since params.yaml is not here; go to your project's "
            "folder, or make one: batteryscope new FOLDER"
        )


def plan_program(name: str, words: Sequence[str]) -> list[str]:
    """Return the command line of a program of the workflow."""
    return [sys.executable, str(find_home() / "workflow_scripts" / f"{name}.py"), *words]


def plan_snakemake(words: Sequence[str]) -> list[str]:
    """Return the command line of Snakemake, for a project with or without a Snakefile."""
    # Without -P modules of Python would be looked for in the user's folder first.
    command = [sys.executable, "-P", "-m", "snakemake"]
    if not Path("Snakefile").is_file():
        command += ["--snakefile", str(find_home() / "Snakefile")]
    return [*command, *words]


def show_command(command: Sequence[str]) -> str:
    """Return a command line as a user would type it."""
    words = list(command)
    if words[1:4] == ["-P", "-m", "snakemake"]:
        words = words[3:]
    elif words[0] == sys.executable:
        words[0] = "python"
        if Path(words[1]).is_relative_to(Path.cwd()):
            words[1] = str(Path(words[1]).relative_to(Path.cwd()))
    return shlex.join(words)


def set_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment in which programs find this Python and this package first."""
    folder = str(Path(sys.executable).parent)
    changed = {
        "PATH": os.pathsep.join(filter(None, [folder, environment.get("PATH", "")])),
        STARTED_BY_COMMAND: "1",
    }
    if is_clone():
        changed["PYTHONPATH"] = str(PROJECT_ROOT)
    return {**environment, **changed}


def ask_snakemake(command: Sequence[str]) -> tuple[int, str]:
    """Print the command line of a dry run and run it; what it says on stderr is shown.

    Returns
    -------
    tuple of int and str
        Its exit status, and what it said on stdout, where a dry run lists jobs, silent or not.
    """
    print(f"$ {show_command(command)}", file=sys.stderr, flush=True)
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        text=True,
        errors="replace",
        env=set_environment(os.environ),
        check=False,
    )
    return done.returncode, done.stdout


def hand_over(command: Sequence[str]) -> NoReturn:
    """Print a command line and become its process: signals and exit status are its own."""
    print(f"$ {show_command(command)}", file=sys.stderr, flush=True)
    os.execve(command[0], list(command), set_environment(os.environ))
