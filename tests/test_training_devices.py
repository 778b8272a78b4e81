"""Devices are looked for before the long work starts."""

import pytest

from batteryscope.config.learning import TrainSettings
from batteryscope.errors import ConfigError
from batteryscope.training.devices import check_devices


@pytest.mark.parametrize(
    ("settings", "n_gpus", "words"),
    [
        ({"accelerator": "gpu"}, 0, "train.accelerator: 'gpu' is asked for"),
        ({"devices": 2}, 0, "train.devices: 2 devices need as many GPUs"),
        ({"devices": 2, "accelerator": "cpu"}, 4, "train.devices: 2 devices need as many GPUs"),
        ({"devices": 3}, 2, "train.devices: found 2 GPUs for 3"),
        ({"precision": "16-mixed"}, 0, "train.precision: '16-mixed' needs a GPU"),
    ],
)
def test_what_is_not_there_is_one_sentence(settings, n_gpus, words):
    with pytest.raises(ConfigError, match=words) as error:
        check_devices(TrainSettings(**settings), n_gpus)
    assert "\n" not in str(error.value)


def test_code_is_made_only_where_a_compiler_is(monkeypatch):
    monkeypatch.setenv("CXX", "no_such_compiler")
    with pytest.raises(ConfigError, match=r"train.compile: a C\+\+ compiler .* is not installed"):
        check_devices(TrainSettings(compile=True, accelerator="cpu"), 0)


def test_what_is_there_passes():
    check_devices(TrainSettings(), 0)
    check_devices(TrainSettings(precision="bf16-mixed", accelerator="cpu"), 0)
    check_devices(TrainSettings(precision="16-mixed", accelerator="gpu", devices=2), 2)
