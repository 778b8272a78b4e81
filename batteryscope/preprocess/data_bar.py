"""The data bar: the strip of text below a micrograph that must never be learned from."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

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
    level = np.bincount(grey[-max(8, height // 25) :].ravel(), minlength=256).argmax()
    distance = np.abs(grey.astype(np.int16) - np.int16(level))
    found = _find_edge(grey, distance, height)
    hint = metadata_height_px or 0
    if found < hint <= n_rows and _is_stated_bar(grey, distance, hint):
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


def _find_edge(grey: NDArray[np.uint8], distance: NDArray[np.int16], height: int) -> int:
    """Height of the block at the bottom that looks most like a bar; 0 if none does."""
    n_rows = len(grey)
    filled = (distance <= NEAR).mean(axis=1)
    is_uniform = _find_uniform_rows(grey, distance)
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
    for row in range(n_rows - highest, n_rows - lowest + 1):
        is_first_line = is_line[row] and not is_line[row - 1]
        jump = filled[row] - filled[row - 2 : row].min()
        is_edge = filled[row] >= 0.85 and (jump >= 0.15 or is_uniform[row - 1])
        if not (is_first_line or is_edge) or is_bar_row[row : bottom + 1].mean() < 0.8:
            continue
        if not _holds_letters(distance[row : bottom + 1]):
            continue
        if is_first_line:
            top_line = min(top_line, row)
        # A gap between two lines of text is an edge as well, but one below more of the bar.
        contrast = filled[row : bottom + 1].mean() - filled[max(0, row - n_above) : row].mean()
        if is_edge and contrast > best_contrast:
            top_edge, best_contrast = row, contrast
    top = min(top_line, top_edge)
    if top == n_rows:
        return 0
    if is_uniform[top - 1] or (not is_line[top] and _is_mixed(distance, top)):
        top -= 1
    return n_rows - top


def _find_uniform_rows(grey: NDArray[np.uint8], distance: NDArray[np.int16]) -> NDArray[np.bool_]:
    """Rows of one grey level that is far from the bar's."""
    is_far = (distance >= SHARP).mean(axis=1) >= 0.5
    some = grey[:, ::4].astype(np.int16)  # enough columns for a whole row
    middle = np.median(some, axis=1, keepdims=True)
    return is_far & ((np.abs(some - middle) <= 16).mean(axis=1) >= 0.95)


def _find_border_lines(grey: NDArray[np.uint8], is_uniform: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Runs of at most four uniform rows that stand out from the rows above and below them.

    Empty background and overexposed coating give uniform rows, too, but no thin lines.
    """
    is_line = np.zeros_like(is_uniform)
    middle = np.median(grey[:, ::4], axis=1)
    borders = np.flatnonzero(np.diff(np.concatenate([[False], is_uniform, [False]]).astype(int)))
    for first, end in borders.reshape(-1, 2):
        outside = [row for row in (first - 1, end) if 0 <= row < len(grey)]
        stands_out = np.abs(middle[outside] - middle[first]).min() >= SHARP / 2
        is_line[first:end] = end - first <= 4 and stands_out
    return is_line


def _is_mixed(distance: NDArray[np.int16], row: int) -> bool:
    """Whether the row above an edge is clearly paler than the image above it."""
    if row < 3:
        return False
    above = float(distance[row - 3 : row - 1].mean())
    return above >= 2 * NEAR and float(distance[row - 1].mean()) < 0.75 * above


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


def _is_stated_bar(grey: NDArray[np.uint8], distance: NDArray[np.int16], hint: int) -> bool:
    block = distance[-hint:]
    rows = ((block <= NEAR).mean(axis=1) >= 0.4) | _find_uniform_rows(grey[-hint:], block)
    return hint >= 8 and bool(rows.mean() >= 0.95) and _holds_letters(block)
