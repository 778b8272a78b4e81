"""What a page carries inside itself: pictures that were made small, and files to be saved."""

import base64
import functools
import gzip
import io
from collections.abc import Iterable, Mapping

import numpy as np

from batteryscope.core.safe_text import guard_csv
from batteryscope.core.style import Picture

GALLERY_WIDTH_PX = 800
PREVIEW_WIDTH_PX = 1400
PHOTO_QUALITY = 70
# A page shall stay below five megabytes: what is left beside its figures, small pictures may take.
PAGE_BYTES = 4_900_000
# In bytes of base64.
LARGEST_PACKED, PACKED_BUDGET = 90_000, 900_000

# The table of the report's folder that a figure was drawn from, by the figure's name or its begin.
# Figures without one, or whose table is too large for the page, are saved as the numbers they show.
TABLES = {
    "confusion": "confusion.csv",
    "misclassified": "misclassified.csv",
    "reliability": "reliability.csv",
    "risk_coverage": "risk_coverage.csv",
    "shortcuts": "shortcuts.csv",
    "survey": "survey.csv",
    "samples": "images.csv",
    "confidence_per_class": "images.csv",
    "learning_curve": "comparison.csv",
    "learning_curves": "",  # losses of networks of tables
    "curves_": "history.csv",
    "sweep_": "sweeps.csv",
    "error_map": "comparison.csv",
    "trade_off": "curves.csv",
    "shares_": "shares.csv",
    "regularisation": "comparison.csv",
    "ablation_": "ablations.csv",
    "beeswarm_": "shap_values.csv",
    "dependence_": "partial_dependence.csv",
    "ranks": "ranking.csv",
    "coverage": "intervals.csv",
    "capacity_over_cycles": "capacity_over_cycles.csv",
    "proposals": "proposals.csv",
}


def find_table(figure: str, key_table: str = "") -> str:
    """Return the name of the table behind a figure; "" where the report has none.

    Parameters
    ----------
    figure
        The figure's name.
    key_table
        The table behind ``key_figure``, which differs between kinds of studies.
    """
    if figure == "key_figure":
        return key_table
    fitting = [name for name in TABLES if figure.startswith(name)]
    return TABLES[max(fitting, key=len)] if fitting else ""


def pack_files(
    pictures: Iterable[Picture], files: Mapping[str, bytes], key_table: str = ""
) -> dict[str, str]:
    """Compress the files that a reader can save from a page.

    Parameters
    ----------
    pictures
        Figures of the page: the drawing (SVG) and the table behind each are packed, or as
        ``<figure>.csv`` the numbers that it shows.
    files
        Tables of the report by name.
    key_table
        As in :func:`find_table`.

    Returns
    -------
    dict
        Base64 of the gzip by name. Small files come first; what is larger than
        ``LARGEST_PACKED``, or does not fit into ``PACKED_BUDGET`` any more, is left out and lies
        beside the page only.
    """
    packed: dict[str, str] = {}
    for picture in pictures:
        packed[f"{picture.name}.svg"] = pack(picture.svg)
        table = find_table(picture.name, key_table)
        if table in files and table not in packed:
            packed[table] = pack(guard_csv(files[table]))
        has_table = 0 < len(packed.get(table, "")) <= LARGEST_PACKED
        if picture.values and not has_table:
            packed[f"{picture.name}.csv"] = pack(picture.values)
    chosen, used = {}, 0
    for name in sorted(packed, key=lambda name: (len(packed[name]), name)):
        used += len(packed[name])
        if len(packed[name]) > LARGEST_PACKED or used > PACKED_BUDGET:
            break
        chosen[name] = packed[name]
    return chosen


def pack(content: bytes) -> str:
    """Compress for a page, equal bytes for equal content."""
    return base64.b64encode(gzip.compress(content, 9, mtime=0)).decode()


def embed(picture: bytes | None) -> str:
    """Return a picture (PNG or WebP) as an address that needs no file; "" for None."""
    if picture is None:
        return ""
    kind = "webp" if picture[8:12] == b"WEBP" else "png"
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"


def find_shown_width_px(png: bytes) -> int:
    """Width at which a figure's letters are as large as the text beside it."""
    return round(int.from_bytes(png[16:20], "big") * 0.66)  # the width in the PNG's header


def shrink(png: bytes | None, width_px: int) -> bytes | None:
    """Make a wide picture narrower, so that a report with many of them stays small."""
    from PIL import Image

    if png is None:
        return None
    with Image.open(io.BytesIO(png)) as image:
        if image.width <= width_px:
            return png
        height = round(image.height * width_px / image.width)
        mode = image.mode if image.mode in ("L", "RGB", "RGBA") else "RGB"
        small = image.convert(mode).resize((width_px, height), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    small.save(stream, format="PNG", compress_level=1)
    return stream.getvalue()


@functools.lru_cache(maxsize=256)
def reduce_colours(png: bytes | None) -> bytes | None:
    """Store a picture with 256 colours at a third of its size; the original lies in figures/."""
    from PIL import Image

    if png is None:
        return None
    stream = io.BytesIO()
    with Image.open(io.BytesIO(png)) as image:
        original = image.convert("RGB")
        palette = original.quantize(256, Image.Quantize.FASTOCTREE)
        # Nearly white is not white beside the page: the ground keeps its colour.
        colours, ground = palette.getpalette() or [], palette.getpixel((0, 0))
        assert isinstance(ground, int)
        colours[3 * ground : 3 * ground + 3] = np.asarray(original)[0, 0].tolist()
        palette.putpalette(colours)
        palette.save(stream, format="PNG")
    return min(png, stream.getvalue(), key=len)


@functools.lru_cache(maxsize=256)
def compress_photo(png: bytes | None, width_px: int = GALLERY_WIDTH_PX) -> bytes | None:
    """Store a picture of grey levels and noise, which no palette makes small, as WebP."""
    from PIL import Image

    if png is None:
        return None
    stream = io.BytesIO()
    with Image.open(io.BytesIO(shrink(png, width_px) or png)) as image:
        image.convert("RGB").save(stream, format="WEBP", quality=PHOTO_QUALITY)
    return min(png, stream.getvalue(), key=len)
