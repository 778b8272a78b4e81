"""Laws of coating and calendering that the electrode table is made with.

All functions take numbers or arrays of equal shape; shares are mass shares from 0 to 1.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

GRAPHITE_DENSITY_G_CM3 = 2.24
SILICON_DENSITY_G_CM3 = 2.33
NMC_DENSITY_G_CM3 = 4.70
BINDER_DENSITY_G_CM3 = 1.78
CARBON_DENSITY_G_CM3 = 1.95
WATER_DENSITY_G_CM3 = 0.998

MG_CM2_PER_UM_G_CM3 = 0.1  # 1 µm of 1 g/cm³ weighs 0.1 mg/cm²
DENSEST_PACKING = 0.62  # volume share of particles at which a slurry stops flowing
INTRINSIC_VISCOSITY = 2.5  # spheres (Einstein)
LARGEST_CROWDING = 0.97  # keeps the viscosity finite
TRANSFER_AT_REFERENCE = 0.56  # 0.5 would be pure drag (Couette) flow under the blade
TRANSFER_PER_LN_SPEED = 0.030
TRANSFER_PER_LN_VISCOSITY = 0.012
TRANSFER_LIMITS = (0.45, 0.75)
REFERENCE_COATING_SPEED_M_MIN = 0.3
REFERENCE_SOLID_SHARE = 0.3
REFERENCE_COMMA_GAP_UM = 200.0
POROSITY_PER_SOLID_SHARE = -0.10
POROSITY_PER_UM = 0.0002
REFERENCE_ROLL_SPEED_M_MIN = 0.27
RESISTANCE_PER_LN_SPEED = 0.06
MILL_STIFFNESS_N_MM_UM = 6.0  # line load that opens the rolls by 1 µm
SPRINGBACK_LOAD_N_MM = 50.0
LARGEST_LINE_LOAD_N_MM = 5000.0
BISECTIONS = 60

Array = NDArray[np.float64]
Number = Any  # float or Array


def mix_densities(shares: Sequence[Number], densities_g_cm3: Sequence[Number]) -> Array:
    """Density of a mixture whose volumes add up: 1/ρ = Σ wᵢ/ρᵢ."""
    volumes = [w / rho for w, rho in zip(shares, densities_g_cm3, strict=True)]
    return 1 / np.sum(np.broadcast_arrays(*volumes), axis=0)


def calculate_solid_density(active_share: Number, active_density_g_cm3: Number) -> Array:
    """Density of the dry solids without pores; the rest is carbon and binder in equal parts."""
    rest = (1 - active_share) / 2
    return mix_densities(
        [active_share, rest, rest],
        [active_density_g_cm3, BINDER_DENSITY_G_CM3, CARBON_DENSITY_G_CM3],
    )


def calculate_slurry_density(
    solid_share: Number, solid_density_g_cm3: Number, liquid_density_g_cm3: float
) -> Array:
    """Density of solids in their liquid."""
    return mix_densities(
        [solid_share, 1 - solid_share], [solid_density_g_cm3, liquid_density_g_cm3]
    )


def calculate_viscosity(volume_share: Number) -> Array:
    """Viscosity relative to the liquid: (1 − φ/φ_max)^(−2.5 φ_max).

    Krieger and Dougherty, Trans. Soc. Rheol. 3 (1959) 137.
    """
    crowding = np.clip(volume_share / DENSEST_PACKING, 0, LARGEST_CROWDING)
    return np.asarray((1 - crowding) ** (-INTRINSIC_VISCOSITY * DENSEST_PACKING))


def calculate_transfer_ratio(coating_speed_m_min: Number, viscosity: Number) -> Array:
    """Thickness of the wet film divided by the comma gap.

    Drag alone gives 0.5; pressure in the pond adds to it. How speed and viscosity change it
    is an assumption.
    """
    ratio = (
        TRANSFER_AT_REFERENCE
        + TRANSFER_PER_LN_SPEED * np.log(coating_speed_m_min / REFERENCE_COATING_SPEED_M_MIN)
        + TRANSFER_PER_LN_VISCOSITY * np.log(viscosity)
    )
    return np.clip(ratio, *TRANSFER_LIMITS)


def calculate_wet_loading(
    comma_gap_um: Number,
    slurry_density_g_cm3: Number,
    solid_share: Number,
    transfer_ratio: Number,
) -> Array:
    """Solids that the wet film carries, in mg/cm²: 0.1 · k · gap · ρ · x."""
    wet_film_um = transfer_ratio * comma_gap_um
    return np.asarray(MG_CM2_PER_UM_G_CM3 * wet_film_um * slurry_density_g_cm3 * solid_share)


def calculate_coated_density(
    solid_density_g_cm3: Number, porosity: float, solid_share: Number, comma_gap_um: Number
) -> Array:
    """Density after drying: a thinner slurry or a thicker film leaves more pores (assumption)."""
    pores = (
        porosity
        + POROSITY_PER_SOLID_SHARE * (solid_share - REFERENCE_SOLID_SHARE)
        + POROSITY_PER_UM * (comma_gap_um - REFERENCE_COMMA_GAP_UM)
    )
    return np.asarray(solid_density_g_cm3 * (1 - pores))


def calculate_thickness(loading_mg_cm2: Number, density_g_cm3: Number) -> Array:
    """Thickness in µm of a film without its foil."""
    return np.asarray(loading_mg_cm2 / MG_CM2_PER_UM_G_CM3 / density_g_cm3)


def calculate_compaction_resistance(resistance_n_mm: float, roll_speed_m_min: Number) -> Array:
    """Line load that closes 63 % of what can be closed; fast rolls need more (assumption)."""
    ln_speed = np.log(roll_speed_m_min / REFERENCE_ROLL_SPEED_M_MIN)
    return np.asarray(resistance_n_mm * (1 + RESISTANCE_PER_LN_SPEED * ln_speed))


def calculate_calendered_density(
    coated_density_g_cm3: Number,
    densest_g_cm3: Number,
    line_load_n_mm: Number,
    resistance_n_mm: Number,
) -> Array:
    """Density under the rolls: ρ_max − (ρ_max − ρ₀)·exp(−q/γ).

    Meyer, Bockholt, Haselrieder and Kwade, J. Mater. Process. Technol. 249 (2017) 172.
    """
    open_part = (densest_g_cm3 - coated_density_g_cm3) * np.exp(-line_load_n_mm / resistance_n_mm)
    return np.asarray(densest_g_cm3 - open_part)


def find_line_load(
    loading_mg_cm2: Number,
    coated_density_g_cm3: Number,
    densest_g_cm3: Number,
    resistance_n_mm: Number,
    free_gap_um: Number,
) -> Array:
    """Line load (N/mm) at which the electrode is as thick as the gap that it opens.

    The electrode pushes the rolls apart by q / stiffness, so that the gap under load is
    wider than the one that was set. ``free_gap_um`` is the set gap less the foil. The load
    is 0 where the electrode passes without being touched.
    """

    def excess(load: Array) -> Array:
        density = calculate_calendered_density(
            coated_density_g_cm3, densest_g_cm3, load, resistance_n_mm
        )
        opened = free_gap_um + load / MILL_STIFFNESS_N_MM_UM
        return calculate_thickness(loading_mg_cm2, density) - opened

    low = np.zeros(np.shape(loading_mg_cm2))
    high = np.full(np.shape(loading_mg_cm2), LARGEST_LINE_LOAD_N_MM)
    touched = excess(low) > 0
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        too_thick = excess(middle) > 0
        low, high = np.where(too_thick, middle, low), np.where(too_thick, high, middle)
    return np.where(touched, (low + high) / 2, 0.0)


def apply_springback(
    density_g_cm3: Number,
    coated_density_g_cm3: Number,
    line_load_n_mm: Number,
    springback: float,
) -> Array:
    """Density after the rolls: the film grows by up to ``springback``, never above its start."""
    growth = 1 + springback * (1 - np.exp(-line_load_n_mm / SPRINGBACK_LOAD_N_MM))
    return np.maximum(density_g_cm3 / growth, coated_density_g_cm3)
