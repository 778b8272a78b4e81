"""One generated light-microscopy cross-section of a cathode, with its phases and true edges."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from batteryscope.config.physics import HalfCellSettings
from batteryscope.demo.cross_section_imaging import photograph
from batteryscope.demo.cross_section_packing import draw_envelope, pack_particles
from batteryscope.demo.cross_section_phases import draw_phases
from batteryscope.physics.electrode import find_active_fraction, find_thickness_um
from batteryscope.seeds import derive_rng, derive_seed

PIXEL_SIZE_UM = 0.123  # 50x objective of Deeg et al. (2024)
LARGEST_TILT_DEG = 3.0


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
