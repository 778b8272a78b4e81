"""Renders slices of a wound cell as a micro-CT scanner would show them.

Every pixel is traced back to the place in the undeformed roll that moved there; the turn and
the layer at that place give the attenuation. Then come partial volume, beam hardening, rings
and noise.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from batteryscope.demo.ct_parameters import TURN, CellParameters

PROFILE_SAMPLES = 512
# One turn from the inside: separator, cathode on aluminium, separator, graphite on copper;
# attenuation in units of the can. (from, to, attenuation)
LAYERS = (
    (0.06, 0.46, 0.56),
    (0.245, 0.275, 0.36),
    (0.52, 0.97, 0.17),
    (0.735, 0.760, 0.80),
)
SEPARATOR, HOLLOW, ELECTROLYTE, AIR = 0.12, 0.035, 0.06, 0.012
FULL_SCALE = 65535
Field = NDArray[Any]


def render_slice(
    cell: CellParameters, z: float, size_px: int, rng: np.random.Generator, rings: Field
) -> NDArray[np.uint16]:
    """Render the slice at height ``z`` (0 to 1) of the scan.

    Parameters
    ----------
    cell
        Dimensions, damage, imaging.
    z
        Height.
    size_px
        Edge of the slice.
    rng
        For the noise of this slice.
    rings
        From :func:`draw_rings`; the same for all slices of a scan.

    Returns
    -------
    (size_px, size_px) uint16 array
    """
    from scipy.ndimage import gaussian_filter

    axis = (np.arange(size_px, dtype=np.float32) + 0.5) / size_px - 0.5
    x = axis[None, :] - np.float32(cell.centre[0] + cell.lean[0] * (z - 0.5))
    y = axis[:, None] - np.float32(cell.centre[1] + cell.lean[1] * (z - 0.5))
    r, theta = np.hypot(x, y), np.arctan2(y, x)
    picture = _show_layers(cell, r, theta, z, size_px)
    in_cell = _soft_step(cell.radius - r, size_px)
    in_can = _soft_step(cell.radius - cell.can - r, size_px)
    picture = picture * in_can + (in_cell - in_can) + AIR * (1 - in_cell)
    inside = np.clip(r / cell.radius, 0, 1)
    picture *= 1 - cell.beam_hardening * (1 - inside**2) * in_cell
    glow = np.exp(-np.maximum(r - cell.radius, 0) / 0.03)
    picture += 0.02 * cell.beam_hardening * glow * (1 - in_cell)
    picture = gaussian_filter(picture, cell.blur * size_px / 256)
    noise = gaussian_filter(rng.normal(size=picture.shape).astype(np.float32), 0.7)
    noise *= cell.noise / max(float(noise.std()), 1e-9)
    picture += rings * (0.4 + in_cell) + noise * (0.6 + 0.6 * np.sqrt(np.clip(picture, 0, 1)))
    grey = (picture * cell.gain * 0.62 + 0.04) * FULL_SCALE
    return np.clip(grey, 0, FULL_SCALE).astype(np.uint16)


def draw_rings(cell: CellParameters, size_px: int, rng: np.random.Generator) -> Field:
    """Ring artefacts: detector pixels that answer too high or too low, around the scan's axis."""
    axis = (np.arange(size_px) + 0.5) - size_px / 2
    radius = np.hypot(axis[None, :], axis[:, None]).astype(int)
    n = int(radius.max()) + 1
    strong = rng.normal(0, cell.rings, n) * (rng.uniform(size=n) < 0.35)
    return (strong + 0.3 * cell.rings * rng.normal(size=n))[radius].astype(np.float32)


def make_profile(blur: float) -> NDArray[np.float32]:
    """Attenuation across one turn, blurred by a share of it (partial volume)."""
    from scipy.ndimage import gaussian_filter1d

    place = np.arange(PROFILE_SAMPLES) / PROFILE_SAMPLES
    profile = np.full(PROFILE_SAMPLES, SEPARATOR)
    for start, stop, value in LAYERS:
        profile[(place > start) & (place < stop)] = value
    blurred: NDArray[np.float32] = gaussian_filter1d(profile, blur * PROFILE_SAMPLES, mode="wrap")
    return blurred.astype(np.float32)


def _show_layers(cell: CellParameters, r: Field, theta: Field, z: float, size_px: int) -> Field:
    inner = cell.radius - cell.can - 0.004
    core = cell.core * cell.radius
    pitch = (inner - core) / cell.turns
    material = _find_material_radius(cell, r, theta, z, inner, core)
    turn = (material - core) / pitch
    swing = cell.pitch_swing * cell.pitch_length * np.exp(-turn / 6)
    turn = turn + swing * np.sin(turn / cell.pitch_length + cell.pitch_phase)
    winding = turn - ((cell.hand * (theta - cell.start_angle)) % TURN) / TURN
    layer = winding % 1
    number = np.floor(winding)
    profile = make_profile(0.45 / size_px / pitch)
    picture = profile[(layer * PROFILE_SAMPLES).astype(np.int32) % PROFILE_SAMPLES]
    for gap in cell.gaps:
        near = np.exp(-((_turn_by(theta, gap.angle) / gap.width) ** 2))
        near = near * np.exp(-(((z - gap.z) / gap.z_width) ** 2))
        picture = picture - (number == gap.turn) * gap.depth * near * np.exp(
            -(((layer - 0.5) / 0.16) ** 2)
        )
    picture = np.where(winding < 0.02, HOLLOW, picture)
    tab_width = 0.32 / max(1.0, cell.tab_turn * 0.5 + 2)
    is_tab = (number == cell.tab_turn) & (np.abs(_turn_by(theta, cell.tab_angle)) < tab_width)
    picture = np.where(is_tab & (layer > 0.2) & (layer < 0.32), 0.62, picture)
    return np.where(turn > cell.turns, ELECTROLYTE, picture)


def _find_material_radius(
    cell: CellParameters, r: Field, theta: Field, z: float, inner: float, core: float
) -> Field:
    """Radius in the undeformed roll of what is now at ``r``: two steps of a fixed point."""
    folds = [
        (
            b.amplitude
            * np.exp(-(((z - b.z) / b.z_width) ** 2))
            * np.exp(-((turned / b.width) ** 2))
            * np.cos(b.waves * turned),
            b.decay,
        )
        for b in cell.buckles
        for turned in [_turn_by(theta, b.angle + b.drift * (z - 0.5))]
    ]
    # Windings cannot fold through the middle of the core.
    highest = max((float(sum(f for f, _ in folds).max()), 0.0)) if folds else 0.0
    limit = min(1.0, 0.75 * core / highest) if highest > 0 else 1.0
    oval = sum(a * np.cos(k * theta + phase) for k, a, phase in cell.core_ovals)
    waves = [
        (b.amplitude * np.cos(b.waves * theta + b.phase + b.drift * (z - 0.5)), b)
        for b in cell.bulges
    ]
    material = r
    for _ in range(2):
        moved = oval * (1 - np.clip(material / inner, 0, 1))
        for fold, decay in folds:
            length = decay * cell.radius * 2.2
            moved = moved + limit * fold * np.exp(-np.maximum(material - core, 0) / length)
        for wave, b in waves:
            away = (material - b.radius * cell.radius) / (b.width * cell.radius)
            moved = moved + wave * np.exp(-(away**2))
        # The can holds the outermost turn in place.
        material = r + moved * np.clip((inner - r) / (0.12 * cell.radius), 0, 1)
    return material


def _turn_by(theta: Field, angle: float) -> Field:
    """Angle from a direction, −π to π."""
    return (theta - np.float32(angle) + np.pi) % TURN - np.pi


def _soft_step(distance: Field, size_px: int) -> Field:
    return 1 / (1 + np.exp(np.clip(-distance * size_px / 0.6, -60, 60)))
