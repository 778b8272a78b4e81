import json

import numpy as np
import pandas as pd
import pytest

from batteryscope.errors import InputError
from batteryscope.planning.layout import open_study
from batteryscope.tables.ablations import find_break_even, find_full_values, summarise_ablations
from batteryscope.tables.compare import compare_pairs, find_interval
from batteryscope.tables.findings import (
    find_constant_features,
    find_few_rows,
    find_single_answers,
)
from batteryscope.tables.scores import (
    COMPARISON_COLUMNS,
    compare_table_arms,
    flatten_table_metrics,
    measure,
    score_predictions,
)
from batteryscope.tables.sentences import SENTENCES
from batteryscope.tables.table_predictions import check_table_predictions
from batteryscope.tables.verdicts import (
    find_break_evens,
    judge_baselines,
    judge_pretrained,
    judge_transfer,
)
from tests.table_study import FEATURES, make_rows, make_study
from workflow_scripts import compare_arms

NETWORKS = {"adapter": [8, 9, 10], "scratch": [20, 22, 24], "pretrained": [50, 55, 60]}


def join(arms, **where):
    return pd.concat([make_rows(a, e, **where) for a, e in arms.items()], ignore_index=True)


def test_scores_of_three_rows_by_hand():
    true, pred = [1.0, 2.0, 3.0], [1.1, 1.8, 3.0]
    assert measure("mape", true, pred) == pytest.approx((10 + 10 + 0) / 3)
    assert measure("mae", true, pred) == pytest.approx(0.1)
    assert measure("rmse", true, pred) == pytest.approx(np.sqrt(0.05 / 3))
    assert measure("r2", true, pred) == pytest.approx(1 - 0.05 / 2)
    assert measure("r2", true, [2.0, 2.0, 2.0]) == pytest.approx(0)
    assert np.isnan(measure("r2", [2.0, 2.0], [1.0, 3.0]))
    with pytest.raises(InputError, match="target value is 0"):
        measure("mape", [0.0, 1.0], [1.0, 1.0])


def test_comparison_averages_repeats_and_stands_beside_the_paper():
    paper = [
        {"metric": "mape", "value": 8.1, "target": "density", "domain": "nmc", "level": "row",
         "arm": "adapter"},
        {"metric": "mape", "value": 4.5, "target": "density", "domain": "graphite",
         "level": "row", "arm": "pretrained"},
        {"metric": "mape", "value": 14.5, "target": "density", "domain": "si_graphite",
         "level": "row", "arm": "adapter"},
    ]  # fmt: skip
    study = make_study(evaluate={"paper": paper})
    predictions = pd.concat(
        [
            join(NETWORKS | {"baseline_linear": [1, 2, 3]}),
            make_rows("source", [4, 4, 4], domain="graphite"),
            make_rows("adapter", [99], ablation="target_rows", value=5),
        ]
    )
    table = compare_table_arms(predictions, study)
    assert list(table.columns) == COMPARISON_COLUMNS
    row = table.query("arm == 'adapter' and domain == 'nmc' and metric == 'mape'").iloc[0]
    assert (row["mean"], row["sd"], row["n"], row["paper"]) == pytest.approx((9, 1, 4, 8.1))
    assert (row["backbone"], row["level"]) == ("mlp_4x4+4", "row")
    # The pretrained network is called source at home; nothing else gets its value.
    assert table[table["paper"] == 4.5]["arm"].tolist() == ["source"]
    alone = table[table["arm"] == "paper"]
    assert alone[["domain", "paper"]].to_numpy().tolist() == [["si_graphite", 14.5]]
    assert table["domain"].iloc[0] == "graphite"
    metrics = flatten_table_metrics(table)
    assert metrics["adapter.row.nmc.density.mape"] == 9
    assert metrics["baseline_linear.row.nmc.density.mae"] == pytest.approx(0.05)
    assert list(metrics) == sorted(metrics)
    assert not any("paper" in key for key in metrics)


def test_interval_of_three_differences_by_hand():
    mean, sd, low, high = find_interval([1.0, 2.0, 3.0])
    half = 4.302653 / np.sqrt(3)
    assert (mean, sd, low, high) == pytest.approx((2, 1, 2 - half, 2 + half), rel=1e-6)
    wider = find_interval([1.0, 2.0, 3.0], test_per_train=2 / 3)
    assert wider[3] - 2 == pytest.approx(4.302653, rel=1e-6)
    assert np.isnan(find_interval([1.0])[1:]).all()


def test_a_baseline_that_wins_is_told_with_its_lead():
    study = make_study()
    predictions = join(NETWORKS | {"baseline_mean": [30, 30, 31], "baseline_linear": [2, 3, 4]})
    scores = score_predictions(predictions)
    pairs = compare_pairs(scores, "adapter")
    best = pairs[pairs["role_of_second"] == "best_baseline"].iloc[0]
    assert best["second"] == "baseline_linear"
    assert (best["first_mean"], best["second_mean"], best["mean"], best["n"]) == (
        pytest.approx(9), pytest.approx(3), pytest.approx(6), 3,
    )  # fmt: skip
    (finding,) = SENTENCES.record(judge_baselines(pairs, study))
    assert finding["severity"] == "warning"
    assert "A simple baseline beats the network for density of NMC" in finding["text"]
    assert "linear regression reaches 3 % against 9 % MAPE" in finding["text"]
    assert "6 percentage points" in finding["text"]
    (transfer,) = SENTENCES.record(judge_transfer(pairs, study))
    assert transfer["text"].startswith("Transfer does not pay for density of NMC")
    (pretrained,) = SENTENCES.record(judge_pretrained(scores, study))
    assert pretrained["severity"] == "warning"
    assert "fails for density of NMC: 55 % MAPE" in pretrained["text"]


def test_a_network_that_wins_is_told_as_well():
    study = make_study()
    predictions = join({"adapter": [2, 3, 4], "scratch": [20, 21, 23], "baseline_mean": [30] * 3})
    pairs = compare_pairs(score_predictions(predictions), "adapter")
    assert [f.severity for f in judge_baselines(pairs, study)] == ["good"]
    (transfer,) = SENTENCES.record(judge_transfer(pairs, study))
    assert transfer["severity"] == "good"
    assert "Transfer pays for density of NMC" in transfer["text"]
    # At home, the source network stands for the main arm.
    home = join({"source": [5, 6, 7], "baseline_mean": [30] * 3}, domain="graphite")
    assert compare_pairs(score_predictions(home), "adapter")["first"].tolist() == ["source"]


def test_break_even_is_the_number_of_rows_from_which_the_rival_stays_ahead():
    by_rows = {5: (10, 8), 10: (9, 20), 20: (9, 9), 30: (9, 7)}
    tables = [join({"adapter": [9, 9], "scratch": [6, 6], "baseline_mean": [50, 50]})]
    for rows, (adapter, scratch) in by_rows.items():
        arms = {"adapter": [adapter] * 2, "scratch": [scratch] * 2, "baseline_mean": [50, 50]}
        tables.append(join(arms, ablation="target_rows", value=rows))
    predictions = pd.concat(tables)
    summary = summarise_ablations(predictions, {("target_rows", "nmc"): 37.0})
    adapter = summary[summary["arm"] == "adapter"]
    assert adapter["value"].tolist() == [5, 10, 20, 30, 37]
    assert adapter["mape"].tolist() == pytest.approx([10, 9, 9, 9, 9])
    assert adapter["full"].tolist() == [False] * 4 + [True]
    assert set(summary["n"]) == {2}
    # Scratch is ahead at 5 by chance, but not at 10.
    found = find_break_even(summary, "adapter", "scratch", "density", "nmc")
    assert found == (20.0, [5.0, 10.0, 20.0, 30.0, 37.0])
    pairs = compare_pairs(score_predictions(predictions), "adapter")
    texts = [SENTENCES.tell(f) for f in find_break_evens(pairs, summary, make_study())]
    assert "from 20 target rows on, the network trained from scratch" in texts[0]
    assert "break-even is not within the rows measured (5, 10, 20, 30, 37)" in texts[1]


def test_constant_features_and_few_rows_are_told():
    rows = pd.DataFrame({name: [1.0, 2.0, 1.0, 2.0] for name in FEATURES}).assign(
        sample_id=list("abcd"), domain=["graphite"] * 2 + ["nmc"] * 2, roll_speed=[3.0, 3, 3, 4]
    )
    (constant,) = SENTENCES.record(find_constant_features(rows, make_study()))
    assert constant["severity"] == "warning"
    assert "roll speed holds a single value in graphite (3 µm)" in constant["text"]
    split = pd.DataFrame({"sample_id": list("abcd"), "repeat": 0, "role": ["train", "test"] * 2})
    few = [SENTENCES.tell(f) for f in find_few_rows(rows, split)]
    assert [text.split(":")[0] for text in few] == [
        "graphite has only 1 test rows in a repeat (fewer than 10)",
        "NMC has only 1 test rows in a repeat (fewer than 10)",
    ]
    full = find_full_values(rows, split, make_study())
    assert full["target_rows", "nmc"] == 1
    assert full["test_fraction", "nmc"] == 0.3


def test_unusable_predictions_are_told():
    good = make_rows("adapter", [1])
    with pytest.raises(InputError, match="column 'y_pred' is missing"):
        check_table_predictions(good.drop(columns="y_pred"), ["density"])
    with pytest.raises(InputError, match="target 'density' is none of tortuosity"):
        check_table_predictions(good, ["tortuosity"])
    with pytest.raises(InputError, match="adapter gives y_true 1 and y_pred nan"):
        check_table_predictions(good.assign(y_pred=np.nan), ["density"])


def test_program_writes_all_tables(tmp_path):
    rng = np.random.default_rng(0)
    ids = [f"{d}_{i:02d}" for d in ("graphite", "nmc") for i in range(20)]
    manifest = pd.DataFrame(rng.uniform(1, 2, (40, 3)), columns=list(FEATURES)).assign(
        sample_id=ids, domain=[s.split("_")[0] for s in ids]
    )
    manifest["density"] = 1 + manifest["comma_gap"]
    roles = (["train"] * 12 + ["validation"] * 2 + ["test"] * 6) * 2
    split = pd.concat(
        [pd.DataFrame({"sample_id": ids, "repeat": r, "fold": 0, "role": roles}) for r in (0, 1)]
    )
    asked = split[split["role"] != "train"].merge(manifest, on="sample_id")
    home = asked["domain"] == "graphite"
    networks = asked.assign(
        arm=np.where(home, "pretrained", "adapter"), target="density", ablation="",
        value=np.nan, y_true=asked["density"], y_pred=1.1 * asked["density"],
    )  # fmt: skip
    study = make_study(evaluate={"baselines": ["mean", "linear"]}, ablations={"target_rows": [4]})
    layout = open_study(tmp_path, "rows", study.model_dump_json())
    predictions = layout.arm(study.main_arm).predictions
    places = {layout.data.manifest: manifest, layout.split().roles: split, predictions: networks}
    for path, table in places.items():
        path.parent.mkdir(exist_ok=True)
        table.to_parquet(path)
    out = tmp_path / "out"
    arguments = ["--study", "rows", "--settings", study.model_dump_json()]
    assert compare_arms.main([*arguments, "--work", str(tmp_path), "--out", str(out)]) == 0
    assert sorted(path.name for path in out.iterdir()) == [
        "ablations.csv", "comparison.csv", "findings.json", "intervals.csv", "metrics.json",
        "paired.csv", "predictions.parquet",
    ]  # fmt: skip
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["source.row.graphite.density.mape"] == 10
    assert metrics["baseline_linear.row.nmc.density.mape"] == 0
    kinds = {f["kind"] for f in json.loads((out / "findings.json").read_text())}
    assert {"baseline", "transfer", "few_rows", "intervals"} <= kinds
    assert set(pd.read_csv(out / "ablations.csv")["value"]) == {4, 12}


def test_a_network_with_one_answer_for_many_rows_is_told():
    stuck = make_rows("adapter", [8.0], n_rows=12)
    stuck["y_pred"] = [*[8.313] * 5, *range(7)]
    (finding,) = SENTENCES.record(find_single_answers(stuck, make_study()))
    assert "42% of the test rows get one and the same prediction" in finding["text"]
    stuck["y_pred"] = range(12)
    assert list(find_single_answers(stuck, make_study())) == []
