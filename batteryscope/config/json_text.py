"""Settings as JSON: how the workflow hands them to a program."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from batteryscope.errors import ConfigError

# pydantic is imported when it is needed: before that, a program may go on in a fork.
if TYPE_CHECKING:
    from batteryscope.config.base import Settings

S = TypeVar("S", bound="Settings")


def read_settings(model: type[S], text: str, where: str = "--settings") -> S:
    """Read settings given as JSON text or as the path of a JSON file.

    Raises
    ------
    ConfigError
        There is no such file, it is no JSON, or a key or value of it is impossible.
    """
    from batteryscope.config.base import validate_settings

    return validate_settings(model, read_values(text, where), where)


def read_values(text: str, where: str = "--settings") -> Any:
    """Read a JSON value given as text or as the path of a file.

    Raises
    ------
    ConfigError
        There is no such file, or it is no text or no JSON.
    """
    try:
        source = text if text.lstrip().startswith("{") else Path(text).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(
            f"{where}: found '{text}'; expected JSON, or a file that exists."
        ) from None
    except UnicodeDecodeError:
        raise ConfigError(
            f"{where}: found '{text}', which is no text in UTF-8; expected a JSON file."
        ) from None
    try:
        return json.loads(source)
    except json.JSONDecodeError as error:
        raise ConfigError(f"{where}: not valid JSON ({error.msg}, column {error.colno}).") from None


def as_json(value: Any) -> str:
    """Compact JSON of settings or plain values, for a command line."""
    from batteryscope.config.base import Settings

    if isinstance(value, Settings):
        value = value.model_dump(mode="json")
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
