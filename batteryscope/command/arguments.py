"""What the words after ``batteryscope run``, ``start`` and ``predict`` mean for what they start."""

import difflib
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from batteryscope.errors import InputError
from batteryscope.planning.study_layout import MODELS, REPORTS
from batteryscope.provenance import find_home

PARAMS_NAME = "params.yaml"
DATA_FLAGS = ("--images", "--scans", "--table")
TABLES = (".csv", ".tsv", ".txt", ".xlsx", ".xlsm", ".parquet")
SEARCH = "search_"
SETTINGS_FLAGS, OVERLAY_FLAGS = ("--config", "-C"), ("--configfile", "--configfiles")


def list_params_studies(project: Path) -> list[str]:
    """Return the names of the studies in params.yaml, as far as that can be read."""
    try:
        return list(_name_studies((project / PARAMS_NAME).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return []  # Snakemake says what is wrong with it


@lru_cache(maxsize=1)  # a command asks several times, and a thousand studies take seconds
def _name_studies(text: str) -> tuple[str, ...]:
    import yaml

    from batteryscope.config.yaml_loader import FastLoader

    try:
        values = yaml.load(text, Loader=FastLoader)
        return tuple(str(name) for name in values["studies"])
    except (ValueError, KeyError, TypeError, yaml.YAMLError):
        return ()


def find_overlay(study: str, project: Path) -> Path | None:
    """Return the file that ``start`` or a user has written for a study; None if there is none."""
    path = project / f"{study}.yaml"
    if path.name == PARAMS_NAME or not path.is_file():  # settings of all studies, not of one
        return None
    text = path.read_text(encoding="utf-8", errors="replace")
    is_named = re.search(rf"^ +{re.escape(study)}:(?:\s|$)", text, re.MULTILINE)
    return path if is_named else None


def list_names(project: Path) -> list[str]:
    """Return the studies that can be run here: of params.yaml, or with a file of their own."""
    own = [path.stem for path in project.glob("*.yaml") if find_overlay(path.stem, project)]
    return sorted({*list_params_studies(project), *own})


def plan_check(words: Sequence[str], project: Path) -> list[str]:
    """Return Snakemake's words for a look at the settings of all studies, or of those named.

    Raises
    ------
    InputError
        The first word is a path where nothing is, or no study.
    """
    name = words[0] if words and not words[0].startswith("-") else ""
    if name and not name.isidentifier() and name not in list_params_studies(project):
        raise InputError(f"{name}: there is no such folder or table.")
    planned = plan_run(words, project, ["--dry-run", "--quiet", "all"])
    if name:
        return planned
    known = list_params_studies(project)
    overlays = [str(find_overlay(n, project)) for n in list_names(project) if n not in known]
    return _add(planned, OVERLAY_FLAGS, overlays)


def plan_run(
    words: Sequence[str],
    project: Path,
    options: Sequence[str] = (),
    settings: Sequence[str] = (),
) -> list[str]:
    """Return Snakemake's words for a run.

    Parameters
    ----------
    words
        Names of studies, then whatever else Snakemake shall get. An overlay that is not in the
        user's folder, such as ``configs/sem_ncm.yaml``, is the one that the workflow carries.
    project
        The user's folder. A study that is not in params.yaml, but has a file ``NAME.yaml`` there,
        brings it as an overlay.
    options
        Further options.
    settings
        Pairs ``key=value`` for ``--config``.

    Raises
    ------
    InputError
        A first word is no study and nothing that a rule could make.
    """
    first = next((i for i, word in enumerate(words) if word.startswith("-")), len(words))
    targets, rest = list(words[:first]), _find_carried(_split_flags(words[first:]), project)
    known = list_params_studies(project)
    may_bring_others = any(word in OVERLAY_FLAGS for word in rest)
    overlays = []
    for target in targets:
        name = target.removeprefix(SEARCH)
        overlay = None if name in known else find_overlay(name, project)
        if overlay:
            overlays.append(str(overlay))
        elif known and not may_bring_others and not _is_target(name, known, project):
            raise InputError(_explain_unknown(name, project))
    rest = _add(_add(rest, OVERLAY_FLAGS, overlays), SETTINGS_FLAGS, settings)
    return [*options, *rest, *(["--", *targets] if targets else [])]


def _split_flags(words: Sequence[str]) -> list[str]:
    """Take flags with values after an equals sign apart, as far as values may be added to them."""
    found: list[str] = []
    for word in words:
        flag, sign, value = word.partition("=")
        found += [flag, value] if sign and flag in (*SETTINGS_FLAGS, *OVERLAY_FLAGS) else [word]
    return found


def _find_carried(words: list[str], project: Path) -> list[str]:
    """Replace overlays that only the workflow has by where they lie."""
    found, is_overlay = list(words), False
    for i, word in enumerate(words):
        if word.startswith("-"):
            is_overlay = word in OVERLAY_FLAGS
        elif is_overlay and not (project / word).exists() and (find_home() / word).is_file():
            found[i] = str(find_home() / word)
    return found


def _is_target(name: str, known: Sequence[str], project: Path) -> bool:
    """Whether a target is a study, a file, or a rule, perhaps of a Snakefile of the user's own."""
    if name in known or not name.isidentifier():
        return True
    snakefile = project / "Snakefile"
    is_there = snakefile.is_file()
    text = snakefile.read_text(encoding="utf-8", errors="replace") if is_there else ""
    return name == "all" or f"rule {name}:" in text or "use rule" in text


def find_profile(name: str, project: Path) -> str:
    """Return how Snakemake finds a profile: of the project, else of the workflow, else its own."""
    for place in (project, find_home()):
        folder = place / "profiles" / name
        if (folder / "config.yaml").is_file():
            return str(folder)
    return name


def _add(words: list[str], flags: Sequence[str], values: Sequence[str]) -> list[str]:
    """Put values behind a flag; Snakemake would hear the last one alone of two."""
    if not values:
        return words
    for i, word in enumerate(words):
        if word in flags:
            return [*words[: i + 1], *values, *words[i + 1 :]]
    return [*words, flags[0], *values]


def _explain_unknown(name: str, project: Path) -> str:
    names = list_names(project)
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(names)}"
    return f"{name}: no study of params.yaml, and {name}.yaml is not here; {hint}"


def names_data(words: Sequence[str]) -> bool:
    """Whether words say with an option what the data are: ``--images X`` or ``--images=X``."""
    return any(word.partition("=")[0] in DATA_FLAGS for word in words)


def plan_data(words: Sequence[str]) -> list[str]:
    """Return the words for start_study.py; the word for a folder or a table gets its option.

    It is the first word without a dash that exists. One behind an option may be the value of
    that, so it is taken only if there is no other.
    """
    if names_data(words):
        return list(words)
    places = [i for i, w in enumerate(words) if not w.startswith("-") and Path(w).exists()]
    if not places:
        return []
    alone = [i for i in places if i == 0 or not words[i - 1].startswith("-")]
    place = (alone or places)[0]
    option = "--table" if is_table(Path(words[place])) else "--images"
    return [option, words[place], *words[:place], *words[place + 1 :]]


def is_table(path: Path) -> bool:
    """Whether a path is a table, by its ending."""
    return path.is_file() and path.suffix.lower() in TABLES


def plan_prediction(words: Sequence[str], project: Path) -> list[str]:
    """Return the words for predict_images.py.

    Raises
    ------
    InputError
        The first word is no model, or nothing is said of the data.
    """
    if words and words[0].startswith("-"):
        return list(words)
    if len(words) < 2 or (words[1].startswith("-") and not names_data(words)):
        raise InputError("say which model and which data: batteryscope predict MODEL DATA")
    published = project / MODELS / words[0]
    bundle = published if published.is_dir() else Path(words[0])
    if not bundle.is_dir():
        there = sorted(p.parent.name for p in (project / MODELS).glob("*/bundle.json"))
        hint = f"published here: {', '.join(there)}" if there else "none is published here yet"
        raise InputError(f"{words[0]}: no folder with a model, and no published study; {hint}")
    rest = list(words[1:])
    if not rest[0].startswith("-"):
        rest.insert(0, "--table" if is_table(Path(rest[0])) else "--images")
    return ["--bundle", str(bundle), *rest]


def find_page(study: str, project: Path) -> Path:
    """Return the report of a study, or the list of all reports.

    Raises
    ------
    InputError
        It is not there.
    """
    folder = project / REPORTS
    pages = sorted(folder.glob("*/report.html"))
    if study:
        page = folder / study / "report.html"
        if page.is_file():
            return page
    elif (folder / "index.html").is_file():
        return folder / "index.html"
    elif len(pages) == 1:
        return pages[0]
    if not pages:
        raise InputError(f"{folder.absolute()}: no report yet; make one: batteryscope run")
    there = ", ".join(page.parent.name for page in pages)
    wrong = f"{study}: no report of that name" if study else "there are several reports"
    raise InputError(f"{wrong}; published here: {there}")
