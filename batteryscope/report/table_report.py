"""The report of a study of tables: page, figures, tables and summary."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from batteryscope.core.safe_text import guard_table
from batteryscope.core.style import Picture
from batteryscope.evaluation.number_versions import pool_answers
from batteryscope.evaluation.published_answers import write_answers
from batteryscope.planning.layout import RowLayout
from batteryscope.provenance import name_code_version
from batteryscope.report import row_input_tables, table_results
from batteryscope.report.html import make_environment
from batteryscope.report.report_folder import write_report_folder
from batteryscope.report.shared_figures import SharedEvidence, draw_shared_figures
from batteryscope.report.sweeps import show_sweeps
from batteryscope.report.table_evidence import TableEvidence, collect_table_evidence
from batteryscope.report.table_pictures import draw_table_pictures
from batteryscope.report.table_results import (
    TableHeadline,
    find_best_baseline,
    find_row,
    format_error,
    name_target,
)
from batteryscope.tables.labels import name_arm, name_domain
from batteryscope.tables.proposals import TOLERANCE
from batteryscope.tables.published_answers import list_predictions
from batteryscope.tables.table_predictions import PROCESSES, find_family

MUCH_WIDER = 5  # times the tolerance: the interval then says more about the proposal than the hit


def tell_proposal_cautions(evidence: TableEvidence) -> list[str]:
    """Say where the prediction interval dwarfs the wish, and where another model knows better.

    Returns
    -------
    list of str
        One sentence each; empty if nothing is proposed or nothing is to be said.
    """
    propose = evidence.settings.propose
    if propose is None or evidence.proposals is None:
        return []
    sentences = []
    domain = propose.domain
    models = evidence.search.get("models", {})
    for target in propose.wanted:
        arm = models.get(target, evidence.arm_of(domain))
        name = f"{name_target(evidence, target)} of {name_domain(domain)}"
        if evidence.intervals is not None:
            rows = evidence.intervals[evidence.intervals["arm"] == arm]
            rows = rows[(rows["target"] == target) & (rows["domain"] == domain)]
            width = float(rows["relative_half_width"].iloc[0]) if len(rows) else np.inf
            if not np.isfinite(width):
                sentences.append(f"How sure the {name} is, is unknown: there are too few rows.")
            elif width > MUCH_WIDER * TOLERANCE:
                sentences.append(
                    f"The {name} is only known to ± {100 * width:.0f} %, far more than the "
                    f"{100 * TOLERANCE:g} % by which a proposal may miss the wish: take the "
                    "proposals as a direction."
                )
        own = find_row(evidence, arm, target, domain)
        best = find_best_baseline(evidence, target, domain)
        if own is not None and best is not None and best["mean"] < own["mean"]:
            sentences.append(
                f"For the {name}, {name_arm(best['arm'])} ({format_error(evidence, best)}) errs "
                f"less than what searched ({format_error(evidence, own)}): check the proposals "
                "with it."
            )
    return sentences


def report_study(layout: RowLayout, out: Path, workers: int = 1) -> Path:
    """Write the report of a study of rows; return the path of its page.

    Its figures are few: ``workers`` would not make them sooner.

    Raises
    ------
    InputError
        If a piece of the study is missing or cannot be read.
    """
    del workers
    page = write_table_report(collect_table_evidence(layout, name_code_version()), out)
    units = {n: column.unit for n, column in layout.plan.settings.dataset.targets.items()}
    needed = (layout.comparison / "predictions.parquet", layout.data.manifest)
    if all(path.is_file() for path in needed):  # as the rest of the page, without other pieces
        answers = pool_answers(list_predictions(layout))
        write_answers(answers, layout.answer, units, out / "tables")
    return page


def render_table_report(
    evidence: TableEvidence, headline: TableHeadline, pictures: Mapping[str, Picture]
) -> str:
    """Render the page: figures, style and scripts are inside, nothing is loaded."""
    settings = evidence.settings
    rejects, rejected_rows = row_input_tables.show_row_rejects(evidence.rejects)
    targets = {target: name_target(evidence, target) for target in settings.dataset.targets}
    context: dict[str, Any] = {
        "evidence": evidence,
        "settings": settings,
        "headline": headline,
        "pictures": pictures,
        "key_table": "comparison.csv",
        "targets": targets,
        "source": name_domain(settings.dataset.source),
        "names_of_arms": name_arm,
        "main_label": name_arm(settings.main_arm),
        "source_label": name_arm(find_family(settings.main_arm).source),
        "has_processes": any(find_family(arm) is PROCESSES for arm in settings.arms),
        "answer": table_results.show_answer(evidence),
        "findings": table_results.show_table_findings(evidence),
        "results": table_results.show_results(evidence),
        "published": table_results.show_published(evidence),
        "orders": table_results.show_orders(evidence),
        "adapter_text": table_results.say_adapter(evidence) if settings.paper_of_data else "",
        "paired": table_results.show_paired(evidence.paired, evidence),
        "intervals": row_input_tables.show_intervals(evidence),
        "ablations": [name for name in pictures if name.startswith("ablation_")],
        "proposals": row_input_tables.show_proposals(evidence),
        "proposal_cautions": tell_proposal_cautions(evidence),
        "domains": row_input_tables.show_domains(evidence),
        "columns": row_input_tables.show_columns(evidence),
        "paper_distributions": row_input_tables.show_paper_distributions(evidence),
        "rejects": rejects,
        "rejected_rows": rejected_rows,
        "networks": row_input_tables.show_networks(evidence),
        "seeds": row_input_tables.show_table_seeds(evidence),
        "sweeps": show_sweeps(name_places(evidence)),
        "sweep_names": [name for name in pictures if name.startswith("sweep_")],
        "settings_yaml": yaml.safe_dump(
            settings.model_dump(mode="json", exclude={"demo"}),
            sort_keys=False,
            allow_unicode=True,
            width=96,
        ),
    }
    return make_environment().get_template("table_study.html.j2").render(context)


def write_table_report(evidence: TableEvidence, out: Path) -> Path:
    """Draw, render and write everything; return the path of ``report.html``.

    Parameters
    ----------
    evidence
        What was measured.
    out
        The folder to write to: ``report.html``, ``summary.json``, ``comparison.csv``,
        ``metrics.json``, ``figures/`` (PNG and SVG) and ``tables/``. The two folders are
        replaced as a whole.
    """
    headline = table_results.find_table_headline(evidence)
    pictures = draw_table_pictures(evidence)
    shared = SharedEvidence(evidence.comparison, name_places(evidence), evidence.generated)
    pictures |= {picture.name: picture for picture in draw_shared_figures(shared)}
    html = render_table_report(evidence, headline, pictures)
    summary = {
        "study": evidence.study,
        "title": evidence.settings.title,
        "headline": headline.sentence,
        "generated": evidence.generated,
        "paper": evidence.settings.paper_of_data,
        "paper_doi": evidence.settings.paper_doi,
        "figure": "figures/key_figure.png" if "key_figure" in pictures else None,
        "numbers": dict(headline.numbers),
    }
    page = write_report_folder(
        out, html, summary, pictures.values(), evidence.files, evidence.settings.main_arm
    )
    tables = out / "tables"
    errors = guard_table(list_errors(evidence.errors))
    errors.to_csv(tables / "errors.csv", index=False, float_format="%.6g")
    if evidence.histories is not None:
        evidence.histories.to_csv(tables / "history.csv", index=False, float_format="%.6g")
    return page


def name_places(evidence: TableEvidence) -> pd.DataFrame | None:
    """Return the points of sweeps with targets and domains called as in the rest of the page."""
    if evidence.sweeps is None:
        return None
    targets = {target: name_target(evidence, target) for target in evidence.settings.networks}
    names = {domain: name_domain(domain) for domain in set(evidence.sweeps["domain"])}
    return evidence.sweeps.replace({"target": targets, "domain": names})


def list_errors(errors: pd.DataFrame) -> pd.DataFrame:
    """List the errors for `dvc plots`: ``case`` (arm, target and domain), ``mape``, ``sd``."""
    measured = errors.dropna(subset="mean")
    case = measured["arm"] + ", " + measured["target"] + ", " + measured["domain"]
    return pd.DataFrame({"case": case, "mape": measured["mean"], "sd": measured["sd"]})
