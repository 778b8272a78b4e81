"""With which options a run was started, so that its reports can say how to repeat it."""

import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from batteryscope.core.names import hide_password

RUN_OPTIONS = "BATTERYSCOPE_RUN_OPTIONS"
STARTED_BY_COMMAND = "BATTERYSCOPE_COMMAND"  # set where programs were started by `batteryscope`
NO_SETTINGS_OF_RESULTS = ("tracking", "replace")  # where runs are recorded may hold a password


def describe_options(overlays: Sequence[Path], settings: Sequence[str], folder: Path) -> str:
    """Return the options of Snakemake by which a run's results depend on more than params.yaml.

    Parameters
    ----------
    overlays
        Files given by ``--configfile``, in their order.
    settings
        Pairs ``key=value`` given by ``--config``.
    folder
        The project's folder, from which paths are told.

    Returns
    -------
    str
        As it would be typed, quoted for the shell, but without passwords in addresses, which a
        report is no place for; "" where there are none.

    Examples
    --------
    >>> describe_options([Path("/p/my own.yaml")], ["scale=paper", "tracking={}"], Path("/p"))
    "--configfile 'my own.yaml' --config scale=paper"
    """
    files = [path.relative_to(folder) if path.is_relative_to(folder) else path for path in overlays]
    kept = [s for s in settings if s.partition("=")[0].strip() not in NO_SETTINGS_OF_RESULTS]
    words = ["--configfile", *map(Path.as_posix, files)] if files else []
    words += ["--config", *map(hide_password, kept)] if kept else []
    return shlex.join(words)


def read_options() -> str:
    """Return the options of the run that this program belongs to; "" if there are none."""
    return os.environ.get(RUN_OPTIONS, "")


def describe_repeat(study: str, plan: bool = False) -> str:
    """Return what repeats the run that this program belongs to, by the command if that is in use.

    Parameters
    ----------
    study
        Its name.
    plan
        Whether it shall only say what there is to do.

    Examples
    --------
    >>> describe_repeat("cells", plan=True)
    'snakemake -n -- cells'
    """
    options = read_options()
    if not os.environ.get(STARTED_BY_COMMAND):
        return " ".join(filter(None, ["snakemake", "-n" if plan else "", options, "--", study]))
    own = f"--configfile {study}.yaml"  # which the command finds by itself
    if options == own or options.startswith(f"{own} --"):
        options = options.removeprefix(own).lstrip()
    return " ".join(filter(None, ["batteryscope run", study, "-n" if plan else "", options]))


def describe_full_design(study: str) -> str:
    """Return what runs the full design of a study of the demo.

    Examples
    --------
    >>> describe_full_design("cells")
    'snakemake --config scale=paper -- cells'
    """
    if os.environ.get(STARTED_BY_COMMAND):
        return f"batteryscope run {study} --scale paper"
    return f"snakemake --config scale=paper -- {study}"


def describe_run(overlay: Path, study: str) -> str:
    """Return what to type to run the study of an overlay, by the command if that is in use.

    Examples
    --------
    >>> describe_run(Path("my cells.yaml"), "cells")
    "snakemake --configfile 'my cells.yaml' -- cells"
    """
    if os.environ.get(STARTED_BY_COMMAND) and overlay == Path(f"{study}.yaml"):
        return f"batteryscope run {study}"
    return f"snakemake --configfile {shlex.quote(str(overlay))} -- {study}"


def describe_program(name: str) -> str:
    """Return how a program is started: by the word of the command that stands for it, if used."""
    if os.environ.get(STARTED_BY_COMMAND):
        return f"batteryscope {name.partition('_')[0]}"
    return f"python workflow_scripts/{name}.py"
