"""Whether maps agree with each other, and on what parts of the microstructure they lie."""

from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage, stats

from batteryscope.demo.cross_section_phases import (
    BINDER,
    CARBON,
    CRACK,
    PARTICLE,
    PORE,
    PULL_OUT,
    SCRATCH,
)

Maps = NDArray[np.float32]
EDGE_PX = 3  # on both sides of a particle's outline


def divide_regions(phases: NDArray[np.uint8]) -> dict[str, NDArray[np.bool_]]:
    """Divide a phase map into parts that do not overlap.

    Artefacts (scratches, particles pulled out) come first, then cracks and inner pores, then
    the edges of particles (``EDGE_PX`` on both sides), then what is left of particles,
    additives (binder, carbon) and pores.
    """
    artefacts = np.isin(phases, (SCRATCH, PULL_OUT))
    cracks = phases == CRACK
    solid = np.isin(phases, (PARTICLE, CRACK))
    # Scratches run across particles without giving them edges.
    solid |= (phases == SCRATCH) & ndimage.binary_closing(solid, iterations=2)
    size = 2 * EDGE_PX + 1
    edges = ndimage.maximum_filter(solid, size) != ndimage.minimum_filter(solid, size)
    edges &= ~artefacts & ~cracks
    rest = ~artefacts & ~cracks & ~edges
    return {
        "particle edges": edges,
        "particles": rest & (phases == PARTICLE),
        "cracks": cracks,
        "pores": rest & (phases == PORE),
        "additives": rest & np.isin(phases, (BINDER, CARBON)),
        "artefacts": artefacts,
    }


def measure_shares(maps: dict[str, Maps], phases: NDArray[np.uint8]) -> pd.DataFrame:
    """Measure how much of the absolute attribution lies on every region.

    Parameters
    ----------
    maps
        By method (n_outputs, h, w); made as large as ``phases`` by repeating pixels.
    phases : (H, W) uint8
        H and W are multiples of h and w.

    Returns
    -------
    DataFrame
        ``method, output`` (number), ``region, share, area, density`` (share by area: 1 is
        indifference; NaN where the region is absent).
    """
    regions = divide_regions(phases)
    rows = []
    for method, stack in maps.items():
        factor = phases.shape[0] // stack.shape[1]
        for output, values in enumerate(np.abs(stack.astype(np.float64))):
            full = np.kron(values, np.ones((factor, factor)))
            total = full.sum()
            for region, mask in regions.items():
                share = float(full[mask].sum() / total) if total > 0 else float("nan")
                area = float(mask.mean())
                density = share / area if area > 0 else float("nan")
                rows.append((method, output, region, share, area, density))
    columns = ["method", "output", "region", "share", "area", "density"]
    return pd.DataFrame(rows, columns=columns)


def find_densities(shares: pd.DataFrame) -> pd.DataFrame:
    """Average over pictures and outputs: mean share by mean area of every region.

    A picture with little of a region so counts little for it.

    Parameters
    ----------
    shares
        Rows of :func:`measure_shares`, of one arm.

    Returns
    -------
    DataFrame
        A row per method, a column per region, in the order of the rows; 1 is indifference.
    """
    keys: dict[str, Any] = {"index": "method", "columns": "region", "sort": False}
    return shares.pivot_table("share", **keys) / shares.pivot_table("area", **keys)


def measure_agreement(maps: dict[str, Maps], window_px: int) -> pd.DataFrame:
    """Compare the methods pair by pair.

    The absolute attributions are averaged over squares of ``window_px``, which all methods
    resolve, and ranked (Spearman's correlation).

    Returns
    -------
    DataFrame
        ``first, second, output, correlation``.
    """
    pooled = {
        name: [pool_squares(np.abs(values.astype(np.float64)), window_px) for values in stack]
        for name, stack in maps.items()
    }
    rows = []
    for first, second in combinations(pooled, 2):
        for output, (a, b) in enumerate(zip(pooled[first], pooled[second], strict=True)):
            constant = np.ptp(a) == 0 or np.ptp(b) == 0
            value = float("nan") if constant else float(stats.spearmanr(a, b, axis=None).statistic)
            rows.append((first, second, output, value))
    return pd.DataFrame(rows, columns=["first", "second", "output", "correlation"])


def pool_squares(values: NDArray[np.float64], window_px: int) -> NDArray[np.float64]:
    """Average over squares; an incomplete one at the end is left out."""
    rows, columns = (n // window_px for n in values.shape)
    cut = values[: rows * window_px, : columns * window_px]
    return np.asarray(cut.reshape(rows, window_px, columns, window_px).mean(axis=(1, 3)))
