"""The search of a study of images: the last stage of an arm, with other settings."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from batteryscope.answers.choose import answer_of
from batteryscope.config.base import validate_settings
from batteryscope.config.covariates import COVARIATE_PREFIX, list_inputs
from batteryscope.config.merge import change_settings
from batteryscope.config.search import SearchSettings
from batteryscope.config.study import Arm, Recipe, StudySettings
from batteryscope.errors import ConfigError
from batteryscope.plan import StagePlan, StageSettings, StudyPlan, plan_study
from batteryscope.planning.layout import PictureLayout
from batteryscope.provenance import digest_training_code
from batteryscope.search.plan import SearchInputs, SearchPlan

BEST_ARM = "searched"
# Of the network, what leaves the weights of the stage before usable.
KEEPS_WEIGHTS = {"model.dropout", "model.freeze", "model.grey_levels"}


@dataclass(frozen=True)
class StageSearch(SearchPlan):
    """A search among the settings of one stage, the last one of an arm of ``owner``."""

    owner: StudySettings
    stage: StagePlan

    recipe = Recipe
    trainer = "batteryscope.search.stage_candidate"
    note = "search_of_pictures.html.j2"
    generated_words = "A program drew these pictures; no instrument took them."

    @property
    def shares_samples(self) -> bool:
        """Whether images that chose are test images of other folds."""
        return self.owner.split.scheme == "kfold"

    def describe(self) -> dict[str, Any]:
        """Return the settings of the stage as configured."""
        return self.stage.settings.model_dump(mode="json")

    def digest_code(self) -> str:
        """Return a hash of the code that trains tiles."""
        return digest_training_code()

    def list_sample_columns(self) -> list[str]:
        """Return the columns that say what is learnt, from which samples, and beside what."""
        own = self.stage.settings
        given = [f"{COVARIATE_PREFIX}{name}" for name in list_inputs(own.covariates)]
        return list(dict.fromkeys(["class", *own.where, *own.targets, *given]))

    def find_inputs(self, layout: PictureLayout) -> SearchInputs:
        """Return where split, tiles and the fits of the stage before lie."""
        parent = self.stage.parent
        return SearchInputs(
            split=layout.split(self.stage.split).roles,
            tiles=layout.tiles(self.stage.tiles),
            parents=layout.list_parts(parent) if parent else [],
            weights=str(self.stage.settings.model.weights),
            gpus=1,
        )

    def write_overlay(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return an overlay in which the best candidate is one more arm of the study.

        The other arms are in it, too, because the arms of an overlay replace those of params.yaml.
        """
        base = self.owner.arms[self.arm]
        fixed = fix_training(self.settings, self.stage.settings)
        fixed.pop("train.parallel_jobs")
        last = base.stages[-1]
        own = last.model_copy(update={"change": {**last.change, **fixed, **values}})
        label = f"{base.label or self.arm.replace('_', ' ')}, settings found by search"
        best = base.model_copy(update={"label": label, "stages": [*base.stages[:-1], own]})
        arms: dict[str, Arm] = {**self.owner.arms, BEST_ARM: best}
        shown = {n: a.model_dump(mode="json", exclude_defaults=True) for n, a in arms.items()}
        return {"studies": {self.study: {"arms": shown}}}


def find_search(study: str, settings: StudySettings) -> StageSearch | None:
    """Plan the search of a study of pictures; None if it has none.

    Raises
    ------
    ConfigError
        As :func:`plan_search`.
    """
    return plan_search(plan_study(study, settings))


def plan_search(plan: StudyPlan) -> StageSearch | None:
    """Find what a study's search trains; None if it has no search.

    Raises
    ------
    ConfigError
        If the search changes the network of a stage that continues another one, its metric does
        not go with what the stage predicts, or its validation part is the test part.
    """
    search = plan.settings.search
    if search is None:
        return None
    arm = search.arm or plan.settings.best_known_arm
    stage = plan.stages[plan.arms[arm].chains[-1]]
    if plan.arms[arm].recipe.split.validate_on_test:
        raise ConfigError(
            f"params.yaml: studies.{plan.study}.search.arm: '{arm}' validates on its test part "
            "(split.validate_on_test), so a search would choose settings by the test; search "
            "another arm."
        )
    for key in search.space:
        if stage.parent and key.startswith("model.") and key not in KEEPS_WEIGHTS:
            raise ConfigError(
                f"params.yaml: studies.{plan.study}.search.space: '{key}' cannot be searched in "
                f"arm '{arm}', whose last stage goes on with the weights of the one before; "
                "search an arm with one stage, or sweep it."
            )
    named = _name_metric(search, stage, plan.study)
    return StageSearch(plan.study, named, arm, plan.settings, stage)


def _name_metric(search: SearchSettings, stage: StagePlan, study: str) -> SearchSettings:
    """Return the search with the metric that its stage has."""
    answer = answer_of(stage.settings)
    own = answer.find_metric(stage.settings)
    if search.metric not in (None, own, "val_loss"):
        raise ConfigError(
            f"params.yaml: studies.{study}.search.metric: found '{search.metric}', but the arm "
            f"predicts {answer.noun}; take '{own}' or 'val_loss', or leave it out."
        )
    return search.model_copy(update={"metric": search.metric or own})


def change_stage(
    stage: StageSettings, values: Mapping[str, Any], search: SearchSettings
) -> StageSettings:
    """Return the settings of one candidate.

    Parameters
    ----------
    stage
        The settings of the stage as configured.
    values
        The candidate's values by dotted key.
    search
        Number of epochs, and the metric by which the best epoch is kept.

    Raises
    ------
    ConfigError
        If the values do not go together.
    """
    change = dict(values) | fix_training(search, stage)
    changed = change_settings(stage.model_dump(mode="json"), change)
    return validate_settings(StageSettings, changed, "candidate")


def fix_training(search: SearchSettings, stage: StageSettings) -> dict[str, Any]:
    """The settings that are the same for all candidates of a search."""
    if stage.train.is_solved:
        return {"train.parallel_jobs": 1}
    train = stage.train
    fixed: dict[str, Any] = {
        "train.epochs": search.max_epochs,
        "train.monitor": search.metric,
        "train.early_stopping_epochs": None,
        "train.parallel_jobs": 1,
    }
    if train.warmup_epochs and "train.warmup_epochs" not in search.space:
        # The same share of a shorter training.
        fixed["train.warmup_epochs"] = train.warmup_epochs * search.max_epochs / train.epochs
    return fixed
