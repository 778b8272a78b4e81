"""The models of all folds asked together; what they share is computed once."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from batteryscope.core.forward_threads import pass_batches
from batteryscope.familiarity.feature_tap import TileFeatures
from batteryscope.models.classifier import TileClassifier
from batteryscope.models.flips import average_over_flips
from batteryscope.models.stage_statistics import StageStatistics
from batteryscope.training.data import as_batch

# What the closed form fits for every fold; all else of a frozen backbone is common to the folds.
FITTED = (
    "backbone.head.", "backbone.centres", "backbone.feature_mean", "backbone.feature_sd",
    "covariates.", "output_mean", "output_sd",
)  # fmt: skip
# Every fold knows the grey levels of its training tiles; only these treatments make use of them.
GREY_STATISTICS, USING_THEM = ("input.training_",), ("dataset", "histogram_match")


def to_probabilities(logits: Tensor) -> Tensor:
    """Return (..., n_classes) probabilities, which add up to 1."""
    return logits.softmax(-1)


def group_models(models: Sequence[TileClassifier]) -> list[list[TileClassifier]]:
    """Group models, in their order, that differ only in what is done with common features.

    Models without statistics of a frozen backbone are groups of their own.
    """
    groups: list[list[TileClassifier]] = []
    for model in models:
        if groups and _share_features(groups[-1][0], model):
            groups[-1].append(model)
        else:
            groups.append([model])
    return groups


def predict_ensemble(
    groups: Sequence[Sequence[TileClassifier]],
    tiles: NDArray[np.uint8],
    batch_size: int = 64,
    covariates: NDArray[np.float32] | None = None,
    finish: Callable[[Tensor], Tensor] = to_probabilities,
    watch: TileFeatures | None = None,
) -> NDArray[np.float64]:
    """Return the class probabilities of tiles from every model.

    Parameters
    ----------
    groups
        From :func:`group_models`; models in evaluation mode, with the same ``flips_at_test``,
        over which their probabilities are averaged.
    tiles : (n, H, W) uint8 array
        Tiles.
    batch_size
        Tiles at a time.
    covariates : (n_inputs,) array or None
        Of the sample of all tiles, where the models are given any.
    finish
        What is done to the (n_models, B, n_outputs) outputs before they are averaged over mirror
        images; without it they become probabilities.
    watch
        Keeps the features of the tiles, if somebody wants them.

    Returns
    -------
    (n_models, n, n_classes) float array
        Rows add up to 1; models in the order of the groups.
    """
    first = groups[0][0]
    device, flips = first.device, first.description.flips_at_test

    beside = None if covariates is None else torch.tensor(covariates, device=device)

    def ask(batch: Tensor) -> Tensor:
        own = [] if beside is None else [beside.expand(len(batch), -1)]
        logits = [scores for group in groups for scores in _score(group, batch, *own)]
        return finish(torch.stack(logits).double())

    def forward(part: slice) -> NDArray[np.float64]:
        with torch.inference_mode(), watch.listen(part.start) if watch else nullcontext():
            batch = as_batch(tiles[part]).to(device)
            return average_over_flips(ask, batch, flips).cpu().numpy()

    return np.concatenate(list(pass_batches(forward, len(tiles), batch_size, device)), axis=1)


def judge_sample(
    group: Sequence[TileClassifier],
    tiles: NDArray[np.uint8],
    batch_size: int = 64,
    covariates: NDArray[np.float32] | None = None,
    watch: TileFeatures | None = None,
) -> NDArray[np.float64]:
    """Return the values of one sample from models that pool all its tiles.

    Parameters are those of :func:`predict_ensemble`, ``group`` being one of its groups.

    Returns
    -------
    (n_models, n_outputs) float array
    """
    first = group[0]
    device, flips = first.device, first.description.flips_at_test

    def forward(part: slice) -> NDArray[np.float64]:
        with torch.inference_mode(), watch.listen(part.start) if watch else nullcontext():
            batch = as_batch(tiles[part]).to(device)
            return average_over_flips(first.measure, batch, flips).double().cpu().numpy()

    measured = np.concatenate(list(pass_batches(forward, len(tiles), batch_size, device)))
    beside = [] if covariates is None else [torch.tensor(covariates, device=device)[None]]
    with torch.inference_mode():
        mean = torch.tensor(measured.mean(axis=0, keepdims=True), device=device)
        # What the first model standardised by its own training pictures, as it was.
        statistics = first.get_buffer("backbone.feature_mean") + mean * first.get_buffer(
            "backbone.feature_sd"
        )
        values = []
        for model in group:
            assert isinstance(model.backbone, StageStatistics)
            own = model.backbone.standardise(statistics.float())
            values.append(model.judge(own, *beside).double().cpu().numpy())
    return np.concatenate(values)


def _score(group: Sequence[TileClassifier], batch: Tensor, *beside: Tensor) -> list[Tensor]:
    first = group[0].backbone
    if len(group) == 1 or not isinstance(first, StageStatistics):
        return [model(batch, *beside) for model in group]
    x = group[0].input(batch).contiguous(memory_format=torch.channels_last)
    statistics = first.measure(x)
    scores = []
    for model in group:
        assert isinstance(model.backbone, StageStatistics)
        own = model.backbone.score(statistics)
        if model.covariates is not None and beside:
            own = own + model.covariates(model.standardise_covariates(len(batch), *beside))
        scores.append(model.complete(own))
    return scores


def _share_features(first: TileClassifier, second: TileClassifier) -> bool:
    if not isinstance(first.backbone, StageStatistics) or first.description != second.description:
        return False
    mine, other = first.state_dict(), second.state_dict()
    used = first.description.grey_levels in USING_THEM
    left_out = FITTED if used else (*FITTED, *GREY_STATISTICS)
    names = [name for name in mine if not name.startswith(left_out)]
    return all(torch.equal(mine[name], other[name]) for name in names)
