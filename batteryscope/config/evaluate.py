"""What is measured, what it is compared with, and what is explained."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from batteryscope.config.base import Settings
from batteryscope.config.dataset import DatasetSettings


class PaperValue(Settings):
    """A published number that stands beside ours in the comparison table."""

    metric: str
    value: float
    target: str = ""
    domain: str = ""
    level: Literal["tile", "slice", "image", "specimen", "row"] = "tile"
    note: str = ""


class EvaluateSettings(Settings):
    """Baselines and comparisons.

    ``external``: another data set with the same label columns that the trained
    models are applied to. ``survey``: a CSV with the columns ``image, expert,
    answer`` of a human survey (``image`` is the path within the data set).
    """

    baselines: list[Literal["majority", "grey_levels", "metadata"]] = [
        "majority",
        "grey_levels",
        "metadata",
    ]
    external: DatasetSettings | None = None
    survey: str | None = None
    paper: list[PaperValue] = []


class ExplainSettings(Settings):
    """Attribution maps: which tiles, by which method."""

    method: Literal["guided_grad_cam", "grad_cam"] = "guided_grad_cam"
    tiles_per_class: Annotated[int, Field(ge=1, le=12)] = 2
    misclassified_tiles: NonNegativeInt = 8
    batch_size: PositiveInt = 8
