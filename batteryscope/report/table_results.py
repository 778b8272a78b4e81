"""The results of a study of tables as sentences and tables that people read."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from batteryscope.evaluation.predictions import is_baseline
from batteryscope.report.shown_table import ShownTable, show_table
from batteryscope.report.table_evidence import TableEvidence
from batteryscope.report.tables import NOTHING, PAPER_ARM, format_count, format_p
from batteryscope.tables.labels import name_arm, name_column, name_domain
from batteryscope.tables.table_predictions import order_table_arms

SEVERITIES = {"good": "good", "warning": "warning", "alarm": "alarm", "info": "plain"}
FINDING_TITLES = {
    "baseline": "Baselines",
    "transfer": "Does transfer pay?",
    "pretrained": "The source network as it is",
    "break_even": "How many rows transfer saves",
    "constant_feature": "A feature that never changes",
    "few_rows": "Few rows",
    "intervals": "Intervals",
    "one_answer": "A network that got stuck",
    "no_percentage": "No percentage of zero",
}


@dataclass(frozen=True)
class TableHeadline:
    """What was asked, the answer, and its numbers (``<target>.<domain>`` → MAPE in percent)."""

    question: str
    sentence: str
    numbers: Mapping[str, float]


def format_mape(mean: float | None, sd: float | None = None) -> str:
    """Return ``8.1 ± 0.5 %`` of an error in percent, or a dash for a missing one."""
    if mean is None or pd.isna(mean):
        return NOTHING
    return f"{mean:.1f} %" if sd is None or pd.isna(sd) else f"{mean:.1f} ± {sd:.1f} %"


def name_target(evidence: TableEvidence, target: str) -> str:
    """Return a target in words."""
    return name_column(target, evidence.settings.dataset.targets.get(target))


def find_table_headline(evidence: TableEvidence) -> TableHeadline:
    """Say what the study asks and what the main arm answers."""
    targets = _join([name_target(evidence, t) for t in evidence.settings.dataset.targets])
    source = name_domain(evidence.settings.dataset.source)
    homes = _join([name_domain(d) + _count_rows(evidence, d) for d in evidence.target_domains])
    question = (
        f"Can what a small network learnt about {targets} from {source}"
        f"{_count_rows(evidence, evidence.settings.dataset.source)} be transferred to {homes}?"
    )
    numbers, parts, lost = {}, [], []
    for target, domain in _list_cases(evidence):
        own = find_row(evidence, evidence.settings.main_arm, target, domain)
        if own is None:
            continue
        numbers[f"{target}.{domain}"] = round(float(own["mean"]), 6)
        place = f"{name_target(evidence, target)} of {name_domain(domain)}"
        parts.append(f"{format_mape(own['mean'], own['sd'])} for {place}")
        best = find_best_baseline(evidence, target, domain)
        if best is not None and best["mean"] <= own["mean"]:
            lost.append(f"{name_arm(best['arm'])} for {place}")
    if not parts:
        return TableHeadline(question, "No result of the main arm was measured.", {})
    arm = name_arm(evidence.settings.main_arm)
    repeats = evidence.settings.split.repeats
    over = f", mean ± sd over {repeats} random splits" if repeats > 1 else ""
    sentence = f"With {arm}, predictions of test rows are off by {_join(parts)} (MAPE{over})."
    if any(find_best_baseline(evidence, *case) is not None for case in _list_cases(evidence)):
        sentence += (
            f" A simple baseline does at least as well in {len(lost)} of {len(parts)} cases: "
            f"{_join(lost)}."
            if lost
            else f" It {_say_lead(evidence)}."
        )
    return TableHeadline(question, sentence, numbers)


def _say_lead(evidence: TableEvidence) -> str:
    """Say whether the lead over all baselines is more than chance, as far as pairs tell."""
    if evidence.paired is None:
        return "errs less than every simple baseline"
    own = evidence.paired[evidence.paired["first"] == evidence.settings.main_arm]
    rivals = own[own["second"].map(is_baseline)]
    cases = rivals.groupby(["target", "domain"])["outcome"]
    unsure = sum(not (outcomes == "beaten").all() for _, outcomes in cases)
    if not unsure:
        return "beats every simple baseline"
    return (
        f"errs less than every simple baseline, but in {unsure} of {cases.ngroups} cases that "
        "may be chance"
    )


def find_best_baseline(
    evidence: TableEvidence, target: str, domain: str
) -> Mapping[str, Any] | None:
    """Return the baseline with the lowest error of a case, as a row of the comparison."""
    rows = evidence.errors
    rows = rows[(rows["target"] == target) & (rows["domain"] == domain)]
    rows = rows[rows["arm"].str.startswith("baseline")].dropna(subset="mean")
    return None if rows.empty else dict(rows.sort_values("mean", kind="stable").iloc[0])


def show_answer(evidence: TableEvidence) -> ShownTable | None:
    """Make the short table of the first screen: every case, ours and what it must beat."""
    lines = []
    for target, domain in _list_cases(evidence):
        own = find_row(evidence, evidence.settings.main_arm, target, domain)
        if own is None:
            continue
        best = find_best_baseline(evidence, target, domain)
        before = find_row(evidence, "pretrained", target, domain)
        line = {
            "predicted": f"{name_target(evidence, target)} of {name_domain(domain)}",
            name_arm("pretrained"): format_mape(before["mean"] if before else None),
            name_arm(evidence.settings.main_arm): format_mape(own["mean"], own["sd"]),
            "best baseline": NOTHING,
            "published": format_mape(own.get("paper")),
        }
        if best is not None:
            line["best baseline"] = f"{format_mape(best['mean'])} ({name_arm(best['arm'])})"
        lines.append(line)
    return show_table(pd.DataFrame(lines))


def show_results(evidence: TableEvidence) -> list[ShownTable]:
    """Make one table per target: arms and baselines in rows, domains in columns.

    Where there is a published value, its own column stands beside ours.
    """
    errors = evidence.errors[evidence.errors["arm"] != PAPER_ARM]
    shown = []
    for target in evidence.settings.dataset.targets:
        own = errors[errors["target"] == target]
        arms = order_table_arms(own)
        frame = pd.DataFrame({"strategy": [name_arm(arm) for arm in arms]})
        for domain in evidence.domains:
            rows = own[own["domain"] == domain].set_index("arm").reindex(arms)
            frame[name_domain(domain)] = [
                format_mape(m, s) for m, s in zip(rows["mean"], rows["sd"], strict=True)
            ]
            if rows["paper"].notna().any():
                frame[f"paper, {name_domain(domain)}"] = [format_mape(p) for p in rows["paper"]]
        marked = [i for i, arm in enumerate(arms) if arm in ("source", evidence.settings.main_arm)]
        title = f"{name_target(evidence, target)}: mean absolute percentage error"
        if (table := show_table(frame, title[0].upper() + title[1:], (), marked)) is not None:
            shown.append(table)
    return shown


def show_published(evidence: TableEvidence) -> ShownTable | None:
    """Put every published value beside ours, also those that nothing of ours stands beside."""
    rows = evidence.comparison[evidence.comparison["paper"].notna()]
    lines = [
        {
            "published value": f"{row['metric'].upper()} of {name_target(evidence, row['target'])}"
            + (f", {name_domain(row['domain'])}" if row["domain"] else ""),
            "strategy": NOTHING if row["arm"] == PAPER_ARM else name_arm(row["arm"]),
            "paper": f"{row['paper']:.3g}",
            "here": "not measured" if pd.isna(row["mean"]) else f"{row['mean']:.3g}",
            "difference": (
                NOTHING
                if pd.isna(row["mean"])
                else f"{row['mean'] - row['paper']:+.2g}".replace("-", "−")
            ),
            "test rows here": format_count(row["n"]),
        }
        for row in rows.to_dict("records")
    ]
    return show_table(pd.DataFrame(lines), "", ("strategy",))


def show_paired(paired: pd.DataFrame | None, evidence: TableEvidence) -> ShownTable | None:
    """Make the table of paired differences: the same test rows, repeat by repeat."""
    if paired is None:
        return None
    lines = []
    for row in paired.to_dict("records"):
        interval = NOTHING
        if pd.notna(row["low"]):
            interval = f"{row['low']:+.1f} to {row['high']:+.1f}".replace("-", "−")
        verdict = "not certain"
        if row["outcome"] != "chance":
            better = row["first"] if row["outcome"] == "beaten" else row["second"]
            verdict = f"{name_arm(better)} is better"
        lines.append(
            {
                "case": f"{name_target(evidence, row['target'])}, {name_domain(row['domain'])}",
                "first": name_arm(row["first"]),
                "second": name_arm(row["second"]),
                "difference (points)": f"{row['mean']:+.1f}".replace("-", "−"),
                "95 % interval": interval,
                "p (Holm)": format_p(row["p_holm"]),
                "verdict": verdict,
                "repeats": format_count(row["n"]),
                "test rows": format_count(row["n_units"]),
            }
        )
    return show_table(pd.DataFrame(lines), "", ("first", "second", "verdict"))


def show_table_findings(evidence: TableEvidence) -> list[tuple[str, str, str]]:
    """Return (colour, heading, text) of every finding."""
    return [
        (
            SEVERITIES.get(str(finding.get("severity", "")), "warning"),
            FINDING_TITLES.get(
                kind := str(finding.get("kind", "")), kind.replace("_", " ").capitalize() or "Note"
            ),
            str(finding.get("text", "")),
        )
        for finding in evidence.findings or ()
    ]


def _list_cases(evidence: TableEvidence) -> list[tuple[str, str]]:
    return [(t, d) for t in evidence.settings.dataset.targets for d in evidence.target_domains]


def find_row(
    evidence: TableEvidence, arm: str, target: str, domain: str
) -> Mapping[str, Any] | None:
    """Return the error of an arm as a row of the comparison; None if it was not measured."""
    rows = evidence.errors
    rows = rows[(rows["arm"] == arm) & (rows["target"] == target) & (rows["domain"] == domain)]
    rows = rows.dropna(subset="mean")
    return None if rows.empty else dict(rows.iloc[0])


def _count_rows(evidence: TableEvidence, domain: str) -> str:
    if evidence.manifest is None:
        return ""
    return f" ({int((evidence.manifest['domain'] == domain).sum())} rows)"


def _join(words: list[str]) -> str:
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"
