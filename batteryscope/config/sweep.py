"""Sweeps: one setting, or a grid of several, taken value by value, all else equal."""

import difflib
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator

from batteryscope.config.base import Settings, list_classes
from batteryscope.config.evaluate import PaperValue

WHERE = "dataset.where."  # the one part of the data set that points may differ in


class SweepSettings(Settings):
    """What a sweep changes: dotted keys, each with the list of its values.

    Every combination of values is a point: the ``arm`` (by default the main one) with these
    settings. Keys that change together stand before one list, divided by a comma, and every value
    is a list with one for each. ``dataset.where.<column>`` trains and tests on the images with
    that value. A key that a stage of the arm sets itself is swept there, any other one in the
    whole arm. Of a published value in ``paper``, ``arm`` names the point it belongs to.

    Examples
    --------
    >>> SweepSettings.model_validate({"preprocess.crop_px": [100, 200]}).grid
    {'preprocess.crop_px': [100, 200]}
    >>> SweepSettings.model_validate({"train.penalty, train.penalty_weight": [["l1", 1e-5]]}).grid
    {'train.penalty, train.penalty_weight': [['l1', 1e-05]]}
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
            n_keys = len(split_key(key))
            for value in values if n_keys > 1 else ():
                if not isinstance(value, list) or len(value) != n_keys:
                    raise ValueError(
                        f"'{key}' has the value {value!r}; expected a list of {n_keys} values, one "
                        "for each of the keys."
                    )
        return self


@dataclass(frozen=True)
class SweepPoint:
    """One combination of values, by key as declared; ``name`` is the name of its arm."""

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


def split_key(key: str) -> list[str]:
    """Return the single keys of one that names several which change together."""
    return [name.strip() for name in key.split(",")]


def resolve_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a point, one value per single key.

    Examples
    --------
    >>> resolve_values({"train.penalty, train.penalty_weight": ["l1", 1e-5], "train.seed": 2})
    {'train.penalty': 'l1', 'train.penalty_weight': 1e-05, 'train.seed': 2}
    """
    resolved: dict[str, Any] = {}
    for key, value in values.items():
        names = split_key(key)
        resolved |= {key: value} if len(names) == 1 else dict(zip(names, value, strict=True))
    return resolved


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


def check_sweeps(
    sweeps: Mapping[str, SweepSettings],
    run_sweeps: Sequence[str],
    arms: Sequence[str],
    main_arm: str,
    taken: Iterable[str],
    check: Callable[[str], None],
    change: Callable[[SweepPoint], object] = lambda point: None,
    spread: Callable[[str], Sequence[str]] = lambda key: [key],
) -> None:
    """Refuse sweeps that cannot be; of those that are not run only the keys are looked at.

    Parameters
    ----------
    sweeps, run_sweeps
        All sweeps of a study, and the names of those that are run.
    arms, main_arm
        What a sweep may start from, and what it starts from by default.
    taken
        Names that no point may have.
    check
        Refuses a key that cannot be swept.
    change
        Applies a point, and refuses an impossible one.
    spread
        The settings that a key changes, if it stands for several.

    Raises
    ------
    ValueError
        Naming the sweep, the key and what to do.
    """
    if unknown := sorted(set(run_sweeps) - set(sweeps)):
        raise ValueError(
            f"run_sweeps: '{unknown[0]}' is none of the sweeps {sorted(sweeps)}; name one."
        )
    owners = dict.fromkeys(taken, "an arm")
    for name, sweep in sweeps.items():
        try:
            keys = [single for axis in sweep.grid for single in split_key(axis)]
            for key in keys:
                check(key)
            check_each_set_once(keys, spread)
            if name not in run_sweeps:
                continue  # it may be meant for other arms than an overlay's
            if sweep.arm is not None and sweep.arm not in arms:
                raise ValueError(f"arm '{sweep.arm}' is none of the arms {sorted(arms)}; name one.")
            points = list(expand_sweep(name, sweep, sweep.arm or main_arm))
            names = [point.name for point in points]
            if strange := sorted({value.arm for value in sweep.paper} - set(names)):
                raise ValueError(f"paper: '{strange[0]}' is none of the points {names}.")
            for point in points:
                if point.name in owners:
                    raise ValueError(
                        f"the point '{point.name}' has the name of {owners[point.name]}; "
                        "rename the sweep."
                    )
                owners[point.name] = f"a point of sweep '{name}'"
                change(point)
        except ValueError as error:
            raise ValueError(f"sweeps.{name}: {error}") from None


def check_each_set_once(
    keys: Iterable[str], spread: Callable[[str], Sequence[str]], where: str = ""
) -> None:
    """Refuse two keys for one setting: the last would win, and points be named after the other.

    Parameters
    ----------
    keys
        Single keys.
    spread
        The settings that a key changes, if it stands for several.
    where
        What the sentence begins with.

    Raises
    ------
    ValueError
        Naming the two keys.
    """
    setter: dict[str, str] = {}
    for key in keys:
        for setting in spread(key):
            if setter.get(setting) == key:
                raise ValueError(f"{where}'{key}' is named twice; name it once.")
            if setting in setter:
                raise ValueError(
                    f"{where}'{setter[setting]}' and '{key}' change the same setting; leave one "
                    "out."
                )
            setter[setting] = key


def expand_sweeps(
    sweeps: Mapping[str, SweepSettings], run_sweeps: Sequence[str], main_arm: str
) -> list[SweepPoint]:
    """List the points of all sweeps that are switched on, in the order of ``sweeps``."""
    return [
        point
        for name, sweep in sweeps.items()
        if name in run_sweeps
        for point in expand_sweep(name, sweep, sweep.arm or main_arm)
    ]


@cache
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


def _list_sections(keys: list[str]) -> str:
    return ", ".join(dict.fromkeys(key.partition(".")[0] for key in keys))
