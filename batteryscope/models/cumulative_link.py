"""The last layer for grades, which are classes in an order: one score and thresholds on it."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


class CumulativeLink(nn.Module):
    """Turns one score into the probabilities of all grades.

    The probability of a grade above the k-th is σ(s − θ_k) with the score s and rising thresholds θ
    (McCullagh 1980, Regression models for ordinal data: the proportional-odds model). What it
    returns are logarithms of probabilities, so that whatever takes logits of classes takes
    these too; their cross-entropy is the likelihood of that model.

    Parameters
    ----------
    classes
        Names in the order of the outputs.
    grades
        The same names from the lowest grade to the highest; two at least.
    """

    def __init__(self, classes: Sequence[str], grades: Sequence[str]) -> None:
        super().__init__()
        self.places = [list(grades).index(name) for name in classes]
        # With a score of 0, which new heads begin with, all grades are equally likely.
        thresholds = torch.logit(torch.arange(1, len(grades)) / len(grades))
        self.lowest_threshold = nn.Parameter(thresholds[:1].clone())
        self.distances = nn.Parameter(torch.expm1(thresholds.diff()).log())  # of softplus

    @property
    def thresholds(self) -> Tensor:
        """(K - 1,): where one grade ends and the next begins on the scale of the score, rising."""
        steps = functional.softplus(self.distances).cumsum(0)
        return torch.cat([self.lowest_threshold, self.lowest_threshold + steps])

    def forward(self, score: Tensor) -> Tensor:
        """Return (B, K) logarithms of probabilities of (B, 1) scores, in the classes' order."""
        return find_grade_logits(score.float(), self.thresholds)[:, self.places]


class ScoreByGrade(nn.Module):
    """A network of grades as explanations see it: what speaks for each of them.

    A probability of a grade between others hardly changes where it is largest, so that its gradient
    says nothing. The score does: it speaks for a higher grade, its negative for the lowest.

    Parameters
    ----------
    network
        Gives the (B, 1) score.
    link
        Knows the order.
    """

    def __init__(self, network: nn.Module, link: CumulativeLink) -> None:
        super().__init__()
        self.network = network
        self.register_buffer(
            "signs", torch.tensor([1.0 if place else -1.0 for place in link.places])
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, K) scores, in the classes' order."""
        score: Tensor = self.network(x)
        return score * self.get_buffer("signs").to(score.device)


def find_grade_logits(score: Tensor, thresholds: Tensor) -> Tensor:
    """Return the logarithms of the probabilities of all grades.

    Parameters
    ----------
    score : (B, 1) tensor
    thresholds : (K - 1,) tensor
        Rising.

    Returns
    -------
    (B, K) tensor
        The exponentials of a row add up to 1. Of a grade between the thresholds a and b it is
        log(σ(b − s) − σ(a − s)), calculated as log σ(b − s) + log σ(s − a) + log(1 − e^(a − b)),
        which loses no digits where both are near 0 or 1.
    """
    not_above = functional.logsigmoid(thresholds - score)
    above = functional.logsigmoid(score - thresholds)
    between = not_above[:, 1:] + above[:, :-1] + torch.log(-torch.expm1(-thresholds.diff()))
    return torch.cat([not_above[:, :1], between, above[:, -1:]], dim=1)
