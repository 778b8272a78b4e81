"""A finished or interrupted fit that is damaged: told of in one line, and trained again."""

import json
import logging
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from batteryscope.errors import InputError
from batteryscope.provenance import digest_file, digest_json
from batteryscope.training.fit import is_finished, write_fit
from batteryscope.training.fit_integrity import FIT_FILES, WEIGHTS
from tests.texture_fits import Interrupt, make_data, make_settings, run


@pytest.fixture(scope="module")
def data():
    return make_data()


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    """State of a fit of one epoch, and its weights."""
    root = tmp_path_factory.mktemp("finished")
    run(data, make_settings(epochs=1), root / "state", root / "out")
    return root / "state" / "r0_f0"


def copy_state(finished, target):
    target.mkdir(parents=True)
    for name in (*FIT_FILES, "identity.txt"):
        (target / name).write_bytes((finished / name).read_bytes())
    return target


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path):
    content = bytearray(path.read_bytes())
    content[-5] ^= 0x20
    path.write_bytes(content)


def fill(path):
    path.write_bytes(bytes(path.stat().st_size))


@pytest.mark.parametrize("harm", [cut, flip, fill, lambda path: path.unlink()])
@pytest.mark.parametrize("name", FIT_FILES)
def test_a_damaged_fit_is_not_finished(finished, tmp_path, caplog, name, harm) -> None:
    identity = json.loads((finished / "fit.json").read_text())["identity"]
    folder = copy_state(finished, tmp_path / "r0_f0")
    assert is_finished(folder, identity)
    harm(folder / name)
    assert not is_finished(folder, identity)
    told = [record.getMessage() for record in caplog.records]
    if name != "fit.json":
        assert len(told) == 1
        assert f"this finished fit is damaged ({name}" in told[0]


def test_a_damaged_fit_is_trained_again(data, finished, tmp_path) -> None:
    folder = copy_state(finished, tmp_path / "state" / "r0_f0")
    flip(folder / WEIGHTS)
    listener = Interrupt(after=99)
    run(data, make_settings(epochs=1), tmp_path / "state", tmp_path / "out", listener)
    assert listener.epochs == [0]
    whole, again = load_file(finished / WEIGHTS), load_file(tmp_path / "out" / "r0_f0" / WEIGHTS)
    assert all(torch.equal(whole[key], again[key]) for key in whole)


def test_a_sound_fit_is_not_trained_again(data, finished, tmp_path):
    copy_state(finished, tmp_path / "state" / "r0_f0")
    listener = Interrupt(after=99)
    run(data, make_settings(epochs=1), tmp_path / "state", tmp_path / "out", listener)
    assert listener.epochs == []


def test_weights_that_are_no_numbers_are_no_result(finished, tmp_path, caplog):
    """Even where all digests were renewed."""
    folder = copy_state(finished, tmp_path / "state" / "r0_f0")
    weights = load_file(folder / WEIGHTS)
    broken = {k: v * float("nan") if v.is_floating_point() else v for k, v in weights.items()}
    save_file(broken, folder / WEIGHTS)
    record = json.loads((folder / "fit.json").read_text())
    digests = record.pop("digests") | {WEIGHTS: digest_file(folder / WEIGHTS)}
    digests["fit.json"] = digest_json(record)
    (folder / "fit.json").write_text(json.dumps(record | {"digests": digests}))
    assert not is_finished(folder, record["identity"])
    assert "weights.safetensors cannot be used" in caplog.text


def test_a_training_that_diverged_says_so(tmp_path):
    state = {"layer.weight": torch.tensor([1.0, float("nan")])}
    with pytest.raises(InputError, match=r"no numbers \(layer.weight\); lower train.learning_rate"):
        write_fit(None, tmp_path, None, state, None, 0, 1, 1.0)
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def interrupted(data, tmp_path_factory):
    """State of a fit of two epochs that was killed in the second, and what it would have become."""
    root = tmp_path_factory.mktemp("interrupted")
    settings = make_settings(epochs=2)
    whole = run(data, settings, root / "whole_state", root / "whole")
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        run(data, settings, root / "state", root / "out", Interrupt(after=2))
    return root / "state" / "r0_f0", load_file(whole / WEIGHTS)


@pytest.mark.parametrize(
    ("name", "harm", "says"),
    [
        ("last.ckpt", cut, True),
        ("best.ckpt", fill, True),
        ("best.ckpt", lambda path: path.unlink(), True),
        ("identity.txt", fill, False),
    ],
)
def test_a_damaged_state_to_resume_from_is_dropped(
    data, interrupted, tmp_path, caplog, name, harm, says
):
    state, whole = interrupted
    shutil.copytree(state, tmp_path / "state" / "r0_f0")
    harm(tmp_path / "state" / "r0_f0" / name)
    listener = Interrupt(after=99)
    with caplog.at_level(logging.WARNING, logger="batteryscope"):
        fit = run(data, make_settings(epochs=2), tmp_path / "state", tmp_path / "out", listener)
    assert listener.epochs == [0, 1]
    again = load_file(fit / WEIGHTS)
    assert all(torch.equal(whole[key], again[key]) for key in whole)
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == says
    assert not says or told[0].endswith("is damaged; it starts anew.")
