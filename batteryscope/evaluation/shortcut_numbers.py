"""The shortcut audit of a study of numbers: what alone tells a quantity, and one verdict on all.

Quantities that are points of a curve are audited together, every other one by itself. All scores
are skills against the mean of the training samples (:class:`batteryscope.audit.score.NumberScore`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from batteryscope.audit.confounding import (
    average_crossings,
    list_factors,
    measure_shared_variance,
)
from batteryscope.audit.cues import CUES, CueName, list_cues
from batteryscope.audit.perturb import PERTURBATION_LABELS
from batteryscope.audit.score import NumberScore, score_numbers
from batteryscope.audit.sessions import find_sessions, take_turns
from batteryscope.audit.verdict import (
    LEVELS,
    TELLS_MUCH,
    find_trusted,
    judge_cues,
    judge_left_out,
    judge_perturbed,
    judge_shared_variance,
    name_settings,
    sum_up,
)
from batteryscope.config.targets import Quantity
from batteryscope.core.baseline_catalogue import BASELINE_PREFIX
from batteryscope.core.finding import Finding
from batteryscope.evaluation.flat_metrics import flatten_score
from batteryscope.evaluation.number_baselines import predict_baselines
from batteryscope.evaluation.number_predictions import gather_images
from batteryscope.evaluation.sample_features import list_informative_metadata, select_metadata
from batteryscope.evaluation.shortcut_audit import METRIC_PREFIX, Audit, take_perturbed
from batteryscope.evaluation.shortcut_cues import (
    ASKED_ABOUT_SESSIONS,
    CUE_PREFIX,
    LEFT_OUT_PREFIX,
    TREES,
    keep_first_repeat,
    tabulate_parts,
    take_arms,
)

BRIGHTNESS = "brightness"  # mean and spread of the grey levels: no cue, but explains one
MEAN = "mean"  # of the training samples, which every skill is measured against
SAMPLE = ["sample_id", "repeat", "fold", "target"]
Scores = Mapping[CueName, NumberScore]


@dataclass(frozen=True)
class NumberAudit(Audit[NumberScore]):
    """What the audit measured and decided about one quantity, or about a curve.

    Attributes
    ----------
    quantity, unit
        What it is called, and its unit.
    trusted
        Cues that are no sign (:func:`batteryscope.audit.verdict.find_trusted`).
    brightness
        Score of mean and spread of the grey levels alone.
    has_own_sessions
        Whether every unit has its own session, so that nothing tells the two apart.
    shares, averages
        Share of the variance between the values of every circumstance; means at these values.
    noun
        What is counted: specimens or samples.
    """

    quantity: str
    unit: str
    trusted: Sequence[CueName]
    brightness: NumberScore | None
    has_own_sessions: bool
    shares: pd.DataFrame
    averages: pd.DataFrame
    noun: str


def predict_numbers_from_cues(
    manifest: pd.DataFrame,
    split: pd.DataFrame,
    frames: pd.DataFrame,
    quantities: Sequence[Quantity],
    seed: int,
) -> pd.DataFrame:
    """Predict the test samples of the first repeat by every cue alone, and by the mean.

    Parameters
    ----------
    manifest, split
        Samples that can be tested, with their numbers; their roles.
    frames
        Table of frames.
    quantities
        What the main arm predicts.
    seed
        Base seed.

    Returns
    -------
    DataFrame
        Rows of :func:`gather_images`, test alone: ``shortcut_<cue>`` on the study's own division,
        and, where sessions are known, ``left_out_<cue>`` with no session in training and test.
    """
    targets = [quantity.name for quantity in quantities]
    known = list_cues(manifest, frames, targets)
    features: dict[str, pd.DataFrame | None] = {MEAN: None, **dict(known.items())}
    if "grey_levels" in known:
        features[BRIGHTNESS] = known["grey_levels"][["mean", "sd"]]
    if list_informative_metadata(manifest):
        features["metadata"] = pd.get_dummies(select_metadata(manifest), dtype=float)
    _, sessions = find_sessions(manifest)
    asked = [(CUE_PREFIX, features, keep_first_repeat(split))]
    if len(sessions.unique()) > 1:
        seen: dict[str, pd.DataFrame | None] = {MEAN: None}
        seen |= {name: known[name] for name in ASKED_ABOUT_SESSIONS if name in known}
        asked.append((LEFT_OUT_PREFIX, seen, tabulate_parts(take_turns(sessions))))
    tables = []
    for prefix, shown, parts in asked:
        found = predict_baselines(
            manifest, shown, parts, targets, seed, quantities=quantities, trees=TREES
        )
        found["arm"] = prefix + found["arm"].str.removeprefix(BASELINE_PREFIX)
        tables.append(gather_images(found[found["role"] == "test"], manifest))
    return pd.concat(tables, ignore_index=True)


def audit_numbers(
    manifest: pd.DataFrame,
    predictions: pd.DataFrame,
    quantities: Sequence[Quantity],
    model: pd.DataFrame | None = None,
    perturbed: pd.DataFrame | None = None,
    data_bar_px: "pd.Series[int] | None" = None,
    noun: str = "image",
) -> list[NumberAudit]:
    """Audit every quantity: what alone tells it, and what the network goes by.

    Parameters
    ----------
    manifest
        Samples that can be tested.
    predictions
        Of :func:`predict_numbers_from_cues`.
    quantities
        What the main arm predicts.
    model
        Test rows of the main arm (:func:`gather_images`); None without a network.
    perturbed
        The same of changed tiles; arms are names of perturbations.
    data_bar_px
        Height of the data bar found in every frame, by sample.
    noun
        What a sample is called.
    """
    groups: dict[tuple[str, str], list[Quantity]] = {}
    for quantity in quantities:
        groups.setdefault((quantity.curve or quantity.name, quantity.unit), []).append(quantity)
    known = manifest["specimen_id"].notna() & (manifest["specimen_id"] != "")
    units = manifest["specimen_id"].where(known, manifest["sample_id"])
    units = units.set_axis(manifest["sample_id"])
    word = "specimen" if known.all() else "independent unit" if known.any() else noun
    factors = list_factors(manifest, data_bar_px)
    first = None if model is None else keep_first_repeat(model[model["role"] == "test"])
    return [
        _audit(own, manifest, predictions, first, perturbed, factors, units, word)
        for own in groups.values()
    ]


def _audit(
    quantities: Sequence[Quantity],
    manifest: pd.DataFrame,
    predictions: pd.DataFrame,
    model: pd.DataFrame | None,
    perturbed: pd.DataFrame | None,
    factors: "Mapping[str, pd.Series[str]]",
    units: "pd.Series[str]",
    noun: str,
) -> NumberAudit:
    names = [quantity.name for quantity in quantities]
    is_log = quantities[0].transform == "log"
    of_mean = {prefix: predictions[predictions["arm"] == prefix + MEAN]
               for prefix in (CUE_PREFIX, LEFT_OUT_PREFIX)}  # fmt: skip

    def score(table: pd.DataFrame, prefix: str = CUE_PREFIX) -> NumberScore | None:
        return score_rows(table, of_mean[prefix], names, units, is_log)

    def score_all(tables: Mapping[Any, pd.DataFrame], prefix: str = CUE_PREFIX) -> dict[Any, Any]:
        found = {name: score(table, prefix) for name, table in tables.items() if name != MEAN}
        return {name: own for name, own in found.items() if own is not None}

    taken = score_all(take_arms(predictions, CUE_PREFIX))
    cues: Scores = {name: taken[name] for name in CUES if name in taken}
    changed: dict[str, NumberScore] = {}
    if perturbed is not None:
        arms = {name: perturbed[perturbed["arm"] == name] for name in PERTURBATION_LABELS}
        changed = score_all(arms)
    own = None if model is None else score(model)
    values = manifest.set_index("sample_id")[names]
    values = values.apply(np.log) if is_log else values
    by, sessions = find_sessions(manifest)
    within = measure_shared_variance({by: sessions} if by else {}, values, units)
    share, p_value = (
        (float(within["share_of_variance"][0]), float(within["p_value"][0]))
        if len(within)
        else (np.nan, 1.0)
    )
    seen_in = units.loc[sessions.index].groupby(sessions.to_numpy()).nunique()
    has_own = len(seen_in) > 1 and bool((seen_in == 1).all())
    bound = judge_shared_variance(by, share, p_value, sessions.nunique(), units.nunique())
    shares = measure_shared_variance(factors, values, units)
    # Sessions that tell the quantity cannot be left out: what they show was never trained on.
    left_out: Scores = {}
    if share < TELLS_MUCH:
        left_out = score_all(take_arms(predictions, LEFT_OUT_PREFIX), LEFT_OUT_PREFIX)
    brightness = taken.get(BRIGHTNESS)
    trusted = find_trusted(cues, changed, bool(bound) or has_own, brightness)
    suspect = {name: told for name, told in cues.items() if name not in trusted}
    words = name_settings(shares, "share_of_variance")
    signs = [
        *judge_cues(cues, own, words, trusted),
        *bound,
        *judge_left_out(cues, left_out),
        *judge_perturbed(changed, suspect),
    ]
    level, signs = sum_up(signs, cues)
    return NumberAudit(
        quantity=quantities[0].label,
        unit=quantities[0].unit,
        level=level,
        signs=signs,
        cues=cues,
        left_out=left_out,
        perturbed=changed,
        model=own,
        trusted=trusted,
        brightness=brightness,
        has_own_sessions=has_own,
        shares=shares,
        averages=average_crossings(factors, manifest.set_index("sample_id")[names]),
        noun=noun,
    )


def score_rows(
    table: pd.DataFrame,
    of_mean: pd.DataFrame,
    targets: Sequence[str],
    units: "pd.Series[str]",
    is_log: bool = False,
) -> NumberScore | None:
    """Score rows of :func:`gather_images` against those of the mean; each unit counts once.

    None where a quantity was not predicted, or nothing differs from the mean.
    """
    beside = of_mean[[*SAMPLE, "y_pred"]].rename(columns={"y_pred": "by_mean"})
    rows = table[table["target"].isin(targets)].merge(beside, on=SAMPLE)
    columns = ["y_true", "y_pred", "by_mean"]
    rows = rows.assign(unit=rows["sample_id"].map(units))
    wide = rows.pivot_table(index="unit", columns="target", values=columns, aggfunc="mean")
    if wide.empty or wide.isna().to_numpy().any() or wide["y_true"].shape[1] < len(targets):
        return None
    true, pred, by_mean = (wide[column].to_numpy(np.float64) for column in columns)
    return score_numbers(true, pred, by_mean, is_log)


def read_perturbed_numbers(
    path: Path, main_arm: str, manifest: pd.DataFrame
) -> pd.DataFrame | None:
    """Read what the main arm's networks said of changed tiles; None if nothing was asked."""
    own = take_perturbed(pd.read_parquet(path), main_arm)
    return None if own is None else gather_images(own, manifest)


def tabulate_number_audits(audits: Sequence[NumberAudit]) -> dict[str, pd.DataFrame]:
    """Return the tables of all audits by the name of their file."""
    rows = [
        {"quantity": audit.quantity, "unit": audit.unit, **row}
        for audit in audits
        for row in audit.tabulate()
    ]
    columns = ["quantity", "unit", "what", "name", "n", "error", "error_of_mean"]
    told = pd.DataFrame(rows, columns=[*columns, "skill", "skill_low", "skill_high"])
    shares = [audit.shares.assign(quantity=audit.quantity) for audit in audits]
    averages = [audit.averages for audit in audits]
    return {
        "shortcuts": told,
        "confounding": pd.concat(shares, ignore_index=True),
        "confounding_means": pd.concat(averages, ignore_index=True),
    }


def flatten_number_audits(audits: Sequence[NumberAudit]) -> dict[str, float | int]:
    """Return the few numbers of all audits that stand among the metrics; 0 quiet to 2 alarm.

    Of several quantities the one that is told best.
    """
    worst = max(LEVELS.index(audit.level) for audit in audits)
    found: dict[str, float | int] = {f"{METRIC_PREFIX}.verdict": worst}
    for audit in audits:
        for place, own in audit.list_scores().items():
            if own.skill > found.get(f"{place}.skill", -np.inf):
                ends = own.skill_low, own.skill_high
                found |= flatten_score(place, "skill", own.skill, ends, own.n)
    return found


def tell_number_verdict(
    audits: Sequence[NumberAudit], main_label: str, relation_known: bool
) -> Finding:
    """Return the verdict on all quantities as a finding.

    Parameters
    ----------
    audits
        What was measured of each.
    main_label
        What a report calls the main arm.
    relation_known
        Whether sessions or times are known.
    """
    order = sorted(audits, key=lambda audit: -LEVELS.index(audit.level))
    level = order[0].level
    told = [
        {
            "quantity": audit.quantity,
            "noun": audit.noun,
            "signs": audit.describe_signs(),
            "model": audit.model and audit.model.as_dict(),
            "best": audit.describe_best(),
            "is_trusted": "grey_levels" in audit.trusted,
            "has_own_sessions": audit.has_own_sessions,
            "brightness": audit.brightness and audit.brightness.as_dict(),
            "kept": audit.perturbed["brightness"].skill
            if "brightness" in audit.perturbed
            else None,
        }
        for audit in order
        if level == "quiet" or audit.level != "quiet"
    ]
    facts = {
        "verdict": level,
        "audits": told,
        "main_label": main_label,
        "labels": PERTURBATION_LABELS,
        "relation_known": relation_known,
    }
    return Finding("shortcut", "good" if level == "quiet" else "warning", facts)
