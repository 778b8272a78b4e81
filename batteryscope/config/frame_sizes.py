"""Whether the crops of a sweep fit into every image, so that all points see the same images."""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from batteryscope.config.dataset import CrossSectionGenerator, DatasetSettings
from batteryscope.config.sweep import resolve_values
from batteryscope.errors import ConfigError
from batteryscope.manifest.folder import list_files
from batteryscope.plan import PlannedPoint

# Which edge of an image bounds a swept crop: the place in (width, height), or the shorter one.
CROPS = {
    "preprocess.crop_px": None,
    "preprocess.crop_width_px": 0,
    "preprocess.crop_height_px": 1,
}
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
    settings = [(resolve_values(point.values), point.sweep) for point in points]
    frames: list[tuple[str, tuple[int, int]]] | None = None
    for crop_key, edge in CROPS.items():
        crops = [(values[crop_key], sweep) for values, sweep in settings if crop_key in values]
        if not crops:
            continue
        frames = list_frames(dataset) if frames is None else frames
        bounded = [(min(s) if edge is None else s[edge], name, s) for name, s in frames if any(s)]
        largest, sweep = max(crops)
        most, name, (width, height) = min(bounded, default=(0, "", (0, 0)))
        if most and largest > most:
            size = f"{width}×{height} px" if height else f"{width} px width"
            raise ConfigError(
                f"{key}.sweeps.{sweep}: {crop_key} {largest} px is larger than the smallest image, "
                f"{name} of {size}; choose at most {most}, or leave the image out."
            )


def list_frames(dataset: DatasetSettings) -> list[tuple[str, tuple[int, int]]]:
    """Return name and (width, height) in pixels of the images, 0 for what is not known."""
    if dataset.path is None:
        generator = dataset.generator
        if generator is None:
            return []
        if isinstance(generator, CrossSectionGenerator):  # as high as the coating is thick
            return [("each", (generator.width_px, 0))]
        return [("each", (generator.width_px, generator.height_px))]
    from batteryscope.readers.picture import PictureError
    from batteryscope.readers.registry import is_picture_name, read_size

    found: list[tuple[str, tuple[int, int]]] = []
    pictures = [name for name in sorted(list_files(Path(dataset.path))) if is_picture_name(name)]
    for name in pictures[:MOST_HEADERS]:
        with suppress(PictureError):
            found.append((name, read_size(Path(dataset.path, name))))
    return found
