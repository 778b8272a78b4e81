"""Predictions of published classifiers for pictures that nobody has labelled."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from batteryscope.bundle.ensemble import group_models, predict_ensemble
from batteryscope.bundle.picture_bundle import PictureBundle, Row
from batteryscope.bundle.prediction_set import caution_of_sets, describe_set, list_set_columns
from batteryscope.bundle.record import BundleRecord
from batteryscope.bundle.unlike import UNLIKE
from batteryscope.bundle.vote import Verdict, take_vote
from batteryscope.familiarity.feature_tap import TileFeatures
from batteryscope.models.classifier import TileClassifier

DIGITS = 6


class Bundle(PictureBundle[BundleRecord]):
    """Classifiers of all folds.

    In its rows ``class`` has the highest mean probability over all models and tiles;
    ``p_<class>`` are these means, temperature-scaled, ``confidence`` is the highest.
    ``fold_disagreement`` is the share of models whose own verdict differs, ``confidence_sd`` the
    standard deviation of ``confidence`` over the models (both None with a single model).
    ``prediction_set`` names the possible classes, the likeliest first, and holds the true one of
    ``set_coverage`` of new images.
    """

    def __init__(
        self,
        record: BundleRecord,
        models: Sequence[TileClassifier],
        training_images: pd.DataFrame,
        batch_size: int = 64,
    ) -> None:
        super().__init__(record, training_images, models[0].device)
        self.models = list(models)
        self._groups = group_models(models)
        self._batch_size = batch_size

    @property
    def class_labels(self) -> pd.DataFrame:
        """The label columns behind each class, indexed by class."""
        labels = [c for c in self.record.label_columns if c != "class"]
        rows = {name: self.record.class_labels[name] for name in self.record.classes}
        table = pd.DataFrame.from_dict(rows, orient="index", columns=labels)
        return table.rename_axis("class")

    @property
    def answer_columns(self) -> list[str]:
        """Labels, class, probabilities and how far the models agree."""
        return [
            *[c for c in self.record.label_columns if c != "class"],
            "class",
            "confidence",
            *[f"p_{name}" for name in self.record.classes],
            "fold_disagreement",
            "confidence_sd",
            *list_set_columns(self.record),
        ]

    @property
    def closing_note(self) -> str:
        """Why there are no sets of classes, or that they held too little."""
        return caution_of_sets(self.record)

    @property
    def scan_columns(self) -> list[str]:
        """The same, and the share of slices that agree."""
        own = self.answer_columns
        place = own.index("fold_disagreement")
        return [*own[:place], "slices_agreeing", *own[place:]]

    def ask_models(
        self,
        tiles: NDArray[np.uint8],
        covariates: NDArray[np.float32] | None = None,
        watch: TileFeatures | None = None,
        one_sample: bool = False,
    ) -> NDArray[np.float64]:
        """Return the probabilities of tiles from every model, (n_models, n_tiles, n_classes)."""
        del one_sample  # tiles vote, whosever they are
        return predict_ensemble(self._groups, tiles, self._batch_size, covariates, watch=watch)

    def describe(self, asked: NDArray[np.float64]) -> Row:
        """Let all models vote on all tiles of a picture."""
        verdict = take_vote(asked, self.record.temperature)
        return describe_verdict(verdict, self.record) | describe_set(verdict, self.record)

    def refuse_answer(self) -> Row:
        """Name no class but that the picture is unlike all of them."""
        return super().refuse_answer() | {"class": UNLIKE}

    def describe_scan(self, asked: NDArray[np.float64]) -> Row:
        """Let all models vote on all slices; some of these may disagree with the outcome."""
        verdict = take_vote(asked, self.record.temperature)
        agreeing = float((asked.mean(axis=0).argmax(axis=1) == verdict.winner).mean())
        row = describe_verdict(verdict, self.record) | describe_set(verdict, self.record, True)
        return row | {"slices_agreeing": round(agreeing, DIGITS)}


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
