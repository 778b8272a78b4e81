"""Jeon et al. (2025) row by row: docs/papers/jeon2025.yaml against params.yaml at paper scale."""

import pytest

from batteryscope.config.picture_generators import name_sem_folder
from tests.paper_rows import check_row, list_rows, load_drawing

# Sums over the nine classes of Table 1.
TABLE_1 = {
    "pre_ft_os": (8.79, 8.80),
    "pre_ft_wl": (8.17, 8.51),
    "ft_os": (8.04, 8.33),
    "pre_only": (5.70, 5.54),
}
TABLE_2 = {
    "pre_ft_os": (43.38, 0.94, 0.94),
    "resnet18": (26.62, 0.66, 0.59),
    "mobilenet_v2": (39.34, 0.91, 0.91),
    "densenet201": (297.34, 0.82, 0.80),
}


@pytest.mark.parametrize("row", list_rows("jeon2025"), ids=lambda row: row.what)
def test_row(row):
    check_row(row)


@pytest.fixture(scope="module")
def values():
    return load_drawing().load_plan("additive_transfer")[0]


def test_generated_images_are_1700(values):
    drawn = values["dataset"]["generator"]
    counts = {
        name_sem_folder(composition, state, additive): drawn["images_per_class"]
        for composition in drawn["compositions"]
        for state in drawn["states"]
        for additive in drawn["additives"]
    } | drawn["images_of"]
    poor = sorted((n for name, n in counts.items() if name.endswith("_VC")), reverse=True)
    assert (sum(counts.values()), poor[1], len(poor)) == (1700, 201, 9)
    assert sum(poor) < 1700 - sum(poor)


@pytest.mark.parametrize("arm", TABLE_1)
def test_table_1_stands_beside_ours(values, arm):
    rows = [row for row in values["evaluate"]["paper_classes"] if row["arm"] == arm]
    assert len({row["class_name"] for row in rows}) == 9
    sums = tuple(sum(row[key] for row in rows) for key in ("accuracy", "f1"))
    assert sums == pytest.approx(TABLE_1[arm])


def test_table_2_stands_beside_ours(values):
    told = {(row["arm"], row["metric"]): row["value"] for row in values["evaluate"]["paper"]}
    metrics = ("train_seconds", "accuracy", "macro_f1")
    assert {arm: tuple(told[arm, m] for m in metrics) for arm in TABLE_2} == TABLE_2
