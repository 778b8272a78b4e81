"""Electrodes made by the laws of coating and calendering, as a table.

An imitation of the electrode manufacturing data in Fernandez et al. 2025
(doi:10.1038/s44334-025-00024-1): the same columns, numbers of rows and ranges of the
settings. The constants are plausible, not fitted to any measurement.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from batteryscope.config.table_data import ManufacturingGenerator
from batteryscope.demo.electrode_laws import (
    GRAPHITE_DENSITY_G_CM3,
    NMC_DENSITY_G_CM3,
    SILICON_DENSITY_G_CM3,
    WATER_DENSITY_G_CM3,
    apply_springback,
    calculate_calendered_density,
    calculate_coated_density,
    calculate_compaction_resistance,
    calculate_slurry_density,
    calculate_solid_density,
    calculate_thickness,
    calculate_transfer_ratio,
    calculate_viscosity,
    calculate_wet_loading,
    find_line_load,
    mix_densities,
)
from batteryscope.seeds import derive_rng

TABLE_NAME = "electrodes.csv"
ROLL_SPEEDS_M_MIN = (0.27, 0.54)
SOLID_CONTENT_SPREAD_PERCENT = 0.4
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Chemistry:
    """Material constants, and the settings that were tried.

    ``gap_share`` is the range of the roll gap as a share of the thickness of electrode and
    foil before calendering; ``roll_gap_um`` limits it. ``springback`` is the share by which
    a strongly compacted electrode grows again. ``fixed_active_share`` is the active material
    where the column in the table says something else (the silicon of Si-graphite).
    """

    active_wt_percent: Sequence[float]
    solid_wt_percent: Sequence[float]
    coating_speed_m_min: Sequence[float]
    comma_gap_um: Sequence[float]
    roll_gap_um: tuple[float, float]
    gap_share: tuple[float, float]
    active_density_g_cm3: float
    liquid_density_g_cm3: float
    foil_um: float
    coated_porosity: float
    densest_share: float
    resistance_n_mm: float
    springback: float
    fixed_active_share: float | None = None


NMP_DENSITY_G_CM3 = 1.03
COPPER_FOIL_UM, ALUMINIUM_FOIL_UM = 16.0, 22.0  # Methods of the paper
CHEMISTRIES = {
    "graphite": Chemistry(
        active_wt_percent=(91, 92.5, 94, 95.5),
        solid_wt_percent=(22, 26, 30, 34, 38, 42),
        coating_speed_m_min=(0.3,),
        comma_gap_um=(100, 125, 150, 175, 200, 225, 250, 275, 300),
        roll_gap_um=(1, 135),
        gap_share=(0.15, 1.15),
        active_density_g_cm3=GRAPHITE_DENSITY_G_CM3,
        liquid_density_g_cm3=WATER_DENSITY_G_CM3,
        foil_um=COPPER_FOIL_UM,
        coated_porosity=0.60,
        densest_share=0.86,
        resistance_n_mm=160.0,
        springback=0.06,
    ),
    "si_graphite": Chemistry(
        active_wt_percent=(8, 10, 12.5, 15),
        solid_wt_percent=(24, 26, 28, 30, 32),
        coating_speed_m_min=(0.3,),
        comma_gap_um=(100, 125, 150, 175, 200, 225, 250, 275, 300),
        roll_gap_um=(15, 102),
        gap_share=(0.25, 1.15),
        active_density_g_cm3=GRAPHITE_DENSITY_G_CM3,
        liquid_density_g_cm3=WATER_DENSITY_G_CM3,
        foil_um=COPPER_FOIL_UM,
        coated_porosity=0.62,
        densest_share=0.83,
        resistance_n_mm=190.0,
        springback=0.10,
        fixed_active_share=0.91,
    ),
    "nmc": Chemistry(
        active_wt_percent=(85, 90, 94, 96, 97.5),
        solid_wt_percent=(42, 48, 54, 60, 66),
        coating_speed_m_min=(0.2, 0.3, 0.5, 0.8, 1.0),
        comma_gap_um=(50, 75, 100, 150, 200, 250, 300, 400),
        roll_gap_um=(20, 206),
        gap_share=(0.3, 1.1),
        active_density_g_cm3=NMC_DENSITY_G_CM3,
        liquid_density_g_cm3=NMP_DENSITY_G_CM3,
        foil_um=ALUMINIUM_FOIL_UM,
        coated_porosity=0.53,
        densest_share=0.86,
        resistance_n_mm=420.0,
        springback=0.03,
    ),
}


def write_manufacturing_table(settings: ManufacturingGenerator, folder: Path) -> Path:
    """Write ``electrodes.csv`` into ``folder`` and return its path.

    Equal settings give equal bytes. The file appears only when it is complete.
    """
    table = pd.concat([make_electrodes(name, settings) for name in settings.rows])
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f".{TABLE_NAME}.partial"
    table.to_csv(partial, index=False, lineterminator="\n")
    return partial.replace(folder / TABLE_NAME)


def make_electrodes(chemistry: str, settings: ManufacturingGenerator) -> pd.DataFrame:
    """Make the electrodes of one chemistry; the other chemistries do not matter to them.

    Returns
    -------
    DataFrame
        ``domain``, the six settings of the process, ``mass_loading_mg_cm2`` (active
        material per area, as equation 1 of the paper) and ``density_g_cm3``, both with
        lognormal noise of relative size ``settings.noise``.
    """
    material = CHEMISTRIES[chemistry]
    n_rows = settings.rows[chemistry]  # type: ignore[index]  # the keys of CHEMISTRIES
    rng = derive_rng(settings.seed, "electrode_manufacturing", chemistry)
    active = rng.choice(material.active_wt_percent, n_rows)
    low, high = material.solid_wt_percent[0], material.solid_wt_percent[-1]
    solid = rng.choice(material.solid_wt_percent, n_rows)
    solid = solid + rng.normal(0, SOLID_CONTENT_SPREAD_PERCENT, n_rows)
    solid = np.clip(np.round(solid, 1), low, high)
    coating_speed = rng.choice(material.coating_speed_m_min, n_rows)
    comma_gap = rng.choice(material.comma_gap_um, n_rows)
    roll_speed = rng.choice(ROLL_SPEEDS_M_MIN, n_rows)
    gap_share = rng.uniform(*material.gap_share, n_rows)
    noise = np.exp(rng.normal(0, 1, (2, n_rows)) * settings.noise)

    loading, coated_density, solid_density = coat(material, active, solid, coating_speed, comma_gap)
    thickness = calculate_thickness(loading, coated_density)
    roll_gap = np.round((thickness + material.foil_um) * gap_share)
    roll_gap = np.clip(roll_gap, *material.roll_gap_um)
    density = calender(material, loading, coated_density, solid_density, roll_speed, roll_gap)
    return pd.DataFrame(
        {
            "domain": chemistry,
            "active_material_wt_percent": active,
            "solid_content_wt_percent": solid,
            "coating_speed_m_min": coating_speed,
            "comma_gap_um": comma_gap,
            "roll_speed_m_min": roll_speed,
            "roll_gap_um": roll_gap,
            "mass_loading_mg_cm2": np.round(
                loading * find_active_share(material, active) * noise[0], 2
            ),
            "density_g_cm3": np.round(density * noise[1], 3),
        }
    )


def find_active_share(material: Chemistry, active_wt_percent: Array) -> Array:
    """Return the mass share of all active material in the dry electrode."""
    if material.fixed_active_share is None:
        return active_wt_percent / 100
    return np.full_like(active_wt_percent, material.fixed_active_share)


def coat(
    material: Chemistry,
    active_wt_percent: Array,
    solid_wt_percent: Array,
    coating_speed_m_min: Array,
    comma_gap_um: Array,
) -> tuple[Array, Array, Array]:
    """Coat and dry: return loading (mg/cm²), coated density and solid density (g/cm³).

    The loading is that of the whole dry film, active material or not.
    """
    active_share = find_active_share(material, active_wt_percent)
    active_density = np.full_like(active_share, material.active_density_g_cm3)
    if material.fixed_active_share is not None:
        silicon = active_wt_percent / 100 / active_share
        active_density = mix_densities(
            [silicon, 1 - silicon], [SILICON_DENSITY_G_CM3, material.active_density_g_cm3]
        )
    solid_share = solid_wt_percent / 100
    solid_density = calculate_solid_density(active_share, active_density)
    slurry_density = calculate_slurry_density(
        solid_share, solid_density, material.liquid_density_g_cm3
    )
    viscosity = calculate_viscosity(solid_share * slurry_density / solid_density)
    transfer = calculate_transfer_ratio(coating_speed_m_min, viscosity)
    loading = calculate_wet_loading(comma_gap_um, slurry_density, solid_share, transfer)
    coated = calculate_coated_density(
        solid_density, material.coated_porosity, solid_share, comma_gap_um
    )
    return loading, coated, solid_density


def calender(
    material: Chemistry,
    loading_mg_cm2: Array,
    coated_density_g_cm3: Array,
    solid_density_g_cm3: Array,
    roll_speed_m_min: Array,
    roll_gap_um: Array,
) -> Array:
    """Press between the rolls: return the density (g/cm³) after springback."""
    densest = solid_density_g_cm3 * material.densest_share
    resistance = calculate_compaction_resistance(material.resistance_n_mm, roll_speed_m_min)
    load = find_line_load(
        loading_mg_cm2, coated_density_g_cm3, densest, resistance, roll_gap_um - material.foil_um
    )
    pressed = calculate_calendered_density(coated_density_g_cm3, densest, load, resistance)
    return apply_springback(pressed, coated_density_g_cm3, load, material.springback)
