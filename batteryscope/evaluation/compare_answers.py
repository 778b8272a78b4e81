"""Two studies, or two versions of one, by what they answered about the samples that both tested."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
import pandas as pd

from batteryscope.answers.choose import answer_named
from batteryscope.answers.kind import Answer
from batteryscope.errors import InputError
from batteryscope.evaluation.paired import SIGNIFICANT, correct_by_holm
from batteryscope.evaluation.versions import FEWEST_UNITS, compare_versions

KEYS = ["sample_id", "target"]
METRIC_COLUMNS = ["target", "target_unit", "metric", "first", "second", "first_all", "second_all"]
TEST_COLUMNS = [
    "target", "target_unit", "n_units", "first", "second", "difference", "low", "high", "p_value",
    "p_holm", "better",
]  # fmt: skip
CHANGE_COLUMNS = ["target", "sample", "sample_id", "y_true", "first", "second", "change"]


@dataclass(frozen=True)
class AnswerComparison:
    """What two studies answered about the samples that both tested.

    Attributes
    ----------
    answer
        What kind of answers they are.
    n_first, n_second, n_shared
        Test samples of each, and of both.
    n_relabelled
        Samples of both that have another true value on the other side; they are left out, and not
        in ``n_shared``.
    metrics
        :data:`METRIC_COLUMNS`: a row per target and metric. ``first`` and ``second`` are those of
        the shared samples, ``…_all`` those of all own ones.
    tests
        :data:`TEST_COLUMNS`: a row per target. Mean errors over independent units, their
        difference (first minus second: above zero the second errs less) with its 95 % interval,
        and the paired test; ``better`` is "first", "second", or "" where chance explains it.
    changes
        :data:`CHANGE_COLUMNS`: a row per answer that changed, the largest changes first.
    ways, change_note
        All ways in which an answer can change, and what counts as a change.
    error_metric
        The metric in whose unit errors are.
    """

    answer: Answer
    n_first: int
    n_second: int
    n_shared: int
    n_relabelled: int
    metrics: pd.DataFrame
    tests: pd.DataFrame
    changes: pd.DataFrame
    ways: tuple[str, ...]
    change_note: str
    error_metric: str

    def count_changes(self) -> dict[str, int]:
        """Return how many answers changed in which way, all ways included."""
        counts = self.changes["change"].value_counts()
        return {name: int(counts.get(name, 0)) for name in self.ways}


def compare_answers(first: pd.DataFrame, second: pd.DataFrame) -> AnswerComparison:
    """Compare two tables of answers.

    A unit counts once, however many of its samples were tested; where one side knows specimens
    and the other does not, the coarser units count. Several targets share one Holm correction.

    Parameters
    ----------
    first, second
        Of :func:`batteryscope.evaluation.published_answers.read_answers`.

    Raises
    ------
    InputError
        They answer different things, or share no sample, so that nothing can be paired.
    """
    answer = _find_answer(first, second)
    of_kind = import_module(answer.versions)
    sides = [
        table.set_index(KEYS, drop=False).rename_axis([None, None]).sort_index()
        for table in (first, second)
    ]
    shared = sides[0].index.intersection(sides[1].index)
    n_first, n_second = first["sample_id"].nunique(), second["sample_id"].nunique()
    if shared.empty:
        raise InputError(_explain_nothing_shared(first, second))
    ours, theirs = (side.loc[shared] for side in sides)
    agree = ours["y_true"] == theirs["y_true"]
    n_relabelled = ours.loc[~agree, "sample_id"].nunique()
    if not agree.any():
        raise InputError(
            f"all {n_relabelled} samples that both tested have other true values on the other "
            "side, so nothing can be compared; publish both with the same labels."
        )
    ours, theirs = ours[agree], theirs[agree]
    units = min((t["unit"] for t in (ours, theirs)), key=lambda unit: unit.nunique())
    ours, theirs = ours.assign(unit=units), theirs.assign(unit=units)
    metrics, tests, changes = [], [], []
    for target, mine in ours.groupby("target", sort=True):
        other = theirs.loc[mine.index]
        about = {"target": target, "target_unit": mine["target_unit"].iloc[0]}
        tables = (mine, other, *(t[t["target"] == target] for t in (first, second)))
        values = [of_kind.measure_answers(table) for table in tables]
        for name in values[0]:
            columns = zip(METRIC_COLUMNS[3:], (v[name] for v in values), strict=True)
            metrics.append({**about, "metric": name, **dict(columns)})
        tests.append({**about, **_test(mine, other)})
        changes.append(_list_changes(mine, other, of_kind.name_changes(mine, other)))
    tested = pd.DataFrame(tests)
    tested["p_holm"] = correct_by_holm(tested["p_value"].to_numpy(dtype=np.float64))
    tested["better"] = [_judge(row) for row in tested.to_dict("records")]
    return AnswerComparison(
        answer,
        n_first,
        n_second,
        ours["sample_id"].nunique(),
        n_relabelled,
        pd.DataFrame(metrics)[METRIC_COLUMNS],
        tested[TEST_COLUMNS],
        pd.concat(changes, ignore_index=True)[CHANGE_COLUMNS],
        of_kind.CHANGES,
        of_kind.CHANGE_NOTE,
        of_kind.ERROR_METRIC,
    )


def _find_answer(first: pd.DataFrame, second: pd.DataFrame) -> Answer:
    kinds = [str(table["answer"].iloc[0]) for table in (first, second)]
    answers = [answer_named(kind) for kind in kinds]
    if answers[0] is None or answers[0] != answers[1]:
        known = [
            kind if answer is None else answer.noun
            for kind, answer in zip(kinds, answers, strict=True)
        ]
        raise InputError(
            f"the first answers with {known[0]}, the second with {known[1]}: nothing can be "
            "compared; name two studies with the same kind of answers."
        )
    return answers[0]


def _explain_nothing_shared(first: pd.DataFrame, second: pd.DataFrame) -> str:
    samples, targets = (
        [set(table[name]) for table in (first, second)] for name in ("sample_id", "target")
    )
    if samples[0] & samples[1]:
        told = [", ".join(sorted(names)) for names in targets]
        return f"the first answers {told[0]}, the second {told[1]}: they share no target."
    return (
        f"the two share no test sample ({len(samples[0])} and {len(samples[1])} were tested), and "
        "a difference between different samples says nothing of the models; let both test the "
        "same files."
    )


def _test(ours: pd.DataFrame, theirs: pd.DataFrame) -> dict[str, float]:
    """Compare the errors of one target, unit by unit; positive differences favour the second."""
    found = compare_versions(theirs.reset_index(drop=True), ours.reset_index(drop=True))
    return {
        "n_units": found.n_units,
        "first": found.old,
        "second": found.new,
        "difference": found.gain,
        "low": found.low,
        "high": found.high,
        "p_value": found.p_value,
    }


def _judge(test: Mapping[Any, Any]) -> str:
    proven = test["n_units"] >= FEWEST_UNITS and test["p_holm"] < SIGNIFICANT
    if not proven or test["difference"] == 0:
        return ""
    return "second" if test["difference"] > 0 else "first"


def _list_changes(
    ours: pd.DataFrame, theirs: pd.DataFrame, changes: "pd.Series[str]"
) -> pd.DataFrame:
    table = ours.assign(
        first=ours["y_pred"],
        second=theirs["y_pred"],
        change=changes,
        size=(ours["error"] - theirs["error"]).abs(),
    )
    table = table[table["change"] != ""]
    return table.sort_values(["size", "sample"], ascending=[False, True])[CHANGE_COLUMNS]
