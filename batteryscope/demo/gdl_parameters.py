"""How the generated gas diffusion layers are made: ranges and distributions of five parameters.

What the paper (Fernandez et al. 2025) states: fibre diameters of 6 to 12 µm, 10 to 25 % fibre and
5 to 10 % binder by volume, thicknesses of 280 to 320 µm and compression factors of 0 to 0.5, the
same ranges in both domains; ``gdl200`` (2000 x 200 µm, 240 samples) follows a uniform
distribution, ``gdl1000`` (1000 x 1000 µm, 78 samples) shows peculiarities; voxels of 1 µm;
tortuosities of 1.03 to 1.17 with mean 1.07, and of 1.08 to 1.17 with mean 1.09.

What is chosen here: the paper says no more about ``gdl1000`` than that. With equal distributions
the two domains would hardly differ, so ``gdl1000`` follows beta distributions on the same ranges
that lean towards dense layers of thin fibres.
"""

from typing import NamedTuple

from batteryscope.errors import ConfigError
from batteryscope.seeds import derive_rng


class GdlParameters(NamedTuple):
    """How a gas diffusion layer is made; concentrations and thickness before compression."""

    fibre_diameter_um: float
    fibre_concentration_vol_percent: float
    binder_concentration_vol_percent: float
    thickness_um: float
    compression_factor: float


LOWEST = GdlParameters(6, 10, 5, 280, 0)
HIGHEST = GdlParameters(12, 25, 10, 320, 0.5)
# The two shape numbers of a beta distribution for each parameter; (1, 1) is uniform.
DISTRIBUTIONS = {
    "gdl200": ((1, 1), (1, 1), (1, 1), (1, 1), (1, 1)),
    "gdl1000": ((2, 4), (4, 2), (3, 2), (2, 2), (3, 2)),
}


def sample_parameters(domain: str, n: int, seed: int) -> list[GdlParameters]:
    """Draw the parameters of ``n`` samples from the distribution of a domain.

    The first samples stay the same when ``n`` grows.

    Raises
    ------
    ConfigError
        If the domain has no known distribution.
    """
    if domain not in DISTRIBUTIONS:
        raise ConfigError(
            f"rows: '{domain}' is no domain of the generated gas diffusion layers; "
            f"choose from {', '.join(DISTRIBUTIONS)}."
        )
    return [_draw_parameters(domain, number, seed) for number in range(n)]


def _draw_parameters(domain: str, number: int, seed: int) -> GdlParameters:
    rng = derive_rng(seed, "gdl", domain, number, "parameters")
    shares = (rng.beta(*shape) for shape in DISTRIBUTIONS[domain])
    # Rounded, so that the table says exactly what was simulated.
    values = (
        round(low + share * (high - low), 4)
        for low, high, share in zip(LOWEST, HIGHEST, shares, strict=True)
    )
    return GdlParameters(*values)
