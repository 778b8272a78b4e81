"""The report of a study of predicted numbers: page, figures, tables and summary."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
import yaml

from batteryscope.config.evaluate import PaperRange
from batteryscope.config.predicted import Quantity
from batteryscope.core.baseline_catalogue import PHYSICS
from batteryscope.core.forked_calls import call_side_by_side
from batteryscope.core.style import Picture, encode_picture
from batteryscope.evaluation.metric_catalogue import name_metric
from batteryscope.evaluation.number_comparison import SAMPLE_LEVELS, pick
from batteryscope.evaluation.number_metrics import have_one_error, show_unit
from batteryscope.evaluation.number_versions import pool_answers
from batteryscope.evaluation.published_answers import list_predictions, write_answers
from batteryscope.planning.layout import PictureLayout
from batteryscope.provenance import name_code_version
from batteryscope.report import number_map_tables as map_tables
from batteryscope.report import number_tables as tables
from batteryscope.report.embedded import PAGE_BYTES
from batteryscope.report.html import make_environment
from batteryscope.report.input_tables import show_rejects
from batteryscope.report.number_evidence import (
    NumberEvidence,
    collect_number_evidence,
)
from batteryscope.report.number_external import (
    count_external_rejects,
    say_external,
    show_external,
)
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
from batteryscope.report.number_shortcuts import FIGURE as SHORTCUT_FIGURE
from batteryscope.report.number_shortcuts import TEXTS as SHORTCUT_TEXTS
from batteryscope.report.number_shortcuts import list_shortcut_figures, show_number_shortcuts
from batteryscope.report.phrases import (
    describe_flips,
    describe_preview,
    describe_tiles,
    title_finding,
)
from batteryscope.report.report_folder import write_report_folder
from batteryscope.report.shared_figures import draw_shared_figures, share_pictures
from batteryscope.report.shown_table import ShownTable, show_table
from batteryscope.report.sweeps import show_sweeps
from batteryscope.report.tables import NOTHING
from batteryscope.report.tested_images import ImageBrowser, browse_quantities
from batteryscope.samples.choose import samples_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Figures that are drawn for telephones, too: their panels can stand below each other.
NARROW = ("key_figure", "scatter", "parity", "error_map", "trade_off", "training_", "shortcuts")
# Grids of pictures and groups of bars are drawn a second time, with fewer columns.
REDRAWN = ("methods_", "outputs_", "shares_")
MAPS = ("methods_", "outputs_")
Figures = dict[str, tuple[Callable[..., "Figure"], str]]
OVER = {
    "c_rate": "C-rates",
    "porosity": "porosities",
    "both": "pairs of C-rate and porosity",
    "training": "penalties and noise",
}


def show_paper_ranges(evidence: NumberEvidence) -> ShownTable | None:
    """Put every published range beside the lowest and highest of the same errors here."""
    rows = []
    for published in evidence.settings.evaluate.paper_ranges:
        if published.arm not in evidence.plan.arms:
            continue
        errors = list_errors(evidence, published)
        rows.append(
            {
                "error": f"{name_metric(published.metric)}, {evidence.label(published.arm)}",
                "over": OVER[published.over],
                "paper": f"{published.low:g} to {published.high:g}",
                "here": f"{min(errors):.2f} to {max(errors):.2f}" if errors else NOTHING,
                "note": published.note or NOTHING,
            }
        )
    return show_table(pd.DataFrame(rows), "", ("error", "over", "note"))


def list_errors(evidence: NumberEvidence, published: PaperRange) -> list[float]:
    """List the errors whose range was published: means over fits, single images."""
    arms = [published.arm]
    by_rate, by_porosity = (
        published.over in ("c_rate", "both"),
        published.over in ("porosity", "both"),
    )
    if published.over == "training":
        train = evidence.plan.arms[published.arm].recipe.train
        like = evidence.plan.arms[published.arm].recipe
        arms = [
            name
            for name, arm in evidence.plan.arms.items()
            if arm.recipe.model_copy(update={"train": train}) == like
        ]
    table = evidence.comparison
    chosen = (
        table["arm"].isin(arms)
        & (table["metric"] == published.metric)
        & table["level"].isin(SAMPLE_LEVELS)
        & ((table["target"] != "") == by_rate)
        & ((table["domain"] != "") == by_porosity)
    )
    return [float(value) for value in table.loc[chosen, "mean"].dropna()]


def report_study(layout: PictureLayout, out: Path, workers: int = 1) -> Path:
    """Write the report of a study of numbers; return the path of its page.

    Raises
    ------
    InputError
        If a piece of the study is missing or cannot be read.
    """
    evidence = collect_number_evidence(layout, name_code_version())
    page = write_number_report(evidence, out, workers)
    units = {quantity.name: quantity.unit for quantity in evidence.quantities}
    answers = pool_answers(list_predictions(layout))
    write_answers(answers, layout.answer, units, out / "tables")
    return page


def write_number_report(evidence: NumberEvidence, out: Path, workers: int = 1) -> Path:
    """Draw in ``workers`` processes, render and write everything; return the path of the page."""
    pictures = draw_number_pictures(evidence, workers)
    sentence = say_result(evidence)
    room_bytes = PAGE_BYTES - len(render_number_report(evidence, sentence, pictures))
    tested = browse_quantities(evidence, workers, room_bytes)
    html = render_number_report(evidence, sentence, pictures, tested)
    summary = {
        "study": evidence.study,
        "title": evidence.settings.title,
        "headline": sentence,
        "generated": evidence.generated,
        "paper": evidence.settings.paper_of_data,
        "paper_doi": evidence.settings.paper_doi,
        "figure": "figures/key_figure.png",
        "numbers": list_numbers(evidence),
    }
    page = write_report_folder(
        out, html, summary, pictures.values(), evidence.files, evidence.main_arm
    )
    for arm, histories in evidence.histories.items():
        for number, history in enumerate(histories):
            path = out / "tables" / f"history_{arm}_{number}.csv"
            history.to_csv(path, index=False, float_format="%.6g")
    return page


def say_result(evidence: NumberEvidence) -> str:
    """Return the main result in one sentence."""
    arm, parts, best = evidence.main_arm, [], []
    tested = evidence.images[(evidence.images["arm"] == arm) & (evidence.images["role"] == "test")]
    groups = _told_together(evidence.outputs(arm), set(tested["target"]))
    for told in groups:
        error = _find_error(evidence, told)
        parts.append(f"{_name(told)} with a mean error of {error.said}")
        if found := tables.find_best_baseline(evidence, told):
            name, value = found
            unit = "%" if told[0].relative else show_unit(told[0].unit)
            shown = f"{value:.1f}" if told[0].relative else f"{value:.3g}"
            verdict = "" if value > error.value else ", no more than the network"
            which = f" ({_name(told)})" if len(groups) > 1 else ""
            best.append(f"{name}, errs by {shown} {unit}{which}{verdict}")
    specimens = tested["specimen_id"].replace("", np.nan).nunique()
    samples = samples_of(evidence.settings)
    unit = f"{evidence.specimen}s" if specimens else samples.plural
    n = specimens or tested["sample_id"].nunique()
    sentence = (
        f"From {samples.given} the network predicts {' and '.join(parts)}, for {n} {unit} that it "
        "has not seen."
    )
    if best:
        sentence += f" The best baseline, {'; '.join(best)}."
    if evidence.truth == "computed":
        sentence += " The capacities were computed, not measured."
    return sentence


class _Error(NamedTuple):
    value: float
    said: str


def _told_together(quantities: Sequence[Quantity], tested: set[str]) -> list[list[Quantity]]:
    """Put the points of each curve together, of what was tested."""
    groups: dict[tuple[str, str], list[Quantity]] = {}
    for quantity in quantities:
        if quantity.name in tested:
            key = (quantity.curve or quantity.name, quantity.unit)
            groups.setdefault(key, []).append(quantity)
    return list(groups.values())


def _name(told: Sequence[Quantity]) -> str:
    n = len(told)
    return f"the {told[0].curve} ({n} points)" if told[0].curve else told[0].label


def _find_error(evidence: NumberEvidence, told: Sequence[Quantity]) -> _Error:
    """Return the mean error of quantities that are told together, and how it is said."""
    first, arm = told[0], evidence.main_arm
    is_all = len(told) == len(evidence.outputs(arm))
    target = "" if is_all and len(told) > 1 else first.name
    cells = {m: pick(evidence.comparison, arm, m, target) for m in (first.main_metric, "mae", "r2")}
    if len(told) > 1 and not is_all:  # several curves: the mean over the points of each
        means = {
            metric: float(
                np.mean([pick(evidence.comparison, arm, metric, q.name)[0] for q in told])
            )
            for metric in (first.main_metric, "mae")
        }
        cells = {metric: (mean, float("nan")) for metric, mean in means.items()}
    mae, unit = cells["mae"][0], show_unit(first.unit)
    value, sd = cells[first.main_metric]
    if first.relative:
        spread = f" ± {sd:.1f}" if np.isfinite(sd) else ""
        return _Error(value, f"{value:.1f}{spread} % ({mae:.3g} {unit})")
    spread = f" ± {sd:.2g}" if np.isfinite(sd) else ""
    r2 = cells.get("r2", (float("nan"), 0.0))[0]
    explained = f" (R² {r2:.2f})" if np.isfinite(r2) else ""
    return _Error(value, f"{value:.3g}{spread} {unit}{explained}")


def list_numbers(evidence: NumberEvidence) -> dict[str, float]:
    """Return the numbers of the summary: the error of a curve, MAE and R² of other quantities."""
    arm, numbers = evidence.main_arm, {}
    own = evidence.outputs(arm)
    if evidence.points_of(arm) == own and have_one_error(own):
        metric = own[0].main_metric
        return {metric: round(pick(evidence.comparison, arm, metric)[0], 4)}
    for quantity in own:
        for metric in dict.fromkeys((quantity.main_metric, "r2")):
            value, _ = pick(evidence.comparison, arm, metric, quantity.name)
            if np.isfinite(value):
                numbers[f"{quantity.name}.{metric}"] = float(f"{value:.4g}")
    return numbers


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
    cells = tables.find_grid(evidence)
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
        for points in _told_together(evidence.points_of(arm), {q.name for q in evidence.points})
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


def render_number_report(
    evidence: NumberEvidence,
    sentence: str,
    pictures: Mapping[str, Picture],
    tested: ImageBrowser | None = None,
) -> str:
    """Render the page: figures, style and scripts are inside, nothing is loaded."""
    published = list(dict.fromkeys([evidence.main_arm, *evidence.settings.published_arms]))
    rejects, rejected = show_rejects(evidence.rejects)
    crops, rejected_crops = show_rejects(evidence.tile_rejects)
    recipe, singles = evidence.plan.main.recipe, evidence.singles
    on_curves = [arm for arm in published if any(q.relative for q in evidence.points_of(arm))]
    context: dict[str, Any] = {
        "evidence": evidence,
        "settings": evidence.settings,
        "recipe": recipe,
        "cropping": describe_tiles(recipe.preprocess) + describe_flips(recipe.model),
        "preview_text": describe_preview(recipe.preprocess),
        "sentence": sentence,
        "pictures": pictures,
        "tested": tested,
        "key_table": "curves.csv" if evidence.points else "",
        "published": published,
        "external_rejects": count_external_rejects(evidence),
        "rejects": rejects,
        "rejected": rejected,
        "crops": crops,
        "rejected_crops": rejected_crops,
        "warnings": evidence.audit.get("warnings", []),
        "shortcuts": show_number_shortcuts(evidence),
        "shortcut_texts": SHORTCUT_TEXTS,
        "shortcut_figures": [name for name in pictures if name.startswith(f"{SHORTCUT_FIGURE}_")],
        "samples": samples_of(evidence.settings).plural,
        "sample": samples_of(evidence.settings).noun,
        "sweeps": show_sweeps(evidence.sweeps),
        "sweep_names": [name for name in pictures if name.startswith("sweep_")],
        "settings_yaml": yaml.safe_dump(
            evidence.settings.model_dump(mode="json", exclude={"demo"}),
            sort_keys=False,
            allow_unicode=True,
            width=96,
        ),
        "findings": [
            (f["severity"], title_finding(str(f["kind"])), f["text"]) for f in evidence.findings
        ],
        "overall": tables.show_overall(evidence) if evidence.points else None,
        "baselines": tables.show_baselines(evidence) if evidence.points else None,
        "by_point": [tables.show_by_point(evidence, arm) for arm in published],
        "by_class": [tables.show_by_class(evidence, arm) for arm in on_curves],
        "arms_by_class": tables.show_arms_by_class(evidence) if on_curves else None,
        "errors": [table for q in singles if (table := tables.show_errors(evidence, q))],
        "errors_by_class": [t for q in singles if (t := tables.show_errors_by_class(evidence, q))],
        "paper_notes": tables.list_paper_notes(evidence),
        "paper_ranges": show_paper_ranges(evidence),
        "fitted_constants": tables.say_fitted_constants(evidence),
        "external": show_external(evidence),
        "external_texts": say_external(evidence),
        "intervals": tables.show_intervals(evidence),
        "shares": map_tables.show_shares(evidence),
        "artefacts": [map_tables.say_artefacts(evidence, arm) for arm in published],
        "agreement": map_tables.show_agreement(evidence),
        "map_cost": map_tables.show_map_cost(evidence),
        "grid": tables.show_grid(evidence),
        "data": tables.show_data(evidence),
        "ranges": tables.show_ranges(evidence),
        "maps": [name for name in pictures if name.startswith(MAPS)],
        "trainings": [name for name in pictures if name.startswith("training_")],
    }
    return make_environment().get_template("number_study.html.j2").render(context)
