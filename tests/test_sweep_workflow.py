"""A sweep by the real workflow: a changed value trains its own point and no other."""

import pandas as pd
import pytest

from tests.small_params import small_params, small_study
from tests.test_dvc import rules_in

pytestmark = pytest.mark.workflow
COMPARISON = "work/check/sweeps/comparison"
MAIN_RATE = 5.0e-3  # the main arm's


def params(*rates: float) -> dict:
    study = small_study(
        dataset={"generator": {"kind": "trivial", "classes": 2, "images_per_class": 6}},
        preprocess={"tiles_per_image": 5, "grid_tiles": 1},
        train={"epochs": 1, "learning_rate": MAIN_RATE},
        sweeps={"rate": {"train.learning_rate": list(rates)}},
        run_sweeps=["rate"],
    )
    return small_params(check=study) | {"tracking": {"enabled": False}}


def test_a_changed_value_trains_its_own_point_alone(make_sandbox):
    box = make_sandbox(params(MAIN_RATE, 1e-3))

    def list_stages():
        parts = (box.root / "work/check/stages").glob("*/part0/*/weights.safetensors")
        return {path: path.stat().st_mtime_ns for path in parts}

    told = box.snakemake("--", COMPARISON).stdout
    assert told.count("Expected: ") == 1  # also without a dry run
    noted = box.root / "work/check/benchmarks/times_are_of.txt"
    assert noted.read_text() == "scale demo, generated"
    before = list_stages()
    assert len(before) == 2
    box.write_params(params(MAIN_RATE, 2e-3))
    output = box.snakemake("--", COMPARISON).stdout
    after = list_stages()
    assert after.items() > before.items()
    assert len(after) == 3
    assert rules_in(output) == {"train_stage", "evaluate_point", "compare_sweeps"}
    assert output.count("(train_stage, ") == 1
    table = pd.read_csv(box.root / COMPARISON / "sweeps.csv")
    assert set(table["point"]) == {"rate_0p005", "rate_0p002"}
