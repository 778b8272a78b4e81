"""All figures of the report of a study of tables, each with its caption."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

import pandas as pd

from batteryscope.core.style import Picture, encode_picture
from batteryscope.report.number_outlook import say_row_outlook
from batteryscope.report.row_input_tables import choose_intervals
from batteryscope.report.table_evidence import TableEvidence
from batteryscope.report.table_results import name_target
from batteryscope.tables import figures, figures_explain, figures_features, figures_training
from batteryscope.tables.attribution import choose_rows, find_named_rows
from batteryscope.tables.figure_proposals import draw_proposals
from batteryscope.tables.labels import name_arm, name_domain
from batteryscope.tables.proposals import Proposals
from batteryscope.tables.table_predictions import (
    find_family,
    order_table_arms,
    select_main_study,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Figures whose panels stand below each other on telephones; the others have a narrow form.
STACKED = ("key_figure", "parity", "ablation_", "learning_curves", "dependence_")
Drawn = tuple[str, str, Callable[..., "Figure"]]  # name, caption, how it is drawn


def draw_table_pictures(evidence: TableEvidence) -> dict[str, Picture]:
    """Draw every figure whose data are there, by name."""
    drawn = [
        *_draw_results(evidence),
        *_draw_training(evidence),
        *_draw_explanations(evidence),
        *_draw_search(evidence),
        *_draw_data(evidence),
    ]
    return {
        name: encode_picture(
            draw(),
            name,
            caption,
            evidence.generated,
            name.startswith(STACKED) or draw(narrow=True),
        )
        for name, caption, draw in drawn
    }


def _draw_results(evidence: TableEvidence) -> Iterator[Drawn]:
    dataset, domains = evidence.settings.dataset, evidence.domains
    arm = evidence.settings.main_arm
    errors, drawn = (e.dropna(subset="mean") for e in (evidence.errors, evidence.drawn_errors))
    if not drawn.empty:
        yield (
            "key_figure",
            "Error of every strategy and baseline on test rows; whiskers are ± one standard "
            "deviation over the random splits, upright strokes published values.",
            partial(figures.draw_errors, drawn, dataset, order_table_arms(drawn), domains),
        )
    if evidence.predictions is not None:
        keys = zip(errors["arm"], errors["target"], errors["domain"], strict=True)
        means = dict(zip(keys, errors["mean"], strict=True))
        yield (
            "parity",
            "Predicted over measured values of test rows of all random splits, with the "
            f"{name_arm(find_family(arm).as_it_is)} (left) and with {name_arm(arm)} (right). On "
            "the dashed line a prediction is exact. The axes of the two columns differ.",
            partial(
                figures.draw_parity,
                figures.choose_test_rows(evidence.predictions),
                dataset,
                arm,
                domains,
                means,
            ),
        )
    if evidence.intervals is not None and len(rows := choose_intervals(evidence)):
        yield (
            "coverage",
            "Share of test values inside their prediction interval. Beside each bar: the "
            "half-width as a share of the prediction, and how many test values were looked at.",
            partial(figures_training.draw_coverage, rows, dataset, domains),
        )


def _draw_training(evidence: TableEvidence) -> Iterator[Drawn]:
    dataset, domains = evidence.settings.dataset, evidence.domains
    arm, network = evidence.settings.main_arm, evidence.settings.network_arm
    if evidence.histories is not None:
        histories = evidence.histories
        histories = select_main_study(histories.fillna({"ablation": ""}))
        yield (
            "learning_curves",
            "Error over the epochs, mean over the random splits. Where the dashed line turns up "
            "while the full one falls, the network learns its training rows by heart.",
            partial(
                figures_training.draw_learning_curves,
                histories,
                dataset,
                list(dict.fromkeys([network, "scratch"])),
                domains,
            ),
        )
    if evidence.ablations is not None:
        for kind, rows in evidence.ablations.groupby("ablation", sort=True):
            varied = figures_training.ABLATION_LABELS.get(str(kind), str(kind))
            yield (
                f"ablation_{kind}",
                f"Error of test rows over the {varied}; bands are ± one standard deviation over "
                "the random splits. Beside its training rows a network has the validation rows of "
                "the split, which choose its epoch and restart; the baselines do not use them."
                + (
                    f" The dotted line: from here on training from scratch is as good as "
                    f"{name_arm(arm)}." + _say_more_rows(evidence, rows)
                    if kind == "target_rows"
                    else ""
                ),
                partial(figures_training.draw_ablation, rows, dataset, arm, domains),
            )


def _say_more_rows(evidence: TableEvidence, rows: pd.DataFrame) -> str:
    names = {
        (target, domain): f"{name_target(evidence, target)} of {name_domain(domain)}"
        for target in evidence.settings.dataset.targets
        for domain in evidence.domains
    }
    settings = evidence.settings
    told = say_row_outlook(rows, settings.main_arm, settings.split.test_fraction, names)
    return f" {told}" if told else ""


def _draw_explanations(evidence: TableEvidence) -> Iterator[Drawn]:
    settings, family = evidence.settings, find_family(evidence.settings.main_arm)
    dataset, domains = settings.dataset, evidence.domains
    for target in dataset.targets:
        name = name_target(evidence, target)
        shap_values = _choose_arms(evidence.shap_values, evidence, target)
        if shap_values is not None:
            present = [d for d in domains if (shap_values["domain"] == d).any()]
            yield (
                f"beeswarm_{target}",
                f"What moves the prediction of {name}: one point per row, to the right if the "
                "input raised the prediction above the mean of its domain. The "
                f"{name_arm(family.source)} explains its own domain, {name_arm(settings.main_arm)} "
                "the others.",
                partial(figures_explain.draw_beeswarm, shap_values, dataset, target, present),
            )
            chosen = _choose_shown_rows(shap_values, evidence, present)
            truths, places = {}, {}
            if (rows := evidence.manifest) is not None:
                truths = dict(zip(rows["sample_id"], rows[target], strict=True))
                names = rows["path"].astype(str).str.rpartition("/")[2] + ":"
                places = dict(zip(rows["sample_id"], names + rows["row"].astype(str), strict=True))
            yield (
                f"waterfall_{target}",
                f"Single rows: from the mean prediction of the domain (circle), {name} is raised "
                "(orange-red) or lowered (blue) by each input until the prediction (diamond).",
                partial(
                    figures_explain.draw_waterfalls,
                    shap_values,
                    dataset,
                    target,
                    chosen,
                    truths,
                    places,
                ),
            )
        before = _choose_before_transfer(evidence, target)
        if before is not None:
            yield (
                f"beeswarm_before_{target}",
                f"The same before transfer: how the {name_arm(family.as_it_is)} comes to {name} "
                "of the other domains.",
                partial(
                    figures_explain.draw_beeswarm,
                    before,
                    dataset,
                    target,
                    [d for d in domains if (before["domain"] == d).any()],
                ),
            )
        dependence = _choose_arms(evidence.dependence, evidence, target)
        if dependence is not None:
            yield (
                f"dependence_{target}",
                f"Mean prediction of {name} while one input is set to a value and the others "
                "stay as they are; bands are ± one standard deviation over the models of all "
                "random splits. An input that is constant in a domain has no curve.",
                partial(
                    figures_features.draw_partial_dependence, dependence, dataset, target, domains
                ),
            )
    changes = evidence.rank_changes
    if changes is not None and not changes.empty:
        yield (
            "ranks",
            "Order of the inputs by their mean absolute SHAP value (the numbers, in the target's "
            "unit), before and after transfer; orange-red where the rank changes."
            + (
                " The adapter reads nothing but the answer of the source network, so it can hardly "
                "change the order."
                if settings.main_arm == "adapter"
                else ""
            ),
            partial(figures_features.draw_rank_changes, changes, dataset, domains),
        )


def _draw_search(evidence: TableEvidence) -> Iterator[Drawn]:
    if evidence.proposals is None or evidence.manifest is None or not evidence.search:
        return
    told = ("wanted", "domain", "trials", "within_tolerance", "pareto")
    found = Proposals(evidence.proposals, **{key: evidence.search[key] for key in told})
    yield (
        "proposals",
        f"Left: the proposed settings (colours) among those of all {found.domain} rows (grey), "
        "each axis from the lowest to the highest value. Right: what the models predict for "
        f"them, with intervals, and what is wanted (dashed). {found.trials} settings were tried.",
        partial(draw_proposals, found, evidence.manifest, evidence.settings.dataset),
    )


def _draw_data(evidence: TableEvidence) -> Iterator[Drawn]:
    published = evidence.settings.evaluate.paper_distributions
    if evidence.manifest is not None:
        yield (
            "distributions",
            "How the inputs and targets are distributed; the highest bar of every domain has "
            "the same height."
            + (" Diamonds and lines: mean and limits in the paper's data." if published else ""),
            partial(
                figures.draw_distributions,
                evidence.manifest,
                evidence.settings.dataset,
                evidence.domains,
                published,
            ),
        )


def _choose_shown_rows(
    shap_values: pd.DataFrame, evidence: TableEvidence, present: list[str]
) -> dict[str, list[str]]:
    """Choose the rows shown one by one: those that the settings name, else typical ones."""
    explain, manifest = evidence.settings.explain, evidence.manifest
    if not explain.chosen or manifest is None:
        by_domain = {d: shap_values[shap_values["domain"] == d] for d in present}
        return {d: choose_rows(rows, explain.rows) for d, rows in by_domain.items()}
    named = find_named_rows(manifest, explain.chosen)
    domain_of = dict(zip(manifest["sample_id"], manifest["domain"], strict=True))
    chosen = {d: [row for row in named if domain_of[row] == d] for d in present}
    return {d: rows for d, rows in chosen.items() if rows}


def _choose_before_transfer(evidence: TableEvidence, target: str) -> pd.DataFrame | None:
    """Choose what the source says, as it is, about the other domains."""
    table, main = evidence.shap_values, evidence.settings.main_arm
    as_it_is = find_family(main).as_it_is
    if table is None or main == as_it_is:
        return None
    rows = table[(table["target"] == target) & (table["arm"] == as_it_is)]
    return None if rows.empty else rows


def _choose_arms(
    table: pd.DataFrame | None, evidence: TableEvidence, target: str
) -> pd.DataFrame | None:
    """Choose a target and, per domain, the arm that answers for it."""
    if table is None:
        return None
    rows = table[table["target"] == target]
    rows = rows[rows["arm"] == [evidence.arm_of(domain) for domain in rows["domain"]]]
    return None if rows.empty else rows
