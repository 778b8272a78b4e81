"""Whether the crops of a sweep fit into every image, so that all points see the same images."""

import logging
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from batteryscope.config.dataset import DatasetSettings
from batteryscope.config.sweep import resolve_values
from batteryscope.errors import ConfigError
from batteryscope.plan import PlannedPoint
from batteryscope.readers.folder import list_files

log = logging.getLogger("batteryscope")
# Name, and (width, height) in pixels.
Frame = tuple[str, tuple[int, int]]

# Which edge of an image bounds a swept crop: the place in (width, height), or the shorter one.
CROPS = {
    "preprocess.crop_px": None,
    "preprocess.grid_crops_px": None,
    "preprocess.crop_width_px": 0,
    "preprocess.crop_height_px": 1,
}
MOST_HEADERS = 5000  # some seconds on a slow disk


def check_crops(
    dataset: DatasetSettings,
    points: Iterable[PlannedPoint],
    key: str,
    bars_px: Mapping[str, int] | None = None,
) -> None:
    """Refuse a swept crop that is larger than the smallest image.

    Elsewhere a single small image is rejected and the rest is used; in a sweep the points would
    then be measured on different images.

    Parameters
    ----------
    dataset, points
        The images, and the points of all sweeps.
    key
        How the user knows the study.
    bars_px
        By arm, the height of the data bar where the settings state it: those rows are not cut.

    Raises
    ------
    ConfigError
        Naming the sweep, the crop and the image.
    """
    frames: list[Frame] | None = None
    for point in points:
        values = resolve_values(point.values)
        bar = (bars_px or {}).get(point.arm, 0)
        for crop_key in sorted(CROPS.keys() & values.keys()):
            frames = list_frames(dataset, key) if frames is None else frames
            rooms = [(_find_room(size, bar, CROPS[crop_key]), name, size) for name, size in frames]
            known = [(room, name, size) for room, name, size in rooms if room is not None]
            asked = values[crop_key]
            crop = max(asked) if isinstance(asked, list) else asked
            if not known or crop is None or crop <= min(known)[0]:
                continue
            most, name, (width, height) = min(known)
            size = f"{width}×{height} px" if height else f"{width} px width"
            without = f" without its data bar of {bar} px" if bar else ""
            advice = f"choose at most {most}, or leave" if most > 0 else "leave"
            raise ConfigError(
                f"{key}.sweeps.{point.sweep}: {crop_key} {crop} px is larger than the "
                f"smallest image, {name} of {size}{without}; {advice} the image out."
            )


def _find_room(size: tuple[int, int], bar: int, edge: int | None) -> int | None:
    """Return the largest crop that fits into an image, along one edge or both; None if unknown."""
    lengths = [size[0], size[1] - bar if size[1] else 0]
    bounds = [lengths[i] for i in (range(2) if edge is None else [edge]) if size[i]]
    return min(bounds, default=None)


def list_frames(dataset: DatasetSettings, key: str = "dataset") -> list[Frame]:
    """Return name and (width, height) in pixels of the images, 0 for what is not known.

    Of very many images some are read, spread over all folders; ``key`` is how a warning about
    that begins.
    """
    if dataset.path is None:
        return [] if dataset.generator is None else [("each", dataset.generator.frame_px)]
    from batteryscope.readers.picture import PictureError
    from batteryscope.readers.registry import is_picture_name, read_size

    found: list[Frame] = []
    pictures = [name for name in sorted(list_files(Path(dataset.path))) if is_picture_name(name)]
    if len(pictures) > MOST_HEADERS:
        log.warning(
            "%s: of %d images the sizes of %d were read; should one of the others be smaller than "
            "a crop, the point leaves it out, and the number of images in the table shows it.",
            key, len(pictures), MOST_HEADERS,
        )  # fmt: skip
        pictures = [pictures[i * len(pictures) // MOST_HEADERS] for i in range(MOST_HEADERS)]
    for name in pictures:
        with suppress(PictureError):
            found.append((name, read_size(Path(dataset.path, name))))
    return found
