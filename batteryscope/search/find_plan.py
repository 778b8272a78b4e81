"""Finds the search of a study, whatever its samples are."""

from batteryscope.config.study import StudySettings
from batteryscope.config.table_study import TableStudySettings
from batteryscope.core.named_function import load_function
from batteryscope.errors import ConfigError
from batteryscope.samples.choose import samples_of
from batteryscope.search.plan import SearchPlan


def find_planner(settings: StudySettings | TableStudySettings) -> str:
    """Return the module that plans the search of a study."""
    return samples_of(settings).modules.search


def find_search(study: str, settings: StudySettings | TableStudySettings) -> SearchPlan:
    """Plan the search of a study.

    Raises
    ------
    ConfigError
        If it has none, or an impossible one.
    """
    plan: SearchPlan | None = load_function(find_planner(settings), "find_search")(study, settings)
    if plan is None:
        raise ConfigError(f"studies.{study}.search: this key is missing; add it.")
    return plan
