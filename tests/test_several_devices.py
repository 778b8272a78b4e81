"""Two processes train what one does with a batch twice as large; so do other ways to train."""

from contextlib import suppress

import numpy as np
import pandas as pd
import psutil
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from batteryscope.config.learning import AugmentSettings
from batteryscope.errors import ConfigError
from tests.texture_fits import Interrupt, make_data, make_settings, run

# Each device draws for itself what is random, so nothing may be.
STILL = AugmentSettings(flips=False, quarter_turns=False)


class Watch(Interrupt):
    """Looks after every epoch where the processes of the devices wait for others."""

    def __init__(self, after):
        super().__init__(after)
        self.places = set()

    def log_epoch(self, epoch, metrics):
        super().log_epoch(epoch, metrics)
        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):  # it has just ended
                found = process.net_connections("tcp")
                self.places |= {c.laddr.ip for c in found if c.status == psutil.CONN_LISTEN}


@pytest.mark.docs  # importing PyTorch in two more processes takes too long for every day
def test_two_devices_learn_what_one_does_with_their_batches_together(tmp_path):
    data = make_data()
    fits = []
    for devices in (1, 2):
        settings = make_settings(
            epochs=2,
            balance={"method": "class_balanced"},
            model={"dropout": 0.0},
            batch_size=8 // devices,
            devices=devices,
            accelerator="cpu",
            optimiser="sgd",
            learning_rate=0.01,
        ).model_copy(update={"augment": STILL})
        listener = Watch(after=99)
        out = tmp_path / f"out{devices}"
        fits.append(run(data, settings, tmp_path / f"state{devices}", out, listener))
        assert listener.epochs == [0, 1]
        assert listener.status == "FINISHED"
        assert listener.places <= {"127.0.0.1", "::1"}  # nobody else can reach them
        assert bool(listener.places) == (devices == 2)
    one, two = (load_file(fit / "weights.safetensors") for fit in fits)
    assert one.keys() == two.keys()
    for key in one:
        torch.testing.assert_close(two[key], one[key], rtol=5e-3, atol=2e-3)
    histories = [pd.read_csv(fit / "history.csv") for fit in fits]
    for column in ("train_loss", "val_loss", "val_accuracy", "learning_rate"):
        np.testing.assert_allclose(histories[1][column], histories[0][column], rtol=5e-3)


@pytest.mark.docs
def test_what_goes_wrong_on_one_device_is_one_sentence(tmp_path):
    model = {"weights": str(tmp_path / "nowhere.safetensors")}
    settings = make_settings(model=model, devices=2, accelerator="cpu")
    with pytest.raises(ConfigError, match=r"nowhere\.safetensors") as error:
        run(make_data(), settings, tmp_path / "state", tmp_path / "out")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("choice", ["resident_tiles", "compile"])
def test_how_it_trains_does_not_change_what_is_learnt(choice, tmp_path, monkeypatch):
    compiled = []

    def compile_quickly(self):
        compiled.append(type(self).__name__)
        compile_module(self, backend="eager")  # without making code

    compile_module = nn.Module.compile
    monkeypatch.setattr(nn.Module, "compile", compile_quickly)
    weights = [
        load_file(
            run(
                make_data(),
                make_settings(epochs=1, accelerator="cpu", **{choice: value}),
                tmp_path / f"state{value}",
                tmp_path / f"out{value}",
            )
            / "weights.safetensors"
        )
        for value in (False, True)
    ]
    assert weights[0].keys() == weights[1].keys()
    for key in weights[0]:
        torch.testing.assert_close(weights[1][key], weights[0][key])
    assert compiled == (["ResNet"] if choice == "compile" else [])


def test_half_precision_learns_the_same_within_its_rounding(tmp_path):
    types, losses, weights = [], [], []
    for precision in ("32", "bf16-mixed"):
        settings = make_settings(epochs=2, accelerator="cpu", precision=precision)
        hook = nn.modules.module.register_module_forward_hook(
            lambda layer, _, out: types.append(out.dtype) if isinstance(layer, nn.Conv2d) else None
        )
        fit = run(make_data(), settings, tmp_path / f"state{precision}", tmp_path / precision)
        hook.remove()
        losses.append(pd.read_csv(fit / "history.csv")[["train_loss", "val_loss"]])
        weights.append(load_file(fit / "weights.safetensors"))
    assert set(types) == {torch.float32, torch.bfloat16}  # which has eight bits of a number
    assert not losses[0].equals(losses[1])
    np.testing.assert_allclose(losses[1], losses[0], rtol=0.05)
    assert {one.dtype for one in weights[1].values()} == {one.dtype for one in weights[0].values()}
