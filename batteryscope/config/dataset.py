"""Where the pictures are, how they were labelled, or how to generate them."""

import re
from typing import Annotated, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from batteryscope.config.base import Settings


class LabelSettings(Settings):
    """Where labels come from.

    ``folders``: ``pattern`` is a regular expression searched (ignoring case) in the
    folder path of each image relative to the data set; its named groups become
    manifest columns. ``table``: ``table`` is a CSV or parquet file inside the data
    set whose ``file_column`` names the images, all other columns are taken over.
    Besides the label ``columns``, the names ``specimen_id``, ``session_id`` and
    ``domain`` fill those manifest columns. Without a pattern the whole folder path
    is the class.
    """

    source: Literal["folders", "table"] = "folders"
    pattern: str | None = None
    table: str | None = None
    file_column: str = "file"
    columns: list[str] = Field(default=["class"], min_length=1)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.source == "table" and self.table is None:
            raise ValueError("labels.source is 'table' but labels.table names no file; add it.")
        if self.pattern is not None:
            try:
                groups = set(re.compile(self.pattern).groupindex)
            except re.error as error:
                raise ValueError(
                    f"labels.pattern '{self.pattern}' is not a valid regular expression ({error})."
                ) from None
            if missing := [c for c in self.columns if c not in groups]:
                raise ValueError(
                    f"labels.pattern has no named group (?P<{missing[0]}>…) "
                    f"for the label column '{missing[0]}'; add it."
                )
        return self


class SemTopViewGenerator(Settings):
    """Generated SEM top views of NCM cathodes (see ``batteryscope.demo.sem_frame``).

    The scale is always 0.2688 um per pixel (500x), so that a smaller frame shows a smaller
    field. One class, and one folder, for every composition, state and additive.
    """

    kind: Literal["sem_top_view"] = "sem_top_view"
    images_per_class: PositiveInt = 14
    width_px: Annotated[int, Field(ge=256)] = 640
    height_px: Annotated[int, Field(ge=192)] = 480
    compositions: list[Literal["333", "523", "622", "811"]] = Field(
        default=["333", "523", "622", "811"], min_length=1
    )
    states: list[Literal["pristine", "formation", "100cycles"]] = Field(
        default=["pristine", "formation", "100cycles"], min_length=1
    )
    additives: list[Literal["none", "VC", "FEC", "LiBOB"]] = Field(default=["none"], min_length=1)
    seed: int = 1

    @model_validator(mode="after")
    def _no_name_twice(self) -> Self:
        for key in ("compositions", "states", "additives"):
            names = getattr(self, key)
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise ValueError(f"{key} names {twice[0]!r} more than once; name it once.")
        return self


class CheckSetGenerator(Settings):
    """Check sets: ``trivial`` must be solved, ``random`` must not be solvable."""

    kind: Literal["trivial", "random"]
    classes: Annotated[int, Field(ge=2, le=8)] = 3
    images_per_class: PositiveInt = 12
    width_px: Annotated[int, Field(ge=64)] = 160
    height_px: Annotated[int, Field(ge=64)] = 144
    seed: int = 1


Generator = Annotated[SemTopViewGenerator | CheckSetGenerator, Field(discriminator="kind")]


Conditions = dict[str, str | float | int | bool | list[str | float | int]]


class DatasetSettings(Settings):
    """One data set: a folder of images with labels; without a path, a generator makes one.

    ``where`` keeps the samples whose manifest columns have the given value (or one of
    a list), for example ``{magnification: 500}``. ``domains`` names kinds of samples by such
    conditions, for example ``{additive: {additive: [VC, FEC]}, plain: {additive: none}}``.
    ``max_pixels`` guards against decompression bombs. ``masks`` is a folder with a PNG per image,
    under the same path and of the same size, in which places other than 0 show what a person
    would look at (``masks_show`` says what), such as cracks; images may lack one. Reports then tell
    how much of a model's attention lies there. Generated SEM pictures bring their own.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]
    path: str | None = None
    generator: Generator | None = None
    labels: LabelSettings = LabelSettings()
    where: Conditions = {}
    domains: dict[Annotated[str, Field(pattern=r"^[a-z0-9]+(_[a-z0-9]+)*$")], Conditions] = {}
    expected_size_px: tuple[PositiveInt, PositiveInt] | None = None
    max_pixels: PositiveInt = 200_000_000
    masks: str | None = None
    masks_show: str = "particle boundaries and cracks"

    @model_validator(mode="after")
    def _some_origin(self) -> Self:
        if self.path is None and self.generator is None:
            raise ValueError(
                "the data set has neither a path (your images) nor a generator (demo data); "
                "add one."
            )
        return self
