"""Tables beside pictures, and tables of rows, from which a study starts: what is taken for what."""

import numpy as np
import pandas as pd
import pytest

from batteryscope.config.targets import QuantityTargets
from batteryscope.errors import InputError
from batteryscope.manifest.join_table import remove_unit
from batteryscope.manifest.quantities import attach_quantities


# Values joined to samples.
@pytest.mark.parametrize(
    ("cell", "unit", "left"),
    [
        ("1.21", "1", "1.21"),
        ("0.41", "1", "0.41"),
        ("21", "1/s", "21"),
        ("5 µm", "µm", "5"),
        ("5%", "%", "5"),
        (1.21, "1", 1.21),
    ],
)
def test_a_unit_is_no_digit_of_the_number(cell, unit, left):
    assert remove_unit(cell, unit) == left


def make_samples(*paths: str) -> pd.DataFrame:
    return pd.DataFrame({"path": paths, "specimen_id": [None] * len(paths)})


def join(root, text: str, paths: list[str]) -> list[float]:
    (root / "about.csv").write_text(text)
    settings = QuantityTargets.model_validate(
        {"table": "about.csv", "sample_column": "name", "quantities": {"loading": {"unit": "1"}}}
    )
    return attach_quantities(make_samples(*paths), settings, root)[0]["loading"].tolist()


def test_rows_may_name_folders(tmp_path):
    text = "name,loading\nE1,1.21\nE2,2.41\n"
    assert join(tmp_path, text, ["x/E1/0.png", "x/E1/1.png", "y/E2/0.png"]) == [1.21, 1.21, 2.41]
    assert join(tmp_path, "name,loading\nx/E1,1.1\n", ["x/E1/0.png"]) == [1.1]
    with pytest.raises(InputError, match="2 folders are called 'E1'"):
        join(tmp_path, text, ["x/E1/0.png", "y/E1/0.png"])
