"""Deeg et al. (2024) row by row: docs/papers/deeg2024.yaml against params.yaml at paper scale."""

import pandas as pd
import pytest

from batteryscope.config.split import SplitSettings
from batteryscope.errors import InputError
from batteryscope.splits.assign import split_samples
from batteryscope.training.data import EpochBatches
from tests.paper_rows import check_row, list_rows, load_drawing


@pytest.mark.parametrize("row", list_rows("deeg2024"), ids=lambda row: row.what)
def test_row(row):
    check_row(row)


@pytest.fixture(scope="module")
def plan():
    return load_drawing().load_plan("rate_capability")[1]


def make_manifest(electrodes: int, images: int) -> pd.DataFrame:
    rows = [
        {"sample_id": f"p{p}_e{e}_{i:02d}", "class": str(p), "specimen_id": f"p{p}_e{e}"}
        for p in (20, 25, 30, 35, 50)
        for e in range(electrodes)
        for i in range(images)
    ]
    return pd.DataFrame(rows)


def divide(manifest: pd.DataFrame, settings: SplitSettings) -> pd.DataFrame:
    column = "sample_id" if settings.group == "image" else "specimen_id"
    groups = manifest.set_index("sample_id", drop=False)[column].rename("group_id")
    return split_samples(manifest, groups, settings)


def test_as_many_images_as_in_the_paper(plan):
    drawn = plan.settings.dataset.generator
    assert len(drawn.porosities) * drawn.images_per_class == 315


@pytest.mark.parametrize("arm", ["mass", "volume", "mass_by_image", "mass_by_image_80"])
def test_5000_steps_a_tenth_of_them_warming_up(plan, arm):
    recipe = plan.arms[arm].recipe
    split = divide(make_manifest(9, 7), recipe.split)
    train = recipe.train
    for _, fit in split[split["role"] == "train"].groupby(["repeat", "fold"]):
        batches = EpochBatches(len(fit), train.batch_size, 1, items_per_epoch=train.tiles_per_epoch)
        assert len(batches) * train.epochs == 5000
        assert len(batches) * train.warmup_epochs == 500


def test_patience_of_600_steps(plan):
    train = plan.main.recipe.train
    patience = train.early_stopping_epochs * train.tiles_per_epoch // train.batch_size
    assert patience == 100 * (314 * 80 // 100 // 38)  # the paper's epochs have six whole batches


@pytest.mark.parametrize(
    ("arm", "shares"), [("mass_by_image", (60, 20, 20)), ("mass_by_image_80", (80, 10, 10))]
)
def test_both_divisions_by_image(plan, arm, shares):
    split = divide(make_manifest(9, 7), plan.arms[arm].recipe.split)
    assert len(split.groupby(["repeat", "fold"])) == 5
    counts = split["role"].value_counts(normalize=True)
    found = [100 * counts[role] for role in ("train", "validation", "test")]
    assert found == pytest.approx(shares, abs=1.5)


def test_six_models_per_volume(plan):
    volume = plan.arms["volume"].recipe
    models = {
        (arm.recipe.train.penalty, arm.recipe.train.adversarial_noise)
        for arm in plan.arms.values()
        if arm.recipe.model_copy(update={"train": volume.train}) == volume
    }
    assert models == {(penalty, noise) for penalty in ("l1", "l2") for noise in (0, 0.01, 0.03)}


def test_three_electrodes_of_a_porosity_can_be_divided(plan):
    """As many as the paper has: each porosity has one to train, one to validate, one to test."""
    manifest = make_manifest(3, 21)
    settings = plan.main.recipe.split
    with pytest.raises(InputError, match=r"needs at least 5.*make split\.folds smaller"):
        divide(manifest, settings)
    split = divide(manifest, settings.model_copy(update={"folds": 3}))
    known = split.merge(manifest, on="sample_id")
    for _, fit in known.groupby(["fold", "class"]):
        assert sorted(fit.groupby("specimen_id")["role"].first()) == ["test", "train", "validation"]
