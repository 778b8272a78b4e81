"""What is measured, what it is compared with, and what is explained."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from batteryscope.config.base import CountsWith, Settings
from batteryscope.config.dataset import DatasetSettings
from batteryscope.config.learning import GreyLevels
from batteryscope.config.table_format import TableFormat
from batteryscope.core.baseline_catalogue import PictureBaseline

Fraction = Annotated[float, Field(ge=0, le=1)]
TRAIN_SECONDS = "train_seconds"
SHARES = {
    "accuracy", "balanced_accuracy", "macro_f1", "macro_precision", "macro_recall", "macro_jaccard",
    "macro_specificity",
}  # fmt: skip
NOT_OF_ARMS = ("external", "expert")  # levels of which the comparison of the arms knows nothing


class PaperValue(Settings):
    """A published number that stands beside ours in the comparison table.

    ``arm`` says which arm it belongs to; without it, it stands beside all models. The metric
    ``train_seconds`` is a training time and stands in the table of networks only. ``level``
    ``external`` is about the images of the external data set, ``expert`` about the survey; there
    ``group`` is a class of the external set (empty: all), or ``mean`` or ``best`` of the experts.
    """

    counts_with: ClassVar[tuple[CountsWith, ...]] = (CountsWith("group", "level", NOT_OF_ARMS),)

    metric: str
    value: float
    arm: str = ""
    target: str = ""
    domain: str = ""
    level: Literal["tile", "slice", "image", "specimen", "row", "external", "expert"] = "tile"
    group: str = Field(default="", exclude_if=lambda value: not value)
    note: str = ""

    @model_validator(mode="after")
    def _is_share(self) -> Self:
        if self.metric in SHARES and not 0 <= self.value <= 1:
            raise ValueError(
                f"{self.metric} is a share, found {self.value:g}; write {self.value / 100:g} for "
                f"{self.value:g} %."
            )
        return self


class PaperRange(Settings):
    """The lowest and the highest of several published errors of capacities.

    ``over`` says of what: the ``c_rate``, the ``porosity``, ``both`` (every pair of them), all
    of the model ``arm``; or ``training``, the models that differ from it in their training alone.
    """

    metric: Literal["mape", "mae"]
    arm: str
    over: Literal["c_rate", "porosity", "both", "training"]
    low: float
    high: float
    note: str = ""

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"low {self.low:g} is more than high {self.high:g}; exchange them.")
        return self


class PaperOrder(Settings):
    """Features by their importance in a paper, the most important first, as far as it says."""

    named_once: ClassVar[tuple[str, ...]] = ("features",)

    target: str
    domain: str
    features: list[str] = Field(min_length=2)
    note: str = ""


class PaperDistribution(Settings):
    """Mean, lowest and highest value of a target in the data of a paper, of one domain."""

    target: str
    domain: str
    mean: float
    low: float
    high: float
    note: str = ""

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if not self.low <= self.mean <= self.high:
            raise ValueError(
                f"low {self.low:g}, mean {self.mean:g} and high {self.high:g} are not in this "
                "order; correct them."
            )
        return self


class PaperClass(Settings):
    """What a paper's table says of one class, as it stands there; shares between 0 and 1.

    ``arm`` says which arm it belongs to, ``class_name`` is the class as this study calls it.
    ``accuracy`` is whatever the paper calls so; it stands under the paper's name, beside
    nothing of ours, since of a single class it is not defined (recall and Jaccard are).
    """

    arm: str
    class_name: str
    recall: Fraction | None = None
    precision: Fraction | None = None
    f1: Fraction | None = None
    jaccard: Fraction | None = None
    specificity: Fraction | None = Field(default=None, exclude_if=lambda value: value is None)
    accuracy: Fraction | None = None


class LearningCurveSettings(Settings):
    """How the result depends on the number of training images (specimens) per class.

    Every one of the ``arms`` is trained again with no more than so many images per class in
    its last stage; its full version is the end of the curve. ``specimens_per_class`` counts
    specimens instead, each with all its images, such as cells with their slices.
    """

    named_once: ClassVar[tuple[str, ...]] = ("arms", "images_per_class", "specimens_per_class")

    arms: list[str] = Field(min_length=1)
    images_per_class: list[PositiveInt] = Field(default=[], exclude_if=lambda value: not value)
    specimens_per_class: list[PositiveInt] = Field(default=[], exclude_if=lambda value: not value)

    @model_validator(mode="after")
    def _counts_one_thing(self) -> Self:
        if bool(self.images_per_class) == bool(self.specimens_per_class):
            found = "both" if self.images_per_class else "neither"
            raise ValueError(
                "a learning curve needs images_per_class or specimens_per_class, found "
                f"{found}; state one of them, for example [2, 5, 10]."
            )
        return self

    @property
    def counted(self) -> str:
        """What a point counts, in the singular."""
        return "image" if self.images_per_class else "specimen"

    @property
    def sizes(self) -> list[int]:
        """The points, in order."""
        return sorted({*self.images_per_class, *self.specimens_per_class})


class GreyMismatch(Settings):
    """An arm's trained networks, asked about test tiles with grey levels unlike those in training.

    ``name`` is what tables call it. ``matched`` is the arm that was trained *and* tested with
    the treatment ``tested``, on the same division, if there is one; it is ``alike`` if nothing
    else sets it apart.
    """

    name: str
    arm: str
    trained: GreyLevels
    tested: GreyLevels
    matched: str | None = None
    alike: bool = False


class EvaluateSettings(Settings):
    """Baselines and comparisons.

    ``winding``: a random forest on what the preprocessing of scans measured on the windings.
    ``external``: another data set with the same label columns that the published
    models are applied to; for capacities to electrodes of its own, at the study's C-rates unless
    it has ``targets``. ``survey``: a table (CSV, Excel) with the columns
    ``image, expert, answer`` of a human survey (``image`` is the path within the data set),
    ``survey_format`` how it is written where that cannot be told from it. ``coverage`` is the
    share of numbers that shall lie in the intervals that are predicted for them, and of images
    whose class shall be in the set of classes that is predicted beside the answer.
    ``grey_levels_at_test``: the trained networks of every strategy are asked about the test tiles
    once more, these treated so instead of by ``model.grey_levels``. Nothing is trained for it,
    and the outcome is told in the comparison alone: a mismatch of training and test.
    ``shortcut_audit``: report whether something else than the material tells what is predicted
    (grey levels, microscope settings, data bar, order, session), and what the main arm's networks
    still know of changed tiles; ``docs/trust.md``.
    ``false_alarms``: so many new samples like those of the training may be called unlike them and
    go unanswered; the published models refuse what is further away. null: they answer everything.
    ``paper_classes``: a paper's table per class; ``paper_accuracy`` is the paper's own definition
    of what it calls accuracy of a class, by which the report checks that table. ``paper_ranges``:
    lowest and highest published errors of capacities.
    ``paper_data``: the folders with the data of the paper. Its values stand beside no others,
    unless an overlay states values of its own.
    """

    counts_with: ClassVar[tuple[CountsWith, ...]] = (
        CountsWith("survey_format", "survey", unless=(None,)),
        CountsWith("paper_accuracy", "paper_classes", unless=([],)),
    )
    named_once: ClassVar[tuple[str, ...]] = ("baselines", "grey_levels_at_test")

    baselines: list[PictureBaseline] = ["majority", "grey_levels", "metadata"]
    external: DatasetSettings | None = None
    survey: str | None = None
    survey_format: TableFormat = TableFormat()
    learning_curve: LearningCurveSettings | None = None
    coverage: Annotated[float, Field(gt=0.5, lt=1)] = 0.9
    grey_levels_at_test: list[GreyLevels] = []
    shortcut_audit: bool = True
    false_alarms: Annotated[float, Field(gt=0, lt=0.5)] | None = 0.05
    paper: list[PaperValue] = []
    paper_classes: list[PaperClass] = []
    paper_ranges: list[PaperRange] = Field(default=[], exclude_if=lambda value: not value)
    paper_accuracy: Literal["recall", "jaccard"] | None = None
    paper_data: list[str] = []


class ExplainSettings(Settings):
    """Attribution maps: which tiles, by which method.

    For capacities ``tiles_per_class`` tiles of every porosity are explained by several methods;
    ``method`` and ``misclassified_tiles`` do not apply. ``occlusion_arms`` says whether the
    published arms alone or all arms have occlusion, which takes a pass per covered square.
    ``window_px`` is edge and stride of the occluded squares, ``integration_steps`` is for
    integrated gradients. ``phases`` is a folder with a map per image (PNG of the same path and
    size, codes of ``batteryscope.demo.cross_section_phases``); generated images bring their own.
    ``same_images``: so many test images, the same for all arms, are shown side by side.
    ``mask_tiles``: so many tiles of every test image that has a mask (``dataset.masks``) are
    measured: how much of the attribution lies on what the mask marks.
    ``polar_slices_per_class`` slices of scans are averaged per class in polar coordinates around
    the core (0: none).
    """

    method: Literal["guided_grad_cam", "grad_cam"] = "guided_grad_cam"
    tiles_per_class: Annotated[int, Field(ge=1, le=12)] = 2
    misclassified_tiles: NonNegativeInt = 8
    same_images: Annotated[int, Field(ge=0, le=12)] = 4
    mask_tiles: NonNegativeInt = 2
    polar_slices_per_class: NonNegativeInt = 0
    batch_size: PositiveInt = 8
    occlusion_arms: Literal["published", "all"] = "published"
    window_px: PositiveInt = 7
    integration_steps: PositiveInt = 16
    phases: str | None = None
