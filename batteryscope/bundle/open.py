"""Opens a published model of pictures, whatever it predicts."""

from pathlib import Path
from typing import Any

import torch

from batteryscope.answers.choose import answer_called
from batteryscope.answers.kind import Answer
from batteryscope.bundle.picture_bundle import PictureBundle
from batteryscope.bundle.record import RECORD_FILE, read_json
from batteryscope.core.named_function import load_function
from batteryscope.errors import ConfigError, InputError
from batteryscope.samples.choose import samples_called, samples_cut_by
from batteryscope.samples.kind import Samples


def _read_kind(folder: Path) -> str:
    """Return what a bundle calls itself; empty if its description cannot be read."""
    try:
        values = read_json(folder / RECORD_FILE)
    except InputError:
        return ""
    return str(values.get("kind", "")) if isinstance(values, dict) else ""


def samples_of_bundle(folder: Path) -> Samples:
    """Return what a published model judges.

    Raises
    ------
    InputError
        It is no bundle, or not a readable one.
    """
    known = samples_called(_read_kind(folder))
    if known is not None:
        return known
    record = load_function(find_applier(folder), "read_record")(folder)
    return samples_cut_by(record.preprocess)


def answer_of_bundle(folder: Path) -> Answer:
    """Return what a published model of pictures predicts.

    A folder without a readable description counts as one of classes, whose reader says what is
    wrong with it.
    """
    return answer_called(_read_kind(folder))


def find_applier(folder: Path) -> str:
    """Return the module that reads and applies a published model of pictures."""
    return answer_of_bundle(folder).modules["tiles"].apply


def find_judge(folder: Path) -> str:
    """Return the module that judges data from elsewhere by a published model of pictures."""
    return answer_of_bundle(folder).modules["tiles"].external


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
