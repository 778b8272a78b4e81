"""Tables of the report of numbers that put the paper's values beside ours."""

import pandas as pd

from batteryscope.config.evaluate import PaperRange
from batteryscope.evaluation.metric_catalogue import name_metric
from batteryscope.evaluation.number_comparison import SAMPLE_LEVELS, pick
from batteryscope.explain.number_shares import find_densities
from batteryscope.report.number_evidence import NumberEvidence
from batteryscope.report.number_tables import format_error, name_unit
from batteryscope.report.shown_table import ShownTable, show_table
from batteryscope.report.tables import NOTHING

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


def list_paper_notes(evidence: NumberEvidence) -> list[str]:
    """Say under which conditions the paper's values were found."""
    return [
        f"{name_metric(value.metric)} {value.value:g}, {evidence.label(value.arm)}: {value.note}"
        for value in evidence.settings.evaluate.paper
        if value.note and value.arm in evidence.plan.arms
    ]


def find_grid(evidence: NumberEvidence) -> dict[tuple[str, float], tuple[str, float, float]]:
    """Return (penalty, noise) → arm, MAPE, sd of the arms that differ in nothing but training.

    Of several such groups, as where capacities per mass and per volume are predicted, the one with
    most cells counts; if equally many, that of the main arm.
    """
    main = evidence.plan.main.recipe
    arms = [a for a in evidence.plan.arms.values() if evidence.points_of(a.name)]
    likes = [planned.recipe.model_copy(update={"train": main.train}) for planned in arms]
    grids: list[dict[tuple[str, float], tuple[str, float, float]]] = []
    for like in [main, *likes]:
        cells: dict[tuple[str, float], tuple[str, float, float]] = {}
        for planned, own in zip(arms, likes, strict=True):
            train = planned.recipe.train
            if own == like and train.penalty != "none":
                found = (planned.name, *pick(evidence.comparison, planned.name))
                cells.setdefault((train.penalty, train.adversarial_noise), found)
        grids.append(cells)
    return max(grids, key=len)


def show_grid(evidence: NumberEvidence) -> ShownTable | None:
    """MAPE, MAE and share of attribution on artefacts over penalty and noise."""
    rows: list[list[str]] = []
    cells = find_grid(evidence)
    # L2, the paper's best, comes first, as in the figure.
    for kind, noise in sorted(cells, key=lambda cell: (-ord(cell[0][-1]), cell[1])):
        arm, mean, sd = cells[kind, noise]
        on_artefacts = ""
        if evidence.shares is not None:
            part = evidence.shares[
                (evidence.shares["arm"] == arm)
                & (evidence.shares["region"] == "artefacts")
                & (evidence.shares["method"] == "grad_ram")
            ]
            if part["area"].any():
                on_artefacts = f"{find_densities(part)['artefacts'].iloc[0]:.2f}"
        mae = format_error("mae", *pick(evidence.comparison, arm, "mae"))
        noisy = f"{100 * noise:g} %"
        rows.append([kind.upper(), noisy, format_error("mape", mean, sd), mae, on_artefacts])
    if len(rows) < 2:
        return None
    unit = name_unit(evidence, next(iter(cells.values()))[0])
    columns = [
        "penalty", "noise", "MAPE / %", f"MAE / {unit}",
        "Grad-RAM per area on artefacts",
    ]  # fmt: skip
    return show_table(pd.DataFrame(rows, columns=columns))
