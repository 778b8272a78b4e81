"""Strict base class of all settings, and the sentences that explain a wrong one."""

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    RootModel,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from batteryscope.errors import ConfigError


@dataclass(frozen=True)
class CountsWith:
    """A key that has an effect only with some values of another key of the same settings.

    Attributes
    ----------
    key, other
        Their names.
    values
        Of the other key, with which this one counts.
    unless
        Where too many values do to name them: those with which it does not count.
    off
        Values of the key itself that ask for nothing, beside its default.
    """

    key: str
    other: str
    values: tuple[Any, ...] = ()
    unless: tuple[Any, ...] = ()
    off: tuple[Any, ...] = ()

    def counts(self, value: Any) -> bool:
        """Whether the key has an effect beside this value of the other one."""
        return value in self.values if self.values else value not in self.unless

    def describe_idle(self, asked: Any, found: Any, section: str = "") -> str:
        """Say that a value has no effect, why, and what to do.

        Parameters
        ----------
        asked
            What the key is set to.
        found
            What the other key is set to.
        section
            What stands before the other key where the sentence is about another place.
        """
        other = f"{section}.{self.other}" if section else self.other
        known = " or ".join(show_value(value) for value in self.values)
        choice = f"set {other} to {known}" if known else f"give {other} another value"
        return (
            f"{self.key}{show_asked(asked)} has no effect with {other} {show_value(found)}; "
            f"{choice}, or leave {self.key} out."
        )


def show_value(value: Any) -> str:
    """Write a value as YAML has it, names in quotes."""
    named = {None: "null", True: "true", False: "false"}
    if value is None or isinstance(value, bool):
        return named[value]
    return f"{value:g}" if isinstance(value, float) else repr(value)


def show_asked(value: Any) -> str:
    """Write a value behind its key, if it is short enough to be told."""
    is_short = value is None or isinstance(value, bool | int | float | str)
    text = f" {show_value(value)}" if is_short else ""
    return text if len(text) <= 60 else ""


class Settings(BaseModel):
    """Frozen settings; a key that is not declared is an error, and so is one without effect.

    Beside its keys every class says which of them count only with a value of another one, and
    which lists name each thing once. Settings that strategies, stages, sweeps and overlays change
    (``is_changed_later``) are judged for the former when a study is planned
    (:mod:`batteryscope.planning.check_effects`), since only then is known what they end with.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    counts_with: ClassVar[tuple[CountsWith, ...]] = ()
    named_once: ClassVar[tuple[str, ...]] = ()
    is_changed_later: ClassVar[bool] = False

    @model_validator(mode="after")
    def _all_counts(self) -> Self:
        for key in self.named_once:
            names = getattr(self, key)
            listed = names if isinstance(names, list) else []
            if twice := [name for i, name in enumerate(listed) if name in listed[:i]]:
                raise ValueError(f"{key} names {show_value(twice[0])} twice; name it once.")
        for idle in () if self.is_changed_later else self.list_idle():
            raise ValueError(idle.describe_idle(getattr(self, idle.key), getattr(self, idle.other)))
        return self

    def list_idle(self) -> Iterator[CountsWith]:
        """List the keys that ask for something, but have no effect beside another key."""
        for rule in self.counts_with:
            asked = getattr(self, rule.key)
            usual = type(self).model_fields[rule.key].get_default(call_default_factory=True)
            if asked == usual or asked in rule.off:
                continue
            if not rule.counts(getattr(self, rule.other)):
                yield rule


class Unsaid(RootModel[None]):
    """A section that nobody wrote (null), where its absence has answers of its own.

    It is asked what the written section is asked, so that nobody has to look whether there is one.
    """

    model_config = ConfigDict(frozen=True)

    root: None = None

    def __bool__(self) -> Literal[False]:
        return False


# For a schema: what users write, instead of the class that stands for it.
AS_NULL = WithJsonSchema({"type": "null"})

# Two ways to say one thing: where a change says it one way, what was said the other way is gone.
_ALTERNATIVES = {"tiles_per_image": "tiles_per_class", "tiles_per_class": "tiles_per_image"}

S = TypeVar("S", bound="Settings")
_MAPPING_WORDS = re.compile(r"valid dictionary( or (instance of \w+|object to .*))?")


def validate_settings(model: type[S], values: Any, where: str, *, tell_all: bool = False) -> S:
    """Validate ``values`` and turn the first problem into one sentence.

    Parameters
    ----------
    model
        The settings class.
    values
        Mapping as read from YAML or JSON.
    where
        How the user knows this part, for example ``params.yaml: studies.cathode_state``.
    tell_all
        One line for every key with a problem, of somebody's own file; otherwise the first alone.

    Raises
    ------
    ConfigError
        With the offending key, what was found, what was expected.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        problems = error.errors() if tell_all else error.errors()[:1]
        # Every alternative of a value has a problem of its own; the first says enough.
        first = {tuple(_written_location(values, p)): p for p in reversed(problems)}
        sentences = [_sentence(model, values, problem, where) for problem in first.values()]
        raise ConfigError("\n".join(reversed(sentences))) from None


def _sentence(model: type[BaseModel], values: Any, problem: Any, where: str) -> str:
    location = _written_location(values, problem)
    key = f"{where}: {'.'.join(location)}" if location else where
    if problem["type"] == "extra_forbidden":
        known = _known_keys(model, problem["loc"][:-1])
        near = difflib.get_close_matches(location[-1], known, n=1, cutoff=0.5)
        hint = f"did you mean '{near[0]}'?" if near else f"known keys: {', '.join(sorted(known))}."
        return f"{key}: unknown key; {hint}"
    if problem["type"] == "missing":
        return f"{key}: this key is missing; add it."
    if problem["type"] in ("union_tag_not_found", "union_tag_invalid"):
        choice = problem["ctx"]["discriminator"].strip("'").removesuffix("()")
        if problem["type"] == "union_tag_not_found":
            return f"{key}.{choice}: this key is missing; add it."
        found, expected = problem["ctx"]["tag"], problem["ctx"]["expected_tags"]
        return f"{key}.{choice}: found '{found}'; expected one of {expected}."
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] in ("value_error", "assertion_error"):
        return f"{key}: {message}"
    message = _MAPPING_WORDS.sub("mapping of settings", message)
    if problem["type"] == "literal_error" and isinstance(problem["input"], str):
        known = re.findall(r"'([^']*)'", problem["ctx"]["expected"])
        asked = problem["input"].casefold()
        same = [name for name in known if name.casefold() == asked]
        if near := same or difflib.get_close_matches(asked, known, n=1, cutoff=0.6):
            message += f"; did you mean '{near[0]}'?"
    end = "" if message.endswith("?") else "."
    return f"{key}: found {problem['input']!r}; {message[0].lower()}{message[1:]}{end}"


def _written_location(values: Any, problem: Any) -> list[str]:
    """Keys from the outermost to the offending one as the user wrote them.

    pydantic also names the alternative that it chose (``generator.trivial.classes``).
    """
    location: list[str] = []
    for part in problem["loc"]:
        inside_list = isinstance(values, list) and isinstance(part, int)
        if inside_list or (isinstance(values, Mapping) and part in values):
            location.append(str(part))
            values = values[part]
    if problem["type"] == "missing":
        location.append(str(problem["loc"][-1]))
    return location


def _known_keys(model: type[BaseModel], location: tuple[Any, ...]) -> list[str]:
    """Keys of the settings class at ``location`` below ``model``."""
    candidates: list[Any] = [model]
    for part in location:
        following: list[Any] = []
        for candidate in candidates:
            for option in list_classes(candidate):
                field = option.model_fields.get(str(part))
                # A list index or mapping key keeps the same annotation; so does a union's tag.
                following.append(field.annotation if field else candidate)
        candidates = following
    return sorted(
        {name for c in candidates for cls in list_classes(c) for name in cls.model_fields}
    )


def name_alternative(key: str) -> str:
    """Return the key, dotted or not, that says the same in another way; "" if there is none.

    Examples
    --------
    >>> name_alternative("preprocess.tiles_per_class")
    'preprocess.tiles_per_image'
    """
    section, dot, last = key.rpartition(".")
    other = _ALTERNATIVES.get(last, "")
    return f"{section}{dot}{other}" if other else ""


def list_classes(annotation: Any) -> list[type[BaseModel]]:
    """All settings classes inside a type annotation such as ``dict[str, Arm] | None``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [] if issubclass(annotation, Unsaid) else [annotation]
    return [cls for inner in getattr(annotation, "__args__", ()) for cls in list_classes(inner)]


def leave_out(settings: S, *sections: str) -> S:
    """Return the settings of a study with some of their sections as by default.

    A job that gets no more than it depends on is not repeated when the rest changes. Sections
    that this kind of study does not have do no harm.
    """
    fields = type(settings).model_fields
    kept = settings.model_dump(mode="json", exclude=set(sections) & set(fields))
    untitled = {"title": ""} if "title" in sections else {}
    return type(settings).model_validate(kept | untitled)
