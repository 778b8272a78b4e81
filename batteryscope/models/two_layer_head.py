"""A backbone with the head dropout, fully connected, dropout, fully connected."""

from typing import Any

import torch
from torch import Tensor, nn


class TwoLayerHead(nn.Module):
    """Class scores from the pooled features of a network by two fully connected layers.

    The head of An et al. (2026), section 2.4: dropout layers for regularisation, an intermediate
    fully connected layer, and a final one of the number of classes; the paper gives neither
    width nor dropout rates. A ReLU stands between the layers, without which they were one.

    Parameters
    ----------
    network
        A timm network without classifier.
    hidden
        Width of the intermediate layer.
    n_classes
        Number of outputs.
    dropout
        Before each of the two layers, 0 to 1.
    n_beside
        Numbers that stand beside the features, such as covariates; the first layer joins them.
    """

    def __init__(
        self, network: nn.Module, hidden: int, n_classes: int, dropout: float, n_beside: int = 0
    ) -> None:
        super().__init__()
        self.n_beside = n_beside
        self.network = network
        self.default_cfg: dict[str, Any] = {"classifier": "head"}
        n_features: Any = getattr(network, "head_hidden_size", None) or network.num_features
        self.head = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(int(n_features) + n_beside, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, n_classes),
        )

    def forward(self, x: Tensor, beside: Tensor | None = None) -> Tensor:
        """Return the (B, n_classes) logits of normalised pictures (B, C, H, W).

        ``beside`` (B, n_beside) are standardised; without them their means stand in.
        """
        features: Tensor = self.network(x)
        if self.n_beside:
            means = features.new_zeros(len(features), self.n_beside)
            features = torch.cat([features, means if beside is None else beside], dim=1)
        logits: Tensor = self.head(features)
        return logits

    def get_classifier(self) -> nn.Module:
        """Return the two layers, which are trained also when the backbone is frozen."""
        return self.head
