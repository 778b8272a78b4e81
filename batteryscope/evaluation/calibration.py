"""Whether 90 % sure means right nine times out of ten, and one number that makes it so."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from batteryscope.evaluation.aggregate import aggregate_to_images
from batteryscope.evaluation.metrics import (
    ECE_BINS,
    SMALLEST_PROBABILITY,
    find_confidence_bins,
    index_classes,
    measure_calibration_error,
)
from batteryscope.evaluation.predictions import FIT, PREFIX, find_classes, get_probabilities

TEMPERATURE_RANGE = (0.05, 20.0)
IMAGE_PARTS = 5  # of validation images that all fits share, which test a temperature


def fit_temperature(probabilities: NDArray[np.floating], y: ArrayLike) -> float:
    """Fit the temperature that makes validation probabilities most likely.

    Parameters
    ----------
    probabilities
        (n, n_classes) of validation samples; their logarithms serve as logits.
    y
        (n,) index of the true class.

    Returns
    -------
    float
        Temperature in [0.05, 20]; above 1 the model was too sure. 1 without samples.

    Notes
    -----
    Guo et al. 2017. The targets are smoothed as in Platt 1999: the true class gets
    (n+1)/(n+2), the others share the rest, so that a validation part without a single
    mistake does not ask for absolute certainty.
    """
    from scipy.optimize import minimize_scalar

    index = np.asarray(y, dtype=np.intp)
    n, n_classes = probabilities.shape
    if n == 0 or n_classes < 2:
        return 1.0
    logits = _take_logits(probabilities)
    targets = np.full((n, n_classes), 1.0 / (n + 2) / (n_classes - 1))
    targets[np.arange(n), index] = (n + 1) / (n + 2)

    def find_loss(log_temperature: float) -> float:
        scaled = logits / np.exp(log_temperature)
        top = scaled.max(axis=1, keepdims=True)
        log_sum = top + np.log(np.exp(scaled - top).sum(axis=1, keepdims=True))
        return float(-(targets * (scaled - log_sum)).sum(axis=1).mean())

    low, high = np.log(TEMPERATURE_RANGE)
    best = minimize_scalar(find_loss, bounds=(low, high), method="bounded", options={"xatol": 1e-4})
    return float(np.exp(best.x))


def apply_temperature(
    probabilities: NDArray[np.floating], temperature: float
) -> NDArray[np.float64]:
    """Return the probabilities (n, n_classes) at another temperature; the winner stays the same.

    Raises
    ------
    ValueError
        If the temperature is not positive.
    """
    if not temperature > 0:
        raise ValueError(f"temperature {temperature} is not positive")
    scaled = _take_logits(probabilities) / temperature
    powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def tabulate_reliability(
    probabilities: NDArray[np.floating], y: ArrayLike, bins: int = ECE_BINS
) -> pd.DataFrame:
    """Tabulate confidence against accuracy for a reliability diagram.

    Returns
    -------
    DataFrame
        One row per bin: ``bin_low, bin_high, confidence, accuracy, count``;
        confidence and accuracy are empty (NaN) where the count is 0.
    """
    values = np.asarray(probabilities, dtype=np.float64)
    confidence = values.max(axis=1)
    right = values.argmax(axis=1) == np.asarray(y, dtype=np.intp)
    bin_of = find_confidence_bins(confidence, bins)
    count = np.bincount(bin_of, minlength=bins)
    edges = np.arange(bins + 1) / bins
    with np.errstate(invalid="ignore"):
        return pd.DataFrame(
            {
                "bin_low": edges[:-1],
                "bin_high": edges[1:],
                "confidence": np.bincount(bin_of, weights=confidence, minlength=bins) / count,
                "accuracy": np.bincount(bin_of, weights=right, minlength=bins) / count,
                "count": count,
            }
        )


@dataclass(frozen=True)
class VoteCalibration:
    """One temperature for the votes of an arm, and whether it is any good.

    ``fitted`` is the temperature that makes all ``n_images`` validation votes most likely.
    ``log_loss`` and ``gap`` (mean distance of confidence and accuracy) of these votes are as
    predicted; ``scaled_log_loss`` and ``scaled_gap`` with temperatures that were fitted to other
    images each. They are NaN where there are too few images for that.
    """

    fitted: float
    n_images: int
    log_loss: float = float("nan")
    scaled_log_loss: float = float("nan")
    gap: float = float("nan")
    scaled_gap: float = float("nan")

    @property
    def helps(self) -> bool:
        """Whether a temperature made votes more likely that it was not fitted to."""
        return self.scaled_log_loss < self.log_loss and self.scaled_gap <= self.gap

    @property
    def temperature(self) -> float:
        """What is published: 1, which changes nothing, unless the temperature helps."""
        return self.fitted if self.helps else 1.0


def calibrate_votes(predictions: pd.DataFrame) -> VoteCalibration:
    """Fit one temperature to the image votes of the validation parts of all fits, and test it.

    The test is a cross-fit: the votes of every fit are scaled by a temperature from the validation
    parts of the other fits, without the images of its own. Where that leaves none, as with a
    single fit or with the same validation images in every repeat, the images are divided into
    fifths, and the votes on each are scaled by a temperature from the others.

    Parameters
    ----------
    predictions
        Tile-level predictions of one arm.
    """
    images = aggregate_to_images(predictions[predictions["role"] == "validation"])
    index = index_classes(images["y_true"], find_classes(images))
    votes = get_probabilities(images)
    fitted = fit_temperature(votes, index)
    scaled = np.full_like(votes, np.nan)
    samples = images["sample_id"].to_numpy()
    for part in _divide_votes(images):
        others = ~np.isin(samples, samples[part])
        if others.any():
            temperature = fit_temperature(votes[others], index[others])
            scaled[part] = apply_temperature(votes[part], temperature)
    if not len(votes) or np.isnan(scaled).any():
        return VoteCalibration(fitted, len(images))
    return VoteCalibration(
        fitted,
        len(images),
        _find_log_loss(votes, index),
        _find_log_loss(scaled, index),
        measure_calibration_error(votes, index),
        measure_calibration_error(scaled, index),
    )


def _divide_votes(images: pd.DataFrame) -> list[NDArray[np.intp]]:
    """Return the places of the votes of every fit; of fifths of the images if no others are left.

    All votes on an image stand in the same fifth.
    """
    samples = images["sample_id"]
    parts = images.groupby(FIT, sort=True).ngroup().to_numpy()
    counts = samples.groupby(parts).nunique()
    if len(samples) and (counts == samples.nunique()).any():
        # Every class goes round the parts.
        once = images[["y_true", "sample_id"]].drop_duplicates("sample_id")
        order = once.sort_values(["y_true", "sample_id"])["sample_id"]
        fifths = pd.Series(np.arange(len(order)) % IMAGE_PARTS, index=order.to_numpy())
        parts = samples.map(fifths).to_numpy()
    return [np.flatnonzero(parts == part) for part in np.unique(parts)]


def _find_log_loss(probabilities: NDArray[np.floating], index: NDArray[np.intp]) -> float:
    likely = probabilities[np.arange(len(index)), index]
    return float(-np.log(np.clip(likely, SMALLEST_PROBABILITY, 1.0)).mean())


def describe_predictions(predictions: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Say how the votes of an arm are calibrated, as the content of ``calibration.json``."""
    votes = calibrate_votes(predictions)
    numbers = {
        "temperature": votes.temperature,
        "fitted_temperature": votes.fitted,
        "log_loss": votes.log_loss,
        "scaled_log_loss": votes.scaled_log_loss,
        "gap": votes.gap,
        "scaled_gap": votes.scaled_gap,
    }
    rounded = {k: None if np.isnan(v) else round(v, 6) for k, v in numbers.items()}
    told = {"n_images": votes.n_images, "helps": votes.helps}
    return {"calibration.json": rounded | told}


def scale_by_validation(predictions: pd.DataFrame) -> pd.DataFrame:
    """Temperature-scale the test predictions of every fit by its own validation rows.

    Parameters
    ----------
    predictions
        Predictions table with roles ``validation`` and ``test``, all of one level.

    Returns
    -------
    DataFrame
        The test rows, ``p_`` columns scaled. Fits without validation rows (baselines)
        are left out.
    """
    classes = find_classes(predictions)
    columns = [PREFIX + name for name in classes]
    scaled = [predictions[:0]]
    for _, fit in predictions.groupby(["arm", *FIT], sort=False):
        test, validation = fit[fit["role"] == "test"].copy(), fit[fit["role"] == "validation"]
        if len(validation) and len(test):
            index = index_classes(validation["y_true"], classes)
            temperature = fit_temperature(get_probabilities(validation), index)
            test[columns] = apply_temperature(get_probabilities(test), temperature)
            scaled.append(test)
    return pd.concat(scaled, ignore_index=True)


def tabulate_arm_reliability(predictions: pd.DataFrame, level: str = "image") -> pd.DataFrame:
    """Tabulate the reliability of image-level test predictions per arm.

    Parameters
    ----------
    predictions
        Tile-level predictions of all arms. The votes are scaled, as in a published model.
    level
        What an image is called: ``slice`` for scans.

    Returns
    -------
    DataFrame
        ``arm, level, scaled, bin_low, bin_high, confidence, accuracy, count``; ``scaled``
        tells temperature-scaled rows from those as predicted.
    """
    classes = find_classes(predictions)
    images = aggregate_to_images(predictions)
    versions = {False: images[images["role"] == "test"], True: scale_by_validation(images)}
    tables = []
    for is_scaled, table in versions.items():
        for arm, rows in table.groupby("arm", sort=True):
            index = index_classes(rows["y_true"], classes)
            bins = tabulate_reliability(get_probabilities(rows), index)
            tables.append(
                pd.DataFrame({"arm": arm, "level": level, "scaled": is_scaled}, bins.index).join(
                    bins
                )
            )
    return pd.concat(tables, ignore_index=True)


def _take_logits(probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.log(np.clip(np.asarray(probabilities, dtype=np.float64), SMALLEST_PROBABILITY, 1.0))
