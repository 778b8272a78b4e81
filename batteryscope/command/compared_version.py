"""Where the answers of a study lie that somebody names by its name, a folder or a commit."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from batteryscope.command.new_project import DVC
from batteryscope.errors import InputError
from batteryscope.evaluation.published_answers import ANSWERS_NAME
from batteryscope.planning.study_layout import MODELS, REPORTS

BUNDLE_NAME = "bundle.json"
SUMMARY_NAME = "summary.json"
PAGE_NAME = "report.html"
TABLES = "tables"


@dataclass(frozen=True)
class ComparedVersion:
    """One side of a comparison.

    Attributes
    ----------
    name
        As it was named.
    answers
        Its table of answers.
    title
        Of its study.
    generated
        Whether a program made its data; also if that is not known.
    page
        Its report, which has small pictures; None where only the answers were fetched.
    """

    name: str
    answers: Path
    title: str
    generated: bool
    page: Path | None = None


def find_version(word: str, project: Path, scratch: Path) -> ComparedVersion:
    """Find what a word names.

    Parameters
    ----------
    word
        A published study (``cathode_state``), its folder below ``reports`` or ``models``, a folder
        elsewhere that a report was copied to, or a study of an earlier commit
        (``cathode_state@HEAD~1``), which git and DVC still have.
    project
        The user's folder.
    scratch
        A folder for what is fetched; it must be empty.

    Raises
    ------
    InputError
        There is no such thing, or it was published without its answers.
    """
    if (project / word).is_dir() and ("/" in word or not _is_published(word, project)):
        return _open_report(word, _find_report((project / word).resolve(), word))
    study, sign, revision = word.rpartition("@")
    if sign and study and revision:
        return _open_report(word, _fetch_report(study, revision, project, scratch))
    if not _is_published(word, project):
        there = sorted(p.parent.name for p in (project / REPORTS).glob(f"*/{SUMMARY_NAME}"))
        hint = f"published here: {', '.join(there)}" if there else "none is published here yet"
        raise InputError(f"{word}: no published study, and no folder of one; {hint}")
    return _open_report(word, project / REPORTS / word)


def _is_published(study: str, project: Path) -> bool:
    return (project / REPORTS / study / SUMMARY_NAME).is_file()


def _find_report(folder: Path, word: str) -> Path:
    """Return the report that a folder is, or that stands for the models in it."""
    if (folder / SUMMARY_NAME).is_file():
        return folder
    report = folder.parent.parent / REPORTS / folder.name
    if (folder / BUNDLE_NAME).is_file() and (report / SUMMARY_NAME).is_file():
        return report
    if (folder / BUNDLE_NAME).is_file():
        raise InputError(
            f"{word}: these models lie without their report, which holds what they answered; name "
            "the folder of the report."
        )
    raise InputError(f"{word}: no report of a study, since {SUMMARY_NAME} is not in it.")


def _fetch_report(study: str, revision: str, project: Path, scratch: Path) -> Path:
    """Get summary and answers of an earlier commit from git, or from DVC's cache."""
    study = study.removeprefix(f"{REPORTS}/").removeprefix(f"{MODELS}/")
    (scratch / TABLES).mkdir()
    place = _run(project, "git", "rev-parse", "--show-cdup", "--show-prefix")
    if place.returncode != 0:
        raise InputError(
            f"{study}@{revision}: this project is not under git, so it has no earlier versions; "
            "name a study or a folder."
        )
    up, prefix = place.stdout.split("\n")[:2]  # where the project is a part of a repository
    for name in (SUMMARY_NAME, f"{TABLES}/{ANSWERS_NAME}"):
        path = (REPORTS / study / name).as_posix()
        options = ["--rev", revision, "--out", str(scratch / name)]
        done = _run(project, *DVC, "get", *options, "--", up or ".", f"{prefix}{path}")
        if done.returncode != 0:
            said = [line for line in done.stderr.splitlines() if line.startswith("ERROR: ")]
            why = f" ({said[0].removeprefix('ERROR: ')})" if said else ""
            raise InputError(
                f"{study}@{revision}: {path} is not in that commit, or no more in DVC's "
                f"cache{why}; publish it anew from that commit, and name the folder of that report."
            )
    return scratch


def _run(folder: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    except OSError as error:  # it is not installed
        return subprocess.CompletedProcess(command, 1, "", f"ERROR: {error}")


def _open_report(word: str, report: Path) -> ComparedVersion:
    answers = report / TABLES / ANSWERS_NAME
    if not answers.is_file():
        raise InputError(
            f"{word}: {TABLES}/{ANSWERS_NAME} is not in its report, so it was published by an "
            "earlier version of Batteryscope; publish it anew: batteryscope run STUDY"
        )
    try:
        summary = json.loads((report / SUMMARY_NAME).read_text(encoding="utf-8"))
        title, generated = str(summary["title"]), bool(summary.get("generated", True))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{report / SUMMARY_NAME}: cannot be read ({error}).") from None
    page = report / PAGE_NAME
    return ComparedVersion(word, answers, title, generated, page if page.is_file() else None)
