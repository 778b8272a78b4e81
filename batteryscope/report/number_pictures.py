"""Figures of the report of numbers: how each is drawn, and its caption."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from batteryscope.config.predicted import Quantity
from batteryscope.core.baseline_catalogue import PHYSICS
from batteryscope.core.forked_calls import call_side_by_side
from batteryscope.core.style import Picture, encode_picture
from batteryscope.report.number_evidence import NumberEvidence
from batteryscope.report.number_figures import (
    draw_error_map,
    draw_losses,
    draw_parity,
    draw_rate_curves,
    draw_scatter,
    draw_trade_off,
)
from batteryscope.report.number_map_figures import (
    draw_methods,
    draw_outputs,
    draw_regularisation,
    draw_shares,
)
from batteryscope.report.number_paper_tables import find_grid
from batteryscope.report.number_shortcuts import list_shortcut_figures
from batteryscope.report.shared_figures import draw_shared_figures, share_pictures

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Figures that are drawn for telephones, too: their panels can stand below each other.
NARROW = ("key_figure", "scatter", "parity", "error_map", "trade_off", "training_", "shortcuts")
# Grids of pictures and groups of bars are drawn a second time, with fewer columns.
REDRAWN = ("methods_", "outputs_", "shares_")
Figures = dict[str, tuple[Callable[..., "Figure"], str]]


def draw_number_pictures(evidence: NumberEvidence, workers: int = 1) -> dict[str, Picture]:
    """Draw all figures by name."""
    figures = list_figures(evidence) | list_shortcut_figures(evidence)

    def draw(name: str) -> Picture:
        figure, caption = figures[name]
        narrow = name.startswith(NARROW)
        small = figure(narrow=True) if name.startswith(REDRAWN) else narrow
        return encode_picture(figure(), name, caption, evidence.generated, small)

    drawn = call_side_by_side([partial(draw, name) for name in figures], workers)
    shared = share_pictures(evidence)
    return {picture.name: picture for picture in [*drawn, *draw_shared_figures(shared)]}


def list_figures(evidence: NumberEvidence) -> Figures:
    """Return how every figure is drawn, and its caption; the first is the key figure."""
    published = list(dict.fromkeys([evidence.main_arm, *evidence.settings.published_arms]))
    figures = _list_curves(evidence, published)
    tested = evidence.images[evidence.images["arm"] == evidence.main_arm]
    if shown := [q for q in evidence.singles if (tested["target"] == q.name).any()]:
        figures["scatter" if figures else "key_figure"] = (
            partial(draw_scatter, evidence.images, evidence.main_arm, shown),
            "Predicted over true value of every test sample; where specimens have several samples, "
            "circles are their means. On the dotted line both are equal.",
        )
    for arm in published:
        figures |= list_training_figures(evidence, arm)
        figures |= _list_maps(evidence, arm)
        if evidence.shares is not None and (evidence.shares["arm"] == arm).any():
            figures[f"shares_{arm}"] = (
                partial(draw_shares, evidence.shares, arm),
                f"{evidence.label(arm)}: attribution per area; 1 is what chance would give.",
            )
    cells = find_grid(evidence)
    if len(cells) > 1 and evidence.main_arm in evidence.maps:
        last = len(evidence.maps[evidence.main_arm].targets) - 1
        figures["regularisation"] = (
            partial(draw_regularisation, cells, dict(evidence.maps), last),
            "Penalty and adversarial noise: MAPE, Grad-RAM (above) and guided backpropagation "
            f"(below) of the same picture, highest {evidence.axis}.",
        )
    return figures


def _list_curves(evidence: NumberEvidence, published: Sequence[str]) -> Figures:
    """Return the figures of curves; none if nothing that was tested lies on an axis."""
    tested = set(evidence.curves["arm"])
    drawn = [
        (arm, points)
        for arm in published
        if arm in tested
        for points in group_by_curve(evidence.points_of(arm), {q.name for q in evidence.points})
    ]
    if not drawn:
        return {}
    axis, words = evidence.axis, evidence.words
    labels = " and ".join(dict.fromkeys(points[0].label for _, points in drawn))
    simulated = (
        ", dotted lines simulated by the half-cell model at the nominal porosity."
        if (evidence.curves["arm"] == PHYSICS).any()
        else "."
    )
    figures: Figures = {
        "key_figure": (
            partial(draw_rate_curves, evidence.curves, drawn, words),
            f"{labels[0].upper()}{labels[1:]} over {axis}: circles are {evidence.truth}, lines "
            f"predicted for test images (band: standard deviation between images){simulated}",
        ),
        "parity": (
            partial(draw_parity, evidence.images, drawn, evidence.truth),
            f"Predicted over {evidence.truth} {labels} of all test images.",
        ),
    }
    if relative := [(arm, points) for arm, points in drawn if points[0].relative]:
        figures["error_map"] = (
            partial(draw_error_map, evidence.comparison, relative, words),
            f"Mean absolute percentage error for every {axis} and {words.noun}.",
        )
    units = {points[0].unit: arm for arm, points in reversed(drawn)}
    mass, volume = units.get("Ah/kg"), units.get("Ah/L")
    if mass and volume and evidence.settings.dataset.targets.compares_porosities:
        figures["trade_off"] = (
            partial(draw_trade_off, evidence.curves, mass, volume, evidence.truth),
            "Capacity over porosity: dense electrodes win per litre at low C-rates and lose at "
            "high ones.",
        )
    return figures


def _list_maps(evidence: NumberEvidence, arm: str) -> Figures:
    """Return what an arm looks at: every quantity by itself, of curves the last point."""
    if arm not in evidence.maps:
        return {}
    maps = evidence.maps[arm]
    figures: Figures = {}
    known = [evidence.quantity(target) for target in maps.targets]
    last = max((number for number, q in enumerate(known) if q.curve), default=-1)
    for number, quantity in enumerate(known):
        if quantity.curve and number != last:
            continue
        what = " at ".join(filter(None, (quantity.label, quantity.place)))
        by = f"its {evidence.words.noun}" if maps.truth is None else "its true value"
        figures[f"methods_{arm}" if quantity.curve else f"methods_{arm}_{quantity.name}"] = (
            partial(draw_methods, maps, number, evidence.words.unit),
            f"{evidence.label(arm)}, {what}: what raises (red) and lowers (blue) it; above each "
            f"picture stands {by}. Guided backpropagation: where brighter pixels would. Every map "
            "has a scale of its own.",
        )
    if len(known) > 1:
        middle = len(maps.tiles) // 2
        titles = [quantity.place or quantity.label for quantity in known]
        figures[f"outputs_{arm}"] = (
            partial(draw_outputs, maps, middle, titles),
            f"{evidence.label(arm)}: one picture, all outputs. Every map has a scale of its own.",
        )
    return figures


def list_training_figures(evidence: NumberEvidence, arm: str) -> Figures:
    """Return how the training of an arm is drawn; nothing if no fit took more than an epoch."""
    if not any(len(history) > 1 for history in evidence.histories.get(arm, ())):
        return {}
    drawn = partial(draw_losses, evidence.histories[arm])
    return {f"training_{arm}": (drawn, f"Training of {evidence.label(arm)}, all folds.")}


def group_by_curve(quantities: Sequence[Quantity], tested: set[str]) -> list[list[Quantity]]:
    """Put the points of each curve together, of what was tested."""
    groups: dict[tuple[str, str], list[Quantity]] = {}
    for quantity in quantities:
        if quantity.name in tested:
            key = (quantity.curve or quantity.name, quantity.unit)
            groups.setdefault(key, []).append(quantity)
    return list(groups.values())
