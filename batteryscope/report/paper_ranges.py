"""Lowest and highest published errors of capacities beside those measured here."""

import pandas as pd

from batteryscope.config.evaluate import PaperRange
from batteryscope.evaluation.metric_catalogue import name_metric
from batteryscope.evaluation.regression_comparison import SAMPLE_LEVELS
from batteryscope.report.regression_evidence import RegressionEvidence
from batteryscope.report.shown_table import ShownTable, show_table
from batteryscope.report.tables import NOTHING

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
