"""How a picture becomes tiles."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt

from batteryscope.config.base import Settings


class SemTilesSettings(Settings):
    """Square tiles of SEM top views that never touch the data bar.

    ``tiles_per_class`` random tiles are spread over the images of each class; they
    train. ``grid_tiles`` evenly spaced tiles per image are what every image is
    judged by. A tile whose median local standard deviation (blocks of
    ``block_px``, in grey levels of 255) is below ``min_local_sd`` holds no coating
    and is left out; 0 switches the filter off.
    """

    method: Literal["sem_tiles"] = "sem_tiles"
    data_bar: Literal["auto", "none"] | NonNegativeInt = "auto"
    crop_px: PositiveInt = 300
    input_px: PositiveInt = 224
    tiles_per_class: PositiveInt = 400
    grid_tiles: PositiveInt = 12
    block_px: Annotated[int, Field(ge=4)] = 30
    min_local_sd: NonNegativeFloat = 9.0
    seed: int = 1


class CtSlicesSettings(Settings):
    """Slices of scanned cylindrical cells, cropped around the core of the windings.

    The crop is a square around the centre of the core (smoothed over ``smooth_slices``), half of
    its edge being ``half_edge_radii`` times the radius of the can: above 1 the whole cell.
    ``stack_step`` s puts the slices z−s, z, z+s into three channels, the nearest existing slice
    standing in at the ends of the scan; 0 takes slice z alone. ``contrast``: ``percentile``
    stretches the grey levels of each crop between its own ``percentiles``, ``clahe`` equalises
    them locally after that, ``none`` keeps those of the file. ``unroll`` makes circles around
    the core straight lines. A slice whose windings have a lower regularity (0 to 1) than
    ``min_regularity``, such as an end cap, is left out.
    """

    method: Literal["ct_slices"] = "ct_slices"
    input_px: Annotated[int, Field(ge=16)] = 299
    half_edge_radii: Annotated[float, Field(gt=0.05, le=2)] = 0.6
    stack_step: NonNegativeInt = 1
    contrast: Literal["percentile", "clahe", "none"] = "percentile"
    percentiles: tuple[
        Annotated[float, Field(ge=0, lt=50)], Annotated[float, Field(gt=50, le=100)]
    ] = (1.0, 99.0)
    unroll: bool = False
    smooth_slices: PositiveInt = 9
    min_regularity: Annotated[float, Field(ge=0, le=1)] = 0.35
    seed: int = 1


PreprocessSettings = Annotated[SemTilesSettings | CtSlicesSettings, Field(discriminator="method")]
