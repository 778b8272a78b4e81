"""What can be known to fail before any job starts: missing paths, impossible combinations."""

import difflib
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import singledispatch
from itertools import islice
from pathlib import Path

from batteryscope.config.dataset import DatasetSettings
from batteryscope.config.preprocess import SemTilesSettings, SemWholeSettings
from batteryscope.config.study import StudySettings
from batteryscope.config.sweep import WHERE, resolve_values
from batteryscope.config.written import Written
from batteryscope.errors import BatteryscopeError, ConfigError
from batteryscope.manifest.columns import list_columns, refuse_unknown
from batteryscope.models.known_weights import complete_input
from batteryscope.models.weights_file import check_weights_file
from batteryscope.plan import ArmPlan, StudyPlan
from batteryscope.planning.check_effects import check_effects, check_row_effects
from batteryscope.planning.check_evaluate import (
    check_evaluate,
    check_external,
    check_external_covariates,
)
from batteryscope.planning.frame_sizes import check_crops
from batteryscope.planning.grey_mismatches import check_mismatches
from batteryscope.planning.plan_table_sweeps import TableSweepPlan
from batteryscope.readers.folder import list_files
from batteryscope.samples.choose import samples_cut_by, samples_of

# Written in front of a column, and the column.
Condition = tuple[str, str]


def check_conditions(study: StudySettings, key: str) -> None:
    """Refuse conditions on unknown columns, so that a dry run tells of them.

    Raises
    ------
    ConfigError
        Naming the condition and the nearest column.
    """
    _check(study.dataset, _list_reading(study.dataset, f"{key}.dataset"), [])
    if study.external is not None:
        _check(study.external, _list_reading(study.external, f"{key}.evaluate.external"), [])
    _check(study.dataset, _list_choosing(study, key), study.dataset.target_names)


def _check(dataset: DatasetSettings, conditions: Iterator[Condition], further: list[str]) -> None:
    known: list[str] | None = None
    for place, column in conditions:
        known = list_columns(dataset) if known is None else known
        if known is None:
            return
        refuse_unknown(column, [*known, *further], f"{place}{column}")


def _list_reading(dataset: DatasetSettings, key: str) -> Iterator[Condition]:
    """Conditions that hold when the images are read, and covariates that stand in the labels."""
    yield from ((f"{key}.where.", column) for column in dataset.where)
    for name, domain in dataset.domains.items():
        yield from ((f"{key}.domains.{name}.", column) for column in domain)
    if dataset.covariates is not None and dataset.covariates.table is None:
        listed = dataset.covariates.listed
        yield from ((f"{key}.covariates.columns.{c.name}: ", c.column) for c in listed)


def _list_choosing(study: StudySettings, key: str) -> Iterator[Condition]:
    """Conditions on images that were read: what is trained and tested on."""
    yield from ((f"{key}.split.test_where.", column) for column in study.split.test_where)
    yield from ((f"{key}.split.shared_where.", column) for column in study.split.shared_where)
    for name, arm in study.arms.items():
        for stage in arm.stages:
            place = f"{key}.arms.{name}.stages.{stage.name}.where."
            yield from ((place, column) for column in stage.where)
    for point in study.sweep_points:
        for swept in resolve_values(point.values):
            if swept.startswith(WHERE):
                yield f"{key}.sweeps.{point.sweep}: {WHERE}", swept.removeprefix(WHERE)


def find_written_place(plan: StudyPlan, arm: str, setting: str) -> str:
    """Return the place below the study of a dotted setting that an arm runs with.

    Returns
    -------
    str
        For messages: ``sweeps.size: preprocess.crop_px``,
        ``arms.large.change.preprocess.crop_px`` or ``preprocess.crop_px``.
    """
    base = plan.settings.curve_arms.get(arm, (arm, 0))[0]
    if arm in plan.point_arms:
        point = next(point for point in plan.points if point.name == arm)
        if setting in resolve_values(point.values):
            return f"sweeps.{point.sweep}: {setting}"
        base = point.base
    if setting in plan.settings.arms[base].change:
        return f"arms.{base}.change.{setting}"
    return setting


SAMPLED_IMAGES = 20  # whose headers are read to learn the size of the frames


def check_project(
    plans: Mapping[str, StudyPlan | TableSweepPlan], written: Mapping[str, Written] | None = None
) -> None:
    """Check every study, by its plan.

    Parameters
    ----------
    plans
        By the study's name.
    written
        What users wrote of it (:attr:`batteryscope.config.project.Project.written`); without it
        nobody can have written what has no effect.

    Raises
    ------
    ConfigError, InputError
        One sentence that names the key, what was found and what to do.
    """
    for name, plan in plans.items():
        own = (written or {}).get(name, Written())
        _check_plan(plan, own, f"params.yaml: studies.{name}")


@singledispatch
def _check_plan(plan: object, written: Written, key: str) -> None:
    raise NotImplementedError(type(plan))


@_check_plan.register
def _check_pictures(plan: StudyPlan, written: Written, key: str) -> None:
    study = plan.settings
    check_effects(plan, written, key)
    _check_dataset(study.dataset, f"{key}.dataset")
    if study.external is not None:
        _check_dataset(study.external, f"{key}.evaluate.external")
        check_external(study.dataset, study.external, f"{key}.evaluate.external")
        given = study.published_covariates
        check_external_covariates(given, study.external, f"{key}.evaluate.external")
    survey = study.evaluate.survey
    if survey is not None and not Path(survey).is_file():
        raise ConfigError(f"{key}.evaluate.survey: '{survey}' does not exist; correct the path.")
    check_conditions(study, key)
    check_mismatches(plan, f"{key}.evaluate.grey_levels_at_test")
    _check_domains(study, key)
    for arm in plan.every_arm.values():
        _check_arm(plan, arm, key)
    check_evaluate(study, plan.main.recipe.preprocess, f"{key}.evaluate")
    check_crops(study.dataset, plan.points, key, _list_stated_bars(plan))
    for stage in plan.stages.values():
        weights = stage.settings.model.weights
        if weights not in ("random", "imagenet"):
            try:
                check_weights_file(Path(weights), stage.settings.model.weights_sha256)
                complete_input(stage.settings.model)
            except BatteryscopeError as error:
                raise type(error)(f"{key}: {error}") from None


@_check_plan.register
def _check_tables(plan: TableSweepPlan, written: Written, key: str) -> None:
    check_row_effects(plan, written, key)
    for number, file in enumerate(plan.settings.dataset.files):
        path = Path(file.path)
        if path.is_file():
            continue
        for above in [path, *path.parents]:
            _check_pulled(above, f"{key}.dataset.files.{number}.path")
        found = "a folder" if path.exists() else "nothing"
        raise ConfigError(
            f"{key}.dataset.files.{number}.path: expected a table at '{path}', found {found}; "
            "correct the path."
        )


def _check_dataset(dataset: DatasetSettings, key: str) -> None:
    if dataset.path is None:
        return
    path = Path(dataset.path)
    if dataset.masks is not None:
        _check_masks(path, Path(dataset.masks), f"{key}.masks")
    if path.is_dir():
        _check_label_table(dataset, path, key)
        _check_covariates(dataset, path, key)
        return
    _check_pulled(path, f"{key}.path")
    found = "a file" if path.exists() else "nothing"
    raise ConfigError(
        f"{key}.path: expected a folder of images at '{path}', found {found}; correct the path."
    )


def _check_label_table(dataset: DatasetSettings, folder: Path, key: str) -> None:
    table = dataset.labels.table
    if dataset.labels.source == "table" and table and not (folder / table).is_file():
        raise ConfigError(
            f"{key}.labels.table: '{folder / table}' does not exist; name a table (CSV, Excel "
            "or parquet) inside the data set."
        )


def _check_covariates(dataset: DatasetSettings, folder: Path, key: str) -> None:
    table = dataset.covariates.table if dataset.covariates is not None else None
    if table is not None and not (folder / table).is_file():
        raise ConfigError(
            f"{key}.covariates.table: '{folder / table}' does not exist; name a table (CSV, Excel "
            "or parquet) inside the data set."
        )


def _check_masks(images: Path, masks: Path, key: str) -> None:
    if not masks.is_dir():
        raise ConfigError(
            f"{key}: expected a folder of masks at '{masks}', found "
            f"{'a file' if masks.exists() else 'nothing'}; correct the path, or leave it out."
        )
    within = masks.resolve().is_relative_to(images.resolve())
    hidden = within and any(
        part.startswith(".") for part in masks.resolve().relative_to(images.resolve()).parts
    )
    if within and not hidden:
        raise ConfigError(
            f"{key}: '{masks}' lies inside the data set '{images}', where masks would be taken "
            "for images; move it beside the data set."
        )


def _check_domains(study: StudySettings, key: str) -> None:
    """Refuse conditions on a domain that the settings do not name; without names any may occur."""
    labels, known = study.dataset.labels, sorted(study.dataset.domains)
    if not known or labels.source == "table" or "(?P<domain>" in (labels.pattern or ""):
        return
    conditions = {
        f"{key}.split.test_where": study.split.test_where,
        f"{key}.split.shared_where": study.split.shared_where,
    }
    for name, arm in study.arms.items():
        for stage in arm.stages:
            conditions[f"{key}.arms.{name}.stages.{stage.name}.where"] = stage.where
    for place, where in conditions.items():
        wanted = where.get("domain", [])
        for domain in wanted if isinstance(wanted, list) else [wanted]:
            if domain not in known:
                near = difflib.get_close_matches(str(domain), known, n=1, cutoff=0.4)
                hint = f"did you mean '{near[0]}'? " if near else ""
                raise ConfigError(
                    f"{place}.domain: '{domain}' is none of the domains; {hint}"
                    f"dataset.domains names {', '.join(known)}."
                )


def _check_pulled(path: Path, key: str) -> None:
    if not path.exists() and path.with_name(f"{path.name}.dvc").is_file():
        raise ConfigError(
            f"{key}: '{path}' is known to DVC but its files are not here; run 'dvc pull {path}'."
        )


def _check_arm(plan: StudyPlan, arm: ArmPlan, key: str) -> None:
    dataset, preprocess = plan.settings.dataset, arm.recipe.preprocess
    cut = samples_cut_by(preprocess)
    if misfit := samples_of(dataset).explain_misfit(cut, preprocess.method, arm.name):
        raise ConfigError(f"{key}.preprocess.method: {misfit}")
    if isinstance(preprocess, SemTilesSettings):
        _check_tiles(plan, preprocess, arm.name, key)
    if isinstance(preprocess, SemWholeSettings):
        _check_bar(plan, preprocess, arm.name, key)
    _check_groups(dataset, arm, key)


def _list_stated_bars(plan: StudyPlan) -> dict[str, int]:
    recipes = {arm.name: arm.recipe.preprocess for arm in plan.every_arm.values()}
    return {
        name: tiles.data_bar
        for name, tiles in recipes.items()
        if isinstance(tiles, SemTilesSettings) and isinstance(tiles.data_bar, int)
    }


def _check_tiles(plan: StudyPlan, tiles: SemTilesSettings, name: str, key: str) -> None:
    size = find_frame_size(plan.settings.dataset)
    crop = tiles.largest_crop_px
    crop_key = "crop_px" if crop == tiles.crop_px else "grid_crops_px"
    if size is not None and crop > min(size):
        place = find_written_place(plan, name, f"preprocess.{crop_key}")
        raise ConfigError(
            f"{key}.{place}: {crop} px (arm '{name}') is larger than the images "
            f"of {size[0]}×{size[1]} px; choose at most {min(size)}."
        )
    bar = tiles.data_bar
    if size is not None and isinstance(bar, int) and crop + bar > size[1]:
        place = find_written_place(plan, name, "preprocess.data_bar")
        raise ConfigError(
            f"{key}.{place}: a bar of {bar} px (arm '{name}') leaves "
            f"{size[1] - bar} of {size[1]} rows, fewer than {crop_key} {crop}; make one smaller."
        )


def _check_bar(plan: StudyPlan, whole: SemWholeSettings, name: str, key: str) -> None:
    size, bar = find_frame_size(plan.settings.dataset), whole.data_bar
    if size is not None and isinstance(bar, int) and bar >= size[1]:
        place = find_written_place(plan, name, "preprocess.data_bar")
        raise ConfigError(
            f"{key}.{place}: a bar of {bar} px (arm '{name}') leaves nothing of images of "
            f"{size[0]}×{size[1]} px; make it smaller."
        )


def _check_groups(dataset: DatasetSettings, arm: ArmPlan, key: str) -> None:
    split = arm.recipe.split
    unit = samples_of(dataset).find_unit(dataset, split.group)
    smallest = find_smallest_class(dataset, unit)
    if smallest is None or not (split.stratify or split.scheme == "ordered"):
        return
    name, count = smallest
    needed, why = split.needed_groups
    if needed > count:
        found = f"{count} {unit}" + ("" if count == 1 else "s")
        advice = f"add {unit}s, or leave the class out with dataset.where"
        if "folds" in why:
            advice = f"use fewer folds, {advice}"
        raise ConfigError(
            f"{key}.split: the smallest class, '{name}', has {found}, but scheme "
            f"'{split.scheme}' (arm '{arm.name}') needs at least {needed} ({why}); {advice}."
        )


def find_frame_size(dataset: DatasetSettings) -> tuple[int, int] | None:
    """Return (width, height) in pixels of the images, as far as it can be told.

    Of a user's images the headers of a few in every folder are read and the largest
    counts: single small images are left to the rejects.
    """
    if dataset.path is None and dataset.generator is not None:
        size = dataset.generator.frame_px
        return size if all(size) else None
    if dataset.expected_size_px is not None or dataset.path is None:
        return dataset.expected_size_px
    from batteryscope.readers.picture import PictureError
    from batteryscope.readers.registry import read_size

    sizes = []
    by_folder = _list_pictures(dataset.path).items()
    pictures = (Path(dataset.path, f, name) for f, names in by_folder for name in names[:2])
    for picture in islice(filter(Path.is_file, pictures), SAMPLED_IMAGES):
        with suppress(PictureError):
            sizes.append(read_size(picture))
    return max(sizes, key=min, default=None)


def find_smallest_class(dataset: DatasetSettings, unit: str = "image") -> tuple[str, int] | None:
    """Return name and size of the smallest class as far as it can be told without reading files.

    Parameters
    ----------
    dataset
        Settings of the data set.
    unit
        What is counted, as :meth:`~batteryscope.samples.kind.Samples.find_unit` names it.
    """
    if dataset.path is None and dataset.generator is not None:
        return "each", dataset.generator.count_in_class(unit)
    if dataset.labels.source != "folders" or dataset.path is None or dataset.where:
        return None
    if not samples_of(dataset).are_files:
        return None
    by_folder = _list_pictures(dataset.path)
    if dataset.only_class:
        return dataset.only_class, sum(map(len, by_folder.values()))
    pattern = re.compile(dataset.labels.pattern or "(?P<class>.+)", re.IGNORECASE)
    columns = dataset.labels.columns if dataset.labels.pattern else ["class"]
    images: Counter[str] = Counter()
    units: dict[str, set[str]] = {}
    for folder, pictures in by_folder.items():
        if match := pattern.search(folder):
            name = "_".join(str(match[column]) for column in columns)
            images[name] += len(pictures)
            if unit != "image":
                units.setdefault(name, set()).add(str(match[f"{unit}_id"]))
    sizes = {name: len(ids) for name, ids in units.items()} or dict(images)
    return min(sizes.items(), key=lambda item: (item[1], item[0])) if sizes else None


def _list_pictures(path: str) -> dict[str, list[str]]:
    """Names of the pictures in every folder of a data set; "" is the data set's own folder."""
    from batteryscope.readers.registry import is_picture_name

    found: dict[str, list[str]] = {}
    for file in sorted(list_files(Path(path))):
        folder, _, name = file.rpartition("/")
        if is_picture_name(name):
            found.setdefault(folder, []).append(name)
    return found
