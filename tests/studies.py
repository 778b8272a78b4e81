"""The studies of a project, by what reads their settings."""

from batteryscope.config.project import Project
from batteryscope.config.study import StudySettings
from batteryscope.config.table_study import TableStudySettings


def image_studies(project: Project) -> dict[str, StudySettings]:
    """Return those whose samples are pictures."""
    return {n: s for n, s in project.studies.items() if isinstance(s, StudySettings)}


def table_studies(project: Project) -> dict[str, TableStudySettings]:
    """Return those whose samples are rows of a table."""
    return {n: s for n, s in project.studies.items() if isinstance(s, TableStudySettings)}
