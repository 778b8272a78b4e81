"""Settings that were chosen, each with its reason, and the commented file that they make."""

import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Union

import yaml

WIDTH = 118


@dataclass(frozen=True)
class Choice:
    """One setting, or several that belong together: the value, and why in a few words."""

    value: Any
    why: str = ""


Choices = Mapping[str, Union[Choice, "Choices"]]


def add_reasons(values: Mapping[str, Any], reasons: Mapping[str, str], at: str = "") -> Choices:
    """Turn plain settings into choices; ``reasons`` are found by dotted key.

    Settings below a key that has a reason are one choice.
    """
    made: dict[str, Choice | Choices] = {}
    for key, value in values.items():
        dotted = f"{at}.{key}" if at else str(key)
        if isinstance(value, Mapping) and value and dotted not in reasons:
            made[key] = add_reasons(value, reasons, dotted)
        else:
            made[key] = Choice(value, reasons.get(dotted, ""))
    return made


def strip_reasons(choices: Choices) -> dict[str, Any]:
    """Return the settings alone."""
    return {
        key: each.value if isinstance(each, Choice) else strip_reasons(each)
        for key, each in choices.items()
    }


def write_choices(choices: Choices, indent: int = 0) -> str:
    """Write settings as YAML, each with its reason behind or above it."""
    return "".join(f"{line}\n" for line in _write_lines(choices, indent))


def comment(text: str, indent: int = 0) -> str:
    """Return a text as lines of comment."""
    before = " " * indent + "# "
    lines = [
        wrapped
        for line in text.splitlines()
        for wrapped in textwrap.wrap(
            line,
            WIDTH - len(before),
            break_on_hyphens=False,
            subsequent_indent="  " if line.startswith("- ") else "",
        )
        or [""]
    ]
    return "".join(f"{before}{line}".rstrip() + "\n" for line in lines)


def _write_lines(choices: Choices, indent: int) -> Iterator[str]:
    space = " " * indent
    for key, each in choices.items():
        if not isinstance(each, Choice):
            yield f"{space}{_show(key)}:"
            yield from _write_lines(each, indent + 2)
            continue
        lines = list(_write_value(key, each.value, indent))
        if each.why and len(lines) == 1 and len(lines[0]) + len(each.why) + 3 <= WIDTH:
            yield f"{lines[0]} # {each.why}"
        else:
            yield from comment(each.why, indent).splitlines() if each.why else ()
            yield from lines


def _write_value(key: str, value: Any, indent: int) -> Iterator[str]:
    """Write settings on one line where they fit, else each key on a line."""
    line = f"{' ' * indent}{_show(key)}: {_show(value)}"
    if len(line) <= WIDTH or not isinstance(value, Mapping) or not value:
        yield line
        return
    yield f"{' ' * indent}{_show(key)}:"
    for name, own in value.items():
        yield from _write_value(name, own, indent + 2)


def _show(value: Any) -> str:
    """Return a value on one line of YAML, which reads back as the same."""
    if isinstance(value, float) and 0 < abs(value) < 0.01:
        mantissa, _, exponent = f"{value:e}".partition("e")
        short = (
            f"{float(mantissa):g}" if "." in f"{float(mantissa):g}" else f"{float(mantissa):.1f}"
        )
        return f"{short}e{int(exponent)}"
    text = yaml.safe_dump(
        value, default_flow_style=True, allow_unicode=True, width=10_000, sort_keys=False
    )
    return re.sub(r"\n\.\.\.\n$", "", text).strip()
