"""Opens a published model, whatever it judges and predicts."""

from pathlib import Path
from typing import Any

import torch

from batteryscope.answers.choose import bundle_called
from batteryscope.answers.kind import AnswerModules, BundleKind
from batteryscope.bundle.asker import Asker
from batteryscope.bundle.picture_bundle import PictureBundle
from batteryscope.bundle.record import RECORD_FILE, ModelRecord, read_json
from batteryscope.core.named_function import load_function
from batteryscope.errors import ConfigError, InputError
from batteryscope.samples.kind import Samples


def find_kind(folder: Path) -> tuple[BundleKind, AnswerModules]:
    """Return who reads and who applies a published model, by what it calls itself.

    A folder without a readable description counts as one of classes, whose reader says what is
    wrong with it.
    """
    try:
        values = read_json(folder / RECORD_FILE)
    except InputError:
        values = {}
    return bundle_called(str(values.get("kind", "")) if isinstance(values, dict) else "")


def read_any_record(folder: Path) -> ModelRecord:
    """Read and check bundle.json, whatever the models judge and predict.

    Raises
    ------
    InputError
        As :func:`batteryscope.bundle.record.read_record_as`.
    """
    record: ModelRecord = load_function(find_kind(folder)[0].record, "read_record")(folder)
    return record


def samples_of_bundle(folder: Path) -> Samples:
    """Return what a published model judges.

    Raises
    ------
    InputError
        It is no bundle, or not a readable one.
    """
    return read_any_record(folder).samples


def open_asker(folder: Path) -> Asker:
    """Open a model to be asked from Python or over a network, whatever it judges and predicts.

    Raises
    ------
    InputError
        There is none, or it is damaged.
    """
    open_it = load_function(samples_of_bundle(folder).modules.predict, "open_asker")
    asker: Asker = open_it(folder)
    return asker


def find_applier(folder: Path) -> str:
    """Return the module that applies a published model of pictures."""
    return find_kind(folder)[1].apply or bundle_called("")[1].apply


def find_judge(folder: Path) -> str:
    """Return the module that judges data from elsewhere by a published model of pictures."""
    return find_kind(folder)[1].external or bundle_called("")[1].external


def open_bundle(
    folder: Path,
    device: torch.device | str = "cpu",
    batch_size: int = 64,
    collector: str | None = None,
) -> PictureBundle[Any]:
    """Load a bundle of classes or of numbers.

    Raises
    ------
    InputError
        As :func:`batteryscope.bundle.read.load_bundle`.
    ConfigError
        A ``collector`` is chosen for a bundle that looks for none.
    """
    load = load_function(find_applier(folder), "load_models")
    bundle: PictureBundle[Any] = load(folder, device, batch_size, collector)
    return bundle


def refuse_collector(collector: str | None, folder: Path) -> None:
    """Say that models other than those of cross-sections look for no current collector."""
    if collector is not None:
        raise ConfigError(
            f"--collector is for models of cross-sections, but {folder} has another kind; "
            "leave it out."
        )
