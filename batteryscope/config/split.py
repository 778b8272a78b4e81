"""How samples are divided into training, validation and test parts."""

from typing import Annotated, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from batteryscope.config.base import Settings

Fraction = Annotated[float, Field(gt=0, lt=1)]


class SplitSettings(Settings):
    """Division of the samples; whole groups move together.

    ``holdout``: one test part, one validation part. ``kfold``: each of ``folds``
    parts is the test part once, validation comes from the rest. ``holdout_kfold``:
    one untouched test part, the rest is cross-validated (fold k validates).
    ``ordered``: per class, the last ``test_fraction`` in acquisition order is the
    test part. ``group: auto`` takes specimen, else session, else image.
    ``slice`` divides the slices of scanned cells one by one, as papers do: neighbouring slices
    of a cell then train and test, which the report says in words.
    ``near_duplicates`` in different parts are an ``error``, kept together (``group``) or
    only reported (``ignore``); two images are near-duplicates if they have at least
    ``near_duplicate_share`` of their field of view in common. Only samples whose manifest
    columns fit ``test_where``, for example ``{domain: additive}``, are tested.
    """

    scheme: Literal["holdout", "kfold", "holdout_kfold", "ordered"] = "holdout"
    folds: Annotated[int, Field(ge=2)] = 5
    repeats: PositiveInt = 1
    test_fraction: Fraction = 0.1
    validation_fraction: Fraction = 0.2
    group: Literal["auto", "specimen", "session", "image", "slice"] = "auto"
    stratify: bool = True
    near_duplicates: Literal["error", "group", "ignore"] = "error"
    test_where: dict[str, str | float | int | bool | list[str | float | int]] = {}
    near_duplicate_share: Annotated[float, Field(ge=0.5, le=1)] = 0.95
    seed: int = 1

    @model_validator(mode="after")
    def _something_left(self) -> Self:
        if self.scheme != "kfold" and self.test_fraction + self.validation_fraction >= 1:
            raise ValueError(
                f"test_fraction {self.test_fraction} + validation_fraction "
                f"{self.validation_fraction} leave nothing to train on; make them smaller."
            )
        return self

    @property
    def needed_groups(self) -> tuple[int, str]:
        """How many groups (of every class, if stratified) the scheme needs, and why."""
        if self.scheme == "kfold" and self.folds > 3:
            return self.folds, f"split.folds is {self.folds}"
        if self.scheme == "holdout_kfold":
            return self.folds + 1, f"{self.folds} folds and a test part"
        return 3, "one each for training, validation and test"
