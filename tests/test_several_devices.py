"""Two processes train what one does with a batch twice as large; so do other ways to train."""

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from batteryscope.config.learning import AugmentSettings
from batteryscope.errors import ConfigError
from tests.texture_fits import Interrupt, make_data, make_settings, run

# Each device draws for itself what is random, so nothing may be.
STILL = AugmentSettings(flips=False, quarter_turns=False)


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
        listener = Interrupt(after=99)
        out = tmp_path / f"out{devices}"
        fits.append(run(data, settings, tmp_path / f"state{devices}", out, listener))
        assert listener.epochs == [0, 1]
        assert listener.status == "FINISHED"
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
