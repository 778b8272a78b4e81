"""Whether the crops of a sweep fit into every image, so that all points see the same images."""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from batteryscope.config.dataset import CrossSectionGenerator, DatasetSettings
from batteryscope.errors import ConfigError
from batteryscope.manifest.folder import list_files
from batteryscope.plan import PlannedPoint

CROP = "preprocess.crop_px"
MOST_HEADERS = 5000  # some seconds on a slow disk


def check_crops(dataset: DatasetSettings, points: Iterable[PlannedPoint], key: str) -> None:
    """Refuse a swept crop that is larger than the smallest image.

    Elsewhere a single small image is rejected and the rest is used; in a sweep the points would
    then be measured on different images.

    Raises
    ------
    ConfigError
        Naming the sweep, the crop and the image.
    """
    crops = [(point.values[CROP], point.sweep) for point in points if CROP in point.values]
    if not crops:
        return
    largest, sweep = max(crops)
    smallest = find_smallest_frame(dataset)
    if smallest is not None and largest > min(smallest[1]):
        name, (width, height) = smallest
        raise ConfigError(
            f"{key}.sweeps.{sweep}: {CROP} {largest} px is larger than the smallest image, {name} "
            f"of {width}×{height} px; choose at most {min(width, height)}, or leave the image out."
        )


def find_smallest_frame(dataset: DatasetSettings) -> tuple[str, tuple[int, int]] | None:
    """Return name and (width, height) in pixels of the smallest image; None if unknown."""
    if dataset.path is None:
        generator = dataset.generator
        if generator is None or isinstance(generator, CrossSectionGenerator):
            return None
        return "each", (generator.width_px, generator.height_px)
    from batteryscope.readers.picture import PictureError
    from batteryscope.readers.registry import is_picture_name, read_size

    found: list[tuple[str, tuple[int, int]]] = []
    pictures = [name for name in sorted(list_files(Path(dataset.path))) if is_picture_name(name)]
    for name in pictures[:MOST_HEADERS]:
        with suppress(PictureError):
            found.append((name, read_size(Path(dataset.path, name))))
    return min(found, key=lambda item: min(item[1]), default=None)
