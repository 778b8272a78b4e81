"""The optimisation of a whole stack of networks at once."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from batteryscope.config.table_study import TableTrainSettings
from batteryscope.tables.networks import NetworkStack, Numbers

Examples = tuple[Numbers, Numbers]


@dataclass(frozen=True)
class StackHistory:
    """What happened to each network of a stack.

    Attributes
    ----------
    train_mape, validation_mape : (n, epochs) float array
        Mean absolute percentage error at the end of each epoch, in percent.
    best_epoch : (n,) int array
        Epoch, counted from 1, whose weights were kept; 0 if the error never was a number.
    best_mape : (n,) float array
        Validation error of that epoch; infinite if there is none.
    """

    train_mape: Numbers
    validation_mape: Numbers
    best_epoch: NDArray[np.int64]
    best_mape: Numbers


def count_steps(rows: int, batch_size: int) -> int:
    """Count the batches of an epoch; the last may be smaller."""
    return -(-rows // batch_size)


def fit_stack(
    stack: NetworkStack,
    train: Sequence[Examples],
    validation: Sequence[Examples],
    settings: TableTrainSettings,
    rngs: Sequence[np.random.Generator],
) -> StackHistory:
    """Train every network of a stack on its own rows, and leave its best weights in the stack.

    The networks do not influence each other: the loss is the sum of their losses, and Adam
    works element by element. Rows that fill up shorter tables have weight 0.

    Parameters
    ----------
    stack
        Networks with their scaling and first weights.
    train, validation
        Per network, raw features (rows, n_features) and targets (rows,), none of them 0.
    settings
        Epochs, batch size, learning rate.
    rngs
        Per network, what shuffles its rows.

    Raises
    ------
    ValueError
        If the networks differ in the number of steps of an epoch.
    """
    counts = np.array([len(targets) for _, targets in train])
    if len(steps := {count_steps(int(count), settings.batch_size) for count in counts}) > 1:
        raise ValueError(f"Networks with {sorted(steps)} steps per epoch cannot share a stack.")
    features, targets, errors_per_unit, shares = _pad_rows(stack, train)
    held_out = _pad_rows(stack, validation)
    seen = [torch.cat(pair, dim=1) for pair in zip((features, targets), held_out[:2], strict=True)]
    train_weights, validation_weights = errors_per_unit * shares, held_out[2] * held_out[3]
    batch_shares = _share_batches(counts, settings.batch_size)
    networks = torch.arange(stack.n)[:, None]

    parameters = list(stack.parameters())
    optimiser = torch.optim.Adam(parameters, lr=settings.learning_rate, fused=True)
    best = [parameter.detach().clone() for parameter in parameters]
    best_mape = torch.full((stack.n,), torch.inf, dtype=features.dtype)
    best_epoch = torch.zeros(stack.n, dtype=torch.int64)
    history = np.empty((2, stack.n, settings.epochs))
    for epoch in range(settings.epochs):
        order = _shuffle_rows(rngs, counts, batch_shares.shape)
        inputs, wanted = features[networks, order], targets[networks, order]
        weights = errors_per_unit[networks, order] * batch_shares
        for x, y, weight in zip(inputs, weights * wanted, weights, strict=True):
            optimiser.zero_grad()
            # The mean absolute percentage error of each network's batch, summed over networks.
            functional.l1_loss(stack.compute_scaled(x) * weight, y, reduction="sum").backward()
            optimiser.step()
        train_mape, mape = _measure_mape(stack, seen, (train_weights, validation_weights))
        history[:, :, epoch] = train_mape.numpy(), mape.numpy()
        better = mape < best_mape
        best_mape = torch.where(better, mape, best_mape)
        best_epoch[better] = epoch + 1
        for kept, parameter in zip(best, parameters, strict=True):
            kept[better] = parameter.detach()[better]
    with torch.no_grad():
        for kept, parameter in zip(best, parameters, strict=True):
            parameter.copy_(kept)
    return StackHistory(history[0], history[1], best_epoch.numpy(), best_mape.numpy())


def _pad_rows(
    stack: NetworkStack, examples: Sequence[Examples]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Put the rows of all networks into rectangular tensors.

    Returns
    -------
    features : (n, rows, n_features) Tensor
        Scaled.
    targets : (n, rows) Tensor
        Scaled.
    errors_per_unit : (n, rows) Tensor
        Percentage error per unit of a scaled target.
    shares : (n, rows) Tensor
        One over the number of the network's rows; 0 where there is no row.
    """
    longest = max(len(targets) for _, targets in examples)
    features = np.zeros((stack.n, longest, stack.n_features))
    targets = np.ones((stack.n, longest))
    shares = np.zeros((stack.n, longest))
    for i, (own_features, own_targets) in enumerate(examples):
        count = len(own_targets)
        features[i, :count] = own_features
        targets[i, :count] = own_targets
        shares[i, :count] = 1 / count
    y = torch.from_numpy(targets)
    scaled = (y - stack.output_mean) / stack.output_sd
    errors_per_unit = 100 * stack.output_sd / y.abs()
    x = stack.scale_features(torch.from_numpy(features))
    return x, scaled, errors_per_unit, torch.from_numpy(shares)


def _share_batches(counts: NDArray[np.int64], batch_size: int) -> Tensor:
    """Return one over the rows of the batch for every place of an epoch, 0 for places left empty.

    The shape is (steps, n, batch_size).
    """
    steps = count_steps(int(counts.max()), batch_size)
    places = np.arange(steps * batch_size).reshape(steps, 1, batch_size)
    taken = places < counts[:, None]
    return torch.from_numpy(taken / np.maximum(taken.sum(axis=2, keepdims=True), 1))


def _shuffle_rows(
    rngs: Sequence[np.random.Generator], counts: NDArray[np.int64], shape: torch.Size
) -> Tensor:
    """Draw which row stands where in an epoch: (steps, n, batch_size), row 0 where none does."""
    steps, n, batch_size = shape
    order = np.zeros((n, steps * batch_size), np.int64)
    for row, rng, count in zip(order, rngs, counts, strict=True):
        row[:count] = rng.permutation(int(count))
    batches = order.reshape(n, steps, batch_size).swapaxes(0, 1)
    return torch.from_numpy(np.ascontiguousarray(batches))


@torch.no_grad()
def _measure_mape(
    stack: NetworkStack, seen: Sequence[Tensor], weights: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor]:
    """Return the errors, (n,) in percent, of training and of validation rows, which follow."""
    features, targets = seen
    errors = (stack.compute_scaled(features) - targets).abs()
    n_train = weights[0].shape[1]
    return (
        (errors[:, :n_train] * weights[0]).sum(dim=1),
        (errors[:, n_train:] * weights[1]).sum(dim=1),
    )
