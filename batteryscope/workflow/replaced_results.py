"""Whether a run would publish one data set's results in place of another's."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from batteryscope.errors import ConfigError
from batteryscope.workflow.publication import SIDECAR

GENERATED = ""  # the origin of data that a program made


@dataclass(frozen=True)
class Publication:
    """What a study of this run publishes.

    ``origin`` says where the user's data lie (``GENERATED`` where they are made); ``is_papers``
    whether they are those of the study's paper, or made after it.
    """

    origin: str
    is_papers: bool = True


def read_origin(report: Path) -> str | None:
    """Return where the data of a published report lie; None if nothing is there that tells."""
    for name, key in ((SIDECAR, "data"), ("summary.json", "generated")):
        try:
            told = json.loads((report / name).read_text(encoding="utf-8"))[key]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if key == "data" and isinstance(told, str):
            return told
        if key == "generated" and told is True:
            return GENERATED
    return None


def check_replaced(
    reports: Path,
    studies: Mapping[str, Publication],
    targets: Iterable[str],
    allowed: Any = (),
) -> list[str]:
    """Refuse to replace published results by those of other data.

    Parameters
    ----------
    reports
        The folder of all published reports.
    studies
        By name, what this run would publish.
    targets
        What is to be built: studies or files; without any, everything is.
    allowed
        Names of studies whose results may be replaced (``--config replace=…``).

    Returns
    -------
    list of str
        What a user should know: results of generated data are replaced by those of the paper's.

    Raises
    ------
    ConfigError
        Naming the study, whose results are there, whose would come, and what to do.
    """
    asked = list(targets)
    free = allowed.replace(",", " ").split() if isinstance(allowed, str) else list(allowed or ())
    told = []
    for name, study in studies.items():
        published = read_origin(reports / name)
        if published in (None, study.origin) or name in free or not _is_built(name, asked):
            continue
        what = (
            f"{(reports / name).as_posix()} and the models of this study are results of "
            f"{_name_data(published)}"
        )
        ours = _name_data(study.origin)
        if published == GENERATED and study.is_papers:
            told.append(f"{name}: {what}; this run replaces them by those of {ours}.")
            continue
        way = (
            "name the overlay that belongs to them (--configfile …)"
            if study.origin == GENERATED
            else f"give these data a study of their own (based_on: {name}; docs/your_data.md)"
        )
        raise ConfigError(
            f"studies.{name}: {what}; this run would replace them by those of {ours}. Build other "
            f"studies only, {way}, or let them be replaced: --config replace={name}"
        )
    return told


def _is_built(name: str, asked: Sequence[str]) -> bool:
    """Whether a run with these targets publishes a study."""
    paths = [PurePath(target) for target in asked]
    note = any(path.name == "published.json" and name in path.parts for path in paths)
    return not asked or note or bool({name, "all"} & set(asked))


def _name_data(origin: str | None) -> str:
    return f"the data in {origin}" if origin else "generated data"
