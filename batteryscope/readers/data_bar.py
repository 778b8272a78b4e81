"""The data bar: the strip of text below a micrograph that must never be learned from."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from batteryscope.core.pixel_kernels import count_by_distance, count_near_median

HIGHEST_SHARE = 0.25  # of the frame; no vendor's bar is higher
LOWEST_SHARE = 0.02
NEAR = 8  # grey levels of 255: compression noise around letters stays within
SHARP = 60  # letters, scale bars and border lines differ by more than this from the bar


def find_data_bar(pixels: NDArray[np.integer], metadata_height_px: int | None = None) -> int:
    """Find how many rows at the bottom of a frame belong to its data bar.

    A bar is a block of one exact grey level, over the full width, that starts with a
    sharp horizontal edge or a border line and holds letters. Empty background is no
    bar: it is noisy, holds no letters, and particles do not end in one row.

    Parameters
    ----------
    pixels
        Grey frame, (height, width), uint8 or uint16 over full scale.
    metadata_height_px
        Height that the file's metadata state. It only decides where the picture does not
        contradict it: the stated rows must look like a bar too.

    Returns
    -------
    int
        Rows from the top of the bar to the bottom of the frame; 0 without a bar.
    """
    height, width = pixels.shape
    n_rows = int(height * (HIGHEST_SHARE + 0.05))
    lowest = pixels[height - n_rows :]
    grey = (lowest // 257 if lowest.dtype == np.uint16 else lowest).astype(np.uint8, copy=False)
    if height < 32 or width < 32:
        return 0
    level = int(np.bincount(grey[-max(8, height // 25) :].ravel(), minlength=256).argmax())
    n_near, n_far = count_by_distance(grey, level, NEAR, SHARP)
    n_alike, n_some = count_near_median(grey, 4, 16)  # enough columns for a whole row
    # Rows of one grey level that is far from the bar's.
    is_uniform = (n_far / width >= 0.5) & (n_alike / n_some >= 0.95)
    found = _find_edge(grey, level, n_near / width, is_uniform, height)
    hint = metadata_height_px or 0
    if found < hint <= n_rows and _is_stated_bar(grey, level, n_near / width, is_uniform, hint):
        return hint
    return found


def measure_data_bar(
    pixels: NDArray[np.uint8], record: Mapping[str, Any], stated: str | int = "auto"
) -> int:
    """Return the rows to leave out at the bottom: found (``auto``), none, or as stated.

    ``data_bar_px`` of the record is the height that the file's metadata state, if they do.
    """
    if stated == "none":
        return 0
    if stated == "auto":
        hint = record.get("data_bar_px")
        return find_data_bar(pixels, None if hint is None or pd.isna(hint) else int(hint))
    return int(stated)


def _find_edge(
    grey: NDArray[np.uint8],
    level: int,
    filled: NDArray[np.float64],
    is_uniform: NDArray[np.bool_],
    height: int,
) -> int:
    """Height of the block at the bottom that looks most like a bar; 0 if none does.

    ``filled`` is the share of every row that has nearly the bar's grey level.
    """
    n_rows = len(grey)
    is_line = _find_border_lines(grey, is_uniform)
    is_bar_row = (filled >= 0.4) | is_line
    # Zeiss draws the bar as a box that leaves a row of the image below it.
    bottom = n_rows - 1
    while bottom >= n_rows - 1 - max(2, height // 100) and not is_bar_row[bottom]:
        bottom -= 1
    if not is_bar_row[bottom]:
        return 0
    n_above = max(4, height // 20)
    top_line, top_edge, best_contrast = n_rows, n_rows, 0.1
    highest, lowest = int(height * HIGHEST_SHARE), max(8, int(np.ceil(height * LOWEST_SHARE)))
    rows = np.arange(max(1, n_rows - highest), n_rows - lowest + 1)
    starts_line = is_line[rows] & ~is_line[rows - 1]
    jump = filled[rows] - np.minimum(filled[rows - 1], filled[np.maximum(rows - 2, 0)])
    is_edge = (filled[rows] >= 0.85) & ((jump >= 0.15) | is_uniform[rows - 1])
    for place in np.flatnonzero(starts_line | is_edge):
        row = int(rows[place])
        # A gap between two lines of text is an edge as well, but one below more of the bar.
        contrast = filled[row : bottom + 1].mean() - filled[max(0, row - n_above) : row].mean()
        is_new_line = starts_line[place] and top_line == n_rows
        is_better_edge = is_edge[place] and contrast > best_contrast
        if not (is_new_line or is_better_edge) or is_bar_row[row : bottom + 1].mean() < 0.8:
            continue
        if not _holds_letters(_measure_distance(grey[row : bottom + 1], level)):
            continue
        if is_new_line:
            top_line = row
        if is_better_edge:
            top_edge, best_contrast = row, contrast
    top = min(top_line, top_edge)
    if top == n_rows:
        return 0
    if is_uniform[top - 1] or (not is_line[top] and _is_mixed(grey, level, top)):
        top -= 1
    return n_rows - top


def _measure_distance(grey: NDArray[np.uint8], level: int) -> NDArray[np.int16]:
    return np.abs(grey.astype(np.int16) - np.int16(level))


def _find_border_lines(grey: NDArray[np.uint8], is_uniform: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Runs of at most four uniform rows that stand out from the rows above and below them.

    Empty background and overexposed coating give uniform rows, too, but no thin lines.
    """
    is_line = np.zeros_like(is_uniform)
    borders = np.flatnonzero(np.diff(np.concatenate([[False], is_uniform, [False]]).astype(int)))
    for first, end in borders.reshape(-1, 2):
        if end - first <= 4:
            outside = [row for row in (first - 1, end) if 0 <= row < len(grey)]
            middle = np.median(grey[[first, *outside], ::4], axis=1)
            is_line[first:end] = np.abs(middle[1:] - middle[0]).min() >= SHARP / 2
    return is_line


def _is_mixed(grey: NDArray[np.uint8], level: int, row: int) -> bool:
    """Whether the row above an edge is clearly paler than the image above it."""
    if row < 3:
        return False
    distance = _measure_distance(grey[row - 3 : row], level).mean(axis=1)
    above = float(distance[:2].mean())
    return above >= 2 * NEAR and float(distance[2]) < 0.75 * above


def _holds_letters(block: NDArray[np.int16]) -> bool:
    """Whether a block is one exact grey level with something sharp on it."""
    sharp = block >= SHARP
    if not 0.002 <= sharp.mean() <= 0.45:
        return False
    columns = np.flatnonzero(sharp[1:-1].mean(axis=0) >= 0.02)  # without its border lines
    spread = (columns[-1] - columns[0]) / block.shape[1] if len(columns) else 0.0
    return bool(spread >= 0.1 and _is_quiet(block))


def _is_quiet(block: NDArray[np.int16], edge: int = 4) -> bool:
    """Whether the squares between the letters have no noise at all, unlike background."""
    n_rows, n_columns = (length // edge for length in block.shape)
    rows = block[: n_rows * edge, : n_columns * edge].reshape(n_rows, edge, -1)
    highest = rows.max(axis=1).reshape(n_rows, n_columns, edge).max(axis=2)
    lowest = rows.min(axis=1).reshape(n_rows, n_columns, edge).min(axis=2)
    empty = highest <= NEAR
    return bool(empty.mean() >= 0.15 and np.median((highest - lowest)[empty]) <= 2)


def _is_stated_bar(
    grey: NDArray[np.uint8],
    level: int,
    filled: NDArray[np.float64],
    is_uniform: NDArray[np.bool_],
    hint: int,
) -> bool:
    rows = (filled[-hint:] >= 0.4) | is_uniform[-hint:]
    is_filled = hint >= 8 and bool(rows.mean() >= 0.95)
    return is_filled and _holds_letters(_measure_distance(grey[-hint:], level))
