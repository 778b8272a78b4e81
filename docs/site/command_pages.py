"""Pages of the site for the command and the programs, from their own help."""

import contextlib
import io
import os
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import click

from batteryscope.command.main import NAME, cli

WIDTH = 76  # letters of a line of help, as many as the page shows
PROGRAMS = "workflow_scripts"


def write_command_page() -> str:
    """Return the page of ``batteryscope`` and all its words."""
    lines = [
        "# The command, word by word\n\n"
        "What `batteryscope WORD --help` says. How the words follow each other:"
        " [the command](../command.md).\n",
        _write_help(NAME, cli),
    ]
    lines += [_write_help(f"{NAME} {word}", part) for word, part in cli.commands.items()]
    return "\n".join(lines)


def _write_help(name: str, command: click.Command) -> str:
    context = click.Context(
        command, info_name=name, terminal_width=WIDTH, max_content_width=WIDTH, color=False
    )
    return f"\n## {name}\n\n```text\n{command.get_help(context)}\n```\n"


def write_program_page(root: Path) -> str:
    """Return the page of all programs in ``workflow_scripts``."""
    lines = [
        "# Programs of the workflow\n\n"
        "One thin program per rule, which Snakemake starts; a person can do so, too:"
        " `python workflow_scripts/NAME.py`. The command `batteryscope` starts those that people"
        " need, and passes their options on.\n"
    ]
    for path in sorted((root / PROGRAMS).glob("*.py")):
        lines.append(f"\n## {path.name}\n\n```text\n{read_help(path)}\n```\n")
    return "\n".join(lines)


def read_help(path: Path) -> str:
    """Return what a program says to ``--help``, without starting a process."""
    told = io.StringIO()
    with _as_a_program_would(path), contextlib.redirect_stdout(told):
        try:
            runpy.run_path(str(path), run_name="__main__")
        except SystemExit as ended:
            if ended.code:
                raise RuntimeError(f"{path.name} --help ended with {ended.code}") from None
    return told.getvalue().strip()


@contextlib.contextmanager
def _as_a_program_would(path: Path) -> Iterator[None]:
    words = [str(path), "--help"]
    with (
        mock.patch.object(sys, "argv", words),
        mock.patch.dict(os.environ, {"COLUMNS": str(WIDTH), "NO_COLOR": "1"}),
    ):
        yield
