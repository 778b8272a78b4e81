"""The report of a study of tables, from a small made-up one."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from batteryscope.report.html import render_index
from batteryscope.report.table_evidence import TableEvidence
from batteryscope.report.table_results import find_table_headline, show_paired, show_results
from batteryscope.tables.figures import draw_errors
from batteryscope.tables.figures_explain import SWARM_HEIGHT, spread_points
from batteryscope.tables.figures_training import find_baseline_of_all_rows
from tests.made_up_table_study import make_table_settings, write_study
from workflow_scripts.report_study import main

FEW_ROWS = {"graphite": 30, "nmc": 24, "si_graphite": 20}


@pytest.fixture(scope="module")
def arguments(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return write_study(tmp_path_factory.mktemp("study"), FEW_ROWS)


@pytest.fixture(scope="module")
def reported(arguments: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("reports") / "electrodes"
    assert main([*arguments, "--out", str(out)]) == 0
    return out


def read_text(folder: Path) -> str:
    page = (folder / "report.html").read_text(encoding="utf-8")
    page = re.sub(r"<(style|script)\b.*?</\1>", "", page, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


def make_evidence(means: dict[tuple[str, str], float], paper: float | None) -> TableEvidence:
    rows = [
        {
            "arm": arm, "backbone": "", "target": "density", "domain": domain, "level": "row",
            "metric": "mape", "mean": mean, "sd": 0.5, "n": 16,
            "paper": paper if arm == "adapter" else None,
        }
        for (arm, domain), mean in means.items()
    ]  # fmt: skip
    return TableEvidence("s", make_table_settings(), True, pd.DataFrame(rows))


def test_page_is_self_contained(reported: Path) -> None:
    page = (reported / "report.html").read_text(encoding="utf-8")
    page = re.sub(
        r"<script.*?</script>", "", page, flags=re.DOTALL
    )  # tests/test_report_explored.py
    loaded = re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?([^"')\s>]+)""", page)
    outside = [a for a in loaded if not a.startswith(("#", "data:image/png;base64,"))]
    assert outside == ["https://doi.org/10.1234/example"]  # a link to follow, nothing to load
    assert "Proposed settings" not in page  # none are asked for
    assert "Not shown:" not in page


def test_first_screen_asks_answers_and_warns(reported: Path) -> None:
    text = read_text(reported)
    assert (
        "Can what a model learnt about density and mass loading from graphite (30 rows) "
        "be transferred to NMC (24 rows) and Si graphite (20 rows)?"
    ) in text
    assert "With transfer (adapter), predictions of test rows are off by" in text
    assert "Generated data" in text
    assert text.index("Transfer does not pay here.") < text.index("Are the differences more")


def test_published_values_stand_beside_ours(reported: Path) -> None:
    comparison = pd.read_csv(reported / "comparison.csv")
    row = comparison.query(
        "arm == 'adapter' and target == 'density' and domain == 'nmc' and metric == 'mape'"
    ).iloc[0]
    ours = f"{row['mean']:.1f} ± {row['sd']:.1f} %"
    page = (reported / "report.html").read_text().replace("\xa0", " ")
    cells = re.findall(r"<tr.*?</tr>", page, flags=re.DOTALL)
    lines = [re.findall(r">([^<>]+)</td>", line) for line in cells]
    result = next(c for c in lines if c and c[0] == "transfer (adapter)" and ours in c)
    assert result[result.index(ours) + 1] == "8.1 %"


def test_rejects_constants_and_parameters_are_told(reported: Path) -> None:
    text = read_text(reported)
    assert "a value outside its plausible range 1" in text
    assert "roll_gap: found −4 µm; expected 0 to 500." in text
    assert "coating speed (m/min) input always 0.3" in text
    assert re.search(r"density transfer \(adapter\) 4 × 4 \(frozen\) \+ 1 × 4 13 100", text)


def test_files_lie_beside_the_page(reported: Path) -> None:
    names = {path.stem for path in (reported / "figures").glob("*.svg")}
    assert names == {path.stem for path in (reported / "figures").glob("*.png")}
    assert names == {
        "key_figure", "parity", "coverage", "learning_curves", "ablation_target_rows",
        "beeswarm_density", "waterfall_density", "dependence_density", "beeswarm_mass_loading",
            "beeswarm_before_density", "beeswarm_before_mass_loading",
        "waterfall_mass_loading", "dependence_mass_loading", "ranks", "distributions",
    }  # fmt: skip
    assert (reported / "metrics.json").is_file()
    assert {"paired.csv", "intervals.csv", "ranking.csv", "history.csv", "errors.csv"} <= {
        path.name for path in (reported / "tables").iterdir()
    }


def test_index_shows_the_study(reported: Path) -> None:
    summary = json.loads((reported / "summary.json").read_text())
    assert summary["numbers"].keys() == {
        f"{t}.{d}" for t in ("density", "mass_loading") for d in ("nmc", "si_graphite")
    }
    page = render_index(reported.parent)
    assert summary["title"] in page
    assert "Key figure of Electrode manufacturing" in page


def test_report_without_optional_pieces_says_what_is_missing(
    arguments: list[str], tmp_path: Path
) -> None:
    work = Path(arguments[-1])
    shutil.copytree(work / "comparison", tmp_path / "comparison")
    wanted = [*arguments[:-1], str(tmp_path), "--out", str(tmp_path / "report")]
    assert main(wanted) == 0
    text = read_text(tmp_path / "report")
    for what in ("the rows per domain", "explanations", "training curves"):
        assert f"Not shown: {what}" in text


def test_report_needs_the_comparison(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = [*arguments[:-1], str(tmp_path), "--out", str(tmp_path / "report")]
    assert main(wanted) == 1
    assert "comparison.csv: the file does not exist" in capsys.readouterr().err


def test_headline_names_the_baseline_that_wins() -> None:
    lost = make_evidence(
        {("adapter", "nmc"): 8.0, ("baseline_ridge", "nmc"): 6.0, ("baseline_mean", "nmc"): 30.0},
        None,
    )
    sentence = find_table_headline(lost).sentence
    assert (
        "off by 8.0 ± 0.5 % for density of NMC (MAPE, mean ± sd over 3 random splits)" in sentence
    )
    assert "at least as well in 1 of 1 cases: ridge regression for density of NMC." in sentence
    won = make_evidence({("adapter", "nmc"): 8.0, ("baseline_mean", "nmc"): 30.0}, None)
    assert find_table_headline(won).sentence.endswith(
        "It errs less than every simple baseline. The best of these: mean of the training rows "
        "with 30.0 % for density of NMC."
    )
    pair = {"first": "adapter", "second": "baseline_mean", "target": "density", "domain": "nmc"}
    for outcome, said in {
        "beaten": "It beats every simple baseline.",
        "chance": "but in 1 of 1 cases that may be chance.",
    }.items():
        paired = replace(won, paired=pd.DataFrame([{**pair, "outcome": outcome}]))
        assert said in find_table_headline(paired).sentence
    assert find_table_headline(won).numbers == {"density.nmc": 8.0}


def test_headline_of_a_target_that_is_zero_somewhere_tells_the_absolute_error() -> None:
    zero = make_evidence({("adapter", "nmc"): 0.003, ("baseline_mean", "nmc"): 0.004}, None)
    rows = zero.comparison.assign(metric="mae", sd=0.0002)
    targets = zero.settings.dataset.targets
    targets["density"] = targets["density"].model_copy(update={"unit": "V"})
    zero = replace(zero, comparison=rows)
    headline = find_table_headline(zero)
    assert "off by 0.003 ± 0.0002 V for density of NMC (MAE, mean" in headline.sentence
    assert "It errs less than every simple baseline. The best of these" in headline.sentence
    assert headline.numbers == {"density.nmc": 0.003}
    [shown] = show_results(zero)
    assert shown.title.endswith(": mean absolute error")
    assert shown.rows[0][1] == "0.003 ± 0.0002 V"
    # On the same rows the baseline is better: no lead "that may be chance".
    pair = {"first": "adapter", "second": "baseline_mean", "target": "density", "domain": "nmc"}
    pair |= {"metric": "mae", "outcome": "better", "second_mean": 0.002, "mean": 0.0031}
    pair |= {"low": 0.001, "high": 0.0052, "p_holm": 0.01, "n": 3, "n_units": 20}
    paired = pd.DataFrame([pair])
    sentence = find_table_headline(replace(zero, paired=paired)).sentence
    assert sentence.endswith(
        "at least as well in 1 of 1 cases: mean of the training rows for density of NMC."
    )
    shown = show_paired(paired, zero)
    assert shown.columns[3:5] == ("difference", "95 % interval")
    assert shown.rows[0][3:5] == ("+0.0031 V", "+0.001 to +0.0052")
    percent = show_paired(paired.assign(metric="mape", mean=-1.24), zero)
    assert percent.columns[3] == "difference (points)"
    assert percent.rows[0][3] == "−1.2"
    # Beside a target with percentages both are told.
    other = rows.assign(metric="mape", domain="si_graphite", mean=8.0, sd=0.5)
    mixed = find_table_headline(replace(zero, comparison=pd.concat([rows, other]))).sentence
    assert "8.0 ± 0.5 % for density of Si graphite (MAPE, but MAE where a value is 0" in mixed
    # One panel has one kind of error.
    errors = replace(zero, comparison=pd.concat([rows, rows.assign(domain="si_graphite"), other]))
    drawn = errors.drawn_errors
    assert drawn["metric"].tolist() == ["mae"] * 4
    figure = draw_errors(drawn, zero.settings.dataset, ["adapter"], ["nmc", "si_graphite"])
    assert figure.axes[0].get_xlabel() == "MAE of test rows (V)"


def test_paper_column_stands_right_of_its_domain() -> None:
    shown = show_results(make_evidence({("adapter", "nmc"): 8.0}, 8.1))
    assert shown[0].columns == ("strategy", "NMC", "paper, NMC")
    assert shown[0].rows == (("transfer (adapter)", "8.0 ± 0.5 %", "8.1 %"),)


def test_beeswarm_moves_only_similar_points_apart() -> None:
    offsets = spread_points(np.array([-1.0, 0.5, 0.5, 0.5, 1.0]), 1.0)
    assert offsets[[0, 4]].tolist() == [0.0, 0.0]
    assert len(set(offsets[1:4])) == 3
    assert abs(offsets.sum()) < 1e-12
    assert abs(spread_points(np.zeros(500), 1.0)).max() <= SWARM_HEIGHT + 1e-9


def test_published_values_of_a_domain_without_rows_do_no_harm() -> None:
    rows = [
        {"arm": "adapter", "target": "density", "domain": "nmc", "mean": 8.0, "sd": 1.0},
        {"arm": "paper", "target": "density", "domain": "moon", "paper": 9.0},
    ]
    errors = pd.DataFrame(rows).assign(metric="mape")
    dataset = make_table_settings().dataset
    figure = draw_errors(errors, dataset, ["adapter"], ["graphite", "nmc", "moon"])
    assert [len(axes.containers) for axes in figure.axes] == [1, 0]


def test_best_baseline_is_that_with_all_rows() -> None:
    errors = {
        "adapter": [3, 1],
        "baseline_mean": [1, 9],
        "baseline_linear": [2, 5],
        "baseline_ridge": [9, 4],
    }
    rows = [
        {"arm": arm, "value": value, "mape": mape}
        for arm, pair in errors.items()
        for value, mape in zip((5, 20), pair, strict=True)
    ]
    assert find_baseline_of_all_rows(pd.DataFrame(rows)) == "baseline_ridge"
    assert find_baseline_of_all_rows(pd.DataFrame(rows[:2])) is None
