"""Oh et al. (2024) row by row: docs/papers/oh2024.yaml against params.yaml at paper scale."""

import pytest

from batteryscope.demo.sem_traits import ADDITIVES
from tests.paper_rows import check_row, list_rows, load_drawing


@pytest.mark.parametrize("row", list_rows("oh2024"), ids=lambda row: row.what)
def test_row(row):
    check_row(row)


def test_four_fifths_of_4800_crops_train():
    values, plan = load_drawing().load_plan("cathode_state")
    drawn = values["dataset"]["generator"]
    classes = len(drawn["compositions"]) * len(drawn["states"])
    assert (classes, classes * plan.main.recipe.preprocess.tiles_per_class) == (12, 0.8 * 4800)


def test_both_additives_together_leave_more_film_than_either():
    both = ADDITIVES["VC+PS"]
    for one in ("VC", "PS"):
        assert both.film_um > ADDITIVES[one].film_um
        assert both.film_fill > ADDITIVES[one].film_fill
        assert both.protection > ADDITIVES[one].protection
