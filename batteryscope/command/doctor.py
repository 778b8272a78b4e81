"""What this machine has for Batteryscope, and what is missing."""

import importlib.metadata
import os
import platform
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from batteryscope import __version__
from batteryscope.core.names import describe_failure
from batteryscope.errors import BatteryscopeError
from batteryscope.provenance import find_home

ENGINES = ("snakemake", "dvc", "mlflow", "torch", "timm")
ROOMY_GB = 5.0  # the demo takes about 1 GB, studies of hundreds of frames several


@dataclass(frozen=True)
class Finding:
    """One line of the list; ``is_fine``: nothing has to be done about it."""

    line: str
    is_fine: bool = True


def examine(project: Path) -> Iterator[Finding]:
    """Look at versions, programs, disk, processors, weights, and the project's databases.

    Parameters
    ----------
    project
        The user's folder; what needs its settings is left out where it has none.
    """
    yield _show("batteryscope", f"{__version__}, workflow in {find_home()}")
    yield _show("python", f"{platform.python_version()} on {platform.platform()}")
    for name in ENGINES:
        yield _find_version(name)
    if shutil.which("git") is None:
        yield _miss("git", "not found; data and settings have no versions without it")
    yield _measure_disk(project)
    yield from _tell("processors", _look_at_processors)
    yield from _tell("weights", _list_weights)
    if (project / "params.yaml").is_file():
        found = list(_tell("settings", lambda: _read_settings(project)))
        yield from found
        if all(finding.is_fine for finding in found):  # else the same sentence would come again
            yield from _tell("runs", lambda: _reach_tracking(project))
            yield from _tell("searches", lambda: _reach_searches(project))


def _show(topic: str, text: str) -> Finding:
    return Finding(f"ok       {topic:<13} {text}")


def _miss(topic: str, text: str) -> Finding:
    return Finding(f"PROBLEM  {topic:<13} {text}", is_fine=False)


def _tell(topic: str, look: Callable[[], str]) -> Iterator[Finding]:
    """Say what is found, and what keeps it from being found; nothing where nothing is said."""
    try:
        if text := look():
            yield _show(topic, text)
    except BatteryscopeError as error:
        yield _miss(topic, str(error))
    except Exception as error:  # drivers raise many kinds, and this command is for such a machine
        yield _miss(topic, describe_failure(error))


def _find_version(name: str) -> Finding:
    try:
        return _show(name, importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return _miss(name, f"not installed; type: pip install {name}")


def _measure_disk(project: Path) -> Finding:
    free_gb = shutil.disk_usage(project).free / 1e9
    text = f"{free_gb:.0f} GB free at {project.resolve()}"
    if free_gb < ROOMY_GB:
        return _miss("disk", f"{text}; a study may need {ROOMY_GB:.0f} GB")
    return _show("disk", text)


def _look_at_processors() -> str:
    from batteryscope.start.machine import look_at_machine

    return look_at_machine(timed=False).described


def _list_weights() -> str:
    from batteryscope.models.packaged_weights import list_packaged_backbones
    from batteryscope.models.pretrained import list_cached_backbones

    here = [*list_packaged_backbones(), *list_cached_backbones()]
    return f"of ImageNet, on this machine: {', '.join(here) or 'none'}"


def _read_settings(project: Path) -> str:
    from batteryscope.config.project import load_project

    read = load_project(project / "params.yaml")
    return f"params.yaml, {len(read.studies)} studies at scale {read.scale}"


def _reach_tracking(project: Path) -> str:
    from batteryscope.config.project import load_project
    from batteryscope.core.names import hide_password
    from batteryscope.tracking.address import ADDRESS
    from batteryscope.tracking.store import probe_database, probe_store

    settings = load_project(project / "params.yaml").tracking
    if not settings.enabled:
        return "not recorded (tracking.enabled)"
    uri = os.environ.get(ADDRESS, settings.uri)
    probe_store(uri)
    probe_database(uri)
    return f"recorded in {hide_password(uri)}"


def _reach_searches(project: Path) -> str:
    from batteryscope.config.project import load_project
    from batteryscope.core.names import hide_password
    from batteryscope.search.storage import probe_storage

    reached = []
    for study in load_project(project / "params.yaml").studies.values():
        if study.search and study.search.storage:
            is_there = probe_storage(study.search.storage)
            hint = "" if is_there else " (the first search makes it)"
            reached.append(hide_password(study.search.storage) + hint)
    return f"kept in {', '.join(sorted(set(reached)))}" if reached else ""
