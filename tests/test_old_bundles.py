"""Bundles of the first format load and say what they said when they were written.

``tests/fixtures/bundles/README.md`` tells what they are. They are never renewed: a change that
breaks one of them breaks the models that people have published.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from workflow_scripts.predict_images import main as predict_images
from workflow_scripts.predict_table import main as predict_table

BUNDLES = Path(__file__).parent / "fixtures" / "bundles"
PICTURES = ("classes_of_images", "classes_of_scans", "capacities")
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


@pytest.mark.parametrize("kind", PICTURES)
def test_old_bundles_of_pictures_predict_the_same(kind: str, tmp_path: Path) -> None:
    folder, out = BUNDLES / kind, tmp_path / "predictions.csv"
    arguments = ["--bundle", str(folder / "bundle"), "--images", str(folder / "input")]
    assert predict_images([*arguments, "--out", str(out), "--device", "cpu"]) == 0
    found = read(out)
    assert (found["status"] == "ok").any()
    check_equal(found, read(folder / "predictions.csv"))


def test_an_old_bundle_of_tables_predicts_the_same(tmp_path: Path) -> None:
    folder, out = BUNDLES / "tables", tmp_path / "predictions.csv"
    arguments = ["--bundle", str(folder / "bundle"), "--table", str(folder / "input" / "rows.csv")]
    assert predict_table([*arguments, "--out", str(out)]) == 0
    check_equal(read(out), read(folder / "predictions.csv"))


@pytest.mark.parametrize("kind", [*PICTURES, "tables"])
def test_stored_bundles_stay_small(kind: str) -> None:
    sizes = [path.stat().st_size for path in (BUNDLES / kind / "bundle").rglob("*")]
    assert 0 < sum(sizes) < LARGEST_BYTES
