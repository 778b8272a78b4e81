"""The last layer for grades, which are classes in an order: one score and thresholds on it."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

# Next to the first or last grade, one whose thresholds are less than 2 ln 2 apart is never the
# likeliest, whatever the score. New thresholds are a little further apart, around the score of 0
# that new heads give.
FIRST_DISTANCE = 1.5
# Thresholds are learnt in this unit: an optimiser that moves every weight by about the learning
# rate would need hundreds of steps to move them by the few units that separate sure grades.
STRIDE = 10.0


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
        gaps = len(grades) - 2
        first = torch.full((gaps,), FIRST_DISTANCE / STRIDE)
        self.lowest = nn.Parameter(-first.sum()[None] / 2)
        self.gaps = nn.Parameter(_invert_softplus(first))
        self.register_load_state_dict_pre_hook(_read_older_weights)

    @property
    def thresholds(self) -> Tensor:
        """(K - 1,): where one grade ends and the next begins on the scale of the score, rising."""
        steps = functional.softplus(self.gaps).cumsum(0)
        return STRIDE * torch.cat([self.lowest, self.lowest + steps])

    def forward(self, score: Tensor) -> Tensor:
        """Return (B, K) logarithms of probabilities of (B, 1) scores, in the classes' order."""
        return find_grade_logits(score.float(), self.thresholds)[:, self.places]


def _invert_softplus(values: Tensor) -> Tensor:
    return torch.expm1(values).log()


def _read_older_weights(
    module: nn.Module, weights: dict[str, Tensor], prefix: str, *others: object
) -> None:
    """Convert the thresholds of networks that were saved when they had no stride."""
    lowest = weights.pop(f"{prefix}lowest_threshold", None)
    distances = weights.pop(f"{prefix}distances", None)
    if lowest is not None and distances is not None:
        weights[f"{prefix}lowest"] = lowest / STRIDE
        gaps = functional.softplus(distances) / STRIDE
        weights[f"{prefix}gaps"] = _invert_softplus(gaps)


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
