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


PreprocessSettings = Annotated[SemTilesSettings, Field(discriminator="method")]
