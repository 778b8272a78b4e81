"""How the jobs of a run know the code that they run: a program, and a list of what it imports."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from batteryscope.errors import BatteryscopeError
from batteryscope.provenance import (
    PROJECT_ROOT,
    find_home,
    find_imported_files,
    look_at_code,
    write_code_list,
)

INSTALL = "install the package of that version: pip install git+https://…@TAG"
_look_once = cache(look_at_code)


class OtherVersionError(BatteryscopeError):
    """Rules of one version would start programs of another one."""


@dataclass(frozen=True)
class JobCode:
    """Names the code of jobs as their inputs, so that an edit re-runs what it concerns.

    Parameters
    ----------
    home
        The folder with Snakefile, rules and programs.
    here
        The folder in which the run works.
    lists
        The folder for the lists of modules with their digests.
    """

    home: Path
    here: Path
    lists: Path

    def program_of(self, name: str) -> str:
        """Return the program of a rule."""
        return _name_file(self._find_program(name), self.here)

    def code_of(self, program: str, leave_out: str | None = None) -> str:
        """Return the list of all library modules that a program imports, but for a room's."""
        file = self._find_program(program)
        unused = PROJECT_ROOT / "batteryscope" / leave_out if leave_out else file
        found = find_imported_files(file)
        return _list_code(
            self, program, tuple(p for p in found if p != file and unused not in p.parents)
        )

    def module_code(self, name: str) -> str:
        """Return the list of a module that a program loads by its name, and of its imports."""
        file = PROJECT_ROOT.joinpath(*name.split(".")).with_suffix(".py")
        return _list_code(self, file.stem, find_imported_files(file))

    def _find_program(self, name: str) -> Path:
        return self.home / "workflow_scripts" / f"{name}.py"


@cache
def _name_file(path: Path, here: Path) -> str:
    """A file of the workflow from the run's folder if it lies in it, as in a clone."""
    return (path.relative_to(here) if path.is_relative_to(here) else path).as_posix()


@cache
def _list_code(code: JobCode, name: str, files: tuple[Path, ...]) -> str:
    named = {_name_file(path, code.here): path for path in files}
    return write_code_list(code.lists, name, named, _look_once).as_posix()


def find_installed(read_fetched: Callable[[str], str]) -> Path:
    """Return the workflow's folder in the installed package, for rules fetched from a repository.

    Parameters
    ----------
    read_fetched
        Gives the text of a file of rules, such as ``train.smk``, as it was fetched.

    Raises
    ------
    OtherVersionError
        A file of rules differs from the installed one.
    """
    home = find_home()
    for file in sorted((home / "rules").glob("*.smk")):
        if read_fetched(file.name).strip() != file.read_text(encoding="utf-8").strip():
            raise OtherVersionError(
                f"{file}: found another version of Batteryscope than that of the rules; {INSTALL}"
            )
    return home
