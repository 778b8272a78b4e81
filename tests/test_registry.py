"""Published models in MLflow's registry: promoted by a paired test, served as programs answer."""

import io
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from batteryscope.errors import InputError
from batteryscope.evaluation.versions import compare_versions, describe_tested
from batteryscope.tracking import registry
from batteryscope.tracking.picture_runs import list_tested
from batteryscope.tracking.registry import CANDIDATE, CHAMPION, find_alias, promote_bundle
from batteryscope.tracking.store import open_client
from tests.test_asked_files import NOTHING, encode
from tests.tracking_study import build_study, copy_empty_store, write_json
from workflow_scripts.predict_images import main as predict_images
from workflow_scripts.predict_table import main as predict_table
from workflow_scripts.promote_model import find_tested
from workflow_scripts.promote_model import main as promote_model

BUNDLES = Path(__file__).parent / "fixtures" / "bundles"

pytestmark = pytest.mark.usefixtures("one_thread")


def make_tested(n_wrong: int, n: int = 40) -> pd.DataFrame:
    """Classes of images, the first ones wrong."""
    names = [f"s{i:02d}" for i in range(n)]
    right = {"sample_id": names, "unit": names, "target": "", "y_true": "a"}
    predicted = ["b" if i < n_wrong else "a" for i in range(n)]
    return describe_tested(pd.DataFrame(right | {"y_pred": predicted}))


def test_classes_are_compared_by_mcnemars_test() -> None:
    found = compare_versions(make_tested(2), make_tested(10))
    assert (found.n_units, found.old, found.new) == (40, 0.25, 0.05)
    assert found.p_value == pytest.approx(2 / 2**8)  # 8 of 8 images that differ
    assert found.gain == pytest.approx(0.2)
    assert 0 < found.low < 0.2 < found.high
    assert found.is_better
    assert not compare_versions(make_tested(2), make_tested(6)).is_better  # p = 1/8
    assert not compare_versions(make_tested(10), make_tested(2)).is_better
    assert compare_versions(make_tested(3), make_tested(3)).p_value == 1


def make_numbers(n_units: int, sd: float, seed: int) -> pd.DataFrame:
    """Numbers of two images of every unit, predicted with an error."""
    truth = np.arange(float(n_units)).repeat(2)
    names = [f"s{i // 2:02d}" for i in range(2 * n_units)]
    rows = pd.DataFrame({"sample_id": names, "unit": names, "target": "x", "y_true": truth})
    error = sd * np.random.default_rng(seed).normal(size=2 * n_units)
    return describe_tested(rows.assign(y_pred=truth + error))


@pytest.mark.parametrize("n_units", [12, 20])
def test_numbers_are_compared_by_exchanging_errors(n_units: int) -> None:
    from scipy.stats import permutation_test, ttest_rel

    new, old = make_numbers(n_units, 1, 1), make_numbers(n_units, 2, 2)
    found = compare_versions(new, old)
    first, second = (table.groupby("unit")["error"].mean() for table in (new, old))
    assert (found.new, found.old) == (first.mean(), second.mean())
    kinds = {"permutation_type": "samples", "n_resamples": 20_000, "vectorized": True}
    exact = permutation_test(
        (second, first), lambda a, b, axis: (a - b).mean(axis=axis), random_state=1, **kinds
    )
    assert found.p_value == pytest.approx(exact.pvalue, abs=1e-9 if n_units == 12 else 0.005)
    assert found.low == pytest.approx(ttest_rel(second, first).confidence_interval().low)
    assert found.is_better


def make_halves(n_units: int, n_wrong: int) -> pd.DataFrame:
    """Classes of two images of every unit, so many of them wrong."""
    names = [f"s{i}" for i in range(2 * n_units)]
    units = [f"u{i // 2}" for i in range(2 * n_units)]
    right = {"sample_id": names, "unit": units, "target": "", "y_true": "a"}
    predicted = ["b" if i % 2 < n_wrong else "a" for i in range(2 * n_units)]
    return describe_tested(pd.DataFrame(right | {"y_pred": predicted}))


@pytest.mark.parametrize("n_units", [1, 2, 5, 6, 20])
def test_few_units_that_all_differ_alike_promote_nothing(n_units: int) -> None:
    found = compare_versions(make_halves(n_units, 1), make_halves(n_units, 2))
    assert found.gain == 0.5
    assert np.isnan([found.low, found.high]).all()
    if n_units == 1:
        assert np.isnan(found.p_value)
    else:
        assert found.p_value == pytest.approx(max(2 / 2**n_units, 1 / 20_001))
    assert found.is_better == (n_units >= 6)
    assert "nan" not in found.describe()


def test_other_test_samples_or_truths_are_not_compared() -> None:
    with pytest.raises(InputError, match=r"differ \(30 here, 40 there, 30 in common\)"):
        compare_versions(make_tested(2, 30), make_tested(2))
    with pytest.raises(InputError, match="true values of 40 test samples"):
        compare_versions(make_tested(2).assign(y_true="b"), make_tested(2))


@pytest.fixture(scope="module")
def uri(tmp_path_factory) -> str:
    return copy_empty_store(tmp_path_factory.mktemp("store"))


@pytest.fixture
def quick(monkeypatch):
    """Registers the smallest model that MLflow takes instead of a whole bundle."""
    import mlflow

    def log_bundle(uri: str, run_id: str, bundle: Path) -> None:
        client = open_client(uri)
        model = client.create_logged_model(client.get_run(run_id).info.experiment_id, "bundle")
        outputs = [mlflow.entities.LoggedModelOutput(model.model_id, 0)]
        client.log_outputs(run_id, outputs)

    monkeypatch.setattr(registry, "log_bundle", log_bundle)


def write_bundle(folder: Path, text: str) -> Path:
    return write_json(folder / text / "bundle.json", {"text": text}).parent


def test_only_a_better_model_becomes_champion(uri, tmp_path, quick) -> None:
    client, name = open_client(uri), "promoted"

    def promote(text: str, tested, dry_run: bool = False):
        return promote_bundle(client, uri, name, write_bundle(tmp_path, text), tested, dry_run)

    told = promote("first", make_tested(10), dry_run=True)
    assert told.sentences[-1] == "It would become the champion: there was none."
    assert not client.search_model_versions(f"name = '{name}'")
    assert promote("first", make_tested(10)).is_champion
    assert promote("first", make_tested(10)).sentences[-1] == "It is the champion."
    told = promote("second", make_tested(8))
    assert not told.is_champion
    assert "does not become the champion: beside version 1 it errs less, but" in told.sentences[-1]
    assert (find_alias(client, name, CANDIDATE), find_alias(client, name, CHAMPION)) == (2, 1)
    for text, tested, words in (
        ("third", make_tested(0, 30), "cannot be compared with version 1, since the test samples"),
        ("fourth", None, "test predictions of the candidate are not known"),
    ):
        told = promote(text, tested)
        assert words in told.sentences[-1]
        assert not told.is_champion
    told = promote("fifth", make_tested(1), dry_run=True)
    assert "would become the champion: it is better than version 1" in told.sentences[-1]
    assert find_alias(client, name, CHAMPION) == 1
    told = promote("fifth", make_tested(1))
    assert (told.version, told.is_champion) == (5, True)
    assert "0.025 against 0.25 on 40 independent test units" in told.sentences[-1]
    assert find_alias(client, name, CHAMPION) == find_alias(client, name, CANDIDATE) == 5


@pytest.mark.parametrize("code", [0, 1, 7, 1000])  # time-outs have 1; 1000 is a bad parameter
def test_a_store_that_does_not_answer_does_not_lack_a_champion(code, tmp_path) -> None:
    from mlflow.exceptions import MlflowException

    class Failing:
        def get_registered_model(self, name: str):
            raise MlflowException("API request failed with timeout exception", error_code=code)

    with pytest.raises(InputError, match=r"champion \(.*timeout.*nothing was changed"):
        promote_bundle(Failing(), "", "x", write_bundle(tmp_path, "first"), make_tested(1))


def test_test_predictions_that_come_later_are_kept(uri, tmp_path, quick) -> None:
    client, name = open_client(uri), "later"

    def promote(text: str, tested, dry_run: bool = False):
        return promote_bundle(client, uri, name, write_bundle(tmp_path, text), tested, dry_run)

    assert promote("first", None).is_champion
    promote("first", make_tested(10), dry_run=True)
    assert registry.read_tested(client, name, 1) is None
    promote("first", make_tested(10))
    assert registry.read_tested(client, name, 1)["error"].sum() == 10
    assert promote("second", make_tested(1)).is_champion


def test_test_predictions_come_from_the_run_of_the_bundle(tmp_path) -> None:
    layout = build_study(tmp_path / "cells", bundle=True)
    (layout.comparison / "images.csv").write_text(
        "arm,repeat,fold,role,sample_id,y_true,y_pred\n"
        "transfer,0,0,test,a,333,333\ntransfer,0,0,test,b,333,811\nscratch,0,0,test,a,333,811\n"
    )
    layout.data.manifest.parent.mkdir(parents=True, exist_ok=True)
    manifest = pd.DataFrame({"sample_id": ["a", "b"], "specimen_id": ["x", None]})
    manifest.to_parquet(layout.data.manifest)
    words = ["--study", "cells", "--settings", layout.plan.settings.model_dump_json()]
    assert find_tested(layout.root, layout.bundle) is None  # not tracked yet
    write_json(
        layout.root / "tracked.json",
        {"status": "disabled", "program": "track_study.py", "arguments": words},
    )
    tested = find_tested(layout.root, layout.bundle)
    assert tested[["unit", "y_true", "error"]].to_numpy().tolist() == [
        ["x", "333", 0.0],
        ["b", "333", 1.0],
    ]
    assert find_tested(layout.root, BUNDLES / "tables" / "bundle") is None  # of another run


def test_of_arms_with_one_target_the_first_gives_the_answer(tmp_path) -> None:
    from types import SimpleNamespace

    (tmp_path / "images.csv").write_text(
        "arm,role,sample_id,target,y_true,y_pred\n"
        "second,test,a,x,1,9\nsecond,test,a,y,1,1\nmain,test,a,x,1,1\nmain,train,b,x,1,1\n"
    )
    manifest = pd.DataFrame({"sample_id": ["a", "b"], "specimen_id": ["s", "t"]})
    manifest.to_parquet(tmp_path / "manifest.parquet")
    settings = SimpleNamespace(best_known_arm="main", published_arms=["second"])
    layout = SimpleNamespace(
        plan=SimpleNamespace(settings=settings),
        comparison=tmp_path,
        data=SimpleNamespace(manifest=tmp_path / "manifest.parquet"),
    )
    tested = list_tested(layout)
    assert dict(zip(tested["target"], tested["error"], strict=True)) == {"x": 0, "y": 0}


def test_a_folder_that_is_no_bundle_is_one_sentence(uri, tmp_path, capsys) -> None:
    argv = ["nothing", "--uri", uri, "--work", str(tmp_path), "--bundle", str(tmp_path)]
    assert promote_model(argv) == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines[-1].startswith(f"ERROR: {tmp_path}: this is no published model")


def check_same(rows: pd.DataFrame, table: Path) -> None:
    """Rows of a served model are those that a program wrote."""
    text = rows.to_csv(index=False)
    ours = pd.read_csv(io.StringIO(text), keep_default_na=False, dtype=str)
    theirs = pd.read_csv(table, keep_default_na=False, dtype=str)
    assert list(ours.columns) == list(theirs.columns)
    for column in theirs:
        numbers = pd.to_numeric(theirs[column], errors="coerce")
        found = pd.to_numeric(ours[column], errors="coerce")
        if numbers.notna().any():
            np.testing.assert_allclose(found, numbers, rtol=1e-9, err_msg=column)
        else:
            assert ours[column].tolist() == theirs[column].tolist(), column


def answer_by_program(kind: str, out: Path) -> Path:
    words = ["--bundle", str(BUNDLES / kind / "bundle"), "--out", str(out)]
    assert predict_images([*words, "--images", str(BUNDLES / kind / "input")]) == 0
    return out


def register(kind: str, uri: str, work: Path) -> None:
    words = [kind, "--uri", uri, "--work", str(work)]
    assert promote_model([*words, "--bundle", str(BUNDLES / kind / "bundle")]) == 0


def load_champion(kind: str, uri: str):
    import mlflow

    mlflow.set_tracking_uri(uri)
    return mlflow.pyfunc.load_model(f"models:/{kind}@{CHAMPION}")


@pytest.mark.parametrize(
    "kind",
    [
        "classes_of_images",
        pytest.param("classes_of_scans", marks=pytest.mark.docs),
        pytest.param("capacities", marks=pytest.mark.docs),
    ],
)
def test_registered_models_answer_as_the_programs(kind: str, uri, tmp_path) -> None:
    register(kind, uri, tmp_path)
    # Pictures are answered in the order of the request, by the program in that of their names.
    found = load_champion(kind, uri).predict(pd.DataFrame(encode(BUNDLES / kind / "input")))
    check_same(found, answer_by_program(kind, tmp_path / "out.csv"))


def test_registered_rows_are_answered_as_by_the_program(uri, tmp_path) -> None:
    register("tables", uri, tmp_path)
    given = pd.read_csv(BUNDLES / "tables" / "input" / "rows.csv").set_index("domain")
    given = given.apply(pd.to_numeric, errors="coerce").astype(float).reset_index()
    given.to_csv(tmp_path / "rows.csv", index=False)
    words = ["--bundle", str(BUNDLES / "tables" / "bundle"), "--table", str(tmp_path / "rows.csv")]
    assert predict_table([*words, "--out", str(tmp_path / "out.csv")]) == 0
    model = load_champion("tables", uri)
    check_same(model.predict(given), tmp_path / "out.csv")
    # What runs when the model is loaded is our module and our package; nothing is unpickled.
    client = open_client(uri)
    version = client.get_model_version_by_alias("tables", CHAMPION)
    [output] = client.get_run(version.run_id).outputs.model_outputs
    place = client.get_logged_model(output.model_id).artifact_location
    folder = Path(place.removeprefix("file://"))
    own = Path(registry.__file__).with_name("bundle_model.py")
    assert (folder / own.name).read_bytes() == own.read_bytes()
    found = {p.suffix for p in folder.rglob("*") if p.is_file()}
    assert not found & {".pkl", ".pickle", ".pt", ".pth", ".joblib"}
    others = [p for p in folder.rglob("*.py") if folder / "code" not in p.parents]
    assert others == [folder / own.name]
    with pytest.raises(Exception, match="nothing tells which domain"):
        model.unwrap_python_model().predict(None, given.drop(columns="domain"))


@pytest.mark.docs
def test_a_served_model_answers_over_loopback(tmp_path) -> None:
    uri, kind = copy_empty_store(tmp_path), "classes_of_images"
    register(kind, uri, tmp_path)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["models", "serve", "-m", f"models:/{kind}@{CHAMPION}", "--env-manager", "local"]
    server = subprocess.Popen(
        [sys.executable, "-m", "mlflow", *words, "--host", "127.0.0.1", "--port", str(port)],
        env=os.environ | {"MLFLOW_TRACKING_URI": uri, "MLFLOW_DISABLE_TELEMETRY": "true"},
        start_new_session=True,
    )
    try:
        place = f"http://127.0.0.1:{port}"
        for _ in range(240):
            time.sleep(0.5)
            try:
                urllib.request.urlopen(f"{place}/ping").close()
                break
            except OSError:
                assert server.poll() is None
        else:
            pytest.fail("the server does not answer after 120 s")
        bad = {"file": "z.png", "image": NOTHING}
        body = {"dataframe_records": [*encode(BUNDLES / kind / "input"), bad]}
        request = urllib.request.Request(
            f"{place}/invocations", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request) as response:
            told = json.load(response, parse_constant=pytest.fail)["predictions"]
    finally:
        os.killpg(server.pid, 15)
        server.wait()
    assert told[-1]["status"] == "rejected"
    check_same(pd.DataFrame(told[:-1]), answer_by_program(kind, tmp_path / "out.csv"))
