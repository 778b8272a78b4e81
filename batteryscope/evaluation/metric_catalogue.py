"""Every metric once: its name in tables, what people call it, its unit, and which way is better.

Studies of classes, of capacities and of rows, the tables and the figures of reports all ask here,
so that a metric that is added has the same words everywhere.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

SMALLEST_SPREAD = 0.02  # standard deviation per mean of true values; below it R² says nothing
Unit = Literal["share", "percent", "target", "nats", "none"]


def measure_mape(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Mean absolute percentage error in percent; NaN if a true value is 0, which has no percent."""
    from sklearn.metrics import mean_absolute_percentage_error

    true = np.asarray(y_true, dtype=np.float64)
    if (true == 0).any():
        return float("nan")
    return float(100 * mean_absolute_percentage_error(true, np.asarray(y_pred, np.float64)))


def measure_mae(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Mean absolute error in the unit of the values."""
    return float(np.abs(_find_errors(y_true, y_pred)[1]).mean())


def measure_rmse(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Root of the mean squared error in the unit of the values."""
    return float(np.sqrt((_find_errors(y_true, y_pred)[1] ** 2).mean()))


def hardly_varies(y_true: ArrayLike) -> bool:
    """Whether the standard deviation of true values is below :data:`SMALLEST_SPREAD` of their mean.

    No model can explain what does not vary.
    """
    true = np.asarray(y_true, dtype=np.float64)
    return bool(true.std() <= SMALLEST_SPREAD * np.abs(true.mean()))


def measure_r2(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Coefficient of determination against the mean of these same values; at most 1.

    Returns
    -------
    float
        0 is as good as the mean of the true values, which no model knows beforehand; NaN if they
        hardly vary (:func:`hardly_varies`).
    """
    from sklearn.metrics import r2_score

    if hardly_varies(y_true):
        return float("nan")
    return float(r2_score(np.asarray(y_true, np.float64), np.asarray(y_pred, np.float64)))


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes
    ----------
    name
        In tables and files.
    label
        In the text of reports.
    unit
        ``share`` (in [0, 1], shown in percent), ``percent``, ``target`` (that of the predicted
        quantity), ``nats`` or ``none``.
    higher_is_better
        The direction.
    measure
        Its value for the true and predicted numbers of one fit. None for verdicts and
        probabilities, of which many metrics come from one count (``measure_verdicts``,
        ``measure_probabilities``).
    axis
        What figures write beside it, without its unit; empty: the label.
    sentence
        What it is, with a place for the name of the samples.
    decimals
        As many are shown.
    """

    name: str
    label: str
    unit: Unit
    higher_is_better: bool
    measure: Callable[[ArrayLike, ArrayLike], float] | None = None
    axis: str = ""
    sentence: str = ""
    decimals: int = 1

    @property
    def is_percent(self) -> bool:
        """Whether it is shown in percent."""
        return self.unit in ("share", "percent")

    @property
    def factor(self) -> float:
        """From values in tables to what is shown."""
        return 100.0 if self.unit == "share" else 1.0

    @property
    def bounds(self) -> tuple[float, float]:
        """The smallest and the largest value that it can have."""
        if self.unit == "share":
            return 0.0, 1.0
        return (-np.inf, 1.0) if self.higher_is_better else (0.0, np.inf)

    @property
    def axis_label(self) -> str:
        """Name and unit beside an axis or a colour bar, such as ``MAPE (%)``."""
        return f"{self.axis or self.label}{' (%)' if self.is_percent else ''}"

    def title(self, unit: str) -> str:
        """Name and unit above a column, such as ``MAE / MPa`` for a quantity in MPa, or ``R²``."""
        if self.is_percent:
            return f"{self.label} / %"
        return f"{self.label} / {unit}" if self.unit == "target" else self.label

    def format(self, value: float, decimals: int | None = None, sd: float | None = None) -> str:
        """Return ``93.8 %`` or ``93.8 ± 1.2 %``, a plain number where the unit is no percent.

        NaN gives a dash; without ``decimals`` there are as many as the metric has.
        """
        if pd.isna(value):
            return "–"
        digits = self.decimals if decimals is None else decimals
        spread = "" if sd is None or pd.isna(sd) else f" ± {self.factor * sd:.{digits}f}"
        return f"{self.factor * value:.{digits}f}{spread}{' %' if self.is_percent else ''}"


METRICS = {
    metric.name: metric
    for metric in (
        Metric(
            "accuracy",
            "accuracy",
            "share",
            True,
            axis="right class",
            sentence="share of test {samples} put into the right class",
        ),
        Metric("balanced_accuracy", "balanced accuracy", "share", True),
        Metric("macro_f1", "macro F1", "share", True),
        Metric("macro_precision", "macro precision", "share", True),
        Metric("macro_recall", "macro recall", "share", True),
        Metric("macro_jaccard", "macro Jaccard index", "share", True),
        Metric("macro_specificity", "macro specificity", "share", True),
        Metric("top2_accuracy", "right class among the first two", "share", True),
        Metric("pooled_accuracy", "pooled accuracy", "share", True),
        Metric(
            "quadratic_kappa",
            "quadratic kappa",
            "none",
            True,
            sentence="agreement of the grades of test {samples} beyond chance, by squared distance",
            decimals=2,
        ),
        Metric("grade_mae", "MAE in grades", "none", False, decimals=2),
        Metric("adjacent_accuracy", "at most one grade off", "share", True),
        Metric("log_loss", "log loss", "nats", False),
        Metric("ece", "ece", "share", False),
        Metric(
            "mape",
            "MAPE",
            "percent",
            False,
            measure_mape,
            sentence="mean absolute percentage error of test {samples}",
        ),
        Metric("mae", "MAE", "target", False, measure_mae),
        Metric("rmse", "RMSE", "target", False, measure_rmse),
        Metric(
            "r2",
            "R²",
            "none",
            True,
            measure_r2,
            sentence="share of the variance of test {samples} that is explained (R²)",
            decimals=2,
        ),
    )
}


def name_metric(metric: str) -> str:
    """Return how a metric is called in the text; one that is not known has its own name."""
    known = METRICS.get(metric)
    return known.label if known else metric.replace("_", " ")


def _find_errors(y_true: ArrayLike, y_pred: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    true = np.asarray(y_true, dtype=np.float64)
    return true, np.asarray(y_pred, dtype=np.float64) - true
