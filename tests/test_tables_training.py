import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
import torch

from batteryscope.config.table_study import TableTrainSettings
from batteryscope.errors import InputError
from batteryscope.samples.rows import ROWS
from batteryscope.tables.fit_stack import count_steps, fit_stack
from batteryscope.tables.network_tasks import Rows
from batteryscope.tables.networks import AdapterStack, predict_rows
from batteryscope.tables.train_stack import train_tasks
from tests.table_networks import make_rows, make_stack, make_task

SETTINGS = TableTrainSettings(epochs=6, batch_size=8, restarts=2)
SOURCE = make_task("source", 30, 1)


def make_mixed_tasks():
    """7 tasks beside the source: rows from 5 to 24 (1 to 3 steps), 2 targets, 3 kinds."""
    doubled = make_rows(21, 4)
    doubled = dataclasses.replace(doubled, targets=doubled.targets * -2)
    child = {"parent": "source"}
    return [
        make_task("a", 24, 2),
        make_task("b", 17, 3),
        make_task("c", 21, 4, target="loading", train=doubled),
        make_task("d", 5, 5, validation=make_rows(2, 6)),
        make_task("e", 15, 7, kind="adapter", train=make_rows(15, 7, shift=5), **child),
        make_task("f", 9, 8, kind="adapter", **child),
        make_task("g", 13, 9, kind="fine_tuning", **child),
    ]


@pytest.fixture(scope="module")
def together():
    return train_tasks([*make_mixed_tasks(), SOURCE], SETTINGS, seed=3)


@pytest.fixture(scope="module")
def long_training():
    settings = TableTrainSettings(epochs=80, batch_size=8, learning_rate=0.03, restarts=3)
    child = {"train": make_rows(24, 12, shift=8), "validation": make_rows(9, 13, shift=8)}
    tasks = [
        make_task("source", 48, 1),
        make_task("adapter", 0, 0, kind="adapter", parent="source", **child),
    ]
    return train_tasks(tasks, settings, seed=1)


def measure_mape(network, rows):
    predicted = predict_rows(network, rows.features)
    return 100 * np.abs(predicted / rows.targets - 1).mean()


@pytest.mark.parametrize("number", range(7))
def test_training_together_is_training_alone(together, number):
    task = make_mixed_tasks()[number]
    alone = train_tasks([task, SOURCE] if task.parent else [task], SETTINGS, seed=3)[task.name]
    result = together[task.name]
    assert (result.best_epoch, result.restart) == (alone.best_epoch, alone.restart)
    np.testing.assert_allclose(result.train_mape, alone.train_mape, rtol=1e-8)
    np.testing.assert_allclose(result.validation_mape, alone.validation_mape, rtol=1e-8)
    state, expected = result.network.state_dict(), alone.network.state_dict()
    for name, tensor in state.items():
        torch.testing.assert_close(tensor, expected[name], rtol=1e-8, atol=1e-10)


def test_results_come_by_name_in_the_order_of_the_tasks(together):
    assert list(together) == [*"abcdefg", "source"]


def test_history_ends_at_what_the_network_says(together):
    for task in make_mixed_tasks():
        result = together[task.name]
        assert result.validation_mape.shape == (6,)
        best = result.best_epoch - 1
        assert best == np.argmin(result.validation_mape)
        for rows, history in (
            (task.train, result.train_mape),
            (task.validation, result.validation_mape),
        ):
            assert measure_mape(result.network, rows) == pytest.approx(history[best])


def test_same_seed_same_result_and_another_seed_another(together):
    task = make_mixed_tasks()[1]
    again, other = (train_tasks([task], SETTINGS, seed=s)["b"] for s in (3, 4))
    same = train_tasks([task], SETTINGS, seed=3)["b"]
    assert np.array_equal(again.train_mape, same.train_mape)
    assert not np.allclose(again.train_mape, other.train_mape, rtol=1e-3)


def test_first_step_is_adam_on_the_mean_absolute_percentage_error():
    stack, rows = make_stack(1), make_rows(6, 3)
    before = [p.detach().clone() for p in stack.parameters()]
    predicted = stack(torch.from_numpy(rows.features)[None])[0]
    y = torch.from_numpy(rows.targets)
    gradients = torch.autograd.grad((100 * (predicted - y).abs() / y).mean(), stack.parameters())
    settings = TableTrainSettings(epochs=1, batch_size=8, learning_rate=0.01)
    examples = [(rows.features, rows.targets)]
    fit_stack(stack, examples, examples, settings, [np.random.default_rng(0)])
    for start, gradient, end in zip(before, gradients, stack.parameters(), strict=True):
        # Adam's first step is the learning rate against the sign of the gradient.
        step = -0.01 * gradient / (gradient.abs() + 1e-8)
        torch.testing.assert_close(end.detach(), start + step, rtol=1e-6, atol=1e-9)


def test_linear_law_is_learnt(long_training):
    source = long_training["source"].network
    assert measure_mape(source, make_rows(50, 77)) < 3


def test_adapter_corrects_an_unseen_domain_and_leaves_the_source_as_it_was(long_training):
    source, adapter = (long_training[name].network for name in ("source", "adapter"))
    assert isinstance(adapter, AdapterStack)
    for name, tensor in source.state_dict().items():
        assert torch.equal(adapter.frozen.state_dict()[name], tensor)
    unseen = make_rows(50, 78, shift=8)
    assert np.isfinite(predict_rows(source, unseen.features)).all()
    assert measure_mape(adapter, unseen) < measure_mape(source, unseen)


def test_best_restart_is_kept():
    settings = SETTINGS.model_copy(update={"restarts": 1})
    task = make_mixed_tasks()[0]
    three = train_tasks([task], SETTINGS.model_copy(update={"restarts": 3}), seed=3)["a"]
    one = train_tasks([task], settings, seed=3)["a"]

    def pool(network):
        """Error of training and validation rows at the epoch that was kept."""
        errors = [network.train_mape, network.validation_mape]
        sizes = [len(task.train), len(task.validation)]
        return np.average(errors, axis=0, weights=sizes)[network.best_epoch - 1]

    assert pool(three) <= pool(one)
    if three.restart == 0:
        np.testing.assert_allclose(three.validation_mape, one.validation_mape, rtol=1e-8)


def test_fine_tuning_starts_from_the_parent_and_changes_it(together):
    parent, tuned = together["source"].network, together["g"].network
    assert torch.equal(tuned.input_mean, parent.input_mean)
    assert torch.equal(tuned.output_sd, parent.output_sd)
    change = (tuned.weights[0] - parent.weights[0]).abs()
    # Adam moves a weight by about the learning rate per step: 6 epochs of 2 steps.
    assert 0 < change.max() < 3 * 12 * 0.01


def test_task_without_rows_is_refused():
    task = make_task("a", 6, 2, validation=Rows((), np.empty((0, 3)), np.empty(0)))
    with pytest.raises(InputError, match="a: found no validation rows for the target 'density'"):
        train_tasks([task], SETTINGS, seed=1)


def test_training_that_diverges_says_so():
    wild = TableTrainSettings(epochs=2, learning_rate=1e200, restarts=1)
    with pytest.raises(InputError, match=r"lower train\.learning_rate \(found 1e\+200\)"):
        train_tasks([make_task("a", 6, 2)], wild, seed=1)


def test_unknown_parent_is_refused():
    with pytest.raises(ValueError, match="'nobody', parent of 'a', is no task"):
        train_tasks([make_task("a", 6, 2, kind="adapter", parent="nobody")], SETTINGS, seed=1)


def test_last_batch_counts_as_a_step():
    assert [count_steps(n, 32) for n in (1, 32, 33, 148)] == [1, 1, 2, 5]


def test_program_writes_what_can_be_read_again(tmp_path):
    from batteryscope.tables.network_files import read_descriptions, read_networks, read_plan
    from tests.table_networks import make_manifest, make_settings, split_in_order
    from workflow_scripts import train_stage

    settings = make_settings()
    manifest = make_manifest()
    manifest.to_parquet(tmp_path / "manifest.parquet")
    split_in_order(manifest, settings.split, []).to_parquet(tmp_path / "split.parquet")
    (tmp_path / "settings.json").write_text(settings.model_dump_json())
    files = {"manifest": "manifest.parquet", "split": "split.parquet", "settings": "settings.json"}
    inputs = [text for name, file in files.items() for text in (f"--{name}", str(tmp_path / file))]
    out = tmp_path / "new" / "networks"
    assert train_stage.main(["--by", ROWS.modules.train, *inputs, "--out", str(out)]) == 0
    tasks = 2 * 2 * (1 + 2 * 3)
    cost = json.loads((out / "cost.json").read_text())
    assert (cost["n_tasks"], cost["n_networks"]) == (tasks, 2 * tasks)
    plan, networks = read_plan(read_descriptions(out)), read_networks(out)
    assert set(networks) == set(plan["task"])
    assert len(pd.read_parquet(out / "histories.parquet")) == tasks * 2
    predictions = pd.read_parquet(out / "predictions.parquet")
    line = plan[(plan["arm"] == "adapter") & (plan["domain"] == "nmc")].iloc[-1]
    keys = ["arm", "domain", "target", "repeat"]
    own = predictions[(predictions[keys] == line[keys].to_numpy()).all(axis=1)]
    features = manifest.set_index("sample_id").loc[own["sample_id"], ["gap", "speed", "solids"]]
    expected = predict_rows(networks[line["task"]], features.to_numpy())
    np.testing.assert_allclose(own["y_pred"], expected, rtol=1e-12)
    with pytest.raises(InputError, match="found no network 'nobody'"):
        read_networks(out, ["nobody"])
