"""Whether conditions on columns of the data set name columns that it has."""

from collections.abc import Iterator

from batteryscope.config.dataset import DatasetSettings
from batteryscope.config.study import StudySettings
from batteryscope.config.sweep import WHERE, resolve_values
from batteryscope.manifest.columns import list_columns, refuse_unknown

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
