"""The page of a study of quantities that lie on no common axis."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from batteryscope.core.style import Picture
from batteryscope.evaluation.regression_comparison import pick
from batteryscope.report import quantity_tables as tables
from batteryscope.report.html import make_environment
from batteryscope.report.regression_evidence import RegressionEvidence
from batteryscope.report.regression_figures import draw_losses, draw_scatter
from batteryscope.report.regression_map_figures import draw_methods, draw_outputs
from batteryscope.report.words import title_finding
from batteryscope.samples.choose import samples_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLES = {
    "shortcut": title_finding("shortcut"),
    "baseline": "Does it need a network?",
    "leak": "Samples of one specimen in training and test",
    "constant": "A quantity that does not vary",
    "coverage": "Intervals",
    "covariates": "Do covariates help?",
}
# Figures that are drawn for telephones, too: their panels can stand below each other.
NARROW = ("key_figure", "parity", "error_map", "trade_off", "training_", "shortcuts")
# Grids of pictures and groups of bars are drawn a second time, with fewer columns.
REDRAWN = ("methods_", "outputs_", "shares_")
Figures = dict[str, tuple[Callable[..., "Figure"], str]]


def say_quantities(evidence: RegressionEvidence) -> str:
    """Return the main result in one sentence."""
    arm, parts = evidence.main_arm, []
    tested = evidence.images[(evidence.images["arm"] == arm) & (evidence.images["role"] == "test")]
    for quantity in evidence.quantities:
        if not (tested["target"] == quantity.name).any():
            continue
        mae, sd = pick(evidence.comparison, arm, "mae", quantity.name)
        r2, _ = pick(evidence.comparison, arm, "r2", quantity.name)
        spread = f" ± {sd:.2g}" if np.isfinite(sd) else ""
        explained = f" (R² {r2:.2f})" if np.isfinite(r2) else ""
        parts.append(
            f"{quantity.label} with a mean error of {mae:.3g}{spread} {quantity.unit}{explained}"
        )
    best = [
        f"{name} with {error:.3g} {quantity.unit}".rstrip() + f" for {quantity.label}"
        for quantity in evidence.quantities
        for name, error in [tables.find_best_baseline(evidence, quantity.name)]
        if name
    ]
    beside = f" The best baseline errs like this: {' and '.join(best)}." if best else ""
    specimens = tested["specimen_id"].replace("", np.nan).nunique()
    unit = f"{specimens} specimens" if specimens else f"{tested['sample_id'].nunique()} images"
    sample = samples_of(evidence.settings).origin
    told = f"From {sample} the network predicts {' and '.join(parts)} for {unit} not seen before."
    return told + beside


def list_quantity_numbers(evidence: RegressionEvidence) -> dict[str, float]:
    """Return the numbers of the summary: MAE and R² of every quantity."""
    numbers = {}
    for quantity in evidence.quantities:
        for metric in ("mae", "r2"):
            value, _ = pick(evidence.comparison, evidence.main_arm, metric, quantity.name)
            if np.isfinite(value):
                numbers[f"{quantity.name}.{metric}"] = float(f"{value:.4g}")
    return numbers


def list_quantity_figures(evidence: RegressionEvidence) -> Figures:
    """Return how every figure is drawn, and its caption."""
    published = list(dict.fromkeys([evidence.main_arm, *evidence.settings.published_arms]))
    figures: Figures = {
        "key_figure": (
            partial(draw_scatter, evidence.images, evidence.main_arm, evidence.quantities),
            "Predicted over true value of every test sample; where specimens have several samples, "
            "circles are their means. On the dotted line both are equal.",
        )
    }
    for arm in published:
        figures |= list_training_figures(evidence, arm)
        if arm not in evidence.maps:
            continue
        maps = evidence.maps[arm]
        for number, target in enumerate(maps.targets):
            label = next(q.label for q in evidence.quantities if q.name == target)
            figures[f"methods_{arm}_{target}"] = (
                partial(draw_methods, maps, number),
                f"{evidence.label(arm)}, {label}: what raises (red) and lowers (blue) it. Above "
                "each picture stands its true value. Every map has a scale of its own.",
            )
        if len(maps.targets) > 1:
            figures[f"outputs_{arm}"] = (
                partial(draw_outputs, maps, len(maps.tiles) // 2),
                f"{evidence.label(arm)}: one picture, all quantities.",
            )
    return figures


def list_training_figures(evidence: RegressionEvidence, arm: str) -> Figures:
    """Return how the training of an arm is drawn; nothing if no fit took more than an epoch."""
    if not any(len(history) > 1 for history in evidence.histories.get(arm, ())):
        return {}
    drawn = partial(draw_losses, evidence.histories[arm])
    return {f"training_{arm}": (drawn, f"Training of {evidence.label(arm)}, all folds.")}


def render_quantity_report(
    evidence: RegressionEvidence, common: Mapping[str, Any], pictures: Mapping[str, Picture]
) -> str:
    """Render the page; ``common`` is what pages of capacities show as well."""
    context = {
        **common,
        "findings": [
            (f["severity"], TITLES.get(str(f["kind"]), str(f["kind"])), f["text"])
            for f in evidence.findings
        ],
        "errors": [t for q in evidence.quantities if (t := tables.show_errors(evidence, q))],
        "by_class": [
            t for q in evidence.quantities if (t := tables.show_errors_by_class(evidence, q))
        ],
        "intervals": tables.show_quantity_intervals(evidence),
        "ranges": tables.show_ranges(evidence),
        "external": tables.show_external_quantities(evidence),
        "maps": [name for name in pictures if name.startswith(("methods_", "outputs_"))],
        "trainings": [name for name in pictures if name.startswith("training_")],
    }
    return make_environment().get_template("quantity_study.html.j2").render(context)
