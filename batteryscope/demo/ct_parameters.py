"""Dimensions, damage and imaging of one generated cylindrical cell.

Lengths are in units of the slice's edge, angles in radians, heights z from 0 to 1 along the
scan. Dimensions and imaging are drawn alike for every state. Damage follows what An et al.
(2026) and earlier CT studies describe; its size is plausible, not measured.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

State = Literal["pristine", "cycle_aged", "calendar_aged", "thermal_cycled"]
TURN = 2 * np.pi
LOST_PER_AMPLITUDE = 400.0  # percent of the capacity


@dataclass(frozen=True)
class Buckle:
    """Windings that fold into the core: a wave train around an angle, dying out outwards."""

    amplitude: float
    angle: float
    width: float
    waves: float
    decay: float
    z: float
    z_width: float
    drift: float


@dataclass(frozen=True)
class Bulge:
    """A wave around the whole roll that is highest at a radius (differential expansion)."""

    waves: int
    amplitude: float
    phase: float
    radius: float
    width: float
    drift: float


@dataclass(frozen=True)
class Gap:
    """A dark crescent between two turns: delamination."""

    turn: int
    angle: float
    width: float
    depth: float
    z: float
    z_width: float


@dataclass(frozen=True)
class CellParameters:
    """One cell and its scan; see the module for units."""

    radius: float
    can: float
    core: float
    turns: float
    centre: tuple[float, float]
    lean: tuple[float, float]
    start_angle: float
    hand: int
    core_ovals: tuple[tuple[int, float, float], ...]
    pitch_swing: float
    pitch_phase: float
    pitch_length: float
    tab_angle: float
    tab_turn: int
    buckles: tuple[Buckle, ...]
    bulges: tuple[Bulge, ...]
    gaps: tuple[Gap, ...]
    beam_hardening: float
    rings: float
    noise: float
    gain: float
    blur: float


def draw_cell(state: State, rng: np.random.Generator) -> CellParameters:
    """Draw a cell of a state."""
    u = rng.uniform
    common: dict[str, Any] = {
        "radius": u(0.385, 0.43),
        "can": u(0.012, 0.016),
        "core": u(0.16, 0.21),
        "turns": u(18, 22),
        "centre": (u(-0.04, 0.04), u(-0.04, 0.04)),
        "lean": (rng.normal(0, 0.008), rng.normal(0, 0.008)),
        "start_angle": u(0, TURN),
        "hand": int(rng.choice([-1, 1])),
        # No core is perfectly round: the winding pin leaves it oval.
        "core_ovals": tuple((k, u(0.0008, 0.005) / k, u(0, TURN)) for k in (2, 3)),
        "pitch_swing": u(0.0, 0.05),
        "pitch_phase": u(0, TURN),
        "pitch_length": u(1.5, 3.0),
        "tab_angle": u(0, TURN),
        "tab_turn": int(rng.integers(2, 17)),
        "beam_hardening": u(0.08, 0.25),
        "rings": u(0.004, 0.016),
        "noise": u(0.02, 0.04),
        "gain": u(0.85, 1.15),
        "blur": u(0.35, 0.8),
    }
    # Electrode overlaps leave a crescent in cells of every state.
    gaps = [_draw_gap(rng, (3, 17), (0.2, 0.6)) for _ in range(rng.integers(0, 3))]
    buckles: list[Buckle] = []
    bulges: list[Bulge] = []
    if state == "cycle_aged":
        buckles += [_draw_buckle(rng, (0.022, 0.055), (4, 8)) for _ in range(rng.integers(1, 4))]
        gaps += [_draw_gap(rng, (0, 4), (0.2, 0.5)) for _ in range(rng.integers(0, 3))]
    elif state == "calendar_aged":
        buckles += [_draw_buckle(rng, (0.008, 0.018), (2, 5)) for _ in range(rng.integers(2, 4))]
    elif state == "thermal_cycled":
        orders = rng.choice(np.arange(2, 7), 3, replace=False)
        bulges += [
            Bulge(
                int(k), u(0.005, 0.012), u(0, TURN), u(0.4, 0.75), u(0.12, 0.2), rng.normal(0, 0.8)
            )
            for k in orders
        ]
        gaps += [_draw_gap(rng, (3, 17), (0.2, 0.5)) for _ in range(rng.integers(1, 4))]
    return CellParameters(**common, buckles=tuple(buckles), bulges=tuple(bulges), gaps=tuple(gaps))


def find_remaining_capacity(cell: CellParameters) -> float:
    """Return the capacity (%) that a cell has left: less, the higher its largest wave.

    The law is made up, so that models have a number to learn that the windings show: 100 % without
    waves, 78 % with the largest buckle that is drawn.
    """
    waves = [b.amplitude for b in cell.buckles] + [b.amplitude for b in cell.bulges]
    return 100 - LOST_PER_AMPLITUDE * max(waves, default=0.0)


def _draw_buckle(
    rng: np.random.Generator, amplitude: tuple[float, float], waves: tuple[float, float]
) -> Buckle:
    u = rng.uniform
    return Buckle(
        amplitude=u(*amplitude),
        angle=u(0, TURN),
        width=u(0.28, 0.6),
        waves=u(*waves),
        decay=u(0.08, 0.17),
        z=u(0.3, 0.7),
        z_width=u(0.7, 1.4),
        drift=rng.normal(0, 0.3),
    )


def _draw_gap(rng: np.random.Generator, turns: tuple[int, int], width: tuple[float, float]) -> Gap:
    u = rng.uniform
    return Gap(
        turn=int(rng.integers(*turns)),
        angle=u(0, TURN),
        width=u(*width),
        depth=u(0.2, 0.45),
        z=u(0.1, 0.9),
        z_width=u(0.25, 0.8),
    )
