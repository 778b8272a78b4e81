"""The report of a study of predicted numbers: page, figures, tables and summary."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from batteryscope.config.evaluate import PaperRange
from batteryscope.core.baseline_catalogue import PHYSICS
from batteryscope.core.forked_calls import call_side_by_side
from batteryscope.core.style import Picture, encode_picture
from batteryscope.evaluation.metric_catalogue import name_metric
from batteryscope.evaluation.number_versions import pool_answers
from batteryscope.evaluation.published_answers import list_predictions, write_answers
from batteryscope.evaluation.regression_comparison import SAMPLE_LEVELS, pick
from batteryscope.evaluation.regression_findings import COMPUTED
from batteryscope.evaluation.regression_metrics import read_target, show_unit
from batteryscope.planning.layout import PictureLayout
from batteryscope.provenance import name_code_version
from batteryscope.report import regression_tables as tables
from batteryscope.report.embedded import PAGE_BYTES
from batteryscope.report.facts import show_rejects
from batteryscope.report.html import make_environment
from batteryscope.report.number_shortcuts import FIGURE as SHORTCUT_FIGURE
from batteryscope.report.number_shortcuts import TEXTS as SHORTCUT_TEXTS
from batteryscope.report.number_shortcuts import list_shortcut_figures, show_number_shortcuts
from batteryscope.report.quantity_report import (
    NARROW,
    REDRAWN,
    Figures,
    list_quantity_figures,
    list_quantity_numbers,
    list_training_figures,
    render_quantity_report,
    say_quantities,
)
from batteryscope.report.regression_evidence import (
    RegressionEvidence,
    collect_regression_evidence,
)
from batteryscope.report.regression_external import (
    count_external_rejects,
    say_external,
    show_external_capacities,
)
from batteryscope.report.regression_figures import (
    draw_error_map,
    draw_parity,
    draw_rate_curves,
    draw_trade_off,
)
from batteryscope.report.regression_map_figures import (
    draw_methods,
    draw_outputs,
    draw_regularisation,
    draw_shares,
)
from batteryscope.report.report_folder import write_report_folder
from batteryscope.report.shared_figures import draw_shared_figures, share_pictures
from batteryscope.report.shown_table import ShownTable, show_table
from batteryscope.report.sweeps import show_sweeps
from batteryscope.report.tables import NOTHING
from batteryscope.report.tested_images import ImageBrowser, browse_quantities
from batteryscope.report.words import describe_flips, describe_tiles, title_finding
from batteryscope.samples.choose import samples_of

FINDING_TITLES = {
    "shortcut": title_finding("shortcut"),
    COMPUTED: "Capacities that nobody measured",
    "proxy": "Does it need a network?",
    "unknown_porosity": "A porosity that is new",
    "leak": "Images of one electrode in training and test",
    "allowed_leakage": "Training and test data",
    "test_validation": "Validation and test data",
    "few_targets": "Few different capacities",
    "trade_off": "Per litre and per kilogram",
    "constant": "C-rates at which nothing varies",
    "coverage": "Intervals",
    "covariates": "Do covariates help?",
    "no_percentage": "No percentage of zero",
}
OVER = {
    "c_rate": "C-rates",
    "porosity": "porosities",
    "both": "pairs of C-rate and porosity",
    "training": "penalties and noise",
}


def show_paper_ranges(evidence: RegressionEvidence) -> ShownTable | None:
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


def list_errors(evidence: RegressionEvidence, published: PaperRange) -> list[float]:
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
    evidence = collect_regression_evidence(layout, name_code_version())
    page = write_regression_report(evidence, out, workers)
    units = {quantity.name: quantity.unit for quantity in evidence.quantities}
    answers = pool_answers(list_predictions(layout))
    write_answers(answers, layout.answer, units, out / "tables")
    return page


def write_regression_report(evidence: RegressionEvidence, out: Path, workers: int = 1) -> Path:
    """Draw in ``workers`` processes, render and write everything; return the path of the page."""
    pictures = draw_regression_pictures(evidence, workers)
    sentence = say_result(evidence) if evidence.has_axis else say_quantities(evidence)
    room_bytes = PAGE_BYTES - len(render_regression_report(evidence, sentence, pictures))
    tested = browse_quantities(evidence, workers, room_bytes)
    html = render_regression_report(evidence, sentence, pictures, tested)
    mape, _ = pick(evidence.comparison, evidence.main_arm)
    numbers = {"mape": round(mape, 4)} if evidence.has_axis else list_quantity_numbers(evidence)
    summary = {
        "study": evidence.study,
        "title": evidence.settings.title,
        "headline": sentence,
        "generated": evidence.generated,
        "paper": evidence.settings.paper_of_data,
        "paper_doi": evidence.settings.paper_doi,
        "figure": "figures/key_figure.png",
        "numbers": numbers,
    }
    page = write_report_folder(
        out, html, summary, pictures.values(), evidence.files, evidence.main_arm
    )
    for arm, histories in evidence.histories.items():
        for number, history in enumerate(histories):
            path = out / "tables" / f"history_{arm}_{number}.csv"
            history.to_csv(path, index=False, float_format="%.6g")
    return page


def say_result(evidence: RegressionEvidence) -> str:
    """Return the main result in one sentence."""
    arm = evidence.main_arm
    mape, sd = pick(evidence.comparison, arm)
    mae, _ = pick(evidence.comparison, arm, "mae")
    unit = show_unit(str(evidence.plan.main.recipe.model.outputs))
    spread = f" ± {sd:.1f}" if sd == sd else ""
    n = evidence.images.loc[
        (evidence.images["arm"] == arm) & (evidence.images["role"] == "test"), "specimen_id"
    ].nunique()
    return (
        f"From a cross-section the network predicts the capacity at "
        f"{len(evidence.maps[arm].targets) if arm in evidence.maps else 'all'} C-rates with a mean "
        f"error of {mape:.1f}{spread} % ({mae:.1f} {unit}) for {n} electrodes that it has not seen."
        + _say_best_baseline(evidence, mape)
        + (" The capacities were computed, not measured." if evidence.truth == "computed" else "")
    )


def _say_best_baseline(evidence: RegressionEvidence, mape: float) -> str:
    """Name the baseline that errs least, whether or not it errs less than the network."""
    best = tables.find_best_baseline(evidence)
    if best is None:
        return ""
    name, error = best
    verdict = "" if error > mape else ", no more than the network"
    return f" The best baseline, {name}, errs by {error:.1f} %{verdict}."


def draw_regression_pictures(evidence: RegressionEvidence, workers: int = 1) -> dict[str, Picture]:
    """Draw all figures by name."""
    listed = _list_rate_figures if evidence.has_axis else list_quantity_figures
    figures = listed(evidence) | list_shortcut_figures(evidence)

    def draw(name: str) -> Picture:
        figure, caption = figures[name]
        narrow = name.startswith(NARROW)
        small = figure(narrow=True) if name.startswith(REDRAWN) else narrow
        return encode_picture(figure(), name, caption, evidence.generated, small)

    drawn = call_side_by_side([partial(draw, name) for name in figures], workers)
    shared = share_pictures(evidence)
    return {picture.name: picture for picture in [*drawn, *draw_shared_figures(shared)]}


def _list_rate_figures(evidence: RegressionEvidence) -> Figures:
    """Return how every figure of capacities over the C-rate is drawn, and its caption."""
    published = list(dict.fromkeys([evidence.main_arm, *evidence.settings.published_arms]))
    outputs = {arm: evidence.plan.arms[arm].recipe.model.outputs for arm in published}
    figures: Figures = {
        "key_figure": (
            partial(draw_rate_curves, evidence.curves, published),
            f"Capacity over C-rate: circles are {evidence.truth}, lines predicted for test images "
            "(band: standard deviation between images)"
            + (
                ", dotted lines simulated by the half-cell model at the nominal porosity."
                if (evidence.curves["arm"] == PHYSICS).any()
                else "."
            ),
        ),
        "parity": (
            partial(draw_parity, evidence.images, published, evidence.truth),
            f"Predicted over {evidence.truth} capacity of all test images.",
        ),
        "error_map": (
            partial(draw_error_map, evidence.comparison, published),
            "Mean absolute percentage error for every C-rate and porosity.",
        ),
    }
    mass = next((a for a in published if outputs[a] == "Ah/kg"), None)
    volume = next((a for a in published if outputs[a] == "Ah/L"), None)
    if mass and volume:
        figures["trade_off"] = (
            partial(draw_trade_off, evidence.curves, mass, volume, evidence.truth),
            "Capacity over porosity: dense electrodes win per litre at low C-rates and lose at "
            "high ones.",
        )
    for arm in published:
        figures |= list_training_figures(evidence, arm)
        if arm in evidence.maps:
            maps = evidence.maps[arm]
            last = len(maps.targets) - 1
            rate = read_target(maps.targets[last])[0]
            figures[f"methods_{arm}"] = (
                partial(draw_methods, maps, last),
                f"{evidence.label(arm)}, capacity at {rate:g}C: what raises (red) and lowers "
                "(blue) it, by porosity. Guided backpropagation: where brighter pixels would. "
                "Every map has a scale of its own.",
            )
            middle = len(maps.tiles) // 2
            figures[f"outputs_{arm}"] = (
                partial(draw_outputs, maps, middle),
                f"{evidence.label(arm)}: one picture ({maps.classes[middle]} % porosity), all "
                "outputs. Every map has a scale of its own.",
            )
        if evidence.shares is not None and (evidence.shares["arm"] == arm).any():
            figures[f"shares_{arm}"] = (
                partial(draw_shares, evidence.shares, arm),
                f"{evidence.label(arm)}: attribution per area; 1 is what chance would give.",
            )
    cells = tables.find_grid(evidence)
    if len(cells) > 1:
        last = len(evidence.maps[evidence.main_arm].targets) - 1
        figures["regularisation"] = (
            partial(draw_regularisation, cells, dict(evidence.maps), last),
            "Penalty and adversarial noise: MAPE, Grad-RAM (above) and guided backpropagation "
            "(below) of the same picture, highest C-rate.",
        )
    return figures


def render_regression_report(
    evidence: RegressionEvidence,
    sentence: str,
    pictures: Mapping[str, Picture],
    tested: ImageBrowser | None = None,
) -> str:
    """Render the page: figures, style and scripts are inside, nothing is loaded."""
    published = list(dict.fromkeys([evidence.main_arm, *evidence.settings.published_arms]))
    rejects, rejected = show_rejects(evidence.rejects)
    crops, rejected_crops = show_rejects(evidence.tile_rejects)
    recipe = evidence.plan.main.recipe
    common: dict[str, Any] = {
        "evidence": evidence,
        "settings": evidence.settings,
        "recipe": recipe,
        "cropping": describe_tiles(recipe.preprocess) + describe_flips(recipe.model),
        "sentence": sentence,
        "pictures": pictures,
        "tested": tested,
        "key_table": "curves.csv" if evidence.has_axis else "",
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
    }
    if not evidence.has_axis:
        return render_quantity_report(evidence, common, pictures)
    context = {
        **common,
        "findings": [
            (f["severity"], FINDING_TITLES.get(str(f["kind"]), str(f["kind"])), f["text"])
            for f in evidence.findings
        ],
        "overall": tables.show_overall(evidence),
        "baselines": tables.show_baselines(evidence),
        "by_rate": [tables.show_by_rate(evidence, arm) for arm in published],
        "by_porosity": [tables.show_by_porosity(evidence, arm) for arm in published],
        "arms_by_porosity": tables.show_arms_by_porosity(evidence, list(evidence.plan.arms)),
        "paper_notes": tables.list_paper_notes(evidence),
        "paper_ranges": show_paper_ranges(evidence),
        "fitted_constants": tables.say_fitted_constants(evidence),
        "external": show_external_capacities(evidence),
        "external_texts": say_external(evidence),
        "intervals": tables.show_capacity_intervals(evidence),
        "shares": tables.show_shares(evidence),
        "artefacts": [tables.say_artefacts(evidence, arm) for arm in published],
        "agreement": tables.show_agreement(evidence),
        "map_cost": tables.show_map_cost(evidence),
        "grid": tables.show_grid(evidence),
        "data": tables.show_data(evidence),
    }
    return make_environment().get_template("regression_study.html.j2").render(context)
