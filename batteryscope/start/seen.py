"""What was found in a folder: tables, names, and what a person should know before anything."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from batteryscope.config.table_format import TableFormat
from batteryscope.start.class_names import NamedClasses


@dataclass(frozen=True)
class Problem:
    """Something that a person should know or put right; with ``prevents`` there is no study."""

    text: str
    prevents: bool = False


@dataclass(frozen=True)
class Seen:
    """What a folder holds.

    Attributes
    ----------
    place
        The folder, or the first file, as the user named it.
    given
        The words of the command line that named it.
    dataset
        Settings of the data set that were found: ``path``, ``labels`` …
    names
        How the names of folders were understood.
    manifest, rejects, frames
        Tables of the contract; None of tables, whose rows are the manifest.
    pairs
        Samples that show the same place.
    facts
        For the fingerprint: topic → what was found, plain JSON.
    problems
        In the order in which they were found.
    read_seconds
        CPU time of reading one sample.
    measured
        Of pictures: ``sample_id``, ``particle_px``, ``local_sd``, ``data_bar_px``.
    """

    place: Path
    given: str
    dataset: Mapping[str, Any]
    names: NamedClasses
    manifest: pd.DataFrame
    rejects: pd.DataFrame
    frames: pd.DataFrame | None
    pairs: pd.DataFrame
    facts: Mapping[str, Any]
    problems: Sequence[Problem] = field(default_factory=list)
    read_seconds: float = 0.0
    measured: pd.DataFrame | None = None


def say_command(
    option: str,
    places: Sequence[Path],
    targets: Sequence[str],
    domain: str = "",
    written: TableFormat | None = None,
) -> str:
    """Return the words of the command line that name what was looked at."""
    words = [option, *map(str, places), *(["--targets", *targets] if targets else [])]
    stated = {} if written is None else written.model_dump(exclude_defaults=True)
    formats = [word for name, value in stated.items() for word in (f"--{name}", str(value))]
    return shlex.join([*words, *(["--domain", domain] if domain else []), *formats])


def name_path(path: Path) -> str:
    """Return a path as settings say it: below the project relative to it, else absolute."""
    here, full = Path.cwd().resolve(), path.absolute()
    return full.relative_to(here).as_posix() if full.is_relative_to(here) else full.as_posix()
