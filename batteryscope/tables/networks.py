"""Very small networks for rows of a table, many of them held in one stack of tensors."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from batteryscope.config.table_study import NetworkSettings
from batteryscope.tables.processes import (
    DTYPE,
    AveragedProcess,
    GaussianProcess,
    build_average,
    build_process,
)

Numbers = NDArray[np.float64]


class NetworkStack(nn.Module):
    """Independent multilayer perceptrons of one shape, computed together.

    ReLU after every hidden layer, one output. Each network scales its own input and output:
    features arrive, and targets leave, in their units.

    Parameters
    ----------
    n
        Number of networks.
    n_features
        Inputs of each.
    hidden_layers, nodes
        Hidden layers, and the width of each.
    """

    input_mean: Tensor
    input_sd: Tensor
    output_mean: Tensor
    output_sd: Tensor

    def __init__(self, n: int, n_features: int, hidden_layers: int, nodes: int) -> None:
        super().__init__()
        self.n, self.n_features = n, n_features
        self.hidden_layers, self.nodes = hidden_layers, nodes
        shapes = list(pairwise([n_features, *[nodes] * hidden_layers, 1]))
        self.weights = nn.ParameterList(
            torch.zeros(n, above, below, dtype=DTYPE) for above, below in shapes
        )
        self.biases = nn.ParameterList(torch.zeros(n, 1, below, dtype=DTYPE) for _, below in shapes)
        self.register_buffer("input_mean", torch.zeros(n, 1, n_features, dtype=DTYPE))
        self.register_buffer("input_sd", torch.ones(n, 1, n_features, dtype=DTYPE))
        self.register_buffer("output_mean", torch.zeros(n, 1, dtype=DTYPE))
        self.register_buffer("output_sd", torch.ones(n, 1, dtype=DTYPE))

    def forward(self, features: Tensor) -> Tensor:
        """Return targets in their unit, (n, rows), from raw features, (n, rows, n_features)."""
        return self.compute_scaled(self.scale_features(features)) * self.output_sd + (
            self.output_mean
        )

    def scale_features(self, features: Tensor) -> Tensor:
        """Bring raw features to mean 0 and standard deviation 1 of the training rows."""
        return (features - self.input_mean) / self.input_sd

    def compute_scaled(self, scaled: Tensor) -> Tensor:
        """Return scaled targets, (n, rows), from scaled features, (n, rows, n_features)."""
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            scaled = torch.baddbmm(bias, scaled, weight).relu()
        return torch.baddbmm(self.biases[-1], scaled, self.weights[-1]).squeeze(-1)

    @torch.no_grad()
    def draw_weights(self, i: int, rng: np.random.Generator) -> None:
        """Draw the weights of network ``i`` as Keras does: Glorot uniform, biases 0."""
        for weight, bias in zip(self.weights, self.biases, strict=True):
            limit = np.sqrt(6 / sum(weight.shape[1:]))
            weight[i] = torch.from_numpy(rng.uniform(-limit, limit, tuple(weight.shape[1:])))
            bias[i] = 0

    def fit_scaling(self, i: int, features: Numbers, targets: Numbers) -> None:
        """Take the scaling of network ``i`` from its training rows, (rows, n_features) and (rows,).

        What does not vary keeps its size: it is divided by 1.
        """
        for name, values in (("input", features), ("output", targets[:, None])):
            mean, sd = measure_scaling(values)
            getattr(self, f"{name}_mean")[i] = torch.from_numpy(mean)
            getattr(self, f"{name}_sd")[i] = torch.from_numpy(sd)

    def describe(self) -> dict[str, Any]:
        """Return what :func:`build_stack` needs, as plain values."""
        return {
            "kind": "network",
            "n": self.n,
            "n_features": self.n_features,
            "hidden_layers": self.hidden_layers,
            "nodes": self.nodes,
        }


class AdapterStack(nn.Module):
    """Frozen networks, each followed by a small network that reads its one output.

    The adapter has one hidden layer. Its input scaling, like its output scaling, is that of
    the rows it was trained on, so it does not matter how far these lie from the rows that
    the frozen network has seen.
    """

    def __init__(self, frozen: NetworkStack, adapter: NetworkStack) -> None:
        super().__init__()
        if adapter.n != frozen.n or adapter.n_features != 1:
            raise ValueError(
                f"{adapter.n} adapters with {adapter.n_features} inputs do not fit "
                f"{frozen.n} networks; expected as many, with 1 input."
            )
        self.frozen = frozen.requires_grad_(False)
        self.adapter = adapter

    @property
    def n(self) -> int:
        """Number of networks."""
        return self.adapter.n

    def forward(self, features: Tensor) -> Tensor:
        """Return targets in their unit, (n, rows), from raw features, (n, rows, n_features)."""
        output: Tensor = self.adapter(self.frozen(features).unsqueeze(-1))
        return output

    def describe(self) -> dict[str, Any]:
        """Return what :func:`build_stack` needs, as plain values."""
        parts = {"frozen": self.frozen.describe(), "adapter": self.adapter.describe()}
        return {"kind": "adapter", **parts}


Stack = NetworkStack | AdapterStack | GaussianProcess | AveragedProcess
S = TypeVar("S", NetworkStack, AdapterStack)


def find_adapter_nodes(settings: NetworkSettings) -> int:
    """Return the width of the adapter's hidden layer."""
    return settings.adapter_nodes or settings.nodes


def measure_scaling(values: Numbers) -> tuple[Numbers, Numbers]:
    """Return mean and standard deviation of each column; the latter is 1 if it would be 0."""
    mean, sd = values.mean(axis=0), values.std(axis=0)
    # Equal values can have a standard deviation of some rounding errors.
    constant = sd <= 1e-9 * np.abs(values).max(axis=0)
    return mean, np.where(constant, 1.0, sd)


def build_stack(description: dict[str, Any]) -> Stack:
    """Build a stack, all weights 0, from what ``describe`` returned; then load its state."""
    return _MAKERS[description["kind"]](description)


def _build_adapter(description: dict[str, Any]) -> AdapterStack:
    frozen, adapter = (_build_network(description[part]) for part in ("frozen", "adapter"))
    return AdapterStack(frozen, adapter)


def _build_network(description: dict[str, Any]) -> NetworkStack:
    sizes = {name: value for name, value in description.items() if name != "kind"}
    return NetworkStack(**sizes)


_MAKERS: dict[str, Callable[[dict[str, Any]], Stack]] = {
    "network": _build_network,
    "adapter": _build_adapter,
    "process": build_process,
    "processes": build_average,
}


def take_network(stack: S, i: int) -> S:
    """Copy network ``i`` out of a stack, as a stack of one."""
    taken = build_stack(_with_count(stack.describe(), 1))
    taken.load_state_dict({name: t[i : i + 1].clone() for name, t in stack.state_dict().items()})
    assert isinstance(taken, type(stack))
    return taken


def _with_count(description: dict[str, Any], n: int) -> dict[str, Any]:
    """Describe the same shape for ``n`` networks."""
    if description["kind"] == "network":
        return {**description, "n": n}
    return {
        name: _with_count(part, n) if isinstance(part, dict) else part
        for name, part in description.items()
    }


def join_networks(networks: Sequence[NetworkStack]) -> NetworkStack:
    """Copy stacks of the same shape into one, in their order."""
    joined = _build_network({**networks[0].describe(), "n": sum(s.n for s in networks)})
    states = [network.state_dict() for network in networks]
    joined.load_state_dict({name: torch.cat([s[name] for s in states]) for name in states[0]})
    return joined


@torch.no_grad()
def predict_rows(network: Stack, features: Numbers) -> Numbers:
    """Predict rows, (rows, n_features) in their units, with a stack of one; returns (rows,)."""
    output: Tensor = network(torch.tensor(features, dtype=DTYPE).unsqueeze(0))
    values: Numbers = output.squeeze(0).numpy()
    return values
