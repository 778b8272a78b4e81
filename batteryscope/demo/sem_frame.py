"""One generated SEM top view: picture, data bar, and the true place of every feature."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from batteryscope.demo.sem_imaging import Relief, collect_secondary_electrons, detect, make_relief
from batteryscope.demo.sem_particles import Surface, build_surface
from batteryscope.demo.sem_traits import (
    ADDITIVES,
    COMPOSITIONS,
    STATES,
    draw_composition,
    draw_state,
)
from batteryscope.errors import ConfigError

PIXEL_UM = 0.2688  # 500x on the microscope whose frames are imitated: 100 um are 372 pixels
BACKGROUND, INTERIOR, BOUNDARY, CRACK, FILM = range(5)
BAR_TEXT_GREY = 235


@dataclass(frozen=True)
class SemFrame:
    """A picture and its ground truth.

    ``pixels``: grey levels, data bar included, shape (height, width). ``feature_mask``, same
    shape: 0 pore or data bar, 1 particle interior, 2 particle boundary, 3 crack, 4 film (where
    it gives more than half of the signal). ``truth``: numbers to learn, by name: median
    diameter of the particles (um), share of the area that is pore (%), share of cracked particles
    (%).
    """

    pixels: NDArray[np.uint8]
    feature_mask: NDArray[np.uint8]
    truth: dict[str, float]


def measure_bar_height(height_px: int) -> int:
    """Return the rows of the data bar: 64 of 960, in proportion for other frame heights."""
    return round(height_px * 64 / 960)


def render_sem_frame(
    composition: str,
    state: str,
    additive: str = "none",
    *,
    rng: np.random.Generator,
    width_px: int = 640,
    height_px: int = 480,
    acquired_at: datetime | None = None,
) -> SemFrame:
    """Generate a secondary-electron top view of an NCM cathode at 500x (0.2688 um per pixel).

    Parameters
    ----------
    composition
        ``333``, ``523``, ``622`` or ``811``: particle size, shape, surface and packing.
    state
        ``pristine``, ``formation`` (slight film, few cracks and fines) or ``100cycles`` (cracks
        and pulverised fines).
    additive
        ``none``, ``VC``, ``PS``, ``VC+PS``, ``FEC`` or ``LiBOB``: a film that veils the state but
        not the particles.
    rng
        Source of all randomness; equal generators give equal pixels.
    width_px, height_px
        Size of the frame, data bar included.
    acquired_at
        Time shown in the data bar; 2024-01-08 09:00 if not given.

    Raises
    ------
    ConfigError
        If a name is unknown.
    """
    for name, value, known in (
        ("composition", composition, COMPOSITIONS),
        ("state", state, STATES),
        ("additive", additive, ADDITIVES),
    ):
        if value not in known:
            raise ConfigError(f"{name}: found {value!r}; expected one of {', '.join(known)}.")
    bar_px = measure_bar_height(height_px)
    shape = (height_px - bar_px, width_px)
    traits = draw_composition(composition, rng)
    damage = draw_state(state, additive, rng)
    particles, surface = build_surface(traits, damage.fines, shape, PIXEL_UM, rng)
    relief = make_relief(particles, surface, traits, damage, PIXEL_UM, rng)
    signal = collect_secondary_electrons(relief, ADDITIVES[additive], PIXEL_UM, rng)
    picture = detect(signal, PIXEL_UM, rng)
    bar = draw_data_bar(width_px, bar_px, acquired_at or datetime(2024, 1, 8, 9, 0))
    mask = np.zeros((height_px, width_px), np.uint8)
    mask[: shape[0]] = label_features(surface, relief)
    truth = {
        "particle_um": traits.diameter_um,
        "pore_percent": 100 * float((mask[: shape[0]] == BACKGROUND).mean()),
        "cracked_percent": 100 * damage.cracked,
    }
    return SemFrame(np.vstack([picture, bar]), mask, truth)


def label_features(surface: Surface, relief: Relief) -> NDArray[np.uint8]:
    """Return the feature mask of the picture part; film beats crack, crack beats boundary."""
    owner = np.where(relief.is_particle, surface.particle, -1)
    differs = ndimage.maximum_filter(owner, 3) != ndimage.minimum_filter(owner, 3)
    mask = np.where(relief.is_particle, INTERIOR, BACKGROUND).astype(np.uint8)
    mask[relief.is_particle & differs] = BOUNDARY
    mask[relief.crack > 0.5] = CRACK
    mask[relief.film > 0.5] = FILM
    return mask


def mark_boundaries_and_cracks(feature_mask: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return where particle boundaries and cracks can be seen, not hidden by a film."""
    return np.isin(feature_mask, (BOUNDARY, CRACK))


def draw_data_bar(width_px: int, bar_px: int, acquired_at: datetime) -> NDArray[np.uint8]:
    """Draw the dark strip below the picture: source, time, settings and a true scale bar.

    The scale bar is the longest of 10, 20, 50, 100 um that fits; it has ten divisions.
    """
    scale = min(bar_px / 64, width_px / 1280)
    across = width_px / 1280
    bar = Image.new("L", (width_px, bar_px), 0)
    draw = ImageDraw.Draw(bar)
    font = ImageFont.load_default(size=max(6.0, 19 * scale))
    top, bottom = round(0.10 * bar_px), round(0.53 * bar_px)
    for x, y, text in (
        (42, top, "DEMO"),
        (42, bottom, f"{acquired_at:%Y.%m.%d %H:%M}"),
        (294, top, "20 kV"),
        (288, bottom, "WD 5mm"),
        (427, top, "SE"),
        (566, top, "HighVac"),
        (704, top, "x500"),
    ):
        draw.text((round(x * across), y), text, fill=BAR_TEXT_GREY, font=font)
    length_um = max(um for um in (10, 20, 50, 100) if um == 10 or um / PIXEL_UM <= 400 * across)
    start, length = round(810 * across), length_um / PIXEL_UM
    line, thick = round(0.31 * bar_px), max(1, round(3 * scale))
    draw.line([(start, line), (start + round(length), line)], fill=BAR_TEXT_GREY, width=thick)
    for division in range(11):
        x = start + round(division * length / 10)
        half = (5 if division % 5 == 0 else 3) * scale
        draw.line([(x, line - half), (x, line + half)], fill=BAR_TEXT_GREY, width=thick)
    draw.text((start, bottom), "0", fill=BAR_TEXT_GREY, font=font, anchor="ma")
    end = (start + round(length), bottom)
    draw.text(end, f"{length_um} um", fill=BAR_TEXT_GREY, font=font, anchor="ma")
    return np.asarray(bar, np.uint8)
