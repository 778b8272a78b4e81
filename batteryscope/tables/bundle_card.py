"""The model card of a table study: what a stranger must know before trusting the models."""

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from batteryscope.core.safe_text import fill_markdown
from batteryscope.evaluation.predictions import is_baseline
from batteryscope.tables.bundle_record import ProcessShape, TableBundleRecord
from batteryscope.tables.fit_processes import MOST_ROWS
from batteryscope.tables.labels import name_arm, name_domain
from batteryscope.tables.table_predictions import find_family

ERRORS = ("mape", "mae")  # the first that there is
WHAT_ANSWERS = dict.fromkeys(("process", "processes"), "Gaussian processes")
TEMPLATE = Path(__file__).with_name("table_card.md.j2")


class TableScore(NamedTuple):
    """Mean error over the repeats of one arm for a target of a domain.

    ``metric`` is ``mape`` (percent), or ``mae`` (unit of the target) where a true value is 0.
    """

    target: str
    domain: str
    who: str
    metric: str
    error: float
    unit: str
    r2: float | None

    @property
    def text(self) -> str:
        """The error with its unit."""
        return f"{self.error:{'.1f' if self.metric == 'mape' else '.3g'}} {self.unit}".strip()


def render_table_card(record: TableBundleRecord) -> str:
    """Write the model card in Markdown."""
    scores = list_table_scores(record)
    return fill_markdown(
        TEMPLATE,
        record=record,
        arm=name_arm(record.arm),
        what=WHAT_ANSWERS.get(record.members[0].network.kind, "Very small neural networks"),
        scores=scores,
        errors={score.metric for score in scores},
        repeats=len({(member.repeat, member.fold) for member in record.members}),
        most_rows=MOST_ROWS if _has_drawn_rows(record) else None,
        unguarded=tell_unguarded_domains(record),
        limits=[finding["text"] for finding in record.findings if finding.get("text")],
    )


def list_table_scores(record: TableBundleRecord) -> list[TableScore]:
    """List the errors of the models, and of the best baseline beside each."""
    scores = []
    for target in record.targets:
        for domain in record.domain_names:
            arm = find_family(record.arm).source if domain == record.source else record.arm
            metric, found = _find_errors(record.metrics, domain, target.name)
            unit = "%" if metric == "mape" else target.unit
            baselines = {name: error for name, error in found.items() if is_baseline(name)}
            shown = [arm] if arm in found else []
            shown += [min(baselines, key=lambda name: baselines[name])] if baselines else []
            for who in shown:
                r2 = record.metrics.get(f"{who}.row.{domain}.{target.name}.r2")
                label = f"best baseline: {name_arm(who)}" if is_baseline(who) else name_arm(who)
                score = TableScore(target.label, domain, label, metric, found[who], unit, r2)
                scores.append(score)
    return scores


def name_better_baselines(record: TableBundleRecord) -> list[str]:
    """Say in a sentence each where a baseline, which is not in the bundle, errs less."""
    sentences = []
    scores = list_table_scores(record)
    for ours, best in itertools.pairwise(scores):
        if (ours.target, ours.domain) == (best.target, best.domain) and best.error < ours.error:
            sentences.append(
                f"{ours.target} of {name_domain(ours.domain)}: {best.who} errs less than the "
                f"models that answer here ({best.text} against {ours.text})."
            )
    return sentences


def tell_unguarded_domains(record: TableBundleRecord) -> str:
    """Name in a sentence the domains whose rows are all answered, while others are compared."""
    unguarded = [name for name in record.domain_names if name not in record.familiarity]
    if not record.familiarity or not unguarded:
        return ""
    return (
        f"All rows of {', '.join(unguarded)} are answered, however unlike those of the training: "
        "too few independent rows to tell."
    )


def _has_drawn_rows(record: TableBundleRecord) -> bool:
    """Whether processes learnt from as many rows as they take at most."""
    shapes = [getattr(member.network, "members", [member.network]) for member in record.members]
    return any(
        isinstance(shape, ProcessShape) and shape.rows >= MOST_ROWS
        for own in shapes
        for shape in own
    )


def _find_errors(
    metrics: Mapping[str, float], domain: str, target: str
) -> tuple[str, dict[str, float]]:
    """Return which error there is, and that of everybody."""
    for metric in ERRORS:
        ending = f".row.{domain}.{target}.{metric}"
        found = {k.removesuffix(ending): v for k, v in metrics.items() if k.endswith(ending)}
        if found:
            return metric, found
    return ERRORS[0], {}
