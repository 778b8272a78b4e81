"""Whether the files of a finished fit are those that its training wrote."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from batteryscope.errors import InputError
from batteryscope.provenance import digest_file, digest_json

WEIGHTS, RECORD = "weights.safetensors", "fit.json"
FIT_FILES = (WEIGHTS, "model.json", "history.csv", RECORD)
_SEAL = "digests"


def seal_fit(folder: Path, record: Mapping[str, Any]) -> dict[str, Any]:
    """Add digests of the other files, and of the record itself, to what ``fit.json`` will hold."""
    digests = {name: digest_file(folder / name) for name in FIT_FILES if name != RECORD}
    return {**record, _SEAL: {**digests, RECORD: digest_json(dict(record))}}


def read_record(folder: Path) -> dict[str, Any] | None:
    """Return what ``fit.json`` holds; None if there is none that can be read."""
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def find_damage(folder: Path, record: Mapping[str, Any]) -> str:
    """Say what is wrong with the files of a fit; "" if they are as they were written.

    Parameters
    ----------
    folder
        Of the fit.
    record
        Content of its ``fit.json``.
    """
    digests = record.get(_SEAL)
    if not isinstance(digests, dict):
        return f"{RECORD} lists no digests"
    plain = {key: value for key, value in record.items() if key != _SEAL}
    if digests.get(RECORD) != digest_json(plain):
        return f"{RECORD} was changed"
    for name in FIT_FILES:
        if not (folder / name).is_file():
            return f"{name} is missing"
        if name != RECORD and digest_file(folder / name) != digests.get(name):
            return f"{name} was changed"
    try:
        check_finite(load_file(folder / WEIGHTS))
    except (SafetensorError, OSError, InputError) as error:
        return f"{WEIGHTS} cannot be used ({error})"
    return ""


def check_finite(weights: Mapping[str, torch.Tensor]) -> None:
    """Refuse weights that are no numbers.

    Raises
    ------
    InputError
        Naming the first tensor, and what usually helps.
    """
    for name, tensor in weights.items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise InputError(
                f"the training ended with weights that are infinite or no numbers ({name}); lower "
                "train.learning_rate, or use train.precision 32-true."
            )


def is_readable_checkpoint(path: Path) -> bool:
    """Whether a saved state of a training can be read, as after a full disk it cannot."""
    try:
        return isinstance(torch.load(path, map_location="cpu", weights_only=True), dict)
    except Exception:  # whatever a damaged archive raises
        return False
