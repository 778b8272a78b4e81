"""Covariates in a network: standardised by the training part, then beside the pooled features."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

HIDDEN_UNITS = 32
FURTHEST = 10.0  # standard deviations; beyond, a wrong unit would drown the picture


class CovariateInput(nn.Module):
    """Standardises covariates, and says what they add to the outputs of a network.

    A linear head on features and covariates together is the sum of a linear head on the features
    and one on the covariates. So the covariates get a part of their own, which any backbone can
    have beside it: a hidden layer with ReLU, so that their effect may bend, and a linear one. Where
    the effect of the picture depends on them, a head of two layers is needed besides.

    Parameters
    ----------
    n_inputs
        Number of covariates, one for each category of a name.
    n_outputs
        Outputs of the network.
    hidden
        Width of the hidden layer; 0 for none.

    Attributes
    ----------
    mean, scale : (n_inputs,) buffers
        Of the training samples; ``scale`` is one by their standard deviation, or 0 where they
        are all alike.
    low, high : (n_inputs,) buffers
        Range of the training samples.
    """

    def __init__(self, n_inputs: int, n_outputs: int, hidden: int = HIDDEN_UNITS) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(n_inputs))
        self.register_buffer("scale", torch.ones(n_inputs))
        self.register_buffer("low", torch.zeros(n_inputs))
        self.register_buffer("high", torch.zeros(n_inputs))
        last = nn.Linear(hidden or n_inputs, n_outputs, bias=False)
        nn.init.zeros_(last.weight)  # a new network begins as one without covariates
        layers = [nn.Linear(n_inputs, hidden), nn.ReLU()] if hidden else []
        self.effect = nn.Sequential(*layers, last)

    def learn_statistics(self, values: NDArray[np.floating]) -> list[int]:
        """Take mean, spread and range of the (n_samples, n_inputs) training samples.

        Returns
        -------
        list of int
            Inputs that are alike in all samples; they say nothing.
        """
        given = np.asarray(values, dtype=np.float64)
        spread = given.std(axis=0)
        alike = spread <= 1e-9 * np.maximum(np.abs(given).max(axis=0), 1e-30)
        scale = np.where(alike, 0.0, 1 / np.where(alike, 1.0, spread))
        found = {
            "mean": given.mean(axis=0),
            "scale": scale,
            "low": given.min(axis=0),
            "high": given.max(axis=0),
        }
        for name, numbers in found.items():
            self.get_buffer(name).copy_(torch.from_numpy(numbers))
        return np.flatnonzero(alike).tolist()

    def standardise(self, values: Tensor) -> Tensor:
        """Return (B, n_inputs) values as the network is given them."""
        z = (values - self.get_buffer("mean")) * self.get_buffer("scale")
        return z.clamp(-FURTHEST, FURTHEST)

    def forward(self, z: Tensor) -> Tensor:
        """Return what (B, n_inputs) standardised values add to the outputs, (B, n_outputs)."""
        added: Tensor = self.effect(z)
        return added
