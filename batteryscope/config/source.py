"""Which file a wrong setting stands in: params.yaml or an overlay."""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from batteryscope.config.yaml_loader import FastLoader

_KEY = re.compile(r"[\w-]+(?:\.[\w-]+)*")


def read_overlays(files: Sequence[Path], command_line: Mapping[str, Any]) -> dict[str, Any]:
    """Return what every overlay says, by the name that a user knows it by, in their order.

    Parameters
    ----------
    files
        What was given by ``--configfile``; Snakemake has read them already.
    command_line
        What was given by ``--config``.
    """
    here = Path.cwd()
    overlays: dict[str, Any] = {}
    for path in files:
        name = path.relative_to(here) if path.is_relative_to(here) else path
        overlays[name.as_posix()] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return overlays | ({"--config": dict(command_line)} if command_line else {})


def name_source(sentence: str, params: Path, overlays: Mapping[str, Any]) -> str:
    """Let a sentence about a setting begin with the file that the setting stands in.

    Parameters
    ----------
    sentence
        Of an error, such as ``params.yaml: studies.cathode_state.seed: found 'x'; …``.
    params
        The file params.yaml, by whose name the sentence begins.
    overlays
        By name, what each overlay says; the last one wins over those before it.

    Returns
    -------
    str
        The sentence; its file is the last one that holds the key, or, if none does (the
        key is missing), the one that holds most of the way to it, params.yaml if in doubt.
    """
    start = f"{params.name}: "
    found = _KEY.match(sentence.removeprefix(start))
    if not sentence.startswith(start) or found is None:
        return sentence
    keys = found.group().split(".")
    values = _read_again(params.read_text(encoding="utf-8"))
    source, depth = params.name, _find_depth(values, keys)
    for name, overlay in overlays.items():
        own = _find_depth(overlay, keys)
        if own > depth or own == len(keys):
            source, depth = name, own
    return f"{source}: {sentence.removeprefix(start)}"


@cache  # a large file may have many mistakes
def _read_again(text: str) -> Any:
    return yaml.load(text, Loader=FastLoader)


def _find_depth(values: Any, keys: Sequence[str]) -> int:
    """Return how many of the keys lead further into nested settings; a ``demo`` part counts too."""
    if keys and isinstance(values, list):
        known = keys[0].isdecimal() and int(keys[0]) < len(values)
        return 1 + _find_depth(values[int(keys[0])], keys[1:]) if known else 0
    if not keys or not isinstance(values, Mapping):
        return 0
    beside = _find_depth(values["demo"], keys) if keys[0] != "demo" and "demo" in values else 0
    # A dotted key of an arm's ``change`` is one key.
    dotted = len(keys) if ".".join(keys) in values else 0
    here = 1 + _find_depth(values[keys[0]], keys[1:]) if keys[0] in values else 0
    return max(here, beside, dotted)
