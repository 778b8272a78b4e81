"""The shortcut audit: known answers of its parts, and verdicts on planted shortcuts."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from batteryscope.audit.confounding import list_factors, measure_confounding
from batteryscope.audit.cues import (
    describe_file_order,
    describe_thumbnails,
    list_cues,
    strip_classes,
)
from batteryscope.audit.perturb import PERTURBATIONS, UsualLevels
from batteryscope.audit.score import score_answers
from batteryscope.audit.sessions import leave_sessions_out, relate_sessions
from batteryscope.audit.verdict import judge_sessions
from batteryscope.demo.sem_frame import render_sem_frame
from batteryscope.evaluation import shortcut_cues, shortcut_study
from batteryscope.evaluation.baselines import predict_baseline
from batteryscope.evaluation.sentences.classes import SENTENCES
from batteryscope.manifest.frames import FRAME_DTYPES
from batteryscope.manifest.measure import measure_frame
from batteryscope.seeds import derive_rng
from tests.test_shortcut_verdict import describe, make_score

USUAL = UsualLevels(mean=120.0, sd=40.0)


PER_CLASS, PER_DAY, FOLDS, TREES = 12, 6, 2, 10


STATES = ("pristine", "100cycles")


def perturb(name, tiles):
    return PERTURBATIONS[name](tiles, USUAL, np.random.default_rng(3))


@pytest.mark.parametrize("shape", [(5, 64, 64), (3, 2, 32, 70)])
def test_changed_tiles_keep_what_they_should(shape):
    tiles = np.random.default_rng(1).integers(60, 140, shape).astype(np.uint8)
    before = tiles.copy()
    shuffled = perturb("shuffled", tiles)
    assert (shuffled != tiles).mean() > 0.5
    np.testing.assert_array_equal(np.sort(shuffled.reshape(len(tiles), -1)),
                                  np.sort(tiles.reshape(len(tiles), -1)))  # fmt: skip
    standard = perturb("standardised", tiles).astype(float)
    axes = tuple(range(1, tiles.ndim))
    np.testing.assert_allclose(standard.mean(axis=axes), USUAL.mean, atol=0.5)
    np.testing.assert_allclose(standard.std(axis=axes), USUAL.sd, atol=0.5)
    other = perturb("brightness", tiles)
    for own, changed in zip(tiles, other, strict=True):  # the same picture, darker or brighter
        assert np.corrcoef(own.ravel(), changed.ravel())[0, 1] > 0.98
    assert np.ptp(other.mean(axis=axes)) > 10
    np.testing.assert_array_equal(perturb("intact", tiles), tiles)
    np.testing.assert_array_equal(tiles, before)


def test_channels_are_shuffled_alike_and_blocks_stay_whole():
    numbers = np.arange(64, dtype=np.uint8).reshape(8, 8).repeat(4, 0).repeat(4, 1)
    changed = perturb("shuffled", np.stack([numbers, numbers])[None])[0]
    np.testing.assert_array_equal(changed[0], changed[1])
    blocks = changed[0].reshape(8, 4, 8, 4).transpose(0, 2, 1, 3).reshape(64, 16)
    assert (blocks == blocks[:, :1]).all()
    assert sorted(blocks[:, 0]) == list(range(64))


def test_edges_forget_brightness_and_contrast():
    step = np.zeros((1, 32, 32), np.uint8)
    step[..., 16:] = 50
    edges, brighter = perturb("edges", step), perturb("edges", 3 * step + 70)
    np.testing.assert_array_equal(edges, brighter)
    assert set(np.flatnonzero(edges[0, 5] > USUAL.mean + USUAL.sd)) == {15, 16}


def test_skill_does_not_depend_on_the_sizes_of_classes():
    perfect = score_answers(["a", "b", "c"] * 20, ["a", "b", "c"] * 20)
    assert (perfect.accuracy, perfect.skill, perfect.chance) == (1.0, 1.0, pytest.approx(1 / 3))
    assert 0.8 < perfect.skill_low < 1.0
    majority = score_answers(["a"] * 90 + ["b"] * 10, ["a"] * 100)
    assert (majority.accuracy, majority.balanced, majority.skill) == (0.9, 0.5, 0.0)
    half = score_answers(["a"] * 100 + ["b"] * 100, ["a"] * 150 + ["b"] * 50)
    assert half.skill == pytest.approx(0.5)
    # Right shares 1 and 0.5, with one right and one wrong more: closed formula.
    sd = np.sqrt((101 / 102 * 1 / 102 + 51 / 102 * 51 / 102) / 100) / 2
    assert half.skill_low == pytest.approx(2 * (0.75 - 1.959964 * sd) - 1)


def test_what_a_circumstance_tells_of_the_label():
    rng = np.random.default_rng(0)
    labels = pd.Series(np.repeat(["a", "b", "c"], 100), index=[f"s{i}" for i in range(300)])
    factors = {
        "same": labels.map({"a": "x", "b": "y", "c": "z"}),
        "coarse": labels.map({"a": "x", "b": "y", "c": "y"}),
        "chance": pd.Series(rng.integers(0, 20, 300).astype(str), index=labels.index),
        "own": pd.Series(labels.index, index=labels.index),
    }
    found = measure_confounding(factors, labels).set_index("factor")
    assert found["share_of_label"]["same"] == pytest.approx(1.0)
    assert found["mutual_information_nats"]["same"] == pytest.approx(np.log(3))
    # One of three classes is told: ln 3 − 2/3 ln 2.
    told = np.log(3) - 2 / 3 * np.log(2)
    assert found["mutual_information_nats"]["coarse"] == pytest.approx(told)
    assert found["share_of_label"]["coarse"] == pytest.approx(told / np.log(3), abs=0.01)
    assert found["mutual_information_nats"]["chance"] > 0.03  # uncorrected, it seems to tell
    assert found["share_of_label"]["chance"] < 0.03
    assert np.isnan(found["share_of_label"]["own"])
    assert found.index[0] == "same"


def times(minutes):
    return pd.Timestamp("2024-01-08 09:00") + pd.to_timedelta(minutes, unit="min")


def test_how_classes_and_sessions_hang_together():
    classes = np.repeat(["a", "b", "c"], 8)
    places = np.arange(24)
    known = {
        "one": {"session_id": np.repeat(["x", "y", "z"], 8)},
        "partly": {"session_id": ["x"] * 8 + ["y", "z"] * 8},
        "nested": {"session_id": (places // 4).astype(str)},
        "shared": {"session_id": ["x"] * 16 + ["x", "y"] * 4},
        "crossed": {"session_id": (places % 2).astype(str)},
        "unknown": {},
    }
    found = {name: relate_sessions(describe(classes, **columns)) for name, columns in known.items()}
    assert {name: own.relation for name, own in found.items()} == {name: name for name in known}
    assert found["partly"].bound_classes == ("a",)
    assert [n for n, own in found.items() if own.can_leave_out] == ["nested", "crossed"]
    # Frames of one day, class after class: the block of time is the session.
    in_turn = relate_sessions(describe(classes, acquired_at=times(places)))
    assert (in_turn.relation, in_turn.by, in_turn.n_blocks) == ("one", "day", 3)
    signs = judge_sessions(in_turn, {}, {})
    told = shortcut_study.ShortcutAudit(
        "alarm", signs, {}, {}, {}, None, in_turn, pd.DataFrame(), pd.DataFrame()
    )
    assert "each of the 3 classes was taken in one block of time, on 1 day in all" in say(told)
    mixed = relate_sessions(describe(classes, acquired_at=times(places % 8 * 3 + places // 8)))
    assert (mixed.relation, mixed.n_blocks) == ("shared", 24)
    days = times(places % 4 * 1440 + places // 4)
    assert relate_sessions(describe(classes, acquired_at=days)).relation == "crossed"


def test_left_out_sessions_are_never_trained_on():
    sessions = pd.Series(np.repeat(list("abcdefg"), 3), index=[f"s{i}" for i in range(21)])
    classes = pd.Series(list("xyx") * 7, index=sessions.index)
    parts = leave_sessions_out(sessions, classes)
    assert len(parts) == 5
    assert sorted(s for _, test in parts for s in test) == sorted(sessions.index)
    for train, test in parts:
        assert not set(sessions[train]) & set(sessions[test])
    few = sessions.isin(["a", "b", "c"])
    assert len(leave_sessions_out(sessions[few], classes)) == 3  # each by itself


def test_no_class_is_untrained_where_sessions_are_left_out():
    classes = ["a"] * 8 + ["b"] * 32
    sessions = np.repeat([f"{i}" for i in range(10)], 4)  # two of a, eight of b
    for seed in range(50):
        rng = np.random.default_rng(seed)
        order, names = rng.permutation(40), rng.permutation(10)
        table = describe(np.array(classes)[order])
        table["session_id"] = names[sessions[order].astype(int)].astype(str)
        roles = shortcut_cues.divide_by_session(table).merge(table, on="sample_id")
        tested = roles[roles["role"] == "test"]
        assert sorted(tested["sample_id"]) == sorted(table["sample_id"])
        trained = roles[roles["role"] == "train"].groupby("fold")["class"].nunique()
        assert trained.eq(2).all()
    pair = pd.Series(["x", "x", "y", "y"], index=list("abcd"))
    assert leave_sessions_out(pair, pd.Series(["1", "1", "2", "2"], index=pair.index)) == []


def test_order_of_file_names_knows_no_class():
    classes = ["811_pristine", "cycle_aged", "new"]
    assert strip_classes("NCM811_Pristine_7", classes) == "NCM 7"
    assert strip_classes("cycle_aged_07", classes) == strip_classes("new_07", classes) == "07"
    assert strip_classes("newer (811)", classes) == "newer"
    assert strip_classes("frame_010", ["a", "1", "0"]) == "frame 010"
    names = ["811_x/811 x 9.png", "622_y/622 y 10.png", "811_x/811 x 10.png", "622_y/622 y 9.png"]
    manifest = describe(["811_x", "622_y", "811_x", "622_y"]).assign(path=names)
    assert describe_file_order(manifest)["place"].tolist() == [0.0, 1.0, 1.0, 0.0]
    assert describe_file_order(manifest.assign(path="one.png")) is None
    assert describe_file_order(manifest.assign(path=[f"{i}²{i}.png" for i in range(4)])) is not None


def find_skill_of_file_order(classes, stem):
    """Skill of a forest on the place alone, for pictures that are numbered as they come."""
    folders = classes.tolist()
    table = describe(folders).assign(path=[f"{c}/{stem(c, i)}.png" for i, c in enumerate(folders)])
    fold = np.random.default_rng(1).permutation(len(table)) % FOLDS
    split = pd.concat(
        table[["sample_id"]].assign(repeat=0, fold=k, role=np.where(fold == k, "test", "train"))
        for k in range(FOLDS)
    )
    seen = describe_file_order(table)
    answers = predict_baseline("order", seen, table, split, 1, trees=TREES)
    return score_answers(answers["y_true"], answers["y_pred"]).skill


@pytest.mark.parametrize("names", ["ab", "01", ["811", "333"], ["cycle_aged", "new"]])
@pytest.mark.parametrize(
    "stem",
    [
        lambda _, i: f"frame_{i:03d}",
        lambda _, i: f"frame{i}",
        lambda _, i: f"{i}",
        lambda c, i: f"NCM_{c}_{i}",
    ],
)
def test_order_of_file_names_tells_no_class_unless_classes_stand_in_order(names, stem):
    classes = np.repeat(list(names), 250)
    assert find_skill_of_file_order(classes, stem) > 0.95
    drawn = [np.random.default_rng(seed).permutation(classes) for seed in range(3)]
    skills = [find_skill_of_file_order(own, stem) for own in drawn]
    assert abs(np.mean(skills)) < 0.1


@pytest.fixture(scope="module", params=[1, 2, 3])
def drawn(request):
    """Generated frames of two states, whose brightness does not depend on the state."""
    rows, frames = [], []
    for state in STATES:
        for i in range(PER_CLASS):
            rng = derive_rng(request.param, "audit", state, i)
            frame = render_sem_frame("622", state, rng=rng, width_px=240, height_px=180)
            frames.append(frame.pixels)
            rows.append({"class": state, "path": f"{state}/{i}.png"})
    rng = np.random.default_rng(request.param)
    day = np.arange(len(rows)) % PER_CLASS // PER_DAY
    turn = np.zeros(len(rows))
    for one in np.unique(day):  # every state every day, in any order
        turn[day == one] = rng.permutation((day == one).sum())
    manifest = pd.DataFrame(rows).assign(
        sample_id=[f"{i:016x}" for i in range(len(rows))],
        specimen_id=None, session_id=None, acquired_at=times(1440 * day + 2 * turn),
        width_px=240, height_px=180, bit_depth=8, brightness=50.0, detector="SE",
    )  # fmt: skip
    return manifest, frames


def audit(manifest, pixels, monkeypatch, leave_out=False, predict_only=False):
    if not leave_out:
        monkeypatch.setattr(shortcut_cues, "divide_by_session", lambda _: None)
    monkeypatch.setattr(shortcut_cues, "TREES", TREES)
    monkeypatch.setattr("batteryscope.evaluation.baselines.TREES", TREES)
    rows = [{"sample_id": s, "pixel_digest": "0" * 64, **measure_frame(p)}
            for s, p in zip(manifest["sample_id"], pixels, strict=True)]  # fmt: skip
    frames = pd.DataFrame(rows).astype(FRAME_DTYPES)
    fold = np.arange(len(manifest)) % FOLDS
    split = pd.concat(
        manifest[["sample_id"]].assign(repeat=0, fold=k, role=np.where(fold == k, "test", "train"))
        for k in range(FOLDS)
    )
    nothing = pd.DataFrame(columns=["sample_id", "repeat", "fold", "role", "arm"])
    cues = shortcut_cues.predict_from_cues(manifest, split, frames, nothing, seed=1)
    if predict_only:
        return cues
    bars = frames.set_index("sample_id")["data_bar_px"]
    return shortcut_study.audit_shortcuts(manifest, cues, data_bar_px=bars)


def say(found):
    (told,) = SENTENCES.record([shortcut_study.tell_verdict(found)])
    return told["text"]


def name_signs(found):
    return {sign.facts.get("cue", sign.kind) for sign in found.signs}


def test_generated_frames_are_quiet(drawn, monkeypatch):
    found = audit(*drawn, monkeypatch, leave_out=True)
    assert found.level == "quiet", say(found)
    assert "no shortcut" in say(found)
    assert found.left_out  # every state was there on every day
    flat = shortcut_study.flatten_audit(found)
    assert flat["shortcuts.verdict"] == 0
    cue, place = found.cues["grey_levels"], "shortcuts.grey_levels"
    assert flat[f"{place}.n"] == cue.n
    assert flat[f"{place}.balanced_accuracy_low"] < cue.balanced
    skills = [(flat[f"{place}.balanced_accuracy_{end}"] - cue.chance) / (1 - cue.chance)
              for end in ("low", "high")]  # fmt: skip
    assert skills == pytest.approx([cue.skill_low, cue.skill_high], abs=1e-5)


def test_brightness_that_follows_the_class_is_named(drawn, monkeypatch):
    manifest, pixels = drawn
    is_aged = manifest["class"].eq(STATES[1]).to_numpy()
    bright = [np.clip(p.astype(int) + 70 * a, 0, 255).astype(np.uint8)
              for p, a in zip(pixels, is_aged, strict=True)]  # fmt: skip
    settings = manifest.assign(brightness=50.0 + 10 * is_aged)
    found = audit(settings, bright, monkeypatch)
    assert found.level == "alarm"
    assert {"grey_levels", "metadata"} <= name_signs(found)
    assert "grey levels alone classify" in say(found)
    assert "above all brightness (detector)" in say(found)


def test_data_bar_that_follows_the_class_is_named(drawn, monkeypatch):
    manifest, pixels = drawn
    shown = [p if c == STATES[0] else p[:-12] for p, c in zip(pixels, manifest["class"])]  # noqa: B905
    found = audit(manifest, shown, monkeypatch)
    assert found.level == "alarm"
    assert name_signs(found) == {"data_bar"}
    assert "the data bar below the picture alone classifies" in say(found)


def test_one_session_per_class_is_named(drawn, monkeypatch):
    manifest, pixels = drawn
    bound = manifest.assign(session_id=manifest["class"])
    found = audit(bound, pixels, monkeypatch, leave_out=True)
    assert found.level == "alarm"
    assert name_signs(found) == {"one_session"}
    assert "class and session are one: 2 classes in 2 sessions" in say(found)
    assert shortcut_cues.divide_by_session(bound) is None


def test_sentences_name_classes_and_strategies_as_the_report_does():
    manifest = describe(["811_aged"] * 6 + ["622_new"] * 12)
    manifest["session_id"] = ["x"] * 6 + ["y", "z"] * 6
    told = shortcut_study.ShortcutAudit(
        "alarm", judge_sessions(relate_sessions(manifest), {}, {}), {"data_bar": make_score(0.1)},
        {}, {}, make_score(0.9), relate_sessions(manifest), pd.DataFrame(), pd.DataFrame(),
        main_arm="per_image",
    )  # fmt: skip
    assert "811 aged: taken in one session of its own" in say(told)
    quiet = dataclasses.replace(told, level="quiet", signs=[])
    assert "(guessing 50.0 %; “per image” 95.0 %)" in say(quiet)
    (named,) = SENTENCES.record([shortcut_study.tell_verdict(quiet, "Each image by itself")])
    assert "; “Each image by itself” 95.0 %)" in named["text"]


def test_cues_of_specimens_that_nobody_knows_are_left_out(drawn, monkeypatch):
    manifest, pixels = drawn
    predictions = audit(manifest, pixels, monkeypatch, predict_only=True)
    assert set(shortcut_study.audit_shortcuts(manifest, predictions).cues)
    unknown = shortcut_study.audit_shortcuts(manifest, predictions, unit="specimen")
    assert (unknown.cues, unknown.level) == ({}, "quiet")
    half = manifest.assign(specimen_id=["one", None] * (len(manifest) // 2))
    assert shortcut_study.audit_shortcuts(half, predictions, unit="specimen").cues


def test_cues_that_say_nothing_are_left_out(drawn):
    manifest, pixels = drawn
    rows = [{"sample_id": s, **measure_frame(pixels[0])} for s in manifest["sample_id"]]
    same = pd.DataFrame(rows)
    assert set(list_cues(manifest, same)) == {"acquired_at", "file_order"}
    assert describe_thumbnails(same).shape == (len(same), 256)
    assert set(list_factors(manifest)) == {"day"}
