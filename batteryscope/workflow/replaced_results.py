"""Whether a run would publish one data set's results in place of another's."""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from batteryscope.errors import ConfigError
from batteryscope.workflow.publication import SIDECAR

GENERATED = ""  # the origin of data that a program made
UNKNOWN_PLACE = "?"  # of a user's data whose results were published before origins were noted


@dataclass(frozen=True)
class Publication:
    """What a study of this run publishes.

    ``origin`` says where the user's data lie (``GENERATED`` where they are made); ``is_papers``
    whether they are those of the study's paper, or made after it; ``base`` which study's design it
    takes, if it is one of the user's own.
    """

    origin: str
    is_papers: bool = True
    base: str | None = None


def read_origin(report: Path) -> str | None:
    """Return where the data of a published report lie; None if nothing is there that tells.

    ``GENERATED``, or ``UNKNOWN_PLACE`` where all that is known is that they are a user's.
    """
    for name, key in ((SIDECAR, "data"), ("summary.json", "generated")):
        try:
            told = json.loads((report / name).read_text(encoding="utf-8"))[key]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if key == "data" and isinstance(told, str):
            return told
        if key == "generated" and isinstance(told, bool):
            return GENERATED if told else UNKNOWN_PLACE
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
        What a user should know: which results are replaced without being asked for, those of
        generated data or of a user's whose place was not noted.

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
        if published is None or name in free or not _is_built(name, asked):
            continue
        if _is_kept(published, study.origin):
            continue
        what = (
            f"{(reports / name).as_posix()} and the models of this study are results of "
            f"{_name_data(published)}"
        )
        ours = _name_data(study.origin)
        if _makes_room(published, study):
            told.append(f"{name}: {what}; this run replaces them by those of {ours}.")
            continue
        raise ConfigError(
            f"studies.{name}: {what}; this run would replace them by those of {ours}. Build other "
            f"studies only, {_advise(name, study)}, or let them be replaced"
            f"{_ask_if_moved(published, study)}: --config replace={name}"
        )
    return told


def _is_kept(published: str, origin: str) -> bool:
    """Whether data are those that were published, or tables to which some were added."""
    if GENERATED in (published, origin):
        return published == origin
    places = [{os.path.realpath(p) for p in o.split("; ")} for o in (published, origin)]
    return places[0] <= places[1]


def _makes_room(published: str, study: Publication) -> bool:
    """Whether what is published is worth less than what would come, or not known well enough."""
    if published == GENERATED:
        return study.is_papers or study.base is not None
    return published == UNKNOWN_PLACE and study.origin != GENERATED


def _advise(name: str, study: Publication) -> str:
    """Say how both results can stay."""
    if study.origin == GENERATED:
        return "name the overlay that belongs to them (--configfile …)"
    if study.base:
        return f"give the study of these data another name (based_on: {study.base})"
    return f"give these data a study of their own (based_on: {name}; docs/your_data.md)"


def _ask_if_moved(published: str, study: Publication) -> str:
    """Name the one harmless reason why a place is another, where it can be that."""
    gone = not all(Path(place).exists() for place in published.split("; "))
    return " (also where the same data were moved)" if gone and study.origin else ""


def _is_built(name: str, asked: Sequence[str]) -> bool:
    """Whether a run with these targets publishes a study."""
    paths = [PurePath(target) for target in asked]
    note = any(path.name == "published.json" and name in path.parts for path in paths)
    return not asked or note or bool({name, "all"} & set(asked))


def _name_data(origin: str | None) -> str:
    if origin == UNKNOWN_PLACE:
        return "data of your own, published before it was noted where they lie"
    return f"the data in {origin}" if origin else "generated data"
