"""Capacities of electrodes that nobody has measured, from pictures of their cross-sections."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file

from batteryscope.bundle.capacity_record import CapacityRecord, read_capacity_record
from batteryscope.bundle.frame import Frame, UnusableFrame, describe_differences
from batteryscope.bundle.predict import SEEN_NOTE, Bundle, Row
from batteryscope.bundle.record import TRAINING_IMAGES_FILE, read_json
from batteryscope.errors import ConfigError, InputError
from batteryscope.evaluation.regression_predictions import predict_values
from batteryscope.models.classifier import TileClassifier, rebuild_classifier
from batteryscope.preprocess.coating_crop import crop_coating
from batteryscope.preprocess.tile_batch import UnusablePictureError
from batteryscope.provenance import digest_file

DIGITS = 3


class CapacityBundle(Bundle):
    """Models of all folds of one or several arms, applied to cross-sections."""

    def __init__(
        self,
        record: CapacityRecord,
        models: Sequence[TileClassifier],
        training_images: pd.DataFrame,
        batch_size: int = 64,
    ) -> None:
        self.record = record  # type: ignore[assignment]
        self.capacity_record = record
        self.training_images = training_images
        self._models = list(models)
        self._batch_size = batch_size
        columns = [member.column for member in record.members]
        used = training_images[columns].isin(["train", "validation"]).any(axis=1)
        self._seen_files = set(training_images.loc[used, "sha256"])
        self._seen_pixels = set(training_images.loc[used, "pixel_digest"])

    @property
    def columns(self) -> list[str]:
        """Columns of the prediction rows, in order."""
        values = [
            f"{target.name}{end}"
            for target in self.capacity_record.targets
            for end in ("", "_low", "_high", "_fold_sd")
        ]
        return [
            "file",
            *values,
            "tiles_used",
            "tiles_rejected",
            "seen_in_training",
            "status",
            "reason",
            "note",
        ]

    def _judge(self, frame: Frame | UnusableFrame) -> Row:
        empty: Row = dict.fromkeys(self.columns)
        empty |= {"file": frame.file, "status": "rejected", "reason": "", "note": ""}
        empty |= {"tiles_used": 0, "seen_in_training": False}
        if isinstance(frame, UnusableFrame):
            return empty | {"reason": frame.reason}
        seen = frame.sha256 in self._seen_files or frame.pixel_digest in self._seen_pixels
        notes = [SEEN_NOTE] if seen else []
        notes += describe_differences(frame, self.capacity_record.data.ranges)
        row = empty | {"seen_in_training": seen, "note": "; ".join(notes)}
        stated = {"is_coloured": frame.is_coloured}
        try:
            cut = crop_coating(frame.pixels, stated, self.capacity_record.preprocess)
        except UnusablePictureError as error:
            return row | {"reason": f"{error.reason}: {error}"}
        used = (cut.table["kind"] == "grid") & cut.table["used"]
        tiles = cut.tiles[used[cut.table["used"]].to_numpy()]
        rejected = int((~cut.table["used"]).sum())
        row |= {"tiles_used": len(tiles), "tiles_rejected": rejected, "status": "ok"}
        return row | self._predict(tiles)

    def _predict(self, tiles: np.ndarray) -> Row:
        """Mean over tiles, then over the models of the arm; intervals from the validation."""
        row: Row = {}
        by_arm: dict[str, list[np.ndarray]] = {}
        for member, model in zip(self.capacity_record.members, self._models, strict=True):
            values = predict_values(model, tiles, batch_size=self._batch_size).mean(axis=0)
            by_arm.setdefault(member.arm, []).append(values)
        outputs = {
            m.arm: model.description.classes
            for m, model in zip(self.capacity_record.members, self._models, strict=True)
        }
        for target in self.capacity_record.targets:
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


def load_capacity_bundle(
    folder: Path, device: torch.device | str = "cpu", batch_size: int = 64
) -> CapacityBundle:
    """Load published models of capacities.

    Raises
    ------
    InputError
        If a file is missing or damaged.
    """
    record = read_capacity_record(folder)
    path = folder / TRAINING_IMAGES_FILE
    try:
        images = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path}: this file of the bundle is not readable ({error}); publish or fetch the "
            "bundle again."
        ) from None
    needed = ["sha256", "pixel_digest", *(member.column for member in record.members)]
    if missing := [c for c in needed if c not in images.columns]:
        raise InputError(
            f"{path}: the column '{missing[0]}' is missing; publish or fetch the bundle again."
        )
    models = []
    for member in record.members:
        weights = folder / f"{member.name}.safetensors"
        if not weights.is_file() or digest_file(weights) != member.weights_sha256:
            raise InputError(
                f"{weights}: this file of the bundle is missing or not the one that bundle.json "
                "names; publish or fetch the bundle again."
            )
        description: Any = read_json(folder / f"{member.name}.json")
        try:
            models.append(rebuild_classifier(description, load_file(weights)).to(device))
        except (ConfigError, TypeError, KeyError, ValueError, RuntimeError) as error:
            raise InputError(
                f"{weights}: the weights do not fit the network that {member.name}.json describes "
                f"({str(error).splitlines()[0]}); publish or fetch the bundle again."
            ) from None
    return CapacityBundle(record, models, images, batch_size)
