"""What baselines of quantities see of a sample: grey levels, metadata, texture, windings."""

from collections.abc import Collection
from pathlib import Path

import numpy as np
import pandas as pd

from batteryscope.errors import InputError
from batteryscope.evaluation.baselines import select_metadata
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


def gather_features(
    manifest: pd.DataFrame, frames: Path | None, tiles: Path, wanted: Collection[str]
) -> dict[str, pd.DataFrame | None]:
    """Gather what each baseline sees, by its name.

    Parameters
    ----------
    manifest
        Sample table.
    frames
        ``frames.parquet``; None leaves the grey levels out.
    tiles
        The tile store, and what preprocessing measured beside it. Measured coatings bring the
        porosity by Otsu's thresholds, the thickness and their own texture.
    wanted
        ``evaluate.baselines``; the mean and the texture are always there, and the covariates where
        samples have any.

    Returns
    -------
    dict
        Name → one row per ``sample_id``; None for the mean, which sees nothing. Samples without a
        usable tile are in none.
    """
    measured = tiles / MEASUREMENTS_NAME
    if measured.is_file():
        features = list_coating_features(pd.read_parquet(measured))
    else:
        features = {"mean": None, "texture_forest": measure_tiles(TileStore.open(tiles))}
    if "grey_levels" in wanted and frames is not None:
        features["grey_levels"] = get_grey_levels(pd.read_parquet(frames))
    if "metadata" in wanted:
        metadata = select_metadata(manifest)
        if metadata.shape[1]:
            features["metadata"] = pd.get_dummies(metadata, dtype=float)
    if columns := list_covariate_columns(manifest):
        features["covariates"] = manifest.set_index("sample_id")[columns]
    if "winding" in wanted:
        features["winding"] = _read_windings(tiles)
    return features


def list_coating_features(measurements: pd.DataFrame) -> dict[str, pd.DataFrame | None]:
    """Return the features of coatings: a proxy each, or all that describes the texture."""
    numbers = measurements.drop(columns="tile").groupby("sample_id").mean()
    texture = [c for c in numbers.columns if c not in NO_TEXTURE]
    proxies = {name: numbers[[column]] for name, column in PROXIES.items()}
    return {"mean": None, **proxies, "texture_forest": numbers[texture]}


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


def _read_windings(tiles: Path) -> pd.DataFrame:
    path = tiles / SLICES_NAME
    if not path.is_file():
        raise InputError(
            f"{path}: preprocessing measured no windings; evaluate.baselines 'winding' needs "
            "scans of cells (preprocess.method ct_slices), so leave it out."
        )
    slices = pd.read_csv(path, dtype={"sample_id": str})
    used = slices[slices["used"].astype(bool)].set_index("sample_id")
    return used[list(DESCRIPTORS)].astype(float)
