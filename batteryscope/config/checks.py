"""What can be known to fail before any job starts: missing paths, impossible combinations."""

import os
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from batteryscope.config.dataset import DatasetSettings
from batteryscope.config.project import Project
from batteryscope.errors import ConfigError
from batteryscope.models.weights_file import check_weights_file
from batteryscope.plan import ArmPlan, StudyPlan


def check_project(project: Project, plans: Mapping[str, StudyPlan]) -> None:
    """Check every study.

    Raises
    ------
    ConfigError, InputError
        One sentence that names the key, what was found and what to do.
    """
    for name, plan in plans.items():
        study = project.studies[name]
        key = f"params.yaml: studies.{name}"
        _check_dataset(study.dataset, f"{key}.dataset")
        if study.evaluate.external is not None:
            _check_dataset(study.evaluate.external, f"{key}.evaluate.external")
            _check_columns(study.dataset, study.evaluate.external, f"{key}.evaluate.external")
        survey = study.evaluate.survey
        if survey is not None and not Path(survey).is_file():
            raise ConfigError(
                f"{key}.evaluate.survey: '{survey}' does not exist; correct the path."
            )
        for arm in plan.arms.values():
            _check_arm(study.dataset, arm, key)
        for stage in plan.stages.values():
            weights = stage.settings.model.weights
            if weights not in ("random", "imagenet"):
                check_weights_file(Path(weights), stage.settings.model.weights_sha256)


def _check_dataset(dataset: DatasetSettings, key: str) -> None:
    if dataset.path is None:
        return
    path = Path(dataset.path)
    if path.is_dir():
        return
    if Path(f"{dataset.path.rstrip('/')}.dvc").is_file():
        raise ConfigError(
            f"{key}.path: '{path}' is known to DVC but its files are not here; "
            f"run 'dvc pull {path}'."
        )
    found = "a file" if path.exists() else "nothing"
    raise ConfigError(
        f"{key}.path: expected a folder of images at '{path}', found {found}; correct the path."
    )


def _check_columns(data: DatasetSettings, external: DatasetSettings, key: str) -> None:
    if missing := [c for c in data.labels.columns if c not in external.labels.columns]:
        raise ConfigError(
            f"{key}.labels.columns: '{missing[0]}' is missing; an external data set needs the "
            f"label columns of the study, {data.labels.columns}."
        )


def _check_arm(dataset: DatasetSettings, arm: ArmPlan, key: str) -> None:
    size = find_frame_size(dataset)
    crop = arm.recipe.preprocess.crop_px
    if size is not None and crop > min(size):
        raise ConfigError(
            f"{key}.preprocess.crop_px: {crop} px (arm '{arm.name}') is larger than the images "
            f"of {size[0]}×{size[1]} px; choose at most {min(size)}."
        )
    split = arm.recipe.split
    smallest = find_smallest_class(dataset)
    if smallest is None or split.scheme not in ("kfold", "holdout_kfold"):
        return
    name, count = smallest
    if split.folds > count:
        raise ConfigError(
            f"{key}.split.folds: {split.folds} folds (arm '{arm.name}') are more than the {count} "
            f"images of the smallest class, '{name}'; use fewer folds or add images."
        )


def find_frame_size(dataset: DatasetSettings) -> tuple[int, int] | None:
    """Return (width, height) in pixels that all images will have, if that is known."""
    if dataset.path is None and dataset.generator is not None:
        return dataset.generator.width_px, dataset.generator.height_px
    return dataset.expected_size_px


def find_smallest_class(dataset: DatasetSettings) -> tuple[str, int] | None:
    """Return name and size of the smallest class as far as it can be told without reading files."""
    if dataset.path is None and dataset.generator is not None:
        return "each", dataset.generator.images_per_class
    if dataset.labels.source != "folders" or dataset.path is None:
        return None
    from batteryscope.readers.registry import is_picture_name

    pattern = re.compile(dataset.labels.pattern or "(?P<class>.+)", re.IGNORECASE)
    columns = dataset.labels.columns if dataset.labels.pattern else ["class"]
    counts: Counter[str] = Counter()
    for folder, _, files in os.walk(dataset.path, followlinks=True):
        match = pattern.search(Path(folder).relative_to(dataset.path).as_posix())
        if match:
            name = "_".join(str(match[column]) for column in columns)
            counts[name] += sum(map(is_picture_name, files))
    present = {name: count for name, count in counts.items() if count}
    return min(present.items(), key=lambda item: (item[1], item[0])) if present else None
