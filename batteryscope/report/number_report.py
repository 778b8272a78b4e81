"""The report of a study of predicted numbers: page, figures, tables and summary."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import yaml

from batteryscope.config.predicted import Quantity
from batteryscope.core.style import Picture
from batteryscope.evaluation.number_comparison import pick
from batteryscope.evaluation.number_metrics import have_one_error, show_unit
from batteryscope.evaluation.number_versions import pool_answers
from batteryscope.evaluation.published_answers import list_predictions, write_answers
from batteryscope.planning.layout import PictureLayout
from batteryscope.provenance import name_code_version
from batteryscope.report import number_map_tables as map_tables
from batteryscope.report import number_paper_tables as paper_tables
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
from batteryscope.report.number_pictures import draw_number_pictures, group_by_curve
from batteryscope.report.number_shortcuts import FIGURE as SHORTCUT_FIGURE
from batteryscope.report.number_shortcuts import TEXTS as SHORTCUT_TEXTS
from batteryscope.report.number_shortcuts import show_number_shortcuts
from batteryscope.report.phrases import (
    describe_flips,
    describe_preview,
    describe_tiles,
    title_finding,
)
from batteryscope.report.report_folder import write_report_folder
from batteryscope.report.sweeps import show_sweeps
from batteryscope.report.tested_images import ImageBrowser, browse_quantities
from batteryscope.samples.choose import samples_of

if TYPE_CHECKING:
    pass

MAPS = ("methods_", "outputs_")


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
    groups = group_by_curve(evidence.outputs(arm), set(tested["target"]))
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
        "paper_notes": paper_tables.list_paper_notes(evidence),
        "paper_ranges": paper_tables.show_paper_ranges(evidence),
        "fitted_constants": tables.say_fitted_constants(evidence),
        "external": show_external(evidence),
        "external_texts": say_external(evidence),
        "intervals": tables.show_intervals(evidence),
        "shares": map_tables.show_shares(evidence),
        "artefacts": [map_tables.say_artefacts(evidence, arm) for arm in published],
        "agreement": map_tables.show_agreement(evidence),
        "map_cost": map_tables.show_map_cost(evidence),
        "grid": paper_tables.show_grid(evidence),
        "data": tables.show_data(evidence),
        "ranges": tables.show_ranges(evidence),
        "maps": [name for name in pictures if name.startswith(MAPS)],
        "trainings": [name for name in pictures if name.startswith("training_")],
    }
    return make_environment().get_template("number_study.html.j2").render(context)
