"""The plan: what is shared, and what a changed setting changes."""

from dataclasses import replace

import pytest

from batteryscope.config.project import load_project
from batteryscope.config.split import SplitSettings
from batteryscope.errors import ConfigError
from batteryscope.plan import plan_study
from batteryscope.planning.checks import check_project
from batteryscope.splits.assign import split_samples
from batteryscope.splits.groups import find_groups
from batteryscope.training.stage import list_fits
from tests.test_config import PARAMS
from tests.test_splits_assign import make_domains


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


def test_one_way_to_count_tiles_takes_the_place_of_the_other():
    assert plan().main.recipe.preprocess.tiles_per_class == 108
    tiles = plan(preprocess={"tiles_per_image": 9}).main.recipe.preprocess
    assert (tiles.tiles_per_image, tiles.tiles_per_class) == (9, None)
    tiles = plan(preprocess={"tiles_per_class": None}).main.recipe.preprocess
    assert (tiles.tiles_per_image, tiles.tiles_per_class) == (12, None)
    with pytest.raises(ConfigError, match="tiles_per_image 9 and tiles_per_class 50 both say"):
        plan(preprocess={"tiles_per_image": 9, "tiles_per_class": 50})
    change = {"preprocess.tiles_per_image": 9}
    two = plan(
        arms={"a": {}, "b": {"change": change}}, main_arm="a", run_sweeps=["crops_per_class"]
    )
    assert two.arms["a"].recipe.preprocess.tiles_per_class == 108
    assert two.arms["b"].recipe.preprocess.tiles_per_class is None
    point = two.every_arm["crops_per_class_30"].recipe.preprocess
    assert (point.tiles_per_image, point.tiles_per_class) == (None, 30)
    swept = {"crops": {"arm": "b", "preprocess.tiles_per_class": [30]}}
    point = plan(
        arms={"a": {}, "b": {"change": change}}, main_arm="a", run_sweeps=["crops"], sweeps=swept
    ).every_arm["crops_30"].recipe.preprocess  # fmt: skip
    assert (point.tiles_per_image, point.tiles_per_class) == (None, 30)


def test_tiles_per_class_depend_on_the_sizes_of_the_parts():
    before, seed = plan(), plan(split={"seed": 2})
    assert (
        before.tiles.keys() == seed.tiles.keys() != plan(split={"test_fraction": 0.2}).tiles.keys()
    )
    assert before.find_tile_split(before.main.tiles).test_fraction == 0.33
    [stage] = before.stages.values()
    assert stage.balance.tiles_per_class == 108
    fixed = plan(preprocess={"tiles_per_image": 9})
    other = plan(preprocess={"tiles_per_image": 9}, split={"test_fraction": 0.2})
    assert fixed.tiles.keys() == other.tiles.keys()
    assert fixed.find_tile_split(fixed.main.tiles) == SplitSettings()


def test_classes_with_the_same_number_of_tiles_need_no_balance():
    with pytest.raises(ConfigError, match=r"'oversample' .*tiles_per_class 50 .*tiles_per_image"):
        transfer(preprocess={"tiles_per_class": 50})
    sentence = r"per_image.change \(stage 'fit'\).*'class_weights' .*tiles_per_class 108"
    with pytest.raises(ConfigError, match=sentence):
        plan(balance={"method": "class_weights"})
    plan(balance={"method": "class_weights"}, preprocess={"tiles_per_image": 9})


def transfer(**changes):
    project = load_project(PARAMS, {"studies": {"additive_transfer": changes}, "scale": "demo"})
    return plan_study("additive_transfer", project.studies["additive_transfer"])


def test_four_arms_five_folds_two_repeats_share_what_they_can():
    demo = {"split": {"folds": 5, "repeats": 2}, "evaluate": {"learning_curve": None}}
    planned = transfer(demo=demo)
    assert list(planned.arms) == ["pre_ft_os", "pre_ft_wl", "ft_os", "pre_only"]
    manifest = make_domains({"a": 12, "b": 8}, {"a": 14, "b": 14})
    settings = planned.main.recipe.split
    split = split_samples(
        manifest,
        find_groups(manifest, "image"),
        settings.model_copy(update={"test_where": {"domain": "target"}}),
    )
    fits = list_fits(split, 0, 1)
    assert len(fits) == 10
    # Six stages in the arms, four different ones: one training job each, which imports its
    # libraries once and trains all ten fits; pretraining is done once for three arms.
    assert sum(len(arm.chains) for arm in planned.arms.values()) == 6
    assert len(planned.stages) == 4
    jobs = sum(s.settings.train.parallel_jobs for s in planned.stages.values())
    assert jobs == 4
    assert len(planned.stages) * len(fits) == 40
    pre = planned.arms["pre_only"].chains
    assert planned.arms["pre_ft_os"].chains[0] == planned.arms["pre_ft_wl"].chains[0] == pre[0]
    assert len({stage.check_id for stage in planned.stages.values()}) == 1


def test_stages_that_train_on_the_same_tiles_share_one_balance():
    planned = transfer()
    arms = {n: arm.model_dump(mode="json") for n, arm in planned.settings.arms.items()}
    faster = arms["pre_ft_os"] | {"change": {"train.learning_rate": 0.02}}
    further = transfer(demo={"arms": arms | {"faster": faster}})
    assert len(further.stages) > len(planned.stages)

    def names(plan):
        return {stage.balance_id for stage in plan.stages.values()}

    assert names(further) == names(planned)
    # Stages with other samples or another treatment of class sizes have plans of their own.
    assert {name.rsplit("-", 1)[0] for name in names(planned)} == {
        stage.settings.stage for stage in planned.stages.values()
    }
    one = next(iter(planned.stages.values()))
    moved = replace(one, settings=one.settings.model_copy(update={"where": {"domain": "target"}}))
    assert moved.balance_id != one.balance_id


def test_a_further_network_adds_its_own_stages_only():
    before = transfer()
    arms = {n: arm.model_dump(mode="json") for n, arm in before.settings.arms.items()}
    other = arms["pre_ft_os"] | {"change": {"model.backbone": "resnet10t"}}
    after = transfer(demo={"arms": arms | {"resnet10t": other}})
    new = set(after.stages) - set(before.stages)
    assert set(before.stages) < set(after.stages)
    assert new == set(after.arms["resnet10t"].chains)
    assert {after.stages[chain].settings.model.backbone for chain in new} == {"resnet10t"}


def test_unknown_domain_is_told_with_the_nearest():
    wrong = {"stages": [{"name": "pre", "where": {"domain": "plane"}}]}
    message = r"pre_ft_os.stages.pre.where.domain: 'plane' is none .* did you mean 'plain'"
    with pytest.raises(ConfigError, match=message):
        check_transfer(demo={"arms": {"pre_ft_os": wrong, "ft_os": {}}})
    with pytest.raises(ConfigError, match=r"split.test_where.domain: 'additives'.*'additive'"):
        check_transfer(split={"test_where": {"domain": "additives"}})


def check_transfer(**changes):
    project = load_project(PARAMS, {"studies": {"additive_transfer": changes}})
    study = project.studies["additive_transfer"]
    check_project({"additive_transfer": plan_study("additive_transfer", study)})


def test_masks_lie_beside_the_images(tmp_path):
    images = tmp_path / "images"
    (images / "masks").mkdir(parents=True)
    (tmp_path / "masks").mkdir()

    def check(masks):
        check_transfer(dataset={"path": str(images), "masks": str(masks)})

    with pytest.raises(ConfigError, match=r"dataset.masks: '.*' lies inside the data set"):
        check(images / "masks")
    with pytest.raises(ConfigError, match=r"dataset.masks: expected a folder of masks .* nothing"):
        check(tmp_path / "elsewhere")
    (images / ".masks").mkdir()
    check(images / ".masks")
    check(tmp_path / "masks")
