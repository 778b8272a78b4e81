"""Explanations of all arms that predict numbers, in one process."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from batteryscope.config.evaluate import ExplainSettings
from batteryscope.config.preprocess import PreprocessSettings
from batteryscope.config.study import list_published_arms
from batteryscope.evaluation.forward import choose_device, load_fit
from batteryscope.explain.number_maps import FAST_METHODS, METHODS, explain_tile
from batteryscope.explain.number_shares import measure_agreement, measure_shares
from batteryscope.manifest.grey_scale import read_bit_depth
from batteryscope.manifest.select import keep_samples
from batteryscope.planning.layout import PictureLayout
from batteryscope.preprocess.coating_crop import cut_mosaic, locate_coating
from batteryscope.preprocess.coating_region import Rectangle, cut_out, straighten
from batteryscope.preprocess.tile_batch import UnusablePictureError
from batteryscope.readers.mask import GENERATED_PHASES
from batteryscope.readers.registry import read_picture
from batteryscope.tilestore import JUDGING_KINDS, TileStore

SPREAD_TILES = 5  # explained tiles of quantities


def find_phases(layout: PictureLayout) -> Path | None:
    """Return the folder of phase maps: the user's, or what generated cross-sections bring."""
    settings = layout.plan.settings
    if settings.explain.phases:
        return Path(settings.explain.phases)
    return layout.find_dataset() / GENERATED_PHASES if settings.dataset.path is None else None


def explain_study(layout: PictureLayout, out: Path) -> None:
    """Write maps (``<arm>.npz``, ``<arm>.json``) and the tables of shares, agreement and cost.

    Every arm of a study of numbers explains test tiles of its first fit, the same in all arms with
    the same split. Arms that are not published are explained by the quick methods, and by occlusion
    if ``explain.occlusion_arms`` is ``all``.

    Raises
    ------
    InputError
        If a piece of the study is missing.
    """
    settings, published = layout.plan.settings.explain, list_published_arms(layout.plan.settings)
    out.mkdir(parents=True, exist_ok=True)
    manifest = pd.read_parquet(layout.data.manifest)
    device = choose_device()
    unpublished = (*FAST_METHODS, "occlusion") if settings.occlusion_arms == "all" else FAST_METHODS
    shares, agreements, costs = [], [], []
    known: dict[str, NDArray[np.uint8] | None] = {}  # arms with the same split explain the same
    for arm, own in layout.plan.arms.items():
        store = TileStore.open(layout.tiles(own.tiles))
        folders = sorted(f for part in layout.list_fits(arm) for f in part.glob("r*_f*"))
        split = pd.read_parquet(layout.split(own.split).roles)
        preprocess = own.recipe.preprocess
        model = load_fit(folders[0]).to(device)
        ordered_by = layout.plan.settings.dataset.targets.find_order(model.description.classes)
        chosen = choose_number_tiles(
            manifest,
            store.index,
            split,
            folders[0],
            settings,
            own.recipe.split.test_where,
            ordered_by,
        )
        methods = METHODS if arm in published else unpublished
        targets = model.description.classes
        maps: dict[str, list[NDArray[np.float16]]] = {m: [] for m in methods}
        tiles = []
        for row in chosen.to_dict("records"):
            tile = np.array(store.tiles[int(row["tile"])])
            found = explain_tile(
                model, tile, methods, settings.window_px, settings.integration_steps
            )
            tiles.append(tile if tile.ndim == 2 else tile[len(tile) // 2])
            for method, values in found.maps.items():
                maps[method].append(values.astype(np.float16))
                cost = (arm, method, found.passes[method], found.seconds[method])
                costs.append(cost)
            key = {"arm": arm, "sample_id": row["sample_id"], "class": row["class"]}
            place = f"{row['path']} {row['x_px']} {row['y_px']} {preprocess}"
            if place not in known:
                known[place] = _cut_phases(layout, row, preprocess)
            phases = known[place]
            if phases is not None:
                shares.append(measure_shares(found.maps, phases).assign(**key))
            agreements.append(measure_agreement(found.maps, settings.window_px).assign(**key))
        arrays = {m: np.stack(values) for m, values in maps.items()}
        np.savez_compressed(out / f"{arm}.npz", allow_pickle=False, tiles=np.stack(tiles), **arrays)
        entry: dict[str, Any] = {
            "targets": targets,
            "tiles": chosen[["sample_id", "class", "path"]].to_dict("records"),
        }
        if ordered_by:
            truth = manifest.set_index("sample_id")[targets]
            for tile in entry["tiles"]:
                tile["values"] = truth.loc[tile["sample_id"]].to_dict()
        (out / f"{arm}.json").write_text(json.dumps(entry, indent=1) + "\n", encoding="utf-8")
    _write(shares, out / "shares.csv")
    _write(agreements, out / "agreement.csv")
    cost_table = pd.DataFrame(costs, columns=["arm", "method", "passes", "seconds"])
    cost_table.groupby(["arm", "method"]).mean().round(4).to_csv(out / "cost.csv")


def choose_number_tiles(
    manifest: pd.DataFrame,
    index: pd.DataFrame,
    split: pd.DataFrame,
    fit: Path,
    settings: ExplainSettings,
    where: Mapping[str, Any],
    ordered_by: str = "",
) -> pd.DataFrame:
    """Choose the first test tiles of every class in one fit, of the images that are judged.

    ``where`` are the conditions of ``split.test_where``. ``ordered_by``: a quantity; images are
    taken whose values of it are evenly spaced in their order, instead of some of every class.

    Returns
    -------
    DataFrame
        ``sample_id, class, path, tile, x_px, y_px``, by class.
    """
    record = json.loads((fit / "fit.json").read_text(encoding="utf-8"))
    split = keep_samples(split, manifest, where)
    of_fit = (split["repeat"] == record["repeat"]) & (split["fold"] == record["fold"])
    tested = split.loc[of_fit & (split["role"] == "test"), "sample_id"]
    judging = index["used"] & index["kind"].isin(JUDGING_KINDS)
    grid = index[judging & index["sample_id"].isin(tested)]
    known = manifest[[c for c in ("sample_id", "class", "path", "bit_depth") if c in manifest]]
    table = grid.drop_duplicates("sample_id").merge(known, on="sample_id")
    if ordered_by:
        truth = manifest.set_index("sample_id")[ordered_by]
        table = table.assign(truth=table["sample_id"].map(truth))
        ordered = table.sort_values(["truth", "sample_id"]).drop(columns="truth")
        places = np.linspace(0, len(ordered) - 1, min(SPREAD_TILES, len(ordered)))
        return ordered.iloc[np.unique(places.round().astype(int))].reset_index(drop=True)
    by_class = table.sort_values(["class", "sample_id"]).groupby("class")
    return by_class.head(settings.tiles_per_class).reset_index(drop=True)


def _cut_phases(
    layout: PictureLayout, row: Mapping[Any, Any], preprocess: PreprocessSettings
) -> NDArray[np.uint8] | None:
    """Straighten and crop the phase map as the picture was, or None if there is none."""
    folder, coating = find_phases(layout), preprocess.along_collector
    if folder is None or coating is None:
        return None
    path = (folder / str(row["path"])).with_suffix(".png")
    if not path.is_file():
        return None
    pixels = read_picture(
        layout.find_dataset() / str(row["path"]),
        max_pixels=layout.plan.settings.dataset.max_pixels,
        bit_depth=read_bit_depth(row),
    ).pixels_8bit
    with Image.open(path) as picture:
        phases = np.asarray(picture)
    for left, right in cut_mosaic(pixels.shape[1], coating.mosaic_width_px):
        if not left <= int(row["x_px"]) < right:
            continue
        try:
            edge = locate_coating(np.ascontiguousarray(pixels[:, left:right]), coating).edge
        except UnusablePictureError:
            continue
        straight = straighten(np.ascontiguousarray(phases[:, left:right]), edge, order=0)
        place = Rectangle(
            int(row["y_px"]),
            int(row["x_px"]) - left,
            coating.crop_height_px,
            coating.crop_width_px,
        )
        return cut_out(straight, place)
    return None


def _write(tables: list[pd.DataFrame], path: Path) -> None:
    if tables:
        pd.concat(tables, ignore_index=True).round(5).to_csv(path, index=False)
