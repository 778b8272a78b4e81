"""The real workflow on two check sets: one that must be solved, one that must not be."""

import json
import re
import time

import pandas as pd
import pytest
import yaml
from scipy.stats import binom

from tests.conftest import Sandbox, count_rules, wait_for_program
from tests.small_params import small_params, small_study
from tests.test_table_workflow import params as table_params
from tests.test_table_workflow import write_rows

pytestmark = pytest.mark.workflow
TRIVIAL = {"kind": "trivial", "classes": 3, "images_per_class": 12}
RANDOM = {"kind": "random", "classes": 3, "images_per_class": 20}
# Of `random` no page is needed.
BUILT = ("trivial", "work/random/comparison")
AFTER_TRAINING = {
    "evaluate_arms",
    "evaluate_grey_levels",
    "compare_arms",
    "explain_study",
    "bundle_models",
    "report_study",
    "track_study",
    "publish_study",
}


def params(**trivial):
    return small_params(
        trivial=small_study(dataset={"name": "trivial", "generator": TRIVIAL}, **trivial),
        random=small_study(
            dataset={"name": "random", "generator": RANDOM},
            preprocess={"tiles_per_image": 6},
            evaluate={"shortcut_audit": False},
        ),
    )


@pytest.fixture(scope="module")
def sandbox(make_sandbox) -> Sandbox:
    box = make_sandbox(params())
    box.snakemake(*BUILT)
    return box


def metrics(sandbox: Sandbox, study: str) -> dict:
    return json.loads((sandbox.root / "reports" / study / "metrics.json").read_text())


def test_trivial_is_solved(sandbox):
    assert metrics(sandbox, "trivial")["per_image.image.accuracy"] >= 0.95


def test_random_is_not_solved(sandbox):
    comparison = pd.read_csv(sandbox.root / "work/random/comparison/comparison.csv")
    row = comparison[
        (comparison["arm"] == "per_image")
        & (comparison["level"] == "image")
        & (comparison["metric"] == "accuracy")
        & comparison["target"].isna()
    ].iloc[0]
    low, high = binom.interval(0.999, int(row["n"]), 1 / 3)
    assert low <= row["mean"] * row["n"] <= high


def test_contract_of_the_published_files(sandbox):
    report = sandbox.root / "reports" / "trivial"
    comparison = pd.read_csv(report / "comparison.csv")
    header = "arm,backbone,target,domain,level,metric,mean,sd,n,paper"
    assert ",".join(comparison.columns) == header
    assert {"baseline_majority", "baseline_grey_levels", "baseline_metadata"} < set(
        comparison["arm"]
    )
    assert all(isinstance(v, int | float) for v in metrics(sandbox, "trivial").values())
    assert "shortcuts.network_shuffled.balanced_accuracy" in metrics(sandbox, "trivial")
    html = (report / "report.html").read_text(encoding="utf-8")
    assert "GENERATED DATA" in html.upper()
    assert "<script src" not in html
    assert "trivial" in (sandbox.root / "reports" / "index.html").read_text(encoding="utf-8")
    bundle = {p.name for p in (sandbox.root / "models" / "trivial").iterdir()}
    assert {"bundle.json", "MODEL_CARD.md", "example_output.json", "digest.json"} <= bundle


def test_second_run_does_nothing_and_says_so(sandbox):
    assert "Nothing to be done" in sandbox.snakemake(*BUILT).stdout
    assert sandbox.planned_rules(*BUILT) == {}
    # Without a target everything is built: what is not there yet.
    rest = {"explain_study", "bundle_models", "report_study", "track_study", "publish_study"}
    assert sandbox.planned_rules() == dict.fromkeys(["all", *rest], 1)


def test_learning_rate_of_one_study_re_runs_its_training_only(sandbox):
    sandbox.write_params(params(train={"learning_rate": 1e-3}))
    planned = sandbox.planned_rules(*BUILT)
    sandbox.write_params(params())
    assert set(planned) - {"trivial"} == {"train_stage"} | AFTER_TRAINING
    assert set(planned.values()) == {1}


def test_explanation_settings_do_not_retrain(sandbox):
    sandbox.write_params(params(explain={"tiles_per_class": 2}))
    planned = set(sandbox.planned_rules(*BUILT))
    sandbox.write_params(params())
    assert "explain_study" in planned
    assert not planned & {"train_stage", "evaluate_arms", "preprocess_images"}


def test_other_grey_levels_at_test_do_not_retrain(sandbox):
    sandbox.write_params(params(evaluate={"grey_levels_at_test": ["clahe"]}))
    planned = sandbox.planned_rules(*BUILT)
    sandbox.write_params(params())
    assert planned["evaluate_grey_levels"] == 1
    assert "compare_arms" in planned
    assert not set(planned) & {"train_stage", "evaluate_arms", "explain_study"}


def test_sweep_adds_the_jobs_of_new_points_and_the_dry_run_tells_the_cost(sandbox):
    def plan(*crops):
        sweeps = {"size": {"preprocess.crop_px": list(crops)}}
        sandbox.write_params(params(sweeps=sweeps, run_sweeps=["size"]))
        output = sandbox.snakemake("-n", "--quiet", "rules", "--", *BUILT).stdout
        return count_rules(output), output.strip().splitlines()[-1]

    point = {"preprocess_images", "balance_stage", "train_stage", "evaluate_point"}
    together = {"compare_sweeps", "track_sweeps", "report_study", "track_study", "publish_study"}
    one, cost = plan(48, 64)  # 64 is the main arm's
    two, _ = plan(48, 56, 64)
    sandbox.write_params(params())
    assert set(one) - {"trivial"} == set(two) - {"trivial"} == point | together
    assert {rule: one[rule] for rule in point} == dict.fromkeys(point, 1)
    assert {rule: two[rule] for rule in point} == dict.fromkeys(point, 2)
    assert cost.startswith("Expected: 9 jobs; 6 of them take about ")
    unknown = "compare_sweeps (1), evaluate_point (1), track_sweeps (1)"
    assert cost.endswith(f"Nothing is known yet of: {unknown}.")


@pytest.mark.parametrize(
    ("module", "expected", "spared"),
    [
        ("batteryscope/report/phrases.py", {"report_study"}, {"train_stage", "compare_arms"}),
        (
            "batteryscope/training/module.py",
            {"train_stage"},
            {"preprocess_images", "split_dataset"},
        ),
        (
            "batteryscope/splits/audit.py",
            {"split_dataset"},
            {"preprocess_images", "generate_dataset"},
        ),
    ],
)
def test_edited_module_re_runs_what_uses_it(sandbox, module, expected, spared):
    path = sandbox.root / module
    text = path.read_text(encoding="utf-8")
    path.write_text(text + "\nEDITED = True\n", encoding="utf-8")
    planned = set(sandbox.planned_rules(*BUILT))
    path.write_text(text, encoding="utf-8")
    assert expected <= planned
    assert not spared & planned


def test_edited_finding_of_tables_re_runs_studies_of_tables_alone(sandbox):
    rows = table_params(train={"epochs": 5, "restarts": 1})["studies"]
    (sandbox.root / "rows.yaml").write_text(yaml.safe_dump({"studies": rows}))
    write_rows(sandbox)
    given = ("--configfile", "rows.yaml", "--", "work/rows/comparison")
    sandbox.snakemake(*given)
    assert "Nothing to be done" in sandbox.snakemake("-n", *given, *BUILT).stdout
    path = sandbox.root / "batteryscope/tables/findings.py"
    text = path.read_text(encoding="utf-8")
    path.write_text(text + "\nEDITED = True\n", encoding="utf-8")
    told = sandbox.snakemake("-n", *given, *BUILT).stdout
    path.write_text(text, encoding="utf-8")
    planned = re.findall(r"^Job \d+: (\w+): (.+)", told, re.MULTILINE)
    assert planned == [("rows", "compare arms, baselines and the paper")]


def test_changed_publication_is_noticed_and_restored(sandbox):
    report = sandbox.root / "reports" / "trivial" / "report.html"
    before = report.read_bytes()
    report.write_text("somebody else's")
    assert set(sandbox.planned_rules(*BUILT)) - {"trivial"} == {"publish_study"}
    output = sandbox.snakemake("trivial").stdout
    assert report.read_bytes() == before
    # The last line is what a person looks for, also where nothing had to be done.
    last = "Report: reports/trivial/report.html"
    assert output.strip().splitlines()[-1] == last
    assert sandbox.snakemake("trivial").stdout.strip().splitlines()[-1] == last


def test_two_clean_runs_give_identical_metrics(sandbox, make_sandbox):
    other = make_sandbox(small_params(trivial=params()["studies"]["trivial"]))
    other.snakemake("work/trivial/comparison")
    one, two = (
        {path.name: path.read_bytes() for path in (box.root / "work/trivial/comparison").iterdir()}
        for box in (sandbox, other)
    )
    assert {"metrics.json", "comparison.csv"} <= set(one)
    assert one == two


def test_predict_on_the_same_frames_in_other_places_and_formats(sandbox, tmp_path):
    from PIL import Image

    source = sandbox.root / "work" / "trivial" / "data" / "images"
    answers = {}
    for form in ("as_is", "moved"):
        folder = tmp_path / form
        for i, path in enumerate(sorted(source.rglob("*.png"))[::5]):
            place = folder / f"tief {i}" / "틀, ü"
            place.mkdir(parents=True)
            if form == "as_is":
                (place / f"{i:03d}.png").write_bytes(path.read_bytes())
            else:
                pixels = Image.open(path).convert("L")
                Image.fromarray(__import__("numpy").asarray(pixels).astype("uint16") * 257).save(
                    place / f"{i:03d}.tif"
                )
        (folder / "notes.jpg").write_text("not a picture")
        out = tmp_path / f"{form}.csv"
        sandbox.run(
            "python", "workflow_scripts/predict_images.py", "--bundle", "models/trivial",
            "--images", str(folder), "--out", str(out),
        )  # fmt: skip
        table = pd.read_csv(out)
        assert (table["status"] == "rejected").sum() == 1
        answers[form] = table[table["status"] == "ok"].filter(regex="^p_|^class$")
    pd.testing.assert_frame_equal(
        answers["as_is"].reset_index(drop=True), answers["moved"].reset_index(drop=True)
    )


def wait_for(condition, timeout_s: float = 240) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def test_killed_fold_resumes_and_finished_ones_stay(make_sandbox):
    study = small_study(
        split={"scheme": "kfold", "folds": 3, "validation_fraction": 0.3},
        train={"epochs": 12, "tiles_per_epoch": 60},
    )
    box = make_sandbox(small_params(check=study))
    target = "work/check/predicted"
    log_of = lambda: next(iter((box.root / "work/check/logs").glob("train_stage_*.log")), None)  # noqa: E731
    first = box.start_command("snakemake", "--", target)
    wait_for(lambda: (p := log_of()) and "(r0_f1): epoch 4" in p.read_text())
    wait_for_program(first.pid, "train_stage.py").kill()
    assert first.wait(timeout=120) != 0
    box.snakemake("--", target)
    text = log_of().read_text()
    assert "(r0_f0): already trained" in text
    assert "(r0_f1): epoch 1 of" not in text
    assert "(r0_f1): epoch 12 of" in text
    assert "(r0_f2): epoch 1 of" in text
