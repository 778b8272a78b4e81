"""Every metric has one entry: formula, unit, direction and words."""

import numpy as np
import pytest

from batteryscope.config.evaluate import SHARES
from batteryscope.evaluation.comparison import METRICS as OF_CLASSES
from batteryscope.evaluation.metric_catalogue import METRICS, measure_mape, measure_r2, name_metric
from batteryscope.evaluation.metrics import measure_verdicts
from batteryscope.evaluation.number_metrics import measure_errors
from batteryscope.tables.scores import METRICS as OF_ROWS

TRUE, PREDICTED = [1.0, 2.0, 3.0], [1.1, 1.8, 3.0]


def test_formulas_of_numbers_are_those_of_the_textbook() -> None:
    found = {name: m.measure(TRUE, PREDICTED) for name, m in METRICS.items() if m.measure}
    assert found == pytest.approx(
        {
            "mape": (10 + 10 + 0) / 3,
            "mae": 0.1,
            "rmse": np.sqrt(0.05 / 3),
            "r2": 1 - 0.05 / 2,
        }
    )
    assert np.isnan(measure_r2([2.0, 2.0], [1.0, 3.0]))
    # 100 ± 1.9 and 100 ± 2.1: the edge is 2 % of the mean.
    assert np.isnan(measure_r2([98.1, 101.9], [100, 100]))
    assert measure_r2([97.9, 102.1], [100, 100]) == pytest.approx(0)
    assert measure_r2([-1, 1], [-1, 1]) == 1  # around 0 everything varies
    assert np.isnan(measure_mape([0.0, 1.0], [1.0, 1.0]))
    assert measure_mape([-2.0, 1.0], [-1.0, 1.0]) == pytest.approx(25)


def test_whatever_studies_measure_is_in_the_catalogue() -> None:
    assert set(measure_verdicts(["a", "b"], ["a", "a"])) <= METRICS.keys()
    assert {*OF_CLASSES, *OF_ROWS, *measure_errors(TRUE, PREDICTED)} <= METRICS.keys()
    assert {name for name in SHARES if METRICS[name].unit != "share"} == set()


def test_errors_shall_be_small_and_shares_of_right_answers_large() -> None:
    errors = {name for name, metric in METRICS.items() if not metric.higher_is_better}
    assert errors == {"mape", "mae", "rmse", "grade_mae", "log_loss", "ece"}


def test_words_and_formats() -> None:
    assert METRICS["accuracy"].axis_label == "right class (%)"
    assert METRICS["mape"].axis_label == "MAPE (%)"
    assert METRICS["r2"].axis_label == "R²"
    assert METRICS["accuracy"].format(0.938) == "93.8 %"
    assert METRICS["mape"].format(4.31) == "4.3 %"
    assert METRICS["r2"].format(0.912, 3) == "0.912"
    assert METRICS["r2"].format(0.912, sd=0.02) == "0.91 ± 0.02"
    assert METRICS["accuracy"].format(0.938, sd=0.012) == "93.8 ± 1.2 %"
    titles = [METRICS[name].title("MPa") for name in ("mae", "mape", "r2")]
    assert titles == ["MAE / MPa", "MAPE / %", "R²"]
    assert METRICS["accuracy"].format(float("nan")) == "–"
    assert name_metric("macro_f1") == "macro F1"
    assert name_metric("train_seconds") == "train seconds"
