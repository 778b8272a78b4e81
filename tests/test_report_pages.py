"""What all pages share: cards of findings, tables that are never cut, letters that can be read."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import batteryscope.report
from batteryscope.core.run_options import RUN_OPTIONS, STARTED_BY_COMMAND
from batteryscope.evaluation.calibration import (
    apply_temperature,
    calibrate_votes,
    describe_predictions,
)
from batteryscope.report.html import gather_findings, make_environment
from batteryscope.report.reliability import describe_temperature
from batteryscope.report.shown_table import TABLE_STEPS, show_table

STYLE = (Path(batteryscope.report.__file__).parent / "base.css.j2").read_text()


def test_one_card_per_kind_the_worst_first():
    found = [("warning", "Intervals", "a"), ("good", "Baselines", "b"), ("alarm", "Leak", "c"),
             ("plain", "Leak", "d"), ("warning", "Intervals", "e")]  # fmt: skip
    assert gather_findings(found) == [
        ("alarm", "Leak", ["c", "d"]),
        ("warning", "Intervals", ["a", "e"]),
        ("good", "Baselines", ["b"]),
    ]
    assert gather_findings([]) == []


def read_luminance(colour: str) -> float:
    """Relative luminance as in WCAG 2.2."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


@pytest.mark.parametrize(
    ("ink", "ground"),
    [("amber", "amber-ground"), ("red", "red-ground"), ("green", "green-ground"), ("blue", "paper"),
     ("soft", "paper"), ("soft", "ground"), ("ink", "ground"), ("red", "paper")],
)  # fmt: skip
def test_letters_have_the_contrast_of_wcag_aa(ink, ground):
    colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", STYLE))
    light, dark = sorted((read_luminance(colours[n]) for n in (ink, ground)), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 4.5


def render(frame: pd.DataFrame, title: str = "") -> str:
    template = "{% from 'macros.html.j2' import table with context %}{{ table(shown) }}"
    return make_environment().from_string(template).render(shown=show_table(frame, title))


def test_a_wide_table_is_a_region_that_the_keyboard_reaches():
    wide = pd.DataFrame([[f"row {i}", *["1 234.5 ± 0.1"] * 9] for i in range(3)])
    page = render(wide.set_axis(["who", *"abcdefghi"], axis=1), "Errors")
    assert 'role="group" tabindex="0" aria-label="Errors"' in page
    assert 'data-label="c">1 234.5\xa0±\xa00.1</td>' in page
    assert "tabindex" not in render(pd.DataFrame([["a", "1"]], columns=["who", "n"]))


def test_the_width_that_a_table_needs_grows_with_what_it_holds():
    def need(*cells: str) -> int:
        frame = pd.DataFrame([cells], columns=[f"c{i}" for i in range(len(cells))])
        return show_table(frame).need

    assert need("a", "1") == TABLE_STEPS[0]
    assert need("a", *["12.3 ± 0.4 %"] * 3) < need("a", *["12.3 ± 0.4 %"] * 6)
    # Words of a sentence may stand below each other, numbers may not be broken.
    assert need("a sentence of many short words " * 9) <= 20
    assert need("x", "1" * 36) > need("x", "1" * 12)
    # A path is broken, or no page would hold it.
    assert need("/a/path/" + "x" * 300) <= 28


@pytest.mark.parametrize(
    ("options", "command", "planned"),
    [
        ("", "snakemake -- mine", "snakemake -n -- mine"),
        (
            "--configfile a.yaml --config sweeps=all",
            "snakemake --configfile a.yaml --config sweeps=all -- mine",
            "snakemake -n --configfile a.yaml --config sweeps=all -- mine",
        ),
        ("", "batteryscope run mine", "batteryscope run mine -n"),
        (
            "--configfile mine.yaml --config sweeps=all",
            "batteryscope run mine --config sweeps=all",
            "batteryscope run mine -n --config sweeps=all",
        ),
        (
            "--configfile a.yaml mine.yaml",
            "batteryscope run mine --configfile a.yaml mine.yaml",
            "batteryscope run mine -n --configfile a.yaml mine.yaml",
        ),
    ],
)
def test_cite_and_repeat_names_the_command_that_made_the_report(
    monkeypatch, options, command, planned
):
    from types import SimpleNamespace

    monkeypatch.setenv(RUN_OPTIONS, options)
    monkeypatch.setenv(STARTED_BY_COMMAND, "1" if command.startswith("batteryscope") else "")
    page = (
        make_environment()
        .get_template("cite.html.j2")
        .render(
            settings=SimpleNamespace(paper="", paper_doi="", kind="image"),
            evidence=SimpleNamespace(study="mine", generated=not options),
        )
    )
    lines = page.split("<pre>")[1].split("</pre>")[0].splitlines()
    assert lines[0] == command
    assert lines[1].startswith(f"{planned}   #")
    full = planned.replace("-n", "--scale paper" if "run" in planned else "--config scale=paper")
    assert (full in page) == (not options)


def make_votes(p: np.ndarray, y: np.ndarray, folds: int) -> pd.DataFrame:
    """Validation predictions of one tile per image, dealt out to folds."""
    table = pd.DataFrame(p, columns=["p_a", "p_b", "p_c"])
    names = np.array(["a", "b", "c"])
    return table.assign(
        arm="fit", repeat=0, fold=np.arange(len(p)) % folds, role="validation", tile=0,
        sample_id=[f"s{i:04d}" for i in range(len(p))], y_true=names[y],
        y_pred=names[p.argmax(axis=1)],
    )  # fmt: skip


@pytest.mark.parametrize("folds", [1, 4])
def test_a_temperature_is_published_if_it_helps_where_it_was_not_fitted(folds):
    rng = np.random.default_rng(7)
    honest = rng.dirichlet([0.6] * 3, 800)
    y = (honest.cumsum(axis=1) > rng.random((800, 1))).argmax(axis=1)
    too_sure = calibrate_votes(make_votes(apply_temperature(honest, 0.4), y, folds))
    assert too_sure.helps
    assert too_sure.temperature == too_sure.fitted == pytest.approx(2.5, rel=0.15)
    assert too_sure.scaled_log_loss < too_sure.log_loss

    # Every vote is right and sure: smoothed targets ask for doubt, which only makes it worse.
    sure = np.full((40, 3), 0.001) + 0.997 * np.eye(3)[np.arange(40) % 3]
    right = calibrate_votes(make_votes(sure, np.arange(40) % 3, folds))
    assert right.fitted > 1.2
    assert not right.helps
    assert right.temperature == 1.0


def test_repeats_with_the_same_validation_images_test_a_temperature_too():
    rng = np.random.default_rng(7)
    honest = rng.dirichlet([0.6] * 3, 800)
    y = (honest.cumsum(axis=1) > rng.random((800, 1))).argmax(axis=1)
    once = make_votes(apply_temperature(honest, 0.4), y, 1)
    single = calibrate_votes(once)
    twice = calibrate_votes(pd.concat([once, once.assign(repeat=1)], ignore_index=True))
    assert twice.helps
    assert twice.temperature == pytest.approx(single.temperature, rel=1e-2)
    assert twice.scaled_log_loss == pytest.approx(single.scaled_log_loss, rel=1e-2)
    assert np.isnan(calibrate_votes(once[:1]).scaled_log_loss)


def test_what_is_said_of_a_temperature_follows_from_what_it_does():
    sure = np.full((12, 3), 0.001) + 0.997 * np.eye(3)[np.arange(12) % 3]
    facts = describe_predictions(make_votes(sure, np.arange(12) % 3, 2))["calibration.json"]
    assert facts["temperature"] == 1.0
    assert "carries no temperature" in describe_temperature(facts)
    assert "does not fit better" in describe_temperature(facts)
    nothing = describe_predictions(make_votes(sure[:0], np.arange(0), 2))["calibration.json"]
    assert nothing["temperature"] == 1.0
    assert "could not be tested" in describe_temperature(nothing)
    helped = facts | {"helps": True, "temperature": 2.0}
    assert "temperature 2.00: above 1, it was too sure" in describe_temperature(helped)
    assert describe_temperature({}) == ""
