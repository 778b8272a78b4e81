"""Tables of the report of numbers about its maps: where networks look, as texts."""

import pandas as pd

from batteryscope.explain.number_shares import find_densities
from batteryscope.report.number_evidence import NumberEvidence
from batteryscope.report.number_map_figures import METHOD_NAMES
from batteryscope.report.shown_table import ShownTable, show_table

LOOKS_AWAY = 0.5  # attribution per area below which a place counts as ignored


def show_shares(evidence: NumberEvidence) -> ShownTable | None:
    """Share of attribution and of area of every kind of place, main arm."""
    if evidence.shares is None:
        return None
    mine = evidence.shares[evidence.shares["arm"] == evidence.main_arm]
    area = mine.groupby("region", sort=False)["area"].mean()
    table = mine.pivot_table(index="region", columns="method", values="share", sort=False)
    rows = []
    for region in table.index:
        cells = [str(region), f"{100 * area[region]:.1f} %"]
        cells += [f"{100 * table.loc[region, m]:.1f} %" for m in METHOD_NAMES if m in table]
        rows.append(cells)
    columns = ["place", "area", *(METHOD_NAMES[m] for m in METHOD_NAMES if m in table)]
    return show_table(pd.DataFrame(rows, columns=columns), evidence.label(evidence.main_arm))


def say_artefacts(evidence: NumberEvidence, arm: str) -> str:
    """Return whether an arm looks at artefacts, in a sentence; empty without phase maps."""
    if evidence.shares is None:
        return ""
    there = evidence.shares[
        (evidence.shares["arm"] == arm) & (evidence.shares["region"] == "artefacts")
    ]
    # Pictures without an artefact say nothing about it.
    there = there[there["area"] > 0]
    if there.empty:
        return ""
    per_area = find_densities(there)["artefacts"]
    single = there.groupby(["method", "sample_id"])["density"].mean()
    low, high = per_area.min(), per_area.max()
    n = there["sample_id"].nunique()
    pictures = "1 picture shows" if n == 1 else f"{n} pictures show"
    if high < LOOKS_AWAY:
        verdict = "all methods say that the network ignores them"
    elif low > 1 / LOOKS_AWAY:
        verdict = "all methods say that the network looks at them"
    elif low >= LOOKS_AWAY and high <= 1 / LOOKS_AWAY:
        verdict = "not far from what chance would give, so it cannot be said that it ignores them"
    else:
        verdict = "the methods disagree, so it cannot be said that it ignores them"
    return (
        f"{evidence.label(arm)}: {pictures} artefacts. Per area they get {low:.2f} "
        f"({METHOD_NAMES[str(per_area.idxmin())]}) to {high:.2f} "
        f"({METHOD_NAMES[str(per_area.idxmax())]}) times the average attribution (single pictures: "
        f"{single.min():.2f} to {single.max():.2f}): {verdict}."
    )


def show_agreement(evidence: NumberEvidence) -> ShownTable | None:
    """Mean rank correlation between the maps of two methods, main arm."""
    if evidence.agreement is None:
        return None
    mine = evidence.agreement[evidence.agreement["arm"] == evidence.main_arm]
    by_pair = mine.groupby(["first", "second"], sort=False)["correlation"]
    pairs = by_pair.agg(["mean", "std"]).reset_index()
    rows = [
        [
            METHOD_NAMES[row["first"]],
            METHOD_NAMES[row["second"]],
            f"{row['mean']:.2f} ± {row['std']:.2f}",
        ]
        for row in pairs.to_dict("records")
    ]
    columns = ["method", "and", "rank correlation"]
    title = evidence.label(evidence.main_arm)
    return show_table(pd.DataFrame(rows, columns=columns), title, ("and",))


def show_map_cost(evidence: NumberEvidence) -> ShownTable | None:
    """What the maps of one picture cost, all outputs together, main arm."""
    if evidence.map_cost is None:
        return None
    mine = evidence.map_cost[evidence.map_cost["arm"] == evidence.main_arm]
    rows = [
        [METHOD_NAMES[str(row["method"])], f"{row['passes']:.0f}", f"{row['seconds']:.2f}"]
        for row in mine.to_dict("records")
    ]
    columns = ["method", "passes through the network", "seconds"]
    return show_table(pd.DataFrame(rows, columns=columns), evidence.label(evidence.main_arm))
