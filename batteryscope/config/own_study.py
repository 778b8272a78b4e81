"""Studies of a user's own: the design of another study, with other data, a name and a title."""

import copy
import difflib
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from batteryscope.config.any_study import STUDY_KINDS, kind
from batteryscope.config.merge import merge_settings
from batteryscope.config.study import StudySettings
from batteryscope.errors import ConfigError

Raw = dict[str, Any]
# What a paper or somebody else's data say, which holds for no other data.
OF_OTHER_DATA = (
    "external", "survey", "survey_format", "paper", "paper_classes", "paper_accuracy", "paper_data",
    "paper_ranges", "paper_orders", "paper_distributions",
)  # fmt: skip


def check_names(studies: Mapping[str, Any], known: Mapping[str, Any], where: str) -> None:
    """Refuse a study that neither exists nor says what it is: its name may be misspelt.

    Parameters
    ----------
    studies
        All studies, overlays included.
    known
        Those of params.yaml.
    where
        How the user knows that file.

    Raises
    ------
    ConfigError
        With the nearest known name.
    """
    for name, study in studies.items():
        if name in known or not isinstance(study, Mapping):
            continue
        lacks = "title" if "title" not in study else "based_on"
        if lacks == "title" or not {"based_on", "dataset"} & study.keys():
            near = difflib.get_close_matches(str(name), sorted(known), n=1, cutoff=0.6)
            hint = f"did you mean '{near[0]}'? " if near and "based_on" not in study else ""
            raise ConfigError(
                f"{where}: studies.{name}.{lacks}: found none, and no study of this name is there "
                f"to change; {hint}a study of your own needs a title, and says by based_on which "
                "study's design it takes."
            )


def complete_studies(studies: Mapping[str, Any], overlaid: Mapping[str, Any], where: str) -> Raw:
    """Give every study that is ``based_on`` another one that study's design.

    A study of pictures that has a ``dataset`` takes nothing from the other one's; rows of a table
    keep features, targets and domains unless they are stated. What is said of other data (external
    sets, surveys, published values) is left out. Paper and DOI stay, as those of the design.

    Parameters
    ----------
    studies
        By name, the settings at the wanted scale; overlays are merged in.
    overlaid
        By name, what overlays say. A study that overlays change *and* build on is a recipe: it is
        no study of this run, so that a recipe neither needs its data nor replaces its results.
        What a study of params.yaml builds on stays a study.
    where
        How the user knows params.yaml.

    Raises
    ------
    ConfigError
        ``based_on`` names no study, or one that is itself based on another, or of another kind.
    """
    completed = dict(studies)
    recipes = set()
    for name, study in studies.items():
        base_name = study.get("based_on") if isinstance(study, Mapping) else None
        if not base_name:
            continue
        base = studies.get(base_name) if isinstance(base_name, str) else None
        key = f"{where}: studies.{name}.based_on"
        if not isinstance(base, Mapping) or base_name == name:
            others = sorted(set(studies) - {name})
            near = difflib.get_close_matches(str(base_name), others, n=1, cutoff=0.4)
            hint = f"did you mean '{near[0]}'?" if near else f"name one of {', '.join(others)}."
            raise ConfigError(f"{key}: found {base_name!r}, which is no other study; {hint}")
        if base.get("based_on"):
            raise ConfigError(
                f"{key}: '{base_name}' is itself based on '{base['based_on']}'; name that one."
            )
        kinds = [values.get("kind", "image") for values in (base, study)]
        if "kind" in study and kinds[0] != kinds[1]:
            raise ConfigError(
                f"{key}: '{base_name}' is of the kind '{kinds[0]}', this study of '{kinds[1]}'; "
                "name one of the same kind."
            )
        completed[name] = merge_settings(_take_design(base, study), study)
        if base_name in overlaid and name in overlaid:
            recipes.add(base_name)
    return {name: study for name, study in completed.items() if name not in recipes}


def check_recipes(
    overlaid: Mapping[str, Any], studies: Mapping[str, str | None], targets: Iterable[str]
) -> None:
    """Refuse to build a study that is a recipe of this run: Snakemake would not know it.

    Parameters
    ----------
    overlaid
        By name, what overlays say.
    studies
        By name, the study that each study of this run is based on.
    targets
        What is to be built: studies, their searches, or files below folders with their names.

    Raises
    ------
    ConfigError
        Naming the study that is built in its place, and what to do.
    """
    for target in targets:
        for recipe in overlaid.keys() - studies.keys():
            if recipe not in PurePath(target.removeprefix("search_")).parts:
                continue
            built = " and ".join(sorted(n for n, base in studies.items() if base == recipe))
            raise ConfigError(
                f"studies.{recipe}: '{target}' cannot be built in this run, whose overlays change "
                f"this study only as the design of {built}; name {built} as the target, or leave "
                f"out the overlay with {built} to build '{recipe}'."
            )


def _take_design(base: Mapping[str, Any], study: Mapping[str, Any]) -> Raw:
    """Return what a study takes from the one that it is based on."""
    design = copy.deepcopy(dict(base))
    design.pop("title", None)
    if study.get("arms"):  # which belong together
        for key in ("main_arm", "published_arms"):
            design.pop(key, None)
        _drop(design, "evaluate", ("learning_curve",))
    if not isinstance(study.get("dataset"), Mapping):
        return design
    told = STUDY_KINDS.get(kind(design), StudySettings).told_of_data
    for section, keys in told.items():
        _drop(design, section, keys)
    design["paper_role"] = "design"
    _drop(design, "evaluate", OF_OTHER_DATA)
    _drop_from_sweeps(design, {})
    if isinstance(arms := study.get("arms"), Mapping):  # where an arm is gone, the main arm
        for chosen in (*(design.get("sweeps") or {}).values(), design.get("search")):
            if isinstance(chosen, dict) and chosen.get("arm") not in arms:
                chosen.pop("arm", None)
    return design


def keep_to_own_data(study: Raw, known: Mapping[str, Any], overlay: Mapping[str, Any]) -> Raw:
    """Return a study of params.yaml without what it says of other data than it now has.

    A study that generates its data may be given a user's. Values of the paper then stay only if
    ``evaluate.paper_data`` names these data and the classes are the same; title, external set and
    survey only if an overlay states them.

    Parameters
    ----------
    study
        The settings, overlays included.
    known, overlay
        The same study in params.yaml, and what overlays say of it.
    """
    paths = list_paths(study.get("dataset"))
    if not paths or not _get(known, "dataset", "generator"):
        return study
    evaluate = study.get("evaluate")
    named = evaluate.get("paper_data") if isinstance(evaluate, Mapping) else None
    is_papers = is_among(paths, named or [])
    if is_papers and _same_classes(study, known):
        return study
    kept = copy.deepcopy(study)
    stated = overlay.get("evaluate")
    stated = stated if isinstance(stated, Mapping) else {}
    of_paper = [key for key in OF_OTHER_DATA if key.startswith("paper") and key != "paper_data"]
    unwanted = of_paper if is_papers else [k for k in OF_OTHER_DATA if k != "paper_data"]
    _drop(kept, "evaluate", [key for key in unwanted if key not in stated])
    _drop_from_sweeps(kept, overlay.get("sweeps"))
    if not is_papers and "paper_role" not in overlay:
        kept["paper_role"] = "source" if "paper" in overlay else "design"
    if not is_papers and "title" not in overlay and study.get("title") == known.get("title"):
        name = _get(study, "dataset", "name")
        kept["title"] = str(name).replace("_", " ") if name else study["title"]
    return kept


def list_paths(dataset: Any) -> list[str]:
    """Return where a user's pictures or tables lie, by raw settings; nothing if generated."""
    if not isinstance(dataset, Mapping):
        return []
    files = dataset.get("files")
    tables = [file.get("path") for file in files or [] if isinstance(file, Mapping)]
    return [str(path) for path in [dataset.get("path"), *tables] if path]


def is_among(paths: Sequence[str], named: Sequence[str]) -> bool:
    """Whether all paths are among those named, however they are written.

    Examples
    --------
    >>> is_among(["data/raw/sem_ncm/"], ["data/raw/sem_ncm"])
    True
    """
    return {os.path.normpath(p) for p in paths} <= {os.path.normpath(n) for n in named}


def _same_classes(study: Mapping[str, Any], known: Mapping[str, Any]) -> bool:
    places = (("dataset", "labels", "columns"), ("dataset", "labels", "grades"))
    return all((_get(study, *p) or None) == (_get(known, *p) or None) for p in places) and (
        not _get(study, "dataset", "where")
    )


def _get(values: Any, *keys: str) -> Any:
    for key in keys:
        values = values.get(key) if isinstance(values, Mapping) else None
    return values


def _drop(values: Raw, section: str, keys: Collection[str]) -> None:
    held = values.get(section)
    if isinstance(held, Mapping):
        values[section] = {key: value for key, value in held.items() if key not in keys}


def _drop_from_sweeps(study: Raw, stated: Any) -> None:
    """Drop published values beside points of sweeps, unless an overlay states them."""
    sweeps = study.get("sweeps")
    for name, sweep in sweeps.items() if isinstance(sweeps, Mapping) else ():
        if isinstance(sweep, dict) and "paper" not in (_get(stated, name) or {}):
            sweep.pop("paper", None)
