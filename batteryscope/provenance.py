"""Which code, which settings and which data a result came from."""

import hashlib
import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from batteryscope import __version__

PROJECT_ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "batteryscope"
INSTALLED = "_workflow"  # where an installed package has what lies beside it in a clone
BUILT_FROM = "commit"  # the file in it that names the commit, written by hatch_build.py
IMPORT = re.compile(
    rf"^[ \t]*(?:from[ \t]+({PACKAGE}[\w.]*)[ \t]+import[ \t]+(?:(\([^)]*\))|(.*))"
    r"|import[ \t]+(.*))",
    re.MULTILINE,
)


def digest_text(text: str) -> str:
    """Return the SHA-256 of a text in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def digest_json(value: Any) -> str:
    """Return the SHA-256 of a JSON value, independent of the order of its keys."""
    return digest_text(json.dumps(value, sort_keys=True, ensure_ascii=True))


def write_settings(folder: Path, name: str, settings: Any) -> Path:
    """Write settings to ``<name>-<digest>.json`` and return the path, which names the content."""
    values = settings.model_dump(mode="json") if hasattr(settings, "model_dump") else settings
    digest = digest_json(values)
    path = folder / f"{name}-{digest[:8]}.json"
    # A damaged file, or a half-written one, would be taken for the settings ever after. Reading it
    # takes a tenth of the time of spelling it again, which every job of every run asks for.
    if _digest_json_file(path) != digest:
        folder.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        content = json.dumps(values, indent=1, ensure_ascii=False) + "\n"
        partial.write_bytes(content.encode())
        partial.replace(path)
    return path


def _digest_json_file(path: Path) -> str:
    """Return :func:`digest_json` of what a file holds; "" if it holds no JSON."""
    try:
        return digest_json(json.loads(path.read_bytes()))
    except (OSError, ValueError, RecursionError):
        return ""


def digest_file(path: Path) -> str:
    """Return the SHA-256 of a file's content."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


class CodeState(NamedTuple):
    """What a module holds (SHA-256), and when it was changed."""

    digest: str
    mtime_ns: int


def look_at_code(path: Path) -> CodeState:
    """Look at a module."""
    return CodeState(digest_file(path), path.stat().st_mtime_ns)


def write_code_list(
    folder: Path,
    name: str,
    files: Mapping[str, Path],
    look: Callable[[Path], CodeState] = look_at_code,
) -> Path:
    """Write a list of modules with their digests, named after them: an edit gives another file.

    A program has a hundred modules, and a thousand studies have twenty thousand jobs. The list is
    as old as the newest of the modules, as each of them as an input would be.

    Parameters
    ----------
    folder
        Of the lists.
    name
        What the name of the file begins with.
    files
        Modules by the names that the list gives them.
    look
        What looks at a module; lists of the same modules may share what was seen.
    """
    states = {key: look(path) for key, path in files.items()}
    written = write_settings(folder, name, {key: state.digest for key, state in states.items()})
    newest_ns = max(state.mtime_ns for state in states.values())
    # A date in the future would be renewed, and so be newer than what depends on it, in every run.
    if newest_ns <= time.time_ns() and written.stat().st_mtime_ns != newest_ns:
        with suppress(OSError):  # of another user, or read-only: its name still tells an edit
            os.utime(written, ns=(newest_ns, newest_ns))
    return written


def digest_files(paths: Iterable[Path], root: Path) -> str:
    """Return one SHA-256 over the relative names and contents of files."""
    root = root.resolve()
    return digest_json(
        {p.resolve().relative_to(root).as_posix(): digest_file(p) for p in sorted(paths)}
    )


# What decides the weights that a training ends with. Messages, checks, paths and reports do not,
# so an edit there leaves finished fits valid.
TRAINING_CODE = (
    # Which outputs a network has, and what is right.
    "batteryscope/answers/choose.py",
    "batteryscope/answers/classes.py",
    "batteryscope/answers/quantities.py",
    "batteryscope/augment.py",
    "batteryscope/config/learning.py",
    "batteryscope/models/",
    "batteryscope/seeds.py",
    "batteryscope/training/",
)
# The same for the networks of tables.
TABLE_TRAINING_CODE = (
    "batteryscope/seeds.py",
    "batteryscope/tables/fit_stack.py",
    "batteryscope/tables/networks.py",
    "batteryscope/tables/plan_tasks.py",
    "batteryscope/tables/train_stack.py",
)


def digest_training_code(root: Path = PROJECT_ROOT, places: Iterable[str] = TRAINING_CODE) -> str:
    """Return one SHA-256 over all code that decides what a training ends with."""
    files = [
        path
        for place in places
        for path in ((root / place).rglob("*.py") if place.endswith("/") else [root / place])
    ]
    return digest_files(files, root)


def is_clone(root: Path = PROJECT_ROOT) -> bool:
    """Whether the package lies in a clone, beside the workflow, and is not installed."""
    return (root / "Snakefile").is_file()


def find_home(root: Path = PROJECT_ROOT) -> Path:
    """Return the folder with the workflow: Snakefile, rules, workflow_scripts, params.yaml."""
    return root if is_clone(root) else root / PACKAGE / INSTALLED


def find_git_commit(root: Path = PROJECT_ROOT) -> str:
    """Return the commit of a clone, with ``+changes`` if it is dirty; "" without git.

    An installed package has none: the repository around it, if there is one, is the user's.
    """
    if not is_clone(root):
        return ""

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        commit = git("rev-parse", "HEAD")
        return commit + ("+changes" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.CalledProcessError):
        return ""


def name_code_version(root: Path = PROJECT_ROOT) -> str:
    """Return the commit of a clone; else the version, with the commit of a package if it tells."""
    if commit := find_git_commit(root):
        return commit
    built_from = root / PACKAGE / INSTALLED / BUILT_FROM
    commit = built_from.read_text(encoding="utf-8").strip() if built_from.is_file() else ""
    return f"{PACKAGE} {__version__}" + (f" ({commit})" if commit else "")


@cache
def find_imported_files(script: Path, root: Path = PROJECT_ROOT) -> tuple[Path, ...]:
    """List the project's own files that a program imports, directly or through others.

    Parameters
    ----------
    script
        A Python file of the project.
    root
        The directory that holds the package ``batteryscope``.

    Returns
    -------
    tuple of Path
        The script itself, then all modules of ``batteryscope`` and package templates
        that it reaches, sorted. Imports inside functions count.
    """
    seen: set[Path] = set()
    waiting = [script.resolve()]
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        waiting.extend(_imported_files(path, root))
    return tuple(sorted(seen.union(*map(_templates, seen))))


@cache
def _templates(module: Path) -> tuple[Path, ...]:
    """The page templates beside a module that names one."""
    is_program = module.parent.name == "workflow_scripts"
    if is_program or ".j2" not in module.read_text(encoding="utf-8"):
        return ()
    return tuple(sorted(module.parent.glob("*.j2")))


@cache  # most programs reach the same modules
def _imported_files(path: Path, root: Path) -> tuple[Path, ...]:
    """The project's files that one file imports by itself."""
    names: set[str] = set()
    # Parsing all modules properly takes a third of the time until a workflow starts.
    text = re.sub("#.*", "", path.read_text(encoding="utf-8"))
    for module, several, one_line, plain in IMPORT.findall(text):
        listed = several.strip("()") or one_line or plain
        found = [words[0] for words in map(str.split, listed.split(",")) if words]
        names.update([module, *(f"{module}.{name}" for name in found)] if module else found)
    own = sorted(name for name in names if name.split(".")[0] == PACKAGE)
    return tuple(file for name in own for file in _module_files(name, root))


@cache
def _module_files(name: str, root: Path) -> tuple[Path, ...]:
    """The file of a module and the ``__init__`` files of the packages above it."""
    parts = name.split(".")
    files = [root.joinpath(*parts[: i + 1], "__init__.py") for i in range(len(parts))]
    files.append(root.joinpath(*parts[:-1], parts[-1] + ".py"))
    return tuple(file for file in files if file.is_file())
