"""From a study's settings to the pieces of work it needs, each with a name of its own.

Arms that agree in a setting share the work: tiles are named after the preprocessing
settings, splits after the split settings, and a trained stage after everything that
it depends on. A changed setting therefore gives a new name, and an unchanged one
finds what was already made.
"""

import hashlib
import json
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Self

from pydantic import Field, PositiveInt, model_validator

from batteryscope.answers.choose import answer_of
from batteryscope.config.base import Settings, validate_settings
from batteryscope.config.covariates import Covariate, choose_covariates
from batteryscope.config.learning import (
    AugmentSettings,
    BalanceSettings,
    ModelSettings,
    TrainSettings,
)
from batteryscope.config.merge import change_settings
from batteryscope.config.preprocess import PreprocessSettings
from batteryscope.config.split import SplitSettings
from batteryscope.config.study import Arm, Recipe, Stage, StudySettings, Where, change_arm
from batteryscope.errors import ConfigError

RECIPE_SECTIONS = ("preprocess", "split", "balance", "augment", "model", "train")
# Settings of the training that a network or the machine may not allow.
CHECKED = (
    "accelerator", "devices", "precision", "compile", "unfreeze_every_epochs", "layer_decay",
)  # fmt: skip
STAGE_SECTIONS = ("balance", "augment", "model", "train")


class StageSettings(Settings):
    """Everything that the training of one stage depends on, beside data and parent stage.

    ``targets`` are the numbers that it learns: ``log_targets`` by their logarithms,
    ``zero_targets`` may be 0 and have no percentage error. ``covariates`` are what its network is
    given beside the picture, ``grades`` the classes in their order, where that is learnt.
    """

    study: str
    stage: str
    where: Where
    label_columns: list[str]
    targets: list[str] = []
    log_targets: list[str] = []
    zero_targets: list[str] = []
    covariates: list[Covariate] = Field(default=[], exclude_if=lambda value: not value)
    grades: list[str] = Field(default=[], exclude_if=lambda value: not value)
    tiles_per_class: PositiveInt | None = None
    balance: BalanceSettings
    augment: AugmentSettings
    model: ModelSettings
    train: TrainSettings

    @model_validator(mode="after")
    def _training_fits_answer(self) -> Self:
        answer_of(self).check_stage(self)
        return self

    @model_validator(mode="after")
    def _method_fits_model(self) -> Self:
        if self.train.is_solved and (
            self.model.pooling != "stage_statistics" or self.model.freeze != "backbone"
        ):
            raise ValueError(
                f"train.method '{self.train.method}' needs model.pooling 'stage_statistics' and "
                f"model.freeze 'backbone', found '{self.model.pooling}' and "
                f"'{self.model.freeze}'; set them."
            )
        if self.model.kernel_centres is not None and self.train.method != "ridge":
            raise ValueError(
                f"model.kernel_centres {self.model.kernel_centres} needs train.method 'ridge', "
                f"found '{self.train.method}'; set it, or leave kernel_centres out."
            )
        if self.model.pool_samples and self.train.method != "ridge":
            raise ValueError(
                "model.pool_samples needs train.method 'ridge', found "
                f"'{self.train.method}'; set it, or leave pool_samples out."
            )
        if self.model.pool_samples and self.balance.method != "none":
            raise ValueError(
                f"balance.method '{self.balance.method}' has no effect with model.pool_samples, by "
                "which every sample counts once; set it to 'none', or leave pool_samples out."
            )
        return self

    @model_validator(mode="after")
    def _choices_have_an_effect(self) -> Self:
        layerwise = self._list_layerwise_choices()
        iterative = list(layerwise)
        if self.train.method != "ridge" and self.train.loss != "cross_entropy":
            iterative.append(f"train.loss '{self.train.loss}'")
        if self.train.penalty != "none":
            iterative.append(f"train.penalty '{self.train.penalty}'")
        if self.train.adversarial_noise:
            iterative.append(f"train.adversarial_noise {self.train.adversarial_noise:g}")
        if self.balance.method == "class_balanced":
            iterative.append("balance.method 'class_balanced'")
        if self.train.method == "ridge" and self.balance.method == "class_weights":
            iterative.append("balance.method 'class_weights'")
        if self.train.averaging != "none":
            iterative.append(f"train.averaging '{self.train.averaging}'")
        for name, usual in (("devices", 1), ("resident_tiles", False), ("compile", False)):
            if (value := getattr(self.train, name)) != usual:
                iterative.append(f"train.{name} {value}")
        if self.train.head_learning_rate is not None:
            iterative.append(f"train.head_learning_rate {self.train.head_learning_rate:g}")
        if self.augment.random_crop is not None:
            iterative.append("augment.random_crop")
        if self.train.is_solved and iterative:
            raise ValueError(
                f"{iterative[0]} does not go with train.method '{self.train.method}', which solves "
                "the last layer at once; leave it out, or train by 'gradient'."
            )
        if self.model.freeze == "backbone" and layerwise:
            raise ValueError(
                f"{layerwise[0]} has no effect with model.freeze 'backbone', which trains the "
                "classifier head alone; leave it out, or set model.freeze to 'none' or a number."
            )
        return self

    @model_validator(mode="after")
    def _classes_differ_in_tiles(self) -> Self:
        if self.tiles_per_class is not None and self.balance.method != "none":
            raise ValueError(
                f"balance.method '{self.balance.method}' balances classes of different size, but "
                f"preprocess.tiles_per_class {self.tiles_per_class} gives each of them the same "
                "number of training tiles; set preprocess.tiles_per_image in its place, or "
                "balance.method to 'none'."
            )
        return self

    def _list_layerwise_choices(self) -> list[str]:
        choices = []
        if self.train.unfreeze_every_epochs is not None:
            choices.append(f"train.unfreeze_every_epochs {self.train.unfreeze_every_epochs}")
        if self.train.layer_decay < 1:
            choices.append(f"train.layer_decay {self.train.layer_decay}")
        if self.train.batch_norm == "keep":
            choices.append("train.batch_norm 'keep'")
        return choices


class NetworkCheck(Settings):
    """What must be possible before a training can start: network, weights and devices."""

    model: ModelSettings
    train: TrainSettings


class BalanceTask(Settings):
    """What decides which tiles a stage trains on and how often; stages that agree share a plan.

    ``tiles`` and ``split`` are names of the :class:`StudyPlan`; ``needs_all_classes`` is False
    where classes are no outputs of the model. ``tiles_per_class``: at most so many (null: all).
    """

    stage: str
    tiles: str
    split: str
    where: Where
    label_columns: list[str]
    tiles_per_class: PositiveInt | None = None
    balance: BalanceSettings
    seed: int
    needs_all_classes: bool


@dataclass(frozen=True)
class StagePlan:
    """One stage to train; ``chain`` is its directory name and spells its ancestors.

    Rules ask every stage of a study for its hashes, once for each job.
    """

    chain: str
    parent: str | None
    tiles: str
    split: str
    settings: StageSettings

    @cached_property
    def check(self) -> NetworkCheck:
        """What to check for this stage; stages with the same network share one check."""
        train = self.settings.train
        kept = {key: getattr(train, key) for key in CHECKED}
        if train.unfreeze_every_epochs is not None:
            kept["epochs"] = train.epochs
        return NetworkCheck(model=self.settings.model, train=TrainSettings(**kept))

    @cached_property
    def check_id(self) -> str:
        """Name of the check."""
        return _short_hash(self.check)

    @cached_property
    def balance(self) -> BalanceTask:
        """Which tiles it trains on."""
        settings = self.settings
        return BalanceTask(
            stage=settings.stage,
            tiles=self.tiles,
            split=self.split,
            where=settings.where,
            label_columns=settings.label_columns,
            tiles_per_class=settings.tiles_per_class,
            balance=settings.balance,
            seed=settings.train.seed,
            needs_all_classes=answer_of(settings).needs_all_classes,
        )

    @cached_property
    def balance_id(self) -> str:
        """Name of the balance plan."""
        return f"{self.settings.stage}-{_short_hash(self.balance)}"


@dataclass(frozen=True)
class ArmPlan:
    """One arm: the chains of its stages, the last of which makes its predictions."""

    name: str
    label: str
    chains: tuple[str, ...]
    tiles: str
    split: str
    recipe: Recipe


@dataclass(frozen=True)
class PlannedPoint:
    """One point of a sweep; ``arm`` names the arm that does its work, perhaps another's."""

    sweep: str
    name: str
    base: str
    values: dict[str, Any]
    arm: str


@dataclass(frozen=True)
class StudyPlan:
    """All pieces of work of a study, by name.

    ``arms`` are those that are compared with each other; ``point_arms`` those that the
    ``points`` of sweeps need in addition. Tiles, splits and stages are those of both.
    ``tile_splits`` are the divisions that decide how many tiles an image must give, where they do.
    """

    study: str
    settings: StudySettings
    tiles: dict[str, PreprocessSettings]
    splits: dict[str, SplitSettings]
    stages: dict[str, StagePlan]
    arms: dict[str, ArmPlan]
    tile_splits: dict[str, SplitSettings] = field(default_factory=dict)
    point_arms: dict[str, ArmPlan] = field(default_factory=dict)
    points: tuple[PlannedPoint, ...] = ()

    def find_tile_split(self, tiles: str) -> SplitSettings:
        """Return what divides the images of a tile store, as far as its size depends on that."""
        return self.tile_splits.get(tiles, SplitSettings())

    @property
    def every_arm(self) -> dict[str, ArmPlan]:
        """All arms that are trained and evaluated, those of sweeps last."""
        return self.arms | self.point_arms

    @property
    def main(self) -> ArmPlan:
        """The arm whose models are published."""
        return self.arms[self.settings.best_known_arm]


def plan_study(name: str, settings: StudySettings) -> StudyPlan:
    """Resolve all arms of a study.

    Raises
    ------
    ConfigError
        If an arm's or a stage's change names an unknown key or gives an impossible value.
    """
    plan = StudyPlan(name, settings, {}, {}, {}, {})
    for arm_name, arm in settings.all_arms.items():
        where = f"params.yaml: studies.{name}.arms.{arm_name}.change"
        plan.arms[arm_name] = _plan_arm(plan, arm_name, arm, where)
    known = {arm.chains: arm_name for arm_name, arm in plan.arms.items()}
    points = []
    for point in settings.sweep_points:
        where = f"params.yaml: studies.{name}.sweeps.{point.sweep} ({point.name})"
        arm = change_arm(settings.arms[point.base], point.values).model_copy(update={"label": ""})
        planned = _plan_arm(plan, point.name, arm, where)
        # A chain's name holds all that it depends on: equal chains, equal work.
        if planned.chains not in known:
            known[planned.chains] = point.name
            plan.point_arms[point.name] = planned
        values = dict(point.values)
        points.append(
            PlannedPoint(point.sweep, point.name, point.base, values, known[planned.chains])
        )
    return replace(plan, points=tuple(points))


def _plan_arm(plan: StudyPlan, arm_name: str, arm: Arm, where: str) -> ArmPlan:
    """Plan one arm; its tiles, split and stages are added to the plan."""
    recipe = _recipe(plan.settings, arm, where)
    tile_id, split_id = _short_hash(recipe.preprocess), _short_hash(recipe.split)
    if getattr(recipe.preprocess, "tiles_per_class", None) is not None:
        sizes = recipe.split.keep_sizes()
        tile_id = _short_hash([_dump(recipe.preprocess), _dump(sizes)])
        plan.tile_splits[tile_id] = sizes
    plan.tiles[tile_id], plan.splits[split_id] = recipe.preprocess, recipe.split
    chains: list[str] = []
    for stage in arm.stages:
        planned = _plan_stage(
            plan.study, plan.settings, recipe, stage, tile_id, split_id, chains, where
        )
        plan.stages[planned.chain] = planned
        chains.append(planned.chain)
    if len({bool(plan.stages[chain].settings.covariates) for chain in chains}) > 1:
        raise ConfigError(
            f"{where}: a stage with covariates follows one without (model.covariates); a network "
            "has the same inputs in all stages, so set it for the whole arm."
        )
    if len({bool(plan.stages[chain].settings.grades) for chain in chains}) > 1:
        raise ConfigError(
            f"{where}: stages with model.outputs 'grades' and others follow one another; a network "
            "has the same outputs in all stages, so set them for the whole arm."
        )
    label = arm.label or arm_name.replace("_", " ")
    return ArmPlan(arm_name, label, tuple(chains), tile_id, split_id, recipe)


def _recipe(settings: StudySettings, arm: Arm, where: str) -> Recipe:
    sections = {s: getattr(settings, s).model_dump(mode="json") for s in RECIPE_SECTIONS}
    return validate_settings(Recipe, change_settings(sections, arm.change), where)


def _plan_stage(
    study: str,
    settings: StudySettings,
    recipe: Recipe,
    stage: Stage,
    tile_id: str,
    split_id: str,
    ancestors: list[str],
    where: str,
) -> StagePlan:
    sections: dict[str, Any] = {
        s: getattr(recipe, s).model_dump(mode="json") for s in STAGE_SECTIONS
    }
    values = change_settings(sections, stage.change) | {
        "study": study,
        "stage": stage.name,
        "where": stage.where,
        "label_columns": settings.dataset.labels.columns,
        "tiles_per_class": getattr(recipe.preprocess, "tiles_per_class", None),
    }
    model = values.get("model") or {}
    outputs = model.get("outputs", "class")
    try:
        values |= answer_of(settings.dataset).find_learnt(settings.dataset, outputs)
        values |= choose_covariates(settings.dataset.covariates, model.get("covariates"))
    except ValueError as error:
        raise ConfigError(f"{where} (stage '{stage.name}'): {error}") from None
    stage_settings = validate_settings(StageSettings, values, f"{where} (stage '{stage.name}')")
    parent = ancestors[-1] if ancestors else None
    key = _short_hash([tile_id, split_id, parent, _dump(stage_settings)])
    names = [a.rsplit("-", 1)[0] for a in ancestors[-1:]] + [stage.name]
    return StagePlan(f"{'.'.join(names)}-{key}", parent, tile_id, split_id, stage_settings)


def _dump(value: Any) -> Any:
    return value.model_dump(mode="json") if isinstance(value, Settings) else value


def _short_hash(value: Any) -> str:
    text = json.dumps(_dump(value), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]
