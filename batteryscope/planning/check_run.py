"""What a run is asked for, checked before any work against what its studies can do."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from batteryscope.config.choose_sweeps import check_targets
from batteryscope.config.own_study import check_recipes
from batteryscope.config.project import Project
from batteryscope.workflow.replaced_results import Publication, check_replaced


def check_run(
    project: Project,
    overlaid: Mapping[str, Any],
    sweeps: Any,
    targets: Sequence[str],
    reports: Path | None,
) -> list[str]:
    """Refuse a run that would leave out or replace something without a word.

    Parameters
    ----------
    project
        The whole configuration.
    overlaid
        By name, what overlays say of studies.
    sweeps
        What the command line asks for (``--config sweeps=…``).
    targets
        What is to be built: studies or files; without any, everything is.
    reports
        The folder of all published reports; None if nothing is published.

    Returns
    -------
    list of str
        What a user should know: which results are replaced.

    Raises
    ------
    ConfigError
        Naming the study or sweep, and what to do.
    """
    studies = project.studies
    check_recipes(overlaid, {name: s.based_on for name, s in studies.items()}, targets)
    if sweeps:
        check_targets({name: s.run_sweeps for name, s in studies.items()}, sweeps, targets)
    if reports is None:
        return []
    publications = {
        name: Publication(study.data_origin, study.paper_role == "source", study.based_on)
        for name, study in studies.items()
    }
    return check_replaced(reports, publications, targets, project.replace)
