"""The tables of what was measured: comparison, paper, classes, external set, survey."""

import pandas as pd

from batteryscope.config.evaluate import TRAIN_SECONDS
from batteryscope.evaluation.arm_pairs import find_better
from batteryscope.evaluation.grade_metrics import GRADE_METRICS
from batteryscope.evaluation.metric_catalogue import name_metric
from batteryscope.report.evidence import StudyEvidence
from batteryscope.report.headline import Headline
from batteryscope.report.shown_table import ShownTable, show_table
from batteryscope.report.tables import (
    LEVEL_NAMES,
    NOTHING,
    format_count,
    format_p,
    format_percent,
    make_comparison_table,
    make_paper_table,
    order_arms,
)

HEADLINE_METRICS = (
    "accuracy", "balanced_accuracy", "macro_f1", "macro_jaccard", *GRADE_METRICS
)  # fmt: skip
EXTERNAL_NAMES = {"set_coverage": "sets hold the class", "mean_set_size": "classes in a set"}
LEVEL_ORDER = ("image", "specimen", "slice", "row", "tile")


def show_comparison(evidence: StudyEvidence) -> list[ShownTable]:
    """Make the comparison tables: per level the class, then the single label columns."""
    comparison = evidence.comparison
    known = [*evidence.settings.arms, *evidence.settings.mismatched_arms]
    arms = order_arms(comparison, known, evidence.main_arm)
    arms = [arm for arm in arms if arm not in evidence.settings.curve_arms]
    targets = [
        column
        for column in evidence.settings.dataset.labels.columns
        if (comparison["target"] == column).any()
    ]
    shown = []
    for level in LEVEL_ORDER:
        if not (comparison["level"] == level).any():
            continue
        per = f"Per {LEVEL_NAMES[level]}"
        wanted = {f"{per}: all classes": [("", metric) for metric in HEADLINE_METRICS]}
        if targets:
            names = " and ".join([", ".join(targets[:-1]), targets[-1]] if targets[1:] else targets)
            wanted[f"{per}: {names} judged apart"] = [(t, "accuracy") for t in targets]
        for title, quantities in wanted.items():
            table = make_comparison_table(comparison, level, quantities, arms, evidence.label_of)
            baseline = {evidence.label_of(arm) for arm in arms if arm.startswith("baseline_")}
            if len(table):
                main = table.index[table["strategy"] == evidence.label_of(evidence.main_arm)]
                is_baseline = table["strategy"].isin(baseline)
                table["strategy"] = table["strategy"].where(
                    ~is_baseline, "baseline: " + table["strategy"]
                )
            else:
                main = pd.Index([])
            shown.append(show_table(table, title, ("network",), list(main)))
    return [table for table in shown if table is not None]


def show_paper(evidence: StudyEvidence) -> ShownTable | None:
    """Put the paper's values beside ours, each beside the strategy that it belongs to."""
    measured = _gather_measured(evidence)
    paper = [value for value in evidence.settings.evaluate.paper if value.metric != TRAIN_SECONDS]
    arms = [value.arm or evidence.main_arm for value in paper]
    parts = [
        make_paper_table(
            [(v.metric, v.target, v.group or v.domain, v.level, v.value, v.note)], measured, arm
        )
        for v, arm in zip(paper, arms, strict=True)
    ]
    table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    if len(set(arms)) > 1:
        table.insert(0, "strategy", [evidence.label_of(arm) for arm in arms])
    if evidence.generated and len(table):
        table = table.drop(columns="difference")  # a difference of unlike things
    return show_table(table, "", ("quantity", "note"))


def _gather_measured(evidence: StudyEvidence) -> pd.DataFrame:
    """Add to the comparison what other tables measured: external set, experts, specificity.

    Rows as in ``comparison.csv``, the group of the external set (or of the experts) as domain.
    """
    place: dict[str, object]
    rows: list[dict[str, object]] = []
    if evidence.external is not None and "accuracy" in evidence.external:
        for row in evidence.external.fillna({"group": "", "target": ""}).to_dict("records"):
            place = {"arm": evidence.main_arm, "level": "external", "metric": "accuracy"}
            domain, target = row.get("group", ""), row["target"]
            rows.append(
                place | {"domain": domain, "target": target, "mean": row["accuracy"], "n": row["n"]}
            )
    if evidence.survey is not None and "kind" in evidence.survey:
        for row in evidence.survey.to_dict("records"):
            place = {"arm": evidence.main_arm, "level": "expert", "metric": "accuracy"}
            rows.append(
                place
                | {"domain": row["kind"], "target": "", "mean": row["accuracy"], "n": row["n"]}
            )
    if evidence.class_measures is not None:
        for (arm, level), table in evidence.class_measures.groupby(["arm", "level"]):
            place = {"arm": arm, "level": level, "metric": "macro_specificity"}
            overall = table[table["class"] == "(overall)"]
            n = table.loc[table["class"] != "(overall)", ["tp", "fn"]].sum().sum()
            rows += [
                place | {"domain": "", "target": "", "mean": mean, "n": n}
                for mean in overall["specificity"]
            ]
    return pd.concat([evidence.comparison, pd.DataFrame(rows)], ignore_index=True)


def show_pairs(evidence: StudyEvidence) -> ShownTable | None:
    """Make the table of differences between any two arms; None for a single arm."""
    if evidence.paired is None or evidence.paired.empty:
        return None
    lines = []
    for row in evidence.paired.to_dict("records"):
        better = find_better(row)
        interval = f"{100 * row['low']:+z.1f} to {100 * row['high']:+z.1f}".replace("-", "−")
        lines.append(
            {
                "first": evidence.label_of(row["first"]),
                "second": evidence.label_of(row["second"]),
                "difference (points)": f"{100 * row['difference']:+z.1f}".replace("-", "−"),
                "95 % interval": interval if pd.notna(row["low"]) else NOTHING,
                "fits": format_count(row["n_fits"]),
                "p (Wilcoxon, Holm)": format_p(row["p_wilcoxon_holm"]),
                "p (McNemar, Holm)": format_p(row["p_mcnemar_holm"]),
                "verdict": f"{evidence.label_of(better)} is better" if better else "not certain",
            }
        )
    return show_table(pd.DataFrame(lines), "", ("first", "second", "verdict"))


def show_measures(evidence: StudyEvidence, headline: Headline | None) -> ShownTable | None:
    """Make the table of counts and measures per class of single slices; None for pictures."""
    table = evidence.class_measures
    if table is None or headline is None or not (table["level"] == "slice").any():
        return None
    rows = table[(table["arm"] == headline.arm) & (table["level"] == "slice")]
    frame = pd.DataFrame({"class": rows["class"].str.replace("_", " ")})
    for column in ("tp", "fp", "fn", "tn"):
        frame[column.upper()] = [format_count(v) if pd.notna(v) else "" for v in rows[column]]
    for column in ("accuracy", "precision", "sensitivity", "specificity", "f1"):
        frame["F1" if column == "f1" else column] = [format_percent(v) for v in rows[column]]
    return show_table(frame, "", ("class",), [len(frame) - 1])


def show_external(external: pd.DataFrame | None) -> ShownTable | None:
    """Make the table of an external data set.

    Parameters
    ----------
    external
        Either tidy (``target, level, metric, value, n``) or one row per target and group
        with ``accuracy`` and its interval ``low``, ``high``.
    """
    if external is None or external.empty:
        return None
    target = external["target"].replace("", "all labels together")
    if "metric" not in external:
        frame = pd.DataFrame({"judged by": target})
        if "group" in external and (external["group"] != "").any():
            frame.insert(0, "images of", external["group"].replace("", "all classes"))
            frame["images of"] = frame["images of"].str.replace("_", " ")
        told = _leave_out_repeated(external)
        for column in told.columns.drop(["target", "group"], errors="ignore"):
            start = column.removesuffix("low")
            if column.endswith("low") and f"{start}high" in told:
                ends = zip(told[column], told[f"{start}high"], strict=True)
                head = f"95 % interval{' of the sets' if start else ''}"
                frame[head] = [
                    NOTHING if pd.isna(low) else f"{100 * low:.1f} to {format_percent(high)}"
                    for low, high in ends
                ]
            elif not column.endswith("high"):
                name = EXTERNAL_NAMES.get(column, column.replace("_", " "))
                frame[name] = _format_column(told[column])
        return show_table(frame, "", ("judged by",))
    values = [
        format_percent(value) if _is_share(metric) else f"{value:.3g}"
        for metric, value in zip(external["metric"], external["value"], strict=True)
    ]
    frame = pd.DataFrame(
        {
            "judged by": target,
            "per": [LEVEL_NAMES.get(level, level) for level in external["level"]],
            "metric": [name_metric(metric) for metric in external["metric"]],
            "value": values,
            "n": _format_column(external["n"]),
        }
    )
    return show_table(frame, "", ("per", "metric"))


def _leave_out_repeated(external: pd.DataFrame) -> pd.DataFrame:
    """Leave out what says the same as the column that it is derived from: all classes are known."""
    alike = {"accuracy_known": "accuracy", "n_known": "n", "set_coverage_n": "n"}
    repeated = [
        name
        for name, origin in alike.items()
        if name in external and external[name].equals(external[origin])
    ]
    if (external.get("sets_counted_by", pd.Series(["?"])) == "image").all():
        repeated.append("sets_counted_by")
    return external.drop(columns=repeated)


def show_survey(survey: pd.DataFrame | None) -> ShownTable | None:
    """Make the table of the survey of experts, best first."""
    if survey is None or survey.empty:
        return None
    ordered = survey.sort_values(["accuracy", "who"], ascending=[False, True])
    names = {
        "who": "who",
        "accuracy": "right",
        "n": "images",
        "accuracy_shared": "right, of those the model was tested on",
        "n_shared": "of those, images",
        "model_accuracy_shared": "the model there",
    }
    frame = pd.DataFrame(index=ordered.index)
    for column in ordered.columns.drop("kind", errors="ignore"):
        name = names.get(column, column.replace("_", " "))
        frame[name] = _format_column(ordered[column])
    is_model = ordered["kind"] == "model" if "kind" in ordered else ordered["who"] == "model"
    return show_table(frame, "", (), [i for i, main in enumerate(is_model) if main])


def _is_share(name: str) -> bool:
    if name.endswith("_n"):
        return False
    return name in ("low", "high") or any(
        part in name for part in ("accuracy", "f1", "precision", "recall", "jaccard", "coverage")
    )


def _format_column(values: pd.Series) -> list[str]:
    """Shares as percent, counts without decimals, texts as they are."""
    name = str(values.name)
    if not pd.api.types.is_numeric_dtype(values):
        return [str(value) if pd.notna(value) else NOTHING for value in values]
    if _is_share(name):
        return [format_percent(value) for value in values]
    if name == "n" or name.startswith("n_") or name.endswith("_n"):
        return [format_count(value) for value in values]
    return [NOTHING if pd.isna(value) else f"{value:.3g}" for value in values]
