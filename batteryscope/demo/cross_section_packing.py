"""Particles of a cross-section: where the coating lies and how circles fill it.

A strip of coating, periodic along the foil, is filled with the random sections of spheres
(log-normal diameters) whose area is exactly the active material's share; overlaps are then
pushed apart. Lengths are in pixels, heights count upwards from below the foil.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import ndtri

Floats = NDArray[np.float64]
MEDIAN_DIAMETER_UM = 7.5
LOG_SIGMA = 0.33
SMALLEST_PX = 3.5
LARGEST_RADIUS = 2.4  # in medians
MOST_SWEEPS = 1500


@dataclass(frozen=True)
class Envelope:
    """The two edges of the coating for every column, in pixels above the lower edge.

    ``foil`` and ``surface`` are (width,) arrays; ``height_px`` is that of the picture and
    ``slope`` the rise of the foil per pixel.
    """

    foil: Floats
    surface: Floats
    height_px: int
    slope: float


@dataclass(frozen=True)
class Packing:
    """Centres and radii of all particles, (n,) each, the largest first."""

    x: Floats
    y: Floats
    radius: Floats


def draw_envelope(
    thickness_px: float,
    densification: float,
    width_px: int,
    tilt_deg: float,
    rng: np.random.Generator,
) -> Envelope:
    """Draw the foil, embossed the more the denser the coating, and the surface, the flatter.

    The waves have neither mean nor trend, so that ``tilt_deg`` is the angle of the foil and
    ``thickness_px`` the mean thickness.
    """
    below, above = rng.uniform(50, 110), rng.uniform(50, 140)
    x = np.arange(width_px) - (width_px - 1) / 2
    slope = float(np.tan(np.deg2rad(tilt_deg)))
    lift = abs(slope) * width_px / 2
    foil = below + lift + slope * x + _draw_wave(width_px, 14, 0.8 + 3.0 * densification, rng)
    surface = (
        below
        + lift
        + slope * x
        + thickness_px / np.cos(np.deg2rad(tilt_deg))
        + _draw_wave(width_px, 25, 9 - 6 * densification, rng)
    )
    height = int(np.ceil(max(400.0, surface.max() + above)))
    return Envelope(foil, surface, height, slope)


def _draw_wave(n: int, length_px: float, sd_px: float, rng: np.random.Generator) -> Floats:
    """Return correlated noise of a given standard deviation without mean and linear trend."""
    margin = 4 * int(length_px)
    wave = ndimage.gaussian_filter1d(rng.normal(size=n + 2 * margin), length_px)
    wave = wave[margin : margin + n]
    x = np.arange(n)
    wave = wave - np.polyval(np.polyfit(x, wave, 1), x)
    return np.asarray(sd_px * wave / (wave.std() + 1e-9), dtype=np.float64)


def find_median_diameter_um(mean_radius_um: float) -> float:
    """Return the median diameter of cut spheres whose mean radius 3 V/S is given.

    A plane meets large spheres more often; of the spheres that it meets the diameters are
    log-normal. Then 3 V/S = E[r²]/E[r] = r_median·exp(1.5 σ²), and the mean chord of the
    sections is 4/3 of it (Underwood 1970, Quantitative Stereology: mean chord = 4 V/S).
    """
    return float(2 * mean_radius_um / np.exp(1.5 * LOG_SIGMA**2))


def pack_particles(
    envelope: Envelope,
    active_fraction: float,
    pixel_size_um: float,
    rng: np.random.Generator,
    mean_radius_um: float | None = None,
) -> Packing:
    """Fill the coating with circles of an area of ``active_fraction`` of it.

    With a mean radius they have it in every picture, else in the mean of many.
    """
    foil, surface = envelope.foil, envelope.surface
    width = len(foil)
    wanted = active_fraction * float((surface - foil).sum())
    if mean_radius_um is None:
        spheres = _draw_spheres(MEDIAN_DIAMETER_UM / 2 / pixel_size_um, rng)
    else:
        spheres = _spread_spheres(find_median_diameter_um(mean_radius_um) / 2 / pixel_size_um, rng)
    radius = _choose_radii(wanted, spheres)
    # The R2 sequence spreads every size evenly: a real slurry has no clouds of particles.
    steps = np.arange(len(radius))
    x = np.asarray((rng.uniform() + 0.7548776662 * steps) % 1 * width, dtype=np.float64)
    column = np.minimum(x.astype(int), width - 1)
    room = surface[column] - foil[column] - 2 * radius
    y = foil[column] + radius + room * ((rng.uniform() + 0.5698402910 * steps) % 1)
    _push_apart(x, y, radius, foil, surface, width, MOST_SWEEPS, 0.6)
    return Packing(x, y, radius)


def _draw_spheres(median_px: float, rng: np.random.Generator) -> Iterator[Floats]:
    """Yield sections r·√(1 − u²) of spheres, drawn by lot."""
    while True:
        spheres = np.exp(rng.normal(np.log(median_px), LOG_SIGMA, 500))
        cut = spheres * np.sqrt(1 - rng.uniform(0, 1, 500) ** 2)
        yield cut[(cut > SMALLEST_PX) & (cut < 75)]


def _spread_spheres(median_px: float, rng: np.random.Generator) -> Iterator[Floats]:
    """Yield the same sections one by one, sizes and heights spread evenly by the R2 sequence."""
    size, height = rng.uniform(size=2)
    for step in count():
        sphere = median_px * np.exp(LOG_SIGMA * ndtri((size + 0.7548776662 * step) % 1))
        cut = sphere * np.sqrt(1 - ((height + 0.5698402910 * step) % 1) ** 2)
        if SMALLEST_PX < cut < LARGEST_RADIUS * median_px:
            yield np.array([cut])


def _choose_radii(wanted_area: float, spheres: Iterator[Floats]) -> Floats:
    """Return sections with an area in total as wanted, largest first."""
    radii = np.zeros(0)
    while np.pi * (radii**2).sum() < wanted_area:
        radii = np.concatenate([radii, next(spheres)])
    radii = radii[: np.searchsorted(np.cumsum(np.pi * radii**2), wanted_area)]
    radii = radii * np.sqrt(wanted_area / (np.pi * (radii**2).sum()))
    return np.asarray(np.sort(radii)[::-1].copy())


@njit(cache=True)
def _push_apart(
    x: Floats, y: Floats, r: Floats, low: Floats, high: Floats, width: int, sweeps: int, gap: float
) -> float:
    """Move overlapping circles apart in place, small ones further; return the last overlap."""
    n = len(x)
    worst = 0.0
    for _ in range(sweeps):
        worst = 0.0
        for i in range(n):
            for j in range(i + 1, n):
                dx = x[i] - x[j]
                if dx > width / 2:
                    dx -= width
                elif dx < -width / 2:
                    dx += width
                reach = r[i] + r[j] + gap
                if abs(dx) >= reach:
                    continue
                dy = y[i] - y[j]
                if abs(dy) >= reach:
                    continue
                squared = dx * dx + dy * dy
                if squared < reach * reach:
                    distance = np.sqrt(squared) + 1e-6
                    overlap = reach - distance
                    worst = max(worst, overlap)
                    share = r[j] ** 2 / (r[i] ** 2 + r[j] ** 2)
                    step = 0.53 * overlap / distance
                    x[i] += dx * step * 2 * share
                    y[i] += dy * step * 2 * share
                    x[j] -= dx * step * 2 * (1 - share)
                    y[j] -= dy * step * 2 * (1 - share)
        for i in range(n):
            x[i] = x[i] % width
            column = min(int(x[i]), width - 1)
            y[i] = max(y[i], low[column] + 0.97 * r[i])
            y[i] = min(y[i], high[column] - 0.95 * r[i])
        if worst < 0.8:  # pixels of overlap
            break
    return worst
