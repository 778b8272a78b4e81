"""How samples are divided into training, validation and test parts."""

from math import ceil
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, PositiveInt, field_validator, model_validator

from batteryscope.config.base import CountsWith, Settings

Fraction = Annotated[float, Field(gt=0, lt=1)]


class SplitSettings(Settings):
    """Division of the samples; whole groups move together.

    ``holdout``: one test part, one validation part. ``kfold``: each of ``folds``
    parts is the test part once, validation comes from the rest. ``holdout_kfold``:
    one untouched test part, the rest is cross-validated (fold k validates).
    ``ordered``: per class, the last ``test_fraction`` in acquisition order is the
    test part. ``leave_one_out``: every value of the manifest column ``leave_out`` (such as the
    porosity) is the test part once, and unknown in training. ``group: auto`` takes specimen, else
    session, else image. ``slice`` divides the slices of scanned cells one by one, as papers do:
    neighbouring slices of a cell then train and test, which the report says in words.
    ``near_duplicates`` in different parts are an ``error``, kept together (``group``) or
    only reported (``ignore``); two images are near-duplicates if they have at least
    ``near_duplicate_share`` of their field of view in common. ``allow_leakage`` is the reason why
    near-duplicates, or slices of one cell, may lie in different parts all the same: they are then
    no error, and report and model card repeat the reason. ``validate_on_test`` is the reason why
    the tested samples also choose the epoch, as in papers that name no third part: all others then
    train, ``validation_fraction`` has no effect, and report and model card say what is wrong with
    that and repeat the reason. Only samples whose manifest columns fit ``test_where``, for example
    ``{domain: additive}``, are tested. Those that fit ``shared_where`` count on both sides of
    ``test_where``, which has to fit them too: pristine electrodes have met no electrolyte, so they
    belong to those without additive, and are tested with those that have one.
    """

    is_changed_later: ClassVar[bool] = True
    counts_with: ClassVar[tuple[CountsWith, ...]] = (
        CountsWith("folds", "scheme", ("kfold", "holdout_kfold")),
        CountsWith("test_fraction", "scheme", ("holdout", "holdout_kfold", "ordered")),
        CountsWith(
            "validation_fraction", "scheme", ("holdout", "kfold", "ordered", "leave_one_out")
        ),
        CountsWith("shared_where", "test_where", unless=({},)),
    )

    scheme: Literal["holdout", "kfold", "holdout_kfold", "ordered", "leave_one_out"] = "holdout"
    leave_out: str = ""
    folds: Annotated[int, Field(ge=2)] = 5
    repeats: PositiveInt = 1
    test_fraction: Fraction = 0.1
    validation_fraction: Fraction = 0.2
    group: Literal["auto", "specimen", "session", "image", "slice"] = "auto"
    stratify: bool = True
    near_duplicates: Literal["error", "group", "ignore"] = "error"
    allow_leakage: str = Field(default="", exclude_if=lambda value: not value)
    validate_on_test: str = Field(default="", exclude_if=lambda value: not value)
    test_where: dict[str, str | float | int | bool | list[str | float | int]] = {}
    shared_where: dict[str, str | float | int | bool | list[str | float | int]] = Field(
        default={}, exclude_if=lambda value: not value
    )
    near_duplicate_share: Annotated[float, Field(ge=0.5, le=1)] = 0.95
    seed: int = 1

    @field_validator("allow_leakage", "validate_on_test", mode="before")
    @classmethod
    def _is_reason(cls, value: object) -> object:
        if isinstance(value, bool):
            raise ValueError(
                f"found {str(value).lower()}; this key is no switch: say in words why it is "
                "wanted (report and model card repeat it), or leave the key out."
            )
        return value

    @model_validator(mode="after")
    def _something_left(self) -> Self:
        if (self.scheme == "leave_one_out") != bool(self.leave_out):
            raise ValueError(
                f"scheme '{self.scheme}' with leave_out '{self.leave_out}'; leave_one_out needs "
                "the manifest column in leave_out, the other schemes have none."
            )
        if self.allow_leakage and self.near_duplicates == "group" and self.group != "slice":
            raise ValueError(
                "allow_leakage has no effect with near_duplicates 'group', which keeps them on one "
                "side; leave it out, or set near_duplicates to 'ignore'."
            )
        if self.validate_on_test and self.scheme == "holdout_kfold":
            raise ValueError(
                "validate_on_test has no effect with scheme 'holdout_kfold', whose folds validate "
                "in turn; leave it out, or take another scheme, such as holdout."
            )
        if self.validate_on_test and self.test_where:
            raise ValueError(
                f"validate_on_test does not go with test_where {self.test_where}: stages that "
                "train on other samples would have none to validate with; leave one of both out."
            )
        by_fraction = self.scheme not in ("kfold", "leave_one_out")
        validated = 0 if self.validate_on_test else self.validation_fraction
        if by_fraction and self.test_fraction + validated >= 1:
            raise ValueError(
                f"test_fraction {self.test_fraction} + validation_fraction "
                f"{self.validation_fraction} leave nothing to train on; make them smaller."
            )
        return self

    def count_training_samples(self, n_samples: int) -> int:
        """Return how many of so many samples of a class train at least, if groups are small.

        Parameters
        ----------
        n_samples
            Samples of one class (and domain) that may be tested.

        Returns
        -------
        int
            At least 1. One value of ``leave_out`` is taken to hold half of the samples at most.
        """
        share = {"kfold": 1 / self.folds, "leave_one_out": 0.5}.get(self.scheme, self.test_fraction)
        rest = n_samples - ceil(n_samples * share)
        if self.validate_on_test:
            return max(1, rest)
        validated = 1 / self.folds if self.scheme == "holdout_kfold" else self.validation_fraction
        return max(1, rest - max(1, ceil(rest * validated)))

    def keep_sizes(self) -> Self:
        """Return only what decides how large the training part is."""
        kept = {
            "scheme", "leave_out", "folds", "test_fraction", "validation_fraction",
            "validate_on_test",
        }  # fmt: skip
        return type(self)(**self.model_dump(include=kept))

    @property
    def needed_groups(self) -> tuple[int, str]:
        """How many groups (of every class, if stratified) the scheme needs, and why."""
        if self.scheme == "kfold" and self.folds > 3:
            return self.folds, f"split.folds is {self.folds}"
        if self.scheme == "holdout_kfold":
            return self.folds + 1, f"{self.folds} folds and a test part"
        if self.validate_on_test:
            return 2, "one each for training and test"
        if self.scheme == "leave_one_out":
            return 2, "one each for training and validation"
        return 3, "one each for training, validation and test"
