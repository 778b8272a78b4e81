"""Two versions of a study side by side: metrics, paired test, and which answers changed."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from batteryscope.answers.classes import CLASSES
from batteryscope.answers.quantities import QUANTITIES
from batteryscope.command import compared_version
from batteryscope.command.compared_version import find_version
from batteryscope.errors import InputError
from batteryscope.evaluation import class_versions, number_versions
from batteryscope.evaluation.compare_answers import compare_answers
from batteryscope.evaluation.published_answers import read_answers, write_answers
from batteryscope.report.html import make_environment
from batteryscope.report.tested_images import ImageBrowser, ImageCard
from batteryscope.report.thumbnails import encode_thumbnail
from batteryscope.report.version_page import read_pictures
from tests.browser_pages import find_axe, find_chromium, list_barriers
from tests.browser_session import open_page
from tests.report_texts import list_slips
from workflow_scripts.compare_studies import main as compare_studies


def predict_classes(n_wrong: int, n: int = 20, fits: int = 1) -> pd.DataFrame:
    """Test predictions of images of two classes, the first ones wrong."""
    rows = []
    for i in range(n):
        true, wrong = ("a", "b") if i % 2 else ("b", "a")
        said = wrong if i < n_wrong else true
        for fit in range(fits):
            votes = {"p_a": "0.9" if said == "a" else "0.1", "p_b": "0.1" if said == "a" else "0.9"}
            place = {"arm": "main", "repeat": str(fit), "fold": "0", "role": "test", "target": ""}
            name = {"sample_id": f"id{i:02d}", "sample": f"f{i:02d}.tif", "unit": f"u{i:02d}"}
            rows.append({**name, **place, "y_true": true, "y_pred": said, **votes})
    return pd.DataFrame(rows)


def write_classes(folder: Path, **options) -> Path:
    """Publish a study of classes; return the path of its answers."""
    (folder / "tables").mkdir(parents=True)
    summary = {"title": f"Study {folder.name}", "generated": False}
    (folder / "summary.json").write_text(json.dumps(summary))
    pooled = class_versions.pool_answers(predict_classes(**options))
    return write_answers(pooled, CLASSES, {}, folder / "tables")


def write_numbers(folder: Path, errors: dict[str, float], n: int = 12) -> pd.DataFrame:
    """Answers about several targets, all off by the same, signs in turn."""
    signs = np.where(np.arange(n) % 2, 1.0, -1.0)
    names = {"sample_id": [f"id{i}" for i in range(n)], "sample": [f"{i}.tif" for i in range(n)]}
    parts = [
        pd.DataFrame(names).assign(
            unit=names["sample_id"], target=target, y_true=np.arange(1.0, n + 1)
        )
        for target in errors
    ]
    for part, off in zip(parts, errors.values(), strict=True):
        part["y_pred"] = part["y_true"] + off * signs
    folder.mkdir()
    pooled = number_versions.pool_answers(pd.concat(parts))
    return read_answers(write_answers(pooled, QUANTITIES, {"size": "µm"}, folder))


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with three studies: the first has 2, the second 10 of 20 wrong."""
    for name, wrong in (("good", 2), ("poor", 10)):
        write_classes(tmp_path / "reports" / name, n_wrong=wrong)
    write_classes(tmp_path / "reports" / "large", n_wrong=2, n=30)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_classes_are_compared_on_shared_samples_by_mcnemars_test(project):
    large, poor = (
        read_answers(project / f"reports/{n}/tables/answers.csv") for n in ("large", "poor")
    )
    found = compare_answers(large, poor)
    assert (found.n_first, found.n_second, found.n_shared) == (30, 20, 20)
    accuracy = found.metrics.set_index("metric").loc["accuracy"]
    assert accuracy[["first", "second", "second_all"]].tolist() == [0.9, 0.5, 0.5]
    assert accuracy["first_all"] == pytest.approx(28 / 30)
    (test,) = found.tests.to_dict("records")
    assert test["n_units"] == 20
    assert test["difference"] == pytest.approx(-0.4)
    assert test["p_value"] == pytest.approx(2 / 2**8)  # 8 of 8 that differ
    assert test["better"] == "first"
    assert found.count_changes() == {
        "right → wrong": 8,
        "wrong → right": 0,
        "wrong → wrong otherwise": 0,
    }
    assert found.changes["sample"].tolist() == [f"f{i:02d}.tif" for i in range(2, 10)]


def test_sample_of_several_fits_has_one_answer():
    pooled = class_versions.pool_answers(predict_classes(n_wrong=3, fits=2))
    assert len(pooled) == 20
    assert set(pooled["n_fits"]) == {2}
    assert pooled["error"].sum() == 3


def test_numbers_are_compared_by_target_with_holms_correction(tmp_path):
    first = write_numbers(tmp_path / "a", {"size": 1.0, "ratio": 0.5})
    second = write_numbers(tmp_path / "b", {"size": 0.5, "ratio": 0.5})
    found = compare_answers(first, second)
    tests = found.tests.set_index("target")
    assert tests.loc["size", "difference"] == pytest.approx(0.5)
    assert tests.loc["size", "p_value"] == pytest.approx(2 / 2**12)  # all 12 signs agree
    assert tests.loc["size", "p_holm"] == pytest.approx(4 / 2**12)
    assert tests["better"].to_dict() == {"size": "second", "ratio": ""}
    assert tests.loc["size", "target_unit"] == "µm"
    assert found.count_changes() == {"closer → farther": 0, "farther → closer": 12}
    maes = found.metrics.set_index(["target", "metric"]).loc[("size", "mae")]
    assert maes[["first", "second"]].tolist() == [1.0, 0.5]


def test_coarser_units_count_and_samples_with_other_labels_are_left_out(project):
    first = read_answers(project / "reports/good/tables/answers.csv")
    second = first.assign(unit=first["unit"].str[:2])
    second.loc[second["sample_id"] == "id19", "y_true"] = "b"
    found = compare_answers(first, second)
    assert (found.n_shared, found.n_relabelled) == (19, 1)
    assert found.tests["n_units"].tolist() == [2]


def test_what_cannot_be_paired_is_one_sentence(project, tmp_path):
    classes = read_answers(project / "reports/good/tables/answers.csv")
    numbers = write_numbers(tmp_path / "a", {"size": 1.0})
    with pytest.raises(InputError, match=r"^the first answers with classes, the second with numb"):
        compare_answers(classes, numbers)
    with pytest.raises(InputError, match=r"^the two share no test sample \(20 and 20 were tested"):
        compare_answers(classes, classes.assign(sample_id=classes["sample_id"] + "x"))
    with pytest.raises(InputError, match=r"^the first answers size, the second other: they share"):
        compare_answers(numbers, numbers.assign(target="other"))
    with pytest.raises(InputError, match=r"^all 20 samples that both tested have other true val"):
        compare_answers(classes, classes.assign(y_true="c"))


def test_program_prints_and_writes_a_page_and_tables(project, capsys):
    assert compare_studies(["good", "reports/poor", "--out", "side"]) == 0
    said = capsys.readouterr().out
    assert "accuracy / %" in said
    assert "paired test: p = 0.008. A is better." in said
    assert "8 right → wrong, 0 wrong → right" in said
    assert said.splitlines()[-1] == "Page: side/versions.html"
    page = (project / "side" / "versions.html").read_text()
    assert "f09.tif" in page
    assert not list_slips(page)
    assert not re.search(r"""(?:src|href)=["']?https?:""", page)
    assert pd.read_csv("side/changes.csv")["change"].tolist() == ["right → wrong"] * 8
    assert pd.read_csv("side/tests.csv")[["A", "B", "better"]].to_numpy().tolist() == [
        [0.1, 0.5, "A"]
    ]


def draw_report(names) -> str:
    """The cards of a report's page, with small pictures of samples."""
    ramp = np.tile(np.arange(60, dtype=np.uint8), (40, 1))
    cards = [
        ImageCard(name, name, "a", "b, 90 %", "wrong", encode_thumbnail(ramp, 60)) for name in names
    ]
    tested = ImageBrowser(
        tuple(cards), "", len(cards), len(cards), 60, {"main": "main"}, ("a", "b")
    )
    page = make_environment().get_template("tested_images.html.j2")
    return page.render(tested=tested, samples="images", sample="image")


def test_changed_images_have_their_small_pictures_from_either_report(project):
    (project / "reports/good/report.html").write_text(
        draw_report(["f02.tif", "f09.tif", "<f>&.tif"])
    )
    (project / "reports/poor/report.html").write_bytes(draw_report(["f03.tif"]).encode() + b"\xff")
    assert list(read_pictures([project / "reports/good/report.html"])) == [
        "f02.tif",
        "f09.tif",
        "<f>&.tif",
    ]
    assert compare_studies(["good", "poor", "--out", "side"]) == 0
    page = (project / "side" / "versions.html").read_text()
    assert re.findall(r'<img alt="Test sample ([^"]*)"', page) == ["f02.tif", "f09.tif"]
    assert "2 of 8 changes have a small picture here" in page
    assert page.count('<li class="wrong">') == 2


@pytest.mark.skipif(find_chromium() is None, reason="no Chromium is installed")
def test_page_of_two_versions_is_read_and_sorted_in_a_browser(project, tmp_path_factory):
    (project / "reports/good/report.html").write_text(
        draw_report([f"f{i:02d}.tif" for i in range(9)])
    )
    assert compare_studies(["good", "poor", "--out", "side"]) == 0
    scratch = tmp_path_factory.mktemp("browser")
    with open_page(scratch) as page:
        page.ask("Page.navigate", url=(project / "side/versions.html").as_uri())
        page.wait_for("document.readyState === 'complete'")
        widths = page.wait_for(
            "[...document.querySelectorAll('ul.tested img')].map(i => i.naturalWidth)"
        )
        assert widths == [60] * 7
        last = "[...document.querySelectorAll('section')].at(-1)"
        names = f"[...{last}.querySelectorAll('tbody td:first-child')].map(d => d.textContent)"
        order = page.run(names)
        page.run(f"{{ const b = {last}.querySelector('th button'); b.click(); b.click() }}")
        page.wait_for(f"{last}.querySelector('th[aria-sort=descending]') !== null")
        assert page.run(names) == sorted(order, reverse=True)
        assert all(address.startswith(("file:", "data:", "blob:")) for address in page.addresses)
    if find_axe() is not None:
        text = (project / "side/versions.html").read_text()
        found = list_barriers({"versions": text}, (400, 1000), scratch)
        assert len(found) == 2
        assert not [
            b for kinds in found.values() for b in kinds if b.startswith(("serious", "critical"))
        ]


def test_versions_are_studies_folders_models_and_commits(project, tmp_path):
    (project / "models" / "good").mkdir(parents=True)
    (project / "models" / "good" / "bundle.json").touch()
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    expected = project / "reports" / "good" / "tables" / "answers.csv"
    for word in ("good", "reports/good", "models/good", str(project / "reports" / "good")):
        found = find_version(word, project, scratch)
        assert (found.answers, found.title) == (expected, "Study good"), word
    with pytest.raises(InputError, match=r"^bad: no published .* here: good, large, poor$"):
        find_version("bad", project, scratch)
    (project / "reports" / "large" / "tables" / "answers.csv").unlink()
    with pytest.raises(InputError, match=r"^large: tables/answers.csv is not in its report"):
        find_version("large", project, scratch)


def test_earlier_commit_is_asked_of_dvc(project, tmp_path, monkeypatch):
    said = (
        "import sys; from pathlib import Path; w = sys.argv[1:]\n"
        "if w[2] == 'nothing': sys.exit('ERROR: unknown Git revision')\n"
        "Path(w[4]).write_text(Path(w[-1]).read_text() + ' '.join([*w[:3], *w[5:7]]))\n"
    )
    monkeypatch.setattr(compared_version, "DVC", (sys.executable, "-c", said))
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match=r"^good@HEAD~1: this project is not under git"):
        find_version("good@HEAD~1", project, tmp_path / "none")
    subprocess.run(["git", "init", "--quiet", "."], cwd=project, check=True)
    report = project / "reports" / "good"
    report.joinpath("summary.json").write_text('{"title": "x"}\n#')
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    with pytest.raises(InputError, match=r"a/summary\.json: cannot be read"):
        find_version("good@HEAD~1", project, tmp_path / "a")
    answers = tmp_path / "a" / "tables" / "answers.csv"
    assert answers.read_text().endswith("get --rev HEAD~1 -- .")
    sentence = (
        r"^good@nothing: reports/good/summary\.json is not in that commit, or no more in DVC's "
        r"cache \(unknown Git revision\); publish it anew"
    )
    with pytest.raises(InputError, match=sentence):
        find_version("good@nothing", project, tmp_path / "b")


@pytest.mark.docs
@pytest.mark.parametrize("is_part", [False, True])
def test_earlier_commit_comes_from_git_or_the_cache_of_dvc(project, tmp_path, is_part):
    if is_part:  # of a repository around it
        (project / "around").mkdir()
        (project / "reports").rename(project / "around" / "reports")
    folder = project / "around" if is_part else project

    def call(*command: str) -> None:
        subprocess.run(command, cwd=folder, check=True, capture_output=True)

    dvc = (sys.executable, "-m", "dvc")
    call("git", "init", "--quiet", str(project))
    call("git", "config", "user.email", "a@b")
    call("git", "config", "user.name", "a")
    call(*dvc, "init", "--quiet", *(["--subdir"] if is_part else []))
    call(*dvc, "add", "reports/good/tables")
    call("git", "add", "--all", ".")
    call("git", "commit", "--quiet", "--message", "one")
    answers = folder / "reports" / "good" / "tables" / "answers.csv"
    before = answers.read_text()
    answers.unlink()
    answers.write_text("answer\n")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    found = find_version("reports/good@HEAD", folder, scratch)
    assert found.answers.read_text() == before
    assert found.title == "Study good"
