"""A user's own folder for data, settings and results, outside of any clone."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from batteryscope import __version__
from batteryscope.command.hand_over import set_environment
from batteryscope.errors import InputError
from batteryscope.provenance import find_home, is_clone

README = Path(__file__).with_name("project_readme.md.j2")
DVC = (sys.executable, "-P", "-m", "dvc")  # the one that was installed with this package
STAGES = """\
# `dvc repro` runs the studies that are named below, and versions what they make. Each has to stand
# in params.yaml: move yours there from the file that `batteryscope start` has written, and write
#     foreach: [my_study]
# Snakemake decides which jobs have to run.
"""
IGNORED = """\
# Raw data are DVC's and not git's: dvc add data/raw/NAME
/data/raw/*
!/data/raw/*.dvc
!/data/raw/.gitignore
!/data/raw/.gitkeep
"""
SNAKEFILE = """\
# The workflow of the installed Batteryscope, for the data and settings of this folder.
from batteryscope.provenance import find_home


include: str(find_home() / "Snakefile")

# Snakemake keeps no default target of a file that is included.
workflow.default_target = "all"
"""
# Files whose names begin with a dot are kept without it in an installed package.
HIDDEN = {".gitignore": "gitignore", ".dvcignore": "dvcignore", ".dvc/config": "dvc_config"}
COPIED = (
    "params.yaml",
    "docs/params.schema.json",  # by which editors check params.yaml
    "profiles/default/config.yaml",
    "profiles/slurm/config.yaml",
    "profiles/cluster-generic/config.yaml",
    "profiles/kubernetes/config.yaml",
    ".gitignore",
    ".dvcignore",
)
# What the stages of a clone depend on that a project does not have.
CODE = ("rules", "workflow_scripts", "batteryscope")


def find_original(name: str) -> Path:
    """Return the file that a project gets a copy of.

    Raises
    ------
    InputError
        It is not there: the installation is damaged.
    """
    path = find_home() / (name if is_clone() else HIDDEN.get(name, name))
    if not path.is_file():
        raise InputError(
            f"{path}: this file of Batteryscope is missing; install Batteryscope again."
        )
    return path


def write_stages() -> str:
    """Return dvc.yaml for a project: no study of the demo, and code is no dependency."""
    text = find_original("dvc.yaml").read_text(encoding="utf-8")
    text = text[text.index("stages:\n") : text.index("\nplots:\n")]
    text = re.sub(r"foreach:\n(?: +- \w+\n)+", "foreach: []\n", text)
    lines = text.splitlines(keepends=True)
    code = [f"- {name}" for name in CODE]
    return STAGES + "".join(line for line in lines if line.strip() not in code)


def make_project(folder: Path) -> list[str]:
    """Make a project folder and put it under git and DVC.

    Parameters
    ----------
    folder
        New, or empty.

    Returns
    -------
    list of str
        Lines that say what was made, and what to do next.

    Raises
    ------
    InputError
        The folder holds something, is no folder, or cannot be written.
    """
    try:
        was_there = folder.exists()
        if was_there and (not folder.is_dir() or any(folder.iterdir())):
            raise InputError(
                f"{folder}: there is something already; name a new or an empty folder."
            )
    except OSError as error:
        raise InputError(f"{folder}: cannot be read ({error.strerror}).") from None
    try:
        _write_files(folder)
    except (OSError, InputError) as error:  # half a project would be in the way of the next try
        for path in list(folder.iterdir()) if was_there else [folder]:
            _remove(path)
        if isinstance(error, InputError):
            raise
        raise InputError(f"{folder}: cannot be written ({error.strerror}).") from None
    lines = [f"{folder}: a project of Batteryscope {__version__}.", *_put_under_versions(folder)]
    add = "  dvc add data/raw/NAME   (keeps their versions; git ignores them)"
    return [
        *lines,
        "Next:",
        f"  cd {shlex.quote(str(folder))}",
        "  put pictures in data/raw/NAME, in one folder per class",
        *([add] if (folder / ".dvc").is_dir() else []),
        "  batteryscope start data/raw/NAME",
    ]


def _write_files(folder: Path) -> None:
    for name in ("data/raw", "models", "reports"):
        (folder / name).mkdir(parents=True)
    for name in COPIED:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(find_original(name), folder / name)
    texts = {
        "Snakefile": SNAKEFILE,
        "dvc.yaml": write_stages(),
        "README.md": _write_readme(folder),
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    for name in ("data/raw/.gitkeep", "models/.gitignore", "reports/.gitignore"):
        (folder / name).touch()
    with (folder / ".gitignore").open("a", encoding="utf-8") as stream:
        stream.write(IGNORED)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _write_readme(folder: Path) -> str:
    import jinja2

    template = jinja2.Template(README.read_text(encoding="utf-8"), keep_trailing_newline=True)
    return template.render(name=folder.resolve().name, version=__version__)


def _put_under_versions(folder: Path) -> list[str]:
    """Initialise git, unless a repository is around the folder, and DVC; say what could not be."""
    around = _call(folder, "git", "rev-parse", "--show-toplevel")
    if around is None:
        if _call(folder, "git", "init", "--quiet") is None:
            return ["git is not here, so nothing is put under versions; all else works."]
        options = []
    else:
        options = ["--subdir"]
    if _call(folder, *DVC, "init", "--quiet", *options) is None:
        return ["It is under git. dvc init failed; try it by hand to see why."]
    shutil.copyfile(find_original(".dvc/config"), folder / ".dvc" / "config")
    shutil.copyfile(find_original(".dvcignore"), folder / ".dvcignore")
    if around is not None:  # what is staged there is for its owner to say
        _call(folder, "git", "reset", "--quiet", "--", ".")
        return [f"It is part of the repository {around}, and under DVC; nothing is staged."]
    if _call(folder, "git", "add", "--all", ".") is None:
        return ["It is under git and DVC. git add failed; try it by hand to see why."]
    return ["It is under git and DVC; nothing is committed yet."]


def _call(folder: Path, *command: str) -> str | None:
    """Run a program; return what it says, None if it fails or is not there."""
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=set_environment(os.environ),
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
