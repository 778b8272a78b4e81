"""What a shortcut audit measured and decided, whatever is predicted."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import pandas as pd

from batteryscope.audit.cues import CUES, CueName
from batteryscope.audit.perturb import PERTURBED
from batteryscope.audit.score import NumberScore, Score
from batteryscope.audit.verdict import Level, Sign

METRIC_PREFIX = "shortcuts"
Own = TypeVar("Own", Score, NumberScore)


@dataclass(frozen=True)
class Audit(Generic[Own]):
    """Scores, signs and verdict of one audit.

    Attributes
    ----------
    level, signs
        The verdict, and what led to it, the gravest first.
    cues, left_out, perturbed
        Scores by cue, by cue on sessions that it had not seen, and of the network on changed tiles;
        what was asked about no unit is left out.
    model
        Score of the main arm.
    """

    level: Level
    signs: list[Sign]
    cues: Mapping[CueName, Own]
    left_out: Mapping[CueName, Own]
    perturbed: Mapping[str, Own]
    model: Own | None

    def tabulate(self, main_arm: str = "") -> list[dict[str, Any]]:
        """Return rows ``what, name`` and the fields of every score."""
        groups: dict[str, Mapping[Any, Own | None]] = {
            "cue": self.cues,
            "session_left_out": self.left_out,
            "network": self.perturbed,
            "model": {main_arm: self.model},
        }
        return [
            {"what": what, "name": name, **own.as_dict()}
            for what, scores in groups.items()
            for name, own in scores.items()
            if own is not None
        ]

    def list_scores(self) -> dict[str, Own]:
        """Return the scores that are metrics: ``shortcuts.<cue>`` and ``….network_<tiles>``."""
        scores: dict[str, Own] = {str(name): own for name, own in self.cues.items()}
        scores |= {f"network_{name}": own for name, own in self.perturbed.items()}
        return {f"{METRIC_PREFIX}.{name}": own for name, own in scores.items()}

    def describe_signs(self) -> list[dict[str, Any]]:
        """Return what a sentence needs to know of the signs."""
        return [{"kind": sign.kind, "level": sign.level, **sign.facts} for sign in self.signs]

    def describe_best(self) -> dict[str, Any] | None:
        """Return what a sentence needs to know of the cue that tells most; None without cues."""
        best = max(self.cues, key=lambda name: self.cues[name].skill, default=None)
        return best and {"phrase": CUES[best].phrase, "cue": best, **self.cues[best].as_dict()}


def take_perturbed(predictions: pd.DataFrame, main_arm: str) -> pd.DataFrame | None:
    """Return what the main arm's networks said of changed tiles; None if nothing was asked.

    The arms of the result are names of perturbations.
    """
    start = f"{main_arm}{PERTURBED}"
    own = predictions[predictions["arm"].astype(str).str.startswith(start)]
    return None if own.empty else own.assign(arm=own["arm"].str.removeprefix(start))
