"""From a height map to a secondary-electron picture: cracks, film, signal, detector, noise."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from batteryscope.demo.sem_particles import Particles, Surface
from batteryscope.demo.sem_traits import AdditiveTraits, CompositionTraits, StateTraits

Map = NDArray[np.float32]

ESCAPE_DEPTH_UM = 0.35  # film of this thickness hides 63 % of what lies below


@dataclass(frozen=True)
class Relief:
    """Geometry of the coating.

    ``height`` in pixels; ``grains``: signal contrast of the primary grains; ``crack`` and ``film``
    from 0 to 1 (depth, opacity).
    """

    height: Map
    grains: Map
    crack: Map
    film: Map
    is_particle: NDArray[np.bool_]


def smooth_noise(rng: np.random.Generator, shape: tuple[int, int], sigma_px: float) -> Map:
    """Return Gaussian noise of unit standard deviation, smoothed over ``sigma_px`` pixels.

    Coarse noise is made on a coarser grid and enlarged, which costs less.
    """
    step = max(1, int(sigma_px / 2))
    small = rng.standard_normal((shape[0] // step + 8, shape[1] // step + 8), np.float32)
    small = ndimage.gaussian_filter(small, sigma_px / step)
    field = (_enlarge(small, step) if step > 1 else small)[: shape[0], : shape[1]]
    return field / (field.std() + np.float32(1e-9))


def make_relief(
    particles: Particles,
    surface: Surface,
    traits: CompositionTraits,
    state: StateTraits,
    pixel_um: float,
    rng: np.random.Generator,
) -> Relief:
    """Add primary-grain nodules, the porous floor, cracks and the film to painted particles.

    Parameters
    ----------
    particles, surface
        What :func:`batteryscope.demo.sem_particles.build_surface` returned.
    traits, state
        Morphology and damage of this place.
    pixel_um
        Edge of a pixel in micrometres.
    rng
        Source of all randomness.
    """
    shape = surface.height.shape
    is_particle = surface.particle >= 0
    floor = -0.85 * traits.diameter_um / pixel_um
    # Carbon and binder between the particles: a rough floor of 0.5 um and 2 um features.
    floor_map = floor + 2.2 * smooth_noise(rng, shape, 0.55 / pixel_um)
    floor_map += 2.5 * smooth_noise(rng, shape, 2.1 / pixel_um)
    is_particle &= surface.height > floor_map
    height = np.where(is_particle, surface.height, floor_map).astype(np.float32)

    nodules = _make_nodules(shape, traits.nodule_um / pixel_um, rng)
    whole = is_particle & ~particles.is_fragment[surface.particle]
    height += whole * nodules * np.float32(traits.nodule_relief_um / pixel_um)

    crack = _draw_cracks(particles, surface, whole, state, pixel_um, rng)
    height -= np.float32(0.5 / pixel_um) * crack

    film = np.zeros(shape, np.float32)
    if state.film_um > 0 or state.film_fill > 0:
        patch = smooth_noise(rng, shape, 11 / pixel_um) + 0.6 * smooth_noise(
            rng, shape, 4 / pixel_um
        )
        patch = 1 / (1 + np.exp(-2.0 * (patch + 0.7)))
        envelope = ndimage.gaussian_filter(height, 1.9 / pixel_um, truncate=3.0)
        fill = np.float32(state.film_fill) * patch * np.maximum(envelope - height, 0)
        coat = (
            state.film_um / pixel_um * patch * (1 + 0.25 * smooth_noise(rng, shape, 1.2 / pixel_um))
        )
        coat = np.maximum(coat, 0)
        # A film smooths the finest relief while it thickens.
        share = np.clip(coat * pixel_um / 0.6, 0, 0.8)
        height += fill + share * (ndimage.gaussian_filter(height, 0.35 / pixel_um) - height)
        film = 1 - np.exp(-(coat + fill) * pixel_um / ESCAPE_DEPTH_UM)
    contrast = np.float32(min(0.28 * traits.nodule_relief_um, 0.16))
    return Relief(
        height, contrast * (nodules - nodules.mean()), crack, film.astype(np.float32), is_particle
    )


def collect_secondary_electrons(
    relief: Relief, additive: AdditiveTraits, pixel_um: float, rng: np.random.Generator
) -> Map:
    """Return the secondary-electron signal (arbitrary units, about 0.1 to 1.2) of a relief.

    The yield grows as 1/cos(tilt) up to saturation (bright rims); the detector sits at the upper
    side; electrons from the gaps are caught by their surroundings; the film has its own signal.
    """
    height, shape = relief.height, relief.height.shape
    along_x = ndimage.gaussian_filter(height, 0.8, order=(0, 1))
    along_y = ndimage.gaussian_filter(height, 0.8, order=(1, 0))
    tilt_factor = np.minimum(np.sqrt(1 + along_x**2 + along_y**2), 3.2)
    signal = 0.46 + 0.15 * (tilt_factor - 1) + 0.06 * np.clip(along_y, -2.5, 2.5)
    for reach_um, depth_um, weight in ((1.6, 1.0, 0.10), (4.0, 2.2, 0.13), (8.0, 4.0, 0.08)):
        open_sky = _blur_fast(height, reach_um / pixel_um)
        signal += weight * np.clip((height - open_sky) * (pixel_um / depth_um), -1.0, 1.1)
    fine = smooth_noise(rng, shape, 0.33 / pixel_um)
    signal += 0.025 * fine + relief.is_particle * relief.grains
    signal -= 0.05 * ~relief.is_particle  # carbon yields less than the oxide
    signal -= 0.34 * relief.crack
    grain = additive.film_grain * smooth_noise(rng, shape, 0.5 / pixel_um)
    veiled = 0.62 * (additive.film_signal + grain) + 0.38 * signal
    return ((1 - relief.film) * signal + relief.film * veiled).astype(np.float32)


def detect(signal: Map, pixel_um: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Turn the signal into grey levels with a session's focus, tone curve, gain and noise.

    All of it is drawn independently of what is in the picture: mean 112 +- 16, standard
    deviation 36 +- 8, a gamma between about 0.5 and 2, an S-curve, focus, noise, uneven
    illumination, dark residue spots, scan-line jitter.
    """
    rows, columns = signal.shape
    picture = ndimage.gaussian_filter(signal, tuple(rng.uniform(0.6, 1.0, 2)))
    y = np.linspace(-0.5, 0.5, rows, dtype=np.float32)[:, None]
    x = np.linspace(-0.5, 0.5, columns, dtype=np.float32)[None, :]
    picture = picture + 0.04 * rng.normal() * x + 0.04 * rng.normal() * y
    picture = _add_residue(picture, pixel_um, rng)
    picture = _bend_tones(picture, rng)
    mean, spread = rng.normal(112, 16), float(np.clip(rng.normal(36, 8), 18, 60))
    picture = (picture - picture.mean()) / picture.std() * spread + mean
    grain = ndimage.gaussian_filter(rng.standard_normal(signal.shape, np.float32), (0.5, 0.8))
    picture += grain * (rng.uniform(0.12, 0.24) * spread / grain.std())
    picture += rng.standard_normal((rows, 1), np.float32) * np.float32(rng.uniform(0.3, 1.2))
    for _ in range(rng.poisson(0.5)):
        _jitter_lines(picture, rng)
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def _make_nodules(shape: tuple[int, int], size_px: float, rng: np.random.Generator) -> Map:
    """Hemispherical bumps (0 to 1) of about ``size_px`` pixels around scattered centres."""
    upscale = max(1, int(np.ceil(2.5 / size_px)))  # centres need a grid finer than the bumps
    fine = (shape[0] * upscale, shape[1] * upscale)
    empty = np.ones(fine, bool)
    count = int(fine[0] * fine[1] / (0.75 * (size_px * upscale) ** 2))
    empty[rng.integers(0, fine[0], count), rng.integers(0, fine[1], count)] = False
    distance = ndimage.distance_transform_edt(empty).astype(np.float32)
    bumps = np.sqrt(np.maximum(1 - (distance / (0.8 * size_px * upscale)) ** 2, 0))
    if upscale > 1:
        bumps = bumps.reshape(shape[0], upscale, shape[1], upscale).mean(axis=(1, 3))
    return bumps.astype(np.float32)


def _draw_cracks(
    particles: Particles,
    surface: Surface,
    whole: NDArray[np.bool_],
    state: StateTraits,
    pixel_um: float,
    rng: np.random.Generator,
) -> Map:
    """Wavy lines through a share of the particles (0 to 1), in the particles' own coordinates."""
    count = len(particles.x)
    is_cracked = (rng.uniform(size=count) < state.cracked) & ~particles.is_fragment
    crack = np.zeros(surface.height.shape, np.float32)
    rows, columns = np.nonzero(whole & is_cracked[surface.particle])
    owner = surface.particle[rows, columns]
    u, v = surface.u[rows, columns], surface.v[rows, columns]
    radius = np.minimum(particles.semi_a, particles.semi_b)[owner]
    size_um = 2 * pixel_um * np.minimum(particles.semi_a, particles.semi_b)
    main_angle = rng.uniform(0, np.pi, count)
    for branch in range(3):  # the first runs through, the others start from its middle
        # Large particles break into more pieces.
        chance = np.clip(size_um / (3.0, 12.0, 22.0)[branch], 0, 1)
        present = rng.uniform(size=count) < chance
        angle = (main_angle + branch * rng.uniform(0.8, 1.3, count))[owner]
        along, across = u * np.cos(angle) + v * np.sin(angle), v * np.cos(angle) - u * np.sin(angle)
        offset = (rng.normal(0, 0.15, count) * (branch == 0))[owner]
        waves, shift = rng.uniform(4, 8, count)[owner], rng.uniform(0, 2 * np.pi, count)[owner]
        distance = (across - offset - 0.08 * np.sin(waves * along + shift)) * radius
        half_width = 0.5 * state.crack_um / pixel_um * (1.15 - 0.5 * along**2)
        depth = np.exp(-((distance / np.maximum(half_width, 0.55)) ** 2)) * present[owner]
        if branch > 0:
            depth = depth * (along > 0)
        crack[rows, columns] = np.maximum(crack[rows, columns], depth)
    return crack


def _blur_fast(height: Map, sigma_px: float) -> Map:
    """Wide Gaussian blur on a picture shrunk four times (only its slow part matters)."""
    step = 4 if sigma_px >= 8 else 2
    rows, columns = height.shape
    padded = np.pad(height, ((0, -rows % step), (0, -columns % step)), mode="edge")
    small = padded.reshape(padded.shape[0] // step, step, padded.shape[1] // step, step)
    blurred = ndimage.gaussian_filter(small.mean(axis=(1, 3)), sigma_px / step, truncate=3.0)
    return _enlarge(blurred, step)[:rows, :columns]


def _enlarge(field: Map, step: int) -> Map:
    """Enlarge by a whole factor, linearly between the pixels."""
    size = (field.shape[1] * step, field.shape[0] * step)
    return np.asarray(Image.fromarray(field).resize(size, Image.Resampling.BILINEAR))


def _add_residue(picture: Map, pixel_um: float, rng: np.random.Generator) -> Map:
    """Dark blots of carbon or dried salt, 4 to 12 um, as often in every class."""
    rows, columns = picture.shape
    y, x = np.mgrid[:rows, :columns].astype(np.float32)
    for _ in range(rng.poisson(0.8)):
        size = rng.uniform(4, 12) / pixel_um
        distance = np.hypot(x - rng.uniform(0, columns), y - rng.uniform(0, rows))
        distance *= 1 + 0.25 * smooth_noise(rng, picture.shape, 5 / pixel_um)
        picture = picture - 0.11 * np.exp(-((distance / size) ** 4))
    return picture


def _bend_tones(picture: Map, rng: np.random.Generator) -> Map:
    """Random gamma and S-curve, so that the histogram's shape says little about the class."""
    low, high = np.percentile(picture, (0.5, 99.5))
    tone = np.clip((picture - low) / (high - low), 0, 1.25)
    tone = tone ** np.exp(rng.uniform(-0.6, 0.6))
    steepness = rng.uniform(0.2, 2.8)
    return np.tanh(steepness * (tone - rng.uniform(0.35, 0.65))).astype(np.float32)


def _jitter_lines(picture: Map, rng: np.random.Generator) -> None:
    """Shift a few neighbouring scan lines sideways, as a knock on the table does."""
    first, count = rng.integers(5, max(6, picture.shape[0] - 15)), rng.integers(3, 12)
    for k, row in enumerate(range(first, min(first + count, picture.shape[0]))):
        shift = round(5 * float(np.sin(1.3 * k) * np.exp(-k / 6)))
        picture[row] = np.roll(picture[row], shift)
