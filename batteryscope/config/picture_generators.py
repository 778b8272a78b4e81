"""Settings of the programs that draw pictures and scans."""

import difflib
from collections.abc import Mapping
from itertools import product
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, NonNegativeFloat, PositiveInt, model_validator

from batteryscope.config.base import Settings
from batteryscope.config.cycling import CyclingTable

ParticleRadius = Annotated[float, Field(ge=1, le=10)]  # µm
BinderGradient = Annotated[float, Field(ge=-0.7, le=0.7)]
LostShare = Annotated[float, Field(ge=0, le=0.5)]  # of the active mass
CoatingThickness = Annotated[float, Field(ge=30, le=150)]  # µm


# Beside generated cathodes; hidden, since it is not for learning.
CYCLING_NAME = ".capacity_over_cycles.csv"
# Oh et al. 2024, Methods: one cycle at 0.1 C and three at 0.2 C, then 100 at 1 C.
FORMATION_CYCLES, LAST_CYCLE = 4, 104


class PictureGenerator(Settings):
    """What all of them tell about the pictures that they will draw."""

    makes_scans: ClassVar[bool] = False
    # Whether the half-cell model has to say what the drawn electrodes can do.
    needs_capacities: ClassVar[bool] = False
    # Whether it marks what a person would look at.
    draws_masks: ClassVar[bool] = False

    @property
    def varied(self) -> Mapping[str, tuple[float, float]]:
        """Settings of the half-cell model that drawn electrodes differ in: lowest and highest."""
        return {}

    @property
    def cycling(self) -> CyclingTable | None:
        """The table of capacities over cycles that it writes, if it writes one."""
        return None

    @property
    def frame_px(self) -> tuple[int, int]:
        """Width and height in pixels; 0 if it differs from picture to picture."""
        raise NotImplementedError

    def count_in_class(self, unit: str) -> int:
        """Return how many units (``image``, ``specimen``, ``cell`` …) a class has."""
        raise NotImplementedError


class SemTopViewGenerator(PictureGenerator):
    """Generated SEM top views of NCM cathodes (see ``batteryscope.demo.sem_frame``).

    The scale is always 0.2688 um per pixel (500x), so that a smaller frame shows a smaller
    field. One class, and one folder, for every composition, state and additive;
    ``images_of`` gives single folders (``ncm811_formation_VC``) another number of images,
    since real collections are seldom balanced.
    """

    named_once: ClassVar[tuple[str, ...]] = ("compositions", "states", "additives")

    kind: Literal["sem_top_view"] = "sem_top_view"
    images_per_class: PositiveInt = 14
    images_of: dict[str, PositiveInt] = {}
    width_px: Annotated[int, Field(ge=256)] = 640
    height_px: Annotated[int, Field(ge=192)] = 480
    compositions: list[Literal["333", "523", "622", "811"]] = Field(
        default=["333", "523", "622", "811"], min_length=1
    )
    states: list[Literal["pristine", "formation", "100cycles"]] = Field(
        default=["pristine", "formation", "100cycles"], min_length=1
    )
    additives: list[Literal["none", "VC", "PS", "VC+PS", "FEC", "LiBOB"]] = Field(
        default=["none"], min_length=1
    )
    seed: int = 1

    draws_masks = True

    @property
    def cycling(self) -> CyclingTable | None:
        """Capacities of cells without additive; nothing is made up about those with one."""
        if self.additives != ["none"]:
            return None
        return CyclingTable(
            table=CYCLING_NAME,
            match="composition",
            cycles={"pristine": 0, "formation": FORMATION_CYCLES, "100cycles": LAST_CYCLE},
        )

    @property
    def frame_px(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.width_px, self.height_px

    def count_in_class(self, unit: str) -> int:
        """Return the images of a class: they have no larger unit."""
        return self.images_per_class

    @model_validator(mode="after")
    def _known_folders(self) -> Self:
        folders = [
            name_sem_folder(*names)
            for names in product(self.compositions, self.states, self.additives)
        ]
        if unknown := sorted(set(self.images_of) - set(folders)):
            near = difflib.get_close_matches(unknown[0], folders, n=3, cutoff=0.0)
            raise ValueError(
                f"images_of names {unknown[0]!r}, which is no generated folder; "
                f"the nearest ones are {', '.join(near)}."
            )
        return self


def name_sem_folder(composition: str, state: str, additive: str) -> str:
    """Return the folder of a class, for example ``ncm811_100cycles`` or ``ncm811_100cycles_VC``."""
    suffix = "" if additive == "none" else f"_{additive}"
    return f"ncm{composition}_{state}{suffix}"


class CheckSetGenerator(PictureGenerator):
    """Check sets: ``trivial`` must be solved, ``random`` must not be solvable."""

    kind: Literal["trivial", "random"]
    classes: Annotated[int, Field(ge=2, le=8)] = 3
    images_per_class: PositiveInt = 12
    width_px: Annotated[int, Field(ge=64)] = 160
    height_px: Annotated[int, Field(ge=64)] = 144
    seed: int = 1

    @property
    def frame_px(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.width_px, self.height_px

    def count_in_class(self, unit: str) -> int:
        """Return the images of a class: they have no larger unit."""
        return self.images_per_class


class CtCellGenerator(PictureGenerator):
    """Generated micro-CT scans of cylindrical cells (see ``batteryscope.demo.ct_scan``).

    One scan per cell, ``cells_per_state`` cells of every state. Every cell has its own
    dimensions, position, tilt, noise and ring artefacts, drawn independently of its state.
    """

    named_once: ClassVar[tuple[str, ...]] = ("states",)

    kind: Literal["ct_cell"]
    cells_per_state: PositiveInt = 6
    slices: Annotated[int, Field(ge=3)] = 12
    size_px: Annotated[int, Field(ge=160)] = 256
    states: list[Literal["pristine", "cycle_aged", "calendar_aged", "thermal_cycled"]] = Field(
        default=["pristine", "cycle_aged", "calendar_aged", "thermal_cycled"], min_length=1
    )
    seed: int = 1

    makes_scans = True

    @property
    def images_per_class(self) -> int:
        """Groups of every class, which a split divides: the cells."""
        return self.cells_per_state

    @property
    def frame_px(self) -> tuple[int, int]:
        """Width and height of a slice."""
        return self.size_px, self.size_px

    def count_in_class(self, unit: str) -> int:
        """Return the cells of a state, or all their slices."""
        return self.cells_per_state * (1 if unit == "cell" else self.slices)


class CrossSectionGenerator(PictureGenerator):
    """Generated light-microscopy cross-sections of NCM111 cathodes (Deeg et al. 2024).

    One folder per electrode, and ``capacities.csv`` with the capacities that the half-cell model
    gives for its porosity. Electrodes of one ``porosities`` level differ by ``electrode_spread``
    (standard deviation), the places on one electrode by ``local_spread``; the loading of a place
    by the share ``loading_spread``, so that thickness alone does not tell the porosity. Measured
    capacities have a relative error of ``capacity_error``. The scale is 0.123 um per pixel.
    The electrodes of a porosity are counted from ``first_electrode``: sets with other numbers have
    other electrodes.

    With ``particle_radius_um`` electrodes of a porosity also differ in the mean radius of their
    particles (three times volume by surface), spread evenly over the logarithm between two limits:
    it is drawn, and the half-cell model gives the capacities of particles of this size. Without,
    all have the median diameter of 7.5 um. With ``binder_gradient`` they differ in how far binder
    and carbon have moved to the surface while they dried, spread evenly between two limits (see
    ``physics.binder_gradient``): pores are narrow where ions come in, at the same mean porosity.
    With ``lost_particles`` they differ in the share of the active mass that is lost, 0 to 0.5,
    spread evenly between two limits: half of the lost particles are drawn as torn out, half as
    cracked through, and capacities fall as ``physics.lost_particles`` says. With
    ``coating_thickness_um`` they differ in the mean thickness of their coating, 30 to 150 um,
    spread evenly between two limits, instead of having the thickness of one loading: it is drawn,
    and the half-cell model is solved for it. Without all four, capacities depend on porosity alone.
    """

    named_once: ClassVar[tuple[str, ...]] = ("porosities",)

    kind: Literal["cross_section"] = "cross_section"
    porosities: list[Annotated[float, Field(gt=0.15, lt=0.55)]] = Field(
        default=[0.495, 0.346, 0.30, 0.254, 0.196], min_length=2
    )
    electrodes_per_porosity: PositiveInt = 6
    first_electrode: PositiveInt = 1
    images_per_electrode: PositiveInt = 10
    width_px: Annotated[int, Field(ge=320)] = 704
    electrode_spread: NonNegativeFloat = 0.002
    local_spread: NonNegativeFloat = 0.006
    loading_spread: NonNegativeFloat = 0.06
    capacity_error: NonNegativeFloat = 0.005
    particle_radius_um: tuple[ParticleRadius, ParticleRadius] | None = None
    binder_gradient: tuple[BinderGradient, BinderGradient] | None = None
    # Left out where they are off, so that the same settings have the same digest as before.
    lost_particles: tuple[LostShare, LostShare] | None = Field(
        default=None, exclude_if=lambda value: value is None
    )
    coating_thickness_um: tuple[CoatingThickness, CoatingThickness] | None = Field(
        default=None, exclude_if=lambda value: value is None
    )
    seed: int = 1

    needs_capacities = True

    @model_validator(mode="after")
    def _limits_rise(self) -> Self:
        for name, (low, high) in self.varied.items():
            if low >= high:
                raise ValueError(
                    f"{name} {[low, high]}: expected the smaller number first and two that "
                    "differ; leave it out where all electrodes are alike."
                )
        return self

    @property
    def varied(self) -> Mapping[str, tuple[float, float]]:
        """Limits of what the half-cell model knows, where electrodes differ in it."""
        names = ("particle_radius_um", "binder_gradient", "lost_particles", "coating_thickness_um")
        return {name: own for name in names if (own := getattr(self, name)) is not None}

    @property
    def images_per_class(self) -> int:
        """Images of one porosity."""
        return self.electrodes_per_porosity * self.images_per_electrode

    @property
    def frame_px(self) -> tuple[int, int]:
        """Width in pixels; the height depends on the thickness of the coating."""
        return self.width_px, 0

    def count_in_class(self, unit: str) -> int:
        """Return the electrodes of a porosity, or all their images."""
        return self.electrodes_per_porosity if unit == "specimen" else self.images_per_class


Generator = Annotated[
    SemTopViewGenerator | CheckSetGenerator | CtCellGenerator | CrossSectionGenerator,
    Field(discriminator="kind"),
]
