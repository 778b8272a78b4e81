"""SHAP values, ranks and partial dependence of functions whose answers are known."""

import numpy as np
import pandas as pd
import pytest

from batteryscope.errors import ConfigError, InputError
from batteryscope.seeds import derive_rng
from batteryscope.tables.attribution import (
    ExplainedNetwork,
    check_additivity,
    choose_rows,
    compare_ranks,
    compute_shap_values,
    explain_rows,
    find_named_rows,
    rank_features,
)
from batteryscope.tables.explain_study import (
    MOST_ROWS,
    Case,
    choose_explained,
    compute_partial_dependence,
    find_networks,
    list_cases,
)
from tests.made_up_table_study import make_plan, make_table_settings

COEFFICIENTS = np.array([2.0, -1.0, 0.0])
FEATURES = ["gap", "speed", "idle"]


def predict_line(features: np.ndarray) -> np.ndarray:
    return np.asarray(features @ COEFFICIENTS + 5)


def predict_product(features: np.ndarray) -> np.ndarray:
    return np.asarray(features[:, 0] * features[:, 1] + np.abs(features[:, 2]))


@pytest.fixture
def rows() -> pd.DataFrame:
    values = derive_rng("rows").uniform(1, 4, (9, 3))
    table = pd.DataFrame(values, columns=FEATURES)
    return table.assign(sample_id=[f"s{i}" for i in range(9)], domain="nmc")


@pytest.fixture
def background() -> np.ndarray:
    return np.asarray(derive_rng("background").uniform(0, 3, (20, 3)))


def test_shap_values_of_a_linear_function_are_known(
    rows: pd.DataFrame, background: np.ndarray
) -> None:
    array = rows[FEATURES].to_numpy()
    values, base = compute_shap_values(predict_line, array, background)
    np.testing.assert_allclose(values, COEFFICIENTS * (array - background.mean(axis=0)), atol=1e-9)
    np.testing.assert_allclose(base, predict_line(background).mean(), atol=1e-9)


def test_two_features_share_a_product_equally_where_they_are_alike() -> None:
    values, base = compute_shap_values(
        predict_product, np.array([[3.0, 3.0, 0.0]]), np.array([[1.0, 1.0, 0.0]])
    )
    np.testing.assert_allclose(values, [[4.0, 4.0, 0.0]], atol=1e-9)
    np.testing.assert_allclose(base, [1.0])


def test_many_features_are_estimated_and_still_add_up() -> None:
    rng = derive_rng("many")
    array, background = rng.normal(size=(4, 10)), rng.normal(size=(12, 10))

    def predict(features: np.ndarray) -> np.ndarray:
        return np.asarray(np.tanh(features).sum(axis=1) + features[:, 0] * features[:, 9])

    values, base = compute_shap_values(predict, array, background, seed=3)
    np.testing.assert_allclose(base + values.sum(axis=1), predict(array), rtol=1e-6)
    again, _ = compute_shap_values(predict, array, background, seed=3)
    np.testing.assert_array_equal(values, again)


def test_values_that_do_not_add_up_are_refused() -> None:
    with pytest.raises(ArithmeticError, match=r"row 1: .* add up to 3, the prediction is 4"):
        check_additivity(np.array([[1.0], [2.0]]), np.array([1.0, 1.0]), np.array([2.0, 4.0]))


def test_means_over_networks_add_up_to_the_mean_prediction(
    rows: pd.DataFrame, background: np.ndarray
) -> None:
    networks = [
        ExplainedNetwork(predict_line, background[:10]),
        ExplainedNetwork(predict_product, background[10:]),
    ]
    table = explain_rows(networks, rows, FEATURES, "adapter", "density")
    assert list(table.columns) == [
        "sample_id", "domain", "arm", "target", "feature", "feature_value", "shap_value",
        "base_value",
    ]  # fmt: skip
    sums = (
        table.groupby("sample_id")["shap_value"].sum()
        + table.groupby("sample_id")["base_value"].first()
    )
    array = rows[FEATURES].to_numpy()
    expected = (predict_line(array) + predict_product(array)) / 2
    np.testing.assert_allclose(sums[rows["sample_id"]], expected, rtol=1e-9)
    third = table[(table["sample_id"] == "s2") & (table["feature"] == "speed")]
    assert third["feature_value"].item() == rows.loc[2, "speed"]


def test_ranks_follow_the_mean_absolute_value() -> None:
    def make(arm: str, sizes: dict[str, float]) -> pd.DataFrame:
        return pd.DataFrame(
            [
                (sample, "nmc", arm, "density", feature, sign * size)
                for sample, sign in (("a", 1), ("b", -1))
                for feature, size in sizes.items()
            ],
            columns=["sample_id", "domain", "arm", "target", "feature", "shap_value"],
        )

    before = make("pretrained", {"gap": 3.0, "speed": 2.0, "idle": 0.0})
    after = make("adapter", {"gap": 1.0, "speed": 2.0, "idle": 0.5})
    ranking = rank_features(pd.concat([before, after]))
    of_adapter = ranking[ranking["arm"] == "adapter"]
    assert of_adapter["feature"].tolist() == ["speed", "gap", "idle"]
    assert of_adapter["mean_abs_shap"].tolist() == [2.0, 1.0, 0.5]
    changes = compare_ranks(ranking, "pretrained", "adapter").set_index("feature")
    assert changes["rank_before"].to_dict() == {"speed": 2, "gap": 1, "idle": 3}
    assert changes["rank_after"].to_dict() == {"speed": 1, "gap": 2, "idle": 3}


def test_chosen_rows_span_the_predictions() -> None:
    table = pd.DataFrame(
        {"sample_id": list("dbac"), "base_value": 1.0, "shap_value": [4.0, 2.0, 1.0, 3.0]}
    )
    assert choose_rows(table, 2) == ["b", "d"]
    assert choose_rows(table, 9) == ["a", "b", "c", "d"]


def test_partial_dependence_of_a_line_is_the_line() -> None:
    rows = np.array([[1.0, 0.0, 7.0], [2.0, 4.0, 7.0], [3.0, 8.0, 7.0]])
    table = compute_partial_dependence(
        [predict_line, lambda x: predict_line(x) + 2], rows, FEATURES
    )
    gap = table[table["feature"] == "gap"]
    assert gap["feature_value"].tolist() == [1.0, 2.0, 3.0]
    # 2 · gap − 1 · (mean speed 4) + 5, and half of the second network's 2 more.
    assert gap["mean"].tolist() == pytest.approx([4.0, 6.0, 8.0])
    assert gap["sd"].tolist() == pytest.approx([np.sqrt(2.0)] * 3)
    assert "idle" not in set(table["feature"])  # constant, so there is nothing to vary


def test_the_pretrained_arm_borrows_the_networks_of_the_source() -> None:
    plan = make_plan()
    borrowed = plan[plan["arm"] != "pretrained"]
    case = Case("pretrained", "density", "nmc")
    for table in (plan, borrowed):
        found = find_networks(table, case, "graphite")
        assert found["task"].tolist() == [
            "source_density_0",
            "source_density_1",
            "source_density_2",
        ]
    with pytest.raises(InputError, match="none of the arm 'fine_tuning' for density of nmc"):
        find_networks(plan, Case("fine_tuning", "density", "nmc"), "graphite")


def test_cases_are_the_source_and_both_sides_of_transfer() -> None:
    cases = list_cases(make_table_settings(), ["graphite", "nmc"])
    assert [(c.arm, c.domain) for c in cases if c.target == "density"] == [
        ("source", "graphite"),
        ("pretrained", "nmc"),
        ("adapter", "nmc"),
    ]


def test_rows_are_named_by_file_and_line() -> None:
    manifest = pd.DataFrame(
        {"sample_id": ["a", "b", "c"], "path": ["x/one.csv", "x/one.csv", "y/one.csv"]}
    ).assign(row=[2, 17, 2])
    assert find_named_rows(manifest, ["one.csv:17", "x/one.csv:2"]) == ["b", "a"]
    with pytest.raises(ConfigError, match=r"no row 'one.csv:3' was used; name a file \(x/one.csv"):
        find_named_rows(manifest, ["one.csv:3"])
    with pytest.raises(ConfigError, match=r"more than one row 'one.csv:2'"):
        find_named_rows(manifest, ["one.csv:2"])


def test_of_many_rows_some_are_explained_and_named_ones_always() -> None:
    rows = pd.DataFrame({"sample_id": [f"{i:04d}" for i in range(2 * MOST_ROWS)]})
    shown = choose_explained(rows, ["0001", "of another domain"])
    assert len(shown) == MOST_ROWS + 1
    assert {"0000", "0001", f"{2 * MOST_ROWS - 1:04d}"} <= set(shown["sample_id"])
    assert len(choose_explained(rows[:9], [])) == 9
