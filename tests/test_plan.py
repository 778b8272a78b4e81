"""The plan: what is shared, and what a changed setting changes."""

from batteryscope.config.project import load_project
from batteryscope.plan import plan_study
from tests.test_config import PARAMS


def plan(**study):
    project = load_project(PARAMS, {"studies": {"cathode_state": study}})
    return plan_study("cathode_state", project.studies["cathode_state"])


TWO_STAGES = {
    "arms": {
        "one": {"stages": [{"name": "source"}, {"name": "target", "change": {"train.epochs": 2}}]},
        "two": {"stages": [{"name": "source"}, {"name": "other", "change": {"train.epochs": 3}}]},
    },
    "main_arm": "one",
}


def test_arms_share_tiles_split_and_equal_first_stages():
    two = plan(**TWO_STAGES)
    assert len(two.tiles) == 1
    assert len(two.splits) == 1
    assert len(two.stages) == 3
    one, other = two.arms["one"].chains, two.arms["two"].chains
    assert one[0] == other[0]
    assert one[1] != other[1]
    assert one[1].startswith("source.target-")
    assert two.stages[one[1]].parent == one[0]


def test_learning_rate_changes_stages_only():
    before, after = plan(), plan(train={"learning_rate": 0.1})
    assert before.tiles.keys() == after.tiles.keys()
    assert before.splits.keys() == after.splits.keys()
    assert before.stages.keys() != after.stages.keys()


def test_report_settings_change_nothing_that_was_trained():
    assert plan().stages.keys() == plan(explain={"tiles_per_class": 1}).stages.keys()


def test_crop_size_changes_tiles_and_stages_but_no_split():
    before, after = plan(), plan(preprocess={"crop_px": 128})
    assert before.tiles.keys() != after.tiles.keys()
    assert before.splits.keys() == after.splits.keys()
    assert before.stages.keys() != after.stages.keys()


def test_an_arm_may_change_any_section():
    two = plan(
        arms={"a": {}, "b": {"change": {"split.scheme": "ordered", "preprocess.crop_px": 100}}},
        main_arm="a",
    )
    assert len(two.tiles) == len(two.splits) == 2
