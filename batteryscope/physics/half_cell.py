"""Discharge capacity over C-rate from Newman's model of a half cell, solved by PyBaMM.

The single-particle model with electrolyte gives 3 to 6 Ah/kg where this one gives 37 to 97,
since the electrolyte depletes; so the full model it is (Doyle, Fuller, Newman 1993).
"""

import os
from collections import ChainMap
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from batteryscope.config.physics import HalfCellSettings
from batteryscope.errors import ConfigError
from batteryscope.physics.electrode import (
    find_active_density_kg_l,
    find_active_fraction,
    find_loading_mg_cm2,
    find_thickness_um,
)

GRID_COLUMNS = ["porosity", "thickness_um", "c_rate", "ah_kg", "ah_l"]
# A column more for each setting that electrodes differ in, and how many values of it are solved:
# most of thickness, over which capacities bend sharply where the electrolyte depletes.
VARIED = {
    "particle_radius_um": 3,
    "binder_gradient": 3,
    "lost_particles": 3,
    "coating_thickness_um": 7,
}
AREA_M2 = 1e-4
LEAST_LOCAL_POROSITY = 0.06
MAX_CONCENTRATION = 49450.0  # mol/m³, NMC111
POINTS = {"x_n": 4, "x_s": 8, "x_p": 16, "r_n": 4, "r_p": 16}


def simulate_grid(
    cell: HalfCellSettings, variants: Sequence[Mapping[str, float]] = ({},)
) -> Iterator[list[dict[str, float]]]:
    """Solve the half cell porosity by porosity.

    Parameters
    ----------
    cell
        The electrode and the grid of porosities.
    variants
        Settings of :data:`VARIED` with which the grid is solved, one after the other, instead of
        those of ``cell``.

    Yields
    ------
    list of dict
        Per porosity of the grid one row for every C-rate, with :data:`GRID_COLUMNS`: Ah per
        kg of active material, and Ah per litre of coating; and what the variant has.
    """
    porosities = np.linspace(cell.porosity_min, cell.porosity_max, cell.grid_points)
    for variant in variants:
        own = cell.model_copy(update=dict(variant))
        for porosity in porosities:
            yield [row | dict(variant) for row in simulate_porosity(float(porosity), own)]


def choose_variants(
    cell: HalfCellSettings, ranges: Sequence[tuple[str, float, float]]
) -> list[dict[str, float]]:
    """Return the settings to solve for: all combinations of the values of each that varies.

    Radii are evenly spaced in their logarithm. The values enclose that of ``cell``, and all
    thicknesses that its loading has on the grid of porosities.

    Parameters
    ----------
    cell
        The electrode.
    ranges
        Setting of :data:`VARIED`, its lowest and its highest value in generated electrodes.
    """
    values = []
    limits = np.array([cell.porosity_min, cell.porosity_max])
    for name in (name for name in VARIED if name in [r[0] for r in ranges]):
        ends = [float(value) for value in _read_own(name, limits, cell)]
        ends += [end for own, *pair in ranges if own == name for end in pair]
        space = np.geomspace if name == "particle_radius_um" else np.linspace
        own = space(min(ends), max(ends), VARIED[name])
        values.append([{name: round(float(value), 4)} for value in own])
    return [dict(ChainMap(*parts)) for parts in product(*values)]


def simulate_porosity(porosity: float, cell: HalfCellSettings) -> list[dict[str, float]]:
    """Discharge one electrode at every C-rate; rows as in :func:`simulate_grid`.

    Raises
    ------
    ConfigError
        The model cannot be solved for this electrode.
    """
    simulation = _build(porosity, cell)
    rows = []
    for c_rate in cell.c_rates:
        ah_kg = _discharge(simulation, c_rate, porosity, cell)
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
    return table[[*(name for name in VARIED if name in table), *GRID_COLUMNS]]


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
    surface_m = values["Negative electrode thickness [m]"] + values["Separator thickness [m]"]
    thickness_m = find_thickness_um(porosity, cell) * 1e-6

    narrowest = porosity - (1 - porosity - active) * abs(cell.binder_gradient)
    if cell.binder_gradient and narrowest < LEAST_LOCAL_POROSITY:
        raise ConfigError(
            f"physics: with a binder_gradient of {cell.binder_gradient:g}, an electrode of "
            f"{100 * porosity:.1f} % porosity has {100 * narrowest:.1f} % at one edge, less than "
            f"the {100 * LEAST_LOCAL_POROSITY:g} % down to which the model can be solved; raise "
            "physics.porosity_min or take a smaller gradient."
        )

    def local_porosity(x: Any, _y: Any, _z: Any) -> Any:
        height = 1 - (x - surface_m) / thickness_m
        return porosity - (1 - porosity - active) * cell.binder_gradient * (2 * height - 1)

    values.update(
        {
            "Electrolyte diffusivity [m2.s-1]": electrolyte["Electrolyte diffusivity [m2.s-1]"],
            "Electrolyte conductivity [S.m-1]": electrolyte["Electrolyte conductivity [S.m-1]"],
            "Cation transference number": electrolyte["Cation transference number"],
            "Thermodynamic factor": electrolyte["Thermodynamic factor"],
            "Electrode height [m]": 1e-2,
            "Electrode width [m]": 1e-2,
            "Nominal cell capacity [A.h]": _find_current(
                1.0, find_loading_mg_cm2(porosity, cell), cell
            ),
            "Positive electrode thickness [m]": thickness_m,
            "Positive electrode porosity": local_porosity if cell.binder_gradient else porosity,
            # The current stays that of all particles: those left carry 1/(1 − λ) of it each.
            "Positive electrode active material volume fraction": active
            * (1 - cell.lost_particles),
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


def _discharge(simulation: Any, c_rate: float, porosity: float, cell: HalfCellSettings) -> float:
    """Return Ah per kg of active material, lost particles included."""
    import pybamm

    loading_mg_cm2 = find_loading_mg_cm2(porosity, cell)
    current = _find_current(c_rate, loading_mg_cm2, cell)
    longest_s = 1.5 * 3600 / c_rate
    try:
        solution = simulation.solve([0, longest_s], inputs={"Current function [A]": current})
    except pybamm.SolverError:
        raise ConfigError(
            f"physics: the half-cell model cannot be solved at {c_rate:g}C for a coating of "
            f"{100 * porosity:.1f} % porosity and {find_thickness_um(porosity, cell):.0f} µm with "
            f"{100 * cell.lost_particles:.0f} % of the particles lost; leave out this C-rate, "
            "raise physics.porosity_min, or narrow the limits that generated electrodes differ in."
        ) from None
    active_kg = loading_mg_cm2 * 1e-2 * AREA_M2
    return float(current * solution.t[-1] / 3600 / active_kg)


def _find_current(c_rate: float, loading_mg_cm2: float, cell: HalfCellSettings) -> float:
    """Return the current in A of an electrode of :data:`AREA_M2`."""
    return c_rate * cell.nominal_ah_kg * loading_mg_cm2 * 1e-2 * AREA_M2


def _read_own(
    name: str, porosities: NDArray[np.float64], cell: HalfCellSettings
) -> NDArray[np.float64]:
    """Return (n,) values that an electrode of ``cell`` has at these porosities."""
    if name == "coating_thickness_um":
        return np.array([find_thickness_um(float(p), cell) for p in porosities])
    return np.full(len(porosities), getattr(cell, name))


def smooth_local_porosity(
    grid: pd.DataFrame,
    porosities: NDArray[np.float64],
    cell: HalfCellSettings,
    varied: Mapping[str, NDArray[np.float64]] | None = None,
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
    varied
        (n,) values of every electrode by setting of :data:`VARIED`, where the grid holds several;
        those of ``cell`` if not given.

    Returns
    -------
    dict
        ``(c_rate, "Ah/kg" | "Ah/L")`` → (n,) capacities. Outside of the grid its edge counts.
    """
    density = np.array([find_active_density_kg_l(float(p), cell) for p in porosities])
    result = {}
    for c_rate, part in grid.groupby("c_rate"):
        names = [name for name in VARIED if name in part]
        mass = _interpolate_variants(part, porosities, names, varied or {}, cell)
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


def _interpolate_variants(
    part: pd.DataFrame,
    porosities: NDArray[np.float64],
    names: Sequence[str],
    varied: Mapping[str, NDArray[np.float64]],
    cell: HalfCellSettings,
) -> NDArray[np.float64]:
    """Return (n,) capacities of one C-rate, interpolated between the values of the grid."""
    from scipy.interpolate import PchipInterpolator

    if not names:
        return _average_locally(part, porosities, cell)
    name, *others = names
    known = np.array(sorted(set(part[name])))
    by_value = [
        _interpolate_variants(part[part[name] == value], porosities, others, varied, cell)
        for value in known
    ]
    asked = varied[name] if name in varied else _read_own(name, porosities, cell)
    inside = np.clip(asked, known[0], known[-1])
    if name == "particle_radius_um":
        known, inside = np.log(known), np.log(inside)
    laws = PchipInterpolator(known, np.stack(by_value))
    return np.array([laws(at)[i] for i, at in enumerate(inside)])
