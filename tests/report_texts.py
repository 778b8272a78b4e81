"""What is written in a report, and what slips in writing it."""

import html
import re

_SKIPPED = re.compile(r"<(style|pre|code|script)\b.*?</\1>", re.DOTALL)
_INLINE = re.compile(r"</?(?:a|b|i|em|strong|small|span|sub|sup)\b[^>]*>")
_TAG = re.compile(r"<[^>]*>")
SLIPS = {
    "no space after a full stop": r"[a-z)%][.;][A-Z][a-z]",
    "no space before a bracket": r"[a-z]{3,}\((?!e?s\))",
    "a space before a full stop or comma": r"[\w)] [.,;](?!\.|\d)",
    "a hyphen as minus": r"(?<![\w.\-/])-\.?\d",
}


def list_texts(page: str) -> list[str]:
    """Return the paragraphs, cells and captions of a page as they are read."""
    plain = _TAG.sub("\n", _INLINE.sub("", _SKIPPED.sub("x", page)))
    lines = (" ".join(html.unescape(line).split()) for line in plain.splitlines())
    return [line for line in lines if line]


def list_slips(page: str) -> list[str]:
    """Return what is written wrongly, each with the words around it."""
    return [
        f"{name}: {text[max(0, found.start() - 30) : found.end() + 20]}"
        for text in list_texts(page)
        for name, pattern in SLIPS.items()
        for found in re.finditer(pattern, text)
    ]
