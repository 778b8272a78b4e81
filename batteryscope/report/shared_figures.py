"""Figures that every report has, whatever was looked at and predicted: one entry each."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

import pandas as pd

from batteryscope.core.style import Picture
from batteryscope.report.grey_histograms import draw_grey_histograms
from batteryscope.report.sweep_figures import draw_sweeps


@dataclass(frozen=True)
class SharedEvidence:
    """What all reports are made from.

    Attributes
    ----------
    comparison
        ``comparison.csv``: arm, level, target, domain, metric, mean, sd, n.
    sweeps
        Points of sweeps, if there are any, called as on the page.
    generated
        Whether a program made the data, which figures then say.
    manifest, frames, split
        Sample table, measurements of the frames, roles of the main split; None of rows, which
        have no pictures.
    """

    comparison: pd.DataFrame
    sweeps: pd.DataFrame | None
    generated: bool
    manifest: pd.DataFrame | None = None
    frames: pd.DataFrame | None = None
    split: pd.DataFrame | None = None


class PictureEvidence(Protocol):
    """What reports of pictures have in common."""

    @property
    def comparison(self) -> pd.DataFrame:
        """The table of the comparison."""
        ...

    @property
    def sweeps(self) -> pd.DataFrame | None:
        """Points of sweeps, if there are any."""
        ...

    @property
    def generated(self) -> bool:
        """Whether a program made the data."""
        ...

    @property
    def manifest(self) -> pd.DataFrame | None:
        """The sample table."""
        ...

    @property
    def frames(self) -> pd.DataFrame | None:
        """Measurements of the frames."""
        ...

    @property
    def split(self) -> pd.DataFrame | None:
        """Roles of the main split."""
        ...


def share_pictures(evidence: PictureEvidence) -> SharedEvidence:
    """Return what shared figures need of the evidence of a report of pictures."""
    return SharedEvidence(
        evidence.comparison,
        evidence.sweeps,
        evidence.generated,
        evidence.manifest,
        evidence.frames,
        evidence.split,
    )


# A picture whose name begins with ``more_`` stands at the end of the page; others have a place of
# their own in the templates.
FIGURES: list[Callable[[SharedEvidence], Iterable[Picture]]] = [
    lambda evidence: draw_sweeps(evidence.sweeps, evidence.generated, evidence.split),
    lambda evidence: draw_grey_histograms(
        evidence.manifest, evidence.frames, evidence.split, evidence.generated
    ),
]


def draw_shared_figures(evidence: SharedEvidence) -> list[Picture]:
    """Draw the figures that every report has, as far as the evidence allows."""
    return [picture for draw in FIGURES for picture in draw(evidence)]
