"""An et al. (2026) row by row: docs/papers/an2026.yaml against params.yaml at paper scale."""

import pandas as pd
import pytest

from batteryscope.splits.assign import split_samples
from tests.paper_rows import check_row, list_rows, load_drawing


@pytest.mark.parametrize("row", list_rows("an2026"), ids=lambda row: row.what)
def test_row(row):
    check_row(row)


def test_272_of_340_slices_train_and_68_are_tested():
    values, plan = load_drawing().load_plan("cell_health")
    drawn = values["dataset"]["generator"]
    rows = [
        {"sample_id": f"{state}_{cell}_{z:02d}", "class": state, "volume": f"{state}_{cell}"}
        for state in drawn["states"]
        for cell in range(drawn["cells_per_state"])
        for z in range(drawn["slices"])
    ]
    manifest = pd.DataFrame(rows).assign(slice=0)
    groups = manifest.set_index("sample_id", drop=False)["sample_id"].rename("group_id")
    split = split_samples(manifest, groups, plan.arms["by_slice"].recipe.split)
    classes = split["sample_id"].map(manifest.set_index("sample_id")["class"])
    counts = pd.crosstab(classes, split["role"])
    assert (counts["train"] == 272).all()
    assert (counts["test"] == 68).all()
    of = {role: set(part) for role, part in split.groupby("role")["sample_id"]}
    assert of["validation"] == of["test"]
