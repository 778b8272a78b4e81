"""What lies where in a cross-section: particles with cracks, carbon, binder, pores, foil."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from batteryscope.demo.cross_section_packing import Envelope, Packing
from batteryscope.seeds import derive_rng

RESIN, PORE, BINDER, CARBON, PARTICLE, COLLECTOR, CRACK, SCRATCH, PULL_OUT = range(9)
SMALLEST_WITH_PORES_PX = 12
BREAKS = 3  # cracks through a particle that is lost
LAYERS = 12  # of the coating, in which the share of binder is set
CRACK_DARKNESS = 0.25  # a pixel darker by this share counts as crack or inner pore
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Drawing:
    """A cross-section before it is photographed; rows count upwards.

    Attributes
    ----------
    phases : (H, W) uint8
        Codes ``RESIN`` … ``PULL_OUT``.
    particle : (H, W) int32
        Number of the particle, from 1; 0 elsewhere.
    reflectance : (H, W) float32
        Of particles and carbon flakes, 0 elsewhere.
    darkness : (H, W) float32
        Share of the light that cracks and inner pores take.
    torn_out
        Numbers of the particles of which the picture shows the hole.
    """

    phases: NDArray[np.uint8]
    particle: NDArray[np.int32]
    reflectance: Floats
    darkness: Floats
    torn_out: tuple[int, ...] = ()

    def measure_porosity(self) -> float:
        """Return the share of pores between foil and surface; cracks count as solid."""
        inside = (self.phases != RESIN) & (self.phases != COLLECTOR)
        return float((self.phases[inside] == PORE).mean())


def draw_noise(
    shape: tuple[int, int], length_px: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return smooth noise of mean 0 and standard deviation 1."""
    coarse = max(1, int(length_px / 2))
    small = rng.normal(size=(shape[0] // coarse + 8, shape[1] // coarse + 8)).astype(np.float32)
    noise = ndimage.gaussian_filter(small, length_px / coarse)
    if coarse > 1:
        noise = _stretch(_stretch(noise, coarse, shape[0]).T, coarse, shape[1]).T
    noise = noise[: shape[0], : shape[1]]
    return np.asarray(noise / (noise.std() + 1e-9), dtype=np.float32)


def _stretch(noise: Floats, factor: int, n_rows: int) -> Floats:
    """Return the first rows of an array that is interpolated to ``factor`` times as many."""
    places = np.arange(n_rows) * ((len(noise) - 1) / (factor * len(noise) - 1))
    before = places.astype(int)
    share = (places - before).astype(np.float32)[:, None]
    return noise[before] * (1 - share) + noise[before + 1] * share


def draw_phases(
    envelope: Envelope,
    packing: Packing,
    additive_fraction: float,
    densification: float,
    seed: int,
    binder_gradient: float = 0.0,
    lost_particles: float = 0.0,
) -> Drawing:
    """Draw a packing; binder and carbon fill ``additive_fraction`` of the coating.

    With ``binder_gradient`` γ their local share is (1 + γ·(2h − 1)) times that, at the relative
    height h above the foil. ``lost_particles`` is the share of the particles' area that is torn
    out or cracked through.
    """
    width = len(envelope.foil)
    shape = (envelope.height_px, width)
    rng = derive_rng(seed, "phases")
    rows = np.arange(shape[0], dtype=np.float32)[:, None]
    coating = (rows > envelope.foil[None]) & (rows < envelope.surface[None])
    torn, broken = _choose_lost(packing, lost_particles, derive_rng(seed, "lost particles"))
    drawing = Drawing(
        np.where(coating, np.uint8(PORE), np.uint8(RESIN)),
        np.zeros(shape, np.int32),
        np.zeros(shape, np.float32),
        np.zeros(shape, np.float32),
        tuple(number + 1 for number in torn),
    )
    rough = draw_noise(shape, 5, rng)
    for number, left in _list_copies(packing, width):
        own = derive_rng(seed, "particle", number)
        breaks = BREAKS if number in broken else 0
        _draw_particle(drawing, packing, number, left, envelope, densification, rough, own, breaks)
    is_particle = drawing.particle > 0
    drawing.phases[is_particle] = PARTICLE
    excess = None
    if binder_gradient:
        height = (rows - envelope.foil[None]) / (envelope.surface - envelope.foil)[None]
        excess = (1 + binder_gradient * (2 * np.clip(height, 0, 1) - 1)).astype(np.float32)
    _draw_additives(drawing, is_particle, additive_fraction * float(coating.sum()), rng, excess)
    drawing.phases[(rows <= envelope.foil[None]) & ~is_particle] = COLLECTOR
    drawing.phases[is_particle & (drawing.darkness > CRACK_DARKNESS)] = CRACK
    return drawing


def _choose_lost(
    packing: Packing, share: float, rng: np.random.Generator
) -> tuple[list[int], list[int]]:
    """Draw particles by lot, each kind with half of ``share`` of their area: torn out, cracked."""
    area = packing.radius**2
    order = rng.permutation(len(area)).tolist()
    kinds: tuple[list[int], list[int]] = ([], [])
    for kind in kinds:
        left = share / 2 * float(area.sum())
        for number in order:
            if area[number] <= left and number not in kinds[0]:
                kind.append(number)
                left -= float(area[number])
    return kinds


def _list_copies(packing: Packing, width: int) -> list[tuple[int, float]]:
    """Number and place of every particle and of its periodic copies that reach the picture."""
    return [
        (number, x + shift)
        for shift in (0, -width, width)
        for number, (x, r) in enumerate(zip(packing.x, packing.radius, strict=True))
        if -1.3 * r < x + shift < width + 1.3 * r
    ]


def _draw_particle(
    drawing: Drawing,
    packing: Packing,
    number: int,
    x: float,
    envelope: Envelope,
    densification: float,
    rough: Floats,
    rng: np.random.Generator,
    breaks: int = 0,
) -> None:
    """Draw one particle with a wavy outline of the circle's area, inner pores and cracks.

    Beside the usual ones it has ``breaks`` wide cracks from edge to edge.
    """
    y, radius = float(packing.y[number]), float(packing.radius[number])
    height, width = drawing.phases.shape
    x0, x1 = max(0, int(x - radius * 1.25) - 2), min(width, int(x + radius * 1.25) + 3)
    y0, y1 = max(0, int(y - radius * 1.25) - 2), min(height, int(y + radius * 1.25) + 3)
    if x1 <= x0 or y1 <= y0:
        return
    window = slice(y0, y1), slice(x0, x1)
    dy, dx = np.mgrid[y0:y1, x0:x1].astype(np.float32)
    foil_gap = dy - envelope.foil[None, x0:x1]
    dx, dy = dx - np.float32(x), dy - np.float32(y)
    distance, angle = np.hypot(dx, dy), np.arctan2(dy, dx)
    amplitude = rng.normal(0, 1, 6) * np.array([0.045, 0.03, 0.022, 0.015, 0.012, 0.01])
    phase = rng.uniform(0, 2 * np.pi, 6)
    outline = 1 + sum(amplitude[k] * np.cos((k + 2) * angle + phase[k]) for k in range(6))
    outline = radius * outline / np.sqrt(1 + 0.5 * (amplitude**2).sum())
    mask = (distance < outline) & (drawing.particle[window] == 0) & (foil_gap > -3)
    drawing.particle[window][mask] = number + 1
    drawing.reflectance[window][mask] = 0.70 + rng.normal(0, 0.035)
    dark = drawing.darkness[window]
    for _ in range(breaks):
        dark += mask * _draw_crack(dx, dy, radius, 1.0, rng, through=True)
    if radius <= SMALLEST_WITH_PORES_PX:
        return
    for _ in range(rng.poisson(0.012 * radius**1.25)):
        q, t = radius * 0.85 * np.sqrt(rng.uniform()), rng.uniform(0, 2 * np.pi)
        spread = rng.uniform(0.6, 2.0)
        squared = (dx - q * np.cos(t)) ** 2 + (dy - q * np.sin(t)) ** 2
        dark += mask * np.exp(-squared / (2 * spread**2)) * rng.uniform(0.25, 0.55)
    if rng.uniform() < 0.10:
        core = radius * rng.uniform(0.12, 0.28) * (1 + 0.3 * rough[window])
        dark += mask * 0.5 / (1 + np.exp(np.clip(distance - core, -40, 40)))
    if rng.uniform() < 0.06 + 0.45 * densification:
        for _ in range(rng.integers(1, 3 + int(3 * densification))):
            dark += mask * _draw_crack(dx, dy, radius, densification, rng)


def _draw_crack(
    dx: Floats,
    dy: Floats,
    radius: float,
    densification: float,
    rng: np.random.Generator,
    *,
    through: bool = False,
) -> Floats:
    """Return the darkness of one wavy crack in a particle, or from edge to edge of it."""
    t, offset = rng.uniform(0, 2 * np.pi), rng.normal(0, 0.25) * radius
    along, across = dx * np.cos(t) + dy * np.sin(t), dy * np.cos(t) - dx * np.sin(t)
    k1, k2 = rng.uniform(0.04, 0.15, 2)
    wave = radius * 0.12 * np.sin(along * k1 + rng.uniform(0, 6))
    wave += radius * 0.05 * np.sin(along * 2.7 * k2 + rng.uniform(0, 6))
    half = rng.uniform(0.45, 1.1) * (1 + 0.8 * densification)
    end = 1.3 * radius if through else rng.uniform(-0.3, 1.1) * radius
    crack = 0.6 * (along < end) * np.exp(-(((across - offset - wave) / half) ** 2))
    return np.asarray(crack, dtype=np.float32)


def _draw_additives(
    drawing: Drawing,
    is_particle: NDArray[np.bool_],
    wanted_px: float,
    rng: np.random.Generator,
    excess: Floats | None = None,
) -> None:
    """Place a quarter of the additives as flakes of graphite, the rest as clouds of binder.

    ``excess`` is the local share of additives, relative to their mean; None: the same everywhere.
    """
    phases = drawing.phases
    distance = ndimage.distance_transform_edt(~is_particle).astype(np.float32)
    cloud = draw_noise(phases.shape, 8, rng) + 0.8 * draw_noise(phases.shape, 2.5, rng)
    cloud -= 0.05 * distance
    ys, xs = np.nonzero((phases == PORE) & (distance > 1) & (distance < 9))
    placed = 0
    for _ in range(400):
        if placed > 0.25 * wanted_px or len(ys) == 0:
            break
        place = rng.integers(len(ys))
        if excess is not None and rng.uniform(0, excess.max()) > excess[ys[place], xs[place]]:
            continue
        placed += _draw_flake(drawing, int(xs[place]), int(ys[place]), rng)
    pore = phases == PORE
    left = int(wanted_px) - placed
    if excess is not None:
        cloud -= _find_cloud_levels(cloud, phases, excess, wanted_px)
    values = cloud[pore]
    if 0 < left < values.size:
        level = np.partition(values, values.size - left)[values.size - left]
        phases[pore & (cloud > level)] = BINDER


def _find_cloud_levels(
    cloud: Floats, phases: NDArray[np.uint8], excess: Floats, wanted_px: float
) -> Floats:
    """Return for every pixel the value above which a cloud is binder, so that ``excess`` is met."""
    inside = (phases != RESIN) & (phases != COLLECTOR)
    edges = np.linspace(excess[inside].min(), excess[inside].max(), LAYERS + 1)
    mean_share = wanted_px / inside.sum()
    middles, levels = [], []
    for low, high in pairwise(edges):
        layer = inside & (excess >= low) & (excess <= high)
        free = np.sort(cloud[layer & (phases == PORE)])
        carbon = int((phases[layer] == CARBON).sum())
        wanted = mean_share * excess[layer].mean() * layer.sum() - carbon
        if len(free):
            middles.append(float(excess[layer].mean()))
            levels.append(float(free[int(np.clip(len(free) - wanted, 0, len(free) - 1))]))
    return np.interp(excess, middles, levels).astype(np.float32)


def _draw_flake(drawing: Drawing, x: int, y: int, rng: np.random.Generator) -> int:
    """Draw one thin bent flake in the pores and return its pixels."""
    length, half = rng.uniform(5, 20), rng.uniform(1.0, 3.4)
    t, reach = rng.uniform(0, np.pi), int(length) + 3
    height, width = drawing.phases.shape
    x0, x1, y0, y1 = max(0, x - reach), min(width, x + reach), max(0, y - reach), y + reach
    y1 = min(height, y1)
    dy, dx = np.mgrid[y0 - y : y1 - y, x0 - x : x1 - x].astype(np.float32)
    along = dx * np.cos(t) + dy * np.sin(t)
    across = dy * np.cos(t) - dx * np.sin(t) - 0.012 * rng.normal() * along**2
    inside = (along / length) ** 2 + (across / half) ** 2 < 1
    mask = inside & (drawing.phases[y0:y1, x0:x1] == PORE)
    drawing.phases[y0:y1, x0:x1][mask] = CARBON
    drawing.reflectance[y0:y1, x0:x1][mask] = rng.uniform(0.26, 0.46)
    return int(mask.sum())
