"""The results of a study of tables as sentences and tables that people read."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from batteryscope.evaluation.predictions import is_baseline
from batteryscope.report.phrases import title_finding
from batteryscope.report.shown_table import ShownTable, show_table
from batteryscope.report.table_evidence import TableEvidence
from batteryscope.report.tables import NOTHING, PAPER_ARM, format_count, format_p
from batteryscope.tables.attribution import rank_features
from batteryscope.tables.labels import name_arm, name_column, name_domain
from batteryscope.tables.table_predictions import find_family, order_table_arms

SEVERITIES = {"good": "good", "warning": "warning", "alarm": "alarm", "info": "plain"}

ERRORS = {"mape": "percentage error", "mae": "error"}  # after "mean absolute"


@dataclass(frozen=True)
class TableHeadline:
    """What was asked, the answer, and its numbers.

    ``<target>.<domain>`` → MAPE in percent, or MAE in the target's unit if a true value is 0.
    """

    question: str
    sentence: str
    numbers: Mapping[str, float]


def format_error(
    evidence: TableEvidence, row: Mapping[Hashable, Any], value: str = "mean", sd: str = ""
) -> str:
    """Return ``8.1 ± 0.5 %``, or of a MAE ``0.0031 ± 0.000214 V``; a dash for a missing error.

    ``row`` is one of the comparison; ``value`` and ``sd`` name its columns.
    """
    mean, spread = row.get(value), row.get(sd)
    if mean is None or pd.isna(mean):
        return NOTHING
    digits, unit = _find_precision(evidence, row)
    error = f"{mean:{digits}}"
    if spread is not None and pd.notna(spread):
        error += f" ± {spread:{digits}}"
    return f"{error} {unit}".strip()


def _find_precision(evidence: TableEvidence, row: Mapping[Hashable, Any]) -> tuple[str, str]:
    """Return how the error of a row is rounded, and its unit."""
    if row["metric"] == "mape":
        return ".1f", "%"
    return ".3g", evidence.settings.dataset.targets[row["target"]].unit


def name_target(evidence: TableEvidence, target: str) -> str:
    """Return a target in words."""
    return name_column(target, evidence.settings.dataset.targets.get(target))


def find_table_headline(evidence: TableEvidence) -> TableHeadline:
    """Say what the study asks and what the main arm answers."""
    targets = _join([name_target(evidence, t) for t in evidence.settings.dataset.targets])
    source = name_domain(evidence.settings.dataset.source)
    homes = _join([name_domain(d) + _count_rows(evidence, d) for d in evidence.target_domains])
    question = (
        f"Can what a model learnt about {targets} from {source}"
        f"{_count_rows(evidence, evidence.settings.dataset.source)} be transferred to {homes}?"
    )
    numbers, parts, lost, metrics = {}, [], [], set()
    for target, domain in _list_cases(evidence):
        own = find_row(evidence, evidence.settings.main_arm, target, domain)
        if own is None:
            continue
        decimals = 6 if own["metric"] == "mape" else 12
        numbers[f"{target}.{domain}"] = round(float(own["mean"]), decimals)
        place = f"{name_target(evidence, target)} of {name_domain(domain)}"
        parts.append(f"{format_error(evidence, own, sd='sd')} for {place}")
        metrics.add(own["metric"])
        best = find_best_baseline(evidence, target, domain)
        winner = None if best is None or best["mean"] > own["mean"] else best["arm"]
        if winner := winner or _find_better_baseline(evidence, target, domain):
            lost.append(f"{name_arm(winner)} for {place}")
    if not parts:
        return TableHeadline(question, "No result of the main arm was measured.", {})
    arm = name_arm(evidence.settings.main_arm)
    repeats = evidence.settings.split.repeats
    over = f", mean ± sd over {repeats} random splits" if repeats > 1 else ""
    what = "MAPE, but MAE where a value is 0" if len(metrics) > 1 else metrics.pop().upper()
    sentence = f"With {arm}, predictions of test rows are off by {_join(parts)} ({what}{over})."
    if any(find_best_baseline(evidence, *case) is not None for case in _list_cases(evidence)):
        sentence += (
            f" A simple baseline does at least as well in {len(lost)} of {len(parts)} cases: "
            f"{_join(lost)}."
            if lost
            else f" It {_say_lead(evidence)}. {_say_best_baselines(evidence)}."
        )
    return TableHeadline(question, sentence, numbers)


def _say_best_baselines(evidence: TableEvidence) -> str:
    """Name the best baseline of every case, with its error."""
    best = [
        f"{name_arm(row['arm'])} with {format_error(evidence, row)} for "
        f"{name_target(evidence, target)} of {name_domain(domain)}"
        for target, domain in _list_cases(evidence)
        if (row := find_best_baseline(evidence, target, domain)) is not None
    ]
    return f"The best of these: {_join(best)}"


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


def _find_better_baseline(evidence: TableEvidence, target: str, domain: str) -> str | None:
    """Name the baseline that is better than the main arm by more than chance, as pairs tell."""
    if evidence.paired is None:
        return None
    rows = evidence.paired[evidence.paired["first"] == evidence.settings.main_arm]
    rows = rows[(rows["target"] == target) & (rows["domain"] == domain)]
    rows = rows[(rows["outcome"] == "better") & rows["second"].map(is_baseline).astype(bool)]
    return None if rows.empty else str(rows.sort_values("second_mean")["second"].iloc[0])


def find_best_baseline(
    evidence: TableEvidence, target: str, domain: str
) -> Mapping[Hashable, Any] | None:
    """Return the baseline with the lowest error of a case, as a row of the comparison."""
    rows = evidence.errors_of(target, domain)
    rows = rows[rows["arm"].str.startswith("baseline")].dropna(subset="mean")
    return None if rows.empty else dict(rows.sort_values("mean", kind="stable").iloc[0])


def show_answer(evidence: TableEvidence) -> ShownTable | None:
    """Make the short table of the first screen: every case, ours and what it must beat."""
    lines, family = [], find_family(evidence.settings.main_arm)
    for target, domain in _list_cases(evidence):
        own = find_row(evidence, evidence.settings.main_arm, target, domain)
        if own is None:
            continue
        best = find_best_baseline(evidence, target, domain)
        before = find_row(evidence, family.as_it_is, target, domain)
        line = {
            "predicted": f"{name_target(evidence, target)} of {name_domain(domain)}",
            name_arm(family.as_it_is): format_error(evidence, before or {}),
            name_arm(evidence.settings.main_arm): format_error(evidence, own, sd="sd"),
            "best baseline": NOTHING,
            "published": format_error(evidence, own, "paper"),
        }
        if best is not None:
            line["best baseline"] = f"{format_error(evidence, best)} ({name_arm(best['arm'])})"
        lines.append(line)
    return show_table(pd.DataFrame(lines))


def show_results(evidence: TableEvidence) -> list[ShownTable]:
    """Make one table per target: arms and baselines in rows, domains in columns.

    Where there is a published value, its own column stands beside ours.
    """
    shown, main = [], evidence.settings.main_arm
    answering = (find_family(main).source, main)
    for target in evidence.settings.dataset.targets:
        own = pd.concat([evidence.errors_of(target, domain) for domain in evidence.domains])
        own = own[own["arm"] != PAPER_ARM]
        arms = order_table_arms(own)
        frame = pd.DataFrame({"strategy": [name_arm(arm) for arm in arms]})
        for domain in evidence.domains:
            here = own[own["domain"] == domain].set_index("arm").reindex(arms)
            rows = here.to_dict("records")
            frame[name_domain(domain)] = [format_error(evidence, row, sd="sd") for row in rows]
            if here["paper"].notna().any():
                papers = [format_error(evidence, row, "paper") for row in rows]
                frame[f"paper, {name_domain(domain)}"] = papers
        marked = [i for i, arm in enumerate(arms) if arm in answering]
        title = f"{name_target(evidence, target)}: mean absolute "
        title += " or ".join(ERRORS[m] for m in ERRORS if (own["metric"] == m).any())
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


def show_orders(evidence: TableEvidence) -> ShownTable | None:
    """Put the paper's order of the features beside that of their mean absolute SHAP values."""
    asked = evidence.settings.evaluate.paper_orders
    if evidence.shap_values is None or not asked:
        return None
    ranking = rank_features(evidence.shap_values)
    lines = []
    for order in asked:
        own = ranking[(ranking["target"] == order.target) & (ranking["domain"] == order.domain)]
        if own.empty:
            continue
        # After transfer where a domain has both; at home, what learnt there.
        arm = str(own["arm"].iloc[0])
        if evidence.settings.main_arm in set(own["arm"]):
            arm = evidence.settings.main_arm
        own = own[own["arm"] == arm].sort_values("rank")
        lines.append(
            {
                "of": f"{name_target(evidence, order.target)}, {name_domain(order.domain)}",
                "strategy": name_arm(arm),
                "paper's order": _join_features(evidence, order.features),
                "order here": _join_features(evidence, own["feature"]),
                "verdict": _compare_orders(evidence, order.features, own["feature"].tolist()),
                "note": order.note or NOTHING,
            }
        )
    return show_table(pd.DataFrame(lines), "", ("of", "strategy", "paper's order", "order here"))


def _compare_orders(evidence: TableEvidence, told: Sequence[str], here: Sequence[str]) -> str:
    """Say whether an order contradicts the paper's, and which input stands elsewhere the most."""
    if [name for name in here if name in told] == list(told):
        return "the same"
    places = [(told.index(name) + 1, here.index(name) + 1, name) for name in told if name in here]
    there, place, name = max(places, key=lambda one: abs(one[0] - one[1]))
    words = _join_features(evidence, [name])
    return f"contradicts: {words} is number {place} of {len(here)} here, number {there} there"


def _join_features(evidence: TableEvidence, names: Iterable[str]) -> str:
    features = evidence.settings.dataset.features
    return ", ".join(name_column(name, features.get(name)) for name in names)


def say_adapter(evidence: TableEvidence) -> str:
    """Say in how many cases the paper's adapter errs more than what it could be replaced by."""
    parts = []
    for rival, words in (("scratch", "training from scratch"), ("fine_tuning", "fine-tuning")):
        pairs = [
            (find_row(evidence, "adapter", *case), find_row(evidence, rival, *case))
            for case in _list_cases(evidence)
        ]
        known = [(own, other) for own, other in pairs if own is not None and other is not None]
        worse = sum(own["mean"] > other["mean"] for own, other in known)
        if known:
            parts.append(f"more than {words} in {worse} of {len(known)}")
    if not parts:
        return ""
    return (
        f"The adapter of the paper errs {_join(parts)} cases, on average over the splits; the "
        "paper gives no error of the others."
    )


def show_paired(paired: pd.DataFrame | None, evidence: TableEvidence) -> ShownTable | None:
    """Make the table of paired differences: the same test rows, repeat by repeat."""
    if paired is None:
        return None
    lines = []
    only_points = (paired["metric"] == "mape").all()
    head = "difference (points)" if only_points else "difference"
    for row in paired.to_dict("records"):
        digits, unit = _find_precision(evidence, row)
        if row["metric"] == "mape":
            unit = "" if only_points else "points"
        interval = NOTHING
        if pd.notna(row["low"]):
            interval = f"{row['low']:+z{digits}} to {row['high']:+z{digits}}".replace("-", "−")
        verdict = "not certain"
        if row["outcome"] != "chance":
            better = row["first"] if row["outcome"] == "beaten" else row["second"]
            verdict = f"{name_arm(better)} is better"
        lines.append(
            {
                "case": f"{name_target(evidence, row['target'])}, {name_domain(row['domain'])}",
                "first": name_arm(row["first"]),
                "second": name_arm(row["second"]),
                head: f"{row['mean']:+z{digits}} {unit}".strip().replace("-", "−"),
                "95 % interval": interval,
                "p (Holm)": format_p(row["p_holm"]),
                "verdict": verdict,
                "test rows": format_count(row["n_units"]),
            }
        )
    return show_table(pd.DataFrame(lines), "", ("first", "second", "verdict"))


def show_table_findings(evidence: TableEvidence) -> list[tuple[str, str, str]]:
    """Return (colour, heading, text) of every finding."""
    return [
        (
            SEVERITIES.get(str(finding.get("severity", "")), "warning"),
            title_finding(str(finding.get("kind", ""))),
            str(finding.get("text", "")),
        )
        for finding in evidence.findings or ()
    ]


def _list_cases(evidence: TableEvidence) -> list[tuple[str, str]]:
    return [(t, d) for t in evidence.settings.dataset.targets for d in evidence.target_domains]


def find_row(
    evidence: TableEvidence, arm: str, target: str, domain: str
) -> Mapping[Hashable, Any] | None:
    """Return the error of an arm as a row of the comparison; None if it was not measured."""
    rows = evidence.errors_of(target, domain)
    rows = rows[rows["arm"] == arm].dropna(subset="mean")
    return None if rows.empty else dict(rows.iloc[0])


def _count_rows(evidence: TableEvidence, domain: str) -> str:
    if evidence.manifest is None:
        return ""
    return f" ({int((evidence.manifest['domain'] == domain).sum())} rows)"


def _join(words: list[str]) -> str:
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"
