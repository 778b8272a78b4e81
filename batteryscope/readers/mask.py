"""Masks: pictures beside the images that mark what a person would look at."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from batteryscope.errors import InputError

# Hidden, so that reading the data set does not take masks for images.
GENERATED_MASKS = ".masks"
GENERATED_PHASES = ".phases"


def locate_mask(folder: Path, image: str) -> Path:
    """Return where the mask of an image lies: the same path below ``folder``, as PNG.

    Examples
    --------
    >>> locate_mask(Path("masks"), "ncm811/a x500 __1.jpg").as_posix()
    'masks/ncm811/a x500 __1.png'
    """
    return (folder / image).with_suffix(".png")


def read_mask(folder: Path, image: str, shape: tuple[int, int]) -> NDArray[np.bool_] | None:
    """Read which pixels of an image are marked.

    Parameters
    ----------
    folder
        Folder of the masks.
    image
        Path of the image within its data set.
    shape
        (height, width) of the image.

    Returns
    -------
    (height, width) bool array or None
        True where the mask is not 0; None if the image has no mask.

    Raises
    ------
    InputError
        The mask is no picture, or of another size than its image.
    """
    path = locate_mask(folder, image)
    if not path.is_file():
        return None
    try:
        with Image.open(path) as picture:
            # Before it is unpacked: a small file can announce any number of pixels.
            width, height = picture.size
            values = np.asarray(picture) if (height, width) == shape else None
    except (OSError, Image.DecompressionBombError) as error:
        raise InputError(
            f"{path}: the mask of '{image}' cannot be read ({error}); save it as PNG, or delete it."
        ) from None
    if values is None:
        raise InputError(
            f"{path}: the mask has {width}×{height} px but its image "
            f"'{image}' {shape[1]}×{shape[0]} px; save the mask in the size of the image."
        )
    marked: NDArray[np.bool_] = np.not_equal(values, 0)
    if marked.ndim == 3:
        marked = np.any(marked[..., :3], axis=2)  # without transparency
    return marked
