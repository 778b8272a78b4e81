"""What distinguishes the generated electrodes: numbers with a physical meaning, per class.

The values are plausible, not fitted: they were chosen by eye against published SEM top views of
NCM cathodes at 500x. Nothing here concerns brightness, contrast, focus or noise; those belong to
the microscope session and are drawn independently of the class (``sem_imaging``).
"""

from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class CompositionTraits:
    """Powder morphology of one composition.

    ``diameter_um`` is the median of a log-normal distribution with ``diameter_log_sd``;
    ``elongation`` the standard deviation of the logarithm of an axis ratio; ``roughness`` the
    relative amplitude of the outline; ``nodule_um`` and ``nodule_relief_um`` the size and
    height of the primary-grain bumps ("cauliflower"); the coverages are area fractions of the
    upper and lower particle layer; ``clustering`` is the share of particles that sit in clusters.
    """

    diameter_um: float
    diameter_log_sd: float
    elongation: float
    roughness: float
    nodule_um: float
    nodule_relief_um: float
    upper_coverage: float
    lower_coverage: float
    clustering: float


@dataclass(frozen=True)
class StateTraits:
    """What forming and cycling did to the particles.

    ``cracked`` is the share of particles with cracks, ``crack_um`` the width of a crack,
    ``fines`` the area fraction covered by pulverised fragments, ``film_um`` the mean thickness
    of the surface film, ``film_fill`` how far the film fills the gaps (0 to 1).
    """

    cracked: float
    crack_um: float
    fines: float
    film_um: float
    film_fill: float


@dataclass(frozen=True)
class AdditiveTraits:
    """Film that an electrolyte additive leaves, and the damage that this film prevents.

    ``film_um`` and ``film_fill`` as for a state; ``film_signal`` is the film's own
    secondary-electron signal (bare particles: about 0.5); ``film_grain`` the amplitude of its
    fine texture; ``protection`` the share of cracks and fragments that does not arise.
    """

    film_um: float
    film_fill: float
    film_signal: float
    film_grain: float
    protection: float


COMPOSITIONS = {
    # even, round 8-10 um particles with gaps; fine primary grains
    "333": CompositionTraits(8.8, 0.15, 0.08, 0.9, 1.0, 0.40, 0.42, 0.45, 0.0),
    # wide size distribution, coarse cauliflower surface, dense
    "523": CompositionTraits(7.0, 0.46, 0.16, 1.2, 1.9, 0.78, 0.60, 0.66, 0.0),
    # large, elongated, densely packed, medium grains
    "622": CompositionTraits(8.6, 0.37, 0.21, 1.0, 1.5, 0.58, 0.63, 0.66, 0.0),
    # small smooth near-perfect spheres in clusters
    "811": CompositionTraits(4.6, 0.28, 0.03, 0.3, 0.7, 0.10, 0.46, 0.42, 0.7),
}

STATES = {
    "pristine": StateTraits(cracked=0.0, crack_um=0.30, fines=0.04, film_um=0.0, film_fill=0.0),
    "formation": StateTraits(cracked=0.13, crack_um=0.32, fines=0.08, film_um=0.18, film_fill=0.40),
    "100cycles": StateTraits(cracked=0.50, crack_um=0.44, fines=0.21, film_um=0.08, film_fill=0.16),
}

ADDITIVES = {
    "none": AdditiveTraits(0.0, 0.0, 0.50, 0.03, 0.0),
    "VC": AdditiveTraits(0.60, 0.65, 0.60, 0.08, 0.6),
    "PS": AdditiveTraits(0.35, 0.40, 0.52, 0.04, 0.5),
    # both films at once, and the damage that neither of them prevents alone
    "VC+PS": AdditiveTraits(0.80, 0.79, 0.57, 0.07, 0.8),
    "FEC": AdditiveTraits(0.45, 0.45, 0.66, 0.06, 0.5),
    "LiBOB": AdditiveTraits(0.70, 0.75, 0.42, 0.02, 0.4),
}

# How much of an additive's film has formed: a pristine electrode has not met the electrolyte, and
# cycling builds the film up.
FILM_FORMED = {"pristine": 0.0, "formation": 0.4, "100cycles": 1.0}


def draw_composition(composition: str, rng: np.random.Generator) -> CompositionTraits:
    """Return the traits of one place on an electrode: those of its class, slightly varied.

    Parameters
    ----------
    composition
        One of ``COMPOSITIONS``.
    rng
        Source of the variation (about 8 % in size and coverage, 25 % in surface relief).
    """
    base = COMPOSITIONS[composition]
    spread = {
        "diameter_um": 0.07,
        "diameter_log_sd": 0.12,
        "elongation": 0.15,
        "nodule_um": 0.12,
        "nodule_relief_um": 0.25,
        "upper_coverage": 0.08,
        "lower_coverage": 0.08,
    }
    return replace(
        base, **{k: getattr(base, k) * np.exp(rng.normal(0, sd)) for k, sd in spread.items()}
    )


def draw_state(state: str, additive: str, rng: np.random.Generator) -> StateTraits:
    """Return the damage and film of one place, the additive's film included.

    Parameters
    ----------
    state
        One of ``STATES``.
    additive
        One of ``ADDITIVES``.
    rng
        Source of the variation: damage differs by a factor of 1.5 from place to place, so that
        neighbouring states overlap a little, as they do on real electrodes.
    """
    base, extra, formed = STATES[state], ADDITIVES[additive], FILM_FORMED[state]
    vary = np.exp(rng.normal(0, 0.4, size=4))
    left = 1.0 if state == "pristine" else 1 - extra.protection
    fill = 1 - (1 - base.film_fill) * (1 - extra.film_fill * formed)
    return replace(
        base,
        cracked=min(base.cracked * vary[0] * left, 0.95),
        fines=base.fines * vary[1] * left,
        film_um=(base.film_um + extra.film_um * formed) * vary[2],
        film_fill=min(fill * vary[3], 0.95),
    )
