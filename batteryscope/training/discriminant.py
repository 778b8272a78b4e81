"""The head of a frozen network in closed form: discriminant analysis or ridge regression.

It takes one pass over the tiles: the features are computed once for all folds and repeats.
"""

import hashlib
import logging
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from batteryscope.config.learning import TrainSettings
from batteryscope.core.progress import show_progress
from batteryscope.errors import InputError
from batteryscope.models.classifier import TileClassifier, TileRegressor, build_classifier
from batteryscope.models.covariate_input import CovariateInput
from batteryscope.models.stage_statistics import StageStatistics, average_samples
from batteryscope.plan import StageSettings
from batteryscope.provenance import digest_json
from batteryscope.seeds import derive_seed
from batteryscope.training.data import TileSet, as_batch, count_channels, count_grey_levels
from batteryscope.training.fit import FitTask, learn_covariates, prepare_state, write_fit
from batteryscope.training.regression import measure_loss, measure_mape

log = logging.getLogger("batteryscope")

BATCH = 32


class FeatureStore:
    """Features of tiles, each computed once per frozen network and input treatment."""

    def __init__(self, tiles: NDArray[np.uint8]) -> None:
        self._tiles = tiles
        self._known: dict[str, dict[int, NDArray[np.float32]]] = {}

    def look_up(
        self, model: TileClassifier, rows: NDArray[np.int64], label: str
    ) -> NDArray[np.float32]:
        """Return the (n_rows, n_features) statistics of tiles; those not yet known are computed."""
        backbone = _get_statistics(model)
        known = self._known.setdefault(_identify_features(model), {})
        missing = [int(row) for row in np.unique(rows) if int(row) not in known]
        starts = range(0, len(missing), BATCH)
        device = next(model.parameters()).device
        model.eval()
        with torch.inference_mode():
            for start in show_progress(starts, f"{label}: features", len(starts), "batch"):
                block = missing[start : start + BATCH]
                batch = as_batch(self._tiles[block])
                x = model.input(batch.to(device)).contiguous(memory_format=torch.channels_last)
                for row, values in zip(block, backbone.measure(x).cpu().numpy(), strict=True):
                    known[row] = values
        return np.stack([known[int(row)] for row in rows])


def fit_in_closed_form(
    task: FitTask,
    settings: StageSettings,
    classes: list[str],
    tiles: NDArray[Any],
    features: FeatureStore,
    state_dir: Path,
    label: str,
) -> None:
    """Solve the head of one fit and write the same files as a training by gradient descent.

    Parameters
    ----------
    task
        Tiles and identity.
    settings
        The stage's settings; augmentation, batches and epochs do not apply.
    classes
        Class names in the order of the class numbers, or names of the targets.
    tiles : (n, H, W) uint8 array
        The tile store.
    features
        Shared by all fits of a stage.
    state_dir
        Folder of this fit, see :func:`batteryscope.training.fit.fit_model`.
    label
        How messages name this fit.

    Notes
    -----
    Fisher's linear discriminant with equal class priors on standardised features, the
    common covariance shrunk towards the identity by ``train.shrinkage`` (Friedman 1989).
    Numbers are solved by ridge regression (Hoerl and Kennard 1970) on the same features, or on
    their likeness to those of training tiles (``model.kernel_centres``), the penalty being
    ``train.shrinkage`` per training tile. With ``model.pool_samples`` every sample is one row: the
    mean of the features of its tiles.
    Tiles that balancing copied count as often as they are copied.
    """
    prepare_state(state_dir, task.identity)
    started = time.perf_counter()
    # One seed for the network of all fits, so that random weights, too, give the same features.
    shared = derive_seed(settings.train.seed, settings.stage, "weights")
    model = build_classifier(
        settings.model,
        classes,
        tiles.shape[-1],
        shared,
        count_channels(tiles),
        log_outputs=settings.log_targets,
        covariates=settings.covariates,
    )
    if task.parent is not None:  # the features of a network that an earlier stage trained
        model.load_state_dict(load_file(task.parent / "weights.safetensors"))
    model.input.learn_statistics(count_grey_levels(tiles, task.training.rows))
    learn_covariates(model, task.training, label)
    by_ridge = settings.train.method == "ridge"
    model.learn_scale(task.training.targets)
    backbone = _get_statistics(model)
    if torch.cuda.is_available() and settings.train.accelerator != "cpu":
        model = model.cuda()

    def look_up(tile_set: TileSet) -> tuple[NDArray[np.float32], TileSet]:
        found = features.look_up(model, tile_set.rows, label)
        return _pool(found, tile_set) if settings.model.pool_samples else (found, tile_set)

    train, training = look_up(task.training)
    shrinkage, targets = settings.train.shrinkage, training.targets
    beside = _standardise(model, training)
    if by_ridge:
        scaled = scale_targets(cast(TileRegressor, model), targets)
        seed = derive_seed(settings.train.seed, settings.stage, "centres")
        solve_regression(backbone, train, scaled, shrinkage, *beside, seed=seed)
    else:
        solve_head(backbone, train, targets, shrinkage, *beside)
    train_loss, _ = _judge(model, train, training, settings.train)
    val_loss, val_score = _judge(model, *look_up(task.validation), settings.train)
    seconds = time.perf_counter() - started
    score = "val_mape" if by_ridge else "val_accuracy"
    columns = ["epoch", "train_loss", "val_loss", score, "learning_rate", "seconds"]
    row = (0, train_loss, val_loss, val_score, 0.0, seconds)
    history = pd.DataFrame([row], columns=columns)
    if not np.isfinite(val_score):  # a quantity may be 0: there is no percentage error
        history = history.drop(columns=score)
    log.info(
        "%s: solved, training loss %.3f, validation loss %.3f, %s %.3f, %.0f s",
        label,
        train_loss,
        val_loss,
        score,
        val_score,
        seconds,
    )
    state = {key: value.cpu().contiguous() for key, value in model.state_dict().items()}
    write_fit(task, state_dir, model, state, history, 0, len(task.training), seconds)


def solve_head(
    backbone: StageStatistics,
    features: NDArray[np.float32],
    targets: NDArray[np.int64],
    shrinkage: float,
    beside: CovariateInput | None = None,
    z: NDArray[np.float32] | None = None,
) -> None:
    """Set standardisation and head of a network to the discriminant of training features.

    Parameters
    ----------
    backbone
        Changed in place.
    features : (n, n_features) array
        Statistics of the training tiles.
    targets : (n,) int array
        Class numbers; every class that the head has must occur.
    shrinkage
        From 0 (the covariance as measured) to 1 (a multiple of the identity).
    beside, z : (n, n_inputs) array
        The covariates of the network, changed in place, and their standardised values of these
        tiles; they are further features.

    Raises
    ------
    InputError
        If a class has no training tile.
    """
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    n_classes = backbone.head.out_features
    if missing := sorted(set(range(n_classes)) - set(targets.tolist())):
        raise InputError(
            f"train.method 'discriminant': class number {missing[0]} has no training tile; "
            "give every class some, or train by 'gradient'."
        )
    mean, sd = _measure_spread(features)
    priors = np.full(n_classes, 1 / n_classes)
    solver = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage, priors=priors)
    standardised = (features - mean) / sd
    solver.fit(standardised if z is None else np.hstack([standardised, z]), targets)
    weights, offsets = np.asarray(solver.coef_), np.asarray(solver.intercept_)
    if n_classes == 2:  # one row that tells the second class from the first
        weights = np.concatenate([np.zeros_like(weights), weights])
        offsets = np.concatenate([np.zeros_like(offsets), offsets])
    _set_head(backbone, weights, offsets, mean, sd, beside)


def solve_regression(
    backbone: StageStatistics,
    features: NDArray[np.float32],
    targets: NDArray[np.float64],
    shrinkage: float,
    beside: CovariateInput | None = None,
    z: NDArray[np.float32] | None = None,
    seed: int = 0,
) -> None:
    """Set standardisation and head of a network to the ridge regression of training features.

    Where the network likens pictures to centres, it is kernel ridge regression; of more training
    tiles than centres ``seed`` draws some.

    Parameters are those of :func:`solve_head`, but ``targets``, (n, n_outputs), are numbers as the
    last layer gives them, and ``shrinkage`` is the penalty per tile.
    """
    from sklearn.kernel_approximation import Nystroem
    from sklearn.linear_model import Ridge

    mean, sd = _measure_spread(features)
    if backbone.has_centres:
        sd = backbone.share_spread(features.std(axis=0, dtype=np.float64))
    taken = (features - mean) / sd
    kernel = None
    if backbone.has_centres:
        centres = backbone.get_buffer("centres")
        n_centres = min(len(centres), len(taken))
        kernel = Nystroem(gamma=backbone.gamma, n_components=n_centres, random_state=seed % 2**32)
        taken = kernel.fit_transform(backbone.weigh(_as_tensor(taken).to(centres)).cpu().numpy())
        # Fewer tiles than centres: the others get no weight.
        centres.zero_()[:n_centres] = _as_tensor(kernel.components_)
    solver = Ridge(shrinkage * len(features))
    solver.fit(taken if z is None else np.hstack([taken, z]), targets)
    # scikit-learn leaves the axis of outputs out if there is one.
    weights, offsets = np.atleast_2d(solver.coef_), np.atleast_1d(solver.intercept_)
    if kernel is not None:
        n_taken = taken.shape[1]
        own = np.zeros((len(weights), backbone.head.in_features))
        own[:, :n_taken] = weights[:, :n_taken] @ kernel.normalization_
        weights = np.hstack([own, weights[:, n_taken:]])
    _set_head(backbone, weights, offsets, mean, sd, beside)


def _pool(features: NDArray[np.float32], tile_set: TileSet) -> tuple[NDArray[np.float32], TileSet]:
    """Return the mean features of every sample, and its first tile in the place of all."""
    _, first, place = np.unique(tile_set.sample_ids, return_index=True, return_inverse=True)
    return average_samples(features, place), tile_set.take(first)


def scale_targets(model: TileRegressor, targets: NDArray[Any]) -> NDArray[np.float64]:
    """Return (n, n_outputs) targets as the last layer of a network gives them."""
    values = model.transform(torch.from_numpy(np.asarray(targets, np.float64)).to(model.device))
    scaled = (values - model.get_buffer("output_mean")) / model.get_buffer("output_sd")
    return np.asarray(scaled.cpu().numpy(), np.float64)


def _measure_spread(
    features: NDArray[np.float32],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    mean = features.mean(axis=0, dtype=np.float64)
    sd = features.std(axis=0, dtype=np.float64)
    sd[sd < 1e-6] = 1.0  # a feature that never varies says nothing
    return mean, sd


def _set_head(
    backbone: StageStatistics,
    weights: NDArray[np.float64],
    offsets: NDArray[np.float64],
    mean: NDArray[np.float64],
    sd: NDArray[np.float64],
    beside: CovariateInput | None,
) -> None:
    n_features = backbone.head.in_features
    with torch.no_grad():
        if beside is not None:
            # The hidden layer is left out of networks whose head is solved: one linear layer.
            own = next(m for m in beside.effect.modules() if isinstance(m, nn.Linear))
            own.weight.copy_(_as_tensor(weights[:, n_features:]))
        backbone.head.weight.copy_(_as_tensor(weights[:, :n_features]))
        backbone.head.bias.copy_(_as_tensor(offsets))
        backbone.get_buffer("feature_mean").copy_(_as_tensor(mean))
        backbone.get_buffer("feature_sd").copy_(_as_tensor(sd))


def _standardise(
    model: TileClassifier, tile_set: TileSet
) -> tuple[CovariateInput | None, NDArray[np.float32] | None]:
    """The network's covariates, and their standardised values of tiles; nothing without any."""
    if model.covariates is None or tile_set.covariates is None:
        return None, None
    values = torch.from_numpy(tile_set.covariates).to(model.device)
    return model.covariates, model.covariates.standardise(values).cpu().numpy()


def _judge(
    model: TileClassifier, features: NDArray[np.float32], tile_set: TileSet, train: TrainSettings
) -> tuple[float, float]:
    """Mean cross-entropy and share of right tiles; of numbers their loss and percentage error."""
    beside, z = _standardise(model, tile_set)
    with torch.inference_mode():
        scores = _get_statistics(model).score(torch.from_numpy(features).to(model.device))
        if beside is not None and z is not None:
            scores = scores + beside(torch.from_numpy(z).to(model.device))
        if train.method == "ridge":
            regressor = cast(TileRegressor, model)
            truth = torch.as_tensor(tile_set.targets, device=model.device)
            values = regressor.complete(scores)
            losses = measure_loss(regressor, values, truth, train.loss)
            return float(losses.mean()), float(measure_mape(values, truth).mean())
        logits = scores.cpu().double()
    targets = torch.tensor(tile_set.targets)
    loss = functional.cross_entropy(logits, targets)
    return float(loss), float((logits.argmax(1) == targets).double().mean())


def _get_statistics(model: TileClassifier) -> StageStatistics:
    assert isinstance(model.backbone, StageStatistics)  # the settings see to it
    return model.backbone


def _identify_features(model: TileClassifier) -> str:
    """Return a hash of the frozen network and of what the input treatment does to a tile.

    The treatment is asked, not its stored statistics: those of the training tiles differ
    between folds even where the treatment does not use them.
    """
    ramp = torch.arange(256, dtype=torch.uint8).repeat(64, 1).reshape(1, 1, 128, 128)
    with torch.inference_mode():
        treated = model.input(ramp.to(next(model.parameters()).device))
    network = _get_statistics(model).network.state_dict()
    digests = {key: _digest_tensor(value) for key, value in network.items()}
    described = replace(model.description, flips_at_test="none").as_dict()
    return digest_json([described, digests, _digest_tensor(treated)])


def _digest_tensor(value: Tensor) -> str:
    return hashlib.sha256(value.detach().cpu().contiguous().numpy().tobytes()).hexdigest()


def _as_tensor(values: NDArray[np.floating]) -> Tensor:
    return torch.from_numpy(np.asarray(values, dtype=np.float32))
