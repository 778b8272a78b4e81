"""The electrode that the half-cell model describes, and the grid on which it is solved."""

from typing import Annotated, ClassVar, Self

from pydantic import Field, PositiveFloat, model_validator

from batteryscope.config.base import CountsWith, Settings

Share = Annotated[float, Field(gt=0, lt=1)]


class HalfCellSettings(Settings):
    """An NCM111 cathode against lithium, as in Deeg et al. (2024), after Schmidt et al. (2018).

    Mass shares and densities (g/cm³) give the skeletal density; the loading (mg of active
    material per cm²) stays the same when the electrode is densified, so that porosity fixes
    the thickness. ``nominal_ah_kg`` defines 1C. ``bruggeman`` and the solid diffusion
    coefficient ``diffusivity_m2_s``·exp(−``diffusivity_slope``·(x − 0.5)²) were chosen so that
    the capacities over porosity and C-rate fall as in the paper's Figure 4; they are no
    measured properties. ``porosity_spread`` is the standard deviation of the local porosity
    within one electrode over which a capacity is averaged.

    ``binder_gradient`` γ is how binder and carbon, whose mean share of the volume is φ, have moved
    to the surface while the coating dried (Müller et al. 2017, J. Power Sources 340, 1; modelled by
    Font et al. 2018, J. Power Sources 393, 177): at the relative height h above the foil they fill
    φ·(1 + γ·(2h − 1)), a straight line in place of a measured profile. What they fill is no pore:
    the local porosity is ε(h) = ε − φ·γ·(2h − 1), and ions pass with ε(h)^``bruggeman``.

    ``lost_particles`` λ is the share of the active mass that is torn out or cracked off and no
    longer connected (loss of active material, Dubarry et al. 2012, J. Power Sources 219, 204). Only
    connected mass delivers, at the current of the whole electrode: Q(C) = (1 − λ)·Q_c(C/(1 − λ)),
    per total mass, where Q_c is the capacity per connected mass of the same coating. Simplified:
    the lost share is the same at every depth, and porosity, thickness and paths of ions stay.

    ``coating_thickness_um``, where it is given, takes the place of ``loading_mg_cm2``: the loading
    is then what a coating of this thickness and porosity holds.

    The model is solved on ``grid_points`` porosities between the limits and interpolated.
    ``porosity_column`` of the manifest holds the porosity of the electrodes in percent; from it
    come the row ``physics`` of a comparison and, with ``dataset.targets.source: simulated``,
    the capacities themselves.
    """

    counts_with: ClassVar[tuple[CountsWith, ...]] = (
        CountsWith("loading_mg_cm2", "coating_thickness_um", (None,)),
    )
    named_once: ClassVar[tuple[str, ...]] = ("c_rates",)

    porosity_column: str = "porosity"
    c_rates: list[PositiveFloat] = Field(default=[0.2, 1.0, 2.0, 3.0, 5.0], min_length=1)
    porosity_min: Share = 0.13
    porosity_max: Share = 0.56
    grid_points: Annotated[int, Field(ge=4)] = 19
    loading_mg_cm2: PositiveFloat = 15.4
    nominal_ah_kg: PositiveFloat = 160.0
    active_share: Share = 0.92
    binder_share: Share = 0.04
    active_density_g_cm3: PositiveFloat = 4.77
    binder_density_g_cm3: PositiveFloat = 1.78
    carbon_density_g_cm3: PositiveFloat = 2.0
    particle_radius_um: PositiveFloat = 5.0
    binder_gradient: Annotated[float, Field(gt=-1, lt=1)] = 0.0
    # Left out where it is off, so that the same settings have the same digest as before.
    lost_particles: float = Field(default=0.0, ge=0, lt=1, exclude_if=lambda value: not value)
    coating_thickness_um: PositiveFloat | None = Field(
        default=None, exclude_if=lambda value: value is None
    )
    diffusivity_m2_s: PositiveFloat = 1.2e-14
    diffusivity_slope: float = 8.0
    bruggeman: PositiveFloat = 2.3
    porosity_spread: Annotated[float, Field(ge=0, lt=0.1)] = 0.02
    upper_voltage: PositiveFloat = 4.3
    lower_voltage: PositiveFloat = 2.6

    @property
    def has_fitted_constants(self) -> bool:
        """Whether exponent and diffusion coefficient are those that were fitted to the paper."""
        fitted = ("bruggeman", "diffusivity_m2_s", "diffusivity_slope")
        fields = type(self).model_fields
        return all(getattr(self, name) == fields[name].default for name in fitted)

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.porosity_min >= self.porosity_max:
            raise ValueError(
                f"porosity_min {self.porosity_min} is not below porosity_max "
                f"{self.porosity_max}; exchange them."
            )
        if self.active_share + self.binder_share >= 1:
            raise ValueError(
                f"active_share {self.active_share} and binder_share {self.binder_share} leave no "
                "carbon; make them smaller."
            )
        return self
