"""Figures of tables for telephones: as narrow as the screen, and nothing is cut."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from batteryscope.core.style import NARROW_IN
from batteryscope.tables import figures_explain, figures_features, figures_training
from batteryscope.tables.figure_proposals import draw_proposals
from batteryscope.tables.figures import draw_distributions
from batteryscope.tables.proposals import Proposals
from tests.made_up_table_study import make_table_settings
from tests.test_report_narrow import list_cut_texts

DATASET = make_table_settings().dataset
FEATURES, DOMAINS = list(DATASET.features), ["graphite", "nmc"]
VALUES = np.random.default_rng(1).uniform(1, 300, (20, len(FEATURES)))
MANIFEST = pd.DataFrame(VALUES, columns=FEATURES).assign(
    density=2.0, mass_loading=VALUES[:, 0], domain=np.repeat(DOMAINS, 10)
)
SHAP_VALUES = pd.DataFrame(
    {
        "sample_id": f"{domain}{row}", "domain": domain, "feature": feature, "base_value": 2.0,
        "feature_value": VALUES[row, i], "shap_value": 0.1 * (row - i),
    }
    for domain in DOMAINS for row in range(10) for i, feature in enumerate(FEATURES)
)  # fmt: skip
RANKS = pd.DataFrame(
    {
        "target": target, "domain": "nmc", "feature": feature, "rank_before": i + 1,
        "rank_after": len(FEATURES) - i, "mean_abs_shap_before": 0.2, "mean_abs_shap_after": 0.1,
    }
    for target in DATASET.targets for i, feature in enumerate(FEATURES)
)  # fmt: skip
INTERVALS = pd.DataFrame(
    {
        "target": target, "domain": domain, "coverage_wanted": 0.9, "coverage_measured": 0.8,
        "relative_half_width": np.inf, "n_test": 1234,
    }
    for target in DATASET.targets for domain in DOMAINS
)  # fmt: skip
PROPOSALS = Proposals(
    MANIFEST[10:13].assign(proposal=[1, 2, 3], density_low=1.9, density_high=2.1),
    {"density": 2.0}, "nmc", trials=100, within_tolerance=9, pareto=3,
)  # fmt: skip
ROWS = {domain: [f"{domain}0", f"{domain}1"] for domain in DOMAINS}
PLACES = dict.fromkeys(SHAP_VALUES["sample_id"], "a_file_with_a_name_of_its_own.csv:9")


@pytest.mark.parametrize(
    ("draw", "panels"),
    [
        (partial(figures_training.draw_coverage, INTERVALS, DATASET, DOMAINS), 1),
        (partial(figures_explain.draw_beeswarm, SHAP_VALUES, DATASET, "density", DOMAINS), 2),
        (
            partial(
                figures_explain.draw_waterfalls,
                SHAP_VALUES, DATASET, "density", ROWS, dict.fromkeys(PLACES, 2.5), PLACES,
            ),
            4,
        ),
        (partial(figures_features.draw_rank_changes, RANKS, DATASET, ["nmc"]), 2),
        (partial(draw_proposals, PROPOSALS, MANIFEST, DATASET), 2),
        (partial(draw_distributions, MANIFEST, DATASET, DOMAINS), len(FEATURES) + 2),
    ],
)  # fmt: skip
def test_a_figure_fits_a_telephone(draw: Callable[..., Figure], panels: int) -> None:
    figure = draw(narrow=True)
    assert figure.get_size_inches()[0] == NARROW_IN
    assert not list_cut_texts(figure)
    places = {(a.get_position().x0, a.get_position().y0) for a in figure.axes if a.axison}
    assert len(places) - (draw.func is figures_explain.draw_beeswarm) == panels  # a scale of colour
    assert draw().get_size_inches()[0] > NARROW_IN
