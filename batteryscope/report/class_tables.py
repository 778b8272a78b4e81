"""Recall, precision, F1 and Jaccard index of every class and arm, beside the paper's table."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from batteryscope.config.evaluate import PaperClass
from batteryscope.report.evidence import StudyEvidence
from batteryscope.report.headline import Headline
from batteryscope.report.shown_table import ShownTable, show_table
from batteryscope.report.tables import LEVEL_NAMES, format_count, format_percent

SCORES = {"recall": "recall", "precision": "precision", "f1": "F1", "jaccard": "Jaccard index"}
PRINTED_DIGITS = 0.005  # half of the last digit of a table with two decimals


def show_classes(evidence: StudyEvidence, headline: Headline | None) -> list[ShownTable]:
    """Make one table per configured arm, the main one first; empty without ``per_class.csv``."""
    if evidence.per_class is None or headline is None:
        return []
    arms = dict.fromkeys([headline.arm, *evidence.shown_arms])
    shown = (_show_arm(evidence, arm, headline.level) for arm in arms)
    return [table for table in shown if table is not None]


def _show_arm(evidence: StudyEvidence, arm: str, level: str) -> ShownTable | None:
    rows = evidence.per_class
    assert rows is not None
    rows = rows[rows["arm"] == arm]
    if rows.empty:
        return None
    if level not in set(rows["level"]):
        # Divided by slice, an arm has tested no cell that did not train too.
        level = str(rows["level"].iloc[0])
    rows = rows[rows["level"] == level]
    if "target" in rows:
        rows = rows[rows["target"].fillna("") == ""]
    rows = rows.reset_index(drop=True)  # sorted, or in the order of grades
    frame = pd.DataFrame({"class": rows["class"].str.replace("_", " ")})
    scores = [score for score in SCORES if score in rows]
    for score in scores:
        frame[SCORES[score]] = [format_percent(value) for value in rows[score]]
    counts = rows["n"] if "n" in rows else rows["support"]
    frame[f"test {LEVEL_NAMES[level]}s"] = [format_count(value) for value in counts]
    last = pd.DataFrame([_summarise(rows, scores, counts)], columns=frame.columns)
    frame = pd.concat([frame, last], ignore_index=True)
    printed = [v for v in evidence.settings.evaluate.paper_classes if v.arm == arm]
    by_class = {v.class_name: v for v in printed}
    names = SCORES | {"specificity": "specificity", "accuracy": "its “accuracy”"}
    for score in names:
        if any(getattr(value, score) is not None for value in printed):
            values = [getattr(by_class.get(name), score, None) for name in rows["class"]]
            known = [value for value in values if value is not None]
            values.append(sum(known) / len(known) if len(known) == len(rows) else None)
            frame[f"paper: {names[score]}"] = [format_percent(value, 0) for value in values]
    shown = show_table(frame, evidence.label_of(arm))
    if shown is None:
        return None
    bars = {
        (line, 1 + place): float(value)
        for place, score in enumerate(scores)
        for line, value in enumerate(rows[score])
        if pd.notna(value)
    }
    return ShownTable(
        shown.title, shown.columns, shown.numeric, shown.rows, frozenset({len(rows)}), bars=bars
    )


def _summarise(rows: pd.DataFrame, scores: list[str], counts: pd.Series) -> list[str]:
    """Return the last line: the mean over the classes that were tested (macro average)."""
    tested = rows[rows["support"] > 0]
    means = [format_percent(tested[score].mean()) for score in scores]
    return ["mean of the classes", *means, format_count(counts.sum())]


def check_paper_accuracy(printed: Sequence[PaperClass], definition: str | None) -> str:
    """Say whether a paper's accuracy per class can be what the paper defines it to be.

    The Jaccard index follows from F1: J = F1/(2 − F1). A recall r allows at most
    F1 = 2r/(1 + r), reached at a precision of 1. Both are compared as far as two printed
    decimals allow.

    Returns
    -------
    str
        One or two sentences; empty if the paper gives no such pairs.

    Examples
    --------
    >>> row = PaperClass(arm="a", class_name="c", accuracy=0.98, f1=0.99)
    >>> check_paper_accuracy([row], "jaccard")[:59]
    'The paper defines its “accuracy” of a class as the Jaccard '
    """
    rows = [(v.accuracy, v.f1) for v in printed if v.accuracy is not None and v.f1 is not None]
    if not rows or definition is None:
        return ""
    accuracy, f1 = np.array(rows, dtype=float).T
    low, high = (np.clip(f1 + s * PRINTED_DIGITS, 0, 1) for s in (-1, 1))
    as_jaccard = (accuracy + PRINTED_DIGITS >= low / (2 - low)) & (
        accuracy - PRINTED_DIGITS <= high / (2 - high)
    )
    most = np.clip(accuracy + PRINTED_DIGITS, 0, 1)
    as_recall = low <= 2 * most / (1 + most)
    name = {"jaccard": "the Jaccard index TP/(TP + FP + FN)", "recall": "recall"}[definition]
    fits = as_jaccard if definition == "jaccard" else as_recall
    text = f"The paper defines its “accuracy” of a class as {name}. "
    if fits.all():
        return text + f"All {len(rows)} rows of its table agree with its F1."
    text += (
        f"Its own table does not behave so: given its F1, that is possible in {fits.sum()} of "
        f"{len(rows)} rows only, rounding allowed."
    )
    if definition == "jaccard":
        text += f" Recall would be possible in {as_recall.sum()}."
    return text + " It therefore stands under the paper's own name, beside none of ours."
