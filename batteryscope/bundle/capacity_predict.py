"""Capacities of electrodes that nobody has measured, from pictures of their cross-sections."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from batteryscope.bundle.capacity_record import CapacityRecord
from batteryscope.bundle.picture_bundle import PictureBundle, Row
from batteryscope.evaluation.regression_predictions import predict_values
from batteryscope.models.classifier import TileClassifier

DIGITS = 3
FRAME_SIZE = ("width_px", "height_px")


class CapacityBundle(PictureBundle[CapacityRecord]):
    """Models of all folds of one or several arms, applied to cross-sections.

    ``collector``, ``bottom`` or ``top``, chooses the coating of electrodes that are coated on both
    sides; None takes what the models were trained with.
    """

    def __init__(
        self,
        record: CapacityRecord,
        models: Sequence[TileClassifier],
        training_images: pd.DataFrame,
        batch_size: int = 64,
        collector: str | None = None,
    ) -> None:
        if collector is not None:
            chosen = record.preprocess.model_copy(update={"collector": collector})
            record = record.model_copy(update={"preprocess": chosen})
        super().__init__(record, training_images, models[0].device)
        self._models = list(models)
        self._batch_size = batch_size

    @property
    def answer_columns(self) -> list[str]:
        """Each capacity, its interval, and the spread of the folds."""
        return [
            f"{target.name}{end}"
            for target in self.record.targets
            for end in ("", "_low", "_high", "_fold_sd")
        ]

    @property
    def compared_ranges(self) -> dict[str, tuple[float, float]]:
        """Without the size of the frame: crops lie at the foil, however much is around it."""
        return {k: v for k, v in super().compared_ranges.items() if k not in FRAME_SIZE}

    def answer(self, tiles: NDArray[np.uint8]) -> Row:
        """Mean over tiles, then over the models of the arm; intervals from unseen electrodes."""
        row: Row = {}
        by_arm: dict[str, list[np.ndarray]] = {}
        for member, model in zip(self.record.members, self._models, strict=True):
            values = predict_values(model, tiles, batch_size=self._batch_size).mean(axis=0)
            by_arm.setdefault(member.arm, []).append(values)
        outputs = {
            m.arm: model.description.classes
            for m, model in zip(self.record.members, self._models, strict=True)
        }
        for target in self.record.targets:
            place = outputs[target.arm].index(target.name)
            values = np.array([v[place] for v in by_arm[target.arm]])
            mean = float(values.mean())
            row[target.name] = round(mean, DIGITS)
            if target.relative_half_width is not None:
                half = target.relative_half_width * abs(mean)
                row[f"{target.name}_low"] = round(mean - half, DIGITS)
                row[f"{target.name}_high"] = round(mean + half, DIGITS)
            if len(values) > 1:
                row[f"{target.name}_fold_sd"] = round(float(values.std(ddof=1)), DIGITS)
        return row
