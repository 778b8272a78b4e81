"""Which sweeps are run: those that the user names when a run starts."""

import difflib
import re
from collections.abc import Mapping
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
    names = re.split(r"[,\s]+", wanted.strip()) if isinstance(wanted, str) else wanted
    names = [str(name) for name in names if name]
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


def _list_always(study: Mapping[str, Any]) -> list[str]:
    ablations = study.get("ablations")
    return [str(key) for key in ablations] if isinstance(ablations, Mapping) else []
