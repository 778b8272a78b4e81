"""What baselines see of a picture: one function per name, the same for classes and for numbers.

A baseline of pictures is an entry of :mod:`batteryscope.core.baseline_catalogue` and, unless it
looks at nothing, an entry of :data:`FEATURES`.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from batteryscope.errors import InputError
from batteryscope.manifest.covariate_columns import list_covariate_columns
from batteryscope.manifest.frames import get_grey_levels
from batteryscope.preprocess.coating_measures import measure_texture
from batteryscope.preprocess.cut_dataset import MEASUREMENTS_NAME
from batteryscope.preprocess.cut_scans import SLICES_NAME
from batteryscope.preprocess.slice_table import DESCRIPTORS
from batteryscope.tilestore import JUDGING_KINDS, TileStore

MOST_TILES = 4  # of a sample, whose texture is averaged: it takes a hundredth of a second each
PROXIES = {"porosity": "porosity_otsu", "thickness": "thickness_px"}
NO_TEXTURE = ("sample_id", "tile", "porosity_otsu", "active_share", "thickness_px", "angle_deg")

NUMERIC_METADATA = (
    "brightness",
    "contrast",
    "voltage_kv",
    "magnification",
    "working_distance_mm",
    "pixel_size_um",
    "bit_depth",
    "width_px",
    "height_px",
)
NAMED_METADATA = ("detector", "instrument")


@dataclass(frozen=True)
class FeatureSources:
    """Where features come from.

    Attributes
    ----------
    manifest
        Sample table.
    frames
        Grey levels of every sample (``frames.parquet``).
    tiles
        Folder of the tile store, with what preprocessing measured beside it.
    """

    manifest: pd.DataFrame
    frames: pd.DataFrame | None = None
    tiles: Path | None = None


def list_informative_metadata(manifest: pd.DataFrame) -> list[str]:
    """List the acquisition metadata columns that hold more than one value (missing is one)."""
    return [
        column
        for column in (*NUMERIC_METADATA, *NAMED_METADATA)
        if column in manifest.columns and len(manifest[column].drop_duplicates()) > 1
    ]


def select_metadata(manifest: pd.DataFrame) -> pd.DataFrame:
    """Return the informative metadata, indexed by sample: numbers as float, names as text.

    Neither the time of acquisition nor the file name is among them.
    """
    columns = list_informative_metadata(manifest)
    table = manifest.set_index("sample_id")[columns].copy()
    for column in columns:
        if column in NUMERIC_METADATA:
            table[column] = pd.to_numeric(table[column], errors="coerce").astype(np.float64)
        else:
            known = table[column].notna()
            table[column] = table[column].astype(object).astype(str).where(known, "missing")
    return table


def select_covariates(manifest: pd.DataFrame) -> pd.DataFrame:
    """Return the values beside the pictures, indexed by sample."""
    return manifest.set_index("sample_id")[list_covariate_columns(manifest)]


def measure_tiles(store: TileStore) -> pd.DataFrame:
    """Measure the texture of a few judging tiles of every sample, and average them."""
    index = store.index
    judging = index[index["used"] & index["kind"].isin(JUDGING_KINDS)].sort_values("tile")
    rows: dict[str, dict[str, float]] = {}
    for sample, part in judging.groupby("sample_id"):
        places = np.linspace(0, len(part) - 1, min(MOST_TILES, len(part))).round().astype(int)
        found = []
        for tile in part["tile"].iloc[places]:
            pixels = np.asarray(store.tiles[int(tile)])
            # Of stacked slices the middle one is the sample.
            found.append(measure_texture(pixels if pixels.ndim == 2 else pixels[len(pixels) // 2]))
        rows[str(sample)] = {str(k): float(v) for k, v in pd.DataFrame(found).mean().items()}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("sample_id")


def read_windings(tiles: Path | None) -> pd.DataFrame:
    """Read what preprocessing measured on the windings of the slices that it uses.

    Raises
    ------
    InputError
        It measured none.
    """
    if tiles is None or not (tiles / SLICES_NAME).is_file():
        raise InputError(
            "evaluate.baselines: 'winding' needs measured slices of scans, which only "
            "preprocess.method 'ct_slices' gives; leave it out."
        )
    slices = pd.read_csv(tiles / SLICES_NAME, dtype={"sample_id": str})
    used = slices[slices["used"].astype(bool)].set_index("sample_id")
    return used[list(DESCRIPTORS)].astype(float)


def _measure_coatings(tiles: Path | None) -> pd.DataFrame | None:
    path = None if tiles is None else tiles / MEASUREMENTS_NAME
    if path is None or not path.is_file():
        return None
    return pd.read_parquet(path).drop(columns="tile").groupby("sample_id").mean()


def _describe_texture(sources: FeatureSources) -> pd.DataFrame | None:
    """Texture of measured coatings, else of a few tiles."""
    coatings = _measure_coatings(sources.tiles)
    if coatings is not None:
        return coatings[[c for c in coatings.columns if c not in NO_TEXTURE]]
    return None if sources.tiles is None else measure_tiles(TileStore.open(sources.tiles))


def _take_proxy(column: str) -> "FeatureReader":
    def take(sources: FeatureSources) -> pd.DataFrame | None:
        coatings = _measure_coatings(sources.tiles)
        return None if coatings is None else coatings[[column]]

    return take


# One row per ``sample_id``; None where a study has no such thing. Numbers, or names as text.
FeatureReader = Callable[[FeatureSources], pd.DataFrame | None]
FEATURES: Mapping[str, FeatureReader] = {
    **{name: _take_proxy(column) for name, column in PROXIES.items()},
    "texture_forest": _describe_texture,
    "grey_levels": lambda s: None if s.frames is None else get_grey_levels(s.frames),
    "metadata": lambda s: select_metadata(s.manifest),
    "covariates": lambda s: (
        select_covariates(s.manifest) if list_covariate_columns(s.manifest) else None
    ),
    "winding": lambda s: read_windings(s.tiles),
}


def gather_features(sources: FeatureSources, names: Collection[str]) -> dict[str, pd.DataFrame]:
    """Gather what each baseline sees, in the order of :data:`FEATURES`.

    Parameters
    ----------
    sources
        Where from.
    names
        Of baselines; those that look at nothing (``mean``, ``majority``) are in no result.

    Returns
    -------
    dict
        Name → one row per ``sample_id``, columns of numbers or of text. What a study does not have
        is left out. Samples without a usable tile are in no table that tiles give.

    Raises
    ------
    InputError
        Windings are asked for, but were not measured.
    """
    found = {name: read(sources) for name, read in FEATURES.items() if name in names}
    return {name: table for name, table in found.items() if table is not None}
