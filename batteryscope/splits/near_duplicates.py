"""Images that show the same place: saved again, changed in brightness, or slightly moved.

Thumbnails are compared by phase correlation (Kuglin and Hines 1975): the spectra are
divided by their magnitudes, so that brightness, contrast and periodic patterns count for
nothing and only a common place gives a peak. The place of the peak tells the displacement
and thereby the share of the field of view that two images have in common.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from batteryscope.core.progress import show_progress
from batteryscope.manifest.frames import THUMBNAIL_PX

# Unrelated frames of electrodes stay below 0.14 and unrelated regular patterns below 0.46;
# a frame saved anew, brightened, blurred or cropped by 1 % gives more than 0.6.
MIN_SIMILARITY = 0.3
SIMILARITY_PER_SHARE = 0.53
# Of more images every pair is first compared at half the resolution, which takes an eighth of the
# time. Of 93,528 pairs of 433 frames of electrodes one in ten is that similar, and 1,752 of the
# 1,753 that show the same place.
MOST_IN_FULL = 2000
COARSE_PX = (THUMBNAIL_PX[0] // 2, THUMBNAIL_PX[1] // 2)
MIN_COARSE_SIMILARITY = 0.15
PAIR_COLUMNS = ["sample_a", "sample_b", "similarity", "shared_field"]


def find_overlaps(
    thumbnails: Sequence[NDArray[np.uint8]], sample_ids: Sequence[str]
) -> pd.DataFrame:
    """Find all pairs of images that show the same place, wholly or in part.

    Parameters
    ----------
    thumbnails
        From :func:`batteryscope.manifest.measure.make_thumbnail`.
    sample_ids
        Their samples.

    Returns
    -------
    DataFrame
        ``sample_a`` < ``sample_b``, ``similarity`` (0 to 1: height of the correlation peak),
        ``shared_field`` (share of the field of view in common, from the displacement);
        the most similar pairs first. Overlaps of less than about half of the field escape.

    Notes
    -----
    The time grows with the square of the number of images: 5,000 take about a minute.
    """
    order = np.argsort(np.asarray(sample_ids, dtype=str), kind="stable")
    names = [sample_ids[i] for i in order]
    spectra = [_whiten(thumbnails[i]) for i in order]
    found: list[tuple[str, str, float, float]] = []
    stack = np.stack(spectra) if spectra else np.zeros((0, 1, 1), np.complex64)
    coarse = _halve_resolution(stack) if len(stack) > MOST_IN_FULL else None
    firsts = range(len(stack) - 1)
    for i in show_progress(firsts, "looking for images of the same place", len(firsts), "image"):
        later = np.arange(i + 1, len(stack))
        if coarse is not None:
            peaks = np.concatenate(
                [_correlate(coarse[i], part, COARSE_PX).max(1) for part in _divide(coarse[i + 1 :])]
            )
            later = later[peaks >= MIN_COARSE_SIMILARITY]
        for others in _divide(later):
            correlation = _correlate(stack[i], stack[others], THUMBNAIL_PX)
            peaks = correlation.argmax(axis=1)
            heights = correlation[np.arange(len(others)), peaks]
            for j in np.flatnonzero(heights >= MIN_SIMILARITY).tolist():
                share = _share_in_common(int(peaks[j]))
                if heights[j] >= SIMILARITY_PER_SHARE * share:
                    height = min(1.0, round(float(heights[j]), 4))
                    found.append((names[i], names[others[j]], height, round(share, 4)))
    pairs = pd.DataFrame(found, columns=PAIR_COLUMNS)
    pairs = pairs.astype({"sample_a": "str", "sample_b": "str"})
    pairs = pairs.astype({"similarity": "float64", "shared_field": "float64"})
    return pairs.sort_values(
        ["similarity", "sample_a", "sample_b"], ascending=[False, True, True], ignore_index=True
    )


def select_near_duplicates(pairs: pd.DataFrame, min_share: float) -> pd.DataFrame:
    """Keep the pairs that have at least ``min_share`` (0 to 1) of the field of view in common."""
    return pairs[pairs["shared_field"] >= min_share].reset_index(drop=True)


def _divide(array: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Parts of an array that bound the memory of what is computed from each."""
    yield from (array[start : start + 1024] for start in range(0, len(array), 1024))


def _correlate(
    spectrum: NDArray[np.complex64], others: NDArray[np.complex64], size_px: tuple[int, int]
) -> NDArray[np.float32]:
    """Phase correlation of one spectrum with n others, (n, height × width)."""
    import scipy.fft

    return scipy.fft.irfft2(spectrum * others.conj(), s=size_px).reshape(len(others), -1)


def _halve_resolution(spectra: NDArray[np.complex64]) -> NDArray[np.complex64]:
    """Keep the lower half of all frequencies; each image correlates with itself by 1 again."""
    import scipy.fft

    height, width = COARSE_PX
    rows = np.r_[0 : height // 2, spectra.shape[1] - height // 2 : spectra.shape[1]]
    low = spectra[:, rows, : width // 2 + 1]
    energies = [np.square(scipy.fft.irfft2(part, s=COARSE_PX)).sum((1, 2)) for part in _divide(low)]
    scale = np.sqrt(np.maximum(np.concatenate(energies), 1e-12))
    return (low / scale[:, None, None]).astype(np.complex64)


def _whiten(thumbnail: NDArray[np.uint8]) -> NDArray[np.complex64]:
    """Spectrum of unit magnitude at all frequencies but the mean; no energy for a flat one."""
    import scipy.fft

    height, width = THUMBNAIL_PX
    # A window keeps the frame's edges, which all images have, out of the spectrum.
    window = np.sqrt(np.outer(np.hanning(height + 2)[1:-1], np.hanning(width + 2)[1:-1]))
    centred = (thumbnail - float(thumbnail.mean())) * window
    spectrum = scipy.fft.rfft2(centred.astype(np.float32))
    spectrum[0, 0] = 0
    magnitude = np.abs(spectrum)
    spectrum = spectrum / np.maximum(magnitude, 1e-6 * magnitude.max() + 1e-12)
    energy = np.square(scipy.fft.irfft2(spectrum, s=THUMBNAIL_PX)).sum()
    return (spectrum / np.sqrt(max(float(energy), 1e-12))).astype(np.complex64)


def _share_in_common(peak: int) -> float:
    """Share of the field that overlaps after the displacement that a flat index stands for."""
    share = 1.0
    for shift, length in zip(divmod(peak, THUMBNAIL_PX[1]), THUMBNAIL_PX, strict=True):
        share *= 1 - min(shift, length - shift) / length
    return share
