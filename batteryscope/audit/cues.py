"""What a classifier could go by without seeing the material: one table of features per cue."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from batteryscope.manifest.frames import get_data_bars, get_grey_levels, get_thumbnails

SMALL_PX = 16  # edge of the thumbnail: particles and cracks are gone, large shades are not
SECONDS_PER_DAY = 86400.0
RUN = re.compile(r"[^\W\d_]+|\d+")  # of letters or of digits

CueName = Literal[
    "metadata", "acquired_at", "grey_levels", "data_bar", "thumbnail", "file_order"
]  # fmt: skip


@dataclass(frozen=True)
class Cue:
    """One thing that may stand in for the class.

    Attributes
    ----------
    label
        In tables and figures.
    phrase
        In sentences, before ``alone``.
    is_seen
        Whether a network sees it in the picture. What it does not see can only tell that pictures
        of the classes were taken differently.
    """

    label: str
    phrase: str
    is_seen: bool


CUES: Mapping[CueName, Cue] = {
    "grey_levels": Cue("grey levels", "grey levels", is_seen=True),
    "thumbnail": Cue("16 × 16 thumbnail", "a thumbnail of 16 × 16 pixels", is_seen=True),
    "metadata": Cue("microscope settings", "microscope settings", is_seen=False),
    "data_bar": Cue("data bar", "the data bar below the picture", is_seen=False),
    "acquired_at": Cue("time of acquisition", "the time of acquisition", is_seen=False),
    "file_order": Cue("order of the file names", "the order of the file names", is_seen=False),
}


def list_cues(
    manifest: pd.DataFrame, frames: pd.DataFrame, numbers: Collection[str] = ()
) -> dict[CueName, pd.DataFrame]:
    """Return the features of every cue that a data set has, by its name.

    Microscope settings are not among them: those are what the baseline on metadata sees.

    Parameters
    ----------
    manifest
        Sample table.
    frames
        Table of frames; samples that the manifest lacks are left out.
    numbers
        Columns with what is predicted, if not the class; file names may tell it.

    Returns
    -------
    dict
        Name → float features, one row per ``sample_id`` of the manifest. A cue whose features are
        the same for all samples tells nothing and is left out.
    """
    own = frames[frames["sample_id"].isin(manifest["sample_id"])]
    found: dict[CueName, pd.DataFrame | None] = {
        "grey_levels": get_grey_levels(own),
        "thumbnail": describe_thumbnails(own),
        "data_bar": describe_data_bars(own),
        "acquired_at": describe_times(manifest),
        "file_order": describe_file_order(manifest, numbers),
    }
    samples = manifest["sample_id"].to_numpy()
    return {
        name: table.loc[samples]
        for name, table in found.items()
        if table is not None and (table != table.iloc[0]).to_numpy().any()
    }


def describe_thumbnails(frames: pd.DataFrame) -> pd.DataFrame:
    """Return the frames' thumbnails shrunk to 16 × 16 grey levels, indexed by sample."""
    rows = [_shrink(thumbnail).ravel() for thumbnail in get_thumbnails(frames)]
    return _index_by_sample(np.array(rows, dtype=np.float64), frames)


def describe_data_bars(frames: pd.DataFrame) -> pd.DataFrame:
    """Return height and small picture of the data bars, indexed by sample; no bar is all zeros."""
    pictures = [bar.ravel() for bar in get_data_bars(frames)]
    heights = frames["data_bar_px"].to_numpy(np.float64)
    return _index_by_sample(np.column_stack([heights, np.array(pictures, np.float64)]), frames)


def describe_times(manifest: pd.DataFrame) -> pd.DataFrame | None:
    """Return day and time of day of the acquisition; None unless most samples have a time.

    A sample without a time stands at the median.
    """
    times = manifest["acquired_at"]
    if times.notna().mean() < 0.5:
        return None
    seconds = (times - times.min()).dt.total_seconds()
    seconds = seconds.fillna(seconds.median())
    return pd.DataFrame(
        {"day": seconds / SECONDS_PER_DAY, "second_of_day": seconds % SECONDS_PER_DAY}
    ).set_axis(manifest["sample_id"])


def describe_file_order(
    manifest: pd.DataFrame, numbers: Collection[str] = ()
) -> pd.DataFrame | None:
    """Return each sample's place in the natural order of the file names.

    Folders do not count, nor do the words of the classes within a name: labels come from there.
    The words of all classes go from all names, so that what is left of a name does not depend on
    its class. Equal names share a place. So do the values of ``numbers`` that most names hold.

    Returns
    -------
    DataFrame or None
        Column ``place`` from 0 to 1; None where names differ by nothing but the classes. Slices
        share the place of their scan.
    """
    classes = list(manifest["class"].astype(str).unique())
    stems = [path.rpartition("/")[2].rpartition(".")[0] for path in manifest["path"]]
    for column in numbers:
        texts = [f"{value:g}" for value in manifest[column]]
        own = [
            set(RUN.findall(v)) <= set(RUN.findall(s)) for v, s in zip(texts, stems, strict=True)
        ]
        classes += texts if sum(own) > len(own) / 2 else []
    keys = [split_naturally(strip_classes(stem, classes)) for stem in stems]
    places = {key: place for place, key in enumerate(sorted(set(keys)))}
    if len(places) < 2:
        return None
    values = [places[key] / (len(places) - 1) for key in keys]
    return pd.DataFrame({"place": values}, index=manifest["sample_id"].to_numpy())


def strip_classes(stem: str, classes: Collection[str]) -> str:
    """Return a file name without the words of any class, and with spaces for what divides words.

    Only whole runs of letters or digits are words: class ``a`` takes nothing from ``frame``, nor
    class ``1`` from ``012``. Separators go too: a class of two words leaves more of them behind
    than a class of one.

    Examples
    --------
    >>> strip_classes("ncm811 pristine (12)", ["811_pristine", "622_aged"])
    'ncm 12'
    """
    words = {run.casefold() for name in classes for run in RUN.findall(name)}
    return " ".join(run for run in RUN.findall(stem) if run.casefold() not in words)


def split_naturally(stem: str) -> tuple[tuple[int, int, str], ...]:
    """Return a key by which 9 comes before 10: the runs of letters and of digits.

    Examples
    --------
    >>> split_naturally("a_9") < split_naturally("a_10")
    True
    """
    runs = RUN.findall(stem)
    return tuple((0, int(r), "") if r.isdecimal() else (1, 0, r.casefold()) for r in runs)


def _shrink(thumbnail: NDArray[np.uint8]) -> NDArray[np.uint8]:
    picture = Image.fromarray(thumbnail)
    return np.asarray(picture.resize((SMALL_PX, SMALL_PX), Image.Resampling.BOX))


def _index_by_sample(values: NDArray[np.float64], frames: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(values, index=frames["sample_id"].to_numpy())
