"""Grey levels of every class stand in the report, of what trains beside what is tested."""

import numpy as np
import pandas as pd

from batteryscope.manifest.frames import get_histograms
from batteryscope.manifest.measure import measure_frame
from batteryscope.report.shared_figures import LEVELS, average_histograms, draw_grey_histograms

DARK, BRIGHT = np.full((40, 64), 10, np.uint8), np.full((40, 64), 201, np.uint8)


def make_study() -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Four dark and four bright pictures; one bright one of two that are tested is half dark."""
    samples = [f"s{i}" for i in range(8)]
    manifest = pd.DataFrame({"sample_id": samples, "class": ["a_dark"] * 4 + ["bright"] * 4})
    mixed = np.where(np.arange(40)[:, None] < 20, DARK, BRIGHT)
    pictures = [DARK] * 4 + [BRIGHT] * 3 + [mixed]
    rows = [{"sample_id": s} | measure_frame(p, 0) for s, p in zip(samples, pictures, strict=True)]
    roles = ["train", "train", "test", "test"] * 2
    split = pd.DataFrame({"sample_id": samples, "repeat": 0, "fold": 0, "role": roles})
    return manifest, pd.DataFrame(rows), split


def test_shares_of_every_class_and_part():
    table = average_histograms(*make_study())
    np.testing.assert_allclose(table.sum(axis=1), 1, rtol=1e-6)
    assert table.loc[("a_dark", "train"), 10 // 4] == 1
    assert table.loc[("bright", "train"), 201 // 4] == 1
    assert table.loc[("bright", "test"), 10 // 4] == 0.25
    assert table.loc[("bright", "test"), 201 // 4] == 0.75
    assert LEVELS[10 // 4] == 9.5
    assert get_histograms(make_study()[1][:0]).shape == (0, 64)


def test_the_figure_says_which_class_is_darkest():
    [picture] = draw_grey_histograms(*make_study(), generated=False)
    assert picture.name == "grey_histograms"
    assert "a dark is darkest (grey level 10 of 255)" in picture.caption
    assert "bright brightest (178)" in picture.caption


def test_every_picture_weighs_alike_in_the_average():
    manifest, frames, split = make_study()
    split["role"] = ["train"] * 4 + ["train", "train", "train", "test"]
    # Three at 201.5 and one at half of 9.5 and half of 201.5.
    usual = (3 * 201.5 + (9.5 + 201.5) / 2) / 4
    twice = pd.concat([split, split[split["role"] == "test"].assign(role="validation")])
    for roles in (split, twice):  # one that tests may validate as well
        [picture] = draw_grey_histograms(manifest, frames, roles, generated=False)
        assert f"bright brightest ({usual:.0f})" in picture.caption


def test_one_class_or_no_measurements_give_no_figure():
    manifest, frames, split = make_study()
    assert draw_grey_histograms(manifest.assign(**{"class": "all"}), frames, split, False) == []
    assert draw_grey_histograms(manifest, frames.drop(columns="histogram"), split, False) == []
    assert draw_grey_histograms(None, None, None, False) == []
