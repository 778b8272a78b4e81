"""From the tile probabilities of all models to one verdict per image."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from batteryscope.evaluation.calibration import apply_temperature


@dataclass(frozen=True)
class Verdict:
    """What the models say about one image.

    Attributes
    ----------
    probabilities : (n_classes,) array
        Mean over models and tiles, temperature-scaled; adds up to 1.
    winner
        Number of the most probable class, the first of equally probable ones.
    disagreement
        Share of the models whose own verdict is another class; None with a single model.
    confidence_sd
        Standard deviation over the models of the winner's probability (ddof 0); None
        with a single model.
    """

    probabilities: NDArray[np.float64]
    winner: int
    disagreement: float | None
    confidence_sd: float | None

    @property
    def confidence(self) -> float:
        """Probability of the winner."""
        return float(self.probabilities[self.winner])


def take_vote(probabilities: NDArray[np.float64], temperature: float) -> Verdict:
    """Let tiles and models vote as in the evaluation, then scale the vote by the temperature.

    Scaling the vote and not the tiles leaves the winner as it is, so that a bundle
    decides exactly as the models were evaluated.

    Parameters
    ----------
    probabilities : (n_models, n_tiles, n_classes) array
        At least one model and one tile; rows add up to 1.
    temperature
        Calibration temperature of image votes, positive.
    """
    n_models = len(probabilities)
    votes = probabilities.mean(axis=1)
    overall = apply_temperature(votes.mean(axis=0, keepdims=True), temperature)[0]
    per_model = apply_temperature(votes, temperature)
    winner = int(overall.argmax())
    if n_models == 1:
        return Verdict(overall, winner, None, None)
    return Verdict(
        overall,
        winner,
        float((per_model.argmax(axis=1) != winner).mean()),
        float(per_model[:, winner].std()),
    )
