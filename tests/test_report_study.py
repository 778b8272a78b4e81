"""The report as a whole, from a small made-up study."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest

from batteryscope.report.html import render_index
from batteryscope.report.write import select_verdicts
from tests.reported_study import StudyOnDisk
from workflow_scripts.report_study import main


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> StudyOnDisk:
    root = tmp_path_factory.mktemp("study")
    return StudyOnDisk(root, ("333", "811"), ("formation", "pristine"), 12)


@pytest.fixture(scope="module")
def reported(study: StudyOnDisk, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("reports") / "demo"
    assert main(study.arguments(out=out)) == 0
    return out


def read_page(folder: Path) -> str:
    return (folder / "report.html").read_text(encoding="utf-8")


def read_text(folder: Path) -> str:
    """The page without pictures and tags."""
    page = re.sub(r'src="data:[^"]*"', "", read_page(folder))
    page = re.sub(r"<(style|script)\b.*?</\1>", "", page, flags=re.S)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


def test_page_is_self_contained(reported: Path) -> None:
    page = read_page(reported)
    sources = re.findall(r'(?:src|href)="([^"]{1,40})', page)
    assert sources
    inside = ("data:image/png;base64,", "data:image/webp;base64,", "#", "https://doi.org/")
    assert all(s.startswith(inside) for s in sources)
    assert "<script src" not in page
    assert "<link" not in page
    assert "url(" not in page


def test_page_tells_the_result_with_n_and_interval(reported: Path) -> None:
    text = read_text(reported)
    assert "94.0 % of 48 test images were put into the right one of 4 classes" in text
    assert "(95 % interval 83.5 to 98.0 %)" in text
    assert "the best baseline, grey levels only, reached 78.0 %" in text
    assert "come from 18 groups, so the true uncertainty is larger" in text


def test_page_shows_every_section(reported: Path) -> None:
    text = read_text(reported)
    assert "Not shown:" not in text
    for piece in (
        "94.0 ± 2.1 %",  # mean and spread
        "baseline: microscope settings only",
        "composition and state judged apart",
        "Per tile: all classes",
        "the file ends too early",
        "333/&lt;b&gt;.png",
        "Look &lt;here&gt;.",
        "it was too sure of itself",
        "The mean gap is 3.9 %, 2.7 % when scaled.",
        "1 h 05 min",
        "doi:10.1234/example",
        "snakemake -- demo",
        "34.0 %",
        "State &amp; composition",
        "Could a shortcut explain it?",
        "every tile standardised",
        "day of acquisition",
    ):
        assert piece in text, piece


def test_generated_data_are_marked_on_page_and_figures(
    study: StudyOnDisk, reported: Path, tmp_path: Path
) -> None:
    assert "must not be quoted as results" in read_text(reported)
    assert json.loads((reported / "summary.json").read_text())["generated"] is True
    real = study.settings.model_copy(
        update={"dataset": study.settings.dataset.model_copy(update={"path": "data/raw/sem"})}
    )
    arguments = [
        "--study", "demo", "--settings", real.model_dump_json(),
        "--work", f"{study.root}", "--out", f"{tmp_path}",
    ]  # fmt: skip
    assert main(arguments) == 0
    assert "must not be quoted" not in read_text(tmp_path)
    difference = "−11.6 points"  # tiles 88 % beside the paper's 99.6 %
    assert difference in read_text(tmp_path)
    assert difference not in read_text(reported)
    name = "figures/key_figure.png"
    assert (tmp_path / name).read_bytes() != (reported / name).read_bytes()


def test_same_input_gives_same_bytes(study: StudyOnDisk, reported: Path, tmp_path: Path) -> None:
    assert main(study.arguments(out=tmp_path)) == 0
    files = sorted(p.relative_to(reported) for p in reported.rglob("*") if p.is_file())
    assert files == sorted(p.relative_to(tmp_path) for p in tmp_path.rglob("*") if p.is_file())
    for file in files:
        assert (tmp_path / file).read_bytes() == (reported / file).read_bytes(), file


def test_figures_and_tables_lie_beside_the_page(study: StudyOnDisk, reported: Path) -> None:
    names = {p.name for p in (reported / "figures").iterdir()}
    for figure in ("key_figure", "confusion", "misclassified", "reliability", "class_sizes"):
        assert {f"{figure}.png", f"{figure}.svg"} <= names
    assert "explain_raw_class_0.png" in names
    captions = json.loads((reported / "figures" / "captions.json").read_text())
    assert set(captions) == {name.removesuffix(".png") for name in names if name.endswith(".png")}
    assert all(captions.values())
    comparison = study.root / "comparison"
    for table in ("metrics.json", "comparison.csv"):
        assert (reported / table).read_bytes() == (comparison / table).read_bytes()
    for table in ("per_class.csv", "confusion.csv"):
        assert (reported / "tables" / table).read_bytes() == (comparison / table).read_bytes()
    assert (reported / "tables" / "external_metrics.csv").is_file()
    history = pd.read_csv(reported / "tables" / "history.csv")
    assert {"stage", "repeat", "fold", "epoch", "val_accuracy"} <= set(history.columns)
    assert "seconds" not in history.columns


def test_verdicts_for_dvc_plots_are_those_of_one_arm() -> None:
    images = pd.DataFrame(
        {"sample_id": ["a", "b", "a"], "repeat": 0, "fold": 0, "arm": ["raw", "raw", "baseline_x"]}
    ).assign(y_true="333", y_pred=["333", "811", "333"], p_333=0.5)
    verdicts = select_verdicts(images, "raw")
    assert verdicts["y_pred"].tolist() == ["333", "811"]
    assert "p_333" not in verdicts


def test_only_a_comparison_still_gives_a_report(study: StudyOnDisk, tmp_path: Path) -> None:
    folder, out = tmp_path / "comparison", tmp_path / "out"
    folder.mkdir()
    (folder / "comparison.csv").write_bytes(
        (study.root / "comparison" / "comparison.csv").read_bytes()
    )
    stale = (out / "figures" / "old.png", out / "tables" / "per_class.csv")
    for file in stale:
        file.parent.mkdir(parents=True)
    for file in (*stale, out / "notes.txt"):
        file.write_text("of an earlier report")
    arguments = [
        "--study", "demo", "--settings", study.settings.model_dump_json(),
        "--work", f"{tmp_path}", "--out", f"{out}",
    ]  # fmt: skip
    assert main(arguments) == 0
    text = read_text(out)
    assert text.count("Not shown:") >= 12
    assert "94.0 % of 48 test images were put into the right class" in text
    assert not any(file.exists() for file in stale)
    assert (out / "notes.txt").exists()


def test_missing_comparison_is_one_sentence(
    study: StudyOnDisk, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        "--study", "demo", "--settings", study.settings.model_dump_json(),
        "--work", f"{tmp_path / 'nowhere'}", "--out", f"{tmp_path / 'out'}",
    ]  # fmt: skip
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert "nowhere/comparison/comparison.csv: the file does not exist" in error
    assert "Traceback" not in error


def test_index_links_reports(reported: Path) -> None:
    page = render_index(reported.parent)
    assert 'href="demo/report.html"' in page
    assert "94.0\xa0% of 48 test images" in page
    assert 'src="data:image/png;base64,' in page
    assert "generated data" in page


def test_empty_index_says_so(tmp_path: Path) -> None:
    assert "No report has been published yet" in render_index(tmp_path)
