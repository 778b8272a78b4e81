"""Which sweeps are run: those that the user names when a run starts."""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from batteryscope.errors import ConfigError

ALL = "all"


def choose_sweeps(studies: Mapping[str, Any], wanted: Any) -> None:
    """Switch the wanted sweeps on, in raw settings; without any wish nothing changes.

    Parameters
    ----------
    studies
        Raw settings by study, changed in place (``run_sweeps``).
    wanted
        The key ``sweeps`` of the whole configuration: names as a list, or as one text with
        commas or spaces, as ``--config sweeps=crop_size,backbone`` gives; ``all``.

    Raises
    ------
    ConfigError
        A name that no study has.
    """
    if not isinstance(wanted, str | list):
        return  # nothing, or something that validation explains
    names = _list_names(wanted)
    declared = {
        name: list(study.get("sweeps") or {})
        for name, study in studies.items()
        if isinstance(study, Mapping)
    }
    known = sorted({sweep for sweeps in declared.values() for sweep in sweeps})
    always = {key for s in studies.values() if isinstance(s, Mapping) for key in _list_always(s)}
    for name in names:
        if name in always and name not in known:
            raise ConfigError(
                f"sweeps: '{name}' belongs to the ablations of a study of tables, which are always "
                f"run; leave it out here, and change ablations.{name} for other values."
            )
        if name != ALL and name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(known) or 'none'}."
            raise ConfigError(f"sweeps: no study has a sweep '{name}'; {hint}")
    for study, sweeps in declared.items():
        mine = sweeps if ALL in names else [name for name in names if name in sweeps]
        if mine:
            studies[study]["run_sweeps"] = mine


def check_targets(
    run_sweeps: Mapping[str, Sequence[str]], wanted: Any, targets: Iterable[str]
) -> None:
    """Refuse a sweep of studies that are not built: it would be left out without a word.

    Parameters
    ----------
    run_sweeps
        By study, the sweeps that are switched on.
    wanted
        What the command line asks for (``--config sweeps=…``).
    targets
        What is to be built: studies, or files below folders with their names; without any,
        everything is.

    Raises
    ------
    ConfigError
        Naming the studies that have the sweep.
    """
    asked = list(targets)
    if not isinstance(wanted, str | list) or not asked or "all" in asked:
        return
    built = {part for target in asked for part in PurePath(target).parts}
    for name in _list_names(wanted):
        owners = [s for s, on in run_sweeps.items() if name in on or (on and name == ALL)]
        if not built & set(owners):
            what = "asks for the sweeps of" if name == ALL else "is a sweep of"
            one = "one of them" if len(owners) > 1 else "it"
            raise ConfigError(
                f"sweeps: '{name}' {what} {' and '.join(owners) or 'no study'}, which this run "
                f"({', '.join(asked)}) does not build; name {one} as a target, or leave the sweep "
                "out."
            )


def _list_names(wanted: str | list[Any]) -> list[str]:
    names = re.split(r"[,\s]+", wanted.strip()) if isinstance(wanted, str) else wanted
    return [str(name) for name in names if name]


def _list_always(study: Mapping[str, Any]) -> list[str]:
    ablations = study.get("ablations")
    return [str(key) for key in ablations] if isinstance(ablations, Mapping) else []
