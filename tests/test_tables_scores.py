import json

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t

from batteryscope.errors import InputError
from batteryscope.evaluation.flat_metrics import FITS, flatten_metrics
from batteryscope.planning.layout import open_study
from batteryscope.tables.ablations import find_break_even, find_full_values, summarise_ablations
from batteryscope.tables.compare import compare_pairs, find_left_out_ratios
from batteryscope.tables.findings import (
    find_break_evens,
    find_constant_features,
    find_few_rows,
    find_missing_percentages,
    find_single_answers,
    judge_baselines,
    judge_pretrained,
    judge_transfer,
)
from batteryscope.tables.scores import (
    COMPARISON_COLUMNS,
    compare_table_arms,
    measure,
    score_predictions,
)
from batteryscope.tables.sentences import SENTENCES
from batteryscope.tables.table_predictions import check_table_predictions
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
    assert np.isnan(measure("mape", [0.0, 1.0], [1.0, 1.0]))


def test_a_true_value_of_zero_leaves_the_percentage_out():
    rows = join({"adapter": [2, 3, 4], "scratch": [20, 21, 23], "baseline_mean": [30] * 3})
    zero = rows.assign(y_true=rows["y_true"] - 1)  # the first row is 0
    assert set(score_predictions(zero)["metric"]) == {"mae", "rmse", "r2"}
    table = compare_table_arms(zero, make_study())
    assert set(table["metric"]) == {"mae", "rmse", "r2"}
    pairs = compare_pairs(zero, "adapter")
    assert set(pairs["metric"]) == {"mae"}
    assert np.isfinite(pairs[["first_mean", "second_mean", "low", "high"]]).all(axis=None)
    (told,) = SENTENCES.record(find_missing_percentages(pairs, make_study()))
    assert told["text"].startswith("A true value of density of NMC is 0")
    (baseline,) = SENTENCES.record(judge_baselines(pairs, make_study()))
    assert "g/cm³ MAE" in baseline["text"]
    assert "%" not in baseline["text"].replace("95 % interval", "")
    assert summarise_ablations(zero).empty


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
    assert list(table.columns) == [*COMPARISON_COLUMNS, FITS]
    row = table.query("arm == 'adapter' and domain == 'nmc' and metric == 'mape'").iloc[0]
    assert (row["mean"], row["sd"], row["n"], row["paper"]) == pytest.approx((9, 1, 4, 8.1))
    assert (row["backbone"], row["level"]) == ("mlp_4x4+4", "row")
    # The pretrained network is called source at home; nothing else gets its value.
    assert table[table["paper"] == 4.5]["arm"].tolist() == ["source"]
    alone = table[table["arm"] == "paper"]
    assert alone[["domain", "paper"]].to_numpy().tolist() == [["si_graphite", 14.5]]
    assert table["domain"].iloc[0] == "graphite"
    metrics = flatten_metrics(table)
    assert metrics["adapter.row.nmc.density.mape"] == 9
    assert metrics["baseline_linear.row.nmc.density.mae"] == pytest.approx(0.05)
    assert list(metrics) == sorted(metrics)
    # 8, 9 and 10 percent in three repeats: mean 9, sd 1; four rows.
    told = flatten_metrics(table, {"nmc": 2 / 3}, by="domain")
    half = 4.302653  # of t with two degrees of freedom, times the root of 1/3 + 2/3
    place = "adapter.row.nmc.density"
    fields = [told[f"{place}.{f}"] for f in ("mape_sd", "mape_low", "mape_high", "n")]
    assert fields == pytest.approx([1, 9 - half, 9 + half, 4])
    assert f"{place}.mape_low" not in metrics  # how much the splits overlap was not said
    assert told[f"{place}.mae_low"] == pytest.approx(
        max(0, told[f"{place}.mae"] - half * told[f"{place}.mae_sd"]), abs=1e-5
    )
    assert not any("paper" in key for key in metrics)


def test_pairs_are_corrected_for_overlap_and_for_the_number_of_baselines():
    arms = {"adapter": [2, 3, 4], "baseline_mean": [12, 15, 18], "baseline_linear": [3, 4, 5.5]}
    pairs = compare_pairs(join(arms), "adapter", {"nmc": 2 / 3}).set_index("second")
    # Differences −10, −12, −14: mean −12, sd 2; 1/3 + 2/3 under the root; 2 degrees of freedom.
    mean = pairs.loc["baseline_mean"]
    half = 4.302653 * 2
    assert (mean["mean"], mean["low"], mean["high"]) == pytest.approx((-12, -12 - half, -12 + half))
    assert mean["p_value"] == pytest.approx(2 * t.sf(6, 2))
    assert (mean["n"], mean["n_units"], mean["role_of_second"]) == (3, 4, "baseline")
    linear = pairs.loc["baseline_linear"]
    assert linear["role_of_second"] == "best_baseline"
    p_linear = 2 * t.sf((3.5 / 3) / np.std([1, 1, 1.5], ddof=1), 2)
    assert linear["p_value"] == pytest.approx(p_linear)
    assert (mean["p_holm"], linear["p_holm"]) == pytest.approx((2 * 2 * t.sf(6, 2), p_linear))
    # One repeat: over its rows, or over what the split kept together.
    one = join({"adapter": [2], "scratch": [5]}).assign(y_pred=lambda p: p["y_pred"] + 0.01)
    alone = compare_pairs(one, "adapter").iloc[0]
    assert (alone["n"], alone["n_units"]) == (1, 4)
    assert np.isfinite(alone["p_value"])
    together = pd.Series("plate", index=one["sample_id"].unique())
    alone = compare_pairs(one, "adapter", None, together).iloc[0]
    assert alone["n_units"] == 1
    assert np.isnan(alone["p_value"])
    assert alone["outcome"] == "chance"


def test_what_is_left_out_is_counted_by_domain():
    split = pd.DataFrame({"sample_id": list("abcde"), "role": ["train"] * 3 + ["test"] * 2})
    split = split.assign(repeat=0, fold=0)
    domains = pd.Series(["x", "x", "y", "x", "y"], index=list("abcde"))
    assert find_left_out_ratios(split, domains) == {"x": 0.5, "y": 1.0}


def test_a_baseline_that_wins_is_told_with_its_lead():
    study = make_study()
    predictions = join(NETWORKS | {"baseline_mean": [30, 30, 31], "baseline_linear": [2, 3, 4]})
    scores = score_predictions(predictions)
    pairs = compare_pairs(predictions, "adapter")
    best = pairs[pairs["role_of_second"] == "best_baseline"].iloc[0]
    assert best["second"] == "baseline_linear"
    assert (best["first_mean"], best["second_mean"], best["mean"], best["n"]) == (
        pytest.approx(9), pytest.approx(3), pytest.approx(6), 3,
    )  # fmt: skip
    (finding,) = SENTENCES.record(judge_baselines(pairs, study))
    assert finding["severity"] == "warning"
    assert "A simple baseline beats the adapter network for density of NMC" in finding["text"]
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
    pairs = compare_pairs(predictions, "adapter")
    assert [f.severity for f in judge_baselines(pairs, study)] == ["good"]
    (transfer,) = SENTENCES.record(judge_transfer(pairs, study))
    assert transfer["severity"] == "good"
    assert "Transfer pays for density of NMC" in transfer["text"]
    # At home, the source network stands for the main arm.
    home = join({"source": [5, 6, 7], "baseline_mean": [30] * 3}, domain="graphite")
    assert compare_pairs(home, "adapter")["first"].tolist() == ["source"]


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
    pairs = compare_pairs(predictions, "adapter")
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
        sample_id=ids, domain=[s.split("_")[0] for s in ids], group=""
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
    assert "42 % of the test rows get one and the same prediction" in finding["text"]
    assert "that network got stuck" in finding["text"]
    process = make_study(arms=["transfer_process"], main_arm="transfer_process")
    (finding,) = SENTENCES.record(
        find_single_answers(stuck.assign(arm="transfer_process"), process)
    )
    assert "network" not in finding["text"]
    stuck["y_pred"] = range(12)
    assert list(find_single_answers(stuck, make_study())) == []
