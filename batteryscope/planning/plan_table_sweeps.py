"""The points of the sweeps of a table study: what each trains, and which share their work."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from batteryscope.config.base import validate_settings
from batteryscope.config.merge import change_settings
from batteryscope.config.sweep import resolve_values
from batteryscope.config.table_study import TableSplitSettings, TableStudySettings
from batteryscope.plan import PlannedPoint
from batteryscope.provenance import digest_json


@dataclass(frozen=True)
class TableSweepPlan:
    """All points, and by name those that train networks of their own.

    ``splits`` holds the divisions of the rows that the study itself does not have, by name;
    ``split_of`` says which of them a point uses, and has no entry for the study's own.
    """

    study: str
    settings: TableStudySettings
    points: tuple[PlannedPoint, ...] = ()
    work: dict[str, TableStudySettings] = field(default_factory=dict)
    splits: dict[str, TableSplitSettings] = field(default_factory=dict)
    split_of: dict[str, str] = field(default_factory=dict)


def plan_table_sweeps(study: str, settings: TableStudySettings) -> TableSweepPlan:
    """Resolve the points of all sweeps that are switched on.

    A point trains the source networks and one arm, without ablations. One with the settings of
    the study does nothing: its networks are among the study's own, and equal seeds make them
    the same.

    Raises
    ------
    ConfigError
        If a value is impossible.
    """
    plan = TableSweepPlan(study, settings)
    known: dict[str, str] = {}
    points = []
    for point in settings.sweep_points:
        own = change_table_study(settings, {}, point.base, "")
        known.setdefault(_identify(own), point.base)
        where = f"params.yaml: studies.{study}.sweeps.{point.sweep} ({point.name})"
        changed = change_table_study(settings, point.values, point.base, where)
        identity = _identify(changed)
        if identity not in known:
            known[identity] = point.name
            plan.work[point.name] = changed
            if changed.split != settings.split:
                split = digest_json(changed.split.model_dump(mode="json"))[:8]
                plan.splits[split] = changed.split
                plan.split_of[point.name] = split
        values = dict(point.values)
        points.append(PlannedPoint(point.sweep, point.name, point.base, values, known[identity]))
    return replace(plan, points=tuple(points))


def change_table_study(
    settings: TableStudySettings, values: Mapping[str, Any], arm: str, where: str
) -> TableStudySettings:
    """Return what a point trains: one arm with other settings, and nothing else.

    Parameters
    ----------
    settings
        The study.
    values
        Values by key; ``networks.<setting>`` is for the networks of all targets.
    arm
        The arm to train.
    where
        How the user knows the point.

    Raises
    ------
    ConfigError
        If a value is impossible.
    """
    change: dict[str, Any] = {}
    for key, value in resolve_values(values).items():
        change |= dict.fromkeys(settings.spread_key(key), value)
    kept = settings.keep_sections("split", "train").model_dump(mode="json")
    changed = change_settings(kept, change) | {"arms": [arm], "main_arm": arm}
    return validate_settings(TableStudySettings, changed, where)


def _identify(settings: TableStudySettings) -> str:
    return digest_json(settings.model_dump(mode="json"))
