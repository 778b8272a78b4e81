"""Porosity, thickness, loading and density of a coating."""

from batteryscope.config.physics import HalfCellSettings


def find_skeletal_density(cell: HalfCellSettings) -> float:
    """Return the density of the solid parts in g/cm³ (Deeg et al. 2024, Equation 1)."""
    carbon = 1 - cell.active_share - cell.binder_share
    volume = (
        cell.active_share / cell.active_density_g_cm3
        + cell.binder_share / cell.binder_density_g_cm3
        + carbon / cell.carbon_density_g_cm3
    )
    return 1 / volume


def find_active_fraction(porosity: float, cell: HalfCellSettings) -> float:
    """Return the share of the coating's volume that is active material."""
    solid = (1 - porosity) * find_skeletal_density(cell)
    return solid * cell.active_share / cell.active_density_g_cm3


def find_thickness_um(porosity: float, cell: HalfCellSettings) -> float:
    """Return the thickness of the coating in µm: as given, or what holds the loading."""
    if cell.coating_thickness_um is not None:
        return cell.coating_thickness_um
    mass_mg_cm2 = cell.loading_mg_cm2 / cell.active_share
    return mass_mg_cm2 * 1e-3 / (find_skeletal_density(cell) * (1 - porosity)) * 1e4


def find_active_density_kg_l(porosity: float, cell: HalfCellSettings) -> float:
    """Return kg of active material per litre of coating: Ah/L = Ah/kg times this."""
    return cell.active_share * find_skeletal_density(cell) * (1 - porosity)


def find_loading_mg_cm2(porosity: float, cell: HalfCellSettings) -> float:
    """Return mg of active material per cm²: as given, or what a coating of the thickness holds."""
    if cell.coating_thickness_um is None:
        return cell.loading_mg_cm2
    return find_active_density_kg_l(porosity, cell) * cell.coating_thickness_um * 0.1
