"""What all published models of pictures do, whatever they predict: read, compare, cut, ask."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from batteryscope.bundle.covariates import GivenCovariates, Looked, explain_missing
from batteryscope.bundle.familiarity import SEEING_BRIGHTNESS, Familiarity
from batteryscope.bundle.frame import (
    Frame,
    UnusableFrame,
    describe_differences,
    find_other_settings,
    frame_picture,
    leave_comparable,
    read_frame,
    rescale_frame,
    scale_as_known,
    wrap_pixels,
)
from batteryscope.bundle.record import PictureRecord
from batteryscope.bundle.unlike import (
    ORIGIN_COLUMN,
    UNLIKE,
    Unlike,
    describe_unlike,
    name_columns,
    name_origin,
)
from batteryscope.core.forward_threads import ForwardThreads
from batteryscope.core.ordered_threads import fetch_ahead
from batteryscope.familiarity.feature_tap import TileFeatures
from batteryscope.models.classifier import TileClassifier
from batteryscope.preprocess.registry import find_preprocessor
from batteryscope.preprocess.tile_batch import UnusablePictureError
from batteryscope.readers.picture import Picture
from batteryscope.readers.scan import LOCKED, FolderScan
from batteryscope.tilestore import JUDGING_KINDS

NOT_READ = "unsupported: files of this type are not read; save the picture as PNG or TIFF"
SEEN_NOTE = "used to train or tune these models, so a right answer proves nothing"
LAST_COLUMNS = (
    "tiles_used", "tiles_rejected", "seen_in_training", "status", "reason", "note",
)  # fmt: skip
R = TypeVar("R", bound=PictureRecord)
Item = TypeVar("Item")
Row = dict[str, Any]


class PictureBundle(ABC, Generic[R]):
    """Trained models and what is needed to apply them to pictures.

    Attributes
    ----------
    record
        The content of bundle.json.
    training_images
        The content of training_images.csv.
    models
        The networks, in the order of their descriptions.
    device
        Where the models are.
    given
        Covariates of the files that will be asked about, for models that are given any.
    familiarity
        Tells what is unlike all that the models were trained on; None in older bundles.
    answer_anyway
        Whether that is answered all the same, with a note.
    pictures
        Pictures in memory by the name of their file, which is then not read.
    """

    models: list[TileClassifier]
    given: GivenCovariates | None = None
    familiarity: Familiarity | None = None
    answer_anyway: bool = False
    pictures: Mapping[str, Picture] = {}

    def __init__(
        self, record: R, training_images: pd.DataFrame, device: torch.device | str = "cpu"
    ) -> None:
        self.record = record
        self.training_images = training_images
        self.device = torch.device(device)
        roles = training_images[[member.column for member in record.members]]
        used = roles.isin(["train", "validation"]).any(axis=1)
        self._seen_files = set(training_images.loc[used, "sha256"])
        self._seen_pixels = set(training_images.loc[used, "pixel_digest"])

    @property
    def closing_note(self) -> str:
        """What a user should know of all rows, at the end; "" if nothing."""
        return ""

    @property
    @abstractmethod
    def answer_columns(self) -> list[str]:
        """Columns of a row that :meth:`answer` fills."""

    @property
    @abstractmethod
    def scan_columns(self) -> list[str]:
        """Columns of a row that :meth:`describe_scan` fills."""

    @abstractmethod
    def ask_models(
        self,
        tiles: NDArray[np.uint8],
        covariates: NDArray[np.float32] | None = None,
        watch: TileFeatures | None = None,
        one_sample: bool = False,
    ) -> NDArray[np.float64]:
        """Return what every model says of (n, ...) tiles, (n_models, n, n_outputs).

        ``covariates``, (n_inputs,), are those of their common sample; ``watch`` keeps the features
        of the tiles in the first model. With ``one_sample`` they are all the tiles of one picture;
        otherwise each is a slice by itself.
        """

    @abstractmethod
    def describe(self, asked: NDArray[np.float64]) -> Row:
        """Put what the models said of the tiles of one picture into columns."""

    @abstractmethod
    def describe_scan(self, asked: NDArray[np.float64]) -> Row:
        """Put what the models said of the slices of one scan into columns."""

    def refuse_answer(self) -> Row:
        """Put into the columns of the answer that there is none."""
        return dict.fromkeys(self.answer_columns)

    def answer(
        self,
        tiles: NDArray[np.uint8],
        covariates: NDArray[np.float32] | None = None,
        settings: Sequence[str] = (),
        turn: AbstractContextManager[Any] | None = None,
    ) -> Row:
        """Say what the models think of the (n, ...) tiles of one picture, n at least 1.

        ``settings`` are phrases about those of the microscope outside of the range of training;
        ``turn`` is held while the models are asked, and no longer.
        """
        watch = None if self.familiarity is None else self.familiarity.watch()
        with turn or nullcontext():
            asked = self.ask_models(tiles, covariates, watch, one_sample=True)
        answer = self.describe(asked)
        if self.familiarity is None or watch is None:
            return answer | {"status": "ok"}
        unlike = self.familiarity.judge(tiles, watch.join())
        return self.weigh(answer, replace(unlike, reasons=(*settings, *unlike.reasons)))

    def weigh(self, answer: Row, unlike: Unlike) -> Row:
        """Keep an answer, or refuse it as one about something that the models do not know."""
        told = describe_unlike(unlike, self.answer_anyway)
        return (self.refuse_answer() if told["status"] == UNLIKE else answer) | told

    @property
    def unlike_columns(self) -> list[str]:
        """Columns of a row that tell whether it is like the training, and what that was."""
        return [*(name_columns() if self.familiarity else ()), ORIGIN_COLUMN]

    def find_covariates(self, file: str) -> Looked:
        """Return what the models are given of a file beside the picture."""
        needed = self.record.covariates
        if not needed:
            return Looked(None)
        if self.given is None:
            return Looked(None, explain_missing(needed))
        return self.given.look_up(file, needed)

    @property
    def columns(self) -> list[str]:
        """Columns of the prediction rows, in order."""
        return ["file", *self.answer_columns, *LAST_COLUMNS, *self.unlike_columns]

    @property
    def compared_ranges(self) -> dict[str, tuple[float, float]]:
        """Ranges of the training pictures outside of which a picture gets a note."""
        return self.record.data.ranges

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
        rows = self._judge_all(lambda item: wrap_pixels(item[1], str(item[0])), enumerate(frames))
        return pd.DataFrame(rows, columns=self.columns)

    def predict_files(self, files: Iterable[str], root: Path) -> Iterator[Row]:
        """Predict picture files, several at a time.

        Parameters
        ----------
        files
            POSIX paths relative to ``root``.
        root
            Folder of the pictures.

        Yields
        ------
        dict
            One row per file with the :attr:`columns`, in the order of the files. ``status`` is
            ``ok`` or ``rejected``, with the ``reason``. ``note`` warns of pictures that the models
            were trained on or that differ much from those. A row does not depend on the other
            files. At most five pictures are in memory, two with two processors.
        """
        coming = fetch_ahead(files, lambda file: root / file)
        return self._judge_all(lambda file: self._read(file, root), coming)

    def cut_file(self, file: str, root: Path) -> NDArray[np.uint8] | None:
        """Return the tiles of a picture that the models judge; None if it cannot be used."""
        return self._cut(self._prepare(self._read(file, root)))[1]

    def answer_folder(self, found: FolderScan, root: Path) -> Iterator[Row]:
        """Judge the pictures of a folder, and give all other files their rows with the reason."""
        yield from self.predict_files(found.images, root)
        yield from self.reject_files(found.unsupported, NOT_READ)
        yield from self.reject_files(found.special, "unreadable: is no ordinary file; take it out")
        yield from self.reject_files(
            found.misnamed, "unreadable: the name is not valid UTF-8; rename it"
        )
        yield from self.reject_files(found.locked, f"unreadable: {LOCKED}")

    def reject_files(self, files: Iterable[str], reason: str) -> Iterator[Row]:
        """Give files and folders that are no pictures their rows, with the reason."""
        for file in files:
            yield self._start_row(UnusableFrame(file, reason))

    def knows_pixels(self, pixel_digest: str) -> bool:
        """Tell whether the models were trained or tuned on these grey levels."""
        return pixel_digest in self._seen_pixels

    def _judge_all(
        self, read: Callable[[Item], Frame | UnusableFrame], items: Iterable[Item]
    ) -> Iterator[Row]:
        """Read, cut and judge pictures in threads, of which a part at a time asks the models."""
        threads = ForwardThreads(self.device)

        def judge(item: Item) -> Row:
            frame = self._prepare(read(item))
            row, tiles = self._cut(frame)
            if tiles is None or isinstance(frame, UnusableFrame):
                return row
            beside = self.find_covariates(row["file"])
            if beside.reason:
                return row | {"reason": beside.reason}
            row["note"] = "; ".join(filter(None, [row["note"], beside.note]))
            others = self._find_other_settings(frame)
            answer = self.answer(tiles, beside.values, others, threads.turn())
            notes = filter(None, [row["note"], answer.pop("note", "")])
            return row | answer | {"note": "; ".join(notes)}

        return threads.map(judge, items)

    def _read(self, file: str, root: Path) -> Frame | UnusableFrame:
        colours = self.record.preprocess.keeps_colours
        if file in self.pictures:
            frame: Frame | UnusableFrame = frame_picture(
                self.pictures[file], file, keep_colours=colours
            )
        else:
            frame = read_frame(root / file, file, self.record.max_pixels, colours)
        return scale_as_known(frame, root / file, self.record.data.bit_depths)

    def _find_other_settings(self, frame: Frame) -> list[str]:
        """Say which settings of the microscope are a reason to refuse a picture."""
        data = self.record.data
        known = leave_comparable(frame, data.ranges, data.instruments)
        sees = any(model.description.grey_levels in SEEING_BRIGHTNESS for model in self.models)
        return find_other_settings(frame, known, sees)

    def _prepare(self, frame: Frame | UnusableFrame) -> Frame | UnusableFrame:
        """Bring a picture to the pixel size of the training, where both are known."""
        known = self.familiarity is not None and self.record.preprocess.cuts_pixels
        if isinstance(frame, UnusableFrame) or not known:
            return frame
        bar = getattr(self.record.preprocess, "data_bar", "auto")
        rows = bar if isinstance(bar, int) else 0
        return rescale_frame(frame, self.record.data.ranges, self.record.max_pixels, rows)

    def _start_row(self, frame: Frame | UnusableFrame) -> Row:
        empty: Row = dict.fromkeys(self.columns)
        empty |= {"file": frame.file, "status": "rejected", "reason": "", "note": ""}
        empty |= {"tiles_used": 0, "seen_in_training": False}
        empty[ORIGIN_COLUMN] = name_origin(self.record.data)
        return empty | {"reason": frame.reason} if isinstance(frame, UnusableFrame) else empty

    def _cut(self, frame: Frame | UnusableFrame) -> tuple[Row, NDArray[np.uint8] | None]:
        """Return what is known of a picture before the models see it, and its tiles if any."""
        row = self._start_row(frame)
        if isinstance(frame, UnusableFrame):
            return row, None
        seen = frame.sha256 in self._seen_files or frame.pixel_digest in self._seen_pixels
        notes = [SEEN_NOTE] if seen else []
        notes += [frame.note] if frame.note else []
        known = leave_comparable(frame, self.compared_ranges, self.record.data.instruments)
        notes += describe_differences(frame, known)
        row |= {"seen_in_training": seen, "note": "; ".join(notes)}
        settings = self.record.preprocess
        stated = {"data_bar_px": frame.metadata.data_bar_px, "is_coloured": frame.is_coloured}
        wanted = frame.colours if settings.keeps_colours else None
        try:
            shown = frame.pixels if wanted is None else wanted
            cut = find_preprocessor(settings)(shown, stated, settings)
        except UnusablePictureError as error:
            return row | {"reason": f"{error.reason}: {error}"}, None
        tiles = cut.select(JUDGING_KINDS)
        return row | {"tiles_used": len(tiles), "tiles_rejected": cut.n_unused}, tiles
