"""Numbers that nobody has measured, from pictures: capacities of electrodes, any quantities."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from batteryscope.bundle.ensemble import group_models, judge_sample, predict_ensemble
from batteryscope.bundle.number_record import NumberRecord, span_target
from batteryscope.bundle.picture_bundle import PictureBundle, Row
from batteryscope.errors import ConfigError
from batteryscope.familiarity.feature_tap import TileFeatures
from batteryscope.models.classifier import TileClassifier

FRAME_SIZE = ("width_px", "height_px")


class NumberBundle(PictureBundle[NumberRecord]):
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
        record: NumberRecord,
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
        self._groups = group_models(self.models)
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
        number = 0
        for group in self._groups:
            first = group[0]
            own = None if first.covariates is None else covariates
            heard = None if number else watch  # of the first model alone
            if one_sample and first.description.pool_samples:
                pooled = judge_sample(group, tiles, self._batch_size, own, heard)
                predicted = np.repeat(pooled[:, None], len(tiles), axis=1)
            else:
                finish = torch.Tensor.double
                predicted = predict_ensemble(
                    [group], tiles, self._batch_size, own, finish=finish, watch=heard
                )
            for answers in predicted:
                for place, target in enumerate(targets):
                    if target.arm == self.record.members[number].arm:
                        column = first.description.classes.index(target.name)
                        values[number, :, place] = answers[:, column]
                number += 1
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
            row |= {f"{target.name}{k}": target.shorten(v) for k, v in shown.items()}
        return row

    def describe_scan(self, asked: NDArray[np.float64]) -> Row:
        """The same of all slices of a scan, and how much its slices differ."""
        row = self.describe(asked)
        if asked.shape[1] > 1:
            spread = np.nanmean(asked, axis=0).std(axis=0, ddof=1)
            for target, value in zip(self.record.targets, spread, strict=True):
                row[f"{target.name}_slice_sd"] = target.shorten(float(value))
        return row
