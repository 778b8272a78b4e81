"""Predictions of a published model for pictures that nobody has labelled."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from batteryscope.bundle.ensemble import group_models, predict_ensemble
from batteryscope.bundle.frame import (
    Frame,
    UnusableFrame,
    describe_differences,
    read_frame,
    wrap_pixels,
)
from batteryscope.bundle.record import BundleRecord
from batteryscope.bundle.vote import Verdict, take_vote
from batteryscope.models.classifier import TileClassifier
from batteryscope.preprocess.registry import find_preprocessor
from batteryscope.preprocess.tile_batch import UnusablePictureError

DIGITS = 6
SEEN_NOTE = "used to train or tune these models, so a right answer proves nothing"
Row = dict[str, Any]


class Bundle:
    """Trained models of all folds and what is needed to apply them.

    Attributes
    ----------
    record
        The content of bundle.json.
    training_images
        The content of training_images.csv.
    """

    def __init__(
        self,
        record: BundleRecord,
        models: Sequence[TileClassifier],
        training_images: pd.DataFrame,
        batch_size: int = 64,
    ) -> None:
        self.record = record
        self.training_images = training_images
        self._groups = group_models(models)
        self._batch_size = batch_size
        fits = [member.fit_name for member in record.members]
        used = training_images[fits].isin(["train", "validation"]).any(axis=1)
        self._seen_files = set(training_images.loc[used, "sha256"])
        self._seen_pixels = set(training_images.loc[used, "pixel_digest"])

    @property
    def class_labels(self) -> pd.DataFrame:
        """The label columns behind each class, indexed by class."""
        labels = [c for c in self.record.label_columns if c != "class"]
        rows = {name: self.record.class_labels[name] for name in self.record.classes}
        table = pd.DataFrame.from_dict(rows, orient="index", columns=labels)
        return table.rename_axis("class")

    @property
    def columns(self) -> list[str]:
        """Columns of the prediction rows, in order."""
        return [
            "file",
            *[c for c in self.record.label_columns if c != "class"],
            "class",
            "confidence",
            *[f"p_{name}" for name in self.record.classes],
            "fold_disagreement",
            "confidence_sd",
            "tiles_used",
            "tiles_rejected",
            "seen_in_training",
            "status",
            "reason",
            "note",
        ]

    def predict_frames(self, frames: Iterable[NDArray[np.uint8]]) -> pd.DataFrame:
        """Predict grey pictures that are in memory.

        Parameters
        ----------
        frames
            (H, W) uint8 arrays, data bar included or not.

        Returns
        -------
        DataFrame
            One row per picture with the :attr:`columns`; ``file`` counts from 0.
        """
        rows = [self._judge(wrap_pixels(f, str(i))) for i, f in enumerate(frames)]
        return pd.DataFrame(rows, columns=self.columns)

    def predict_files(self, files: Iterable[str], root: Path) -> Iterator[Row]:
        """Predict picture files one by one, while the next one is being decoded.

        Parameters
        ----------
        files
            POSIX paths relative to ``root``.
        root
            Folder of the pictures.

        Yields
        ------
        dict
            One row per file with the :attr:`columns`. ``class`` has the highest mean
            probability over all models and tiles; ``p_<class>`` are these means,
            temperature-scaled, ``confidence`` is the highest. ``fold_disagreement`` is the share of
            models whose own verdict differs, ``confidence_sd`` the standard deviation of
            ``confidence`` over the models (both None with a single model).
            ``status`` is ``ok`` or ``rejected``, with the ``reason``. ``note`` warns of
            pictures that the models were trained on or that differ much from those.
            At most two pictures are in memory.
        """
        waiting = iter(files)

        def read(file: str) -> Frame | UnusableFrame:
            return read_frame(root / file, file, self.record.max_pixels)

        with ThreadPoolExecutor(max_workers=1) as reader:
            first = next(waiting, None)
            coming = None if first is None else reader.submit(read, first)
            while coming is not None:
                frame = coming.result()
                following = next(waiting, None)
                coming = None if following is None else reader.submit(read, following)
                yield self._judge(frame)

    def reject_files(self, files: Iterable[str], reason: str) -> Iterator[Row]:
        """Give files that are no pictures their rows, with the reason."""
        for file in files:
            yield self._judge(UnusableFrame(file, reason))

    def ask_models(self, tiles: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return the probabilities of tiles from every model, (n_models, n_tiles, n_classes)."""
        return predict_ensemble(self._groups, tiles, self._batch_size)

    def knows_pixels(self, pixel_digest: str) -> bool:
        """Tell whether the models were trained or tuned on these grey levels."""
        return pixel_digest in self._seen_pixels

    def _judge(self, frame: Frame | UnusableFrame) -> Row:
        empty: Row = dict.fromkeys(self.columns)
        empty |= {"file": frame.file, "status": "rejected", "reason": "", "note": ""}
        empty |= {"tiles_used": 0, "seen_in_training": False}
        if isinstance(frame, UnusableFrame):
            return empty | {"reason": frame.reason}
        seen = frame.sha256 in self._seen_files or frame.pixel_digest in self._seen_pixels
        notes = [SEEN_NOTE] if seen else []
        notes += describe_differences(frame, self.record.data.ranges)
        row = empty | {"seen_in_training": seen, "note": "; ".join(notes)}
        settings = self.record.preprocess
        stated = {"data_bar_px": frame.metadata.data_bar_px}
        try:
            cut = find_preprocessor(settings)(frame.pixels, stated, settings)
        except UnusablePictureError as error:
            return row | {"reason": f"{error.reason}: {error}"}
        row |= {"tiles_used": len(cut.tiles), "tiles_rejected": len(cut.table) - len(cut.tiles)}
        probabilities = self.ask_models(cut.tiles)
        verdict = take_vote(probabilities, self.record.temperature)
        return row | describe_verdict(verdict, self.record) | {"status": "ok"}


def describe_verdict(verdict: Verdict, record: BundleRecord) -> Row:
    """Return the part of a row that tells a verdict: labels, class, probabilities, spread."""
    name = record.classes[verdict.winner]
    labels: Mapping[str, str] = record.class_labels[name]
    row: Row = {c: labels[c] for c in record.label_columns if c != "class"}
    row |= {"class": name, "confidence": round(verdict.confidence, DIGITS)}
    row |= {
        f"p_{c}": round(float(p), DIGITS)
        for c, p in zip(record.classes, verdict.probabilities, strict=True)
    }
    for key, value in (
        ("fold_disagreement", verdict.disagreement),
        ("confidence_sd", verdict.confidence_sd),
    ):
        row[key] = None if value is None else round(value, DIGITS)
    return row
