"""The shortcut audit of a study of classes: tables, numbers, and one finding with the verdict."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pandas as pd

from batteryscope.audit.confounding import (
    count_crossings,
    list_factors,
    measure_confounding,
)
from batteryscope.audit.cues import CUES
from batteryscope.audit.perturb import PERTURBATION_LABELS
from batteryscope.audit.score import Score, score_answers
from batteryscope.audit.sessions import SessionRelation, relate_sessions
from batteryscope.audit.verdict import (
    LEVELS,
    Level,
    judge_cues,
    judge_perturbed,
    judge_sessions,
    name_settings,
    sum_up,
)
from batteryscope.core.finding import Finding, Severity
from batteryscope.evaluation.aggregate import (
    aggregate_to_images,
    aggregate_to_specimens,
    pool_fits,
)
from batteryscope.evaluation.flat_metrics import flatten_score
from batteryscope.evaluation.predictions import check_predictions
from batteryscope.evaluation.shortcut_audit import METRIC_PREFIX, Audit, take_perturbed
from batteryscope.evaluation.shortcut_cues import (
    CUE_PREFIX,
    LEFT_OUT_PREFIX,
    keep_first_repeat,
    take_arms,
)

Name = TypeVar("Name", bound=str)  # of a cue or of a perturbation

FINDING_LEVELS: Mapping[Level, str] = {"quiet": "good", "warning": "warning", "alarm": "alarm"}
SCORE_COLUMNS = [
    "n", "accuracy", "low", "high", "balanced", "chance", "skill", "skill_low", "skill_high"
]  # fmt: skip


@dataclass(frozen=True)
class ShortcutAudit(Audit[Score]):
    """What the audit measured and decided.

    Attributes
    ----------
    relation
        How classes and sessions hang together.
    confounding, crossings
        How much of the label each circumstance tells; counts.
    unit
        What is counted: image, slice or specimen.
    main_arm
        Whose network it is.
    """

    relation: SessionRelation
    confounding: pd.DataFrame
    crossings: pd.DataFrame
    unit: str = "image"
    main_arm: str = ""


def audit_shortcuts(
    manifest: pd.DataFrame,
    predictions: pd.DataFrame,
    model: pd.DataFrame | None = None,
    perturbed: pd.DataFrame | None = None,
    data_bar_px: "pd.Series[int] | None" = None,
    unit: str = "image",
    main_arm: str = "",
) -> ShortcutAudit:
    """Audit a study: what alone tells the class, and what the network goes by.

    Parameters
    ----------
    manifest
        Samples that can be tested.
    predictions
        Of :func:`batteryscope.evaluation.shortcut_cues.predict_from_cues`.
    model
        Test predictions of the main arm per ``unit``; None without a network.
    perturbed
        Predictions of tiles with one thing taken away; arms are names of perturbations.
    data_bar_px
        Height of the data bar found in every frame, by sample.
    unit
        What counts as independent: ``image``, ``slice`` or ``specimen``.
    main_arm
        Whose network it is.
    """
    specimens = manifest.set_index("sample_id")["specimen_id"]

    def score(tables: Mapping[Name, pd.DataFrame]) -> dict[Name, Score]:
        found = {}
        for name, table in tables.items():
            units = aggregate_to_images(table[table["role"] == "test"])
            if unit == "specimen":
                units = aggregate_to_specimens(units, specimens)
            if len(units):  # else no specimen is known
                found[name] = score_verdicts(units)
        return found

    taken = take_arms(predictions, CUE_PREFIX)
    cues = score({name: taken[name] for name in CUES if name in taken})
    left_out = score(take_arms(predictions, LEFT_OUT_PREFIX))
    changed: dict[str, Score] = {}
    if perturbed is not None:
        changed = score({name: perturbed[perturbed["arm"] == name] for name in PERTURBATION_LABELS})
    first = None if model is None else keep_first_repeat(model)
    own = None if first is None or first.empty else score_verdicts(first)
    relation = relate_sessions(manifest)
    factors = list_factors(manifest, data_bar_px)
    labels = manifest.set_index("sample_id")["class"].astype(str)
    confounding = measure_confounding(factors, labels)
    words = name_settings(confounding, "share_of_label")
    signs = [
        *judge_cues(cues, own, words),
        *judge_sessions(relation, cues, left_out),
        *judge_perturbed(changed, cues),
    ]
    level, signs = sum_up(signs, cues)
    return ShortcutAudit(
        level=level,
        signs=signs,
        cues=cues,
        left_out=left_out,
        perturbed=changed,
        model=own,
        relation=relation,
        confounding=confounding,
        crossings=count_crossings(factors, labels),
        unit=unit,
        main_arm=main_arm,
    )


def score_verdicts(verdicts: pd.DataFrame) -> Score:
    """Score verdicts per unit; one that several fits tested counts once, by their vote."""
    pooled = pool_fits(verdicts)
    return score_answers(pooled["y_true"], pooled["y_pred"])


def read_cues(path: Path) -> pd.DataFrame:
    """Read predictions that an audit asked for; the table may hold none."""
    table = pd.read_parquet(path)
    if len(table):
        check_predictions(table, str(path))
    return table


def read_perturbed(path: Path, main_arm: str) -> pd.DataFrame | None:
    """Read what the main arm's networks said of changed tiles; None if nothing was asked."""
    return take_perturbed(read_cues(path), main_arm)


def tabulate_audit(audit: ShortcutAudit) -> dict[str, pd.DataFrame]:
    """Return the tables of an audit by the name of their file."""
    rows = audit.tabulate(audit.main_arm)
    return {
        "shortcuts": pd.DataFrame(rows, columns=["what", "name", *SCORE_COLUMNS]),
        "confounding": audit.confounding,
        "confounding_counts": audit.crossings,
    }


def flatten_audit(audit: ShortcutAudit) -> dict[str, float | int]:
    """Return the few numbers of an audit that stand among the metrics; 0 quiet to 2 alarm."""
    found: dict[str, float | int] = {f"{METRIC_PREFIX}.verdict": LEVELS.index(audit.level)}
    for place, own in audit.list_scores().items():
        found |= flatten_score(place, "balanced_accuracy", own.balanced, own.balanced_ends, own.n)
    return found


def tell_verdict(audit: ShortcutAudit, main_label: str = "") -> Finding:
    """Return the verdict as a finding.

    Parameters
    ----------
    audit
        What was measured.
    main_label
        What a report calls the main arm; by its name if not given.
    """
    facts = {
        "verdict": audit.level,
        "signs": audit.describe_signs(),
        "unit": audit.unit,
        "main_label": main_label or audit.main_arm.replace("_", " "),
        "model": audit.model and audit.model.as_dict(),
        "best": audit.describe_best(),
        "relation": audit.relation.relation,
        "labels": PERTURBATION_LABELS,
    }
    severity: Severity = "good" if audit.level == "quiet" else "warning"
    return Finding("shortcut", severity, facts, {"level": FINDING_LEVELS[audit.level]})
