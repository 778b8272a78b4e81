"""The tables of what went into a study of tables: rows, parts, networks, seeds, proposals."""

import numpy as np
import pandas as pd

from batteryscope.report.shown_table import ShownTable, show_table
from batteryscope.report.table_evidence import TableEvidence
from batteryscope.report.table_results import name_target
from batteryscope.report.tables import NOTHING, format_count
from batteryscope.tables.labels import (
    format_half_width,
    label_column,
    name_arm,
    name_column,
    name_domain,
)
from batteryscope.tables.table_predictions import ARM_ORDER, PROCESSES, find_family

ROLES = {"train": "training", "validation": "validation", "test": "test"}
REJECT_REASONS = {
    "not_a_number": "a cell is not a number",
    "missing_value": "a cell is empty",
    "out_of_range": "a value outside its plausible range",
    "unknown_domain": "belongs to no domain",
    "duplicate_row": "the same row is there already",
    "too_many_cells": "more cells than titles",
}


def show_domains(evidence: TableEvidence) -> ShownTable | None:
    """Count the rows of every domain and of its parts (a range over the random splits)."""
    if evidence.manifest is None:
        return None
    lines = []
    for domain in evidence.domains:
        own = evidence.manifest[evidence.manifest["domain"] == domain]
        is_source = domain == evidence.settings.dataset.source
        line = {
            "domain": name_domain(domain),
            "used as": "source" if is_source else "target",
            "rows": format_count(len(own)),
        }
        if evidence.split is not None:
            parts = evidence.split[evidence.split["sample_id"].isin(set(own["sample_id"]))]
            for role, name in ROLES.items():
                own_parts = parts[parts["role"] == role]
                sizes = own_parts.groupby(["repeat", "fold"])["sample_id"].size()
                line[name] = _range(sizes) if len(sizes) else "0"
        lines.append(line)
    return show_table(pd.DataFrame(lines), "", ("used as",))


def show_columns(evidence: TableEvidence) -> ShownTable | None:
    """List what each column holds per domain: its range, or the one value that it always has."""
    if evidence.manifest is None:
        return None
    dataset = evidence.settings.dataset
    lines = []
    for name, column in {**dataset.features, **dataset.targets}.items():
        line = {
            "column": label_column(name, column),
            "role": "target" if name in dataset.targets else "input",
        }
        for domain in evidence.domains:
            values = evidence.manifest.loc[evidence.manifest["domain"] == domain, name].dropna()
            line[name_domain(domain)] = NOTHING
            if len(values):
                low, high = f"{values.min():.4g}", f"{values.max():.4g}"
                line[name_domain(domain)] = f"always {low}" if low == high else f"{low} to {high}"
        lines.append(line)
    return show_table(pd.DataFrame(lines), "", ("role",))


def show_paper_distributions(evidence: TableEvidence) -> ShownTable | None:
    """Put mean, lowest and highest value of the targets beside those of the paper's data."""
    if evidence.manifest is None:
        return None
    lines = []
    for told in evidence.settings.evaluate.paper_distributions:
        own = evidence.manifest[evidence.manifest["domain"] == told.domain][told.target].dropna()
        if own.empty:
            continue
        line = {"of": f"{name_target(evidence, told.target)}, {name_domain(told.domain)}"}
        for name, paper, here in (
            ("mean", told.mean, own.mean()),
            ("lowest", told.low, own.min()),
            ("highest", told.high, own.max()),
        ):
            line |= {f"{name}, paper": f"{paper:g}", f"{name}, here": f"{here:.3g}"}
        lines.append(line | {"rows here": format_count(len(own)), "note": told.note or NOTHING})
    return show_table(pd.DataFrame(lines), "", ("of", "note"))


def show_row_rejects(
    rejects: pd.DataFrame | None,
) -> tuple[ShownTable | None, ShownTable | None]:
    """Make the count of left-out rows per reason, and the list of the rows."""
    if rejects is None or rejects.empty:
        return None, None
    counts = rejects["reason"].value_counts().sort_index()
    reasons = [REJECT_REASONS.get(reason, reason.replace("_", " ")) for reason in counts.index]
    summary = pd.DataFrame({"reason": reasons, "rows": [format_count(c) for c in counts]})
    listed = rejects.sort_values(["path", "row"])[["path", "row", "reason", "detail"]].copy()
    listed["reason"] = [REJECT_REASONS.get(r, r.replace("_", " ")) for r in listed["reason"]]
    listed = listed.rename(columns={"path": "file", "row": "line"})
    return show_table(summary), show_table(listed, "", ("reason", "detail"))


def show_networks(evidence: TableEvidence) -> ShownTable | None:
    """List the architectures with their trained parameters and how long they were trained."""
    lines, arms = [], evidence.settings.arms
    families = dict.fromkeys(find_family(arm) for arm in arms)
    trained = [f.source for f in families] + [a for a in arms if a != find_family(a).as_it_is]
    for target, network in evidence.settings.networks.items():
        for arm in sorted(trained, key=ARM_ORDER.index):
            layers = f"{network.hidden_layers} × {network.nodes}"
            if arm == "adapter":
                nodes = network.adapter_nodes or network.nodes
                layers = f"{layers} (frozen) + 1 × {nodes}"
            if find_family(arm) is PROCESSES:
                layers = NOTHING
            line = {
                "target": name_target(evidence, target),
                "strategy": name_arm(arm),
                "hidden layers × nodes": layers,
            }
            if evidence.fits is not None:
                fits = evidence.fits
                fits = fits[(fits["target"] == target) & (fits["arm"] == arm)]
                for column in ("trained_parameters", "best_epoch"):
                    known = _range(fits[column]) if len(fits) else NOTHING
                    line[column.replace("_", " ")] = known
            lines.append(line)
    return show_table(pd.DataFrame(lines), "", ("strategy",))


def show_table_seeds(evidence: TableEvidence) -> ShownTable | None:
    """List the seeds that every random choice derives from."""
    settings = evidence.settings
    seeds = {"split": settings.split.seed, "training": settings.train.seed}
    if settings.dataset.generator is not None and evidence.generated:
        seeds = {"generated rows": settings.dataset.generator.seed, **seeds}
    if settings.propose is not None:
        seeds["proposals"] = settings.propose.seed
    lines = {"seed of": list(seeds), "value": [str(value) for value in seeds.values()]}
    return show_table(pd.DataFrame(lines))


def show_intervals(evidence: TableEvidence) -> ShownTable | None:
    """Make the table of prediction intervals of the arm that answers for each domain."""
    if evidence.intervals is None:
        return None
    lines = [
        {
            "case": f"{name_target(evidence, row['target'])}, {name_domain(row['domain'])}",
            "half-width, of the prediction": format_half_width(row["relative_half_width"]),
            "wanted inside": f"{100 * row['coverage_wanted']:.0f} %",
            "found inside": f"{100 * row['coverage_measured']:.1f} %"
            if np.isfinite(row["relative_half_width"])
            else NOTHING,
            "test values": format_count(row["n_test"]),
        }
        for row in choose_intervals(evidence).to_dict("records")
    ]
    return show_table(pd.DataFrame(lines))


def choose_intervals(evidence: TableEvidence) -> pd.DataFrame:
    """Choose the rows of the arm that answers for each domain."""
    assert evidence.intervals is not None
    rows = evidence.intervals
    answering = [evidence.arm_of(domain) for domain in rows["domain"]]
    return rows[rows["arm"] == answering]


SHORT_VALUE = 12  # letters
MOST_COLUMNS = 8  # as many proposals stand side by side
PROPOSAL_HEADINGS = {
    "max_deviation_percent": "largest miss (% of the wish)",
    "within_tolerance": "near enough",
    "distance_sd": "distance to the nearest row (sd)",
}


def show_proposals(evidence: TableEvidence) -> ShownTable | None:
    """Make the table of proposed settings: a row per setting with its unit, as they are many."""
    if evidence.proposals is None:
        return None
    dataset = evidence.settings.dataset
    columns = {**dataset.features, **dataset.targets}
    frame = pd.DataFrame(index=evidence.proposals.index)
    for name in evidence.proposals.columns:
        values = evidence.proposals[name]
        heading = PROPOSAL_HEADINGS.get(name, label_column(name, columns.get(name)))
        if name == "nearest_row":
            continue  # an identifier, for proposals.csv
        target = next((t for t in dataset.targets if name.startswith(f"{t}_")), None)
        if name not in columns and target is not None:
            suffix = name.removeprefix(f"{target}_").replace("_percent", " (%)").replace("_", " ")
            heading = f"{name_column(target, columns[target])}, {suffix}"
        frame[heading] = [_show_value(value) for value in values.tolist()]
    if len(frame) > MOST_COLUMNS:
        return show_table(frame)
    turned = frame.drop(columns="proposal", errors="ignore").T.reset_index()
    numbers = [str(number + 1) for number in range(len(frame))]
    turned.columns = pd.Index(["proposal", *numbers])
    # A note is a sentence, which needs several lines in a narrow column.
    has_notes = bool((turned[numbers].map(len) > SHORT_VALUE).any(axis=None))
    return show_table(turned, "", numbers if has_notes else ())


def _show_value(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float | int):
        return NOTHING if pd.isna(value) else f"{value:.4g}".replace("-", "−")
    return str(value)


def _range(values: pd.Series) -> str:
    low, high = int(values.min()), int(values.max())
    return format_count(low) if low == high else f"{format_count(low)} to {format_count(high)}"
