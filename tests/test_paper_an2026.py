"""An et al. (2026) row by row: docs/papers/an2026.yaml against params.yaml at paper scale."""

import pandas as pd
import pytest

from batteryscope.config.project import load_project
from batteryscope.plan import plan_study
from batteryscope.splits.assign import split_samples
from tests.conftest import ROOT
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


def test_the_demo_has_the_papers_head():
    paper = load_drawing().load_plan("cell_health")[1].main.recipe
    study = load_project(ROOT / "params.yaml", {"scale": "demo"}).studies["cell_health"]
    demo = plan_study("cell_health", study).arms["paper_head"].recipe
    for name in ("head_units", "dropout", "weights", "pooling"):
        assert getattr(demo.model, name) == getattr(paper.model, name), name
    assert demo.balance.method == paper.balance.method == "class_weights"
    assert 0 < demo.model.freeze < 9  # of the layer groups of EfficientNet-Lite0
