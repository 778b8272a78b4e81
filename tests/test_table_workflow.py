"""A study of tables through the real workflow, from a table as people save it to predictions."""

import html
import json
import sqlite3

import numpy as np
import pandas as pd
import pytest
import yaml

from tests.conftest import Sandbox

pytestmark = pytest.mark.workflow
ROWS = {"graphite": 60, "nmc": 40}


def params(**changes) -> dict:
    study = {
        "kind": "table",
        "title": "check",
        "dataset": {
            "name": "check",
            "files": [{"path": "data/raw/rows.csv"}],
            "source": "graphite",
            "domains": {
                "graphite": {"material": {"values": ["Graphite"]}},
                "nmc": {"material": {"values": ["NMC"]}},
            },
            "features": {
                "comma_gap_um": {"header": "Comma.Gap..µm.", "unit": "µm", "range": [50, 400]},
                "solid_content_wt_percent": {"scale": 100, "unit": "wt%"},
            },
            "targets": {"law": {"unit": "mg/cm²"}, "noise": {}},
        },
        "split": {"repeats": 2, "validation_fraction": 0.3},
        "networks": {name: {"hidden_layers": 1, "nodes": 4} for name in ("law", "noise")},
        "train": {"epochs": 150, "restarts": 2},
        "arms": ["pretrained", "adapter", "scratch"],
        "evaluate": {"baselines": ["mean", "linear"], "coverage": 0.7},
        "ablations": {"target_rows": [10]},
        "explain": {"rows": 1, "background": 5},
        "propose": {"domain": "nmc", "wanted": {"law": 50.0}, "trials": 60, "proposals": 3},
    }
    return {"scale": "demo", "studies": {"rows": study | changes}}


def write_rows(sandbox: Sandbox) -> None:
    """Semicolons, decimal commas, a mangled title, and one impossible row at the end."""
    rng = np.random.default_rng(0)
    lines = ["material;Comma.Gap..µm.;solid_content_wt_percent;law;noise"]
    for material, slope in (("graphite", 0.1), ("nmc", 0.2)):
        for _ in range(ROWS[material]):
            gap, solid, noise = rng.uniform(100, 300), rng.uniform(0.4, 0.6), rng.uniform(5, 10)
            cells = (gap, solid, slope * gap + 20 * solid, noise)
            lines.append(";".join([material, *(f"{c:.4f}".replace(".", ",") for c in cells)]))
    lines.append("nmc;9000,0;0,5;20,0;7,0")
    path = sandbox.root / "data/raw/rows.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture(scope="module")
def study(make_sandbox) -> Sandbox:
    sandbox = make_sandbox(params())
    write_rows(sandbox)
    own = "studies: { rows: { title: check } }"
    (sandbox.root / "own.yaml").write_text(own, encoding="utf-8")
    done = sandbox.snakemake("--configfile", "own.yaml", "--", "rows")
    assert "1 rejected" in done.stdout
    assert "comma_gap_um is 9000 µm, outside 50 to 400 µm" in done.stdout
    return sandbox


def read_metrics(sandbox: Sandbox) -> dict[str, float]:
    return json.loads((sandbox.root / "reports/rows/metrics.json").read_text())


def test_a_law_is_learnt_and_noise_is_not(study):
    metrics = read_metrics(study)
    assert metrics["source.row.graphite.law.mape"] < 5
    assert metrics["adapter.row.nmc.law.mape"] < 10
    assert metrics["adapter.row.nmc.law.mape"] < metrics["pretrained.row.nmc.law.mape"] / 2
    mean = metrics["baseline_mean.row.nmc.noise.mape"]
    assert metrics["adapter.row.nmc.noise.mape"] > 0.7 * mean


def test_report_and_index_are_published(study):
    page = (study.root / "reports/rows/report.html").read_text()
    assert page.count("Not shown:") == page.count("Not shown: published values") == 1
    assert "rows/report.html" in (study.root / "reports/index.html").read_text()
    proposals = pd.read_csv(study.root / "reports/rows/tables/proposals.csv")
    assert len(proposals) == 3
    assert proposals["law"].between(45, 55).all()


def test_runs_stand_in_mlflow_below_their_arms(study):
    connection = sqlite3.connect(study.root / "mlflow.db")
    query = "select key, value, run_uuid from tags where key in ('arm', 'repeat', 'main_arm')"
    tags = pd.DataFrame(connection.execute(query).fetchall(), columns=["key", "value", "run"])
    tags = tags.pivot_table(index="run", columns="key", values="value", aggfunc="first")
    assert tags.groupby("arm")["repeat"].nunique().to_dict() == {
        "adapter": 2, "baseline_linear": 2, "baseline_mean": 2, "pretrained": 2, "scratch": 2,
        "source": 2,
    }  # fmt: skip
    assert tags.loc[tags["main_arm"] == "true", "arm"].tolist() == ["adapter"]
    curves = connection.execute(
        "select count(distinct step) from metrics where key = 'epochs/nmc.law.validation_mape'"
    )
    assert curves.fetchone()[0] == 150


def test_model_from_mlflow_predicts_rows(study):
    code = (
        "import mlflow, pandas as pd; mlflow.set_experiment('rows');"
        "model = mlflow.search_logged_models(output_format='list')[0];"
        "rows = pd.read_csv('models/rows/example_output.csv');"
        "loaded = mlflow.pyfunc.load_model(model.model_uri);"
        "given = rows[['domain', 'comma_gap_um', 'solid_content_wt_percent']];"
        "found = loaded.predict(given, params={'answer_anyway': True});"
        "print(found['law'].tolist(), rows['law'].tolist())"
        "if found['law'].tolist() != rows['law'].tolist() else print('equal')"
    )
    assert study.run("python", "-c", code).stdout.splitlines()[-1] == "equal"


def test_new_rows_are_predicted_with_intervals_and_warnings(study):
    table = study.root / "new.csv"
    table.write_text("comma_gap_um,solid_content_wt_percent\n200,0.5\n390,0.5\n,0.5\n")
    program = ("python", "workflow_scripts/predict_table.py", "--bundle", "models/rows")
    study.run(*program, "--table", "new.csv", "--domain", "NMC", "--out", "answer.csv")
    answer = pd.read_csv(study.root / "answer.csv")
    assert answer["status"].tolist() == ["ok", "unlike_training", "rejected"]
    assert answer["law"].isna().tolist() == [False, True, True]
    assert answer["law"][0] == pytest.approx(50, rel=0.15)
    assert answer["law_low"][0] < answer["law"][0] < answer["law_high"][0]
    assert "outside the training range" in answer["note"][1]
    assert answer["reason"][2].startswith("missing_value: comma_gap_um")


def test_the_command_in_the_report_finds_nothing_to_do(study):
    page = (study.root / "reports/rows/report.html").read_text()
    told = html.unescape(page.split('<section id="cite">')[1].split("<pre>")[1].split("</pre>")[0])
    command, planned = told.splitlines()[:2]
    assert command == "snakemake --configfile own.yaml -- rows"
    assert planned.startswith("snakemake -n --configfile own.yaml -- rows")
    assert "Nothing to be done" in study.run("bash", "-c", planned).stdout


def test_only_consequences_of_a_changed_setting_run_again(study):
    study.write_params(params(train={"epochs": 151, "restarts": 2}))
    planned = set(study.planned_rules("rows"))
    assert {"train_table", "compare_arms", "publish_study"} <= planned
    assert not planned & {"ingest_table", "split_table"}
    study.write_params(params(explain={"rows": 2, "background": 5}))
    planned = set(study.planned_rules("rows"))
    assert "explain_study" in planned
    assert not planned & {"train_table", "compare_arms", "propose_parameters"}
    study.write_params(params())
    assert not study.planned_rules("rows")


@pytest.mark.parametrize(
    ("dataset", "sentence"),
    [
        (
            {"files": [{"path": "data/raw/nothing.csv"}]},
            "ERROR: params.yaml: studies.rows.dataset.files.0.path: expected a table at "
            "'data/raw/nothing.csv', found nothing; correct the path.",
        ),
        (
            {"targets": {"law": {}, "noise": {}, "loading": {}}},
            "ERROR: params.yaml: studies.rows: networks lacks the target 'loading'; "
            "give it a network.",
        ),
    ],
)
def test_wrong_settings_stop_before_any_job(study, dataset, sentence):
    changed = params()
    changed["studies"]["rows"]["dataset"] |= dataset
    study.write_params(changed)
    done = study.snakemake("rows", check=False)
    study.write_params(params())
    assert done.returncode != 0
    told = [line for line in done.stdout.splitlines() if not line.startswith("Using workflow")]
    assert told == [sentence]


def test_a_wrong_kind_of_study_is_told(study):
    changed = params()
    changed["studies"]["rows"]["kind"] = "tabel"
    study.write_params(changed)
    done = study.snakemake("rows", check=False)
    study.write_params(params())
    assert "studies.rows.kind: found 'tabel'; expected one of 'image', 'table'." in done.stdout


def test_a_target_that_is_zero_somewhere_is_learnt_by_processes_and_told_in_its_unit(study):
    """Cracks of 40 rows, none in some of both materials, beside a law that is never 0."""
    rng = np.random.default_rng(0)
    gap, solid = rng.uniform(100, 300, 40).round(1), rng.uniform(40, 60, 40).round(2)
    rows = pd.DataFrame({"domain": np.repeat(["graphite", "nmc"], [24, 16]), "gap": gap})
    rows = rows.assign(solid=solid, cracks=(0.05 * (gap - 180)).clip(0).round(2), law=gap / solid)
    rows.to_csv(study.root / "data/raw/cracks.csv", index=False)
    data = {"name": "cracks", "files": [{"path": "data/raw/cracks.csv"}], "source": "graphite"}
    data |= {"features": {"gap": {}, "solid": {}}, "targets": {"cracks": {"unit": "1/mm"}}}
    data["targets"]["law"] = {}
    asked = params()["studies"]["rows"] | {"dataset": data}
    asked |= {"arms": ["transfer_process"], "main_arm": "transfer_process", "ablations": {}}
    asked.pop("propose")
    asked["networks"], asked["train"] = {"cracks": {}, "law": {}}, {}
    overlay = {"studies": {"cracks": asked}}
    (study.root / "cracks.yaml").write_text(yaml.safe_dump(overlay), encoding="utf-8")
    study.snakemake("--configfile", "cracks.yaml", "--", "cracks")
    metrics = json.loads((study.root / "reports/cracks/metrics.json").read_text())
    assert metrics["transfer_process.row.nmc.law.mape"] < 20
    assert "transfer_process.row.nmc.cracks.mape" not in metrics
    error = metrics["transfer_process.row.nmc.cracks.mae"]
    assert error < metrics["baseline_mean.row.nmc.cracks.mae"]
    card = (study.root / "models/cracks/MODEL_CARD.md").read_text()
    assert f"| cracks | nmc | transfer (Gaussian process) | {error:.3g} 1/mm |" in card
    told = json.loads((study.root / "reports/cracks/summary.json").read_text())["headline"]
    assert f"{error:.3g} ± " in told
    assert "MAPE, but MAE where a value is 0" in told
    assert (study.root / "reports/cracks/figures/key_figure.svg").is_file()
