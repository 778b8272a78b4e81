"""Sweeps: one setting, or a grid of several, taken value by value, all else equal."""

import difflib
import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator

from batteryscope.config.base import Settings, list_classes
from batteryscope.config.evaluate import PaperValue
from batteryscope.errors import ConfigError

WHERE = "dataset.where."  # the one part of the data set that points may differ in
ALL = "all"


class SweepSettings(Settings):
    """What a sweep changes: dotted keys, each with the list of its values.

    Every combination of values is a point: the ``arm`` (by default the main one) with these
    settings. ``dataset.where.<column>`` trains and tests on the images with that value. A key
    that a stage of the arm sets itself is swept there, any other one in the whole arm. Of a
    published value in ``paper``, ``arm`` names the point it belongs to.

    Examples
    --------
    >>> SweepSettings.model_validate({"preprocess.crop_px": [100, 200]}).grid
    {'preprocess.crop_px': [100, 200]}
    """

    model_config = ConfigDict(
        json_schema_extra={"patternProperties": {r"^[a-z_]+\.": {"type": "array", "minItems": 1}}}
    )

    arm: str | None = None
    grid: dict[str, list[Any]] = {}
    paper: list[PaperValue] = []

    @model_validator(mode="before")
    @classmethod
    def _gather_keys(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        own = {k: v for k, v in values.items() if k in cls.model_fields}
        swept = {str(k): v for k, v in values.items() if k not in cls.model_fields}
        return own | {"grid": {**(own.get("grid") or {}), **swept}} if swept else own

    @model_validator(mode="after")
    def _grid_is_usable(self) -> "SweepSettings":
        if not self.grid:
            raise ValueError(
                "names no setting to sweep; add one, for example preprocess.crop_px: [100, 200]."
            )
        for key, values in self.grid.items():
            if not values:
                raise ValueError(f"{key} has an empty list; give it at least one value.")
            if repeated := [v for i, v in enumerate(values) if v in values[:i]]:
                raise ValueError(f"{key} has the value {repeated[0]!r} twice; leave one out.")
        return self


@dataclass(frozen=True)
class SweepPoint:
    """One combination of values; ``name`` is the name of its arm."""

    sweep: str
    name: str
    base: str
    values: Mapping[str, Any]


def expand_sweep(name: str, sweep: SweepSettings, base: str) -> Iterator[SweepPoint]:
    """List the points of a sweep, the last key changing fastest.

    Raises
    ------
    ValueError
        If two points would have the same name.
    """
    seen: dict[str, object] = {}
    for values in itertools.product(*sweep.grid.values()):
        point = "_".join([name, *(name_value(value) for value in values)])
        if point in seen:
            raise ValueError(
                f"the points {seen[point]} and {values} would both be called '{point}'; "
                "leave one out."
            )
        seen[point] = values
        yield SweepPoint(name, point, base, dict(zip(sweep.grid, values, strict=True)))


def name_value(value: Any) -> str:
    """Write a value so that it can be part of a file name.

    Examples
    --------
    >>> [name_value(v) for v in (300, 0.5, 3.5e-4, "mobilenetv2_100", True, None, [1, 2])]
    ['300', '0p5', '0p00035', 'mobilenetv2_100', 'true', 'none', '1_2']
    """
    if isinstance(value, list | tuple):
        return "_".join(name_value(item) for item in value)
    if isinstance(value, Mapping):
        return "_".join(f"{name_value(k)}_{name_value(v)}" for k, v in value.items())
    if isinstance(value, float):
        text = f"{value:.12f}".rstrip("0").rstrip(".")
        text = text if float(text) == value else repr(value)
        return text.replace("-", "m").replace(".", "p").replace("+", "")
    text = str(value).lower()
    if isinstance(value, int) and not isinstance(value, bool):
        text = text.replace("-", "m")
    return re.sub(r"[^a-z0-9]+", "_", text).strip("_") or "empty"


def check_key(key: str, recipe: type[BaseModel]) -> None:
    """Refuse a key that an arm does not have.

    Raises
    ------
    ValueError
        Naming the nearest keys.
    """
    if key.startswith(WHERE) and len(key) > len(WHERE):
        return
    known, free = list_keys(recipe)
    if key in known or any(key.startswith(f"{mapping}.") for mapping in free):
        return
    if key.startswith("dataset."):
        raise ValueError(
            f"'{key}' cannot be swept, since all points share one data set; of it only "
            f"{WHERE}<column> can, for example {WHERE}magnification."
        )
    near = difflib.get_close_matches(key, known, n=3, cutoff=0.5)
    if not near:
        near = [k for k in known if k.rpartition(".")[2] == key.rpartition(".")[2]][:3]
    shown = " or ".join(f"'{k}'" for k in near)
    hint = f"did you mean {shown}?" if near else f"the sections are {_list_sections(known)}."
    raise ValueError(f"'{key}' is no setting of an arm; {hint}")


def list_keys(recipe: type[BaseModel]) -> tuple[list[str], list[str]]:
    """Return the dotted keys of all sections of a recipe, and those that are free mappings."""
    known, free = [], []
    for section, field in recipe.model_fields.items():
        for settings in list_classes(field.annotation):
            for name, inner in settings.model_fields.items():
                known.append(f"{section}.{name}")
                if "dict" in str(inner.annotation):
                    free.append(f"{section}.{name}")
    return sorted(set(known)), sorted(set(free))


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
    for name in names:
        if name != ALL and name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(known) or 'none'}."
            raise ConfigError(f"sweeps: no study has a sweep '{name}'; {hint}")
    for study, sweeps in declared.items():
        mine = sweeps if ALL in names else [name for name in names if name in sweeps]
        if mine:
            studies[study]["run_sweeps"] = mine


def _list_sections(keys: list[str]) -> str:
    return ", ".join(dict.fromkeys(key.partition(".")[0] for key in keys))
