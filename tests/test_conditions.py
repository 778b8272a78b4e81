"""Conditions on columns that the data set lacks are told before any job, if columns are known."""

import pytest

from batteryscope.config.study import StudySettings
from batteryscope.errors import ConfigError
from batteryscope.manifest.columns import list_columns
from batteryscope.planning.checks import check_conditions
from tests.small_params import small_study

KEY = "params.yaml: studies.check"
PATTERN = {"pattern": "(?P<class>c)_(?P<lens>[0-9]+)x"}
TABLE = {"source": "table", "table": "labels.csv", "pattern": None}


def make(**changes) -> StudySettings:
    return StudySettings.model_validate(small_study(**changes))


def swept(column: str, **changes) -> StudySettings:
    sweep = {"zoom": {f"dataset.where.{column}": [500]}}
    return make(sweeps=sweep, run_sweeps=["zoom"], **changes)


@pytest.mark.parametrize(
    ("study", "told"),
    [
        (
            lambda: swept("magnificatoin"),
            r"sweeps.zoom: dataset.where.magnificatoin: .*did you mean 'magnification'\? known",
        ),
        (
            lambda: make(dataset={"where": {"voltage_v": 5}}),
            r"dataset.where.voltage_v: .*mean 'voltage_kv'",
        ),
        (
            lambda: make(dataset={"domains": {"near": {"len": 5}}, "labels": PATTERN}),
            r"dataset.domains.near.len: .*mean 'lens'",
        ),
        (
            lambda: make(split={"test_where": {"domian": "near"}}),
            r"split.test_where.domian: .*mean 'domain'",
        ),
        (
            lambda: make(arms={"a": {"stages": [{"name": "one", "where": {"lens": "5"}}]}}),
            r"arms.a.stages.one.where.lens: the manifest has no such column",
        ),
        (
            lambda: make(evaluate={"external": {"name": "e", "path": "e", "where": {"klass": 1}}}),
            r"evaluate.external.where.klass: .*mean 'class'",
        ),
    ],
)
def test_unknown_columns_are_told(study, told):
    with pytest.raises(ConfigError, match=f"^{KEY}.{told}"):
        check_conditions(study(), KEY)


def test_known_columns_pass():
    for column in ("magnification", "class", "specimen_id", "domain"):
        check_conditions(swept(column), KEY)
    check_conditions(swept("lens", dataset={"labels": PATTERN}), KEY)


def test_columns_of_a_label_table(tmp_path):
    data = {"path": str(tmp_path), "labels": TABLE}
    check_conditions(swept("anything", dataset=data), KEY)  # no table yet: nothing is known
    (tmp_path / "labels.csv").write_text("file;class;objective\na.png;x;5\n")
    check_conditions(swept("objective", dataset=data), KEY)
    with pytest.raises(ConfigError, match="did you mean 'objective'"):
        check_conditions(swept("objectiv", dataset=data), KEY)
    columns = list_columns(make(dataset=data).dataset)
    assert columns is not None
    assert {"objective", "class", "magnification"} <= set(columns)
    assert "file" not in columns


def test_columns_of_scans():
    assert {"volume", "slice"} <= set(list_columns(make(dataset={"volumes": {}}).dataset) or [])
