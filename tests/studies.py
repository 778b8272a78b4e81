"""The studies of a project, by what reads their settings, and pieces of a study on disk."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from batteryscope.config.project import Project
from batteryscope.config.study import StudySettings
from batteryscope.config.table_study import TableStudySettings
from batteryscope.plan import plan_study
from batteryscope.planning.layout import PictureLayout
from tests.small_params import small_study


def image_studies(project: Project) -> dict[str, StudySettings]:
    """Return those whose samples are pictures."""
    return {n: s for n, s in project.studies.items() if isinstance(s, StudySettings)}


def table_studies(project: Project) -> dict[str, TableStudySettings]:
    """Return those whose samples are rows of a table."""
    return {n: s for n, s in project.studies.items() if isinstance(s, TableStudySettings)}


def lay_out_small(root: Path, **changes: object) -> PictureLayout:
    """Lay out the smallest study of classes, some of its sections changed key by key."""
    settings = StudySettings.model_validate(small_study(**changes))
    return PictureLayout(root, plan_study("check", settings))


def write_pieces(
    layout: PictureLayout,
    manifest: pd.DataFrame,
    splits: Mapping[str, pd.DataFrame],
    predictions: Mapping[str, pd.DataFrame],
    more: Mapping[Path, pd.DataFrame] | None = None,
) -> PictureLayout:
    """Write what a comparison reads: ``splits`` and ``predictions`` by arm, ``more`` by path."""
    tables = {layout.data.manifest: manifest}
    tables |= {layout.split(layout.plan.arms[a].split).roles: t for a, t in splits.items()}
    tables |= {layout.arm(arm).predictions: table for arm, table in predictions.items()}
    tables |= more or {}
    for path, table in tables.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        table.to_parquet(path)
    layout.main_split.audit.write_text("{}", encoding="utf-8")
    calibration = layout.arm(layout.plan.main.name).calibration
    calibration.write_text('{"temperature": 1.0}', encoding="utf-8")
    return layout
