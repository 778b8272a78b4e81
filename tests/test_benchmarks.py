"""The arithmetic of the benchmarks, and that one runs from end to end. No time is tested."""

import json

import numpy as np
import pytest

from benchmarks import augment_batch, measure_speed
from benchmarks.measurement import (
    Round,
    Timing,
    compare_sizes,
    format_table,
    subtract,
    summarise,
    take_rounds,
)
from benchmarks.peak_memory import measure_growth

MB = 2**20


def test_ratio_is_the_median_of_the_ratios_of_the_rounds():
    rounds = [
        Round(Timing(2.0, 1.0), Timing(1.0, 0.5)),
        Round(Timing(30.0, 3.0), Timing(10.0, 1.0)),  # both slow: other work on the machine
        Round(Timing(8.0, 2.0), Timing(2.0, 0.5)),
    ]
    row = summarise("work", "items/s", 40, rounds, "nothing")
    assert (row.lowest, row.ratio, row.highest) == (2.0, 3.0, 4.0)
    assert (row.ours, row.floor) == (5.0, 20.0)
    assert row.cpu_ratio == 3.0
    assert (row.n, row.rounds) == (40, 3)


def test_sides_take_turns_after_one_call_that_does_not_count():
    calls = []

    def make(name, seconds):
        def call():
            calls.append(name)
            return Timing(seconds, seconds)

        return call

    rounds = take_rounds(make("ours", 2.0), make("floor", 1.0), 3)
    assert calls == ["ours", "floor"] * 2 + ["floor", "ours"] + ["ours", "floor"]
    assert rounds == [Round(Timing(2.0, 2.0), Timing(1.0, 1.0))] * 3


def test_difference_of_readings():
    assert subtract(Timing(5.0, 3.0), Timing(2.0, 1.0)) == Timing(3.0, 2.0)


def test_table_is_aligned():
    rows = [
        summarise("short", "items/s", 7, [Round(Timing(2.0, 2.0), Timing(1.0, 1.0))], "x"),
        compare_sizes("a much longer name", "MB", 200, 12.5, 1000.0, "x"),
    ]
    head, first, second = format_table(rows).splitlines()
    assert first.split() == ["short", "3.50", "7.00", "items/s", "2.00", "2.00-2.00", "2.00", "7"]
    assert second.split()[4:] == ["12.5", "1000", "MB", "0.01", "0.01-0.01", "200"]
    assert head.index("unit") == first.index("items/s") == second.index("MB")
    assert len(head) == len(second)


def test_memory_is_the_peak_of_the_work_alone():
    np.ones(400 * MB, np.uint8)  # an earlier and higher peak, long freed
    growth = measure_growth(lambda: [np.ones(100 * MB, np.uint8).sum() for _ in range(3)])
    assert 90 < growth < 130


def test_unknown_name_lists_the_known_ones(capsys):
    with pytest.raises(SystemExit) as stopped:
        measure_speed.main(["--only", "decoed"])
    assert stopped.value.code == 2
    assert "'decode'" in capsys.readouterr().err


def test_one_benchmark_from_end_to_end(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(augment_batch, "CALLS", 1)
    monkeypatch.setattr(augment_batch, "ROUNDS", 1)
    out = tmp_path / "new" / "benchmarks.json"
    assert measure_speed.main(["--only", "augment", "--out", str(out)]) == 0
    written = json.loads(out.read_text())
    assert {"cpu_count", "platform", "torch", "torch_threads"} <= set(written["machine"])
    names = [row["name"] for row in written["measurements"]]
    assert names == list(augment_batch.SETTINGS)
    table = capsys.readouterr().out
    for row in written["measurements"]:
        assert row["ratio"] == pytest.approx(row["floor"] / row["ours"])
        assert row["name"] in table
