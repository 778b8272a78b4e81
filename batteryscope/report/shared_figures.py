"""Figures that every report has, whatever was looked at and predicted: one entry each."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import pandas as pd

from batteryscope.core.style import (
    NARROW_IN,
    Picture,
    draw_legend,
    encode_picture,
    house_style,
    make_figure,
)
from batteryscope.manifest.frames import HISTOGRAM_BINS, get_histograms
from batteryscope.report.bars import ROLE_COLOURS
from batteryscope.report.sweep_figures import draw_sweeps
from batteryscope.samples.choose import samples_in

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.figure import Figure

COLUMNS, NARROW_COLUMNS = 4, 2
MOST_CLASSES = 20
ROLE_NAMES = {"train": "training", "validation": "validation", "test": "test"}
LEVELS = (np.arange(HISTOGRAM_BINS) + 0.5) * (256 / HISTOGRAM_BINS) - 0.5


def average_histograms(
    manifest: pd.DataFrame, frames: pd.DataFrame, split: pd.DataFrame
) -> pd.DataFrame:
    """Average the histograms of every class and role in the first fold.

    Parameters
    ----------
    manifest
        Sample table: ``sample_id, class``.
    frames
        Measurements of the same samples, with ``histogram``.
    split
        ``sample_id, repeat, fold, role``.

    Returns
    -------
    DataFrame
        Share of the pixels per bin of grey levels (64 columns, rows add up to 1), every picture
        counting once; rows by class and role.
    """
    shares, rows = _list_histograms(manifest, frames, split)
    return shares.groupby([rows["class"], rows["role"]]).mean()


def _list_histograms(
    manifest: pd.DataFrame, frames: pd.DataFrame, split: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the histogram of every picture in the first fold, and its class and role."""
    first = split.sort_values(["repeat", "fold"]).iloc[0]
    fold = split[(split["repeat"] == first["repeat"]) & (split["fold"] == first["fold"])]
    known = pd.DataFrame(get_histograms(frames), index=frames["sample_id"].to_numpy())
    rows = fold.merge(manifest[["sample_id", "class"]], on="sample_id")
    return known.reindex(rows["sample_id"]).reset_index(drop=True), rows


def draw_grey_histograms(
    manifest: pd.DataFrame | None,
    frames: pd.DataFrame | None,
    split: pd.DataFrame | None,
    generated: bool,
) -> list[Picture]:
    """Draw the grey levels of every class; nothing where there is one class, or nothing measured.

    Parameters
    ----------
    manifest, frames, split
        As of :func:`average_histograms`; None where a table is missing.
    generated
        Whether a program made the pictures.
    """
    if manifest is None or frames is None or split is None or split.empty:
        return []
    if "histogram" not in frames or manifest["class"].nunique() < 2:
        return []
    table = average_histograms(manifest, frames, split)
    classes = list(dict.fromkeys(table.index.get_level_values("class")))
    shares, rows = _list_histograms(manifest, frames, split)
    once = ~rows["sample_id"].duplicated()  # those that test may validate as well
    means = shares[once].groupby(rows["class"]).mean() @ LEVELS
    shown = classes[:MOST_CLASSES]
    samples = samples_in(manifest.columns).plural
    caption = (
        f"Grey levels of the {samples} of every class, without their data bars: share of the "
        f"pixels in bins of four levels, mean over the {samples} of the part. Where the lines of "
        "two classes differ by more than those of one class, brightness alone may tell them apart "
        "(the shortcut audit measures it); where training and test differ, the test is of other "
        f"{samples}, or of few. On average over all {samples}, {_name(means.idxmin())} is darkest "
        f"(grey level {means.min():.0f} of 255), {_name(means.idxmax())} brightest "
        f"({means.max():.0f})."
    )
    if len(classes) > len(shown):
        caption += f" The first {len(shown)} of {len(classes)} classes are drawn."
    figure, narrow = _draw(table, shown), _draw(table, shown, narrow=True)
    return [encode_picture(figure, "grey_histograms", caption, generated, narrow)]


@house_style
def _draw(table: pd.DataFrame, classes: list[str], narrow: bool = False) -> "Figure":
    columns = min(NARROW_COLUMNS if narrow else COLUMNS, len(classes))
    rows = -(-len(classes) // columns)
    figure = make_figure(NARROW_IN if narrow else 7.2, 0.95 + 1.35 * rows)
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    lines: dict[str, Artist] = {}
    curves = dict(zip(table.index.tolist(), table.to_numpy(np.float64), strict=True))
    for axes, name in zip(grid.flat, classes, strict=False):
        for role, colour in ROLE_COLOURS.items():
            if (name, role) in curves:
                (line,) = axes.plot(LEVELS, 100 * curves[name, role], color=colour, lw=1.3)
                lines.setdefault(ROLE_NAMES[role], line)
        axes.set_title(_name(name), fontsize=8.5)
        axes.set_xlim(0, 255)
        axes.set_xticks([0, 100, 200])
    grid.flat[0].set_ylim(bottom=0)  # of all, after the highest line is known
    for axes in grid.flat[len(classes) :]:
        axes.set_visible(False)
    figure.supxlabel("grey level", fontsize=8.5)
    figure.supylabel("share of pixels (%)", fontsize=8.5)
    if narrow:  # beside it stands that data were generated
        figure.legend(list(lines.values()), list(lines), loc="outside upper left", ncols=1)
    else:
        draw_legend(figure, list(lines.values()), list(lines), "outside upper left")
    return figure


def _name(name: object) -> str:
    return str(name).replace("_", " ")


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
