"""A search by the real workflow: a database out of reach, a worker that is killed."""

import pytest

from tests.conftest import Sandbox
from tests.small_params import small_params, small_study

pytestmark = pytest.mark.workflow
SEARCH = {
    "space": {"train.learning_rate": {"low": 1.0e-4, "high": 0.1, "log": True}},
    "trials": 12,
    "workers": 2,
    "max_epochs": 9,
    "heartbeat_s": 5,
    "random": False,
}


def params(**search) -> dict:
    return small_params(check=small_study(search=SEARCH | search))


@pytest.fixture(scope="module")
def sandbox(make_sandbox) -> Sandbox:
    return make_sandbox(params())


@pytest.mark.parametrize(
    "address", ["postgresql://me:secret@127.0.0.1:9/optuna", "sqlite:////proc/no/such/place.db"]
)
def test_storage_out_of_reach_is_told_before_the_data_work(sandbox, address):
    sandbox.write_params(params(storage=address))
    if "postgresql" in address:  # a dry run asks nobody
        assert sandbox.planned_rules("search_check")["check_search_storage"] == 1
    done = sandbox.snakemake("search_check", check=False)
    assert done.returncode != 0
    assert "Traceback" not in done.stdout
    assert "secret" not in done.stdout
    told = [line for line in done.stdout.splitlines() if line.startswith("ERROR: ")]
    assert len(told) == 1, done.stdout
    assert told[0].startswith("ERROR: search.storage: the database ")
    assert "cannot be used" in told[0]
    assert not list((sandbox.root / "work/check").glob("data/*"))
