"""The text of a CSV file: its encoding, its separator, its lines."""

import codecs
import csv
import io
import logging
import re
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from batteryscope.config.table_format import AUTO, TableFormat
from batteryscope.errors import ConfigError, InputError

log = logging.getLogger("batteryscope")

# A comma comes last: it may also be the decimal sign.
SEPARATORS = ("\t", ";", "|", ",")
SAMPLED_ROWS = 50
Line = tuple[int, list[Any]]
Say = Callable[[str, str], str]

# UTF-32 first: its little-endian mark begins like that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# What Windows-1252 has in tables of western Europe. One such byte among ASCII is no letter of
# UTF-8, nor of Korean, Chinese or Japanese encodings, which need two.
_WESTERN = frozenset("ÄÖÜäöüßÀÂÇÉÈÊËÎÏÔÙÛàâçéèêëîïôùûÁÍÓÚÑáíóúñÅØåøµ°±²³·×Ω€–—’…§\u00a0")
_NO_TABLES = (
    (b"%PDF", "a PDF file"),
    (b"\x1f\x8b", "a packed file (gzip)"),
    (b"{\\rtf", "RTF text"),
)
_PAGE = re.compile(r"\s*<(?P<html>!doctype html|html|table|meta)|\s*<\?xml", re.I)
_END = "\ue000"  # a line of its own behind the text; no text has this character
# Excel's own first line, which names the separator.
_SEPARATOR_LINE = re.compile(
    r'\s*"?sep=(?P<separator>[^\r\n"])[;,\t|]*"?[;,\t|]*(\r\n|\r|\n|$)', re.I
)


def read_text_lines(path: Path, written: TableFormat, say: Say) -> list[Line]:
    """Cut a text file into lines of cells, each with the number of its first line.

    Raises
    ------
    InputError
        The text is in another encoding, or no table.
    ConfigError
        Encoding or separator are impossible.
    """
    text = decode_table(path.read_bytes(), written.encoding, path, say)
    separator = written.separator
    if separator != AUTO and (len(separator) != 1 or separator in '\r\n"'):
        raise ConfigError(
            f"{path}: separator {separator!r} is impossible; give one character, for example "
            f"{say('separator', ';')}, or auto."
        )
    named = _SEPARATOR_LINE.match(text)
    first = 1
    if named is not None:
        text, first = text[named.end() :], 2
    try:
        if separator == AUTO:
            separator = named["separator"] if named is not None else find_separator(text)
        return _cut_whole(text, separator, first, path)
    except csv.Error as error:
        raise InputError(f"{path}: not a readable table ({error}); save it again.") from None


def find_separator(text: str) -> str:
    """Return the separator that cuts most of the first lines into as many cells as the header.

    Of equally good ones the first of tab, semicolon, bar, comma; a comma if none fits.
    """
    best, best_share = ",", 0.0
    for separator in SEPARATORS:
        rows = (row for _, row in _cut(text.lstrip("\r\n"), separator))
        counts = [len(row) for row in islice(rows, SAMPLED_ROWS) if row]
        share = sum(n == counts[0] for n in counts) / len(counts) if counts else 0.0
        if counts and counts[0] > 1 and share > best_share:
            best, best_share = separator, share
    return best


def decode_table(content: bytes, encoding: str, path: Path, say: Say) -> str:
    """Decode the text of a table by its mark, by the stated encoding, or by what it can only be.

    Raises
    ------
    InputError
        It is in another encoding, in none that can be recognised, or no text.
    ConfigError
        There is no such encoding.
    """
    if kind := next((kind for mark, kind in _NO_TABLES if content.startswith(mark)), ""):
        raise InputError(f"{path}: this is {kind}, no table; save the table as CSV UTF-8 or .xlsx.")
    marked = next((name for mark, name in _MARKS if content.startswith(mark)), None)
    if marked and encoding != AUTO:
        _check_mark(marked, encoding, path)
    stated = marked or (_recognise(content, path, say) if encoding == AUTO else encoding)
    try:
        text = content.decode(stated)
    except LookupError:
        raise ConfigError(
            f"{path}: '{encoding}' is no known encoding; leave it out, or try "
            f"{say('encoding', 'cp1252')} or {say('encoding', 'utf-16')}."
        ) from None
    except UnicodeError as error:
        line = content[: getattr(error, "start", 0)].count(b"\n") + 1
        raise InputError(
            f"{path}: line {line} is not valid {stated}; "
            f"{'save it again as CSV UTF-8' if marked else _advise(say)}."
        ) from None
    if "\0" in text:
        raise InputError(
            f"{path}: this is no text{'' if encoding == AUTO else f' in {encoding}'}; "
            "save the table as CSV UTF-8 or .xlsx."
        )
    if page := _PAGE.match(text):
        raise InputError(
            f"{path}: this is {'a web page' if page['html'] else 'XML'}, as some programs write it "
            "for Excel, and no table that is read; open it in Excel and save it as .xlsx or CSV."
        )
    return text.removeprefix("\ufeff")


def _recognise(content: bytes, path: Path, say: Say) -> str:
    """Name the encoding of a text without a mark."""
    if b"\0" in content and len(content) % 2 == 0:
        # In UTF-16 the upper byte of every Latin character is zero.
        low, high = content[::2].count(0), content[1::2].count(0)
        if max(low, high) > 0.4 * len(content) / 2 and min(low, high) == 0:
            return "utf-16-be" if low > high else "utf-16-le"
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        if not _is_western(content):
            raise InputError(f"{path}: line {line} is not valid UTF-8; {_advise(say)}.") from None
        log.warning(
            "%s: line %d is not valid UTF-8; read as cp1252 (Windows, western Europe). If letters "
            "look wrong, state another: %s.",
            path,
            line,
            say("encoding", "cp1250"),
        )
        return "cp1252"
    return "utf-8"


def _is_western(content: bytes) -> bool:
    alone = re.sub("[äöü]ß".encode("cp1252"), b"", content)
    if b"\0" in content or re.search(rb"[\x80-\xff]{2}", alone):
        return False
    try:
        text = content.decode("cp1252")
    except UnicodeDecodeError:
        return False
    return all(character in _WESTERN for character in text if not character.isascii())


def _advise(say: Say) -> str:
    return (
        f"state the encoding of this file, for example {say('encoding', 'cp1252')}, or save it as "
        "CSV UTF-8"
    )


def _check_mark(marked: str, encoding: str, path: Path) -> None:
    family = marked.removesuffix("-sig").replace("-", "")
    try:
        fits = codecs.lookup(encoding).name.replace("-", "").replace("_", "").startswith(family)
    except LookupError:
        return  # decoding will tell
    if not fits:
        raise ConfigError(
            f"{path}: its mark says that its text is {marked}, but {encoding} is stated as its "
            "encoding; leave the encoding out."
        )


def _cut_whole(text: str, separator: str, first: int, path: Path) -> list[Line]:
    """Cut a text into rows, unless a quotation mark in it is never closed: rows would be lost."""
    *lines, last = _cut(f"{text}\n{_END}", separator, first)
    if last[1] != [_END]:
        raise InputError(
            f"{path}: the quotation mark that opens a cell in line {last[0]} is never closed, so "
            "that the rows below it belong to this cell; close it, or take it out."
        )
    return lines


def _cut(text: str, separator: str, first: int = 1) -> Iterator[Line]:
    """Rows as lists of cells, each with the number of its first line."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    number = first
    for row in reader:
        yield number, row
        number = reader.line_num + first
