"""Discharge capacity over C-rate from Newman's model of a half cell, solved by PyBaMM.

The single-particle model with electrolyte gives 3 to 6 Ah/kg where this one gives 37 to 97,
since the electrolyte depletes; so the full model it is (Doyle, Fuller, Newman 1993).
"""

import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from batteryscope.config.physics import HalfCellSettings
from batteryscope.physics.electrode import (
    find_active_density_kg_l,
    find_active_fraction,
    find_thickness_um,
)

GRID_COLUMNS = ["porosity", "thickness_um", "c_rate", "ah_kg", "ah_l"]
RADIUS = "particle_radius_um"  # a column more where the model was solved for several radii
RADII = 3
AREA_M2 = 1e-4
MAX_CONCENTRATION = 49450.0  # mol/m³, NMC111
POINTS = {"x_n": 4, "x_s": 8, "x_p": 16, "r_n": 4, "r_p": 16}


def simulate_grid(
    cell: HalfCellSettings, radii_um: Sequence[float] = ()
) -> Iterator[list[dict[str, float]]]:
    """Solve the half cell porosity by porosity.

    Parameters
    ----------
    cell
        The electrode and the grid of porosities.
    radii_um
        Particle radii for which the grid is solved, one after the other, instead of that of
        ``cell``.

    Yields
    ------
    list of dict
        Per porosity of the grid one row for every C-rate, with :data:`GRID_COLUMNS`: Ah per
        kg of active material, and Ah per litre of coating. With ``radii_um`` also :data:`RADIUS`.
    """
    porosities = np.linspace(cell.porosity_min, cell.porosity_max, cell.grid_points)
    if not radii_um:
        yield from (simulate_porosity(float(porosity), cell) for porosity in porosities)
    for radius in radii_um:
        own = cell.model_copy(update={RADIUS: float(radius)})
        for porosity in porosities:
            yield [row | {RADIUS: radius} for row in simulate_porosity(float(porosity), own)]


def choose_radii(cell: HalfCellSettings, ranges: Sequence[tuple[float, float]]) -> list[float]:
    """Return the radii (µm) to solve for: :data:`RADII` from the smallest to the largest.

    They are evenly spaced in their logarithm and enclose the radius of ``cell``. Empty without
    ``ranges`` (smallest and largest radius of generated electrodes).
    """
    if not ranges:
        return []
    ends = [cell.particle_radius_um, *(radius for pair in ranges for radius in pair)]
    return [round(float(r), 4) for r in np.geomspace(min(ends), max(ends), RADII)]


def simulate_porosity(porosity: float, cell: HalfCellSettings) -> list[dict[str, float]]:
    """Discharge one electrode at every C-rate; rows as in :func:`simulate_grid`."""
    simulation = _build(porosity, cell)
    rows = []
    for c_rate in cell.c_rates:
        ah_kg = _discharge(simulation, c_rate, cell)
        rows.append(
            {
                "porosity": porosity,
                "thickness_um": find_thickness_um(porosity, cell),
                "c_rate": c_rate,
                "ah_kg": ah_kg,
                "ah_l": ah_kg * find_active_density_kg_l(porosity, cell),
            }
        )
    return rows


def tabulate(rows: list[list[dict[str, float]]]) -> pd.DataFrame:
    """Return the rows of a whole grid as a table."""
    table = pd.DataFrame([row for part in rows for row in part])
    return table[[RADIUS, *GRID_COLUMNS] if RADIUS in table else GRID_COLUMNS]


def find_open_circuit_voltage(x: Any, exp: Any = np.exp) -> Any:
    """Return the potential of Li_x NMC111 against lithium in V (Stewart et al. 2008)."""
    return (
        6.0826 - 6.9922 * x + 7.1062 * x**2 - 2.5947 * x**3 - 5.4549e-5 * exp(124.23 * x - 114.2593)
    )


def find_charged_stoichiometry(voltage: float) -> float:
    """Return the lithium content at which the open-circuit voltage is ``voltage``."""
    from scipy.optimize import brentq

    return float(brentq(lambda x: find_open_circuit_voltage(x) - voltage, 0.2, 0.9))


def _build(porosity: float, cell: HalfCellSettings) -> Any:
    os.environ.setdefault("PYBAMM_DISABLE_TELEMETRY", "true")
    import pybamm

    def diffusivity(x: Any, _temperature: Any) -> Any:
        return cell.diffusivity_m2_s * pybamm.exp(-cell.diffusivity_slope * (x - 0.5) ** 2)

    def voltage(x: Any) -> Any:
        return find_open_circuit_voltage(x, pybamm.exp)

    electrolyte = pybamm.ParameterValues("Chen2020")  # Nyman et al. 2008, EC:EMC 3:7
    values = pybamm.ParameterValues("Xu2019")
    active = find_active_fraction(porosity, cell)
    start = find_charged_stoichiometry(cell.upper_voltage)
    values.update(
        {
            "Electrolyte diffusivity [m2.s-1]": electrolyte["Electrolyte diffusivity [m2.s-1]"],
            "Electrolyte conductivity [S.m-1]": electrolyte["Electrolyte conductivity [S.m-1]"],
            "Cation transference number": electrolyte["Cation transference number"],
            "Thermodynamic factor": electrolyte["Thermodynamic factor"],
            "Electrode height [m]": 1e-2,
            "Electrode width [m]": 1e-2,
            "Nominal cell capacity [A.h]": _find_current(1.0, cell),
            "Positive electrode thickness [m]": find_thickness_um(porosity, cell) * 1e-6,
            "Positive electrode porosity": porosity,
            "Positive electrode active material volume fraction": active,
            "Positive electrode Bruggeman coefficient (electrolyte)": cell.bruggeman,
            "Positive particle radius [m]": cell.particle_radius_um * 1e-6,
            "Positive particle diffusivity [m2.s-1]": diffusivity,
            "Positive electrode OCP [V]": voltage,
            "Maximum concentration in positive electrode [mol.m-3]": MAX_CONCENTRATION,
            "Initial concentration in positive electrode [mol.m-3]": start * MAX_CONCENTRATION,
            "Lower voltage cut-off [V]": cell.lower_voltage,
            "Upper voltage cut-off [V]": cell.upper_voltage + 0.2,
            "Current function [A]": "[input]",
        }
    )
    model = pybamm.lithium_ion.DFN({"working electrode": "positive"})
    return pybamm.Simulation(
        model,
        parameter_values=values,
        var_pts=POINTS,
        solver=pybamm.IDAKLUSolver(atol=1e-6, rtol=1e-5, output_variables=["Voltage [V]"]),
    )


def _discharge(simulation: Any, c_rate: float, cell: HalfCellSettings) -> float:
    current = _find_current(c_rate, cell)
    longest_s = 1.5 * 3600 / c_rate
    solution = simulation.solve([0, longest_s], inputs={"Current function [A]": current})
    active_kg = cell.loading_mg_cm2 * 1e-2 * AREA_M2
    return float(current * solution.t[-1] / 3600 / active_kg)


def _find_current(c_rate: float, cell: HalfCellSettings) -> float:
    """Return the current in A of an electrode of :data:`AREA_M2`."""
    return c_rate * cell.nominal_ah_kg * cell.loading_mg_cm2 * 1e-2 * AREA_M2


def smooth_local_porosity(
    grid: pd.DataFrame,
    porosities: NDArray[np.float64],
    cell: HalfCellSettings,
    radii_um: NDArray[np.float64] | None = None,
) -> dict[tuple[float, str], NDArray[np.float64]]:
    """Interpolate the grid and average over the local porosities of an electrode.

    Parameters
    ----------
    grid
        The table of :func:`tabulate`.
    porosities : (n,) float array
        Mean porosity of every electrode.
    cell
        Of which ``porosity_spread`` counts: the weights are normal, cut at two standard
        deviations.
    radii_um : (n,) float array, optional
        Particle radius of every electrode, where the grid holds several; that of ``cell`` if not
        given.

    Returns
    -------
    dict
        ``(c_rate, "Ah/kg" | "Ah/L")`` → (n,) capacities. Outside of the grid its edge counts.
    """
    density = np.array([find_active_density_kg_l(float(p), cell) for p in porosities])
    result = {}
    for c_rate, part in grid.groupby("c_rate"):
        if RADIUS in part:
            radii = np.full(len(porosities), cell.particle_radius_um)
            mass = _interpolate_radii(part, porosities, radii if radii_um is None else radii_um,
                                      cell)  # fmt: skip
        else:
            mass = _average_locally(part, porosities, cell)
        result[(float(str(c_rate)), "Ah/kg")] = mass
        result[(float(str(c_rate)), "Ah/L")] = mass * density
    return result


def _average_locally(
    part: pd.DataFrame, porosities: NDArray[np.float64], cell: HalfCellSettings
) -> NDArray[np.float64]:
    """Return (n,) capacities of one C-rate and radius, averaged over local porosities."""
    from scipy.interpolate import PchipInterpolator

    steps = np.linspace(-2, 2, 9)
    weights = np.exp(-(steps**2) / 2)
    weights /= weights.sum()
    local = np.asarray(porosities)[:, None] + cell.porosity_spread * steps
    law = PchipInterpolator(part["porosity"], part["ah_kg"])
    inside = np.clip(local, part["porosity"].min(), part["porosity"].max())
    return np.asarray(law(inside) @ weights)


def _interpolate_radii(
    part: pd.DataFrame,
    porosities: NDArray[np.float64],
    radii_um: NDArray[np.float64],
    cell: HalfCellSettings,
) -> NDArray[np.float64]:
    """Return (n,) capacities of one C-rate, interpolated between the radii of the grid."""
    from scipy.interpolate import PchipInterpolator

    known = sorted(set(part[RADIUS]))
    by_radius = np.stack(
        [_average_locally(part[part[RADIUS] == radius], porosities, cell) for radius in known]
    )
    inside = np.log(np.clip(radii_um, known[0], known[-1]))
    laws = PchipInterpolator(np.log(known), by_radius)
    return np.array([laws(at)[i] for i, at in enumerate(inside)])
