"""Finds the search of a study, whatever its data are."""

from batteryscope.config.study import StudySettings
from batteryscope.config.table_study import TableStudySettings
from batteryscope.errors import ConfigError
from batteryscope.plan import plan_study
from batteryscope.search.plan import SearchPlan
from batteryscope.search.plan_search import plan_search
from batteryscope.search.plan_table_search import plan_table_search


def find_search(study: str, settings: StudySettings | TableStudySettings) -> SearchPlan:
    """Plan the search of a study of images or of tables.

    Raises
    ------
    ConfigError
        If it has none, or an impossible one.
    """
    plan = (
        plan_table_search(study, settings)
        if isinstance(settings, TableStudySettings)
        else plan_search(plan_study(study, settings))
    )
    if plan is None:
        raise ConfigError(f"studies.{study}.search: this key is missing; add it.")
    return plan
