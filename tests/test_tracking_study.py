"""A whole study in MLflow: the programs, repeated, changed, interrupted, offline."""

import json
import logging
import re
import shutil
import subprocess
import sys
import threading
import time
import types
from pathlib import Path

import pandas as pd
import pytest

from batteryscope.config.study import StudySettings
from batteryscope.tracking import study
from batteryscope.tracking.first_view import list_views, spell_comparison
from batteryscope.tracking.live import open_live_run
from batteryscope.tracking.runs import list_runs
from batteryscope.tracking.store import find_experiment, open_client
from tests.tracking_study import (
    METRICS,
    ROOT,
    SETTINGS,
    STUDY,
    build_study,
    copy_empty_store,
    load_script,
    spell_arguments,
    write_json,
)

NOWHERE = "http://127.0.0.1:9"
N_RUNS = 2 + 2 + 4 + 1  # arms, fits of one stage, fits of two stages, baseline


@pytest.fixture(autouse=True)
def no_log_files_stay_open():
    yield
    for handler in list(logging.getLogger("batteryscope").handlers):
        handler.close()
        logging.getLogger("batteryscope").removeHandler(handler)


@pytest.fixture
def uri(tmp_path, monkeypatch):
    # Whatever would wrongly be written beside the current directory shows up here.
    monkeypatch.chdir(tmp_path)
    return copy_empty_store(tmp_path)


def track(results, uri, out):
    status = load_script("track_study").main(spell_arguments(results, uri, out))
    return status, json.loads(out.read_text())


def find_runs(uri):
    client = open_client(uri)
    runs = list_runs(client, find_experiment(client, uri, STUDY))
    return {run.data.tags.get("job_key"): run for run in runs}


def test_study_is_mirrored(tmp_path, uri):
    results = build_study(tmp_path / "work")
    status, tracked = track(results, uri, tmp_path / "tracked.json")
    assert (status, tracked["status"], len(tracked["runs"])) == (0, "complete", N_RUNS)
    runs = find_runs(uri)
    assert {key: run.info.run_id for key, run in runs.items()} == tracked["runs"]
    parent = runs["cells/transfer"]
    chain = results.plan.arms["transfer"].chains[1]
    child = runs[f"cells/transfer/{chain}/r0_f1"]
    assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert child.data.tags["stage"] == "target"
    assert child.info.status == "FINISHED"
    assert child.info.end_time - child.info.start_time == 2000
    assert parent.data.metrics["tile/accuracy"] == 0.9
    assert parent.data.params["model.backbone"] == "resnet18"
    [used] = parent.inputs.dataset_inputs
    assert (used.dataset.name, used.dataset.digest) == ("trivial", "0" * 12)
    assert json.loads(used.dataset.profile)["classes"] == {"333": 1, "811": 1}
    client = open_client(uri)
    history = client.get_metric_history(child.info.run_id, "epochs/train_loss")
    assert [m.step for m in history] == [0, 1, 2, 3, 4]
    experiment = client.get_experiment_by_name(STUDY)
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"
    assert experiment.tags["mlflow.note.content"].startswith("**Cells**")
    [(name, path)] = list_views(uri)
    assert (name, experiment.experiment_id in path) == (STUDY, True)
    files = {f.path for f in client.list_artifacts(parent.info.run_id, "figures")}
    files |= {f.path for f in client.list_artifacts(parent.info.run_id, "tables")}
    reports = {f.path for f in client.list_artifacts(parent.info.run_id, "report")}
    assert reports == {"report/report.html"}
    assert "figures/confusion.png" in files
    assert "tables/comparison.csv" in files
    assert (tmp_path / "mlartifacts" / "cells").is_dir()


def test_tables_in_mlflow_hold_no_formulas(tmp_path, uri):
    results = build_study(tmp_path / "work")
    confusion = results.comparison / "confusion.csv"
    confusion.write_bytes(b'y_true,y_pred,count\n=1+1,"@a, b",-2\n')
    path, held = results.comparison / "comparison.csv", tmp_path / "held"
    plain, _ = path.read_bytes(), held.mkdir()
    track(results, uri, tmp_path / "tracked.json")
    run = find_runs(uri)["cells/transfer"]
    client = open_client(uri)
    load = lambda name: Path(client.download_artifacts(run.info.run_id, name, held)).read_bytes()  # noqa: E731
    assert load("tables/confusion.csv") == b"y_true,y_pred,count\n'=1+1,\"'@a, b\",-2\n"
    assert load("tables/comparison.csv") == plain
    assert confusion.read_bytes().startswith(b"y_true,y_pred,count\n=1+1,")
    track(results, uri, tmp_path / "again.json")  # what was made harmless is no change
    assert find_runs(uri)["cells/transfer"].info.run_id == run.info.run_id


def test_the_page_on_comparisons_is_true(tmp_path, uri, capsys):
    track(build_study(tmp_path / "work"), uri, tmp_path / "tracked.json")
    page = (ROOT / "docs/compare_experiments.md").read_text(encoding="utf-8")
    [snippet] = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    for told, here in (
        ('"sqlite:///mlflow.db"', repr(uri)),
        ('["cathode_state", "additive_transfer"]', repr([STUDY])),
    ):
        assert told in snippet
        snippet = snippet.replace(told, here)
    capsys.readouterr()
    exec(snippet, {})
    header, *rows = capsys.readouterr().out.splitlines()
    assert {"tags.study", "accuracy", "baseline"} <= set(header.split())
    assert len(rows) == 3  # two strategies, one baseline
    # The addresses that it writes out are those that the function writes.
    told = re.findall(r"^    (/#/compare\S+)$", page, re.MULTILINE)
    assert [spell_comparison(["1", "5"], "tags.main_arm = 'true'")] == told


def test_repeating_keeps_and_a_change_replaces(tmp_path, uri):
    results = build_study(tmp_path / "work")
    out = tmp_path / "tracked.json"
    _, first = track(results, uri, out)
    text = out.read_text()
    started = time.perf_counter()
    _, second = track(results, uri, out)
    assert time.perf_counter() - started < 3
    assert second["runs"] == first["runs"]
    assert out.read_text() == text

    write_json(results.comparison / "metrics.json", METRICS | {"scratch.tile.accuracy": 0.6})
    _, third = track(results, uri, out)
    changed = {key for key in first["runs"] if first["runs"][key] != third["runs"][key]}
    assert changed == {"cells/scratch", "cells/transfer"}  # both hold metrics.json
    runs = find_runs(uri)
    assert {key: run.info.run_id for key, run in runs.items()} == third["runs"]
    assert runs["cells/scratch"].data.metrics["tile/accuracy"] == 0.6
    fit = runs[f"cells/scratch/{results.plan.arms['scratch'].chains[0]}/r0_f0"]
    assert fit.data.tags["mlflow.parentRunId"] == third["runs"]["cells/scratch"]


def test_the_load_of_the_machine_during_a_fit_stays(tmp_path, uri):
    results = build_study(tmp_path / "work")
    pd.DataFrame({"sample_id": ["a", "b"], "width_px": [4, 5]}).to_parquet(results.data.manifest)
    chain = results.plan.arms["scratch"].chains[0]
    client = open_client(uri)
    for fold, identity in enumerate(("ab", "of another fit")):
        params = {"identity": identity}
        live = open_live_run(uri, True, STUDY, f"cells/{chain}/r0_f{fold}", params=params)
        for step in range(2):
            client.log_metric(live.run_id, "system/cpu_utilization_percentage", 50 + step, 0, step)
        live.finish()
    out = tmp_path / "tracked.json"
    track(results, uri, out)
    fit = results.stage_part(chain, 0) / "r0_f0" / "fit.json"
    write_json(fit, json.loads(fit.read_text()) | {"device": "cuda"})
    _, tracked = track(results, uri, out)  # the run of that fit is written anew
    runs = find_runs(uri)
    kept = runs[f"cells/scratch/{chain}/r0_f0"]
    assert kept.info.run_id == tracked["runs"][f"cells/scratch/{chain}/r0_f0"]
    load = client.get_metric_history(kept.info.run_id, "system/cpu_utilization_percentage")
    assert [(m.step, m.value) for m in load] == [(0, 50), (1, 51)]
    assert not any("system" in m for m in runs[f"cells/scratch/{chain}/r0_f1"].data.metrics)
    [used] = kept.inputs.dataset_inputs
    assert json.loads(used.dataset.profile)["num_rows"] == 2
    assert [c["name"] for c in json.loads(used.dataset.schema)["mlflow_colspec"]] == [
        "sample_id", "width_px"
    ]  # fmt: skip


def test_live_and_unfinished_runs_are_replaced_and_foreign_ones_kept(tmp_path, uri):
    results = build_study(tmp_path / "work")
    chain = results.plan.arms["scratch"].chains[0]
    live = open_live_run(uri, True, STUDY, f"cells/{chain}/r0_f0")
    live.log_epoch(0, {"val_loss": 1.0})
    client = open_client(uri)
    experiment = find_experiment(client, uri, STUDY)
    client.create_run(experiment, tags={"job_key": "cells/scratch"})  # killed while writing
    mine = client.create_run(experiment, run_name="my own").info.run_id
    below = {"mlflow.parentRunId": mine}
    client.create_run(experiment, run_name="my own child", tags=below)
    _, tracked = track(results, uri, tmp_path / "tracked.json")
    left = list_runs(client, experiment)
    assert len(left) == N_RUNS + 2
    assert mine in {run.info.run_id for run in left}
    assert live.run_id not in {run.info.run_id for run in left}
    assert set(tracked["runs"].values()) < {run.info.run_id for run in left}


def test_fits_of_other_settings_leave_with_their_arm(tmp_path, uri):
    results = build_study(tmp_path / "work")
    _, first = track(results, uri, tmp_path / "tracked.json")
    values = SETTINGS.model_dump(mode="json")
    values["arms"]["scratch"]["change"] = {"train.epochs": 7}
    changed = build_study(tmp_path / "other", settings=StudySettings.model_validate(values))
    chain, other = (r.plan.arms["scratch"].chains[0] for r in (results, changed))
    assert chain != other
    _, second = track(changed, uri, tmp_path / "tracked.json")
    runs = find_runs(uri)
    assert runs.keys() == {key.replace(chain, other) for key in first["runs"]}
    assert second["runs"].keys() == runs.keys()
    assert f"cells/scratch/{chain}/r0_f0" not in runs


def test_offline_study_is_no_failure(tmp_path, capsys):
    results = build_study(tmp_path / "work" / "cells")
    out = tmp_path / "work" / "cells" / "tracked.json"
    started = time.perf_counter()
    status, tracked = track(results, NOWHERE, out)
    assert time.perf_counter() - started < 10
    assert (status, tracked["status"], tracked["runs"]) == (0, "pending", {})
    message = capsys.readouterr().err
    assert "batteryscope upload-runs" in message
    assert "Traceback" not in message


@pytest.mark.workflow
def test_pending_studies_are_uploaded(tmp_path, uri, monkeypatch, capsys):
    results = build_study(tmp_path / "work" / "cells")
    out = tmp_path / "work" / "cells" / "tracked.json"
    track(results, NOWHERE, out)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    upload = load_script("upload_runs")
    assert upload.main(["--work", str(tmp_path / "work")]) == 1
    assert "cells still are not in MLflow" in capsys.readouterr().err
    assert upload.main(["--work", str(tmp_path / "work"), "--uri", uri]) == 0
    assert json.loads(out.read_text())["status"] == "complete"
    assert len(find_runs(uri)) == N_RUNS
    assert upload.main(["--work", str(tmp_path / "work")]) == 0
    assert "No runs wait" in capsys.readouterr().err


class BreakingClient:
    """A client whose store goes away after so many calls."""

    def __init__(self, client, calls):
        self.client, self.left = client, calls

    def __getattr__(self, name):
        if self.left == 0:
            raise ConnectionError("the store is gone")
        self.left -= 1
        return getattr(self.client, name)


@pytest.mark.parametrize("calls", [5, 30])
def test_what_a_lost_store_has_of_a_study_is_replaced_later(tmp_path, uri, monkeypatch, calls):
    results = build_study(tmp_path / "work")
    out = tmp_path / "tracked.json"
    with monkeypatch.context() as broken:
        broken.setattr(study, "open_client", lambda _: BreakingClient(open_client(uri), calls))
        status, tracked = track(results, uri, out)
    assert (status, tracked["status"], tracked["runs"]) == (0, "pending", {})
    assert 0 < len(find_runs(uri)) < N_RUNS
    status, tracked = track(results, uri, out)
    client = open_client(uri)
    runs = list_runs(client, find_experiment(client, uri, STUDY))
    assert (status, tracked["status"]) == (0, "complete")
    assert {run.info.run_id for run in runs} == set(tracked["runs"].values())
    assert {run.info.status for run in runs} == {"FINISHED"}


def test_disabled_study_touches_nothing(tmp_path):
    results = build_study(tmp_path / "work")
    arguments = spell_arguments(results, f"sqlite:///{tmp_path}/m.db", tmp_path / "tracked.json")
    arguments[arguments.index("--enabled")] = "--disabled"
    assert load_script("track_study").main(arguments) == 0
    assert json.loads((tmp_path / "tracked.json").read_text())["status"] == "disabled"
    assert not (tmp_path / "m.db").exists()


@pytest.mark.workflow
def test_deleted_database_is_made_anew(tmp_path, uri, monkeypatch):
    results = build_study(tmp_path / "work")
    _, first = track(results, uri, tmp_path / "tracked.json")
    database = tmp_path / "mlflow.db"
    database.unlink()
    shutil.rmtree(tmp_path / "mlartifacts")
    # MLflow keeps its connections within a process, so this takes another one.
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    script = ROOT / "workflow_scripts" / "track_study.py"
    arguments = spell_arguments(results, uri, tmp_path / "tracked.json")
    assert subprocess.run([sys.executable, str(script), *arguments]).returncode == 0
    second = json.loads((tmp_path / "tracked.json").read_text())
    assert second["status"] == "complete"
    assert second["runs"].keys() == first["runs"].keys()
    assert set(second["runs"].values()).isdisjoint(first["runs"].values())


def answer_fake(asked, answer_anyway=False, slices=""):
    return pd.DataFrame(
        {"file": asked["file"], "n": asked["image"].map(len), "anyway": answer_anyway}
    )


def test_bundle_becomes_a_model(tmp_path, uri, monkeypatch):
    import mlflow

    opener = types.ModuleType("batteryscope.bundle.open")
    loaded = []

    def open_asker(path):
        loaded.append(path)
        return types.SimpleNamespace(answer_request=answer_fake)

    opener.open_asker = open_asker
    monkeypatch.setitem(sys.modules, opener.__name__, opener)
    results = build_study(tmp_path / "work", bundle=True)
    _, tracked = track(results, uri, tmp_path / "tracked.json")
    assert tracked["status"] == "complete"
    runs = find_runs(uri)
    assert runs["cells/scratch"].outputs is None or not runs["cells/scratch"].outputs.model_outputs
    [output] = runs["cells/transfer"].outputs.model_outputs
    assert runs["cells/transfer"].info.status == "FINISHED"
    model = mlflow.pyfunc.load_model(f"models:/{output.model_id}")
    asked = pd.DataFrame({"image": ["abc", "de"], "file": ["a.png", "b.png"]})
    told = {"file": ["a.png", "b.png"], "n": [3, 2], "anyway": [True, True]}
    assert model.predict(asked, params={"answer_anyway": True}).to_dict("list") == told
    assert [path.name for path in loaded] == ["bundle"]  # once: logging needs no networks
    assert model.metadata.signature.inputs.input_names() == ["image", "file"]
    assert model.input_example["file"].tolist() == ["example_input.png"]
    folder = next((tmp_path / "mlartifacts").rglob("MLmodel")).parent
    assert (folder / "artifacts" / "bundle" / "bundle.json").is_file()
    assert (folder / "code" / "batteryscope" / "errors.py").is_file()
    assert not list(folder.rglob("*.pkl"))
    assert not (tmp_path / "mlruns").exists()
    assert "mlflow==" in (folder / "requirements.txt").read_text()

    write_json(results.comparison / "metrics.json", METRICS | {"transfer.tile.accuracy": 0.8})
    _, again = track(results, uri, tmp_path / "tracked.json")
    assert again["runs"]["cells/transfer"] != tracked["runs"]["cells/transfer"]
    experiment = runs["cells/transfer"].info.experiment_id
    assert len(open_client(uri).search_logged_models([experiment])) == 1


def test_two_that_track_at_once_into_one_database_take_turns(uri, monkeypatch):
    at_work, together = [], []

    def reconcile(*_):
        at_work.append(1)
        together.append(len(at_work))
        time.sleep(0.3)
        at_work.pop()
        return {}

    monkeypatch.setattr(study, "open_client", lambda _: None)
    monkeypatch.setattr(study, "find_experiment", lambda *_: "1")
    monkeypatch.setattr(study, "reconcile_runs", reconcile)
    both = [
        threading.Thread(target=study.track_runs, args=("cells", list, uri, True, ["x"]))
        for _ in range(2)
    ]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert together == [1, 1]
