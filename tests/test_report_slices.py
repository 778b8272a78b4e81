"""Figures of slices: samples, confidence per class, attribution in polar coordinates."""

import numpy as np
import pandas as pd
import pytest

from batteryscope.core.style import encode_picture
from batteryscope.explain.polar import (
    N_ANGLES,
    N_RADII,
    choose_typical,
    draw_polar_average,
    tabulate_profiles,
    turn_to_middle,
    unroll_map,
)
from batteryscope.report.slices import choose_samples, draw_confidence_per_class, draw_samples


def make_verdicts() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    table = pd.DataFrame({"y_true": np.repeat(list("abc"), 8), "repeat": 0, "fold": 0})
    table["sample_id"] = [f"s{i:02d}" for i in range(len(table))]
    table["y_pred"] = np.where(rng.uniform(size=24) < 0.7, table["y_true"], "a")
    for i, name in enumerate("abc"):
        table[f"p_{name}"] = np.where(table["y_pred"] == name, 0.9 - 0.01 * i, 0.05)
    return table.assign(role="test", tile=range(24), confidence=0.85)


def test_nine_samples_of_all_classes_drawn_by_lot() -> None:
    verdicts = make_verdicts()
    chosen = choose_samples(verdicts, 9, seed=1)
    assert chosen["y_true"].value_counts().to_dict() == {"a": 3, "b": 3, "c": 3}
    assert chosen["sample_id"].tolist() == choose_samples(verdicts, 9, 1)["sample_id"].tolist()
    assert chosen["sample_id"].tolist() != choose_samples(verdicts, 9, 2)["sample_id"].tolist()
    picture = np.zeros((16, 16), np.uint8)
    figure = draw_samples(chosen, [picture] * 9)
    titles = [panel.get_title("left") for panel in figure.axes]
    assert len(titles) == 9
    assert all("85 %" in title for title in titles)
    wrong = (chosen["y_true"] != chosen["y_pred"]).tolist()
    assert ["(is" in title for title in titles] == wrong
    assert encode_picture(draw_confidence_per_class(verdicts), "x", "caption").png


def test_a_ring_becomes_a_row_and_a_spot_turns_to_the_middle() -> None:
    rows, columns = np.mgrid[:65, :65] - 32
    ring = np.exp(-(((np.hypot(rows, columns) - 16) / 2) ** 2))
    polar = unroll_map(ring)
    assert polar.shape == (N_RADII, N_ANGLES)
    assert polar.sum() == pytest.approx(1)
    assert abs(int(polar.sum(1).argmax()) - N_RADII // 2) <= 1
    spot = np.exp(-((rows + 20) ** 2 + columns**2) / 20)  # above the centre
    before = unroll_map(spot)
    assert int(before.sum(0).argmax()) == pytest.approx(0.75 * N_ANGLES, abs=2)
    assert int(turn_to_middle(before).sum(0).argmax()) == pytest.approx(N_ANGLES / 2, abs=4)
    assert unroll_map(np.zeros((9, 9))).sum() == 0
    assert unroll_map(polar, is_unrolled=True).shape == (N_RADII, N_ANGLES)
    profiles = tabulate_profiles({"new": np.stack([polar, polar])}, reach=0.6)
    assert profiles.loc[profiles["mean"].idxmax(), "radius_share"] == pytest.approx(0.3, abs=0.02)
    assert draw_polar_average({"new": polar[None], "old": before[None]}, 0.6)[:4] == b"\x89PNG"


def test_typical_slices_are_right_and_from_different_cells() -> None:
    verdicts = make_verdicts()
    specimens = pd.Series(
        [f"cell{i // 4}" for i in range(24)], index=verdicts["sample_id"], name="specimen_id"
    )
    chosen = choose_typical(verdicts, specimens, 2)
    assert (chosen["y_true"] == chosen["y_pred"]).all()
    assert (chosen.groupby("y_true")["specimen"].nunique() == 2).all()
