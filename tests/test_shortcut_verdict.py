"""What scores of shortcuts mean: thresholds, signs, verdict."""

import numpy as np
import pandas as pd

from batteryscope.audit.score import score_answers
from batteryscope.audit.sessions import relate_sessions
from batteryscope.audit.verdict import judge_cues, judge_perturbed, judge_sessions, sum_up
from batteryscope.evaluation import predict_mismatched
from batteryscope.tilestore import TileStore
from tests.test_grey_mismatch import BrightnessThreshold, make_manifest, make_roles, make_store


def describe(classes, **columns):
    table = pd.DataFrame({"class": classes})
    table["sample_id"] = [f"{i:016x}" for i in range(len(table))]
    return table.assign(
        path=[f"{c}/{i}.png" for i, c in enumerate(classes)],
        **({"session_id": None, "acquired_at": pd.NaT} | columns),
    )


def make_score(skill, n=400):
    right = round(n * (1 + skill) / 2)
    true = np.array(["a", "b"] * (n // 2))
    other = np.where(true == "a", "b", "a")
    return score_answers(true, np.where(np.arange(n) < right, true, other))


def judge(cues, model=None):
    scored = {name: make_score(skill) for name, skill in cues.items()}
    return {s.facts["cue"]: s.level for s in judge_cues(scored, model and make_score(model))}


def test_thresholds():
    assert judge({"grey_levels": 0.4}, model=0.95) == {}
    assert judge({"grey_levels": 0.6}, model=0.95) == {"grey_levels": "warning"}
    assert judge({"grey_levels": 0.9}, model=0.95) == {"grey_levels": "alarm"}
    assert judge({"thumbnail": 0.4}, model=0.42) == {"thumbnail": "warning"}
    assert judge({"metadata": 0.4}, model=0.95) == {"metadata": "warning"}
    assert judge({"data_bar": 0.9}) == {"data_bar": "alarm"}
    assert judge({"file_order": 1.0}) == {}  # nothing in the picture goes with it
    assert judge({"file_order": 1.0, "grey_levels": 0.4}) == {"file_order": "warning"}
    few = {"data_bar": make_score(0.6, n=10)}
    assert judge_cues(few, None) == []  # chance explains it


def test_grey_levels_alarm_where_classes_have_sessions_of_their_own():
    sessions = np.repeat(["x", "y"], 8)
    bound = relate_sessions(describe(np.repeat(["a", "b"], 8), session_id=sessions))
    cues = {"grey_levels": make_score(0.6)}
    signs = [*judge_cues(cues, make_score(0.95)), *judge_sessions(bound, cues, {})]
    level, found = sum_up(signs, cues)
    assert level == "alarm"
    assert [s.level for s in found] == ["alarm", "alarm"]


def test_marks_that_sessions_leave():
    crossed = relate_sessions(describe(["a", "b"] * 8, session_id=np.repeat(["x", "y"], 8)))
    cues, unseen = {"thumbnail": make_score(0.8)}, {"thumbnail": make_score(0.1)}
    (sign,) = judge_sessions(crossed, cues, unseen)
    assert (sign.kind, sign.level) == ("session_mark", "warning")
    assert judge_sessions(crossed, cues, {"thumbnail": make_score(0.7)}) == []


def test_a_fall_on_changed_tiles_counts_where_grey_levels_tell_the_class():
    scores = {"intact": 0.9, "brightness": 0.1, "standardised": 0.8, "shuffled": 0.8, "edges": 0.0}
    changed = {name: make_score(skill) for name, skill in scores.items()}
    signs = judge_perturbed(changed, {"grey_levels": make_score(0.6)})
    assert [s.facts["name"] for s in signs] == ["brightness", "shuffled"]
    assert judge_perturbed(changed, {"grey_levels": make_score(0.1)}) == []


def test_a_network_that_goes_by_brightness_falls_on_standardised_tiles_alone():
    manifest = make_manifest()
    store, roles, model = make_store(manifest), make_roles(manifest), BrightnessThreshold()
    table = predict_mismatched.predict_perturbed(model, store, manifest, roles, "raw", most=12)
    intact = table[table["arm"] == "raw_perturbed_intact"]
    assert len(intact) == 12
    assert intact["sample_id"].is_unique
    tested = set(roles.loc[roles["role"] == "test", "sample_id"])
    assert set(table["sample_id"]) <= tested
    again = predict_mismatched.predict_perturbed(model, store, manifest, roles, "raw", most=12)
    pd.testing.assert_frame_equal(table, again)
    right = (table["y_true"] == table["y_pred"]).groupby(table["arm"]).mean()
    assert right["raw_perturbed_intact"] == right["raw_perturbed_shuffled"] == 1.0
    assert right["raw_perturbed_standardised"] < 0.8
    assert right["raw_perturbed_brightness"] == 1.0  # 40 levels more or less are still told apart
    no_tiles = TileStore(store.tiles, store.index.assign(used=False))
    assert predict_mismatched.predict_perturbed(model, no_tiles, manifest, roles, "raw").empty
