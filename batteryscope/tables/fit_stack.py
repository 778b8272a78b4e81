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


class StackTraining:
    """The training of a stack of networks, each on its own rows, which can stop and go on.

    The networks do not influence each other: the loss is the sum of their losses, and Adam
    works element by element. Rows that fill up shorter tables have weight 0.

    Parameters
    ----------
    stack
        Networks with their scaling and first weights.
    train, validation
        Per network, raw features (rows, n_features) and targets (rows,), none of them 0.
    settings
        Batch size and learning rate, and how many epochs there are at most.
    rngs
        Per network, what shuffles its rows.

    Raises
    ------
    ValueError
        If the networks differ in the number of steps of an epoch.
    """

    def __init__(
        self,
        stack: NetworkStack,
        train: Sequence[Examples],
        validation: Sequence[Examples],
        settings: TableTrainSettings,
        rngs: Sequence[np.random.Generator],
    ) -> None:
        counts = np.array([len(targets) for _, targets in train])
        if len(steps := {count_steps(int(count), settings.batch_size) for count in counts}) > 1:
            raise ValueError(f"Networks with {sorted(steps)} steps per epoch cannot share a stack.")
        self.stack, self.counts, self.rngs = stack, counts, rngs
        self.features, self.targets, self.errors_per_unit, shares = _pad_rows(stack, train)
        held_out = _pad_rows(stack, validation)
        pairs = zip((self.features, self.targets), held_out[:2], strict=True)
        self.seen = [torch.cat(pair, dim=1) for pair in pairs]
        self.weights = self.errors_per_unit * shares, held_out[2] * held_out[3]
        self.batch_shares = _share_batches(counts, settings.batch_size)
        self.parameters = list(stack.parameters())
        self.optimiser = torch.optim.Adam(self.parameters, lr=settings.learning_rate, fused=True)
        self.best = [parameter.detach().clone() for parameter in self.parameters]
        self.best_mape = torch.full((stack.n,), torch.inf, dtype=self.features.dtype)
        self.best_epoch = torch.zeros(stack.n, dtype=torch.int64)
        self.errors = np.empty((2, stack.n, settings.epochs))
        self.epochs = 0

    def advance(self, epochs: int) -> None:
        """Train so many more epochs."""
        features, targets, networks = self.features, self.targets, torch.arange(self.stack.n)
        networks = networks[:, None]
        for epoch in range(self.epochs, self.epochs + epochs):
            order = _shuffle_rows(self.rngs, self.counts, self.batch_shares.shape)
            inputs, wanted = features[networks, order], targets[networks, order]
            weights = self.errors_per_unit[networks, order] * self.batch_shares
            for x, y, weight in zip(inputs, weights * wanted, weights, strict=True):
                self.optimiser.zero_grad()
                # The mean absolute percentage error of each network's batch, summed over networks.
                output = self.stack.compute_scaled(x) * weight
                functional.l1_loss(output, y, reduction="sum").backward()
                self.optimiser.step()
            self._measure(epoch)
        self.epochs += epochs

    def _measure(self, epoch: int) -> None:
        train_mape, mape = _measure_mape(self.stack, self.seen, self.weights)
        self.errors[:, :, epoch] = train_mape.numpy(), mape.numpy()
        better = mape < self.best_mape
        self.best_mape = torch.where(better, mape, self.best_mape)
        self.best_epoch[better] = epoch + 1
        for kept, parameter in zip(self.best, self.parameters, strict=True):
            kept[better] = parameter.detach()[better]

    def describe(self) -> StackHistory:
        """Return what has happened so far."""
        train_mape, mape = self.errors[:, :, : self.epochs]
        return StackHistory(train_mape, mape, self.best_epoch.numpy(), self.best_mape.numpy())

    @torch.no_grad()
    def keep_best(self) -> None:
        """Leave the best weights in the stack, with which the training ends."""
        for kept, parameter in zip(self.best, self.parameters, strict=True):
            parameter.copy_(kept)


def fit_stack(
    stack: NetworkStack,
    train: Sequence[Examples],
    validation: Sequence[Examples],
    settings: TableTrainSettings,
    rngs: Sequence[np.random.Generator],
) -> StackHistory:
    """Train every network of a stack (:class:`StackTraining`), and leave its best weights there."""
    training = StackTraining(stack, train, validation, settings, rngs)
    training.advance(settings.epochs)
    training.keep_best()
    return training.describe()


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
