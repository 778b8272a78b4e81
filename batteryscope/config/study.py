"""A study: everything between raw pictures and a published report."""

import os
from collections.abc import Collection, Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from batteryscope.config.base import Settings, name_alternative
from batteryscope.config.covariates import CovariateTable
from batteryscope.config.dataset import DatasetSettings
from batteryscope.config.evaluate import EvaluateSettings, ExplainSettings
from batteryscope.config.learning import (
    AugmentSettings,
    BalanceSettings,
    ModelSettings,
    TrainSettings,
)
from batteryscope.config.physics import HalfCellSettings
from batteryscope.config.picture_generators import PictureGenerator
from batteryscope.config.preprocess import PreprocessSettings
from batteryscope.config.search import SEARCHED_SECTIONS, SearchSettings
from batteryscope.config.split import SplitSettings
from batteryscope.config.sweep import (
    WHERE,
    SweepPoint,
    SweepSettings,
    check_key,
    check_sweeps,
    expand_sweeps,
    resolve_values,
)
from batteryscope.core.plural import count_of

Name = Annotated[str, Field(pattern=r"^[a-z0-9]+(_[a-z0-9]+)*$")]
Where = dict[str, str | float | int | bool | list[str | float | int]]


class Stage(Settings):
    """One training stage of an arm.

    ``where`` selects training and validation samples by manifest columns (for
    example ``{domain: source}``); ``change`` overrides settings of ``balance``,
    ``augment``, ``model`` and ``train`` by dotted key for this stage alone.
    """

    name: Name
    where: Where = {}
    change: dict[str, Any] = {}


class Arm(Settings):
    """One strategy that the study compares: a list of stages.

    ``change`` overrides any of the study's settings by dotted key for this arm,
    for example ``{model.grey_levels: per_image}``.
    """

    label: str = ""
    stages: list[Stage] = Field(default=[Stage(name="fit")], min_length=1)
    change: dict[str, Any] = {}

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [stage.name for stage in self.stages]
        if len(set(names)) < len(names):
            raise ValueError(f"stage names {names} repeat; give each stage its own name.")
        return self


class Recipe(Settings):
    """The settings that one arm runs with, after its overrides."""

    preprocess: PreprocessSettings
    split: SplitSettings
    balance: BalanceSettings
    augment: AugmentSettings
    model: ModelSettings
    train: TrainSettings


class StudySettings(Settings):
    """One entry of ``studies`` in params.yaml whose data are pictures.

    ``demo`` is an overlay of the same shape that applies at ``scale: demo``. ``physics``: the
    half-cell model whose capacities stand beside the learnt ones. ``published_arms``: where
    several arms predict different targets, those whose models are bundled together; the
    ``main_arm`` is always one of them. ``based_on``: the study whose design this one takes, with
    data of its own (:mod:`batteryscope.config.own_study`). ``paper_role``: whether the data are
    the paper's, too (or generated after them), or its design alone; told by the data if not stated.
    Of the ``sweeps``
    only those that ``run_sweeps`` names are run; ``--config sweeps=…`` names them, too.
    """

    # What a study that takes this one's design, but has other data, does not take of each section.
    told_of_data: ClassVar[Mapping[str, Collection[str]]] = {
        "dataset": DatasetSettings.model_fields,
        "explain": ("phases",),
    }
    named_once: ClassVar[tuple[str, ...]] = ("published_arms", "run_sweeps")

    kind: Literal["image"] = "image"
    based_on: str | None = None
    title: str
    paper: str = ""
    paper_role: Literal["source", "design"] = "source"
    paper_doi: str = ""
    dataset: DatasetSettings
    preprocess: PreprocessSettings
    split: SplitSettings = SplitSettings()
    balance: BalanceSettings = BalanceSettings()
    augment: AugmentSettings = AugmentSettings()
    model: ModelSettings = ModelSettings()
    train: TrainSettings = TrainSettings()
    arms: dict[Name, Arm] = Field(min_length=1)
    main_arm: str | None = None
    evaluate: EvaluateSettings = EvaluateSettings()
    explain: ExplainSettings = ExplainSettings()
    physics: HalfCellSettings | None = None
    published_arms: list[Name] = []
    sweeps: dict[Name, SweepSettings] = {}
    run_sweeps: list[str] = []
    search: SearchSettings | None = None
    demo: dict[str, Any] = {}

    @model_validator(mode="after")
    def _physics_where_needed(self) -> Self:
        if self.needs_physics and self.physics is None:
            raise ValueError(
                "generated cross-sections get their capacities from the half-cell model; add "
                "physics: {}."
            )
        for key, data in (("dataset", self.dataset), ("evaluate.external", self.external)):
            if data is not None:
                data.targets.check_computed(self.physics, f"{key}.targets")
        if unknown := sorted(set(self.published_arms) - set(self.arms)):
            raise ValueError(
                f"published_arms: '{unknown[0]}' is none of the arms {sorted(self.arms)}; name one."
            )
        return self

    @model_validator(mode="after")
    def _main_arm_exists(self) -> Self:
        if self.main_arm is not None and self.main_arm not in self.arms:
            raise ValueError(
                f"main_arm '{self.main_arm}' is none of the arms {sorted(self.arms)}; name one."
            )
        if "baseline" in (prefix := {arm.split("_")[0] for arm in self.arms}):
            raise ValueError(f"arm names must not begin with 'baseline' (found {sorted(prefix)}).")
        curve = self.evaluate.learning_curve
        if curve is not None and (unknown := sorted(set(curve.arms) - set(self.arms))):
            raise ValueError(
                f"evaluate.learning_curve.arms: '{unknown[0]}' is none of the arms "
                f"{sorted(self.arms)}; name one."
            )
        return self

    @model_validator(mode="after")
    def _mismatches_have_names(self) -> Self:
        if taken := sorted(set(self.mismatched_arms) & set(self.all_arms)):
            raise ValueError(
                f"evaluate.grey_levels_at_test: it calls its rows '{taken[0]}', which is the name "
                "of an arm; give that arm another name."
            )
        return self

    @model_validator(mode="after")
    def _sweeps_are_possible(self) -> Self:
        check_sweeps(
            self.sweeps,
            self.run_sweeps,
            list(self.arms),
            self.best_known_arm,
            self.all_arms,
            check=lambda key: check_key(key, Recipe),
            change=lambda point: change_arm(self.arms[point.base], point.values),
        )
        if self.search is not None:
            self.search.check_space(
                SEARCHED_SECTIONS, lambda key: check_key(key, Recipe), list(self.arms)
            )
        return self

    @property
    def data_origin(self) -> str:
        """Where the user's pictures lie; "" where they are generated."""
        return "" if self.dataset.path is None else os.path.normpath(self.dataset.path)

    @property
    def paper_of_data(self) -> str:
        """The paper whose data these are, or that generated ones imitate; "" if there is none."""
        return self.paper if self.paper_role == "source" else ""

    @property
    def _drawn(self) -> list[PictureGenerator]:
        """The generators of the data sets that have no pictures of the user's."""
        used = (self.dataset, self.evaluate.external)
        return [d.generator for d in used if d is not None and d.path is None and d.generator]

    @property
    def needs_physics(self) -> bool:
        """Whether the half-cell model says what drawn electrodes can do."""
        return any(generator.needs_capacities for generator in self._drawn)

    @property
    def drawn_ranges(self) -> list[tuple[str, float, float]]:
        """Settings of the half-cell model that drawn electrodes differ in, with their limits."""
        return [(name, *ends) for g in self._drawn for name, ends in g.varied.items()]

    @property
    def external(self) -> DatasetSettings | None:
        """The external data set; what it lacks of ``targets``, ``covariates`` the study gives."""
        external = self.evaluate.external
        if external is None:
            return None
        targets = external.targets.complete(self.dataset.targets)
        covariates = external.covariates or self.published_covariates
        return external.model_copy(update={"targets": targets, "covariates": covariates})

    @property
    def published_covariates(self) -> CovariateTable | None:
        """The covariates that published models are given; None if they go by pictures alone."""
        for arm in (self.arms[name] for name in list_published_arms(self) if name in self.arms):
            change = arm.change | arm.stages[-1].change
            if change.get("model.covariates", self.model.covariates) is not False:
                return self.dataset.covariates
        return None

    @property
    def sweep_points(self) -> list[SweepPoint]:
        """The points of all sweeps that are switched on, in the order of ``sweeps``."""
        return expand_sweeps(self.sweeps, self.run_sweeps, self.best_known_arm)

    @property
    def all_arms(self) -> dict[str, Arm]:
        """The arms that are configured, and after them those of the learning curve."""
        return self.arms | {
            name: shrink_arm(self.arms[base], n, self.curve_counts)
            for name, (base, n) in self.curve_arms.items()
        }

    @property
    def curve_counts(self) -> str:
        """What the learning curve counts: ``image`` or ``specimen``."""
        curve = self.evaluate.learning_curve
        return "image" if curve is None else curve.counted

    @property
    def curve_arms(self) -> dict[str, tuple[str, int]]:
        """Name of every arm of the learning curve → its full arm, training images per class.

        Specimens per class where the curve counts them (:attr:`curve_counts`).
        """
        curve = self.evaluate.learning_curve
        if curve is None:
            return {}
        return {f"{arm}_n{n}": (arm, n) for arm in curve.arms for n in curve.sizes}

    @property
    def mismatched_arms(self) -> dict[str, tuple[str, str]]:
        """Name in the comparison → the arm, and the grey levels that it is tested with instead.

        Those that the arm was trained with are among them, though no mismatch; the plan knows.
        """
        asked = self.evaluate.grey_levels_at_test
        return {f"{arm}_tested_{grey}": (arm, grey) for arm in self.arms for grey in asked}

    @property
    def best_known_arm(self) -> str:
        """The arm whose models are published: ``main_arm``, else the first one."""
        return self.main_arm or next(iter(self.arms))


def list_published_arms(study: StudySettings) -> list[str]:
    """Return the arms whose models are bundled together, the main arm first."""
    names = [study.best_known_arm, *study.published_arms]
    return list(dict.fromkeys(names))


def shrink_arm(arm: Arm, per_class: int, counted: str) -> Arm:
    """Return the arm with at most so many training images per class in its last stage.

    ``counted`` is ``image`` or ``specimen``.
    """
    last = arm.stages[-1]
    change = last.change | {f"balance.{counted}s_per_class": per_class}
    stages = [*arm.stages[:-1], last.model_copy(update={"change": change})]
    label = f"{arm.label}, {count_of(per_class, counted)} per class" if arm.label else ""
    return arm.model_copy(update={"label": label, "stages": stages})


def change_arm(arm: Arm, values: Mapping[str, Any]) -> Arm:
    """Return the arm with other settings, by dotted key.

    A key that a stage sets itself is changed there, any other one for the whole arm.
    ``dataset.where.<column>`` selects the images that all stages train on and that are tested.

    Raises
    ------
    ValueError
        If a stage already selects its images by a column of ``dataset.where``.
    """
    change = dict(arm.change)
    stages = list(arm.stages)
    for key, value in resolve_values(values).items():
        if key.startswith(WHERE):
            column = key.removeprefix(WHERE)
            if chosen := [stage.name for stage in stages if column in stage.where]:
                raise ValueError(
                    f"'{key}' cannot be swept: stage '{chosen[0]}' of the arm already selects its "
                    f"images by '{column}'."
                )
            stages = [s.model_copy(update={"where": {**s.where, column: value}}) for s in stages]
            change[f"split.test_where.{column}"] = value
            continue
        own = {stage.name for stage in stages if key in stage.change}
        if not own:
            change.pop(name_alternative(key), None)
            change[key] = value
        stages = [
            s.model_copy(update={"change": {**s.change, key: value}}) if s.name in own else s
            for s in stages
        ]
    return arm.model_copy(update={"change": change, "stages": stages})
