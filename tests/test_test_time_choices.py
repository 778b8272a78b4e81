"""Choices of judging: mirror images and scales act alike in the test and in the published model."""

import json
import shutil

import numpy as np
import pytest
import torch
from torch import nn

from batteryscope.bundle.ensemble import group_models, predict_ensemble
from batteryscope.bundle.read import load_bundle
from batteryscope.config.learning import ModelSettings
from batteryscope.config.preprocess import SemTilesSettings
from batteryscope.errors import InputError
from batteryscope.evaluation.forward import predict_probabilities
from batteryscope.evaluation.number_predictions import predict_values
from batteryscope.models.classifier import ModelDescription, build_classifier, rebuild_classifier
from batteryscope.models.flips import average_over_flips
from batteryscope.preprocess.sem_tiles import cut_sem_tiles
from batteryscope.preprocess.tile_batch import UnusablePictureError
from batteryscope.preprocess.tiling import place_grid_tiles, resize_tile
from tests.bundled_study import bundle_study, make_study
from tests.test_preprocess_data_bar import draw_image

CORNERS = np.array([[[1, 2], [3, 4]]], np.uint8)


class FirstPixel(nn.Module):
    """Two outputs, x and 0 where x is the upper left grey level: all depends on the flip."""

    device = torch.device("cpu")

    def __init__(self, flips):
        super().__init__()
        self.backbone = self.link = nn.Identity()
        self.covariates = None
        self.description = ModelDescription(
            "none", {}, ["a", "b"], 2, "raw", 1, 0.0, 1.0, 0.0, flips_at_test=flips
        )

    def forward(self, tiles):
        first = tiles[:, 0, 0, 0].float()
        return torch.stack([first, torch.zeros_like(first)], dim=1)


@pytest.mark.parametrize(
    ("flips", "seen"), [("none", [1]), ("columns", [1, 2]), ("both", [1, 2, 3, 4])]
)
def test_the_mean_of_probabilities_counts_in_test_and_bundle(flips, seen):
    model = FirstPixel(flips)
    expected = np.mean(1 / (1 + np.exp(-np.array(seen, float))))
    assert predict_probabilities(model, CORNERS)[0, 0] == pytest.approx(expected)
    assert predict_ensemble([[model], [model]], CORNERS)[1, 0, 0] == pytest.approx(expected)
    assert predict_values(model, CORNERS)[0].tolist() == [np.mean(seen), 0.0]
    batch = torch.from_numpy(CORNERS)[None].float()
    assert average_over_flips(lambda x: x[..., 0, 0], batch, flips).item() == np.mean(seen)


def test_folds_with_common_features_are_flipped_alike():
    settings = ModelSettings(
        backbone="test_resnet",
        weights="random",
        freeze="backbone",
        pooling="stage_statistics",
        flips_at_test="both",
    )
    models = [build_classifier(settings, ["a", "b"], 64, seed=1).eval() for _ in range(2)]
    nn.init.normal_(models[1].backbone.head.weight)
    tiles = np.random.default_rng(0).integers(0, 256, (3, 64, 64), dtype=np.uint8)
    groups = group_models(models)
    assert len(groups) == 1
    alone = np.stack([predict_probabilities(model, tiles) for model in models])
    np.testing.assert_allclose(predict_ensemble(groups, tiles), alone, atol=1e-6)
    mirrored = predict_ensemble(groups, tiles[:, ::-1, ::-1])
    np.testing.assert_allclose(mirrored, alone, atol=1e-6)


def test_the_description_keeps_the_choice_and_old_ones_have_none():
    chosen = ModelSettings(backbone="test_resnet", weights="random", flips_at_test="columns")
    model = build_classifier(chosen, ["a", "b"], 32, seed=1)
    again = rebuild_classifier(model.description.as_dict(), model.state_dict())
    assert again.description.flips_at_test == "columns"
    plain = build_classifier(
        chosen.model_copy(update={"flips_at_test": "none"}), ["a", "b"], 32, seed=1
    )
    old = plain.description.as_dict()
    assert "flips_at_test" not in old
    assert rebuild_classifier(old, plain.state_dict()).description.flips_at_test == "none"


def test_a_bundle_carries_both_choices_and_old_bundles_answer_as_before(tmp_path):
    study = make_study(tmp_path)
    plain = bundle_study(study)
    both = shutil.copytree(plain, tmp_path / "both")
    for path in both.glob("fold_*.json"):
        described = json.loads(path.read_text())
        assert "flips_at_test" not in described  # so this is a bundle of the first format
        path.write_text(json.dumps(described | {"flips_at_test": "both"}))
    record = json.loads((both / "bundle.json").read_text())
    assert record["preprocess"].pop("grid_crops_px") is None
    (plain / "bundle.json").write_text(json.dumps(record))  # an old one knows no such key
    record["preprocess"]["grid_crops_px"] = [48, 64]
    (both / "bundle.json").write_text(json.dumps(record))

    expected = json.loads((plain / "example_output.json").read_text())
    name = "example_input.png"
    assert next(load_bundle(plain, checked=False).predict_files([name], plain)) == expected
    assert expected["tiles_used"] == 4
    bundle = load_bundle(both, checked=False)
    assert next(bundle.predict_files([name], both))["tiles_used"] == 8
    tiles = np.random.default_rng(0).integers(0, 256, (5, 64, 64), dtype=np.uint8)
    found, mirrored = bundle.ask_models(tiles), bundle.ask_models(tiles[:, :, ::-1])
    np.testing.assert_allclose(found, mirrored, atol=1e-6)
    alone = load_bundle(plain, checked=False).ask_models
    copies = [tiles, tiles[:, ::-1], tiles[:, :, ::-1], tiles[:, ::-1, ::-1]]
    np.testing.assert_allclose(found, np.mean([alone(c) for c in copies], axis=0), atol=1e-6)
    assert np.abs(alone(tiles) - alone(tiles[:, :, ::-1])).max() > 1e-4

    path = next(both.glob("fold_*.json"))
    path.write_text(json.dumps(json.loads(path.read_text()) | {"flips_at_test": "sideways"}))
    with pytest.raises(InputError, match="flips_at_test is 'sideways', not one of none, columns"):
        load_bundle(both, checked=False)


def test_grid_tiles_of_several_edges_are_resized_alike():
    settings = SemTilesSettings(
        crop_px=60, input_px=32, grid_tiles=6, grid_crops_px=[60, 90, 40], min_local_sd=0
    )
    frame = draw_image(200, 300)
    batch = cut_sem_tiles(frame, {"data_bar_px": None}, settings, 3, np.random.default_rng(0))
    table = batch.table
    assert table["crop_px"].tolist() == [60] * 3 + [60] * 6 + [90] * 6 + [40] * 6
    assert set(table.loc[3:, "kind"]) == {"grid"}
    for edge in (60, 90, 40):
        part = table[(table["kind"] == "grid") & (table["crop_px"] == edge)]
        assert part[["y_px", "x_px"]].to_numpy().tolist() == (
            place_grid_tiles(200, 300, edge, 6).tolist()
        )
    for number, row in table.iterrows():
        y, x, edge = row["y_px"], row["x_px"], row["crop_px"]
        assert np.array_equal(
            batch.tiles[number], resize_tile(frame[y : y + edge, x : x + edge], 32)
        )
    with pytest.raises(UnusablePictureError, match=r"80 px, smaller than preprocess.grid_crops_px"):
        cut_sem_tiles(frame[:80], {}, settings)
    # As without the choice: the same tiles in the same order.
    usual = settings.model_copy(update={"grid_crops_px": None})
    again = cut_sem_tiles(frame, {}, usual, 3, np.random.default_rng(0))
    assert np.array_equal(again.tiles, batch.tiles[:9])


@pytest.mark.parametrize(
    ("edges", "sentence"),
    [
        ([300], "has no effect, since grid tiles have the edge crop_px 300 anyway"),
        ([200, 300, 200], "names 200 twice"),
        ([], "at least 1 item"),
        ([0], "greater than 0"),
    ],
)
def test_scales_without_effect_or_sense_are_refused(edges, sentence):
    with pytest.raises(ValueError, match=sentence):
        SemTilesSettings(crop_px=300, grid_crops_px=edges)
    assert SemTilesSettings(crop_px=300, grid_crops_px=[200]).judging_crops_px == [200]
