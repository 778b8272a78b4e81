"""What is unlike the training is told by distance, as often wrongly as was asked for."""

from types import SimpleNamespace

import numpy as np
import pytest
import timm
import torch

from batteryscope.bundle.familiarity import ENOUGH_GROUPS, _count_enough
from batteryscope.config.learning import ModelSettings
from batteryscope.core.pixel_kernels import summarise_channels
from batteryscope.familiarity.feature_tap import FeatureTap, TileFeatures
from batteryscope.familiarity.reference import (
    calibrate_reference,
    find_limit,
    find_usual_floor,
    learn_measure,
)
from batteryscope.familiarity.reference_file import pack_reference, unpack_reference
from batteryscope.familiarity.tile_measures import measure_grey_levels, measure_sharpness
from batteryscope.models.classifier import build_classifier
from batteryscope.models.stage_statistics import summarise_maps

pytestmark = pytest.mark.usefixtures("one_thread")
NUMBERS = 30


def draw_clusters(rng: np.random.Generator, n: int) -> np.ndarray:
    """Two kinds of samples, whose numbers go together in pairs and have very unequal spreads."""
    kinds = np.where(rng.random((n, 1)) < 0.5, -4.0, 4.0)
    hidden = rng.normal(size=(n, NUMBERS // 2)).repeat(2, axis=1)
    own = np.where(np.arange(NUMBERS) == 0, kinds, 0)
    return (own + hidden + 0.1 * rng.normal(size=(n, NUMBERS))) * np.geomspace(1, 1000, NUMBERS)


def calibrate(seed: int, share: float = 0.05, n: int = 200):
    rng = np.random.default_rng(seed)
    folds = [({"inputs": draw_clusters(rng, 4 * n)}, {"inputs": draw_clusters(rng, n)})]
    return calibrate_reference(folds, share), rng


def test_new_samples_of_the_same_kinds_raise_as_many_alarms_as_allowed() -> None:
    alarms = []
    for seed in range(4):
        calibrated, rng = calibrate(seed)
        judged = calibrated.reference.judge({"inputs": draw_clusters(rng, 500)})
        alarms.append(float((judged.scores > 1).mean()))
        assert calibrated.n_held_out == 200
        assert calibrated.share == pytest.approx(0.05, abs=0.005)
    assert 0.02 < np.mean(alarms) < 0.08


def test_samples_between_the_kinds_or_against_their_correlation_are_unlike() -> None:
    calibrated, rng = calibrate(9)
    between = draw_clusters(rng, 50)
    against = between.copy()
    against[:, [3, 9, 15]] *= -1  # each number alone is as usual
    far = between * 8
    for strange in (against, far):
        assert (calibrated.reference.judge({"inputs": strange}).scores > 1).mean() > 0.9


def test_the_nearest_training_sample_is_named() -> None:
    rng = np.random.default_rng(3)
    known = draw_clusters(rng, 60)
    measure = learn_measure(known)
    asked = known[[7, 31]] * 1.0001
    assert measure.find_distances(asked)[1].tolist() == [7, 31]


def test_a_limit_is_the_quantile_of_new_values_or_the_largest_of_few() -> None:
    values = np.arange(1, 100)
    assert find_limit(values, 0.05) == (95, pytest.approx(0.05))
    assert find_limit(np.array([3.0, 1.0]), 0.05) == (3.0, pytest.approx(1 / 3))
    with pytest.raises(ValueError, match="held out"):
        find_limit(np.array([]), 0.05)


def test_no_more_networks_are_asked_than_hold_out_enough_groups() -> None:
    folds = np.array_split(np.arange(2.5 * ENOUGH_GROUPS).astype(int).astype(str), 5)
    assert _count_enough(folds) == 2
    assert _count_enough([np.repeat(own[::2], 2) for own in folds]) == 4  # pairs count once
    assert _count_enough([own[:5] for own in folds]) == 5  # too few: all
    assert _count_enough([np.concatenate(folds)]) == 1


def test_values_of_one_group_count_once() -> None:
    values = np.concatenate([np.full(50, 9.0), np.arange(1, 4)])
    groups = ["many"] * 50 + ["a", "b", "c"]
    assert find_limit(values, 0.25) == (9.0, pytest.approx(1 / 54))
    # Weights of a fifth per group: 3 of them lie at 3 or below, the fourth is that of the 50.
    assert find_limit(values, 0.4, groups) == (3.0, pytest.approx(0.4))
    assert find_limit(values, 0.05, groups) == (9.0, pytest.approx(1 / 5))


def test_held_out_groups_are_counted() -> None:
    rng = np.random.default_rng(0)
    known, held = ({"inputs": rng.normal(size=(60, 3))} for _ in range(2))
    found = calibrate_reference([(known, held)], 0.05, groups=[np.arange(60) // 6])
    assert (found.n_held_out, found.n_groups) == (60, 10)
    assert found.share == pytest.approx(1 / 11)


def test_what_stood_still_in_training_decides_nothing_alone() -> None:
    rng = np.random.default_rng(0)

    def draw(n: int) -> np.ndarray:
        alive, rare = rng.normal(size=(n, 40)), rng.random((n, 100)) < 1 / 400
        return np.hstack([alive, 0.01 * rare, np.zeros((n, 5))])

    known, held, new = draw(400), draw(200), draw(500)
    calibrated = calibrate_reference(
        [({"f": known}, {"f": held})], 0.05, one_unit={"f": 0.0}
    ).reference
    assert calibrated.measures["f"].limit < 30
    new[:, -1] = 1e-5  # a filter that was dead answers a little
    assert (calibrated.judge({"f": new}).scores > 1).mean() < 0.15
    assert calibrated.judge({"f": 6 * draw(20)}).scores.min() > 1
    assert find_usual_floor(known * [[1.0] * 40 + [0.0] * 105]) == pytest.approx(0.05, rel=0.1)
    assert find_usual_floor(np.ones((9, 3))) == 0


def test_one_percentile_that_was_always_zero_gives_no_score_of_thousands() -> None:
    rng = np.random.default_rng(0)

    def draw(n: int) -> np.ndarray:
        return np.hstack([rng.normal(0.5, 0.05, (n, 8)), np.zeros((n, 1))])

    folds = [({"grey levels": draw(100)}, {"grey levels": draw(100)})]
    reference = calibrate_reference(folds, 0.05, one_unit={"grey levels": 0.5 / 255}).reference
    asked = np.array([[0.5] * 8 + [level / 255] for level in (0, 1, 100)])
    none, little, much = reference.judge({"grey levels": asked}).scores
    assert none < little < 1 < much < 30


def test_between_two_kinds_is_unlike_both_in_two_numbers() -> None:
    rng = np.random.default_rng(0)

    def draw(n: int) -> np.ndarray:
        kinds = rng.choice([-1.0, 1.0], n)
        return np.stack([rng.normal(size=n), kinds + 0.02 * rng.normal(size=n)], axis=1)

    measure = learn_measure(draw(300))
    assert measure.directions.shape == (2, 2)
    assert measure.rest == 1
    reference = calibrate_reference([({"x": draw(300)}, {"x": draw(100)})], 0.05).reference
    between, usual = reference.judge({"x": np.array([[0.0, 0.0], [0.0, 1.0]])}).scores
    assert between > 1 > usual


def test_one_strange_measure_is_enough() -> None:
    rng = np.random.default_rng(0)
    known = {name: rng.normal(size=(100, 5)) for name in ("features", "grey_levels")}
    held = {name: rng.normal(size=(100, 5)) for name in known}
    reference = calibrate_reference([(known, held)], 0.05).reference
    usual = {name: np.zeros((1, 5)) for name in known}
    assert reference.judge(usual).scores[0] < 1
    judged = reference.judge(usual | {"grey_levels": np.full((1, 5), 9.0)})
    assert judged.scores[0] == judged.shares["grey_levels"][0] > 1 > judged.shares["features"][0]


def test_a_reference_is_the_same_after_it_was_kept() -> None:
    calibrated, rng = calibrate(1)
    asked = {"inputs": draw_clusters(rng, 20)}
    again = unpack_reference(pack_reference(calibrated.reference))
    np.testing.assert_allclose(
        again.judge(asked).scores, calibrated.reference.judge(asked).scores, rtol=1e-4
    )


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("0/inputs/scale", None, "missing"),
        ("0/inputs/scale", np.zeros(NUMBERS), "above 0"),
        ("0/inputs/centre", np.full(NUMBERS, np.nan), "finite"),
        ("0/inputs/points", np.ones((3, 1)), "does not fit"),
        ("0/inputs/limit", np.ones(2), "single number"),
        ("limit", None, "missing"),
        ("0/inputs/points", np.ones((3_000_000, 1)), "more numbers"),
    ],
)
def test_a_damaged_reference_is_refused(key: str, value: object, words: str) -> None:
    arrays = dict(pack_reference(calibrate(1, n=20)[0].reference))
    del arrays[key]
    with pytest.raises(ValueError, match=words):
        unpack_reference(arrays if value is None else arrays | {key: value})


def test_grey_levels_and_sharpness_of_drawn_tiles() -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (96, 96), dtype=np.uint8)
    steps = np.tile(np.repeat([0, 200], 48), (96, 1)).astype(np.uint8)
    tiles = np.stack([np.full((96, 96), 51, np.uint8), noise, steps])
    grey = measure_grey_levels(tiles)
    assert grey[0] == pytest.approx([0.2, 0.0, *[0.2] * 7])
    assert grey[2, :2] == pytest.approx([100 / 255, 100 / 255])
    sharp = measure_sharpness(tiles)
    assert sharp[1] == pytest.approx(np.zeros(8), abs=0.05)  # noise differs at any distance alike
    # One edge in 95 neighbours: 200² / 95 over twice the variance 100²; none across the rows.
    assert sharp[2, 0] == pytest.approx(np.log(2 / 95), abs=1e-4)
    assert sharp[2, 4] < -10


@pytest.mark.parametrize(
    ("backbone", "more"),
    [
        ("test_resnet", {}),
        ("rate_cnn", {}),
        ("test_resnet", {"freeze": "backbone", "pooling": "stage_statistics"}),
        ("test_resnet", {"pooling": "stage_statistics", "kernel_centres": 7}),
        ("test_vit", {"backbone_options": {"img_size": 32}}),
    ],
)
def test_features_come_from_the_pass_that_answers(backbone: str, more: dict) -> None:
    settings = ModelSettings(backbone=backbone, weights="random", **more)
    model = build_classifier(settings, ["a", "b"], 32, seed=1).eval()
    tap = FeatureTap(model, torch.zeros(1, 1, 32, 32, dtype=torch.uint8))
    tiles = np.random.default_rng(0).integers(0, 256, (6, 32, 32), dtype=np.uint8)
    together, watch = tap.measure(tiles), TileFeatures(tap)
    batch = torch.from_numpy(tiles).unsqueeze(1)
    with torch.inference_mode():
        model(batch)  # nobody listens
        with watch.listen(4):
            model(batch[4:])
            model(batch[4:].flip(3))  # a mirror image counts no second time
        with watch.listen(0):
            model(batch[:4])
    assert len(together) > 2  # stages
    for apart, stage in zip(watch.join(), together, strict=True):
        np.testing.assert_allclose(apart, stage, rtol=1e-3, atol=1e-4)
        assert stage.shape[1] > 10
        assert stage.std(axis=0).max() > 0


def test_feature_maps_become_mean_and_spread() -> None:
    maps = torch.tensor([[[[0.0, 2.0], [0.0, 2.0]], [[5.0, 5.0], [5.0, 5.0]]]])
    assert summarise_maps(maps)[0].tolist() == pytest.approx([1, 5, 1, 1e-3], abs=1e-5)
    last = maps.permute(0, 2, 3, 1)
    assert summarise_maps(last, True)[0].tolist() == pytest.approx([1, 5, 1, 1e-3], abs=1e-5)
    tokens = maps.flatten(2).transpose(1, 2)
    assert summarise_maps(tokens)[0].tolist() == pytest.approx([1, 5, 1, 1e-3], abs=1e-5)


@pytest.mark.parametrize("offset", [0.0, 1000.0])
def test_compiled_feature_maps_are_those_of_double_precision(offset: float) -> None:
    maps = torch.randn(3, 5, 17, 31, generator=torch.Generator().manual_seed(0)).relu() + offset
    maps[0, 0] = 7.0  # flat
    pixels = maps.permute(0, 2, 3, 1).flatten(1, 2).contiguous().numpy()
    found = summarise_channels(pixels, 1e-6)
    wide = pixels.astype(np.float64)
    expected = np.hstack([wide.mean(1), np.sqrt(wide.var(1) + 1e-6)])
    np.testing.assert_allclose(found, expected, rtol=2e-5)
    assert found[0, 5] == pytest.approx(1e-3)


def test_networks_that_keep_channels_last_are_measured_per_channel() -> None:
    network = timm.create_model(
        "swin_tiny_patch4_window7_224", img_size=32, in_chans=1, embed_dim=8, depths=(1, 1),
        num_heads=(1, 2), window_size=4, num_classes=2,
    ).eval()  # fmt: skip
    model = SimpleNamespace(backbone=network, parameters=network.parameters, device="cpu")
    tap = FeatureTap(model, torch.zeros(1, 1, 32, 32))
    with torch.inference_mode(), tap.listen() as heard:
        network(torch.rand(3, 1, 32, 32))
    assert [tuple(stage.shape) for stage in heard] == [(3, 16), (3, 32)]  # twice the channels
