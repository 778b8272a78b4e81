"""Gaussian processes of tables: what they learn from another domain, and what they refuse."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

from batteryscope.bundle.integrity import seal_bundle
from batteryscope.bundle.predict_program import main as predict_table
from batteryscope.config.table_study import TableStudySettings
from batteryscope.errors import InputError
from batteryscope.provenance import digest_file
from batteryscope.tables.bundle import load_table_bundle
from batteryscope.tables.fit_processes import JITTER, fit_processes, fit_task
from batteryscope.tables.networks import build_stack, predict_rows
from batteryscope.tables.plan_tasks import plan_tasks
from batteryscope.tables.processes import AveragedProcess, GaussianProcess
from batteryscope.tables.train_stack import train_tasks
from tests.linear_study import make_settings, write_study
from tests.table_networks import make_manifest, split_in_order
from tests.table_networks import make_settings as make_networks_settings
from workflow_scripts.bundle_models import main as bundle_models

ARMS = ["adapter", "pretrained_process", "transfer_process"]


def draw(n: int, seed: int, low: float = 1.0, high: float = 3.0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(low, high, (n, 2))


def wave(x: np.ndarray) -> np.ndarray:
    return 4 + np.sin(4 * x[:, 0]) * x[:, 1]


def fit_process(
    x: np.ndarray, truth: np.ndarray, parent: GaussianProcess | None = None
) -> GaussianProcess:
    """Fit processes, and return the likeliest."""
    return fit_processes(x, truth, parent)[0].process


def tell_error(process: GaussianProcess, x: np.ndarray, truth: np.ndarray) -> float:
    return float(100 * np.mean(np.abs(predict_rows(process, x) - truth) / np.abs(truth)))


@pytest.fixture(scope="module")
def source() -> GaussianProcess:
    return fit_process(x := draw(60, 1), wave(x))


def test_transfer_finds_a_multiple_and_a_small_trend_in_eight_rows(source: GaussianProcess) -> None:
    """The law of the target is 2 times that of the source, and 0.2 per unit of a feature."""

    def law(x: np.ndarray) -> np.ndarray:
        return 2 * wave(x) + 0.2 * x[:, 1]

    few, asked = draw(8, 2), draw(50, 3)
    transferred = tell_error(fit_process(few, law(few), source), asked, law(asked))
    alone = tell_error(fit_process(few, law(few)), asked, law(asked))
    assert transferred < 1.5
    assert transferred < alone / 5


def test_a_source_that_teaches_nothing_does_no_harm(source: GaussianProcess) -> None:
    few, asked = draw(15, 4), draw(50, 5)
    truth, known = 3 + asked[:, 1], 3 + few[:, 1]
    assert tell_error(fit_process(few, known, source), asked, truth) < 0.5


def test_a_misleading_source_is_left_out() -> None:
    """What another law teaches of few rows makes these less likely, and would disturb answers."""
    rng = np.random.default_rng(14)
    misleading = fit_process(x := draw(60, 1), 4 + rng.normal(0, 1, 60) + np.sin(20 * x[:, 0]))
    few, asked = draw(20, 2), draw(50, 3)
    process = fit_process(few, wave(few), misleading)
    assert process.parent is None
    alone = fit_process(few, wave(few))
    assert tell_error(process, asked, wave(asked)) <= 1.05 * tell_error(alone, asked, wave(asked))


def test_of_many_rows_a_part_decides_the_lengths_and_all_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from batteryscope.tables import fit_processes

    monkeypatch.setattr(fit_processes, "SEARCHED_ROWS", 40)
    x, asked = draw(160, 1), draw(50, 3)
    process = fit_process(x, wave(x))
    assert process.rows == 160
    assert tell_error(process, asked, wave(asked)) < 0.1


def test_a_product_of_powers_holds_far_outside_of_the_rows() -> None:
    def law(x: np.ndarray) -> np.ndarray:
        return 0.7 * x[:, 0] ** 1.5 / x[:, 1] ** 0.5

    process = fit_process(x := draw(20, 6), law(x))
    assert process.output_logged == 1
    far = draw(20, 7, 10, 30)
    assert tell_error(process, far, law(far)) < 1


def test_a_sum_needs_no_logarithm_and_negative_targets_have_none() -> None:
    x = draw(40, 8)
    for truth in (5 + 2 * x[:, 0] - x[:, 1], x[:, 0] - 2):
        process = fit_process(x, truth)
        assert process.output_logged == 0
        assert np.abs(predict_rows(process, x) - truth).max() < 0.01


@pytest.mark.parametrize("shift", [1.0, 2.0])
def test_logarithms_of_features_are_taken_only_where_rows_ask_for_them(shift: float) -> None:
    """With targets of 0 or below no density of their logarithms may decide."""
    x = draw(40, 8)
    x[0] = 1.0
    straight, curved = x[:, 0] - shift, 3 * np.log(x[:, 0] / x[:, 1])
    assert min(straight) <= 0
    assert min(curved) <= 0
    asked = draw(20, 13, 10, 30)
    process = fit_process(x, straight)
    assert not process.has_logged_inputs
    assert np.abs(predict_rows(process, asked) - asked[:, 0] + shift).max() < 0.1
    assert fit_process(x, curved).has_logged_inputs


def test_of_too_many_rows_the_same_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    from batteryscope.tables import fit_processes

    monkeypatch.setattr(fit_processes, "MOST_ROWS", 20)
    manifest, settings = make_manifest(), make_networks_settings(arms=ARMS)
    plan = plan_tasks(
        manifest, split_in_order(manifest, settings.split, []), settings, split_in_order
    )
    homes = [task for task in plan.tasks if "/source_process/" in task.name]
    rows = [fit_task(task, {}).network.likeliest.inputs for task in (homes[0], homes[0], homes[1])]
    assert [len(own) for own in rows] == [20] * 3
    assert len(homes[0].train) > 20
    assert torch.equal(rows[0], rows[1])
    assert not torch.equal(rows[0], rows[2])


def test_what_never_varies_is_left_out_and_no_number_is_infinite(source: GaussianProcess) -> None:
    x = draw(20, 9)
    x[:, 1] = 0.3
    process = fit_process(x, x[:, 0] ** 2, source)
    asked = np.array([[2.0, 0.3], [2.0, 9.0]])
    answers = predict_rows(fit_process(x, x[:, 0] ** 2), asked)
    assert answers[0] == answers[1] == pytest.approx(4, rel=0.02)
    extremes = np.array([[0.0, 0.0], [1e9, 1e9], [-5, 1e-12]])
    assert np.isfinite(predict_rows(process, extremes)).all()


def test_numbers_are_those_of_scikit_learn() -> None:
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, DotProduct, WhiteKernel

    x = draw(30, 10)
    process = fit_process(x, 5 + 2 * x[:, 0] - np.sin(2 * x[:, 1]))
    linear, smooth, noise = process.variances.exp().tolist()
    kernel = ConstantKernel(smooth) * RBF(process.lengths.exp().tolist())
    kernel += ConstantKernel(linear) * DotProduct(1.0) + WhiteKernel(noise)
    theirs = GaussianProcessRegressor(kernel, optimizer=None, alpha=JITTER)
    wanted = process.scale_targets(torch.from_numpy(5 + 2 * x[:, 0] - np.sin(2 * x[:, 1])))
    theirs.fit(process.inputs.numpy(), wanted.numpy())
    asked = draw(9, 11)
    scaled = theirs.predict(process.scale_features(torch.from_numpy(asked)).numpy())
    expected = scaled * process.output_sd.item() + process.output_mean.item()
    assert predict_rows(process, asked) == pytest.approx(expected, rel=1e-6)


def test_a_process_is_rebuilt_from_its_numbers(source: GaussianProcess) -> None:
    process = fit_process(x := draw(8, 12), 2 * wave(x), source)
    average = AveragedProcess([process, source], [0.75, 0.25])
    asked = draw(9, 13)
    told, others = predict_rows(process, asked), predict_rows(source, asked)
    assert predict_rows(average, asked) == pytest.approx(0.75 * told + 0.25 * others)
    for whole in (process, average):
        rebuilt = build_stack(whole.describe())
        rebuilt.load_state_dict(whole.state_dict())
        assert (predict_rows(rebuilt, asked) == predict_rows(whole, asked)).all()
    with pytest.raises(ValueError, match="3 features cannot build on one of 2"):
        GaussianProcess(5, 3, source)


def test_plan_gives_every_family_its_source_and_the_same_rows() -> None:
    settings = make_networks_settings(
        arms=ARMS, ablations={"source_rows": [10], "target_rows": [6]}
    )
    manifest = make_manifest()
    split = split_in_order(manifest, settings.split, [])
    plan = plan_tasks(manifest, split, settings, split_in_order)
    parents = plan.table.set_index("task")["parent"].to_dict()
    process = "density/nmc/transfer_process/r0_f0"
    home = "density/graphite/source_process/r0_f0"
    assert parents[process] == home
    assert parents[f"{process}/target_rows=6"] == home
    assert parents[f"{process}/source_rows=10"] == f"{home}/source_rows=10"
    tasks = {task.name: task for task in plan.tasks}
    for name, other in ((process, "adapter"), (home, "source")):
        twin = tasks["/".join([*name.split("/")[:2], other, "r0_f0"])]
        assert tasks[name].train.sample_ids == twin.train.sample_ids
    lines = plan.table[plan.table["arm"] == "pretrained_process"]
    assert set(lines["task"]) <= {name for name in tasks if "source_process" in name}
    pair = [tasks[home], tasks[process]]
    trained = train_tasks(pair[::-1], settings.train, 1)
    alone = fit_task(pair[1], {home: fit_task(pair[0], {})})
    asked = tasks[process].validation.features
    together = predict_rows(trained[process].network, asked)
    assert (together == predict_rows(alone.network, asked)).all()


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("processes")
    shared = write_study(root, make_settings(arms=ARMS, main_arm="transfer_process"))
    assert bundle_models([*shared, "--out", str(root / "bundle")]) == 0
    return root


def test_bundle_answers_as_the_study_and_holds_both_processes(published: Path) -> None:
    from batteryscope.tables.ensemble import read_ensemble
    from tests.linear_study import FEATURES

    bundle = load_table_bundle(published / "bundle")
    assert {m.arm for m in bundle.record.members} == {"source_process", "transfer_process"}
    assert "Gaussian processes" in (published / "bundle" / "MODEL_CARD.md").read_text()
    study = read_ensemble(published / "networks", {}, "transfer_process", list(FEATURES))
    asked = np.array([[2.5, 20, 200, 5], [1.5, 10, 150, 5]])
    for domain in ("graphite", "nmc"):
        told = bundle.ensemble.predict(domain, "density", asked).mean
        assert (told == study.predict(domain, "density", asked).mean).all()


def test_a_stranger_is_answered_by_processes(
    published: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The drawn law of the target is twice that of the source; nothing speaks of a network."""
    table, out = tmp_path / "new.csv", tmp_path / "answer.csv"
    table.write_text("domain,gap,speed,solids,width\nnmc,2,20,200,5\nnmc,2,90,900,9\n")
    command = ["--bundle", str(published / "bundle"), "--table", str(table), "--out", str(out)]
    assert predict_table(command) == 0
    answer = pd.read_csv(out)
    assert answer["status"].tolist() == ["ok", "unlike_training"]
    assert answer["density"][0] == pytest.approx(80, rel=0.01)
    assert answer["density_low"][0] < answer["density"][0] < answer["density_high"][0]
    card = (published / "bundle" / "MODEL_CARD.md").read_text()
    assert "network" not in (card + caplog.text).lower().replace("networks.safetensors", "")
    assert "drawn by lot" not in card


@pytest.mark.parametrize(
    ("name", "damage", "sentence"),
    [
        ("members.0.lengths", lambda t: t * np.nan, "not finite"),
        ("members.0.lengths", lambda t: t + 99, "are impossible"),
        ("members.0.parent.output_sd", lambda t: t * 0, "are impossible"),
        ("members.0.inputs", lambda t: t[1:], "weights do not fit"),
        ("shares", lambda t: t + 1, "shares of processes are impossible"),
    ],
)
def test_damaged_numbers_are_refused(
    published: Path, tmp_path: Path, name: str, damage, sentence: str
) -> None:
    folder = tmp_path / "bundle"
    folder.mkdir()
    for path in (published / "bundle").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    path = folder / "networks.safetensors"
    tensors = load_file(path)
    key = next(key for key in tensors if "/transfer_process/" in key and key.endswith(f"/{name}"))
    save_file(tensors | {key: damage(tensors[key]).contiguous()}, path)
    record = json.loads((folder / "bundle.json").read_text())
    record["weights_sha256"] = digest_file(path)
    (folder / "bundle.json").write_text(json.dumps(record))
    seal_bundle(folder)
    with pytest.raises(InputError, match=sentence):
        load_table_bundle(folder)


def test_settings_without_effect_are_refused_and_the_main_arm_is_one_of_the_arms() -> None:
    plain = make_networks_settings(arms=["adapter", "transfer_process"])
    assert (plain.main_arm, plain.network_arm) == ("transfer_process", "adapter")
    assert make_networks_settings(arms=["adapter"]).main_arm == "adapter"
    arm = {"arm": "transfer_process"}
    for change, key in (
        ({"sweeps": {"size": {"networks.nodes": [2, 3]} | arm}}, "size"),
        ({"search": {"space": {"train.learning_rate": [0.1]}} | arm}, "search"),
    ):
        values = plain.model_dump(mode="json") | change
        values["run_sweeps"] = list(change.get("sweeps", {}))
        with pytest.raises(ValueError, match=f"{key}.*changes nothing in 'transfer_process'"):
            TableStudySettings.model_validate(values)
