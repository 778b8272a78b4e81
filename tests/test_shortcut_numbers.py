"""The shortcut audit of numbers: known answers of its parts, and verdicts on planted shortcuts."""

import numpy as np
import pandas as pd
import pytest

from batteryscope.audit.confounding import measure_shared_variance, share_variance
from batteryscope.audit.cues import describe_file_order
from batteryscope.audit.score import score_numbers
from batteryscope.audit.sessions import take_turns
from batteryscope.audit.verdict import find_trusted
from batteryscope.config.targets import Quantity
from batteryscope.demo.sem_imaging import smooth_noise
from batteryscope.evaluation import shortcut_numbers
from batteryscope.evaluation.sentences import numbers
from batteryscope.manifest.frames import FRAME_DTYPES
from batteryscope.manifest.measure import measure_frame

SPECIMENS, PER_SPECIMEN, FOLDS = 24, 2, 3
SIZE = Quantity(name="size_um", unit="µm", label="particle size")
CURVE = [
    Quantity(name=f"capacity_{rate}c", unit="Ah/kg", label="capacity", axis="C-rate", at=rate)
    for rate in (1, 2)
]


def score(true, pred, mean):
    return score_numbers(*(np.asarray(v, float)[:, None] for v in (true, pred, mean)))


def make_score(skill):
    true = np.tile([-1.0, 1.0], 50)
    return score(true, true * (1 - np.sqrt(1 - skill)), np.zeros(100))


def test_skill_is_measured_against_the_mean_of_the_training():
    perfect = score([1, 2, 3], [1, 2, 3], [2, 2, 2])
    assert (perfect.skill, perfect.error, perfect.error_of_mean) == (1.0, 0.0, pytest.approx(2 / 3))
    assert score([1, 2, 3], [2, 2, 2], [2, 2, 2]).skill == 0.0
    # Squared errors 1 + 1 of 4 + 4.
    half = score([0, 4] * 40, [1, 3] * 40, [2, 2] * 40)
    assert half.skill == pytest.approx(0.75)
    assert (half.skill_low, half.skill_high) == (pytest.approx(0.75), pytest.approx(0.75))
    unsure = score([0, 4, 0, 4] * 5, [2, 2, 0, 4] * 5, [2, 2, 2, 2] * 5)
    assert unsure.skill == pytest.approx(0.5)
    assert 0.2 < unsure.skill_low < 0.4 < 0.6 < unsure.skill_high < 0.8
    assert score([2, 2], [1, 3], [2, 2]) is None  # nothing to be told
    logs = score_numbers(
        *(np.array(v)[:, None] for v in ([1.0, 100], [10.0, 10], [10.0, 10])), True
    )
    assert logs.skill == 0.0


def test_variance_between_sessions():
    values = pd.DataFrame({"v": np.repeat([1.0, 2.0, 5.0], 8)})
    assert share_variance(values, pd.Series(np.repeat(list("xyz"), 8)))[::2] == (1.0, 3)
    share, p_value, _ = share_variance(values, pd.Series(list("xyzw") * 6))
    assert (share, p_value > 0.9) == (0.0, True)
    share, _, groups = share_variance(values, pd.Series(np.arange(24).astype(str)))
    assert (np.isnan(share), groups) == (True, 24)
    # Two of three levels lie in one session: 1 − the variance within it, freed of chance.
    merged = share_variance(values, pd.Series(np.repeat(["x", "x", "z"], 8)))[0]
    within, total = 16 * 0.25, 24 * np.var([1, 2, 5])
    assert merged == pytest.approx(1 - within / total - within / total / 22)
    shares = [share_variance(values, pd.Series(np.random.default_rng(s).integers(0, 4, 24)))[0]
              for s in range(200)]  # fmt: skip
    assert np.mean(shares) < 0.06  # ε² is 0 on average, here cut off below


def test_samples_of_a_specimen_count_once():
    samples = [f"s{i}" for i in range(40)]
    units = pd.Series(np.repeat(["a", "b", "c", "d"], 10), index=samples)
    values = pd.DataFrame({"v": units.map({"a": 1, "b": 1.2, "c": 5, "d": 5.1}).astype(float)})
    sessions = units.map({"a": "x", "b": "x", "c": "y", "d": "y"})
    own = units.rename("own")
    table = measure_shared_variance({"session": sessions, "own": own}, values, units)
    found = table.set_index("factor")
    assert found["share_of_variance"]["session"] > 0.98
    assert 1e-4 < found["p_value"]["session"] < 0.01  # four specimens, not forty pictures
    assert np.isnan(found["share_of_variance"]["own"])


def test_sessions_take_turns_whole():
    sessions = pd.Series(np.repeat(list("abcdefg"), 3), index=[f"s{i}" for i in range(21)])
    parts = take_turns(sessions)
    assert len(parts) == 5
    assert sorted(s for _, test in parts for s in test) == sorted(sessions.index)
    assert all(not set(sessions[train]) & set(sessions[test]) for train, test in parts)


def test_names_that_hold_the_value_do_not_tell_it():
    table = pd.DataFrame({"sample_id": list("abcd"), "class": "all", "size": [30.5, 20, 40, 10]})
    table["path"] = [f"p{v:g}_{i}.png" for i, v in enumerate(table["size"])]
    assert describe_file_order(table, ["size"])["place"].tolist() == [0, 1 / 3, 2 / 3, 1]
    by_value = describe_file_order(table)["place"]
    assert by_value["d"] < by_value["b"] < by_value["a"] < by_value["c"]


def test_grey_levels_are_trusted_where_the_network_does_not_go_by_brightness():
    cues = {"grey_levels": make_score(0.8), "thumbnail": make_score(0.85),
            "metadata": make_score(0.5)}  # fmt: skip
    kept = {name: make_score(0.8) for name in ("intact", "brightness", "standardised")}
    assert find_trusted(cues, kept, False) == ["grey_levels", "thumbnail"]
    assert find_trusted(cues, kept, True) == []  # sessions tell it
    assert find_trusted(cues, {}, False) == []
    assert find_trusted(cues, kept | {"brightness": make_score(0.3)}, False) == []
    assert find_trusted(cues, {}, False, make_score(0.1)) == ["grey_levels", "thumbnail"]
    assert find_trusted(cues, {}, False, make_score(0.6)) == []
    shaded = cues | {"thumbnail": make_score(0.95)}
    assert find_trusted(shaded, kept, False) == ["grey_levels"]


@pytest.fixture(scope="module", params=[1, 2, 3])
def drawn(request):
    """Pictures whose coarseness follows the size, but not brightness, contrast, order, session."""
    rng = np.random.default_rng(request.param)
    sizes = rng.permutation(np.linspace(2, 9, SPECIMENS))
    rows, pictures = [], []
    for number, size in enumerate(sizes):
        for _ in range(PER_SPECIMEN):
            pattern = smooth_noise(rng, (72, 96), float(size)).astype(float)
            pattern = (pattern - pattern.mean()) / pattern.std()
            pattern = pattern * rng.uniform(20, 40) + rng.uniform(90, 150)
            pictures.append(np.clip(pattern, 0, 255).astype(np.uint8))
            rows.append({"specimen_id": f"e{number:02d}", "size_um": size})
    manifest = pd.DataFrame(rows)
    turn = np.arange(len(manifest))
    day = (turn // PER_SPECIMEN) % 4
    manifest = manifest.assign(
        sample_id=[f"{i:016x}" for i in turn], path=[f"IMG_{i}.png" for i in turn], session_id=None,
        acquired_at=pd.Timestamp("2024-01-08") + pd.to_timedelta(1440 * day + turn, unit="min"),
        width_px=96, height_px=72, bit_depth=8, detector="SE", brightness=50.0,
    )  # fmt: skip
    return manifest.assign(**{"class": "all"}), pictures


def audit(manifest, pictures, wanted=(SIZE,), **others):
    rows = [{"sample_id": s, "pixel_digest": "0" * 64, **measure_frame(p)}
            for s, p in zip(manifest["sample_id"], pictures, strict=True)]  # fmt: skip
    frames = pd.DataFrame(rows).astype(FRAME_DTYPES)
    fold = np.arange(len(manifest)) // PER_SPECIMEN % FOLDS
    split = pd.concat(
        manifest[["sample_id"]].assign(repeat=0, fold=k, role=np.where(fold == k, "test", "train"))
        for k in range(FOLDS)
    )
    cues = shortcut_numbers.predict_numbers_from_cues(manifest, split, frames, wanted, seed=1)
    bars = frames.set_index("sample_id")["data_bar_px"]
    return shortcut_numbers.audit_numbers(manifest, cues, wanted, data_bar_px=bars, **others)


@pytest.fixture(autouse=True)
def few_trees(monkeypatch):
    monkeypatch.setattr(shortcut_numbers, "TREES", 10)


def say(audits, sentences=numbers):
    (told,) = sentences.SENTENCES.record(
        [shortcut_numbers.tell_number_verdict(audits, "network", True)]
    )
    return told["text"]


def name_signs(found):
    return {sign.facts.get("cue", sign.kind) for sign in found.signs}


def scale(manifest):
    sizes = manifest["size_um"]
    return ((sizes - sizes.min()) / (sizes.max() - sizes.min())).to_numpy()


def test_generated_pictures_are_quiet(drawn):
    (found,) = audits = audit(*drawn)
    assert found.level == "quiet", say(audits)
    assert "The audit found no shortcut." in say(audits)
    assert found.cues["grey_levels"].n == SPECIMENS
    assert found.left_out  # sizes came on every day
    flat = shortcut_numbers.flatten_number_audits(audits)
    assert flat["shortcuts.verdict"] == 0
    assert flat["shortcuts.grey_levels.n"] == SPECIMENS
    ends = [flat[f"shortcuts.grey_levels.skill_{end}"] for end in ("low", "high")]
    cue = found.cues["grey_levels"]
    assert ends == pytest.approx([cue.skill_low, cue.skill_high], abs=1e-6)


def test_brightness_that_follows_the_quantity_is_named(drawn):
    manifest, pictures = drawn
    bright = [np.clip(p.astype(int) + 100 * s - 60, 0, 255).astype(np.uint8)
              for p, s in zip(pictures, scale(manifest), strict=True)]  # fmt: skip
    settings = manifest.assign(brightness=50.0 + (20 * scale(manifest)).round())
    (found,) = audits = audit(settings, bright)
    assert found.level == "alarm"
    assert {"grey_levels", "metadata"} <= name_signs(found)
    assert "particle size: microscope settings alone tell" in say(audits)
    assert "grey levels alone tell" in say(audits)


def test_data_bar_that_follows_the_quantity_is_named(drawn):
    manifest, pictures = drawn
    bars = [np.vstack([p, np.full((12, 96), round(40 * s), np.uint8)])
            for p, s in zip(pictures, scale(manifest), strict=True)]  # fmt: skip
    for bar in bars:
        bar[-11:-9, 10:60] = 255
    (found,) = audits = audit(manifest, bars)
    assert "data_bar" in name_signs(found), (say(audits), found.cues)
    assert found.level in ("warning", "alarm")


def test_sessions_that_tell_the_quantity_are_named(drawn):
    manifest, pictures = drawn
    bound = manifest.assign(session_id=(5 * scale(manifest)).astype(int).astype(str))
    (found,) = audits = audit(bound, pictures)
    assert found.level == "alarm"
    assert name_signs(found) == {"one_session"}
    assert found.left_out == {}
    assert "% of its variance lies between the" in say(audits)
    tables = shortcut_numbers.tabulate_number_audits(audits)
    assert tables["confounding"]["factor"][0] == "session"
    assert set(tables["confounding_means"]["target"]) == {"size_um"}


def test_a_curve_is_audited_as_one_and_the_network_stands_beside(drawn):
    manifest, pictures = drawn
    curve = manifest.assign(capacity_1c=150.0, capacity_2c=100 + 5 * manifest["size_um"])
    perfect = pd.concat(
        curve[["sample_id", "specimen_id"]].assign(
            target=q.name,
            repeat=0,
            fold=np.arange(len(curve)) // PER_SPECIMEN % FOLDS,
            role="test",
            arm="network",
            y_true=curve[q.name],
            y_pred=curve[q.name],
        )
        for q in CURVE
    )
    changed = pd.concat(perfect.assign(arm=n) for n in ("intact", "brightness", "standardised"))
    (found,) = audits = audit(curve, pictures, CURVE, model=perfect, perturbed=changed)
    assert (found.quantity, found.unit, found.model.skill) == ("capacity", "Ah/kg", 1.0)
    assert found.trusted == [name for name in found.cues if name in ("grey_levels", "thumbnail")]
    assert "(“network” 100 %)" in say(audits)
