"""One light-microscopy cross-section of a cathode, with its faults, phases and true edges."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from batteryscope.config.physics import HalfCellSettings
from batteryscope.demo.cross_section_packing import draw_envelope, pack_particles
from batteryscope.demo.cross_section_phases import (
    BINDER,
    CARBON,
    COLLECTOR,
    CRACK,
    PARTICLE,
    PORE,
    PULL_OUT,
    RESIN,
    SCRATCH,
    Drawing,
    draw_noise,
    draw_phases,
)
from batteryscope.physics.electrode import find_active_fraction, find_thickness_um
from batteryscope.seeds import derive_rng, derive_seed

PIXEL_SIZE_UM = 0.123  # 50x objective of Deeg et al. (2024)
LARGEST_TILT_DEG = 3.0
Floats = NDArray[np.float32]
PULL_OUT_SHARE = 0.012  # of the particles
SCRATCHES = 7  # mean per picture
VISIBLE_SCRATCH = 0.5  # share of a scratch's depth from which a pixel counts as scratched


def photograph(
    drawing: Drawing, rng: np.random.Generator, artefacts: bool = True
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return the grey picture and the phase map with its artefacts, rows still upwards."""
    shape = drawing.phases.shape
    phases = drawing.phases.copy()
    light = _reflect(drawing, rng)
    pulled = np.zeros(int(drawing.particle.max()) + 1, bool)
    if artefacts:
        pulled = rng.uniform(size=len(pulled)) < PULL_OUT_SHARE
        pulled[0] = False
    pulled[[number for number in drawing.torn_out if number < len(pulled)]] = True
    if artefacts or drawing.torn_out:
        gone = pulled[drawing.particle]
        light[gone] = 0.10 + 0.05 * draw_noise(shape, 5, rng)[gone]
        phases[gone] = PULL_OUT
    # Out-of-focus light and the resolution of the objective.
    light = 0.86 * ndimage.gaussian_filter(light, 0.95) + 0.14 * ndimage.gaussian_filter(light, 6)
    rows, columns = (np.linspace(-0.5, 0.5, n, dtype=np.float32) for n in shape)
    light *= 1 + 0.05 * columns[None] * rng.normal() + 0.05 * rows[:, None] * rng.normal()
    if artefacts:
        _scratch(light, phases, rng)
        _add_bubble(light, phases, rng)
    light *= rng.uniform(0.92, 1.08)
    light += rng.normal(size=shape).astype(np.float32) * np.sqrt(np.clip(light, 0, 2)) * 0.018
    return (np.clip(light, 0, 1) * 255).astype(np.uint8), phases


def _reflect(drawing: Drawing, rng: np.random.Generator) -> Floats:
    """Return the reflectance of every pixel, ideal optics assumed."""
    shape, phases = drawing.phases.shape, drawing.phases
    light = np.full(shape, 0.10, np.float32)
    light += 0.012 * np.where(phases == RESIN, draw_noise(shape, 30, rng), 0)
    light += 0.012 * np.where(phases == PORE, draw_noise(shape, 4, rng), 0)
    binder = 0.205 + 0.05 * draw_noise(shape, 1.3, rng)
    light = np.where(phases == BINDER, binder, light)
    light = np.where(phases == CARBON, drawing.reflectance, light)
    solid = (phases == PARTICLE) | (phases == CRACK)
    edge = ndimage.distance_transform_edt(solid).astype(np.float32)
    grain = 0.025 * draw_noise(shape, 1.6, rng) + 0.02 * draw_noise(shape, 5, rng)
    particle = drawing.reflectance + grain - 0.10 * np.exp(-edge / 1.2)
    light = np.where(solid, particle * (1 - np.clip(drawing.darkness, 0, 0.85)), light)
    foil = 0.93 + 0.012 * draw_noise(shape, 2, rng) + 0.01 * draw_noise(shape, 12, rng)
    return np.where(phases == COLLECTOR, foil, light).astype(np.float32)


def _scratch(light: Floats, phases: NDArray[np.uint8], rng: np.random.Generator) -> None:
    """Draw thin straight polishing marks of one preferred direction, in place."""
    height, width = light.shape
    direction = rng.uniform(0, np.pi)
    for _ in range(rng.poisson(SCRATCHES)):
        t, offset = direction + rng.normal(0, 0.15), rng.uniform(-0.5, 0.5) * width
        start, length = rng.uniform(-width / 2, width / 2), rng.uniform(40, 350)
        depth, half = rng.uniform(0.06, 0.22), rng.uniform(0.5, 1.0)
        # Only the rectangle around the mark is touched; beyond 7 half widths nothing is left of it.
        reach = abs(length * np.cos(t)) + 7 * half, abs(length * np.sin(t)) + 7 * half
        x = width / 2 + start * np.cos(t) - offset * np.sin(t)
        y = height / 2 + start * np.sin(t) + offset * np.cos(t)
        x0, x1 = (int(np.clip(x + sign * reach[0], 0, width)) for sign in (-1, 1))
        y0, y1 = (int(np.clip(y + sign * reach[1], 0, height)) for sign in (-1, 1))
        part, seen = light[y0 : y1 + 1, x0 : x1 + 1], phases[y0 : y1 + 1, x0 : x1 + 1]
        dy = np.arange(y0, y0 + part.shape[0])[:, None] - height / 2
        dx = np.arange(x0, x0 + part.shape[1])[None] - width / 2
        across = dy * np.cos(t) - dx * np.sin(t) - offset
        along = dx * np.cos(t) + dy * np.sin(t)
        mark = np.exp(-((across / half) ** 2)) * (np.abs(along - start) < length)
        part *= 1 - depth * mark
        seen[(mark > VISIBLE_SCRATCH) & (seen != RESIN) & (seen != COLLECTOR)] = SCRATCH


def _add_bubble(light: Floats, phases: NDArray[np.uint8], rng: np.random.Generator) -> None:
    """Draw an air bubble into the resin of some pictures, in place."""
    if rng.uniform() >= 0.3:
        return
    resin = ndimage.binary_erosion(phases == RESIN, iterations=4)
    ys, xs = np.nonzero(resin)
    if len(ys) == 0:
        return
    place, radius = rng.integers(len(ys)), rng.uniform(6, 20)
    rows, columns = (np.arange(n, dtype=np.float32) for n in light.shape)
    distance = np.hypot(rows[:, None] - ys[place], columns[None] - xs[place])
    bubble = 0.25 * np.exp(-(((distance - radius) / 2) ** 2)) - 0.05 * (distance < radius)
    light += np.where(resin, bubble, 0)


@dataclass(frozen=True)
class CrossSection:
    """A picture and what is true of it; rows count downwards, as in a picture.

    Attributes
    ----------
    pixels : (H, W) uint8
        Grey levels.
    phases : (H, W) uint8
        Codes ``RESIN`` … ``PULL_OUT`` of ``cross_section_phases``.
    porosity
        Share of pores in this picture's coating.
    tilt_deg
        Angle of the foil; positive: it goes down to the right.
    foil_row, surface_row : (W,) float
        True rows of the two edges of the coating.
    """

    pixels: NDArray[np.uint8]
    phases: NDArray[np.uint8]
    porosity: float
    tilt_deg: float
    foil_row: NDArray[np.float64]
    surface_row: NDArray[np.float64]


def render_cross_section(
    porosity: float,
    seed: int,
    *,
    width_px: int = 704,
    tilt_deg: float | None = None,
    collector: str = "bottom",
    loading_factor: float = 1.0,
    artefacts: bool = True,
    particle_radius_um: float | None = None,
    binder_gradient: float = 0.0,
    lost_particles: float = 0.0,
    coating_thickness_um: float | None = None,
) -> CrossSection:
    """Generate one cross-section.

    Parameters
    ----------
    porosity
        Of this stretch of the coating, 0.1 to 0.6.
    seed
        Equal seeds give equal pixels.
    width_px
        Length of the stretch; the height follows from the thickness.
    tilt_deg
        Angle of the foil; drawn between ±3° if not given.
    collector
        ``bottom`` or ``top``: where the foil is.
    loading_factor
        Loading of this stretch relative to the electrode's.
    artefacts
        Whether there are scratches, particles pulled out and bubbles.
    particle_radius_um
        Mean radius of the particles, three times their volume by their surface: that of equal
        spheres with the same diffusion length. If not given, their median diameter is 7.5 µm.
    binder_gradient
        How much more binder and carbon there are at the surface, and less at the foil, as a share
        of their mean.
    lost_particles
        Share of the active material, 0 to 0.5, that is lost: half of it is torn out, half of it
        in particles that are cracked through.
    coating_thickness_um
        Mean thickness at a ``loading_factor`` of 1; if not given, that of the electrode's loading.
    """
    cell = HalfCellSettings()
    rng = derive_rng(seed, "cross section")
    tilt = rng.uniform(-LARGEST_TILT_DEG, LARGEST_TILT_DEG) if tilt_deg is None else tilt_deg
    mean_um = coating_thickness_um or find_thickness_um(porosity, cell)
    thickness = mean_um * loading_factor / PIXEL_SIZE_UM
    densification = float(np.clip((0.50 - porosity) / 0.30, 0, 1))
    active = find_active_fraction(porosity, cell)
    # Upwards and downwards a tilt has opposite signs.
    upward = -tilt if collector == "bottom" else tilt
    envelope = draw_envelope(thickness, densification, width_px, upward, rng)
    packing = pack_particles(envelope, active, PIXEL_SIZE_UM, rng, particle_radius_um)
    drawing = draw_phases(
        envelope,
        packing,
        1 - porosity - active,
        densification,
        derive_seed(seed, "drawing"),
        binder_gradient,
        lost_particles,
    )
    pixels, phases = photograph(drawing, derive_rng(seed, "photograph"), artefacts)
    foil, surface = envelope.foil, envelope.surface
    if collector == "bottom":
        pixels, phases = pixels[::-1], phases[::-1]
        last = envelope.height_px - 1
        foil, surface = last - foil, last - surface
    return CrossSection(
        np.ascontiguousarray(pixels),
        np.ascontiguousarray(phases),
        drawing.measure_porosity(),
        float(tilt),
        foil,
        surface,
    )
