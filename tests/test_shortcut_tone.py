"""The audit of numbers where a tone curve or noise follows the quantity, or nothing can be told."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kurtosis, skew

from batteryscope.audit.perturb import PERTURBATIONS, UsualLevels
from batteryscope.audit.verdict import find_trusted, goes_by_grey_levels, reaches
from batteryscope.demo.sem_imaging import smooth_noise
from batteryscope.evaluation import shortcut_numbers
from tests.test_shortcut_numbers import (
    FOLDS,
    PER_SPECIMEN,
    SPECIMENS,
    audit,
    make_score,
    name_signs,
    say,
    scale,
    score,
)


@pytest.fixture(autouse=True)
def few_trees(monkeypatch):
    monkeypatch.setattr(shortcut_numbers, "TREES", 10)


def bend(phases, place, rng):
    """Gamma of 0.4 to 2.5."""
    return phases ** (2.5 ** (2 * place - 1))


def add_noise(phases, place, rng):
    """Noise of a twentieth to half of the range."""
    return phases + rng.normal(0, 0.05 + 0.45 * place, phases.shape)


def make_study(seed, change):
    """Pictures alike but for the change, whose mean and spread the microscope sets by lot."""
    rng = np.random.default_rng(seed)
    sizes = np.repeat(rng.permutation(np.linspace(2, 9, SPECIMENS)), PER_SPECIMEN)
    turn = np.arange(len(sizes))
    manifest = pd.DataFrame(
        {"specimen_id": [f"e{i:02d}" for i in turn // PER_SPECIMEN], "size_um": sizes,
         "sample_id": [f"{i:016x}" for i in turn], "path": [f"{i}.png" for i in turn],
         "width_px": 96, "height_px": 72, "bit_depth": 8, "class": "all", "session_id": None,
         "acquired_at": pd.NaT}
    )  # fmt: skip
    pictures = []
    for place in scale(manifest):
        grey = smooth_noise(rng, (72, 96), 3.0).astype(float)
        ranks = grey.ravel().argsort().argsort().reshape(grey.shape) / grey.size
        shown = change(0.2 + 0.6 * (ranks > 0.5) + 0.2 * (ranks - 0.5), place, rng)
        shown = (shown - shown.mean()) / shown.std() * rng.uniform(25, 40) + rng.uniform(110, 140)
        pictures.append(np.clip(shown, 0, 255).astype(np.uint8))
    return manifest, pictures


def ask_network(manifest, pictures):
    """Answer about changed tiles as a network that goes by the shape of the histogram alone."""
    tiles, rng = np.stack(pictures), np.random.default_rng(0)
    usual = UsualLevels(float(tiles.mean()), float(np.mean([t.std() for t in tiles])))
    fold = np.arange(len(tiles)) // PER_SPECIMEN % FOLDS
    true = manifest["size_um"].to_numpy()

    def look(stack):
        flat = stack.reshape(len(stack), -1).astype(float)
        shape = skew(flat, axis=1), kurtosis(flat, axis=1)
        return np.column_stack([np.ones(len(flat)), *shape, shape[0] ** 2, shape[1] ** 2])

    seen, tables = look(tiles), []
    fits = [np.linalg.lstsq(seen[fold != k], true[fold != k], rcond=None)[0] for k in range(FOLDS)]
    for name, change in PERTURBATIONS.items():
        told = (look(change(tiles, usual, rng)) * np.array(fits)[fold]).sum(axis=1)
        rows = manifest[["sample_id", "specimen_id"]].assign(arm=name, target="size_um", repeat=0)
        tables.append(rows.assign(fold=fold, role="test", y_true=true, y_pred=told))
    return pd.concat(tables)


@pytest.mark.parametrize(("seed", "change"), [(1, bend), (2, add_noise), (3, bend), (4, add_noise)])
def test_a_tone_curve_or_noise_that_follows_the_quantity_is_named(seed, change):
    manifest, pictures = make_study(seed, change)
    (found,) = audits = audit(manifest, pictures, perturbed=ask_network(manifest, pictures))
    # Mean and spread alone do not show it, so that they would excuse grey levels.
    assert found.brightness.skill < found.cues["grey_levels"].skill / 2
    assert found.level in ("warning", "alarm"), say(audits)
    assert "grey_levels" not in found.trusted
    assert {"grey_levels", "no_shapes"} <= name_signs(found)


def test_a_network_that_goes_by_shapes_excuses_grey_levels():
    cues = {"grey_levels": make_score(0.4), "thumbnail": make_score(0.3)}
    # As the network of the demo's capacities, which sees the coating.
    kept = {"intact": 0.8, "brightness": 0.3, "standardised": 0.7, "shuffled": -2.0}
    asked = {name: make_score(skill) for name, skill in kept.items()}
    assert not goes_by_grey_levels(asked)
    assert find_trusted(cues, asked, False, make_score(0.0)) == ["grey_levels", "thumbnail"]
    for name, skill in (("brightness", -0.1), ("standardised", 0.3), ("shuffled", 0.7)):
        other = asked | {name: make_score(skill)}
        assert goes_by_grey_levels(other)
        assert find_trusted(cues, other, False, make_score(0.0)) == []
    assert not goes_by_grey_levels(asked | {"intact": make_score(0.1)})  # it knows nothing


def test_specimens_with_sessions_of_their_own_are_said_and_excuse_nothing():
    manifest, pictures = make_study(1, bend)
    own = manifest.assign(session_id=manifest["specimen_id"])
    (found,) = audits = audit(own, pictures)
    assert found.has_own_sessions
    assert found.trusted == []
    said = (
        "Every specimen was taken in sessions (or on days) of its own, so nothing says whether "
        "particle size changed with the specimen or with the session."
    )
    assert said in say(audits)
    crossed = manifest.assign(session_id=np.where(np.arange(len(own)) < len(own) / 2, "x", "y"))
    (found,) = audits = audit(crossed, pictures)
    assert not found.has_own_sessions
    assert said not in say(audits)


def test_a_handful_of_units_is_asked_for():
    many, one = score([1, 2, 3] * 2, [1, 2, 3] * 2, [2] * 6), score([1], [1], [2])
    assert (one.skill, one.skill_low) == (1.0, 1.0)
    assert (reaches(many, 0.5), reaches(one, 0.5)) == (True, False)
