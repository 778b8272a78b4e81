"""Errors of settings name the file that the setting stands in."""

from pathlib import Path

import pytest

from batteryscope.config.source import name_source, read_overlays

BASE = "studies: {a: {seed: 1, train: {epochs: 3}, demo: {train: {epochs: 1}}}}"
OVERLAYS = {
    "one.yaml": {
        "studies": {"a": {"train": {"epochs": -1}}, "b": {"title": "new", "units": ["x", "y"]}}
    },
    "two.yaml": {"studies": {"a": {"demo": {"split": {"folds": 0}}}}},
    "--config": {"scale": "huge"},
}


@pytest.fixture
def params(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text(BASE)
    return path


@pytest.mark.parametrize(
    ("key", "source"),
    [
        ("studies.a.seed", "params.yaml"),
        ("studies.a.train.epochs", "one.yaml"),
        ("studies.a.split.folds", "two.yaml"),  # stands in its demo part
        ("studies.b.dataset", "one.yaml"),  # missing; only this file has the study
        ("studies.a.model", "params.yaml"),  # missing everywhere
        ("studies.b.units.1", "one.yaml"),  # a value in a list
        ("scale", "--config"),
    ],
)
def test_sentence_names_the_file_of_the_key(params, key, source):
    rest = f"{key}: found 'x'; do y."
    assert name_source(f"params.yaml: {rest}", params, OVERLAYS) == f"{source}: {rest}"


def test_other_sentences_stay(params):
    for sentence in ("work: no space left.", "params.yaml: it is empty"):
        assert name_source(sentence, params, OVERLAYS) == sentence


def test_overlays_are_known_by_the_path_from_here(tmp_path, monkeypatch):
    (tmp_path / "configs").mkdir()
    path = tmp_path / "configs" / "mine.yaml"
    path.write_text("scale: paper\n")
    monkeypatch.chdir(tmp_path)
    assert read_overlays([Path.cwd() / "configs" / "mine.yaml"], {}) == {
        "configs/mine.yaml": {"scale": "paper"}
    }
    assert list(read_overlays([], {"scale": "demo"})) == ["--config"]
