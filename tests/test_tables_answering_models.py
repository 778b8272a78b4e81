"""What answers a question about new settings: whoever errs least on test rows."""

import numpy as np
import pandas as pd
import pytest

from batteryscope.tables.answering_models import choose_answering_arms, replace_networks
from batteryscope.tables.ensemble import TableEnsemble
from tests.linear_study import FEATURES, LAWS, apply_law, make_manifest, make_settings
from tests.table_networks import split_in_order


def make_comparison(metric: str = "mape", **means: float) -> pd.DataFrame:
    rows = [
        {"arm": arm, "target": target, "domain": "nmc", "metric": metric, "mean": mean}
        for target in LAWS
        for arm, mean in means.items()
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("means", "model", "answers"),
    [
        ({"baseline_linear": 3.0, "adapter": 4.0}, "best", "baseline_linear"),
        ({"baseline_linear": 4.0, "adapter": 4.0}, "best", "adapter"),
        ({"baseline_linear": 3.0, "adapter": 4.0}, "network", "adapter"),
        ({"scratch": 1.0, "adapter": 4.0, "baseline_mean": 9.0}, "best", "adapter"),
    ],
)
def test_lowest_error_answers(means: dict[str, float], model: str, answers: str) -> None:
    settings = make_settings()
    assert settings.propose is not None
    propose = settings.propose.model_copy(update={"model": model})
    settings = settings.model_copy(update={"propose": propose})
    chosen = choose_answering_arms(make_comparison(**means), settings, "nmc")
    assert chosen == dict.fromkeys(LAWS, answers)


def test_mean_absolute_error_chooses_where_a_target_is_zero_somewhere() -> None:
    comparison = make_comparison("mae", baseline_linear=0.003, adapter=0.004)
    r2 = comparison.assign(metric="r2", mean=-comparison["mean"])
    comparison = pd.concat([comparison, r2], ignore_index=True)
    chosen = choose_answering_arms(comparison, make_settings(), "nmc")
    assert chosen == dict.fromkeys(LAWS, "baseline_linear")
    # One target has percentages, and they decide for it alone.
    other = make_comparison(baseline_linear=4.0, adapter=3.0).query("target == 'density'")
    chosen = choose_answering_arms(pd.concat([comparison, other]), make_settings(), "nmc")
    assert chosen == dict.fromkeys(LAWS, "baseline_linear") | {"density": "adapter"}


def test_linear_regression_answers_a_linear_law_exactly(tmp_path) -> None:
    settings, manifest = make_settings(), make_manifest()
    split = split_in_order(manifest, settings.split, FEATURES)
    pd.DataFrame(
        {
            "arm": "baseline_linear", "target": list(LAWS), "domain": "nmc", "repeat": np.nan,
            "relative_half_width": 0.125,
        }
    ).to_csv(tmp_path / "intervals.csv", index=False)  # fmt: skip
    ensemble = replace_networks(
        TableEnsemble({}, {}),
        dict.fromkeys(LAWS, "baseline_linear"),
        "nmc",
        manifest,
        split,
        settings,
        tmp_path / "intervals.csv",
    )
    rows = manifest[manifest["domain"] == "nmc"]
    for target in LAWS:
        told = ensemble.predict("nmc", target, rows[list(FEATURES)].to_numpy("float64"))
        np.testing.assert_allclose(told.mean, apply_law(target, rows, "nmc"), rtol=1e-9)
        np.testing.assert_allclose(told.high, 1.125 * told.mean)
    assert len(ensemble.members["nmc", "density"]) == settings.split.repeats
