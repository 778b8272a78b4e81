"""What classical image analysis measures on a coating: porosity by thresholds, texture.

These numbers are the baselines that a network has to beat.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.feature import graycomatrix, graycoprops, local_binary_pattern
from skimage.filters import threshold_otsu

GREY_STEPS = 32
DISTANCES_PX = (1, 4, 16)
PROPERTIES = ("contrast", "homogeneity", "energy", "correlation")
PERCENTILES = (1, 5, 25, 50, 75, 95, 99)
SMOOTHING_PX = 1.0
EDGE_PX = 3  # reach of a particle's blurred edge
SMALLEST_CLEAR_PX = 100


def segment_pores(coating: NDArray[np.uint8]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Divide a coating into particles, binder with carbon, and pores.

    Otsu's threshold tells particles from the rest; a second one, on the dark part of the
    picture after smoothing, tells binder and carbon from resin-filled pores.

    Parameters
    ----------
    coating
        Grey levels of coating alone, (height, width).

    Returns
    -------
    particles, pores
        bool, same shape.
    """
    smooth = ndimage.gaussian_filter(coating.astype(np.float32), SMOOTHING_PX)
    particles = smooth > threshold_otsu(smooth)
    # Next to a particle its blurred edge would pass for binder: there the nearest pixel that is
    # clear of it decides.
    clear = ~ndimage.binary_dilation(particles, iterations=EDGE_PX)
    if clear.sum() < SMALLEST_CLEAR_PX:
        return particles, ~particles
    level = threshold_otsu(smooth[clear]) if np.ptp(smooth[clear]) > 1 else smooth[clear].max()
    nearest = ndimage.distance_transform_edt(~clear, return_distances=False, return_indices=True)
    return particles, ~particles & (smooth[tuple(nearest)] <= level)


def measure_coating(coating: NDArray[np.uint8]) -> dict[str, float]:
    """Return ``porosity_otsu``, ``active_share`` and texture descriptors of a coating.

    Returns
    -------
    dict
        Shares in 0 to 1; ``grey_*`` percentiles and standard deviation; ``glcm_*`` of the
        co-occurrence matrix (Haralick 1973) at three distances; ``lbp_*`` shares of uniform
        local binary patterns (Ojala 2002).
    """
    particles, pores = segment_pores(coating)
    values = {
        "porosity_otsu": float(pores.mean()),
        "active_share": float(particles.mean()),
    }
    return values | measure_texture(coating)


def measure_texture(coating: NDArray[np.uint8]) -> dict[str, float]:
    """Return the texture descriptors of :func:`measure_coating`, of any (height, width) picture."""
    values = {"grey_sd": float(coating.std())}
    levels = np.percentile(coating, PERCENTILES)
    values |= {f"grey_p{p:02d}": float(v) for p, v in zip(PERCENTILES, levels, strict=True)}
    steps = (coating.astype(np.uint16) * GREY_STEPS // 256).astype(np.uint8)
    matrix = graycomatrix(steps, DISTANCES_PX, [0, np.pi / 2], GREY_STEPS, True, True)
    for name in PROPERTIES:
        by_distance = graycoprops(matrix, name).mean(axis=1)
        values |= {
            f"glcm_{name}_{d}": float(v) for d, v in zip(DISTANCES_PX, by_distance, strict=True)
        }
    pattern = local_binary_pattern(coating, 8, 1, "uniform")
    shares = np.bincount(pattern.astype(int).ravel(), minlength=10) / pattern.size
    return values | {f"lbp_{i}": float(share) for i, share in enumerate(shares)}
