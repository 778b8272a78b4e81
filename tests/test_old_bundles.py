"""Bundles of the first format load and say what they said when they were written.

``tests/fixtures/bundles/README.md`` tells what they are. They are never renewed: a change that
breaks one of them breaks the models that people have published.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from batteryscope.bundle.predict_program import main as predict_images
from tests.conftest import ROOT

BUNDLES = Path(__file__).parent / "fixtures" / "bundles"
PICTURES = (
    "classes_of_images", "classes_of_scans", "grades", "capacities", "capacities_solved",
    "quantities",
)  # fmt: skip
ROWS = ("tables", "tables_processes")
LARGEST_BYTES = 220_000

pytestmark = pytest.mark.usefixtures("one_thread")


def read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, keep_default_na=False, dtype=str)


def check_equal(found: pd.DataFrame, stored: pd.DataFrame) -> None:
    """Texts are equal, numbers to 1e-5 of their size; new columns may have come."""
    assert len(found) == len(stored) > 0
    for column in stored:
        numbers = pd.to_numeric(stored[column], errors="coerce")
        is_number = numbers.notna()
        ours = pd.to_numeric(found.loc[is_number, column]).to_numpy(float)
        np.testing.assert_allclose(
            ours, numbers[is_number].to_numpy(float), rtol=1e-5, atol=1e-5, err_msg=column
        )
        assert found.loc[~is_number, column].tolist() == stored.loc[~is_number, column].tolist()


@pytest.mark.parametrize("kind", [*PICTURES, *ROWS])
def test_old_bundles_predict_the_same(kind: str, tmp_path: Path) -> None:
    folder, out = BUNDLES / kind, tmp_path / "predictions.csv"
    asked = ["--table", str(folder / "input" / "rows.csv")]
    if kind in PICTURES:
        asked = ["--images", str(folder / "input"), "--device", "cpu"]
    if (beside := folder / "beside.csv").exists():
        asked += ["--covariates", str(beside)]
    assert predict_images(["--bundle", str(folder / "bundle"), *asked, "--out", str(out)]) == 0
    found = read(out)
    assert (found["status"] == "ok").any()
    check_equal(found, read(folder / "predictions.csv"))


def test_whatever_can_be_published_is_stored() -> None:
    records = {
        kind: json.loads((BUNDLES / kind / "bundle" / "bundle.json").read_text(encoding="utf-8"))
        for kind in (*PICTURES, *ROWS)
    }
    kinds = {record.get("kind", "classes") for record in records.values()}
    assert kinds == {"classes", "capacity", "quantities", "table"}
    assert [kind for kind, record in records.items() if "covariates" in record] == ["quantities"]
    assert [kind for kind, record in records.items() if record.get("sets")] == ["grades"]
    judging = ["grades", "capacities_solved", "quantities", "tables_processes"]
    assert [kind for kind, record in records.items() if record.get("familiarity")] == judging
    networks = {
        kind: json.loads(next((BUNDLES / kind / "bundle").glob("fold_*.json")).read_text())
        for kind in PICTURES
    }
    assert networks["grades"]["grades"] == ["new", "aged", "dead"]
    assert networks["quantities"]["log_outputs"]
    assert networks["capacities_solved"]["pool_samples"]
    assert networks["capacities_solved"]["kernel_centres"] == 8
    processes = [member["network"] for member in records["tables_processes"]["members"]]
    assert {process["kind"] for process in processes} == {"processes"}
    assert any(part["parent"] for process in processes for part in process["members"])


@pytest.mark.parametrize(
    ("kind", "said", "sentence"),
    [
        ("tables", ["--images", "x"], "--images is for pictures or scans, but {} judges rows; give "
         "--table instead."),
        ("tables", ["--table", "x", "--device", "cpu"], "--device is for pictures or scans, but {} "
         "judges rows; leave it out."),
        ("tables", [], "--table: name what shall be judged; {} judges rows."),
        ("capacities", ["--table", "x"], "--table is for rows, but {} judges pictures; give "
         "--images instead."),
        ("classes_of_images", ["--images", "x", "--slices", "1:2"], "--slices is for scans, but {} "
         "judges pictures; leave it out."),
        ("classes_of_scans", ["--images", "x", "--domain", "a"], "--domain is for rows, but {} "
         "judges scans; leave it out."),
    ],
)  # fmt: skip
def test_what_does_not_go_with_a_model_is_refused(
    kind: str, said: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = str(BUNDLES / kind / "bundle")
    assert predict_images(["--bundle", bundle, *said]) == 1
    assert capsys.readouterr().err.strip() == "ERROR: " + sentence.format(bundle)


@pytest.mark.parametrize("name", ["images", "table"])
def test_the_program_has_two_names(name: str) -> None:
    text = (ROOT / f"workflow_scripts/predict_{name}.py").read_text(encoding="utf-8")
    assert "from batteryscope.bundle.predict_program import main" in text


@pytest.mark.parametrize("kind", [*PICTURES, *ROWS])
def test_stored_bundles_stay_small(kind: str) -> None:
    sizes = [path.stat().st_size for path in (BUNDLES / kind / "bundle").rglob("*")]
    assert 0 < sum(sizes) < LARGEST_BYTES
