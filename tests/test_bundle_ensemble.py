"""Folds that share a frozen backbone are asked together, with the answers of each alone."""

import copy

import numpy as np
import torch

from batteryscope.bundle.ensemble import group_models, predict_ensemble
from batteryscope.config.learning import ModelSettings
from batteryscope.evaluation.forward import predict_probabilities
from batteryscope.models.classifier import build_classifier

FROZEN = {"freeze": "backbone", "pooling": "stage_statistics"}
TILES = np.random.default_rng(0).integers(0, 256, (5, 64, 64), dtype=np.uint8)


def build(**settings):
    chosen = ModelSettings(backbone="test_resnet", weights="random", **settings)
    return build_classifier(chosen, ["a", "b", "c"], 64, seed=1).eval()


def change_head(model, seed):
    changed = copy.deepcopy(model)
    torch.manual_seed(seed)
    torch.nn.init.normal_(changed.backbone.head.weight)
    changed.backbone.feature_mean.fill_(seed)
    return changed


def test_folds_with_one_backbone_share_its_features(monkeypatch):
    folds = [change_head(build(**FROZEN), seed) for seed in range(3)]
    for seed, fold in enumerate(folds):  # learnt by each fold, but of no use for grey levels as is
        fold.input.training_mean.fill_(0.1 * seed)
    groups = group_models(folds)
    assert [len(group) for group in groups] == [3]
    alone = np.stack([predict_probabilities(model, TILES) for model in folds])
    calls = []
    measure = type(folds[0].backbone).measure
    monkeypatch.setattr(
        type(folds[0].backbone), "measure", lambda self, x: calls.append(x) or measure(self, x)
    )
    together = predict_ensemble(groups, TILES, batch_size=2)
    assert len(calls) == 3  # one per batch, not one per batch and fold
    np.testing.assert_allclose(together, alone, atol=1e-6)
    assert np.abs(alone[0] - alone[1]).max() > 0.01


def test_models_that_differ_in_more_are_asked_one_by_one():
    one, other = build(**FROZEN), build(**FROZEN)
    with torch.no_grad():
        next(other.backbone.network.parameters()).add_(0.1)
    brighter, darker = (build(**FROZEN, grey_levels="dataset") for _ in range(2))
    darker.input.training_mean.fill_(0.1)
    models = [one, other, build(), build(), brighter, darker]
    groups = group_models(models)
    assert [len(group) for group in groups] == [1, 1, 1, 1, 1, 1]
    alone = np.stack([predict_probabilities(model, TILES) for model in models])
    np.testing.assert_allclose(predict_ensemble(groups, TILES), alone, atol=1e-6)
