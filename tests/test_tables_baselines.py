import numpy as np
import pandas as pd
import pytest

from batteryscope.errors import InputError
from batteryscope.tables.baselines import fit_baseline, predict_baselines
from batteryscope.tables.row_order import order_rows
from batteryscope.tables.table_predictions import COLUMNS
from tests.table_study import FEATURES, make_study

N_ROWS = 30


def make_table(domains=("graphite", "nmc")):
    """A linear law, 30 rows per domain: 18 train, 3 validate, 9 test."""
    rng = np.random.default_rng(0)
    tables, split = [], []
    for domain in domains:
        x = rng.uniform(1, 2, (N_ROWS, len(FEATURES)))
        ids = [f"{domain}_{i:02d}" for i in range(N_ROWS)]
        density = 5 + 2 * x[:, 0] - x[:, 1]
        table = pd.DataFrame(x, columns=list(FEATURES))
        tables.append(table.assign(sample_id=ids, domain=domain, density=density))
        for repeat in (0, 1):
            roles = rng.permutation(["train"] * 18 + ["validation"] * 3 + ["test"] * 9)
            split.append(
                pd.DataFrame({"sample_id": ids, "repeat": repeat, "fold": 0, "role": roles})
            )
    return pd.concat(tables, ignore_index=True), pd.concat(split, ignore_index=True)


def test_linear_law_is_solved_exactly_and_the_mean_is_that_of_the_training_rows():
    manifest, split = make_table()
    study = make_study(evaluate={"baselines": ["mean", "linear"]})
    predictions = predict_baselines(manifest, split, study, seed=1)
    assert list(predictions.columns) == COLUMNS
    # 2 domains x 2 repeats x 12 validation and test rows x 2 baselines
    assert len(predictions) == 96
    assert set(predictions["role"]) == {"validation", "test"}
    linear = predictions[predictions["arm"] == "baseline_linear"]
    np.testing.assert_allclose(linear["y_pred"], linear["y_true"], rtol=1e-9)
    trained = split[(split["role"] == "train") & (split["repeat"] == 1)]["sample_id"]
    rows = manifest[manifest["sample_id"].isin(trained) & (manifest["domain"] == "nmc")]
    mean = predictions.query("arm == 'baseline_mean' and domain == 'nmc' and repeat == 1")
    np.testing.assert_allclose(mean["y_pred"], rows["density"].mean())


def test_target_rows_use_the_first_rows_of_the_common_order_and_only_in_target_domains():
    manifest, split = make_table()
    study = make_study(
        evaluate={"baselines": ["mean"]}, ablations={"target_rows": [5, 18, 100]}, split={"seed": 7}
    )
    predictions = predict_baselines(manifest, split, study, seed=1)
    ablated = predictions[predictions["ablation"] == "target_rows"]
    # 18 are all rows, which is the main study, and 100 do not exist.
    assert set(ablated["value"]) == {5.0}
    assert set(ablated["domain"]) == {"nmc"}
    domain = manifest.set_index("sample_id")["domain"]
    trained = split[(split["role"] == "train") & (split["repeat"] == 0)]["sample_id"]
    first = order_rows(trained[trained.map(domain) == "nmc"], 7, 0)[:5]
    expected = manifest.set_index("sample_id").loc[first, "density"].mean()
    np.testing.assert_allclose(ablated.loc[ablated["repeat"] == 0, "y_pred"], expected)


def test_order_of_rows_depends_on_seed_and_repeat_but_not_on_the_table():
    ids = [f"row{i}" for i in range(40)]
    order = order_rows(ids, 1, 0)
    assert sorted(order) == sorted(ids)
    assert order == order_rows(reversed(ids), 1, 0)
    assert order != order_rows(ids, 2, 0)
    assert order != order_rows(ids, 1, 1)
    without = [s for s in ids if s != order[3]]
    assert order_rows(without, 1, 0) == order[:3] + order[4:]


@pytest.mark.parametrize(
    "name", ["ridge", "random_forest", "gradient_boosting", "gaussian_process"]
)
def test_every_baseline_explains_most_of_a_smooth_law(name):
    rng = np.random.default_rng(1)
    x = rng.uniform(-1, 1, (80, 3))
    y = 10 + 3 * x[:, 0] - 2 * x[:, 1]
    model = fit_baseline(name, x[:60], y[:60], seed=3)
    again = fit_baseline(name, x[:60], y[:60], seed=3)
    left = np.sum((model.predict(x[60:]) - y[60:]) ** 2) / np.sum((y[60:] - y[60:].mean()) ** 2)
    assert left < 0.25
    np.testing.assert_array_equal(model.predict(x), again.predict(x))


def test_missing_number_and_too_few_rows_are_told():
    manifest, split = make_table()
    study = make_study(evaluate={"baselines": ["mean"]})
    broken = manifest.copy()
    broken.loc[4, "roll_gap"] = np.nan
    with pytest.raises(InputError, match=r"'roll_gap' has no number in row graphite_04"):
        predict_baselines(broken, split, study, seed=1)
    nothing = split.assign(role="test")
    with pytest.raises(InputError, match="'graphite' has 0 training rows in repeat 0"):
        predict_baselines(manifest, nothing, study, seed=1)
    with pytest.raises(InputError, match="'oracle' is unknown; choose among mean"):
        fit_baseline("oracle", np.ones((3, 1)), np.ones(3), seed=1)


def test_of_many_rows_a_process_searches_with_a_part_and_answers_by_more(monkeypatch):
    from batteryscope.tables import baselines

    monkeypatch.setattr(baselines, "SEARCHED_ROWS", 30)
    monkeypatch.setattr(baselines, "MOST_ROWS", 60)
    x = np.random.default_rng(2).uniform(1, 3, (90, 2))
    model = fit_baseline("gaussian_process", x, np.sin(2 * x[:, 0]) * x[:, 1], seed=1)
    process = model.process[-1]
    assert (len(process.X_train_), process.optimizer) == (60, None)
    np.testing.assert_allclose(model.predict(x), np.sin(2 * x[:, 0]) * x[:, 1], atol=0.02)
