"""Fernandez et al. (2025) row by row: docs/papers/fernandez2025.yaml against params.yaml."""

import pytest

from tests.paper_rows import check_row, list_rows, load_drawing


@pytest.mark.parametrize("row", list_rows("fernandez2025"), ids=lambda row: row.what)
def test_row(row):
    check_row(row)


@pytest.mark.parametrize(
    ("study", "features", "targets"),
    [
        (
            "electrode_manufacturing",
            ["active_material_wt_percent", "solid_content_wt_percent", "coating_speed_m_min",
             "comma_gap_um", "roll_speed_m_min", "roll_gap_um"],
            ["density_g_cm3", "mass_loading_mg_cm2"],
        ),
        (
            "gdl_tortuosity",
            ["fibre_diameter_um", "fibre_concentration_vol_percent",
             "binder_concentration_vol_percent", "thickness_um", "compression_factor"],
            ["geometric_tortuosity"],
        ),
    ],
)  # fmt: skip
def test_features_and_targets_are_the_papers(study, features, targets):
    dataset = load_drawing().load_plan(study)[0]["dataset"]
    assert (list(dataset["features"]), list(dataset["targets"])) == (features, targets)
