"""How a picture becomes tiles."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt, model_validator

from batteryscope.config.base import CountsWith, Settings

DEFAULT_TILES_PER_IMAGE = 12


class CutSettings(Settings):
    """What the rest asks about the tiles of any method."""

    is_changed_later: ClassVar[bool] = True

    @property
    def around_core(self) -> "CtSlicesSettings | None":
        """Itself, if it crops around the core of a cell, so that maps have radii and directions."""
        return None

    @property
    def along_collector(self) -> "CoatingCropSettings | None":
        """Itself, if it straightens coatings, as it must any map that lies on the picture."""
        return None

    @property
    def cuts_pixels(self) -> bool:
        """Whether tiles are so many pixels of the picture, so that its pixel size matters."""
        return False

    @property
    def cuts_in_place(self) -> bool:
        """Whether the places of tiles are those in the picture as it was read."""
        return False

    @property
    def unrolls(self) -> bool:
        """Whether circles become straight lines."""
        return False

    @property
    def channels(self) -> int:
        """How many pictures a tile is made of."""
        return 1

    @property
    def keeps_colours(self) -> bool:
        """Whether red, green and blue are cut, not grey levels."""
        return False

    @property
    def training_tiles(self) -> tuple[int, int | None]:
        """Tiles at random places: of every image, or of every class where that is not None."""
        return 0, None


class SemTilesSettings(CutSettings):
    """Square tiles of SEM top views that never touch the data bar.

    ``tiles_per_image`` random tiles of every image train (12 if nothing is said), so that the
    tiles of the classes relate as their images do. ``tiles_per_class`` stands in its place where
    every class shall have the same number of training tiles whatever its number of images: so
    many of the training part of each class, spread evenly over its images. ``grid_tiles`` evenly
    spaced tiles per image are what every image is judged by. A tile whose median local standard
    deviation (blocks of ``block_px``, in grey levels of 255) is below ``min_local_sd`` holds no
    coating and is left out; 0 switches the filter off. ``grid_crops_px``: edges of the grid tiles,
    where images are judged at several scales or at another one than the network is trained with;
    of each edge there are ``grid_tiles`` (null: of ``crop_px`` alone).
    """

    counts_with: ClassVar[tuple[CountsWith, ...]] = (
        CountsWith("block_px", "min_local_sd", unless=(0,)),
    )
    named_once: ClassVar[tuple[str, ...]] = ("grid_crops_px",)

    method: Literal["sem_tiles"] = "sem_tiles"
    data_bar: Literal["auto", "none"] | NonNegativeInt = "auto"
    crop_px: PositiveInt = 300
    input_px: PositiveInt = 224
    tiles_per_image: PositiveInt | None = None
    tiles_per_class: PositiveInt | None = None
    grid_tiles: PositiveInt = 12
    grid_crops_px: Annotated[list[PositiveInt], Field(min_length=1)] | None = None
    block_px: Annotated[int, Field(ge=4)] = 30
    min_local_sd: NonNegativeFloat = 9.0
    seed: int = 1

    @model_validator(mode="before")
    @classmethod
    def _count_tiles_one_way(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        per_image, per_class = values.get("tiles_per_image"), values.get("tiles_per_class")
        if per_image is not None and per_class is not None:
            raise ValueError(
                f"tiles_per_image {per_image} and tiles_per_class {per_class} both say how many "
                "tiles train; leave one of them out."
            )
        if per_image is None and per_class is None:
            return {**values, "tiles_per_image": DEFAULT_TILES_PER_IMAGE}
        return values

    @model_validator(mode="after")
    def _grid_has_other_edges(self) -> Self:
        edges = self.grid_crops_px
        if edges == [self.crop_px]:
            raise ValueError(
                f"grid_crops_px {edges} has no effect, since grid tiles have the edge crop_px "
                f"{self.crop_px} anyway; add another edge, or leave it out."
            )
        return self

    @property
    def training_tiles(self) -> tuple[int, int | None]:
        """Tiles at random places: of every image, or of every class where that is not None."""
        return self.tiles_per_image or 0, self.tiles_per_class

    @property
    def tile_shape(self) -> tuple[int, int]:
        """Height and width in pixels: a square."""
        return self.input_px, self.input_px

    @property
    def cuts_in_place(self) -> bool:
        """Pictures are cut as they are."""
        return True

    @property
    def cuts_pixels(self) -> bool:
        """Tiles are so many pixels of the picture."""
        return True

    @property
    def judging_crops_px(self) -> list[int]:
        """Edges of the tiles by which images are judged."""
        return self.grid_crops_px or [self.crop_px]

    @property
    def largest_crop_px(self) -> int:
        """The edge that decides which images are large enough."""
        return max(self.crop_px, *self.judging_crops_px)


class SemWholeSettings(CutSettings):
    """Whole SEM top views, one square tile each, which trains and judges.

    What a frame shows above its data bar is resized to ``input_px`` in both directions, as by Jeon
    et al. (2025): the aspect ratio is not kept, so that structures of a frame of 4:3 become a
    quarter narrower; frames of one shape are all squeezed alike. A frame that shows no coating
    anywhere is left out: no window of a quarter of its shorter edge has a median local standard
    deviation (blocks of ``block_px``, in grey levels of 255) of ``min_local_sd``; 0 lets all pass.
    """

    counts_with: ClassVar[tuple[CountsWith, ...]] = (
        CountsWith("block_px", "min_local_sd", unless=(0,)),
    )

    method: Literal["sem_whole"] = "sem_whole"
    data_bar: Literal["auto", "none"] | NonNegativeInt = "auto"
    input_px: Annotated[int, Field(ge=16)] = 224
    block_px: Annotated[int, Field(ge=4)] = 30
    min_local_sd: NonNegativeFloat = 9.0
    seed: int = 1

    @property
    def tile_shape(self) -> tuple[int, int]:
        """Height and width in pixels: a square."""
        return self.input_px, self.input_px


class CtSlicesSettings(CutSettings):
    """Slices of scanned cylindrical cells, cropped around the core of the windings.

    The crop is a square around the centre of the core (smoothed over ``smooth_slices``), half of
    its edge being ``half_edge_radii`` times the radius of the can: above 1 the whole cell.
    ``stack_step`` s puts the slices z−s, z, z+s into three channels, the nearest existing slice
    standing in at the ends of the scan; 0 takes slice z alone. ``contrast``: ``percentile``
    stretches the grey levels of each crop between its own ``percentiles``, ``clahe`` equalises
    them locally after that, ``none`` keeps those of the file. ``unroll`` makes circles around
    the core straight lines: ``input_px`` rows (radii) and ``unroll_angles`` columns (directions;
    null: ``input_px``), since windings are fine along the radius only. A slice whose windings
    have a lower regularity (0 to 1) than ``min_regularity``, such as an end cap, is left out.
    """

    counts_with: ClassVar[tuple[CountsWith, ...]] = (
        CountsWith("percentiles", "contrast", ("percentile", "clahe")),
        CountsWith("unroll_angles", "unroll", (True,)),
    )

    method: Literal["ct_slices"] = "ct_slices"
    input_px: Annotated[int, Field(ge=16)] = 299
    half_edge_radii: Annotated[float, Field(gt=0.05, le=2)] = 0.6
    stack_step: NonNegativeInt = 1
    contrast: Literal["percentile", "clahe", "none"] = "percentile"
    percentiles: tuple[
        Annotated[float, Field(ge=0, lt=50)], Annotated[float, Field(gt=50, le=100)]
    ] = (1.0, 99.0)
    unroll: bool = False
    unroll_angles: Annotated[int, Field(ge=16)] | None = None
    smooth_slices: PositiveInt = 9
    min_regularity: Annotated[float, Field(ge=0, le=1)] = 0.35
    seed: int = 1

    @property
    def tile_shape(self) -> tuple[int, int]:
        """Height and width in pixels: unrolled, radii and directions."""
        return self.input_px, (self.unroll and self.unroll_angles) or self.input_px

    @property
    def around_core(self) -> Self:
        """Itself."""
        return self

    @property
    def unrolls(self) -> bool:
        """Whether circles around the core become straight lines."""
        return self.unroll

    @property
    def channels(self) -> int:
        """The slice alone, or with those below and above it."""
        return 3 if self.stack_step else 1


class CoatingCropSettings(CutSettings):
    """The coating of polished cross-sections, straightened and without foil and resin.

    ``collector``: where the foil is, ``bottom`` or ``top``; ``auto`` finds it, and needs the
    choice only for electrodes that are coated on both sides. The middle ``crop_height_px`` ×
    ``crop_width_px`` of the largest rectangle of coating is kept; where dark discs of more than
    ``largest_void_px`` radius lie, it is damaged. Pictures at least twice as long as
    ``mosaic_width_px`` are cut into pieces of this width first. ``training_crops`` crops at random
    positions within the rectangle train; 0 trains with the middle one. ``judging_crops``, spread
    evenly from collector to surface, judge a picture: the mean of what is predicted for them is
    tested and published (in training each validates by itself). 1 is the middle one alone, which
    leaves the rest of the coating unseen. ``shrink`` makes the crop
    smaller by averaging, for quick runs. ``colour`` gives the network red, green and blue as three
    channels; foil, coating, porosity and texture are still found by brightness. Without it pictures
    that show colours are left out.
    """

    method: Literal["coating_crop"] = "coating_crop"
    collector: Literal["auto", "bottom", "top"] = "auto"
    crop_height_px: Annotated[int, Field(ge=16)] = 224
    crop_width_px: Annotated[int, Field(ge=16)] = 672
    mosaic_width_px: PositiveInt = 704
    largest_void_px: PositiveInt = 90
    training_crops: NonNegativeInt = 0
    judging_crops: PositiveInt = 1
    shrink: PositiveInt = 1
    colour: bool = Field(default=False, exclude_if=lambda value: not value)
    seed: int = 1

    @property
    def channels(self) -> int:
        """Three of a coloured picture."""
        return 3 if self.colour else 1

    @property
    def keeps_colours(self) -> bool:
        """As it was asked for."""
        return self.colour

    @property
    def training_tiles(self) -> tuple[int, int | None]:
        """Tiles at random places of every image."""
        return self.training_crops, None

    @property
    def tile_shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.crop_height_px // self.shrink, self.crop_width_px // self.shrink

    @property
    def cuts_pixels(self) -> bool:
        """Tiles are so many pixels of the picture."""
        return True

    @property
    def along_collector(self) -> Self:
        """Itself."""
        return self

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        for key in ("crop_height_px", "crop_width_px"):
            if (size := getattr(self, key)) % self.shrink:
                raise ValueError(
                    f"{key} {size} is no multiple of shrink {self.shrink}; change one of them."
                )
        if self.mosaic_width_px < self.crop_width_px:
            raise ValueError(
                f"mosaic_width_px {self.mosaic_width_px} is less than crop_width_px "
                f"{self.crop_width_px}, so no piece would be wide enough; make it larger."
            )
        return self


PreprocessSettings = Annotated[
    SemTilesSettings | SemWholeSettings | CtSlicesSettings | CoatingCropSettings,
    Field(discriminator="method"),
]


class NamedPreprocess(Settings):
    """Lets ``method`` choose the class of the settings of preprocessing."""

    preprocess: PreprocessSettings


def find_tile_shape(settings: PreprocessSettings) -> tuple[int, int]:
    """Return height and width of the tiles that preprocessing makes, in pixels."""
    return settings.tile_shape
