"""Search: which settings of an arm's last stage are best on the validation part."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    Field,
    NonNegativeInt,
    PositiveInt,
    field_serializer,
    field_validator,
    model_validator,
)

from batteryscope.config.base import Settings, list_classes
from batteryscope.core.names import hide_password, refuse_password

SEARCHED_SECTIONS = ("balance", "augment", "model", "train")


class Interval(Settings):
    """Values between two limits, both included; ``log`` makes every decade equally likely."""

    low: int | float
    high: int | float
    log: bool = False

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low {self.low} is not below high {self.high}; exchange them.")
        if self.log and self.low <= 0:
            raise ValueError(f"low {self.low} has no logarithm; raise it above 0.")
        return self


Choices = Annotated[list[str | int | float | bool | None], Field(min_length=1)]


class SearchSettings(Settings):
    """Asynchronous successive halving (ASHA) over a space of settings.

    ``space`` names settings of ``balance``, ``augment``, ``model`` and ``train`` by dotted key,
    with a list of choices or an interval. Every one of ``trials`` candidates trains the last
    stage of ``arm`` (the main one) on the first fold for at most ``max_epochs``; after
    ``min_epochs``, and after every further ``reduction_factor``-fold number, only the best
    1/``reduction_factor`` of what was seen goes on (Li et al. 2020). ``metric`` is the best
    epoch's, on validation tiles: ``val_accuracy`` for classes and ``val_mape`` for capacities
    unless another one is named. ``random`` adds a random search with as many epochs in total.

    ``storage``: the address of a database that all workers reach, for example
    ``postgresql://user@host/optuna``; null: a SQLite file beside the results, for workers of one
    machine. A worker that gives no sign of life for twice ``heartbeat_s`` counts as dead; its
    candidate is tried again, ``max_retries`` times at most.
    """

    space: dict[str, Interval | Choices] = Field(min_length=1)
    arm: str | None = None
    trials: PositiveInt = 24
    workers: PositiveInt = 2
    min_epochs: PositiveInt = 1
    max_epochs: Annotated[int, Field(ge=1, le=20)] = 20
    reduction_factor: Annotated[int, Field(ge=2)] = 3
    metric: Literal["val_accuracy", "val_mape", "val_loss"] | None = None
    random: bool = True
    storage: str | None = None
    heartbeat_s: PositiveInt = 20
    max_retries: NonNegativeInt = 3
    seed: int = 1

    @model_validator(mode="before")
    @classmethod
    def _lists_are_not_empty(cls, values: Any) -> Any:
        space = values.get("space") if isinstance(values, dict) else None
        for key, choice in (space if isinstance(space, dict) else {}).items():
            if isinstance(choice, list) and not choice:
                raise ValueError(
                    f"space.{key} has an empty list; give it at least one value to choose."
                )
        return values

    @model_validator(mode="after")
    def _epochs_ordered(self) -> Self:
        if self.min_epochs > self.max_epochs:
            raise ValueError(
                f"min_epochs {self.min_epochs} is above max_epochs {self.max_epochs}; lower it."
            )
        return self

    @field_validator("storage")
    @classmethod
    def _storage_is_an_address(cls, storage: str | None) -> str | None:
        if storage is not None and "://" not in storage:
            raise ValueError(
                f"'{storage}' is no address of a database, such as "
                "postgresql://user@host/optuna; correct it, or leave it out for a local file."
            )
        if storage is None:
            return None
        return refuse_password(storage, "write it into ~/.pgpass, or into the variable PGPASSWORD")

    @field_serializer("storage")
    def _without_password(self, storage: str | None) -> str | None:
        # Written settings travel: into the report, MLflow, and files beside the results.
        return None if storage is None else hide_password(storage)

    @property
    def is_error(self) -> bool:
        """Whether a lower metric is better."""
        return self.metric not in (None, "val_accuracy")

    def check_space(
        self, sections: Sequence[str], check: Callable[[str], None], arms: Sequence[str]
    ) -> None:
        """Refuse keys that an arm does not have, or that no training depends on; unknown arms.

        Parameters
        ----------
        sections
            Those that may be searched.
        check
            Refuses a key that an arm does not have.
        arms
            Names of the arms.

        Raises
        ------
        ValueError
            Naming the key and what to do.
        """
        for key in self.space:
            section = key.partition(".")[0]
            if section in ("preprocess", "split", "dataset"):
                raise ValueError(
                    f"search.space: '{key}' is no setting of training, so a search cannot change "
                    f"it; sweep it, or search {', '.join(sections)}."
                )
            if key == "train.epochs":
                raise ValueError(
                    "search.space: 'train.epochs' cannot be searched; the best epoch of "
                    "search.max_epochs is taken anyway."
                )
            if key in ("model.covariates", "model.outputs"):
                raise ValueError(
                    f"search.space: '{key}' decides what networks are given or give, which all "
                    "candidates of a search share; sweep it, or compare arms."
                )
            if key == "model.flips_at_test":
                raise ValueError(
                    "search.space: 'model.flips_at_test' has no effect on a search, whose "
                    "candidates are judged while they train, without flips; sweep it."
                )
            try:
                check(key)
            except ValueError as error:
                raise ValueError(f"search.space: {error}") from None
        if self.arm is not None and self.arm not in arms:
            raise ValueError(
                f"search.arm '{self.arm}' is none of the arms {sorted(arms)}; name one."
            )

    def is_integer(self, key: str, recipe: type[BaseModel]) -> bool:
        """Whether an interval stands for whole numbers: its setting takes nothing else."""
        section, name = key.split(".")[0], key.split(".")[-1]
        interval = self.space[key]
        fields = [
            settings.model_fields[name]
            for settings in list_classes(recipe.model_fields[section].annotation)
            if name in settings.model_fields
        ]
        whole = bool(fields) and not any("float" in str(field.annotation) for field in fields)
        limits = isinstance(interval, Interval) and (interval.low, interval.high)
        return whole and bool(limits) and all(isinstance(value, int) for value in limits or ())
