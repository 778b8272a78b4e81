"""Gaussian processes for rows of a table, which may build on one of another domain.

The answer is the sum of three functions of the features: a multiple of what the process of the
source domain says (with a parent), a linear one, and a smooth one with a length scale per feature.
With a parent this is the autoregressive model (co-kriging) of Kennedy and O'Hagan, Biometrika 87
(2000) 1: y_target(x) = ρ·y_source(x) + δ(x).

Which logarithms are taken, and whether anything is shared, is averaged over: Bayesian model
averaging (Hoeting et al., Statistical Science 14 (1999) 382).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

# Costs hardly more than single precision at this size, and keeps a network's training the same
# alone and among others: rounding does not grow into a difference.
DTYPE = torch.float64
LARGEST_LOGARITHM = 30.0  # of variances and of length scales
ROUNDING = 1e-6  # of shares that add up to 1
LARGEST_EXPONENT = 300.0  # keeps a far extrapolation of a logarithm finite


class GaussianProcess(nn.Module):
    """What a Gaussian process has learnt from some rows, and what it expects of others.

    Features arrive, and targets leave, in their units. Inside, features and target have mean 0
    and variance 1 of the training rows, after their logarithm where ``logged`` is 1. A feature
    that does not vary there is left out.

    Parameters
    ----------
    rows
        Number of training rows.
    n_features
        Inputs.
    parent
        The process of the source domain, which stays as it is.
    """

    rows: int
    n_features: int
    inputs: Tensor
    weights: Tensor
    taught: Tensor
    taught_mean: Tensor
    input_logged: Tensor
    input_lowest: Tensor
    input_mean: Tensor
    input_scale: Tensor
    output_logged: Tensor
    output_lowest: Tensor
    output_mean: Tensor
    output_sd: Tensor

    def __init__(self, rows: int, n_features: int, parent: "GaussianProcess | None" = None) -> None:
        super().__init__()
        if parent is not None and parent.n_features != n_features:
            raise ValueError(
                f"A process of {n_features} features cannot build on one of {parent.n_features}."
            )
        self.rows = rows
        self.n_features = n_features
        self.parent = parent.requires_grad_(False) if parent is not None else None
        shapes: dict[str, tuple[int, ...]] = {"inputs": (rows, n_features)}
        shapes |= dict.fromkeys(("weights", "taught"), (rows,))
        sides = ("logged", "lowest", "mean")
        shapes |= {f"input_{name}": (n_features,) for name in (*sides, "scale")}
        shapes |= {f"output_{name}": () for name in (*sides, "sd")}
        for name, shape in (shapes | {"taught_mean": ()}).items():
            self.register_buffer(name, torch.zeros(shape, dtype=DTYPE))
        # Logarithms: of the linear and the smooth part, of noise, of the share of the parent.
        self.variances = nn.Parameter(torch.zeros(3 if parent is None else 4, dtype=DTYPE))
        self.lengths = nn.Parameter(torch.zeros(n_features, dtype=DTYPE))
        self.register_load_state_dict_post_hook(_refuse_impossible)

    def forward(self, features: Tensor) -> Tensor:
        """Return targets in their unit, (1, rows), from raw features, (1, rows, n_features)."""
        asked = features.squeeze(0)
        relation = self.relate(
            self.scale_features(asked), self.ask_parent(asked), self.inputs, self.taught
        )
        scaled = (relation @ self.weights) * self.output_sd + self.output_mean
        powers = scaled.clamp(-LARGEST_EXPONENT, LARGEST_EXPONENT).exp()
        return torch.where(self.output_logged > 0, powers, scaled).unsqueeze(0)

    def scale_features(self, features: Tensor) -> Tensor:
        """Bring raw features to mean 0 and variance 1 of the training rows."""
        logarithms = torch.maximum(features, self.input_lowest).log()
        values = torch.where(self.input_logged > 0, logarithms, features)
        return (values - self.input_mean) * self.input_scale

    def scale_targets(self, targets: Tensor) -> Tensor:
        """Bring targets in their unit to mean 0 and variance 1 of the training rows."""
        logarithms = torch.maximum(targets, self.output_lowest).log()
        values = torch.where(self.output_logged > 0, logarithms, targets)
        return (values - self.output_mean) / self.output_sd

    def ask_parent(self, features: Tensor) -> Tensor:
        """Return what the parent says of rows, scaled as a target; 0 without a parent."""
        if self.parent is None:
            return torch.zeros(len(features), dtype=DTYPE)
        answers: Tensor = self.parent(features.unsqueeze(0)).squeeze(0)
        return self.scale_targets(answers) - self.taught_mean

    def relate(self, first: Tensor, told: Tensor, second: Tensor, taught: Tensor) -> Tensor:
        """Return the covariance of the answers to rows, which are scaled, with those to others."""
        linear, smooth, _, *share = self.variances.exp()
        x, y = first / self.lengths.exp(), second / self.lengths.exp()
        squares = x.square().sum(1)[:, None] + y.square().sum(1) - 2 * x @ y.T
        covariance = smooth * (-0.5 * squares.clamp_min(0)).exp() + linear * (1 + first @ second.T)
        return covariance + share[0] * torch.outer(told, taught) if share else covariance

    @property
    def has_logged_inputs(self) -> bool:
        """Whether logarithms of features are taken, where they have one."""
        return bool((self.input_logged > 0).any())

    def describe(self) -> dict[str, Any]:
        """Return what :func:`build_process` needs, as plain values."""
        parent = None if self.parent is None else self.parent.describe()
        sizes = {"n": 1, "n_features": self.n_features, "rows": self.rows}
        return {"kind": "process", **sizes, "parent": parent}


class AveragedProcess(nn.Module):
    """The mean of several processes of the same rows, each counted by its share.

    Parameters
    ----------
    members
        The likeliest first.
    shares
        How likely each is, in all 1; without them all are 0, to be loaded.
    """

    shares: Tensor

    def __init__(
        self, members: Sequence[GaussianProcess], shares: Sequence[float] | None = None
    ) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        given = [0.0] * len(members) if shares is None else list(shares)
        self.register_buffer("shares", torch.tensor(given, dtype=DTYPE))
        self.register_load_state_dict_post_hook(_refuse_other_shares)

    @property
    def likeliest(self) -> GaussianProcess:
        """The member of the largest share."""
        first = self.members[0]
        assert isinstance(first, GaussianProcess)
        return first

    def forward(self, features: Tensor) -> Tensor:
        """Return targets in their unit, (1, rows), from raw features, (1, rows, n_features)."""
        answers = torch.stack([member(features) for member in self.members])
        return (self.shares[:, None, None] * answers).sum(dim=0)

    def describe(self) -> dict[str, Any]:
        """Return what :func:`build_average` needs, as plain values."""
        members = [m.describe() for m in self.members if isinstance(m, GaussianProcess)]
        return {"kind": "processes", "n_features": self.likeliest.n_features, "members": members}


def _refuse_other_shares(process: nn.Module, _: Any) -> None:
    """Refuse shares that no fit leaves."""
    assert isinstance(process, AveragedProcess)
    shares = process.shares
    if not bool((shares >= 0).all()) or not abs(float(shares.sum()) - 1) <= ROUNDING:
        raise ValueError("the shares of processes are impossible")


def _refuse_impossible(process: nn.Module, _: Any) -> None:
    """Refuse numbers that no fit leaves: they would give answers that are no numbers."""
    assert isinstance(process, GaussianProcess)
    logarithms = torch.cat([process.variances, process.lengths])
    positive = [process.input_lowest, process.output_lowest, process.output_sd]
    is_bounded = bool((logarithms.abs() <= LARGEST_LOGARITHM).all())
    if not is_bounded or not all(bool((numbers > 0).all()) for numbers in positive):
        raise ValueError("variances, length scales or scaling of a process are impossible")


def build_process(description: Mapping[str, Any]) -> GaussianProcess:
    """Build a process, all numbers 0, from what ``describe`` returned; then load its state."""
    parent = description["parent"]
    return GaussianProcess(
        description["rows"], description["n_features"], build_process(parent) if parent else None
    )


def build_average(description: Mapping[str, Any]) -> AveragedProcess:
    """Build an average, all numbers 0, from what ``describe`` returned; then load its state."""
    return AveragedProcess([build_process(member) for member in description["members"]])
