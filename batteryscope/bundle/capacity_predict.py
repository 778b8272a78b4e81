"""Numbers that nobody has measured, from pictures: capacities of electrodes, any quantities."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from batteryscope.bundle.capacity_record import CapacityRecord, span_target
from batteryscope.bundle.ensemble import predict_ensemble
from batteryscope.bundle.picture_bundle import PictureBundle, Row
from batteryscope.errors import ConfigError
from batteryscope.familiarity.feature_tap import TileFeatures
from batteryscope.models.classifier import TileClassifier, TileRegressor

DIGITS = 3  # after the point, of capacities
SIGNIFICANT = 6  # of other quantities, which may be of any size
FRAME_SIZE = ("width_px", "height_px")


class CapacityBundle(PictureBundle[CapacityRecord]):
    """Models of all folds of one or several arms, applied to pictures or slices of scans.

    ``collector``, ``bottom`` or ``top``, chooses the coating of electrodes that are coated on both
    sides; None takes what the models were trained with.

    Raises
    ------
    ConfigError
        A ``collector`` is chosen for models that look for none.
    """

    def __init__(
        self,
        record: CapacityRecord,
        models: Sequence[TileClassifier],
        training_images: pd.DataFrame,
        batch_size: int = 64,
        collector: str | None = None,
    ) -> None:
        if collector is not None and record.preprocess.along_collector is None:
            raise ConfigError(
                f"--collector is for models of cross-sections, but those of study '{record.study}' "
                "judge other pictures; leave it out."
            )
        if collector is not None:
            chosen = record.preprocess.model_copy(update={"collector": collector})
            record = record.model_copy(update={"preprocess": chosen})
        super().__init__(record, training_images, models[0].device)
        self.models = list(models)
        self._batch_size = batch_size

    @property
    def answer_columns(self) -> list[str]:
        """Each quantity, its interval, and the spread of the folds."""
        return [
            f"{target.name}{end}"
            for target in self.record.targets
            for end in ("", "_low", "_high", "_fold_sd")
        ]

    @property
    def scan_columns(self) -> list[str]:
        """The same, and the spread of the slices of a scan."""
        return [
            f"{target.name}{end}"
            for target in self.record.targets
            for end in ("", "_low", "_high", "_fold_sd", "_slice_sd")
        ]

    @property
    def compared_ranges(self) -> dict[str, tuple[float, float]]:
        """Of coatings without the size of the frame: crops lie at the foil, whatever is around."""
        ranges = super().compared_ranges
        if self.record.preprocess.along_collector is None:
            return ranges
        return {k: v for k, v in ranges.items() if k not in FRAME_SIZE}

    def ask_models(
        self,
        tiles: NDArray[np.uint8],
        covariates: NDArray[np.float32] | None = None,
        watch: TileFeatures | None = None,
        one_sample: bool = False,
    ) -> NDArray[np.float64]:
        """Return the values of tiles from every model, (n_models, n_tiles, n_targets).

        NaN where the model is not of the arm that predicts the target. Models that pool the tiles
        of a sample say the same of all of them.
        """
        targets = self.record.targets
        values = np.full((len(self.models), len(tiles), len(targets)), np.nan)
        for number, model in enumerate(self.models):
            own = None if model.covariates is None else covariates
            heard = None if number else watch  # of the first model alone
            pools = one_sample and model.description.pool_samples
            predicted = predict_ensemble(
                [[model]],
                tiles,
                self._batch_size,
                own,
                finish=torch.Tensor.double,
                watch=heard,
                measure=pools,
            )[0]
            if pools:
                predicted = _judge_together(model, predicted, own)
            for place, target in enumerate(targets):
                if target.arm == self.record.members[number].arm:
                    column = model.description.classes.index(target.name)
                    values[number, :, place] = predicted[:, column]
        return values

    def describe(self, asked: NDArray[np.float64]) -> Row:
        """Mean over tiles, then over the models of the arm; intervals from unseen specimens."""
        row: Row = {}
        for place, target in enumerate(self.record.targets):
            own = asked[:, :, place].mean(axis=1)
            values = own[~np.isnan(own)]
            quantity = target.quantity
            shown = {"": quantity.clip(float(values.mean()))}
            if (ends := span_target(target, float(values.mean()))) is not None:
                shown |= dict(zip(("_low", "_high"), ends, strict=True))
            if len(values) > 1:
                shown["_fold_sd"] = float(values.std(ddof=1))
            row |= {f"{target.name}{k}": _shorten(v, bool(quantity.axis)) for k, v in shown.items()}
        return row

    def describe_scan(self, asked: NDArray[np.float64]) -> Row:
        """The same of all slices of a scan, and how much its slices differ."""
        row = self.describe(asked)
        if asked.shape[1] > 1:
            spread = np.nanmean(asked, axis=0).std(axis=0, ddof=1)
            for target, value in zip(self.record.targets, spread, strict=True):
                row[f"{target.name}_slice_sd"] = _shorten(float(value), bool(target.quantity.axis))
        return row


def _judge_together(
    model: TileClassifier,
    measured: NDArray[np.float64],
    covariates: NDArray[np.float32] | None,
) -> NDArray[np.float64]:
    """Return the (n_tiles, n_targets) values of one sample from what was measured on its tiles."""
    assert isinstance(model, TileRegressor)  # numbers alone are pooled
    beside = [] if covariates is None else [torch.tensor(covariates, device=model.device)[None]]
    mean = torch.tensor(measured.mean(axis=0), dtype=torch.float32, device=model.device)
    with torch.inference_mode():
        values = model.judge(mean[None], *beside).double().cpu().numpy()
    return np.repeat(values, len(measured), axis=0)


def _shorten(value: float, on_axis: bool) -> float:
    return round(value, DIGITS) if on_axis else float(f"{value:.{SIGNIFICANT}g}")
