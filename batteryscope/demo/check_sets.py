"""Check sets: one that every correct pipeline solves, one that none can solve.

``trivial``: every class has a texture of its own (scale, shape and arrangement differ plainly,
under any quarter turn or flip). ``random``: all pictures come from one distribution and the
labels are drawn by lot, so that accuracy above chance on unseen pictures shows a leak.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from batteryscope.config.picture_generators import CheckSetGenerator
from batteryscope.demo.sem_imaging import smooth_noise
from batteryscope.seeds import derive_rng

Pattern = NDArray[np.float64]

BAR_PX = 16


def name_class(index: int) -> str:
    """Return the folder of a class: ``class_a`` for 0, ``class_b`` for 1, and so on."""
    return f"class_{chr(ord('a') + index)}"


def assign_classes(settings: CheckSetGenerator) -> list[int]:
    """Return the class of every picture, in the order of the pictures; equal class sizes.

    ``trivial``: class after class. ``random``: the same labels, shuffled.
    """
    labels = np.repeat(np.arange(settings.classes), settings.images_per_class)
    if settings.kind == "random":
        derive_rng(settings.seed, settings.kind, "labels").shuffle(labels)
    return [int(label) for label in labels]


def draw_values(settings: CheckSetGenerator, index: int, label: int) -> dict[str, float]:
    """Return the numbers that belong to picture ``index``, from 0 to ten times the classes.

    ``value`` of the ``trivial`` set is ten more for every texture, varied by up to 1, so that
    nearly all of its variance can be told. ``lot``, and both of the ``random`` set, are drawn by
    lot.
    """
    rng = derive_rng(settings.seed, settings.kind, "value", index)
    lot, value = rng.uniform(0, 10 * settings.classes, 2)
    if settings.kind == "trivial":
        value = 10 * label + 5 + rng.uniform(-1, 1)
    return {"value": float(value), "lot": float(lot)}


def render_check_picture(settings: CheckSetGenerator, index: int, label: int) -> NDArray[np.uint8]:
    """Generate picture ``index``, shape (height, width), data bar of 16 rows included.

    Pictures of the ``random`` kind do not depend on ``label``.
    """
    rng = derive_rng(settings.seed, settings.kind, "picture", index)
    shape = (settings.height_px - BAR_PX, settings.width_px)
    if settings.kind == "trivial":
        pattern = PATTERNS[label](shape, rng)
    else:
        pattern = _draw_mottle(shape, rng)
    pattern = (pattern - pattern.mean()) / (pattern.std() + 1e-9)
    # Uneven light makes every picture its own: no two may pass for copies of each other.
    pattern = pattern + 0.4 * smooth_noise(rng, shape, 25)
    pattern = pattern * rng.uniform(34, 50) + rng.uniform(100, 140)
    pattern = pattern + rng.normal(0, rng.uniform(6, 12), shape)
    picture = np.clip(np.rint(pattern), 0, 255).astype(np.uint8)
    return np.vstack([picture, _draw_bar(settings.width_px, f"DEMO  {index + 1:04d}")])


def _turned_grid(
    shape: tuple[int, int], period: float, rng: np.random.Generator
) -> tuple[Pattern, Pattern]:
    """Two perpendicular phases (radians) of a grid, turned by any angle, period varied by 8 %."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
    angle, period = rng.uniform(0, np.pi), period * rng.uniform(0.92, 1.08)
    first, second = rng.uniform(0, 2 * np.pi, 2)
    step = 2 * np.pi / period
    return (
        step * (x * np.cos(angle) + y * np.sin(angle)) + first,
        step * (y * np.cos(angle) - x * np.sin(angle)) + second,
    )


def _draw_stripes(period: float) -> Callable[[tuple[int, int], np.random.Generator], Pattern]:
    def draw(shape: tuple[int, int], rng: np.random.Generator) -> Pattern:
        return np.tanh(3 * np.sin(_turned_grid(shape, period, rng)[0]))

    return draw


def _draw_blobs(sigma_px: float) -> Callable[[tuple[int, int], np.random.Generator], Pattern]:
    def draw(shape: tuple[int, int], rng: np.random.Generator) -> Pattern:
        noise = smooth_noise(rng, shape, sigma_px * rng.uniform(0.92, 1.08))
        return np.tanh(4 * noise.astype(float))

    return draw


def _draw_checkers(shape: tuple[int, int], rng: np.random.Generator) -> Pattern:
    across, along = _turned_grid(shape, 24, rng)
    return np.tanh(5 * np.sin(across) * np.sin(along))


def _draw_dots(shape: tuple[int, int], rng: np.random.Generator) -> Pattern:
    across, along = _turned_grid(shape, 9, rng)
    return np.tanh(3 * (np.sin(across) + np.sin(along) - 0.8))


def _draw_rings(shape: tuple[int, int], rng: np.random.Generator) -> Pattern:
    y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
    left, top = rng.uniform(0, 40, 2)
    radius = np.hypot((x + left) % 40 - 20, (y + top) % 40 - 20)
    return np.tanh(2 * np.sin(2 * np.pi * radius / 10 + rng.uniform(0, 2 * np.pi)))


def _draw_mesh(shape: tuple[int, int], rng: np.random.Generator) -> Pattern:
    across, along = _turned_grid(shape, 20, rng)
    return np.maximum(np.cos(across) ** 12, np.cos(along) ** 12)


def _draw_mottle(shape: tuple[int, int], rng: np.random.Generator) -> Pattern:
    """What every ``random`` picture shows: noise on two random scales."""
    fine = smooth_noise(rng, shape, rng.uniform(1.0, 2.5)).astype(float)
    coarse = smooth_noise(rng, shape, rng.uniform(4.0, 9.0)).astype(float)
    return fine + rng.uniform(0.3, 1.5) * coarse


# The first classes differ most, since few classes are the rule.
PATTERNS: tuple[Callable[[tuple[int, int], np.random.Generator], Pattern], ...] = (
    _draw_stripes(16),
    _draw_dots,
    _draw_blobs(6),
    _draw_checkers,
    _draw_blobs(1.5),
    _draw_rings,
    _draw_stripes(6),
    _draw_mesh,
)


def _draw_bar(width_px: int, text: str) -> NDArray[np.uint8]:
    """Dark strip of 16 rows with light text, like a microscope's data bar."""
    bar = Image.new("L", (width_px, BAR_PX), 0)
    font = ImageFont.load_default(size=10)
    ImageDraw.Draw(bar).text((4, 2), text, fill=235, font=font)
    return np.asarray(bar, np.uint8)
