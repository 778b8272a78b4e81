"""The training engine: it learns, resumes exactly, and does not train the same thing twice."""

import json
import signal
from itertools import chain

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from batteryscope.errors import ConfigError
from batteryscope.samples.rows import ROWS
from batteryscope.samples.sem import SEM
from batteryscope.training import callbacks
from batteryscope.training.data import EpochBatches, count_grey_levels
from batteryscope.training.module import scale_learning_rate
from batteryscope.training.stage import list_fits, plan_fits, train_stage
from tests.table_networks import make_settings as make_rows
from tests.texture_fits import Interrupt, make_data, make_settings, run
from workflow_scripts.train_stage import main as train_program


@pytest.fixture
def data():
    return make_data()


def test_learns_a_texture_and_writes_the_contract(data, tmp_path):
    fit = run(data, make_settings(epochs=8), tmp_path / "state", tmp_path / "out")
    record = json.loads((fit / "fit.json").read_text())
    history = pd.read_csv(fit / "history.csv")
    assert len(history) == 8
    assert history["val_accuracy"].max() == 1.0
    assert record["best_epoch"] == history["val_accuracy"].idxmax()
    assert record["n_train_tiles"] == 32
    assert not set(record["train_samples"]) & set(record["validation_samples"])
    assert not list((tmp_path / "state").rglob("*.ckpt"))


def test_same_seed_gives_the_same_weights(data, tmp_path):
    fits = [
        run(data, make_settings(), tmp_path / f"state{i}", tmp_path / f"out{i}") for i in range(2)
    ]
    one, two = (load_file(fit / "weights.safetensors") for fit in fits)
    assert all(torch.equal(one[key], two[key]) for key in one)


@pytest.mark.parametrize("share", [float("inf"), 1e-9])
def test_interrupted_fit_resumes_to_the_same_weights(data, tmp_path, share, monkeypatch):
    monkeypatch.setattr(callbacks, "MAX_SAVING_SHARE", share)
    settings = make_settings(epochs=4, schedule="one_cycle")
    whole = run(data, settings, tmp_path / "a", tmp_path / "whole")
    listener = Interrupt(after=3)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        run(data, settings, tmp_path / "b", tmp_path / "resumed", listener)
    listener.after = 99
    resumed = run(data, settings, tmp_path / "b", tmp_path / "resumed", listener)
    # Epoch 2 was interrupted before it was saved; if saving takes long, only epoch 0 was.
    assert listener.epochs == ([0, 1, 2, 2, 3] if share > 1 else [0, 1, 2, 1, 2, 3])
    one, two = (load_file(fit / "weights.safetensors") for fit in (whole, resumed))
    assert all(torch.equal(one[key], two[key]) for key in one)
    assert pd.read_csv(resumed / "history.csv")["epoch"].tolist() == [0, 1, 2, 3]


class Terminate(Interrupt):
    """A listener that has the process told to end, as a batch system does."""

    def log_epoch(self, epoch, metrics):
        self.epochs.append(epoch)
        signal.raise_signal(signal.SIGTERM)


def test_terminated_fit_does_not_end_as_if_all_were_well(data, tmp_path):
    listener = Terminate(after=1)
    with pytest.raises(SystemExit) as stop:
        run(data, make_settings(epochs=4), tmp_path / "state", tmp_path / "out", listener)
    assert stop.value.code == 143
    assert listener.status == "FAILED"
    assert not (tmp_path / "out" / "r0_f0").exists()


def test_finished_fit_is_not_trained_again_unless_something_changed(data, tmp_path):
    listener = Interrupt(after=99)
    state, out = tmp_path / "state", tmp_path / "out"
    run(data, make_settings(), state, out, listener)
    run(data, make_settings(), state, tmp_path / "again", listener)
    assert len(listener.epochs) == 3
    assert (tmp_path / "again" / "r0_f0" / "weights.safetensors").is_file()
    run(data, make_settings(), state, out, listener, code="edited")
    assert len(listener.epochs) == 6
    tiles, *tables = data
    changed = tiles.copy()
    changed[0] = 255 - changed[0]
    run((changed, *tables), make_settings(), state, out, listener, code="edited")
    assert len(listener.epochs) == 9


def test_second_stage_starts_from_the_first(data, tmp_path):
    parent = run(data, make_settings(), tmp_path / "a", tmp_path / "parent")
    tiles, index, manifest, split, balance = data
    settings = make_settings(epochs=1, learning_rate=1e-12)
    classes, tasks = plan_fits(
        settings, manifest, split, balance, index, tiles, [(0, 0)], "c", {"r0_f0": parent}
    )
    train_stage(settings, classes, tasks, tiles, tmp_path / "b", tmp_path / "child")
    before = load_file(parent / "weights.safetensors")
    after = load_file(tmp_path / "child" / "r0_f0" / "weights.safetensors")
    key = "backbone.fc.weight"
    assert torch.allclose(before[key], after[key], atol=1e-6)


def test_epoch_order_depends_on_seed_and_epoch_alone():
    batches = EpochBatches(20, 6, seed=3)
    first = list(batches)
    batches.set_epoch(1)
    second = list(batches)
    batches.set_epoch(0)
    assert list(batches) == first != second
    assert len(first) == len(batches) == 3  # a last batch of two is left out


def test_validation_sees_everything_once():
    batches = EpochBatches(20, 6, seed=3, shuffle=False)
    assert sorted(chain.from_iterable(batches)) == list(range(20))
    assert len(list(batches)) == len(batches) == 4


def test_ranks_share_an_epoch_without_overlap():
    ranks = [EpochBatches(21, 4, seed=1, rank=r, world_size=2) for r in range(2)]
    one, two = (set(chain.from_iterable(rank)) for rank in ranks)
    assert not one & two
    assert len(ranks[0]) == len(ranks[1])


def test_fits_are_dealt_out_to_parts():
    split = pd.DataFrame({"repeat": [0, 0, 0, 1], "fold": [0, 1, 2, 0]})
    assert list_fits(split, 0, 2) == [(0, 0), (0, 2)]
    assert list_fits(split, 1, 2) == [(0, 1), (1, 0)]


def test_a_part_without_fits_leaves_an_empty_folder(data, tmp_path):
    tiles, index, manifest, split, balance = data
    np.save(tmp_path / "tiles.npy", tiles)
    tables = {"index": index, "manifest": manifest, "split": split, "balance": balance}
    for name, table in tables.items():
        table.to_parquet(tmp_path / f"{name}.parquet", index=False)
    settings = make_settings(parallel_jobs=2)  # and a single fit, which is that of part 0
    arguments = [
        "--by",
        SEM.modules.train,
        "--settings",
        settings.model_dump_json(),
        "--part",
        "1",
        "--tracking-uri",
        "",
    ]
    for name in ("manifest", "split", "balance"):
        arguments += [f"--{name}", str(tmp_path / f"{name}.parquet")]
    arguments += ["--tiles", str(tmp_path), "--state", str(tmp_path / "state")]
    assert train_program([*arguments, "--out", str(tmp_path / "part1")]) == 0
    assert list((tmp_path / "part1").iterdir()) == []


def test_what_is_learnt_from_decides_which_files_training_needs(tmp_path, capsys):
    common = [f"--{name}={tmp_path}" for name in ("manifest", "split", "out")]
    settings = make_settings().model_dump_json()
    assert train_program(["--by", SEM.modules.train, "--settings", settings, *common]) == 1
    assert (
        "--balance, --tiles, --state: stages of pictures need all three" in capsys.readouterr().err
    )
    rows = ["--by", ROWS.modules.train, "--settings", make_rows().model_dump_json()]
    assert train_program([*rows, *common, f"--tiles={tmp_path}"]) == 1
    assert "--parent are for pictures; leave them out" in capsys.readouterr().err


def test_stage_selects_validation_samples_as_the_balance_does(data, tmp_path):
    tiles, index, manifest, split, balance = data
    manifest["composition"] = np.where(manifest["class"] == "dark", "333", "811")
    settings = make_settings().model_copy(update={"where": {"composition": 333}})
    _, (task,) = plan_fits(settings, manifest, split, balance, index, tiles, [(0, 0)], "c")
    assert set(task.validation.sample_ids) == {"s04", "s05"}
    settings = settings.model_copy(update={"where": {"compositon": "333"}})
    with pytest.raises(ConfigError, match=r"stage 'fit': where.compositon.*'composition'"):
        plan_fits(settings, manifest, split, balance, index, tiles, [(0, 0)], "c")


def test_learning_rate_schedules():
    assert scale_learning_rate(50, 100, 0, "constant") == 1
    assert scale_learning_rate(50, 100, 0, "cosine") == pytest.approx(0.5)
    assert scale_learning_rate(4, 100, 9, "constant") == pytest.approx(0.5)
    assert scale_learning_rate(20, 100, 0, "one_cycle") == pytest.approx(1)
    assert scale_learning_rate(0, 100, 0, "one_cycle") == pytest.approx(0.04)
    assert scale_learning_rate(100, 100, 0, "one_cycle") == pytest.approx(0)


def test_histogram_counts_each_tile_once():
    tiles = np.array([[[0, 0], [1, 255]], [[7, 7], [7, 7]]], np.uint8)
    histogram = count_grey_levels(tiles, np.array([0, 0]))
    assert histogram[0] == 2
    assert histogram[1] == histogram[255] == 1
    assert histogram[7] == 0
