"""Whether a bundle is what was published: complete, unchanged, and with the answers of then."""

import json
import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from batteryscope.bundle.record import RECORD_FILE, PictureRecord, read_json
from batteryscope.config.preprocess import find_tile_shape
from batteryscope.core.safe_text import first_line
from batteryscope.errors import InputError
from batteryscope.workflow.publication import SIDECAR, describe_contents

AGAIN = "publish or fetch the bundle again."
# What no bundle of ours comes near; a damaged one must not ask for more memory than there is.
LARGEST_EDGE_PX = 4096
LARGEST_NUMBER = 100_000
LARGEST_BYTES = 8_000_000  # of a file of numbers
MOST_MEMBERS = 10_000
# Other processors add in another order; a GPU rounds more coarsely.
TOLERANCES = {"cpu": 1e-3}
TOLERANCE_ELSEWHERE = 2e-2
_MEMBER_COLUMN = re.compile(r"(\w+_)?r\d+_f\d+")
# They tell of the file, or jump where two networks are almost of one opinion.
_NOT_COMPARED = {
    "file", "note", "reason", "seen_in_training", "fold_disagreement", "prediction_set",
    "unlike_training", "nearest_training_image", "nearest_training_row", "unlike_reasons",
}  # fmt: skip


def seal_bundle(folder: Path) -> None:
    """Write ``digest.json``: one digest over all files of a bundle, and that of each."""
    text = json.dumps(describe_contents(folder), indent=1, sort_keys=True, ensure_ascii=False)
    (folder / SIDECAR).write_text(text + "\n", encoding="utf-8")


def check_seal(folder: Path) -> None:
    """Compare all files of a bundle with ``digest.json``; bundles from before have none.

    Raises
    ------
    InputError
        A file is missing or changed, or the list itself is.
    """
    path = folder / SIDECAR
    if not path.is_file():
        return
    sealed = read_json(path)
    files = sealed.get("files") if isinstance(sealed, dict) else None
    if not isinstance(files, dict):
        raise InputError(f"{path}: not a list of the bundle's files; {AGAIN}")
    for name in files:
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise InputError(f"{path}: lists {name!r}, which lies outside of the bundle; {AGAIN}")
    found = describe_contents(folder, only=list(files))
    for name, digest in files.items():
        if name not in found["files"]:
            raise InputError(f"{folder / name}: this file of the bundle is missing; {AGAIN}")
        if found["files"][name] != digest:
            raise InputError(
                f"{folder / name}: the file has SHA-256 {found['files'][name][:12]}…, but "
                f"{SIDECAR} says {str(digest)[:12]}…; it is damaged or was changed; {AGAIN}"
            )
    if found["digest"] != sealed.get("digest"):
        raise InputError(f"{path}: its digest is not that of the files that it lists; {AGAIN}")


@contextmanager
def read_safely(path: Path, *others: Path) -> Iterator[None]:
    """Turn whatever goes wrong within into a sentence about a file of a bundle.

    Raises
    ------
    InputError
        It or one of ``others`` is missing, it is larger than any that is written, or reading
        failed.
    """
    for file in (path, *others):
        if not file.is_file():
            raise InputError(f"{file}: this file of the bundle is missing; {AGAIN}")
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise ValueError(f"it has {path.stat().st_size} bytes, more than any that is written")
        yield
    except Exception as error:  # safetensors has an exception class of its own
        raise InputError(
            f"{path}: not what {RECORD_FILE} describes ({first_line(error)}); {AGAIN}"
        ) from None


def check_record(folder: Path, record: PictureRecord, images: pd.DataFrame) -> None:
    """Refuse a record that contradicts itself or the other files, or asks for absurd sizes.

    Raises
    ------
    InputError
        Naming what does not fit.
    """
    path = folder / RECORD_FILE
    columns = [member.column for member in record.members]
    if len(set(columns)) != len(columns):
        raise InputError(f"{path}: a network is listed twice; {AGAIN}")
    if len(columns) > MOST_MEMBERS:
        raise InputError(f"{path}: {len(columns)} networks are listed; {AGAIN}")
    trained = [str(c) for c in images.columns if _MEMBER_COLUMN.fullmatch(str(c))]
    files = [p.stem.removeprefix("fold_") for p in sorted(folder.glob("fold_*.safetensors"))]
    for name in (*trained, *files):
        if name not in columns:
            raise InputError(
                f"{path}: the network {name} is not listed, but the bundle holds its weights or "
                f"its training images; {AGAIN}"
            )
    for key, value in record.preprocess.model_dump().items():
        if key != "seed" and _largest_number(value) > LARGEST_NUMBER:
            raise InputError(f"{path}: preprocess.{key} is {value}; {AGAIN}")
    shape = find_tile_shape(record.preprocess)
    if max(shape) > LARGEST_EDGE_PX:
        raise InputError(
            f"{path}: preprocess gives tiles of {shape[0]} × {shape[1]} pixels; at most "
            f"{LARGEST_EDGE_PX} are possible; {AGAIN}"
        )
    stated = getattr(record, "input_px", shape[1])
    if stated != shape[1]:  # unrolled windings are narrower than high
        raise InputError(
            f"{path}: input_px is {stated}, but preprocess gives tiles {shape[1]} pixels wide; "
            f"{AGAIN}"
        )


def check_sizes(description: Mapping[str, Any]) -> None:
    """Refuse a description of a network that asks for absurd sizes.

    Raises
    ------
    ValueError
        Naming the value.
    """
    for key, value in description.items():
        limit = LARGEST_EDGE_PX if key == "input_px" else LARGEST_NUMBER
        if _largest_number(value) > limit:
            raise ValueError(f"{key} is {value}")


def check_example(stored: Any, found: Mapping[str, Any], path: Path, device: str) -> None:
    """Compare the stored answer of a bundle to its example with that of today.

    Parameters
    ----------
    stored
        Content of ``example_output.json``.
    found
        The row that the bundle gives now.
    path
        Of the stored answer, for the sentence.
    device
        Kind of the device that computed, which decides how exact numbers are.

    Raises
    ------
    InputError
        Naming the first difference.
    """
    if not isinstance(stored, dict) or "status" not in stored:
        raise InputError(f"{path}: not the answer to an example; {AGAIN}")
    skipped = set(_NOT_COMPARED)
    if stored["status"] != "ok":
        stored = {"status": stored["status"]}
    elif stored.get("class") != found.get("class"):
        # Almost equally probable classes: then the probabilities are compared, and they alone.
        skipped |= {key for key, value in stored.items() if isinstance(value, str)}
    for key, value in stored.items():
        if key not in skipped and not is_same_answer(value, found.get(key), device):
            raise InputError(
                f"{path}: the models do not answer the bundle's own example as stored ({key}: "
                f"found {found.get(key)}, expected {value}); the bundle was changed, or this "
                f"version of Batteryscope judges otherwise than the one that wrote it; {AGAIN}"
            )


def is_same_answer(stored: Any, found: Any, device: str = "cpu") -> bool:
    """Whether two answers are equal, numbers as exactly as a device computes."""
    if isinstance(stored, bool) or not isinstance(stored, int | float):
        return bool(stored == found) or (stored is None and found != found)
    try:
        difference = abs(float(found) - stored)
    except (TypeError, ValueError):
        return False
    tolerance = TOLERANCES.get(device, TOLERANCE_ELSEWHERE)
    return difference <= tolerance * max(1.0, abs(stored))


def list_not_finite(tensors: Mapping[str, Any]) -> list[str]:
    """Names of tensors with a number that is infinite or none."""
    return [
        name
        for name, tensor in tensors.items()
        if tensor.is_floating_point() and not bool(tensor.isfinite().all())
    ]


def _largest_number(value: Any) -> float:
    """The largest absolute number in a value, however deep."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return 0.0
    if isinstance(value, int | float):
        return abs(value) if math.isfinite(value) else math.inf
    values = value.values() if isinstance(value, Mapping) else value
    return max((_largest_number(item) for item in values), default=0.0)
