"""The measures of An et al. (2026) from their own counts, Tables 5 and 6, to the printed digits."""

from decimal import ROUND_HALF_UP, Decimal

import pandas as pd
import pytest

from batteryscope.evaluation.class_measures import (
    count_outcomes,
    measure_counts,
    summarise_measures,
    tabulate_measures,
)

# Table 5: class, TP, FP, FN, TN, accuracy, precision, sensitivity, specificity, F1 as printed.
TABLE_5 = """\
cycle_aged     44 0 2 102 0.98649 1.00000 0.95652 1.00000 0.97778
calendar_aged  18 2 0 128 0.98649 0.90000 1.00000 0.98462 0.94737
pristine       46 1 0 101 0.99324 0.97872 1.00000 0.99020 0.98925
thermal_cycle  35 2 3 108 0.96622 0.94595 0.92105 0.98182 0.93333"""
# Table 6, in percent. Its F1, 96.16, does not follow from Table 5, whose mean is 96.19.
TABLE_6 = {
    "accuracy": "96.62",
    "precision": "95.62",
    "sensitivity": "96.94",
    "specificity": "98.92",
}
PRINTED_F1, F1_OF_COUNTS = "96.16", "96.19"


def read_table_5() -> tuple[pd.DataFrame, dict[str, list[str]]]:
    rows = [line.split() for line in TABLE_5.splitlines()]
    names = ["tp", "fp", "fn", "tn"]
    counts = pd.DataFrame(
        [map(int, r[1:5]) for r in rows], index=[r[0] for r in rows], columns=names
    )
    return counts, {r[0]: r[5:] for r in rows}


def print_as(value: float, digits: str) -> str:
    return str(Decimal(repr(value)).quantize(Decimal(digits), ROUND_HALF_UP))


def test_table_5_to_the_printed_digits() -> None:
    counts, printed = read_table_5()
    measured = measure_counts(counts)
    for name, row in measured.iterrows():
        found = [print_as(v, "0.00001") for v in row.loc["accuracy":"f1"]]
        assert found == printed[str(name)]


def test_table_6_to_the_printed_digits() -> None:
    summary = summarise_measures(measure_counts(read_table_5()[0]))
    found = {name: print_as(100 * value, "0.01") for name, value in summary.items()}
    assert found == TABLE_6 | {"f1": F1_OF_COUNTS}
    assert found["f1"] != PRINTED_F1


def test_the_reference_tables_are_those_of_the_test(shared_data) -> None:
    reference = shared_data.parent / "reference"
    table = pd.read_csv(reference / "an2026_table5.csv", index_col="class")
    counts, printed = read_table_5()
    pd.testing.assert_frame_equal(table[list(counts)], counts, check_names=False)
    values = table.drop(columns=list(counts))
    assert values.loc["pristine"].tolist() == [float(v) for v in printed["pristine"]]
    overall = pd.read_csv(reference / "an2026_table6.csv").iloc[0]
    assert [f"{v:.2f}" for v in overall] == [*TABLE_6.values(), PRINTED_F1]


def test_counts_from_verdicts() -> None:
    true = pd.Series(list("aaabbc"))
    pred = pd.Series(list("aabbcc"))
    counts = count_outcomes(true, pred, ["a", "b", "c", "d"])
    expected = [[2, 0, 1, 3], [1, 1, 1, 3], [1, 1, 0, 4], [0, 0, 0, 6]]
    assert counts[["tp", "fp", "fn", "tn"]].to_numpy().tolist() == expected
    assert measure_counts(counts)["precision"].isna().tolist() == [False] * 3 + [True]
    table = pd.DataFrame({"y_true": true, "y_pred": pred, "arm": "x"})
    table = table.assign(**{f"p_{c}": 0.25 for c in "abcd"})
    overall = tabulate_measures({"slice": table}).iloc[-1]
    assert overall["class"] == "(overall)"
    assert overall["accuracy"] == pytest.approx(4 / 6)
