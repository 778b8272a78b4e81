"""The preprocessing methods by the name they have in the settings."""

from batteryscope.config.preprocess import PreprocessSettings
from batteryscope.preprocess.coating_crop import crop_coating
from batteryscope.preprocess.sem_tiles import cut_sem_tiles
from batteryscope.preprocess.tile_batch import Preprocessor

PREPROCESSORS: dict[str, Preprocessor] = {"sem_tiles": cut_sem_tiles, "coating_crop": crop_coating}


def find_preprocessor(settings: PreprocessSettings) -> Preprocessor:
    """Return the function that carries out ``settings.method``."""
    return PREPROCESSORS[settings.method]
