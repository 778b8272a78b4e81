"""What the page shows of files that somebody drops on it, without the page itself."""

import csv
from collections.abc import Container, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from batteryscope.bundle.ask import ask_about_files
from batteryscope.bundle.open import open_bundle
from batteryscope.bundle.picture_bundle import PictureBundle
from batteryscope.bundle.record import read_json
from batteryscope.bundle.unlike import UNLIKE, describe_caution
from batteryscope.core.named_function import load_function
from batteryscope.core.safe_text import guard_row, show_controls
from batteryscope.errors import BatteryscopeError, InputError
from batteryscope.evaluation.prediction_sets import SET_SEPARATOR
from batteryscope.explain.attribution import attribute_tiles
from batteryscope.explain.overlay import draw_overlay
from batteryscope.samples.choose import samples_cut_by

MOST_TILES = 4  # crops that are shown and explained of each picture
MOST_PICTURES = 8  # of which crops are shown


@dataclass(frozen=True)
class Shown:
    """The rows as the programs write them, sentences for people, and pictures with captions."""

    rows: pd.DataFrame
    sentences: list[str]
    pictures: list[tuple[bytes, str]] = field(default_factory=list)


def list_bundles(models: Path) -> list[str]:
    """Return the names of the published models of pictures and scans below a folder.

    One that is damaged is among them: to choose it says what is wrong.
    """
    return sorted(
        path.parent.name
        for path in models.glob("*/bundle.json")
        if "preprocess" in _read_description(path)
    )


def _read_description(path: Path) -> Container[str]:
    """Return the content of bundle.json; a damaged one might have anything."""
    try:
        found = read_json(path)
    except InputError:
        return ("preprocess",)
    return found if isinstance(found, dict) else ("preprocess",)


@lru_cache(maxsize=2)
def open_once(folder: Path, changed: float) -> PictureBundle[Any]:
    """Load a bundle, and keep it until its description changes."""
    del changed
    return open_bundle(folder)


def answer_files(folder: Path, paths: Sequence[Path], answer_anyway: bool = False) -> Shown:
    """Judge files, and show the crops that were used with what speaks for the answer.

    Errors are sentences: of the bundle for all files, of a file in its row.
    """
    try:
        bundle = open_once(folder, (folder / "bundle.json").stat().st_mtime)
    except (BatteryscopeError, OSError) as error:
        return Shown(pd.DataFrame(), [str(error)])
    contents = {path.name: path.read_bytes() for path in paths}
    if len(contents) < len(paths):
        return Shown(pd.DataFrame(), ["Two files have one name; rename one, or drop them singly."])
    rows = ask_about_files(bundle, contents, answer_anyway=answer_anyway)
    caution = describe_caution(bundle.record.data, bundle.familiarity is not None)
    units = {target.name: target.unit for target in getattr(bundle.record, "targets", [])}
    told = [*caution, *(describe_row(row, units) for row in _list_judged(rows))]
    pictures: list[tuple[bytes, str]] = []
    for path in paths[:MOST_PICTURES]:
        own = [row for row in _list_judged(rows) if row["file"] == path.name]
        if own and own[0]["status"] != "rejected":
            pictures += draw_tiles(bundle, path, own[0])
    return Shown(rows, told, pictures)


def _list_judged(rows: pd.DataFrame) -> list[dict[Any, Any]]:
    """Rows of pictures and cells, without those of single slices."""
    return [row for row in rows.to_dict("records") if row.get("level") != "slice"]


def describe_row(row: Mapping[Any, Any], units: Mapping[str, str] | None = None) -> str:
    """Say in a sentence what became of a file; numbers with their ``units``, by name."""
    units = units or {}
    file = show_controls(str(row["file"]))
    nearest = row.get("nearest_training_image")
    beside = f" Nearest training image: {nearest}." if isinstance(nearest, str) and nearest else ""
    if row["status"] != "ok":
        what = "unlike the training pictures" if row["status"] == UNLIKE else "cannot be used"
        return f"{file}: no answer, {what}: {str(row['reason']).rstrip('.')}."
    if "class" in row:
        text = f"{row['class']}, {100 * float(row['confidence']):.1f} % sure"
        possible = row.get("prediction_set")
        if isinstance(possible, str) and SET_SEPARATOR in possible:
            text += f"; possible are {possible}"
    else:
        told = [name for name in row if f"{name}_low" in row and row[name] is not None]
        text = ", ".join(_describe_number(row, name, units.get(name, "")) for name in told)
    note = f" ({row['note']})" if row.get("note") else ""
    return f"{file}: {text}{note}.{beside}"


def _describe_number(row: Mapping[Any, Any], name: str, unit: str) -> str:
    """Say a number with its interval, if it has one."""
    low, high = row[f"{name}_low"], row.get(f"{name}_high")
    interval = "" if low is None or high is None else f" ({low:.4g} to {high:.4g})"
    return f"{name} {row[name]:.4g}{interval} {unit}".rstrip()


def draw_tiles(
    bundle: PictureBundle[Any], path: Path, row: Mapping[Any, Any]
) -> list[tuple[bytes, str]]:
    """Draw the first crops of a file with the places that speak for the answer."""
    cut = load_function(samples_cut_by(bundle.record.preprocess).modules.predict, "cut_tiles")
    tiles: NDArray[np.uint8] | None = cut(bundle, path)
    if tiles is None or not len(tiles):
        return []
    model, names = bundle.models[0], list(bundle.models[0].description.classes)
    told = row["class"] if "class" in row else names[0]
    is_answered = row["status"] == "ok" and told in names
    label = f"{told}" if is_answered else ""
    drawn = []
    for number, tile in enumerate(tiles[:MOST_TILES], 1):
        caption = f"{path.name}, crop {number} of {len(tiles)}"
        heat = np.zeros(tile.shape[-2:])
        # A network without feature maps has nothing to draw over the crop.
        with suppress(BatteryscopeError):
            if is_answered:
                maps = attribute_tiles(model, tile[None], [names.index(told)], "grad_cam", 1)
                heat = maps.grad_cam[0]
                caption += f": what speaks for {told}"
        drawn.append((draw_overlay(tile, heat, None, label), caption))
    return drawn


def write_rows(rows: pd.DataFrame, folder: Path) -> Path:
    """Write the rows as ``predict_images.py`` does."""
    path = folder / "predictions.csv"
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, [str(c) for c in rows], lineterminator="\n")
        writer.writeheader()
        for row in rows.to_dict("records"):
            writer.writerow(guard_row({str(column): value for column, value in row.items()}))
    return path
