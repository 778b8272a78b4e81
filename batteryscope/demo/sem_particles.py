"""Packed particles of a coating seen from above: positions, shapes and the height map."""

from dataclasses import dataclass, fields

import numpy as np
from numba import njit
from numpy.typing import NDArray

from batteryscope.demo.sem_traits import CompositionTraits

Array = NDArray[np.float64]

LAYER_LEVELS = (0.0, -0.45, -0.8)  # centres of the layers in median diameters; the top one first
HARMONICS = 5  # outline harmonics 2 to 6 of a particle
MARGIN_UM = 8.0  # particles are packed this far beyond the frame, so that its edge is not special
Map = NDArray[np.float32]
Rows = NDArray[np.int32]


@njit(cache=True)
def relax_overlaps(
    x: Array, y: Array, radius: Array, width: float, height: float, gap: float, rounds: int
) -> None:
    """Push overlapping discs apart in a periodic box, small ones farther; changes x and y.

    Neighbours are found through a grid of cells at least one contact distance wide. It ends when
    no overlap is deeper than 0.8, or after so many rounds.

    Parameters
    ----------
    x, y, radius
        Discs, in pixels; at least one.
    width, height
        Size of the box in pixels.
    gap
        Wanted distance between touching discs; negative to let them overlap a little.
    rounds
        Largest number of passes over all pairs.
    """
    count = len(x)
    cell = 2 * radius.max() + abs(gap)
    columns, rows = max(int(width // cell), 1), max(int(height // cell), 1)
    cell_w, cell_h = width / columns, height / rows
    reach_x = 1 if columns >= 3 else 0
    reach_y = 1 if rows >= 3 else 0
    if reach_x == 0:
        columns, cell_w = 1, width
    if reach_y == 0:
        rows, cell_h = 1, height
    for _ in range(rounds):
        first = -np.ones((rows, columns), np.int64)
        following = -np.ones(count, np.int64)
        worst = 0.0
        for i in range(count):
            x[i] %= width
            y[i] %= height
            c, r = min(int(x[i] / cell_w), columns - 1), min(int(y[i] / cell_h), rows - 1)
            following[i] = first[r, c]
            first[r, c] = i
        for i in range(count):
            c, r = min(int(x[i] / cell_w), columns - 1), min(int(y[i] / cell_h), rows - 1)
            for dr in range(-reach_y, reach_y + 1):
                for dc in range(-reach_x, reach_x + 1):
                    j = first[(r + dr) % rows, (c + dc) % columns]
                    while j >= 0:
                        if j > i:
                            dx, dy = x[i] - x[j], y[i] - y[j]
                            dx -= width * np.round(dx / width)
                            dy -= height * np.round(dy / height)
                            contact = radius[i] + radius[j] + gap
                            squared = dx * dx + dy * dy
                            if squared < contact * contact:
                                distance = np.sqrt(squared) + 1e-6
                                overlap = contact - distance
                                worst = max(worst, overlap)
                                area_i, area_j = radius[i] ** 2, radius[j] ** 2
                                share = area_j / (area_i + area_j)
                                push = 1.05 * overlap / distance
                                x[i] += dx * push * share
                                y[i] += dy * push * share
                                x[j] -= dx * push * (1 - share)
                                y[j] -= dy * push * (1 - share)
                        j = following[j]
        if worst < 0.8:
            break


@njit(cache=True)
def paint_ellipsoids(
    height: Map,
    particle: Rows,
    u_map: Map,
    v_map: Map,
    first: int,
    x: Array,
    y: Array,
    z: Array,
    a: Array,
    b: Array,
    angle: Array,
    even: Array,
    odd: Array,
) -> None:
    """Paint bumpy ellipsoids onto a depth buffer, in place; the highest one wins every pixel.

    Parameters
    ----------
    height, particle, u_map, v_map
        The four maps of a ``Surface``.
    first
        Number of the first ellipsoid in ``particle``.
    x, y, z, a, b, angle
        Centres, semi-axes (pixels) and turn (radians) of the ellipsoids; the third semi-axis is
        the smaller of ``a`` and ``b``.
    even, odd
        Cosine and sine amplitudes of the outline's harmonics 2, 3, ..., shape (n, harmonics).
    """
    rows, columns = height.shape
    for i in range(len(x)):
        thickness = min(a[i], b[i])
        reach = max(a[i], b[i]) * 1.25
        cos, sin = np.cos(angle[i]), np.sin(angle[i])
        for row in range(max(0, int(y[i] - reach)), min(rows, int(y[i] + reach) + 2)):
            for column in range(max(0, int(x[i] - reach)), min(columns, int(x[i] + reach) + 2)):
                if z[i] + thickness <= height[row, column]:
                    continue
                dx, dy = column - x[i], row - y[i]
                u, v = (dx * cos + dy * sin) / a[i], (dy * cos - dx * sin) / b[i]
                squared = u * u + v * v
                if squared > 1.5:
                    continue
                # cos and sin of the polar angle and, step by step, of its multiples
                length = np.sqrt(squared) + 1e-12
                c1, s1 = u / length, v / length
                c, s = c1, s1
                outline = 1.0
                for k in range(even.shape[1]):
                    c, s = c * c1 - s * s1, s * c1 + c * s1
                    outline += even[i, k] * c - odd[i, k] * s
                squared /= outline * outline
                if squared < 1.0:
                    top = z[i] + thickness * np.sqrt(1.0 - squared)
                    if top > height[row, column]:
                        height[row, column] = top
                        particle[row, column] = first + i
                        u_map[row, column] = u / outline
                        v_map[row, column] = v / outline


@dataclass(frozen=True)
class Particles:
    """Bumpy ellipsoids, one row each; lengths in pixels, angles in radians.

    ``z`` is the height of the centre above the middle of the upper layer; the outline radius is
    1 + sum of ``amplitude[k] * cos((k + 2) * angle + phase[k])``.
    """

    x: Array
    y: Array
    z: Array
    semi_a: Array
    semi_b: Array
    angle: Array
    amplitude: Array
    phase: Array
    is_fragment: NDArray[np.bool_]


@dataclass(frozen=True)
class Surface:
    """Top-most particle of every pixel.

    ``height`` in pixels (``-inf`` where there is no particle), ``particle`` its row in
    ``Particles`` (-1 for none), ``u`` and ``v`` the position within it in units of its semi-axes.
    """

    height: NDArray[np.float32]
    particle: NDArray[np.int32]
    u: NDArray[np.float32]
    v: NDArray[np.float32]


def build_surface(
    traits: CompositionTraits,
    fines: float,
    shape: tuple[int, int],
    pixel_um: float,
    rng: np.random.Generator,
) -> tuple[Particles, Surface]:
    """Pack three layers of particles, strew pulverised fragments over them, look from above.

    Parameters
    ----------
    traits
        Morphology of the powder.
    fines
        Area fraction covered by fragments.
    shape
        Rows and columns of the picture.
    pixel_um
        Edge of a pixel in micrometres.
    rng
        Source of all randomness.
    """
    diameter = traits.diameter_um / pixel_um
    margin = MARGIN_UM / pixel_um
    layers = []
    coverages = (traits.upper_coverage, traits.lower_coverage, traits.lower_coverage)
    for coverage, level in zip(coverages, LAYER_LEVELS, strict=True):
        radius = _draw_radii(diameter, traits.diameter_log_sd, coverage, shape, margin, rng)
        x, y = _place(radius, shape, margin, traits.clustering, rng)
        # Big particles of a calendered layer sit deeper: their tops are level with the others.
        z = rng.normal(level * diameter, 0.06 * diameter, len(radius)) - 0.35 * radius
        layers.append(_shape(x, y, z, radius, traits.elongation, traits.roughness, False, rng))
    surface = Surface(
        np.full(shape, -np.inf, np.float32),
        np.full(shape, -1, np.int32),
        np.zeros(shape, np.float32),
        np.zeros(shape, np.float32),
    )
    packed = _join(layers)
    _paint_onto(surface, packed, 0)
    fragments = _strew_fragments(surface, fines, 0.6 * diameter, pixel_um, rng)
    _paint_onto(surface, fragments, len(packed.x))
    return _join([packed, fragments]), surface


def _strew_fragments(
    surface: Surface, fines: float, depth: float, pixel_um: float, rng: np.random.Generator
) -> Particles:
    """Angular fragments (median 1.3 um) on the surface, mostly in the gaps between particles."""
    shape = surface.height.shape
    radius = _draw_radii(1.3 / pixel_um, 0.38, fines, shape, 0.0, rng)
    candidates = 4 * len(radius)
    x, y = rng.uniform(0, shape[1], candidates), rng.uniform(0, shape[0], candidates)
    below = np.maximum(surface.height[y.astype(int), x.astype(int)], -depth)
    # Most come to rest in the gaps; few stay on top of a particle.
    chance = np.where(below < 0.1 * depth, 1.0, 0.25)
    kept = np.flatnonzero(rng.uniform(size=candidates) < chance)[: len(radius)]
    radius = radius[: len(kept)]
    z = np.minimum(below[kept] + 0.4 * radius + rng.uniform(0, 0.3 * depth, len(kept)), 0.5 * depth)
    return _shape(x[kept], y[kept], z, radius, 0.3, 3.0, True, rng)


def _join(parts: list[Particles]) -> Particles:
    return Particles(
        **{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Particles)}
    )


def _paint_onto(surface: Surface, particles: Particles, first_row: int) -> None:
    """Draw the upper envelope of the particles over what is there (a depth buffer)."""
    p = particles
    paint_ellipsoids(
        *(surface.height, surface.particle, surface.u, surface.v, first_row),
        *(p.x, p.y, p.z, p.semi_a, p.semi_b, p.angle),
        *(p.amplitude * np.cos(p.phase), p.amplitude * np.sin(p.phase)),
    )


def _draw_radii(
    diameter: float,
    log_sd: float,
    coverage: float,
    shape: tuple[int, int],
    margin: float,
    rng: np.random.Generator,
) -> Array:
    """Log-normal radii whose discs together have the wanted area; all lengths in pixels."""
    wanted = coverage * (shape[0] + 2 * margin) * (shape[1] + 2 * margin)
    mean_area = np.pi * (diameter / 2) ** 2 * np.exp(2 * log_sd**2)
    count = int(2 * wanted / mean_area) + 50
    radius = np.exp(rng.normal(np.log(diameter / 2), log_sd, count))
    radius = np.minimum(radius, 1.6 * diameter)
    return radius[: np.searchsorted(np.cumsum(np.pi * radius**2), wanted)]


def _place(
    radius: Array,
    shape: tuple[int, int],
    margin: float,
    clustering: float,
    rng: np.random.Generator,
) -> tuple[Array, Array]:
    """Random positions without much overlap; a share of the particles gathers in clusters."""
    height, width = shape[0] + 2 * margin, shape[1] + 2 * margin
    count = len(radius)
    x, y = rng.uniform(0, width, count), rng.uniform(0, height, count)
    if clustering > 0 and count:
        centres = max(1, count // 14)
        home = rng.integers(0, centres, count)
        joins = rng.uniform(size=count) < clustering
        spread = 3.0 * np.median(radius)
        near_x = rng.uniform(0, width, centres)[home] + rng.normal(0, spread, count)
        near_y = rng.uniform(0, height, centres)[home] + rng.normal(0, spread, count)
        x, y = np.where(joins, near_x, x), np.where(joins, near_y, y)
    if count:
        relax_overlaps(x, y, radius, width, height, -0.06 * radius.mean(), 60)
    return x - margin, y - margin


def _shape(
    x: Array,
    y: Array,
    z: Array,
    radius: Array,
    elongation: float,
    roughness: float,
    is_fragment: bool,
    rng: np.random.Generator,
) -> Particles:
    count = len(radius)
    stretch = np.exp(rng.normal(0, elongation, count))
    decay = np.array([0.045, 0.035, 0.03, 0.025, 0.02])
    return Particles(
        x=x,
        y=y,
        z=z,
        semi_a=radius * stretch,
        semi_b=radius / stretch,
        angle=rng.uniform(0, np.pi, count),
        amplitude=np.abs(rng.normal(0, roughness, (count, HARMONICS))) * decay,
        phase=rng.uniform(0, 2 * np.pi, (count, HARMONICS)),
        is_fragment=np.full(count, is_fragment),
    )
