"""The networks beside each other: what they cost and what they reach, and the paper's."""

import pandas as pd

from batteryscope.config.evaluate import TRAIN_SECONDS
from batteryscope.evaluation.metric_catalogue import name_metric
from batteryscope.plan import StudyPlan
from batteryscope.report.evidence import StudyEvidence
from batteryscope.report.headline import Headline
from batteryscope.report.shown_table import ShownTable, show_table
from batteryscope.report.tables import (
    NOTHING,
    as_fraction,
    format_count,
    format_percent,
    format_spread,
    select_rows,
)


def show_backbones(
    evidence: StudyEvidence, plan: StudyPlan | None, headline: Headline | None
) -> ShownTable | None:
    """Make the table of networks and of what their training took.

    None for a study whose arms all have the same network, unless the paper says how long that
    one took. The training time is that of all stages of an arm, per repeat and fold.
    """
    if plan is None or headline is None:
        return None
    arms = [arm for arm in evidence.settings.arms if arm in plan.arms]
    is_timed = any(_find_published(evidence, arm, TRAIN_SECONDS) != NOTHING for arm in arms)
    if len({plan.arms[arm].recipe.model.backbone for arm in arms}) < 2 and not is_timed:
        return None
    lines = []
    for arm in arms:
        line = {
            "network": plan.arms[arm].recipe.model.backbone,
            "strategy": evidence.label_of(arm),
            **_describe_cost(evidence, plan, arm),
        }
        for metric in ("accuracy", "macro_f1"):
            name = name_metric(metric)
            rows = select_rows(evidence.comparison, headline.level, "", metric)
            rows = rows[rows["arm"] == arm]
            known = len(rows) > 0
            line[name] = format_spread(rows["mean"].iloc[0], rows["sd"].iloc[0]) if known else "–"
        for metric, name in (
            (TRAIN_SECONDS, "training time"),
            ("accuracy", "accuracy"),
            ("macro_f1", "F1"),
        ):
            line[f"paper: {name}"] = _find_published(evidence, arm, metric)
        lines.append(line)
    frame = pd.DataFrame(lines)
    empty = [c for c in frame if str(c).startswith("paper: ") and (frame[c] == NOTHING).all()]
    main = [i for i, arm in enumerate(arms) if arm == headline.arm]
    return show_table(frame.drop(columns=empty), "", ("strategy",), main)


def _describe_cost(evidence: StudyEvidence, plan: StudyPlan, arm: str) -> dict[str, str]:
    fits = [fit.facts for chain in plan.arms[arm].chains for fit in evidence.stages.get(chain, ())]
    per_fit: dict[tuple[object, object], float] = {}
    for fit in fits:
        key = fit.get("repeat"), fit.get("fold")
        per_fit[key] = per_fit.get(key, 0.0) + float(fit.get("seconds", 0.0))
    speeds = [fit["tiles_per_second"] for fit in fits if "tiles_per_second" in fit]
    sizes = [fit["parameters"] for fit in fits if "parameters" in fit]
    return {
        "training time": f"{sum(per_fit.values()) / len(per_fit):.1f} s" if per_fit else NOTHING,
        "tiles per second": f"{sum(speeds) / len(speeds):.0f}" if speeds else NOTHING,
        "parameters": format_count(sizes[-1]) if sizes else NOTHING,
    }


def _find_published(evidence: StudyEvidence, arm: str, metric: str) -> str:
    for value in evidence.settings.evaluate.paper:
        if value.arm == arm and value.metric == metric and not (value.target or value.domain):
            if metric == TRAIN_SECONDS:
                return f"{value.value:.1f} s"
            return format_percent(as_fraction(value.value))
    return NOTHING
