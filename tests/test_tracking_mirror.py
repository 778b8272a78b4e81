"""What is mirrored: names, settings, and the plan of a study's runs; all without MLflow."""

import json
import re
import shutil
import subprocess
import sys

import pandas as pd
import pytest

from batteryscope.config.study import StudySettings
from batteryscope.core.names import (
    MAX_PARAMETER_CHARACTERS,
    describe_failure,
    flatten_settings,
    hide_password,
    make_legal_name,
)
from batteryscope.errors import InputError
from batteryscope.plan import plan_study
from batteryscope.tracking import picture_runs
from batteryscope.tracking.first_view import (
    describe_experiment,
    describe_run,
    list_headlines,
    name_run,
    spell_view,
)
from batteryscope.tracking.local_files import hash_split
from batteryscope.tracking.picture_runs import plan_runs
from batteryscope.tracking.records import RunRecord
from tests.tracking_study import METRICS, ROOT, SETTINGS, build_study, write_json


@pytest.mark.parametrize(
    ("name", "legal"),
    [
        ("image.macro_f1", "image.macro_f1"),
        ("p_50%(low)", "p_50__low_"),
        ("../up", "_/up"),
        ("/a//b/", "a/b"),
        ("Größe", "Gr__e"),
        ("", "_"),
        (".", "_"),
        ("x" * 400, "x" * 250),
    ],
)
def test_legal_names(name, legal):
    assert make_legal_name(name) == legal


def test_flatten_settings():
    values = {"a": {"b": 1, "c": {"d": None}}, "e": ["x", 2], "f": True, "g": {}, "h": "ü"}
    assert flatten_settings(values) == {
        "a.b": "1", "a.c.d": "null", "e": '["x", 2]', "f": "true", "g": "{}", "h": "ü"
    }  # fmt: skip
    long = flatten_settings({"a": "x" * 10_000})["a"]
    assert len(long) == MAX_PARAMETER_CHARACTERS
    assert long.endswith("[cut]")


TESTED = StudySettings.model_validate(
    SETTINGS.model_dump(mode="json")
    | {"evaluate": {"external": {"name": "elsewhere", "generator": {"kind": "trivial"}}}}
)


def test_passwords_and_tracebacks_stay_hidden():
    assert hide_password("https://me:secret@host:5000/x") == "https://***@host:5000/x"
    assert hide_password("sqlite:///mlflow.db") == "sqlite:///mlflow.db"
    assert describe_failure(ValueError("one\ntwo")) == "one"
    assert describe_failure(ValueError()) == "ValueError"


def test_plan_lists_every_fit_below_its_arm(tmp_path):
    records = plan_runs(build_study(tmp_path), "0" * 64)
    chains = plan_study("cells", SETTINGS).arms
    expected = [
        f"cells/{arm}" + tail
        for arm in ("scratch", "transfer")
        for tail in ["", *(f"/{c}/r0_f{f}" for c in chains[arm].chains for f in range(2))]
    ]
    assert [r.key for r in records] == [*expected, "cells/baseline_majority"]
    fit = records[1]
    assert fit.parent == "cells/scratch"
    assert fit.live_key == f"cells/{chains['scratch'].chains[0]}/r0_f0"
    assert fit.tags["generated"] == "true"
    assert fit.tags["data_version"] == "0" * 64
    assert (fit.tags["repeat"], fit.tags["fold"], fit.tags["stage"]) == ("0", "0", "fit")
    assert len(fit.tags["split_hash"]) == 64
    assert fit.params["train.epochs"] == "40"
    assert [m for m in fit.metrics if m[0] == "epochs/train_loss"] == [
        ("epochs/train_loss", pytest.approx(1 / (e + 1)), e) for e in range(3)
    ]
    assert fit.name == "scratch, fit, repeat 0, fold 0"
    assert ("fit/best_epoch", 1.0, 0) in fit.metrics
    assert fit.ended_ms - fit.started_ms == 2000


def test_plan_of_arms(tmp_path):
    by_key = {r.key: r for r in plan_runs(build_study(tmp_path, bundle=True))}
    main, other = by_key["cells/transfer"], by_key["cells/scratch"]
    assert {n: v for n, v, _ in main.metrics} == {
        "tile/accuracy": 0.9, "image/state.macro_f1": 0.75, "cost/seconds": 3.5,
        "image/pooled_accuracy": 0.8, "image/pooled_accuracy_low": 0.6,
        "image/pooled_accuracy_high": 0.9, "Key/1 accuracy": 0.8,
        "Key/2 low": 0.6, "Key/3 high": 0.9, "Key/4 baseline": 0.25,
    }  # fmt: skip
    assert main.name == "80.0 %, transfer"
    assert "accuracy: 80.0 % (60.0 to 90.0 %)" in main.tags["mlflow.note.content"]
    assert "best baseline 25.0 % (always the most" in main.tags["mlflow.note.content"]
    assert main.tags["best_baseline"] == "always the most frequent class"
    assert main.metrics[0] == ("Key/1 accuracy", 0.8, 0)
    assert not re.search(r"-[0-9a-f]{8}\b", " ".join(main.params.values()))
    assert other.name == "scratch"
    assert main.params["model.backbone"] == "resnet18"
    assert other.params["model.backbone"] == "tf_efficientnet_lite0"
    assert main.bundle is not None
    assert other.bundle is None
    assert ("confusion.png", "figures") in [(p.name, f) for p, f in main.artifacts]
    assert sorted((p.name, f) for p, f in other.artifacts) == [
        ("comparison.csv", "tables"), ("cost.json", "tables"), ("images.csv", "tables"),
        ("metrics.json", "tables"),
    ]  # fmt: skip
    baseline = by_key["cells/baseline_majority"]
    assert baseline.name == "25.0 %, baseline: always the most frequent class"
    assert "best_baseline" not in baseline.tags
    assert set(baseline.metrics) == {
        ("Key/1 accuracy", 0.25, 0), ("image/pooled_accuracy", 0.25, 0)
    }  # fmt: skip
    [data] = main.datasets
    assert (data.use, data.source, len(data.digest)) == ("training", "generator trivial", 12)


def test_many_arms_do_not_all_keep_what_they_have_in_common(tmp_path, monkeypatch):
    monkeypatch.setattr(picture_runs, "MOST_WITH_COMMON", 1)
    by_key = {r.key: r for r in plan_runs(build_study(tmp_path))}
    assert [p.name for p, _ in by_key["cells/scratch"].artifacts] == ["cost.json"]
    kept = {p.name for p, _ in by_key["cells/transfer"].artifacts}
    assert {"comparison.csv", "images.csv", "cost.json", "confusion.png"} <= kept


def test_external_scores_are_metrics_of_their_arm(tmp_path):
    layout = build_study(tmp_path, settings=TESTED)
    external = tmp_path / "external"
    write_json(external / "metrics.json", {"transfer.external.image.accuracy": 0.8})
    write_json(external / "summary.json", {"manifest_hash": "e" * 64})
    for name in ("metrics.csv", "predictions.csv"):
        (external / name).write_text("file\n")
    records = {r.key: r for r in plan_runs(layout)}
    main, other = records["cells/transfer"], records["cells/scratch"]
    assert ("external/image.accuracy", 0.8, 0) in main.metrics
    assert ("predictions.csv", "external") in [(p.name, f) for p, f in main.artifacts]
    assert not any(folder == "external" for _, folder in other.artifacts)
    assert [(d.name, d.use) for d in main.datasets] == [
        ("trivial", "training"), ("elsewhere", "external test")
    ]  # fmt: skip
    assert main.datasets[1].digest == "e" * 12
    assert len(other.datasets) == 1


def test_fits_of_the_last_stage_carry_their_test_score(tmp_path):
    records = plan_runs(build_study(tmp_path), "0" * 64)
    transfer = [r for r in records if r.tags["arm"] == "transfer"]
    assert [r.tags["run"] for r in transfer] == ["arm", *["fit"] * 4]
    assert {r.tags["backbone"] for r in transfer} == {"resnet18"}
    scores = {
        (r.tags["stage"], r.tags["fold"]): {n: v for n, v, _ in r.metrics if n.startswith("test/")}
        for r in transfer[1:]
    }
    assert scores["source", "0"] == {}
    # 333: two of two found, one wrongly given: F1 4/5; 811: one of two: F1 2/3.
    assert scores["target", "0"] == {
        "test/image.accuracy": 0.75, "test/image.macro_f1": round((4 / 5 + 2 / 3) / 2, 6),
        "test/image.n": 4,
    }  # fmt: skip
    assert scores["target", "1"]["test/image.accuracy"] == 1


def test_digest_follows_content_only(tmp_path):
    results = build_study(tmp_path)
    first = [r.digest() for r in plan_runs(results)]
    for path in tmp_path.rglob("fit.json"):
        path.touch()
    assert [r.digest() for r in plan_runs(results)] == first
    write_json(results.comparison / "metrics.json", METRICS | {"scratch.tile.accuracy": 0.6})
    second = [r.digest() for r in plan_runs(results)]
    assert second[0] != first[0]
    assert second[1:3] == first[1:3]


def test_split_hash_ignores_order_and_format(tmp_path):
    table = pd.DataFrame({"sample_id": ["b", "a"], "role": ["test", "train"]})
    table.to_parquet(tmp_path / "1.parquet")
    table[::-1][["role", "sample_id"]].to_parquet(tmp_path / "2.parquet", compression="gzip")
    table.assign(role="test").to_parquet(tmp_path / "3.parquet")
    one, two, three = (hash_split(tmp_path / f"{i}.parquet") for i in (1, 2, 3))
    assert one == two != three


def test_bad_local_files_are_named(tmp_path, caplog):
    results = build_study(tmp_path)
    history = sorted(tmp_path.rglob("history.csv"))[0]
    history.write_text("loss\n1\n")
    with pytest.raises(InputError, match=r"history\.csv: has no column 'epoch'; found loss"):
        plan_runs(results)
    history.write_text("")
    with pytest.raises(InputError, match=r"history\.csv: cannot be read"):
        plan_runs(results)
    (results.comparison / "metrics.json").write_text("[1]")
    with pytest.raises(InputError, match="expected a JSON object, found list"):
        plan_runs(results)
    layout = build_study(tmp_path / "new")
    chain = layout.plan.main.chains[0]
    shutil.rmtree(layout.stage(chain))
    with pytest.raises(InputError, match=rf"holds no fit .* train '{chain}' again"):
        plan_runs(layout)


def test_the_table_begins_with_what_a_study_is_judged_by(tmp_path):
    view = json.loads(spell_view(plan_runs(build_study(tmp_path))))
    assert view["orderByAsc"] is False
    assert view["orderByKey"] == "metrics.`Key/1 accuracy`"
    assert sorted(view["selectedColumns"]) == [
        *(f"metrics.`Key/{n}`" for n in ("1 accuracy", "2 low", "3 high", "4 baseline")),
        "tags.`best_baseline`",
    ]
    assert view["searchFilter"] == "tags.run != 'fit'"
    assert spell_view([]) == ""


def test_the_table_begins_with_the_cases_of_the_main_strategy():
    names = ("1 mape", "2 low", "3 high", "4 baseline")
    other = {f"a.row.{case}.mape": 2.0 for case in ("early", "late")}
    records = [
        RunRecord("a", None, "a", {}, metrics=tuple(list_headlines(other, "a"))),
        RunRecord(
            "b", None, "b", {"main_arm": "true"},
            metrics=tuple((f"Key/late.x {name}", 1.0, 0) for name in names),
        ),
    ]  # fmt: skip
    view = json.loads(spell_view(records))
    assert view["orderByAsc"] is True
    assert view["orderByKey"] == "metrics.`Key/late.x 1 mape`"
    assert view["selectedColumns"] == [
        f"metrics.`Key/{name}`"
        for name in (
            "late.x 1 mape", "early 1 mape", "late 1 mape",
            "late.x 4 baseline", "late.x 2 low", "late.x 3 high",
        )
    ]  # fmt: skip


def test_an_experiment_is_described(tmp_path):
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "summary.json").write_text('{"headline": "Nine of ten."}')
    assert "**Cells**\n\nNine of ten." in describe_experiment("Cells", tmp_path / "report")


def test_several_cases_are_told_in_the_description():
    metrics = {
        "a.row.nmc.density.mape": 2.5, "a.row.nmc.density.mape_low": 2.0,
        "a.row.nmc.density.mape_high": 3.0, "a.row.nmc.load.mae": 0.25,
        "baseline_mean.row.nmc.density.mape": 9.0,
    }  # fmt: skip
    assert name_run("with transfer", metrics, "a") == "with transfer"
    assert describe_run(metrics, "a")["mlflow.note.content"].splitlines() == [
        "- MAPE of nmc, density: 2.5 % (2.0 to 3.0 %); best baseline 9.0 % (baseline_mean)",
        "- MAE of nmc, load: 0.25",
        "",
        "In brackets: 95 % interval",
    ]
    assert describe_run(metrics, "b") == {}


def test_planning_never_imports_mlflow():
    code = (
        "import sys, batteryscope.tracking.picture_runs, batteryscope.tracking.live, "
        "batteryscope.tracking.study; sys.exit('mlflow' in sys.modules or 'torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
