"""The JSON schema of params.yaml and of overlays, by which editors complete, explain and check.

What a setting means is said once, in the docstring of its class: its sentences that name a key in
double backticks are the description of that key. Keys that need no sentence there have one in
:mod:`batteryscope.config.setting_meanings`.
"""

import inspect
import re
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from batteryscope.config.base import list_classes
from batteryscope.config.project import Project
from batteryscope.config.setting_meanings import WORDS

JsonSchema = dict[str, Any]
_SENTENCE_END = re.compile(r"(?<=\.)\s+(?=[A-Z`])|\n\s*\n")
_ROLE = re.compile(r":\w+:`~?([^`]*)`")
# Conditions that only a whole file meets; an overlay says no more than it changes.
_OF_WHOLE_FILES = ("required", "minProperties")


def make_schema() -> JsonSchema:
    """Return the schema: every property described, and no key required.

    The program itself tells of missing keys, after all overlays are merged.
    """
    schema = Project.model_json_schema()
    classes = {cls.__name__: cls for cls in list_settings_classes()}
    for name, part in [("Project", schema), *schema["$defs"].items()]:
        for key, value in part.get("properties", {}).items():
            value.pop("title", None)
            value["description"] = describe_setting(classes[name], key)
        if "demo" in part.get("properties", {}):
            part["properties"]["demo"] |= {"$ref": f"#/$defs/{name}"}
    _accept_parts(schema)
    schema["description"] = "params.yaml, or an overlay with some of its settings."
    return schema


def list_settings_classes() -> list[type[BaseModel]]:
    """Return all classes of settings that params.yaml can hold."""
    found: dict[type[BaseModel], None] = {}

    def add(cls: type[BaseModel]) -> None:
        if cls not in found:
            found[cls] = None
            for field in cls.model_fields.values():
                for inner in list_classes(field.annotation):
                    add(inner)

    add(Project)
    return list(found)


def describe_setting(cls: type[BaseModel], key: str) -> str:
    """Return what a key of a settings class means; empty if nobody has said it."""
    for owner in _list_owners(cls):
        words = WORDS.get(f"{owner.__name__}.{key}") or _find_sentences(owner, key)
        if words:
            return words
    return WORDS.get(key, "")


def _list_owners(cls: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for owner in cls.__mro__:
        if issubclass(owner, BaseModel) and owner.__module__.startswith("batteryscope."):
            yield owner


def _find_sentences(cls: type[BaseModel], key: str) -> str:
    """The sentences of a class's own docstring that name a key, as one text."""
    text = inspect.cleandoc(cls.__dict__.get("__doc__") or "").split("\nExamples\n")[0]
    sentences = _SENTENCE_END.split(text)
    # A sentence about a key begins with it; elsewhere the same word may be a value of another one.
    named = [s for s in sentences if s.startswith((f"``{key}``", f"``{key}: "))]
    named = named or [s for s in sentences if f"``{key}``" in s or f"``{key}: " in s]
    return " ".join(_ROLE.sub(r"\1", " ".join(named).replace("``", "")).split())


def _accept_parts(part: Any) -> None:
    """Take from a schema, in place, what only whole files meet."""
    if isinstance(part, list):
        for inner in part:
            _accept_parts(inner)
    if not isinstance(part, dict):
        return
    is_schema = not isinstance(part.get("required"), dict)  # else a property of that name
    for key in _OF_WHOLE_FILES if is_schema else ():
        part.pop(key, None)
    # Without the key that decides, several alternatives fit.
    if "oneOf" in part:
        part["anyOf"] = part.pop("oneOf")
        part.pop("discriminator", None)
    for inner in part.values():
        _accept_parts(inner)
