"""Fits share a GPU as far as its memory goes; the GPU here is a stand-in."""

import json
import os
import signal
from functools import partial
from types import SimpleNamespace

import pandas as pd
import psutil
import pytest
import torch
from safetensors.torch import load_file

from batteryscope.config.learning import TrainSettings
from batteryscope.errors import InputError
from batteryscope.evaluation.device_memory import count_fits, list_devices, read_peak
from batteryscope.evaluation.fits_side_by_side import (
    PEAK_FILE,
    count_processes,
    find_places,
    train_in_processes,
    train_on_devices,
)
from batteryscope.training.stage import plan_fits, train_stage
from tests.texture_fits import make_data, make_settings

GB = 10**9


class FakeDevice:
    """A GPU in which each fit holds so much while it trains."""

    def __init__(self, total=80 * GB, free=None, peaks=(), label="0", model="GPU"):
        self.label, self.model, self.total_bytes = label, model, total
        self.free = total if free is None else free
        self.peaks = list(peaks)
        self.measured = 0

    def count_free_bytes(self):
        return self.free

    def forget_peak(self):
        self.measured = 0

    def measure_peak_bytes(self):
        return self.peaks.pop(0)


@pytest.mark.parametrize(
    ("peak", "free", "expected"),
    [
        (2 * GB, 80 * GB, 25),  # (80 - 4) / (2.3 + 0.734)
        (2 * GB, 40 * GB, 11),
        (50 * GB, 80 * GB, 1),
        (79 * GB, 80 * GB, 0),
        (2 * GB, 3 * GB, 0),
        (None, 80 * GB, 0),
        (0, 80 * GB, 0),
        (-1, 80 * GB, 0),
        (81 * GB, 80 * GB, 0),
    ],
)
def test_so_many_fits_have_room(peak, free, expected):
    assert count_fits(peak, free, 80 * GB) == expected


def test_never_more_than_fit():
    for peak in range(GB // 8, 80 * GB, GB // 3):
        for free in (0, GB, 9 * GB, 80 * GB):
            assert count_fits(peak, free, 80 * GB) * peak <= free


def test_gpus_are_filled_in_turns():
    devices = [FakeDevice(label="2", free=12 * GB), FakeDevice(label="5"), FakeDevice(free=0)]
    assert find_places(3 * GB, devices, 9) == ["2", "5", "5", "5", "5", "5", "5", "5", "5"]
    devices[0].free = 80 * GB
    assert find_places(3 * GB, devices, 3) == ["2", "5", "2"]
    assert find_places(None, devices, 9) == []


def train_with(devices, tasks, state, without_memory=(), most=99):
    """What trained alone in this process, and what side by side in which places."""
    alone, beside = [], []

    def start(train, tasks, places):
        beside.append((list(tasks), list(places)))
        return [task for task in tasks if task in without_memory]

    train_on_devices(alone.append, tasks, devices, state, most, start)
    return alone, beside


def test_the_first_fit_is_measured_and_the_others_share(tmp_path):
    devices = [FakeDevice(peaks=[20 * GB])]
    alone, beside = train_with(devices, list("abcdef"), tmp_path)
    assert alone == [["a"]]
    assert beside == [(list("bcdef"), ["0"] * 3)]
    assert json.loads((tmp_path / PEAK_FILE).read_text()) == {"GPU": 20 * GB}
    # The next job of the stage knows it.
    alone, beside = train_with(devices, list("gh"), tmp_path)
    assert (alone, beside) == ([], [(list("gh"), ["0"] * 2)])


def test_what_cannot_have_been_measured_is_measured_at_the_next_fit(tmp_path):
    devices = [FakeDevice(peaks=[0, 81 * GB, 5 * GB])]
    alone, beside = train_with(devices, list("abcde"), tmp_path)
    assert alone == [["a"], ["b"], ["c"]]
    assert beside == [(list("de"), ["0"] * 2)]


@pytest.mark.parametrize("noted", ["", "[1]", '{"GPU": "many"}', '{"GPU": 0}', '{"other": 5}'])
def test_a_note_that_says_nothing_is_measured_anew(tmp_path, noted):
    (tmp_path / PEAK_FILE).write_text(noted)
    device = FakeDevice(peaks=[GB])
    assert read_peak(tmp_path / PEAK_FILE, device) is None
    assert train_with([device], ["a"], tmp_path) == ([["a"]], [])
    assert read_peak(tmp_path / PEAK_FILE, device) == GB


def test_without_room_or_gpu_one_follows_the_other(tmp_path):
    full = FakeDevice(free=10 * GB, peaks=[9 * GB])
    assert train_with([full], list("abc"), tmp_path) == ([["a"], ["b", "c"]], [])
    assert train_with([], list("abc"), tmp_path) == ([list("abc")], [])


def test_every_process_has_a_core_and_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 6)
    for available, expected in ((64, 6), (11, 4), (1, 1)):
        memory = SimpleNamespace(available=available * 2**30)
        monkeypatch.setattr(psutil, "virtual_memory", lambda memory=memory: memory)
        assert count_processes() == expected
    devices = [FakeDevice(peaks=[GB])]
    assert train_with(devices, list("abcd"), tmp_path, most=2)[1] == [(list("bcd"), ["0"] * 2)]


def test_fits_that_found_no_room_train_alone(tmp_path, caplog):
    devices = [FakeDevice(peaks=[GB])]
    alone, beside = train_with(devices, list("abcd"), tmp_path, without_memory=["c"])
    assert alone == [["a"], ["c"]]
    assert beside == [(list("bcd"), ["0"] * 3)]
    assert "1 fit side by side" in caplog.text


def test_which_settings_may_share(monkeypatch):
    found = [("A", 80), ("B", 80), ("A", 80)]
    properties = [SimpleNamespace(name=name, total_memory=total) for name, total in found]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(found))
    monkeypatch.setattr(torch.cuda, "get_device_properties", properties.__getitem__)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4, 5,GPU-8a")
    assert [device.label for device in list_devices(TrainSettings())] == ["4", "GPU-8a"]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert [device.label for device in list_devices(TrainSettings())] == ["0", "2"]
    for alone in ({"accelerator": "cpu"}, {"devices": 2}, {"resident_tiles": True}):
        assert list_devices(TrainSettings(**alone)) == []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert list_devices(TrainSettings()) == []


def train_folds(settings, classes, tiles, state, out, tasks):
    train_stage(settings, classes, tasks, tiles, state, out)


@pytest.mark.docs  # importing PyTorch in two more processes takes too long for every day
def test_processes_train_what_one_does(tmp_path, caplog):
    tiles, index, manifest, *tables = make_data()
    split, balance = (pd.concat([t.assign(fold=fold) for fold in range(3)]) for t in tables)
    settings = make_settings(epochs=1, accelerator="cpu")
    pairs = [(0, fold) for fold in range(3)]
    classes, tasks = plan_fits(settings, manifest, split, balance, index, tiles, pairs, "c")
    caplog.set_level("INFO", "batteryscope")
    for name, devices in (("one", []), ("two", [FakeDevice(peaks=[30 * GB], label="")])):
        folders = (tmp_path / name / "state", tmp_path / name / "out")
        fit = partial(train_folds, settings, classes, tiles, *folders)
        caplog.clear()
        train_on_devices(fit, tasks, devices, folders[0], 2)
    assert "2 fits are left, 2 of them at a time" in caplog.text
    assert "(r0_f2): epoch 1 of 1" in caplog.text  # told by another process
    for task in tasks:
        one, two = (
            load_file(tmp_path / name / "out" / task.name / "weights.safetensors")
            for name in ("one", "two")
        )
        assert one.keys() == two.keys()
        for key in one:
            torch.testing.assert_close(two[key], one[key])


def lack_memory(tasks):
    if tasks == ["b"]:
        raise torch.OutOfMemoryError("CUDA out of memory.")
    if tasks == ["killed"]:
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.docs
def test_a_process_without_memory_costs_its_fit_alone(tmp_path):
    assert train_in_processes(lack_memory, list("abc"), ["", ""]) == ["b"]
    with pytest.raises(InputError, match="was killed, perhaps for want of memory"):
        train_in_processes(lack_memory, ["a", "killed", "c"], ["", ""])
